//! The text of iptables-save(8), as far as marks go.

use super::{Action, Part, Rule, Rules, prefix};
use crate::firewall::{iptables::words, nft::protocol_number};
use evenkeel_model::Family;

/// Where packets to a service come by before kernel IPVS would see them, in their order.
const ENTRIES: [(&str, &str); 3] = [("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT")];

pub(super) fn read(text: &str, ipv4: bool) -> Rules {
    let family = if ipv4 { "ip" } else { "ip6" };
    let mut rules = Rules::default();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim().to_owned();
        } else if let Some((chain, rule)) = rule(line, ipv4) {
            rules.chains.entry((family.to_owned(), table.clone(), chain)).or_default().push(rule);
        }
    }
    rules.entries =
        ENTRIES.map(|(table, chain)| (family.to_owned(), table.to_owned(), chain.to_owned())).into_iter().collect();
    rules
}

/// `-A CHAIN …`, perhaps with counters `[packets:bytes]` in front.
fn rule(line: &str, ipv4: bool) -> Option<(String, Rule)> {
    let line = if line.starts_with('[') { line.split_once("] ")?.1 } else { line };
    let line = line.strip_prefix("-A ")?;
    let (chain, text) = line.split_once(' ').unwrap_or((line, ""));
    let words = words(text);
    let mut asked = Asked::new(if ipv4 { Family::V4 } else { Family::V6 });
    let mut rest = words.iter().map(String::as_str);
    let mut action = Action::Nothing;
    while let Some(word) = rest.next() {
        match word {
            "!" => asked.refuse(format!("asks for `! {}`", rest.next().unwrap_or_default())),
            "-m" | "--match" => {
                let module = rest.next().unwrap_or_default();
                if !["tcp", "udp", "sctp", "multiport", "comment"].contains(&module) {
                    asked.refuse(format!("asks for `-m {module}`"));
                }
            }
            "--comment" => drop(rest.next()),
            "-d" => asked.prefix(rest.next(), |part| &mut part.destination),
            "-s" => asked.prefix(rest.next(), |part| &mut part.source),
            "-p" => asked.protocol(rest.next().unwrap_or_default()),
            "--dport" | "--dports" => asked.ports(rest.next().unwrap_or_default()),
            "-j" | "--jump" | "-g" | "--goto" => {
                let goto = matches!(word, "-g" | "--goto");
                action = target(rest.next().unwrap_or_default(), goto, &rest.collect::<Vec<_>>());
                break;
            }
            other => {
                asked.refuse(format!("asks for `{other}`"));
            }
        }
    }
    Some((chain.to_owned(), Rule { text: text.to_owned(), parts: asked.finish(), action }))
}

fn target(name: &str, goto: bool, options: &[&str]) -> Action {
    match name {
        "MARK" => mark(options),
        "CONNMARK" if options.contains(&"--restore-mark") => {
            Action::Alters("takes the mark from the connection".to_owned())
        }
        "ACCEPT" | "DROP" | "REJECT" | "QUEUE" | "NFQUEUE" | "TPROXY" => Action::Ends,
        "RETURN" => Action::Return,
        name if goto => Action::Goto(name.to_owned()),
        // A target of an extension has no chain, and a chain that is not there does nothing.
        name => Action::Jump(name.to_owned()),
    }
}

/// `--set-xmark VALUE/MASK`, as iptables-save writes every form of MARK.
fn mark(options: &[&str]) -> Action {
    let alters = || Action::Alters(format!("changes a part of the mark (`{}`)", options.join(" ")));
    let (["--set-xmark", value] | ["--set-mark", value]) = options else { return alters() };
    let (value, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
    match (number(value), number(mask)) {
        (Some(value), Some(u32::MAX)) => Action::Set(value),
        _ => alters(),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What a rule asks for, as it is read.
struct Asked {
    part: Part,
    /// Port ranges, one of which must hold.
    ports: Vec<(u16, u16)>,
    refused: Option<String>,
}

impl Asked {
    fn new(family: Family) -> Asked {
        Asked { part: Part { family: Some(family), ..Part::default() }, ports: Vec::new(), refused: None }
    }

    fn refuse(&mut self, why: String) {
        self.refused.get_or_insert(why);
    }

    fn prefix(&mut self, text: Option<&str>, slot: impl Fn(&mut Part) -> &mut Option<evenkeel_model::Prefix>) {
        let text = text.unwrap_or_default();
        match prefix(text) {
            Some(prefix) => *slot(&mut self.part) = Some(prefix),
            None => self.refuse(format!("asks for the addresses `{text}`")),
        }
    }

    fn protocol(&mut self, name: &str) {
        match name {
            "all" | "0" => {}
            name => match protocol_number(name) {
                Some(number) => self.part.protocol = Some(number),
                None => self.refuse(format!("asks for protocol `{name}`")),
            },
        }
    }

    fn ports(&mut self, text: &str) {
        for part in text.split(',') {
            let (low, high) = part.split_once(':').unwrap_or((part, part));
            match (low.parse(), high.parse()) {
                (Ok(low), Ok(high)) => self.ports.push((low, high)),
                _ => self.refuse(format!("asks for the ports `{text}`")),
            }
        }
    }

    fn finish(self) -> Result<Vec<Part>, String> {
        if let Some(why) = self.refused {
            return Err(why);
        }
        if self.ports.is_empty() {
            return Ok(vec![self.part]);
        }
        Ok(self.ports.into_iter().map(|ports| Part { ports: Some(ports), ..self.part }).collect())
    }
}

//! The text of iptables-save(8).

use std::net::IpAddr;

use super::{
    Action, Chain, Condition, End, Entry, Rule, Rules, Subject, Values,
    condition::{cast, number, state},
};

/// Where traffic from outside comes by. The tables of `nat` do not filter.
const ENTRIES: [(&str, &str, Entry); 9] = [
    ("raw", "PREROUTING", Entry::Both),
    ("mangle", "PREROUTING", Entry::Both),
    ("security", "PREROUTING", Entry::Both),
    ("mangle", "INPUT", Entry::Input),
    ("filter", "INPUT", Entry::Input),
    ("security", "INPUT", Entry::Input),
    ("mangle", "FORWARD", Entry::Forward),
    ("filter", "FORWARD", Entry::Forward),
    ("security", "FORWARD", Entry::Forward),
];

/// Reads the rules; lines that are none are left out.
pub(super) fn read(text: &str, ipv4: bool) -> Rules {
    let family = if ipv4 { "ip" } else { "ip6" };
    let command = if ipv4 { "iptables" } else { "ip6tables" };
    let mut rules = Rules { command: Some(command.to_owned()), ..Rules::default() };
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        let key = |chain: &str| (family.to_owned(), table.clone(), chain.to_owned());
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim().to_owned();
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (Some(name), policy) = (words.next(), words.next()) else { continue };
            let entry =
                ENTRIES.iter().find(|(of, chain, _)| *of == table && *chain == name).map(|(_, _, entry)| *entry);
            let drops_by_default = policy == Some("DROP");
            rules.chains.insert(key(name), Chain { entry, drops_by_default, ..Chain::default() });
        } else if let Some((name, rule)) = read_rule(line, ipv4) {
            let chain = rules.chains.entry(key(&name)).or_default();
            let number = chain.rules.len() as u64 + 1;
            chain.rules.push(Rule { number, ..rule });
        }
    }
    rules
}

/// `-A CHAIN …`, perhaps with counters `[packets:bytes]` in front.
fn read_rule(line: &str, ipv4: bool) -> Option<(String, Rule)> {
    let line = if line.starts_with('[') { line.split_once("] ")?.1 } else { line };
    let text = line.strip_prefix("-A ")?;
    let words = words(text);
    let mut rest = words.iter().map(String::as_str);
    let chain = rest.next()?.to_owned();
    let mut conditions = Vec::new();
    let mut action = Action::Nothing;
    let mut protocol = None;
    let mut negated = false;
    while let Some(word) = rest.next() {
        let subject = match word {
            "!" => {
                negated = true;
                continue;
            }
            "-m" | "--match" => {
                // A module by itself asks nothing, but some have no option of their own.
                match rest.next().unwrap_or_default() {
                    "tcp" | "udp" | "multiport" | "comment" | "conntrack" | "state" | "addrtype" | "pkttype" => {
                        continue;
                    }
                    "rpfilter" => reverse_path(&mut rest),
                    _ => Subject::Unknown,
                }
            }
            "--comment" => {
                rest.next();
                continue;
            }
            "-j" | "--jump" => {
                action = target(rest.next().unwrap_or_default(), false);
                // What follows are the target's options.
                break;
            }
            "-g" | "--goto" => {
                action = target(rest.next().unwrap_or_default(), true);
                break;
            }
            "-s" => Subject::Address(End::Source, addresses(rest.next().unwrap_or_default(), ipv4)),
            "-d" => Subject::Address(End::Destination, addresses(rest.next().unwrap_or_default(), ipv4)),
            "-i" if rest.clone().next() == Some("lo") => {
                rest.next();
                Subject::FromLoopback
            }
            "-i" => Subject::Interface(vec![rest.next().unwrap_or_default().replace('+', "*")]),
            "--ctstate" | "--state" => Subject::State(named(rest.next().unwrap_or_default(), state)),
            "--dst-type" => Subject::Cast(named(rest.next().unwrap_or_default(), cast)),
            "--pkt-type" => Subject::Cast(named(rest.next().unwrap_or_default(), |name| match name {
                "unicast" => cast("host"),
                other => cast(other),
            })),
            "-p" => {
                let values = protocols(rest.next().unwrap_or_default());
                protocol = (!negated).then(|| values.ranges.first().and_then(|(n, _)| u8::try_from(*n).ok())).flatten();
                Subject::Protocol(values)
            }
            "--sport" | "--sports" => Subject::Port(protocol, End::Source, ports(rest.next().unwrap_or_default())),
            "--dport" | "--dports" => Subject::Port(protocol, End::Destination, ports(rest.next().unwrap_or_default())),
            _ => Subject::Unknown,
        };
        conditions.push(Condition { subject, negated });
        negated = false;
    }
    Some((chain, Rule { number: 0, text: text.split_once(' ').map_or("", |(_, t)| t).to_owned(), conditions, action }))
}

fn target(name: &str, goto: bool) -> Action {
    match name {
        "DROP" | "REJECT" | "TARPIT" => Action::Drop,
        "QUEUE" | "NFQUEUE" => Action::Queue,
        "ACCEPT" => Action::Accept,
        "RETURN" => Action::Return,
        name if goto => Action::Goto(name.to_owned()),
        // A target of an extension has no chain, and a chain that is not there lets everything pass.
        name => Action::Jump(name.to_owned()),
    }
}

fn addresses(text: &str, ipv4: bool) -> Values {
    let (address, length) = text.split_once('/').unwrap_or((text, if ipv4 { "32" } else { "128" }));
    let bits = if ipv4 { 32 } else { 128 };
    let parsed = address.parse::<IpAddr>().ok().zip(length.parse::<u32>().ok().filter(|length| *length <= bits));
    match parsed {
        Some((address, length)) => {
            let host = 1u128.checked_shl(bits - length).map_or(u128::MAX, |n| n - 1);
            let first = number(address) & !host;
            Values { ranges: vec![(first, first | host)], open: false, ipv4 }
        }
        // A mask with holes.
        None => Values { ranges: Vec::new(), open: true, ipv4 },
    }
}

/// Names behind each other with commas; `read` gives their numbers.
fn named(text: &str, read: impl Fn(&str) -> Option<(u128, u128)>) -> Values {
    let mut values = Values::default();
    for name in text.split(',') {
        match read(name) {
            Some(range) => values.ranges.push(range),
            None => values.open = true,
        }
    }
    values
}

/// What the options of `rpfilter` ask for: inverted, that no route leads back.
fn reverse_path<'a>(rest: &mut (impl Iterator<Item = &'a str> + Clone)) -> Subject {
    let mut subject = Subject::Unknown;
    while let Some("--validmark" | "--loose" | "--accept-local" | "--invert") = rest.clone().next() {
        if rest.next() == Some("--invert") {
            subject = Subject::Astray;
        }
    }
    subject
}

fn protocols(text: &str) -> Values {
    let number = match text {
        "all" | "0" => return Values { ranges: vec![(0, 255)], ..Values::default() },
        name => super::nft::protocol_number(name),
    };
    let ranges: Vec<_> = number.map(|n| (n.into(), n.into())).into_iter().collect();
    Values { open: ranges.is_empty(), ranges, ipv4: false }
}

fn ports(text: &str) -> Values {
    let mut values = Values::default();
    for part in text.split(',') {
        let (low, high) = part.split_once(':').unwrap_or((part, part));
        match (low.parse::<u16>(), high.parse::<u16>()) {
            (Ok(low), Ok(high)) => values.ranges.push((low.into(), high.into())),
            _ => values.open = true,
        }
    }
    values
}

/// Splits as iptables-save quotes: double quotes with backslashes inside.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            '\\' if quoted => word.extend(chars.next()),
            c if c.is_whitespace() && !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

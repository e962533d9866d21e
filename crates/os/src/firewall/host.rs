//! The rules of this host, told by its own tools.

use std::{fs, io::ErrorKind, path::Path, process::Command, time::Duration};

use super::{Awaited, Barrier, BypassedRule, Marks, Rules, Traffic, barriers, bypassed};
use crate::{child::run_to_end, error::Error};

/// How long a tool may take. A ruleset of 100 000 rules takes nft about a second.
const DEADLINE: Duration = Duration::from_secs(10);
const LIMIT: usize = 256 << 20;
/// Where the tools are when the caller's PATH has no /sbin.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// The firewall of the calling thread's network namespace.
#[derive(Clone, Debug, Default)]
pub struct HostRules {
    rules: Vec<Rules>,
    /// What could not be seen, each a sentence fragment for the operator.
    pub unseen: Vec<String>,
}

impl HostRules {
    /// Reads the rules of nftables and of legacy iptables. `nf_tables` are the tables that the kernel says it has
    /// (asked by netlink), so that rules without a tool to show them are not overlooked. Those of nftables tables
    /// called `own` are evenkeel's, and left out.
    pub fn read(nf_tables: &[String], own: &str) -> HostRules {
        let mut host = HostRules::default();
        if !nf_tables.is_empty() {
            host.nft(nf_tables, own);
        }
        host.legacy("/proc/thread-self/net/ip_tables_names", "iptables", true);
        host.legacy("/proc/thread-self/net/ip6_tables_names", "ip6tables", false);
        host
    }

    /// The rules that `traffic` does not meet.
    pub fn bypassed(&self, traffic: &[Traffic]) -> Vec<BypassedRule> {
        self.rules.iter().flat_map(|rules| bypassed(rules, traffic)).collect()
    }

    /// What keeps `awaited` out; see [`barriers`].
    pub fn barriers(&self, awaited: &Awaited) -> Vec<Barrier> {
        let mut found: Vec<Barrier> = self.rules.iter().flat_map(|rules| barriers(rules, awaited)).collect();
        if found.iter().any(|barrier| barrier.surely) {
            found.retain(|barrier| barrier.surely);
        }
        found
    }

    fn nft(&mut self, tables: &[String], own: &str) {
        let outcome = run("nft", &["-j", "list", "ruleset"]).and_then(|text| {
            let read = text.map(|text| Rules::from_nft_json(&text).map_err(|e| e.to_string()));
            read.transpose()
        });
        match outcome {
            Ok(Some(mut rules)) => {
                rules.forget_table(own);
                self.iptables_in(tables, &mut rules);
                self.rules.push(rules);
            }
            Ok(None) => self.unseen.push(format!(
                "the kernel has nftables rules ({}), but there is no `nft` to show them",
                tables.join(", ")
            )),
            Err(why) => self.unseen.push(format!("the nftables rules cannot be read: {why}")),
        }
    }

    /// The tables that iptables has in nftables: nft names its extensions and not what they ask for.
    fn iptables_in(&mut self, tables: &[String], rules: &mut Rules) {
        for (family, tool, ipv4) in [("ip", "iptables", true), ("ip6", "ip6tables", false)] {
            let used = |table: &str| tables.iter().any(|name| *name == format!("{family} {table}"));
            if !["raw", "mangle", "filter", "security"].into_iter().any(used) {
                continue;
            }
            // What it cannot show, nft has shown; the other flavour is asked for itself.
            if let Ok(Some((text, command))) = saved_in_nftables(tool)
                && text.contains("(nf_tables)")
            {
                let own = Rules { command: Some(command), ..Rules::from_iptables_save(&text, ipv4) };
                own.replace_in(rules);
                self.rules.push(own);
            }
        }
    }

    fn legacy(&mut self, names: &str, tool: &str, ipv4: bool) {
        match legacy(names, tool) {
            Ok(Some((text, command))) => {
                self.rules.push(Rules { command: Some(command), ..Rules::from_iptables_save(&text, ipv4) });
            }
            Ok(None) => {}
            Err(why) => self.unseen.push(why),
        }
    }
}

/// What gives packets a mark on this host.
#[derive(Clone, Debug, Default)]
pub struct HostMarks {
    /// The rules of all tools.
    pub marks: Marks,
    /// What could not be seen, each a sentence fragment for the operator.
    pub unseen: Vec<String>,
}

impl HostMarks {
    /// Reads the rules of nftables and of both flavours of iptables; see [`HostRules::read`].
    pub fn read(nf_tables: &[String]) -> HostMarks {
        let mut host = HostMarks::default();
        if !nf_tables.is_empty() {
            let read = |text: String| Marks::from_nft_json(&text).map_err(|e| e.to_string());
            host.take("nft", run("nft", &["-j", "list", "ruleset"]).and_then(|text| text.map(read).transpose()));
        }
        for (family, tool, ipv4) in [("ip", "iptables", true), ("ip6", "ip6tables", false)] {
            let save = |text: String| Marks::from_iptables_save(&text, ipv4);
            let is_there = |table| nf_tables.iter().any(|name| *name == format!("{family} {table}"));
            if is_there("mangle") || is_there("raw") {
                host.take(tool, saved_in_nftables(tool).map(|text| text.map(|(text, _)| save(text))));
            }
            match legacy(&format!("/proc/thread-self/net/{family}_tables_names"), tool) {
                Ok(text) => host.marks.join(text.map(|(text, _)| save(text)).unwrap_or_default()),
                Err(why) => host.unseen.push(why),
            }
        }
        host
    }

    fn take(&mut self, tool: &str, marks: Result<Option<Marks>, String>) {
        match marks {
            Ok(Some(marks)) => self.marks.join(marks),
            Ok(None) => {
                self.unseen.push(format!("the kernel has nftables rules, but there is no `{tool}` to show them"))
            }
            Err(why) => self.unseen.push(format!("the rules that {tool} shows cannot be read: {why}")),
        }
    }
}

/// What a flavour of iptables saves, and its command.
type Saved = (String, String);

/// What the flavour of a tool saves whose rules are in nftables.
fn saved_in_nftables(tool: &str) -> Result<Option<Saved>, String> {
    // Where the plain name is the legacy flavour, the other one has a name of its own.
    let own = format!("{tool}-nft");
    match run(&format!("{own}-save"), &[])? {
        Some(text) => Ok(Some((text, own))),
        None => Ok(run(&format!("{tool}-save"), &[])?.map(|text| (text, tool.to_owned()))),
    }
}

/// What the legacy flavour of a tool saves; `None` where none of its tables is in use.
fn legacy(names: &str, tool: &str) -> Result<Option<Saved>, String> {
    // Only the tables that are in use are listed; asking a tool would load the others.
    let tables = match fs::read_to_string(names) {
        Ok(tables) => tables,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("whether there are {tool} rules cannot be seen: {names}: {e}")),
    };
    let tables: Vec<&str> = tables.split_whitespace().collect();
    if tables.is_empty() {
        return Ok(None);
    }
    // Where the plain name is the nftables flavour, it shows none of these.
    for name in [format!("{tool}-legacy"), tool.to_owned()] {
        match run(&format!("{name}-save"), &[]) {
            Ok(Some(text)) if name.contains("legacy") || !text.contains("(nf_tables)") => {
                return Ok(Some((text, name)));
            }
            Ok(_) => {}
            Err(why) => return Err(format!("the {tool} rules cannot be read: {why}")),
        }
    }
    let tables = tables.join(", ");
    Err(format!("the kernel has {tool} rules (tables {tables}), but there is no `{tool}-legacy-save` to show them"))
}

/// What a tool writes; `None` when it is not there.
fn run(tool: &str, arguments: &[&str]) -> Result<Option<String>, String> {
    let places = PLACES.iter().map(|place| Path::new(place).join(tool)).filter(|path| path.exists());
    let program = places.into_iter().next().unwrap_or_else(|| tool.into());
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    let done = match run_to_end(command, DEADLINE, LIMIT) {
        Ok(done) => done,
        Err(Error::System { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    match done.status {
        None => Err(format!("{tool} took longer than {} s", DEADLINE.as_secs())),
        Some(_) if done.truncated => Err(format!("{tool} wrote more than {} MiB", LIMIT >> 20)),
        Some(status) if !status.success() => {
            let said = String::from_utf8_lossy(&done.stderr);
            Err(format!("{tool}: {}", said.lines().next().unwrap_or("failed without a word")))
        }
        Some(_) => Ok(Some(String::from_utf8_lossy(&done.stdout).into_owned())),
    }
}

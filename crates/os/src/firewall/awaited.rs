//! Which rules keep out what a node has to hear of its neighbours: heartbeats and VRRP.
//!
//! The first packet is what counts: a rule that accepts what is established accepts none of these, since nobody answers
//! them. What an earlier rule certainly accepts does not reach a later one of the same base chain. Where a rule asks for
//! something that is not known here, it may have taken the message, and so may whatever comes behind it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use super::{
    Action, Chain, ChainKey, DEPTH, Entry, Rules, belongs,
    condition::{ALL_PORTS, ANY, Arrival, Fit, Packet, number},
};

/// To whom a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cast {
    /// To an address of this host.
    One = 0,
    /// To everybody on the link.
    All = 1,
    /// To a group.
    Group = 2,
}

/// Messages that this node wants to hear.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Awaited {
    /// By which interface they come in.
    pub interface: String,
    /// IPv4, or IPv6.
    pub ipv4: bool,
    /// From whom; `None`: from anybody of the link.
    pub source: Option<IpAddr>,
    /// To which address; `None`: to one of this host, or of the link.
    pub destination: Option<IpAddr>,
    /// To whom that is.
    pub cast: Cast,
    /// IP protocol number.
    pub protocol: u8,
    /// Destination port, of UDP.
    pub port: Option<u16>,
}

impl Awaited {
    fn packet(&self) -> Packet {
        let address = |address: Option<IpAddr>| address.map(number).map_or(ANY, |number| (number, number));
        let port = self.port.map_or(ALL_PORTS, |port| (port.into(), port.into()));
        Packet {
            ipv4: self.ipv4,
            protocol: Some(self.protocol),
            addresses: [address(self.source), address(self.destination)],
            ports: [ALL_PORTS, port],
            message: Some(Arrival { interface: self.interface.clone(), cast: self.cast }),
        }
    }

    /// The name of the protocol, in rules.
    fn protocol_name(&self) -> String {
        match self.protocol {
            17 => "udp".to_owned(),
            51 => "ah".to_owned(),
            112 => "vrrp".to_owned(),
            other => other.to_string(),
        }
    }
}

/// A rule, or a chain's policy, that keeps messages out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// `ip`, `ip6`, `inet` or `netdev`.
    pub family: String,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// nftables: the handle; iptables: the number in the chain. Absent for the policy.
    pub number: Option<u64>,
    /// The rule as its tool writes it, nearly.
    pub text: String,
    /// Whether it does: else it may, since it or a rule before it asks for something that is not known here.
    pub surely: bool,
    /// The command of iptables; `None`: nft.
    command: Option<String>,
}

impl fmt::Display for Barrier {
    /// `inet filter input rule 13: udp dport 694 drop`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Barrier { family, table, chain, text, .. } = self;
        write!(f, "{family} {table} {chain}")?;
        if let Some(number) = self.number {
            write!(f, " rule {number}")?;
        }
        write!(f, ": {text}")
    }
}

impl Barrier {
    /// The command that lets `awaited` in here.
    pub fn remedy(&self, awaited: &Awaited) -> String {
        let Barrier { family, table, chain, .. } = self;
        let Awaited { interface, source, port, .. } = awaited;
        let protocol = awaited.protocol_name();
        if table == "firewalld" {
            let what =
                port.map_or(format!("--add-protocol={protocol}"), |port| format!("--add-port={port}/{protocol}"));
            return format!("firewall-cmd --permanent {what} && firewall-cmd --reload");
        }
        if let Some(tool) = &self.command {
            let table = if table == "filter" { String::new() } else { format!(" -t {table}") };
            let from = source.map(|source| format!(" -s {source}")).unwrap_or_default();
            let port = port.map(|port| format!(" --dport {port}")).unwrap_or_default();
            return format!("{tool}{table} -I {chain} -i {interface}{from} -p {protocol}{port} -j ACCEPT");
        }
        // A chain of `netdev` may be of one interface, and then knows no other.
        let by = if family == "netdev" { String::new() } else { format!(" iifname {interface:?}") };
        let ip = if awaited.ipv4 { "ip" } else { "ip6" };
        let from = source.map(|source| format!(" {ip} saddr {source}")).unwrap_or_default();
        let what = port.map_or(format!("meta l4proto {protocol}"), |port| format!("{protocol} dport {port}"));
        format!("nft insert rule {family} {table} {chain}{by}{from} {what} accept")
    }
}

/// What keeps `awaited` out, in the order of families, tables and chains: all that certainly does, or else the first of
/// each base chain that may.
pub fn barriers(rules: &Rules, awaited: &Awaited) -> Vec<Barrier> {
    let packet = awaited.packet();
    let mut certain = Vec::new();
    let mut possible = Vec::new();
    for (key, chain) in &rules.chains {
        let for_this = chain.devices.is_empty() || chain.devices.contains(&awaited.interface);
        let enters = matches!(chain.entry, Some(Entry::Both | Entry::Input)) && for_this;
        if !enters || !belongs(&key.0, awaited.ipv4) {
            continue;
        }
        let mut walk = Walk { rules, packet: &packet, known: BTreeMap::new(), bars: Vec::new() };
        // Some nft do not say of which interface a chain is.
        let meets = key.0 != "netdev" || !chain.devices.is_empty();
        let passes = walk.chain(key, meets, 0);
        if passes != Passes::None && chain.drops_by_default {
            walk.bar(key, None, "policy drop", meets && passes == Passes::All);
        }
        let (surely, maybe): (Vec<Barrier>, Vec<Barrier>) = walk.bars.into_iter().partition(|bar| bar.surely);
        possible.extend(maybe.into_iter().next());
        certain.extend(surely);
    }
    if certain.is_empty() { possible } else { certain }
}

/// How much of what comes into a chain leaves it at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    All,
    Some,
    None,
}

/// The way of a message through one base chain.
struct Walk<'a> {
    rules: &'a Rules,
    packet: &'a Packet,
    /// Chains seen, by whether the message certainly comes there: each is walked at most twice.
    known: BTreeMap<(ChainKey, bool), Passes>,
    bars: Vec<Barrier>,
}

impl Walk<'_> {
    fn bar(&mut self, key: &ChainKey, number: Option<u64>, text: &str, surely: bool) {
        let (family, table, chain) = key.clone();
        let command = self.rules.command.clone();
        self.bars.push(Barrier { family, table, chain, number, text: text.to_owned(), surely, command });
    }

    fn chain(&mut self, key: &ChainKey, surely: bool, depth: usize) -> Passes {
        let rules = self.rules;
        let Some(chain) = rules.chains.get(key) else { return Passes::All };
        if depth > DEPTH {
            return Passes::Some;
        }
        if let Some(passes) = self.known.get(&(key.clone(), surely)) {
            return *passes;
        }
        // The kernel takes no loop; a text may hold one.
        self.known.insert((key.clone(), surely), Passes::Some);
        let passes = self.rules_of(key, chain, surely, depth);
        self.known.insert((key.clone(), surely), passes);
        passes
    }

    fn rules_of(&mut self, key: &ChainKey, chain: &Chain, mut surely: bool, depth: usize) -> Passes {
        // Some may have left the chain before its end; some may have been taken or dropped.
        let (mut left, mut lost) = (false, false);
        for rule in &chain.rules {
            let fit = rule.conditions.iter().map(|c| c.fit(self.packet)).min().unwrap_or(Fit::Yes);
            let all = fit == Fit::Yes;
            if fit == Fit::No {
                continue;
            }
            let target = |name: &String| (key.0.clone(), key.1.clone(), name.clone());
            let (passes, leaves) = match &rule.action {
                Action::Nothing => (Passes::All, false),
                Action::Drop => {
                    self.bar(key, Some(rule.number), &rule.text, surely && all);
                    (Passes::None, false)
                }
                Action::Queue => {
                    self.bar(key, Some(rule.number), &rule.text, false);
                    (Passes::Some, false)
                }
                Action::Accept => (Passes::None, false),
                Action::Return => (Passes::All, true),
                Action::Jump(name) => (self.chain(&target(name), surely && all, depth + 1), false),
                Action::Goto(name) => (self.chain(&target(name), surely && all, depth + 1), true),
            };
            lost |= passes != Passes::All;
            let nothing_here = passes == Passes::None || leaves;
            if all && nothing_here {
                left |= passes != Passes::None;
                return match (left, lost) {
                    (true, true) => Passes::Some,
                    (true, false) => Passes::All,
                    (false, _) => Passes::None,
                };
            }
            left |= leaves && passes != Passes::None;
            surely &= !nothing_here && passes == Passes::All;
        }
        if lost { Passes::Some } else { Passes::All }
    }
}

#[cfg(test)]
mod tests;

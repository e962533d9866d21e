//! Which rules of the host's firewall the packet path goes around.
//!
//! A packet path in front of netfilter does not meet the rules of INPUT and PREROUTING; kernel IPVS does. Whoever moves
//! a director here should hear which of the host's rules no longer hold for the VIPs. The same is true of the answers of
//! real servers that are translated (NAT, FullNAT): in a director with kernel IPVS they go through PREROUTING and FORWARD
//! before they get the VIP for their source. Other answers do not cross the director. [`bypassed`] is a pure function of
//! the rules' text; [`HostRules`] gets that text from the host's own tools.
//!
//! A rule is left out only when it certainly cannot meet the service's traffic from outside. What an earlier rule
//! certainly accepts does not reach a later one.

mod awaited;
mod condition;
mod host;
mod iptables;
mod marks;
mod nft;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    net::IpAddr,
};

use condition::{ALL_PORTS, ANY, Condition, End, Fit, Packet, Subject, Values, number};
use evenkeel_model::Protocol;

pub use awaited::{Awaited, Barrier, Cast, barriers};
pub use host::{HostMarks, HostRules};
pub use marks::{Marks, Unexpressed};

/// Jumps inside jumps that are followed; the kernel allows 16.
const DEPTH: usize = 16;

/// Where a virtual service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceEndpoint {
    /// The VIP.
    pub address: IpAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port; 0 is every port.
    pub port: u16,
}

/// Where answers come from that are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerEndpoint {
    /// The real server.
    pub address: IpAddr,
    /// The transport protocol; `None` for any, of a service by mark.
    pub protocol: Option<Protocol>,
    /// The port; 0 is every port.
    pub port: u16,
}

/// Packets that go past the host's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// From clients to a service.
    Requests(ServiceEndpoint),
    /// From a real server to clients.
    Answers(AnswerEndpoint),
}

impl Traffic {
    fn address(&self) -> IpAddr {
        match self {
            Traffic::Requests(service) => service.address,
            Traffic::Answers(server) => server.address,
        }
    }

    fn packet(&self) -> Packet {
        let own = number(self.address());
        let range = |port: u16| if port == 0 { ALL_PORTS } else { (port.into(), port.into()) };
        let (protocol, addresses, ports) = match self {
            Traffic::Requests(service) => (Some(service.protocol), [ANY, (own, own)], [ALL_PORTS, range(service.port)]),
            Traffic::Answers(server) => (server.protocol, [(own, own), ANY], [range(server.port), ALL_PORTS]),
        };
        let protocol = protocol.map(Protocol::number);
        Packet { ipv4: self.address().is_ipv4(), protocol, addresses, ports, message: None }
    }

    fn enters(&self, entry: Entry) -> bool {
        match entry {
            Entry::Both => true,
            Entry::Input => matches!(self, Traffic::Requests(_)),
            Entry::Forward => matches!(self, Traffic::Answers(_)),
        }
    }
}

/// A rule, or a chain's policy, that VIP traffic does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassedRule {
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
    /// What it would have done.
    pub why: Why,
    /// What it would have met: only requests, or only answers.
    pub traffic: Vec<Traffic>,
}

/// What a rule would have done to the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Dropped a part: the rule asks for more than the packet's destination.
    DropsSome,
    /// Dropped all of it.
    DropsAll,
    /// The chain drops what no rule accepts.
    Policy,
}

impl Why {
    fn text(self, of_answers: bool) -> &'static str {
        match (self, of_answers) {
            (Why::DropsSome, false) => "drops a part of the service's traffic",
            (Why::DropsAll, false) => "drops all of the service's traffic",
            (Why::Policy, false) => "the chain's policy drops what no rule accepts",
            (Why::DropsSome, true) => "drops a part of the real servers' answers",
            (Why::DropsAll, true) => "drops all of the real servers' answers",
            (Why::Policy, true) => "the chain's policy drops the real servers' answers that no rule accepts",
        }
    }
}

impl fmt::Display for BypassedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BypassedRule { family, table, chain, text, why, .. } = self;
        write!(f, "`{family} {table} {chain}")?;
        if let Some(number) = self.number {
            write!(f, " rule {number}")?;
        }
        let of_answers = matches!(self.traffic.first(), Some(Traffic::Answers(_)));
        write!(f, ": {text}` ({})", why.text(of_answers))
    }
}

/// Rules that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError(String);

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for RulesError {}

/// The rules of one tool, as far as they count here.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    chains: BTreeMap<ChainKey, Chain>,
    /// The command of iptables that they were made with; `None`: nft.
    command: Option<String>,
}

/// Family, table, name.
type ChainKey = (String, String, String);

#[derive(Clone, Debug, Default)]
struct Chain {
    /// Traffic from outside enters here; `None`: only from other chains.
    entry: Option<Entry>,
    drops_by_default: bool,
    /// Only what comes in by these; empty: by any.
    devices: Vec<String>,
    rules: Vec<Rule>,
}

/// Who comes through a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Whatever comes in.
    Both,
    /// What is for the host itself, as the VIP is.
    Input,
    /// What is for others.
    Forward,
}

#[derive(Clone, Debug)]
struct Rule {
    number: u64,
    text: String,
    conditions: Vec<Condition>,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Drop,
    /// A program decides; it may drop.
    Queue,
    Accept,
    Jump(String),
    Goto(String),
    Return,
    /// Counts, logs, marks: the packet goes on.
    Nothing,
}

impl Rules {
    /// Reads what `nft -j list ruleset` writes.
    pub fn from_nft_json(text: &str) -> Result<Rules, RulesError> {
        nft::read(text)
    }

    /// Reads what `iptables-save` (or `ip6tables-save`, with `ipv4` false) writes.
    pub fn from_iptables_save(text: &str, ipv4: bool) -> Rules {
        iptables::read(text, ipv4)
    }

    /// Takes the place of the same tables in `other`.
    fn replace_in(&self, other: &mut Rules) {
        let own = |key: &ChainKey| self.chains.keys().any(|known| known.0 == key.0 && known.1 == key.1);
        other.chains.retain(|key, _| !own(key));
    }

    /// Leaves out the tables of this name.
    pub fn forget_table(&mut self, name: &str) {
        self.chains.retain(|(_, table, _), _| table != name);
    }
}

/// The rules that `traffic` from outside would have met, in the order of families, tables and chains; one that both
/// requests and answers would have met is there twice.
pub fn bypassed(rules: &Rules, traffic: &[Traffic]) -> Vec<BypassedRule> {
    let mut found: BTreeMap<(ChainKey, Option<u64>, bool), BypassedRule> = BTreeMap::new();
    for (key, chain) in &rules.chains {
        let Some(entry) = chain.entry else { continue };
        for one in traffic.iter().filter(|one| one.enters(entry) && belongs(&key.0, one.address().is_ipv4())) {
            let mut walk = Walk { rules, packet: one.packet(), hits: BTreeMap::new(), entered: BTreeSet::new() };
            let passes = walk.chain(key, true, 0);
            if passes && chain.drops_by_default {
                walk.hits.insert((key.clone(), None), ("policy drop".to_owned(), Why::Policy));
            }
            let of_answers = matches!(one, Traffic::Answers(_));
            for ((chain, number), (text, why)) in walk.hits {
                let rule = found.entry((chain.clone(), number, of_answers)).or_insert_with(|| BypassedRule {
                    family: chain.0,
                    table: chain.1,
                    chain: chain.2,
                    number,
                    text,
                    why,
                    traffic: Vec::new(),
                });
                rule.why = rule.why.max(why);
                if rule.traffic.last() != Some(one) {
                    rule.traffic.push(*one);
                }
            }
        }
    }
    found.into_values().collect()
}

fn belongs(family: &str, ipv4: bool) -> bool {
    match family {
        "ip" => ipv4,
        "ip6" => !ipv4,
        _ => true,
    }
}

/// The way of some traffic through one base chain.
struct Walk<'a> {
    rules: &'a Rules,
    packet: Packet,
    hits: BTreeMap<(ChainKey, Option<u64>), (String, Why)>,
    /// Chains seen, with whether surely and whether they let something pass: each is walked at most twice.
    entered: BTreeSet<(ChainKey, bool)>,
}

impl Walk<'_> {
    /// Follows a chain that the traffic meets (`surely`, or maybe). Says whether some of it may come out at the end.
    fn chain(&mut self, key: &ChainKey, surely: bool, depth: usize) -> bool {
        let rules = self.rules;
        let Some(chain) = rules.chains.get(key) else { return true };
        if depth > DEPTH || (depth > 0 && !self.entered.insert((key.clone(), surely))) {
            return true;
        }
        for rule in &chain.rules {
            let fit = rule.conditions.iter().map(|c| c.fit(&self.packet)).min().unwrap_or(Fit::Yes);
            let all = fit == Fit::Yes;
            if fit == Fit::No {
                continue;
            }
            let target = |name: &String| (key.0.clone(), key.1.clone(), name.clone());
            let passes = match &rule.action {
                Action::Nothing => true,
                Action::Drop | Action::Queue => {
                    let why = if all && surely { Why::DropsAll } else { Why::DropsSome };
                    self.hits.insert((key.clone(), Some(rule.number)), (rule.text.clone(), why));
                    false
                }
                Action::Accept => false,
                Action::Return if all => return true,
                Action::Return => true,
                Action::Jump(name) => self.chain(&target(name), all && surely, depth + 1),
                Action::Goto(name) => {
                    let passes = self.chain(&target(name), all && surely, depth + 1);
                    if all {
                        return passes;
                    }
                    true
                }
            };
            if all && !passes {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;

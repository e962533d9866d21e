//! Which packets the host's own rules give a firewall mark, as far as destination, source, protocol and ports say it.
//!
//! Services by mark without matches of their own (`ipvsadm -f`, ldirectord's `virtual=N`) take their packets from the
//! host's MARK rules. The packet path lies in front of netfilter, so it learns the rules and classifies by itself; a rule
//! that asks for anything else is named, never guessed at (docs/adr on marks).

mod iptables;
mod nft;

use evenkeel_model::{Family, Match, Prefix};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    num::NonZeroU32,
};

use super::{ChainKey, DEPTH, RulesError};

/// Alternatives of one rule, and of what leads to it, that are multiplied out.
const ALTERNATIVES: usize = 256;

/// What the rules of one tool give marks to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The matches of each mark, in the order of the rules.
    pub matches: BTreeMap<(NonZeroU32, Family), Vec<Match>>,
    /// Rules about marks that the packet path cannot follow.
    pub unexpressed: Vec<Unexpressed>,
}

/// A rule about marks that the packet path cannot follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unexpressed {
    /// The mark it sets; `None`: it depends.
    pub mark: Option<NonZeroU32>,
    /// Family, table, chain and the rule as its tool writes it, nearly.
    pub rule: String,
    /// What cannot be followed, as the end of a sentence.
    pub why: String,
}

impl fmt::Display for Unexpressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.rule, self.why)
    }
}

impl Marks {
    /// Reads what `nft -j list ruleset` writes. Chains of iptables-nft, which it cannot show whole, are left out.
    pub fn from_nft_json(text: &str) -> Result<Marks, RulesError> {
        nft::read(text).map(|rules| rules.marks())
    }

    /// Reads what `iptables-save` (or `ip6tables-save`, with `ipv4` false) writes.
    pub fn from_iptables_save(text: &str, ipv4: bool) -> Marks {
        iptables::read(text, ipv4).marks()
    }

    /// These and those of another tool.
    pub fn join(&mut self, other: Marks) {
        for (key, matches) in other.matches {
            self.matches.entry(key).or_default().extend(matches);
        }
        self.unexpressed.extend(other.unexpressed);
    }
}

/// Rules in the order packets meet them.
#[derive(Default)]
struct Rules {
    chains: BTreeMap<ChainKey, Vec<Rule>>,
    /// Where packets come in, in the order they do.
    entries: Vec<ChainKey>,
}

struct Rule {
    text: String,
    /// What it asks for, as alternatives; `Err`: what of it cannot be expressed.
    parts: Result<Vec<Part>, String>,
    action: Action,
}

enum Action {
    Set(u32),
    /// Changes the mark in a way that depends on the packet.
    Alters(String),
    Jump(String),
    Goto(String),
    Return,
    /// Accepts or drops.
    Ends,
    Nothing,
}

/// Packets, as far as the packet path tells them apart; `None`: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    family: Option<Family>,
    destination: Option<Prefix>,
    source: Option<Prefix>,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
}

impl Part {
    /// The packets that are in both.
    fn and(self, other: Part) -> Option<Part> {
        Some(Part {
            family: same(self.family, other.family)?,
            destination: narrower(self.destination, other.destination)?,
            source: narrower(self.source, other.source)?,
            protocol: same(self.protocol, other.protocol)?,
            ports: match (self.ports, other.ports) {
                (Some((a, b)), Some((c, d))) => {
                    Some((a.max(c), b.min(d))).filter(|(low, high)| low <= high).map(Some)?
                }
                (one, two) => one.or(two),
            },
        })
    }

    fn holds(self, other: Part) -> bool {
        self.and(other) == Some(other)
    }

    /// `None` while the family is not told.
    fn to_match(self) -> Option<(Family, Match)> {
        let family = self.family?;
        let all = || Prefix::new(family.unspecified(), 0).ok();
        let destination = self.destination.or_else(all)?;
        Some((family, Match { destination, source: self.source, protocol: self.protocol, ports: self.ports }))
    }
}

/// `None`: nothing is both.
fn same<T: PartialEq>(one: Option<T>, two: Option<T>) -> Option<Option<T>> {
    match (one, two) {
        (Some(one), Some(two)) => (one == two).then_some(Some(one)),
        (one, two) => Some(one.or(two)),
    }
}

fn narrower(one: Option<Prefix>, two: Option<Prefix>) -> Option<Option<Prefix>> {
    match (one, two) {
        (Some(one), Some(two)) if one.contains(two.address()) && one.length() <= two.length() => Some(Some(two)),
        (Some(one), Some(two)) if two.contains(one.address()) && two.length() <= one.length() => Some(Some(one)),
        (Some(_), Some(_)) => None,
        (one, two) => Some(one.or(two)),
    }
}

/// Every pair of alternatives that can both hold; `None`: too many.
fn product(one: &[Part], two: &[Part]) -> Option<Vec<Part>> {
    if one.len().saturating_mul(two.len()) > ALTERNATIVES {
        return None;
    }
    Some(one.iter().flat_map(|one| two.iter().filter_map(|two| one.and(*two))).collect())
}

/// A mark that is set, in the order it is.
struct Setting {
    mark: u32,
    part: Part,
    rule: String,
}

/// What is known while the rules are walked.
#[derive(Default)]
struct Walk {
    settings: Vec<Setting>,
    unexpressed: Vec<Unexpressed>,
    /// Packets that have left the entry chain by a rule before; `Err`: some, and which rule says so.
    left: Vec<Result<Part, String>>,
}

impl Rules {
    fn marks(&self) -> Marks {
        let mut walk = Walk::default();
        for entry in &self.entries {
            walk.left.clear();
            self.chain(entry, &Ok(vec![Part::default()]), 0, &mut walk);
        }
        walk.finish()
    }

    /// Walks a chain that `given` packets come to.
    fn chain(&self, key: &ChainKey, given: &Result<Vec<Part>, String>, depth: usize, walk: &mut Walk) {
        if depth > DEPTH {
            return;
        }
        // Places in `left` of packets that go on where this chain was called.
        let mut back = Vec::new();
        for rule in self.chains.get(key).into_iter().flatten() {
            let text = format!("{} {} {}: {}", key.0, key.1, key.2, rule.text);
            let parts = match (given, &rule.parts) {
                (Err(why), _) | (Ok(_), Err(why)) => Err(why.clone()),
                (Ok(given), Ok(asked)) => product(given, asked).ok_or_else(|| "has too many alternatives".to_owned()),
            };
            if parts.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            let target = |name: &String| (key.0.clone(), key.1.clone(), name.clone());
            match &rule.action {
                Action::Nothing => {}
                Action::Set(mark) => walk.set(*mark, parts, text),
                Action::Alters(why) => walk.refuse(None, text, why.clone()),
                Action::Jump(name) => self.chain(&target(name), &parts, depth + 1, walk),
                Action::Goto(name) => {
                    self.chain(&target(name), &parts, depth + 1, walk);
                    back.extend(walk.leave(&parts, &text));
                }
                Action::Return => back.extend(walk.leave(&parts, &text)),
                Action::Ends => drop(walk.leave(&parts, &text)),
            }
        }
        for place in back.into_iter().rev() {
            drop(walk.left.remove(place));
        }
    }
}

impl Walk {
    fn refuse(&mut self, mark: Option<u32>, rule: String, why: String) {
        self.unexpressed.push(Unexpressed { mark: mark.and_then(NonZeroU32::new), rule, why });
    }

    /// Notes packets that go no further; their places in `left`.
    fn leave(&mut self, parts: &Result<Vec<Part>, String>, text: &str) -> std::ops::Range<usize> {
        let first = self.left.len();
        match parts {
            Ok(parts) => self.left.extend(parts.iter().map(|part| Ok(*part))),
            Err(_) => self.left.push(Err(text.to_owned())),
        }
        first..self.left.len()
    }

    fn set(&mut self, mark: u32, parts: Result<Vec<Part>, String>, rule: String) {
        let parts = match parts {
            Ok(parts) => parts,
            Err(why) => return self.refuse(Some(mark), rule, why),
        };
        // Families are told apart, so that what overlaps in one of them does not spoil the other.
        let of = |family| move |part: Part| part.and(Part { family: Some(family), ..Part::default() });
        let parts = [Family::V4, Family::V6]
            .into_iter()
            .flat_map(|f| parts.iter().copied().filter_map(of(f)).collect::<Vec<_>>());
        for part in parts {
            let mut never = false;
            let mut hindered = None;
            for left in &self.left {
                match left {
                    Ok(left) if left.holds(part) => never = true,
                    Ok(left) if left.and(part).is_some() => {
                        hindered = Some("some of its packets never come to it".to_owned())
                    }
                    Ok(_) => {}
                    Err(text) => hindered = Some(format!("may not be reached for `{text}`")),
                }
            }
            match hindered {
                _ if never => {}
                Some(why) => self.refuse(Some(mark), rule.clone(), why),
                None => self.settings.push(Setting { mark, part, rule: rule.clone() }),
            }
        }
    }

    /// The last mark that is set counts: where two meet, the earlier one must be wholly covered.
    fn finish(self) -> Marks {
        let mut marks = Marks { unexpressed: self.unexpressed, ..Marks::default() };
        let mut named = BTreeSet::new();
        for (at, setting) in self.settings.iter().enumerate() {
            let later = || self.settings.iter().skip(at + 1).filter(|later| later.mark != setting.mark);
            if later().any(|later| later.part.holds(setting.part)) {
                continue;
            }
            let mark = NonZeroU32::new(setting.mark);
            if let Some(other) = later().find(|later| later.part.and(setting.part).is_some()) {
                if named.insert((setting.rule.clone(), other.rule.clone())) {
                    let why = format!("is overruled for some of its packets by `{}`", other.rule);
                    marks.unexpressed.push(Unexpressed { mark, rule: setting.rule.clone(), why });
                }
                continue;
            }
            let Some(mark) = mark else { continue };
            let Some((family, one)) = setting.part.to_match() else { continue };
            let list = marks.matches.entry((mark, family)).or_default();
            if !list.contains(&one) {
                list.push(one);
            }
        }
        marks
    }
}

/// The prefix of an address with a length, both as text.
fn prefix(text: &str) -> Option<Prefix> {
    if let Ok(prefix) = text.parse() {
        return Some(prefix);
    }
    // A dotted mask, if its ones come first.
    let (address, mask) = text.split_once('/')?;
    let (address, mask): (IpAddr, std::net::Ipv4Addr) = (address.parse().ok()?, mask.parse().ok()?);
    let bits = mask.to_bits();
    let length = u8::try_from(bits.leading_ones()).ok()?;
    (bits.count_ones() == u32::from(length)).then(|| Prefix::new(address, length).ok()).flatten()
}

#[cfg(test)]
mod tests;

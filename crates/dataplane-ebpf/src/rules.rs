//! Which matches are to be tried for which destination (PP-39).
//!
//! The program finds the longest prefix that any match names and tries what lies there. So each prefix has the matches of
//! all prefixes that hold it, beside its own.

use crate::state::words;
use evenkeel_abi::mark::{self, MATCHES};
use evenkeel_model::{Match, Prefix};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// A match of a service that packets find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    /// Lower ones come first, …
    mark: u32,
    /// … then those that come first in their service's list.
    position: u32,
    service: u32,
    what: Match,
}

/// All rules, by destination.
#[derive(Debug, Default)]
pub(crate) struct Rules(BTreeMap<Prefix, Vec<Rule>>);

impl Rules {
    /// Puts a service's matches in the place of those it has.
    pub(crate) fn replace(&mut self, service: u32, mark: u32, old: &[Match], new: &[Match]) {
        for what in old {
            if let Some(rules) = self.0.get_mut(&what.destination) {
                rules.retain(|rule| rule.service != service);
                if rules.is_empty() {
                    self.0.remove(&what.destination);
                }
            }
        }
        for (position, what) in (0u32..).zip(new) {
            self.0.entry(what.destination).or_default().push(Rule { mark, position, service, what: *what });
        }
    }

    /// The prefixes with matches of their own that lie in one of these destinations.
    pub(crate) fn within(&self, matches: &[Match]) -> BTreeSet<Prefix> {
        let inside = |outer: Prefix| self.0.range(outer..).take_while(move |(p, _)| outer.contains(p.address()));
        matches.iter().flat_map(|what| inside(what.destination)).map(|(prefix, _)| *prefix).collect()
    }

    /// The cells of a prefix; none if it has no match of its own. `Err`: there are more matches than are tried.
    pub(crate) fn cells(&self, prefix: Prefix) -> Result<Vec<u64>, String> {
        if !self.0.contains_key(&prefix) {
            return Ok(Vec::new());
        }
        let outer = (0..=prefix.length()).filter_map(|length| Prefix::new(prefix.address(), length).ok());
        let mut rules: Vec<Rule> = outer.filter_map(|outer| self.0.get(&outer)).flatten().copied().collect();
        if rules.len() > MATCHES as usize {
            return Err(format!("{} matches hold {prefix}, at most {MATCHES} can", rules.len()));
        }
        rules.sort_unstable();
        Ok(rules.iter().flat_map(|rule| pack(rule).pack()).collect())
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pack(rule: &Rule) -> mark::Match {
    let Match { destination, source, protocol, ports } = rule.what;
    mark::Match {
        service: rule.service,
        protocol: protocol.unwrap_or(0),
        prefix: source.map_or(0, Prefix::length),
        destination: destination.length(),
        names: [
            (protocol.is_some(), mark::NAMES_PROTOCOL),
            (ports.is_some(), mark::NAMES_PORTS),
            (source.is_some(), mark::NAMES_SOURCE),
        ]
        .into_iter()
        .filter(|(named, _)| *named)
        .fold(0, |names, (_, bit)| names | bit),
        ports: ports.unwrap_or((0, u16::MAX)),
        position: rule.position,
        source: source.map_or([0; 4], |source| words(source.address())),
    }
}

/// A match as it was packed for the prefix itself.
pub(crate) fn unpack(destination: Prefix, packed: &mark::Match) -> Match {
    let source = match destination.address() {
        IpAddr::V4(_) => IpAddr::from(packed.source[0].to_ne_bytes()),
        IpAddr::V6(_) => {
            let mut octets = [0; 16];
            octets
                .chunks_exact_mut(4)
                .zip(packed.source)
                .for_each(|(to, word)| to.copy_from_slice(&word.to_ne_bytes()));
            IpAddr::from(octets)
        }
    };
    let names = |bit: u8| packed.names & bit != 0;
    Match {
        destination,
        source: Prefix::new(source, packed.prefix).ok().filter(|_| names(mark::NAMES_SOURCE)),
        protocol: names(mark::NAMES_PROTOCOL).then_some(packed.protocol),
        ports: names(mark::NAMES_PORTS).then_some(packed.ports),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_abi::mark::MATCH_CELLS;

    fn matches(texts: &[&str]) -> Vec<Match> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    /// Services of a prefix's matches, in their order.
    fn services(rules: &Rules, text: &str) -> Vec<u32> {
        let cells = rules.cells(prefix(text)).unwrap();
        cells.chunks_exact(MATCH_CELLS as usize).map(|cell| cell[0] as u32).collect()
    }

    #[test]
    fn a_longer_prefix_has_the_matches_of_all_that_hold_it() {
        let mut rules = Rules::default();
        rules.replace(7, 3, &[], &matches(&["10.0.0.0/8 tcp 80", "10.1.0.0/16"]));
        rules.replace(8, 2, &[], &matches(&["10.1.2.3 udp", "2001:db8::1"]));
        assert_eq!(services(&rules, "10.0.0.0/8"), [7]);
        assert_eq!(services(&rules, "10.1.0.0/16"), [7, 7]);
        assert_eq!(services(&rules, "10.1.2.3/32"), [8, 7, 7], "the lower mark comes first");
        assert_eq!(services(&rules, "10.2.0.0/16"), [0u32; 0], "no match names it");
        assert_eq!(services(&rules, "2001:db8::1/128"), [8]);
    }

    #[test]
    fn what_lies_within_a_destination_is_written_anew_with_it() {
        let mut rules = Rules::default();
        let all = matches(&["0.0.0.0/0 tcp", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.1", "11.0.0.0/8"]);
        rules.replace(1, 1, &[], &all);
        let within: Vec<String> = rules.within(&matches(&["10.0.0.0/16"])).iter().map(Prefix::to_string).collect();
        assert_eq!(within, ["10.0.0.0/24", "10.0.0.1/32"]);
        assert_eq!(rules.within(&all).len(), 5);
    }

    #[test]
    fn a_service_s_matches_take_the_place_of_those_it_had() {
        let mut rules = Rules::default();
        let (old, new) = (matches(&["10.0.0.1", "10.0.0.1 tcp 80"]), matches(&["10.0.0.2"]));
        rules.replace(1, 1, &[], &old);
        rules.replace(2, 2, &[], &matches(&["10.0.0.1"]));
        rules.replace(1, 1, &old, &new);
        assert_eq!((services(&rules, "10.0.0.1/32"), services(&rules, "10.0.0.2/32")), (vec![2], vec![1]));
        rules.replace(1, 1, &new, &[]);
        rules.replace(2, 2, &matches(&["10.0.0.1"]), &[]);
        assert!(rules.is_empty());
    }

    #[test]
    fn more_matches_than_are_tried_are_refused() {
        let mut rules = Rules::default();
        let many: Vec<Match> = (0..64).map(|port| format!("10.0.0.1 tcp {port}").parse().unwrap()).collect();
        rules.replace(1, 1, &[], &many);
        assert!(rules.cells(prefix("10.0.0.1/32")).is_ok());
        rules.replace(2, 2, &[], &matches(&["10.0.0.0/8"]));
        let refused = rules.cells(prefix("10.0.0.1/32")).unwrap_err();
        assert_eq!(refused, "65 matches hold 10.0.0.1/32, at most 64 can");
    }

    #[test]
    fn matches_are_read_as_they_were_packed() {
        for text in [
            "192.0.2.1/32 tcp 80-81 from 198.51.100.0/24",
            "2001:db8::/32 protocol 50 from 2001:db8:1::/48",
            "0.0.0.0/0",
            "10.0.0.0/8 tcp 0-65535 from 0.0.0.0/0",
        ] {
            let what: Match = text.parse().unwrap();
            let packed = pack(&Rule { mark: 1, position: 9, service: 5, what });
            assert_eq!(mark::Match::unpack(packed.pack()), packed);
            assert_eq!(unpack(what.destination, &packed), what);
        }
    }
}

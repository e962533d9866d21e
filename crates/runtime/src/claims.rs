//! Who else has a virtual address that is here: a host that answers ARP or neighbour discovery for it takes its traffic.
//!
//! Whoever becomes master asks the link a while later, and again and again, for its own addresses; nobody may answer.

use evenkeel_machine::Instant;
use evenkeel_netlink::MacAddress;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// From an address being here until others are asked for it: by then a former master has let it go.
const FIRST: Duration = Duration::from_secs(3);
/// Between two questions.
const AGAIN: Duration = Duration::from_secs(60);
/// How long a claim waits for news that the address is not here any more.
const PATIENCE: Duration = Duration::from_millis(500);
/// Claims that wait to be looked at.
const MOST: usize = 256;

/// The addresses that are here, and who claimed one of them lately.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: BTreeMap<IpAddr, Held>,
    heard: BTreeMap<(IpAddr, MacAddress), Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    interface: String,
    since: Instant,
    ask_at: Instant,
}

impl Claims {
    /// These addresses are here, each on its interface.
    pub(crate) fn hold(&mut self, addresses: BTreeSet<(IpAddr, String)>, now: Instant) {
        let before = std::mem::take(&mut self.held);
        for (address, interface) in addresses {
            let known = before.get(&address).filter(|held| held.interface == interface);
            let held = known.cloned().unwrap_or(Held { interface, since: now, ask_at: now + FIRST });
            self.held.insert(address, held);
        }
    }

    /// Who is to be asked for now: addresses and their interfaces.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(IpAddr, String)> {
        let due = self.held.iter_mut().filter(|(_, held)| held.ask_at <= now);
        due.map(|(address, held)| {
            held.ask_at = now + AGAIN;
            (*address, held.interface.clone())
        })
        .collect()
    }

    /// Whether `address` is here: a word about it is worth a look.
    pub(crate) fn concerns(&self, address: IpAddr) -> bool {
        self.held.contains_key(&address)
    }

    /// Somebody has said that `address` is at `mac`, which is none of this host's.
    pub(crate) fn hear(&mut self, address: IpAddr, mac: MacAddress, now: Instant) {
        let since = self.held.get(&address).map(|held| held.since);
        // The one before may still have said so when the address came here.
        if since.is_some_and(|since| now - since >= FIRST) && self.heard.len() < MOST {
            self.heard.entry((address, mac)).or_insert(now);
        }
    }

    /// Claims that stood while the address was here all the time.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<(IpAddr, MacAddress)> {
        let mut stood = Vec::new();
        let held = &self.held;
        self.heard.retain(|(address, mac), heard| {
            let here = held.get(address).is_some_and(|held| held.since <= *heard);
            let ripe = now - *heard >= PATIENCE;
            if here && ripe {
                stood.push((*address, *mac));
            }
            here && !ripe
        });
        stood
    }
}

/// What is said of an address of `owner` here that a host with this MAC address claims.
pub(crate) fn words(owner: &str, address: IpAddr, mac: MacAddress) -> String {
    format!(
        "{owner}: {address} is also at {mac}, which is not this host.  Next: a real server must not answer for it \
         (`evenkeel realserver up {address}`); any other host has to give it up"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

    fn at(millis: u64) -> Instant {
        Instant::at(Duration::from_millis(millis))
    }

    fn here(claims: &mut Claims, millis: u64) {
        claims.hold([(VIP, "eth0".to_owned())].into(), at(millis));
    }

    #[test]
    fn the_link_is_asked_after_a_while_and_then_every_minute() {
        let mut claims = Claims::default();
        here(&mut claims, 0);
        let asked: Vec<u64> = (0..130).filter(|second| !claims.due(at(second * 1000)).is_empty()).collect();
        assert_eq!(asked, [3, 63, 123]);
    }

    #[test]
    fn a_claim_while_the_address_stays_is_told_once_it_is_heard() {
        let mut claims = Claims::default();
        here(&mut claims, 0);
        claims.hear(VIP, OTHER, at(5000));
        assert_eq!(claims.settle(at(5400)), []);
        here(&mut claims, 5450);
        assert_eq!(claims.settle(at(5500)), [(VIP, OTHER)]);
        assert_eq!(claims.settle(at(6500)), []);
    }

    #[test]
    fn a_successor_and_a_predecessor_are_none() {
        let mut claims = Claims::default();
        here(&mut claims, 0);
        claims.hear(VIP, OTHER, at(100));
        assert_eq!(claims.settle(at(5000)), [], "the one before spoke last");
        claims.hear(VIP, OTHER, at(9000));
        claims.hold(BTreeSet::new(), at(9010));
        assert_eq!(claims.settle(at(9900)), [], "the next one has it");
        claims.hear(VIP, OTHER, at(9950));
        assert_eq!(claims.settle(at(19_000)), []);
    }
}

//! What is known of the ways to the real servers, in the words of the data plane, of events and of status.

use super::ground::Ground;
use evenkeel_api::Event;
use evenkeel_dataplane::NextHop;
use evenkeel_netlink::{
    Route,
    nexthop::{Outcome, Why},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// A way that is new or another one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hop {
    /// The real server.
    pub real_server: IpAddr,
    /// For the data plane.
    pub next: NextHop,
    /// For people; none where nothing was lost or found again.
    pub events: Vec<Event>,
}

/// All ways.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    routes: BTreeMap<IpAddr, Option<Route>>,
    outcomes: BTreeMap<IpAddr, Outcome>,
    /// Told to be lost.
    lost: BTreeSet<IpAddr>,
    /// What the data plane was told.
    told: BTreeMap<IpAddr, NextHop>,
    /// What may have changed since, and what is to be said of it.
    new: BTreeMap<IpAddr, Vec<Event>>,
}

impl Hops {
    /// The route to a real server, as it was asked for last.
    pub(super) fn route(&mut self, real_server: IpAddr, route: Option<Route>) {
        if self.routes.insert(real_server, route) != Some(route) {
            self.new.entry(real_server).or_default();
        }
    }

    /// Whether the kernel sends to a real server from one of these addresses.
    pub(super) fn come_from(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        self.routes.values().flatten().any(|route| route.source.is_some_and(|source| addresses.contains(&source)))
    }

    /// Every way may be another one now.
    pub(super) fn recheck(&mut self) {
        for real_server in self.outcomes.keys() {
            self.new.entry(*real_server).or_default();
        }
    }

    /// The same.
    pub(super) fn way(&self, real_server: IpAddr) -> Option<Route> {
        self.routes.get(&real_server).copied().flatten()
    }

    pub(super) fn forget(&mut self, real_server: IpAddr) {
        self.routes.remove(&real_server);
        self.outcomes.remove(&real_server);
        self.lost.remove(&real_server);
        self.told.remove(&real_server);
        self.new.remove(&real_server);
    }

    pub(super) fn outcome(&mut self, real_server: IpAddr, outcome: Outcome, ground: &Ground) {
        let before = self.outcomes.insert(real_server, outcome);
        let event = self.event(real_server, before, outcome, ground);
        self.new.entry(real_server).or_default().extend(event);
    }

    /// What is new since the last call.
    pub(super) fn settle(&mut self, ground: &Ground) -> Vec<Hop> {
        let mut hops = Vec::new();
        for (real_server, events) in std::mem::take(&mut self.new) {
            let Some(outcome) = self.outcomes.get(&real_server) else { continue };
            let next = self.next_hop(real_server, *outcome, ground);
            let changed = self.told.insert(real_server, next) != Some(next);
            if changed || !events.is_empty() {
                hops.push(Hop { real_server, next, events });
            }
        }
        hops
    }

    /// Not told of yet, or still being asked for.
    pub(super) fn is_open(&self, real_server: IpAddr) -> bool {
        matches!(self.outcomes.get(&real_server), None | Some(Outcome::Unresolved(Why::Resolving)))
    }

    pub(super) fn texts(&self, ground: &Ground) -> BTreeMap<IpAddr, String> {
        self.outcomes.iter().map(|(ip, outcome)| (*ip, text(outcome, ground))).collect()
    }

    /// Those no way is known to, and that not just for the moment it takes to ask.
    pub(super) fn lost(&self) -> BTreeSet<IpAddr> {
        self.lost.clone()
    }

    fn next_hop(&self, real_server: IpAddr, outcome: Outcome, ground: &Ground) -> NextHop {
        let route = self.way(real_server);
        match outcome {
            Outcome::Resolved(hop) => {
                // What was resolved counts, should the route be another one by now.
                let known = route.filter(|route| (route.ifindex, route.gateway) == (hop.ifindex, hop.gateway));
                let bare =
                    Route { ifindex: hop.ifindex, gateway: hop.gateway, source: None, mtu: None, is_local: false };
                NextHop::Resolved {
                    route: ground.way(real_server, &known.unwrap_or(bare), true),
                    source: hop.source_mac.0,
                    destination: hop.destination_mac.0,
                }
            }
            Outcome::Local | Outcome::Unresolved(Why::NoRoute | Why::NoEthernet) => NextHop::Unreachable,
            Outcome::Unresolved(Why::LinkDown | Why::Resolving | Why::NoAnswer) => match route {
                Some(route) => NextHop::Unresolved { route: ground.way(real_server, &route, false) },
                None => NextHop::Unreachable,
            },
        }
    }

    /// First finding a way is no news; losing one, finding it again and another MAC address are.
    fn event(&mut self, real_server: IpAddr, before: Option<Outcome>, now: Outcome, ground: &Ground) -> Option<Event> {
        let address = real_server.to_string();
        match now {
            Outcome::Resolved(hop) => {
                let was_lost = self.lost.remove(&real_server);
                let moved =
                    matches!(before, Some(Outcome::Resolved(old)) if old.destination_mac != hop.destination_mac);
                let mac = hop.destination_mac.to_string();
                (was_lost || moved).then(|| Event::NextHopFound {
                    address,
                    mac,
                    interface: interface(hop.ifindex, ground),
                })
            }
            Outcome::Unresolved(Why::Resolving) => None,
            Outcome::Unresolved(why @ (Why::NoRoute | Why::LinkDown | Why::NoEthernet | Why::NoAnswer)) => {
                self.lost.insert(real_server);
                Some(Event::NextHopLost { address, why: why.to_string() })
            }
            Outcome::Local => {
                self.lost.insert(real_server);
                let why = "it has become an address of this host; a reload takes that in".to_owned();
                Some(Event::NextHopLost { address, why })
            }
        }
    }
}

fn text(outcome: &Outcome, ground: &Ground) -> String {
    match outcome {
        Outcome::Resolved(hop) => {
            let via = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("{}{via} on {}", hop.destination_mac, interface(hop.ifindex, ground))
        }
        Outcome::Local => "this host".to_owned(),
        Outcome::Unresolved(why) => why.to_string(),
    }
}

fn interface(index: u32, ground: &Ground) -> String {
    ground.name(index).map_or_else(|| format!("interface {index}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_netlink::{MacAddress, nexthop::NextHop as Resolved};

    fn ip() -> IpAddr {
        "192.0.2.2".parse().unwrap()
    }

    fn resolved(last: u8) -> Outcome {
        Outcome::Resolved(Resolved {
            ifindex: 3,
            source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
            destination_mac: MacAddress([2, 0, 0, 0, 0, last]),
            gateway: None,
        })
    }

    fn events(hops: &mut Hops) -> Vec<Event> {
        hops.settle(&Ground::default()).into_iter().flat_map(|hop| hop.events).collect()
    }

    #[test]
    fn another_mac_a_loss_and_a_return_are_told_and_the_first_finding_is_not() {
        let (mut hops, ground) = (Hops::default(), Ground::default());
        assert!(hops.is_open(ip()));
        hops.outcome(ip(), Outcome::Unresolved(Why::Resolving), &ground);
        assert!(hops.is_open(ip()));
        hops.outcome(ip(), resolved(9), &ground);
        assert!(!hops.is_open(ip()));
        assert_eq!(events(&mut hops), []);
        hops.outcome(ip(), resolved(8), &ground);
        hops.outcome(ip(), Outcome::Unresolved(Why::NoRoute), &ground);
        hops.outcome(ip(), resolved(8), &ground);
        let told = events(&mut hops);
        assert!(matches!(&told[0], Event::NextHopFound { mac, .. } if mac == "02:00:00:00:00:08"), "{told:?}");
        assert!(matches!(&told[1], Event::NextHopLost { .. }));
        assert!(matches!(&told[2], Event::NextHopFound { .. }));
        assert_eq!(hops.texts(&ground)[&ip()], "02:00:00:00:00:08 on interface 3");
        assert!(hops.lost().is_empty());
        hops.outcome(ip(), Outcome::Unresolved(Why::NoAnswer), &ground);
        assert_eq!(hops.lost(), BTreeSet::from([ip()]));
        assert_eq!(hops.texts(&ground)[&ip()], "nobody answers for its address");
    }

    #[test]
    fn while_it_is_resolved_the_kernel_is_told_where_to_ask() {
        let (mut hops, ground) = (Hops::default(), Ground::default());
        let gateway = Some("192.0.2.254".parse().unwrap());
        let route = Route { ifindex: 7, gateway, source: None, mtu: Some(1400), is_local: false };
        hops.route(ip(), Some(route));
        hops.outcome(ip(), Outcome::Unresolved(Why::Resolving), &ground);
        let next =
            |hops: &mut Hops| hops.settle(&Ground::default()).into_iter().map(|hop| hop.next).collect::<Vec<_>>();
        let way = evenkeel_dataplane::Route {
            interface: 7,
            gateway,
            mtu: 1400,
            own_address: None,
            vlan: None,
            by_stack: false,
        };
        assert_eq!(next(&mut hops), [NextHop::Unresolved { route: way }]);
        hops.recheck();
        assert_eq!(next(&mut hops), [], "the same as before is not told again");
        hops.route(ip(), Some(Route { mtu: Some(1300), ..route }));
        let narrow = evenkeel_dataplane::Route { mtu: 1300, ..way };
        assert_eq!(next(&mut hops), [NextHop::Unresolved { route: narrow }]);
        hops.outcome(ip(), Outcome::Unresolved(Why::NoRoute), &ground);
        assert_eq!(next(&mut hops), [NextHop::Unreachable]);
    }
}

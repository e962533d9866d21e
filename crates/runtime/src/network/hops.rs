//! What is known of the ways to the real servers, in the words of the data plane, of events and of status.

use evenkeel_api::Event;
use evenkeel_dataplane::NextHop;
use evenkeel_netlink::{
    Event as NetworkEvent, Link, Route,
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
    pub event: Option<Event>,
}

/// All ways.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    names: BTreeMap<u32, String>,
    routes: BTreeMap<IpAddr, Option<Route>>,
    outcomes: BTreeMap<IpAddr, Outcome>,
    /// Told to be lost.
    lost: BTreeSet<IpAddr>,
    new: Vec<Hop>,
}

impl Hops {
    /// Learns the interfaces' names.
    pub(super) fn name(&mut self, links: &[Link]) {
        self.names = links.iter().map(|link| (link.index, link.name.clone())).collect();
    }

    /// Learns from what happens on the network.
    pub(super) fn note(&mut self, event: &NetworkEvent) {
        match event {
            NetworkEvent::Link(link) => drop(self.names.insert(link.index, link.name.clone())),
            NetworkEvent::LinkGone(index) => drop(self.names.remove(index)),
            NetworkEvent::Address(_)
            | NetworkEvent::AddressGone(_)
            | NetworkEvent::Route(_)
            | NetworkEvent::RouteGone(_)
            | NetworkEvent::Neighbour(_)
            | NetworkEvent::NeighbourGone(_)
            | NetworkEvent::Overrun => {}
        }
    }

    /// The route to a real server, as it was asked for last.
    pub(super) fn route(&mut self, real_server: IpAddr, route: Option<Route>) {
        self.routes.insert(real_server, route);
    }

    /// The same.
    pub(super) fn way(&self, real_server: IpAddr) -> Option<Route> {
        self.routes.get(&real_server).copied().flatten()
    }

    pub(super) fn forget(&mut self, real_server: IpAddr) {
        self.routes.remove(&real_server);
        self.outcomes.remove(&real_server);
        self.lost.remove(&real_server);
    }

    pub(super) fn outcome(&mut self, real_server: IpAddr, outcome: Outcome) {
        let before = self.outcomes.insert(real_server, outcome);
        let event = self.event(real_server, before, outcome);
        self.new.push(Hop { real_server, next: self.next_hop(real_server, outcome), event });
    }

    pub(super) fn settle(&mut self) -> Vec<Hop> {
        std::mem::take(&mut self.new)
    }

    /// Not told of yet, or still being asked for.
    pub(super) fn is_open(&self, real_server: IpAddr) -> bool {
        matches!(self.outcomes.get(&real_server), None | Some(Outcome::Unresolved(Why::Resolving)))
    }

    pub(super) fn texts(&self) -> BTreeMap<IpAddr, String> {
        self.outcomes.iter().map(|(ip, outcome)| (*ip, self.text(outcome))).collect()
    }

    /// Those no way is known to, and that not just for the moment it takes to ask.
    pub(super) fn lost(&self) -> BTreeSet<IpAddr> {
        self.lost.clone()
    }

    fn text(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Resolved(hop) => {
                let via = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
                format!("{}{via} on {}", hop.destination_mac, self.interface(hop.ifindex))
            }
            Outcome::Local => "this host".to_owned(),
            Outcome::Unresolved(why) => why.to_string(),
        }
    }

    fn interface(&self, index: u32) -> String {
        self.names.get(&index).cloned().unwrap_or_else(|| format!("interface {index}"))
    }

    fn next_hop(&self, real_server: IpAddr, outcome: Outcome) -> NextHop {
        match outcome {
            Outcome::Resolved(hop) => NextHop::Resolved {
                route: way_by(hop.ifindex, hop.gateway),
                source: hop.source_mac.0,
                destination: hop.destination_mac.0,
            },
            Outcome::Local | Outcome::Unresolved(Why::NoRoute | Why::NoEthernet) => NextHop::Unreachable,
            Outcome::Unresolved(Why::LinkDown | Why::Resolving | Why::NoAnswer) => match self.way(real_server) {
                Some(route) => NextHop::Unresolved { route: way_by(route.ifindex, route.gateway) },
                None => NextHop::Unreachable,
            },
        }
    }

    /// First finding a way is no news; losing one, finding it again and another MAC address are.
    fn event(&mut self, real_server: IpAddr, before: Option<Outcome>, now: Outcome) -> Option<Event> {
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
                    interface: self.interface(hop.ifindex),
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

/// As much as is known of the way; the largest packet is that of Ethernet.
fn way_by(interface: u32, gateway: Option<IpAddr>) -> evenkeel_dataplane::Route {
    evenkeel_dataplane::Route { interface, gateway, mtu: 1500, own_address: None, vlan: None }
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

    fn events(hops: &mut Hops) -> Vec<Option<Event>> {
        hops.settle().into_iter().map(|hop| hop.event).collect()
    }

    #[test]
    fn another_mac_a_loss_and_a_return_are_told_and_the_first_finding_is_not() {
        let mut hops = Hops::default();
        assert!(hops.is_open(ip()));
        hops.outcome(ip(), Outcome::Unresolved(Why::Resolving));
        assert!(hops.is_open(ip()));
        hops.outcome(ip(), resolved(9));
        assert!(!hops.is_open(ip()));
        assert_eq!(events(&mut hops), [None, None]);
        hops.outcome(ip(), resolved(8));
        hops.outcome(ip(), Outcome::Unresolved(Why::NoRoute));
        hops.outcome(ip(), resolved(8));
        let told = events(&mut hops);
        assert!(matches!(&told[0], Some(Event::NextHopFound { mac, .. }) if mac == "02:00:00:00:00:08"), "{told:?}");
        assert!(matches!(&told[1], Some(Event::NextHopLost { .. })));
        assert!(matches!(&told[2], Some(Event::NextHopFound { .. })));
        assert_eq!(hops.texts()[&ip()], "02:00:00:00:00:08 on interface 3");
        assert!(hops.lost().is_empty());
        hops.outcome(ip(), Outcome::Unresolved(Why::NoAnswer));
        assert_eq!(hops.lost(), BTreeSet::from([ip()]));
        assert_eq!(hops.texts()[&ip()], "nobody answers for its address");
    }

    #[test]
    fn while_it_is_resolved_the_kernel_is_told_where_to_ask() {
        let mut hops = Hops::default();
        let gateway = Some("192.0.2.254".parse().unwrap());
        hops.route(ip(), Some(Route { ifindex: 7, gateway, source: None, is_local: false }));
        hops.outcome(ip(), Outcome::Unresolved(Why::Resolving));
        hops.outcome(ip(), Outcome::Unresolved(Why::NoRoute));
        let told: Vec<NextHop> = hops.settle().into_iter().map(|hop| hop.next).collect();
        assert_eq!(told, [NextHop::Unresolved { route: way_by(7, gateway) }, NextHop::Unreachable]);
    }
}

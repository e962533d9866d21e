//! The gateways that answers of translated real servers may leave by, kept in the kernel's neighbour table: at an XDP door a
//! packet cannot wait until its next hop is resolved (PP-43).
//!
//! The kernel is asked to use each of them every so often, which is nothing while it knows one for sure, and makes it look
//! again once it does not.

use evenkeel_machine::Instant;
use evenkeel_netlink::{Event, RouteEntry, RouteKind};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// How often they are used.
const INTERVAL: Duration = Duration::from_secs(2);
/// Soonest after the last time, when there is a reason.
const SPACING: Duration = Duration::from_millis(100);
/// No more than these, of default routes first: the kernel's table has room for 1024 neighbours by default.
const MOST: usize = 256;

/// By which interface, and the address.
type Gateway = (u32, IpAddr);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    /// Whether there are answers, of IPv4 and of IPv6.
    families: [bool; 2],
    /// The routes have to be read.
    unread: bool,
    known: BTreeSet<Gateway>,
    /// When they are used next; `None`: none is wanted.
    at: Option<Instant>,
    last: Option<Instant>,
}

impl Gateways {
    /// Whether there are answers, of IPv4 and of IPv6.
    pub(super) fn want(&mut self, now: Instant, families: [bool; 2]) {
        if std::mem::replace(&mut self.families, families) == families {
            return;
        }
        self.unread = true;
        self.at = families.contains(&true).then_some(now);
    }

    /// When [`Gateways::due`] next has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Whether the time has come and the routes must be read before.
    pub(super) fn reads(&self, now: Instant) -> bool {
        self.unread && self.at.is_some_and(|at| at <= now)
    }

    /// All the routes.
    pub(super) fn routes(&mut self, routes: &[RouteEntry]) {
        self.unread = false;
        self.known.clear();
        let is_default = |route: &&RouteEntry| route.destination.length() == 0;
        routes.iter().filter(is_default).for_each(|route| self.add(route));
        routes.iter().filter(|route| !is_default(route)).for_each(|route| self.add(route));
    }

    /// Learns from what happens on the network. Of a route that is not a default one and goes its gateway is kept: of a
    /// million of them come and go all day, and to read them all takes longer than to use one gateway too many.
    pub(super) fn note(&mut self, now: Instant, event: &Event) {
        let soon = match event {
            Event::Route(route) if route.destination.length() > 0 => {
                let before = self.known.len();
                self.add(route);
                self.known.len() > before
            }
            Event::Route(route) | Event::RouteGone(route) if route.destination.length() == 0 => {
                self.unread = true;
                true
            }
            Event::Overrun => {
                self.unread = true;
                true
            }
            Event::NeighbourGone(gone) => self.known.contains(&(gone.ifindex, gone.address)),
            Event::Link(link) => link.running && self.known.iter().any(|(ifindex, _)| *ifindex == link.index),
            Event::LinkGone(index) => {
                self.known.retain(|(ifindex, _)| ifindex != index);
                false
            }
            Event::Route(_)
            | Event::RouteGone(_)
            | Event::Rule(_)
            | Event::RuleGone(_)
            | Event::Neighbour(_)
            | Event::Address(_)
            | Event::AddressGone(_) => false,
        };
        if soon && let Some(at) = self.at {
            let soonest = self.last.map_or(now, |last| (last + SPACING).max(now));
            self.at = Some(at.min(soonest));
        }
    }

    /// Those to be used now.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<Gateway> {
        if self.at.is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        self.last = Some(now);
        self.at = Some(now + INTERVAL);
        self.known.clone()
    }

    fn add(&mut self, route: &RouteEntry) {
        let [ipv4, ipv6] = self.families;
        let wanted = if route.destination.address().is_ipv4() { ipv4 } else { ipv6 };
        if !wanted || route.kind != RouteKind::Unicast {
            return;
        }
        let first = route.ifindex.zip(route.gateway);
        for gateway in first.into_iter().chain(route.more_gateways.iter().copied()) {
            if self.known.len() < MOST {
                self.known.insert(gateway);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_netlink::Neighbour;
    use evenkeel_netlink::NeighbourState;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::at(Duration::from_millis(millis))
    }

    fn default_by(ifindex: u32, gateway: &str) -> RouteEntry {
        RouteEntry::default_via(ip(gateway)).by(ifindex)
    }

    fn narrow(last: u32, gateway: &str) -> RouteEntry {
        let destination = std::net::Ipv4Addr::from_bits(0xc000_0200 + last).into();
        RouteEntry::new(evenkeel_model::Prefix::new(destination, 32).unwrap()).via(ip(gateway)).by(7)
    }

    fn following(families: [bool; 2], routes: &[RouteEntry]) -> Gateways {
        let mut gateways = Gateways::default();
        gateways.want(at(0), families);
        assert!(gateways.reads(at(0)));
        gateways.routes(routes);
        gateways
    }

    #[test]
    fn nobody_is_asked_while_nothing_is_translated() {
        let mut gateways = Gateways::default();
        gateways.note(at(0), &Event::Route(default_by(3, "10.0.0.1")));
        assert_eq!((gateways.deadline(), gateways.reads(at(0))), (None, false));
        let mut gateways = following([true, false], &[default_by(3, "10.0.0.1"), default_by(3, "fe80::1")]);
        assert_eq!(gateways.due(at(0)), BTreeSet::from([(3, ip("10.0.0.1"))]), "of the family that has answers");
        gateways.want(at(1), [false, false]);
        assert_eq!((gateways.deadline(), gateways.due(at(9000))), (None, BTreeSet::new()));
    }

    #[test]
    fn each_is_used_every_so_often_and_soon_after_it_was_forgotten() {
        let mut gateways = following([true, true], &[default_by(3, "fe80::1")]);
        let one = BTreeSet::from([(3, ip("fe80::1"))]);
        assert_eq!(gateways.due(at(0)), one);
        assert_eq!(gateways.due(at(1999)), BTreeSet::new());
        assert_eq!(gateways.due(at(2000)), one);
        let gone = |address| Neighbour { ifindex: 3, address: ip(address), mac: None, state: NeighbourState::Failed };
        gateways.note(at(2001), &Event::NeighbourGone(gone("fe80::2")));
        assert_eq!(gateways.deadline(), Some(at(4000)), "somebody else's");
        gateways.note(at(2001), &Event::NeighbourGone(gone("fe80::1")));
        assert_eq!(gateways.deadline(), Some(at(2100)));
    }

    #[test]
    fn default_routes_come_first_and_their_changes_are_read() {
        let many = (0..1000).map(|n| narrow(n, &format!("10.1.{}.{}", n / 250, n % 250)));
        let routes: Vec<RouteEntry> = many.chain([default_by(3, "10.0.0.1")]).collect();
        let mut gateways = following([true, false], &routes);
        let due = gateways.due(at(0));
        assert_eq!((due.len(), due.contains(&(3, ip("10.0.0.1")))), (MOST, true));
        gateways.note(at(500), &Event::RouteGone(routes[0].clone()));
        assert_eq!(gateways.deadline(), Some(at(2000)));
        gateways.note(at(500), &Event::RouteGone(routes[1000].clone()));
        assert!(gateways.reads(at(500)));
        let mut several = default_by(4, "10.0.0.2");
        several.more_gateways = vec![(5, ip("10.0.1.2"))];
        gateways.routes(&[several]);
        assert_eq!(gateways.due(at(500)), BTreeSet::from([(4, ip("10.0.0.2")), (5, ip("10.0.1.2"))]));
        gateways.note(at(501), &Event::Route(narrow(1, "10.0.0.3")));
        gateways.note(at(501), &Event::LinkGone(4));
        assert_eq!(gateways.due(at(600)), BTreeSet::from([(5, ip("10.0.1.2")), (7, ip("10.0.0.3"))]));
    }
}

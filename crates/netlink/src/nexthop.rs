//! Where a frame for each real server must go: by which interface, from and to which MAC address. A machine: no socket.
//!
//! The packet path cannot wait for an address to be resolved, so every real server's next hop (itself, or the gateway
//! towards it) is resolved beforehand and watched: asked every [`INTERVAL`] at its known MAC address, and at everyone's
//! when it does not answer. A server that changes its MAC address silently is so followed within half a second.
//!
//! A next hop that falls silent keeps its last MAC address: taking a dead server out is for its checks.

mod facts;
mod news;
mod pace;
mod types;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

use evenkeel_machine::{Instant, Machine, Outbox};

pub use self::types::{Heard, Input, NextHop, Outcome, Output, Question, Why};
use self::{
    facts::{Facts, LinkState},
    pace::Pace,
};
use crate::{mac::MacAddress, route::Route};

/// How often a next hop that answers is asked.
pub const INTERVAL: Duration = Duration::from_millis(350);
/// How long an answer may take.
pub const ANSWER: Duration = Duration::from_millis(150);
/// Questions without an answer after which a next hop never heard of counts as not answering.
const MISSES: u32 = 3;
/// At most 10 000 questions a second: up to 3500 next hops keep their interval, more are asked less often.
const PROBE_SPACING: Duration = Duration::from_micros(100);
const PROBE_BURST: u32 = 64;
/// At most 2500 of them a second go to everyone.
const BROADCAST_SPACING: Duration = Duration::from_micros(400);
const BROADCAST_BURST: u32 = 100;
/// At most 20 000 routes a second are asked for.
const ROUTE_SPACING: Duration = Duration::from_micros(50);
const ROUTE_BURST: u32 = 256;
/// A route is asked for again without cause so often: policy rules change without a word.
const AUDIT: Duration = Duration::from_secs(60);
const AUDIT_UNROUTED: Duration = Duration::from_secs(2);
/// Removed addresses are looked at together after this time: a failover removes many.
const SOURCE_DELAY: Duration = Duration::from_millis(50);
/// The kernel's neighbours that are remembered for next hops to come.
const KNOWN: usize = 65_536;
/// With more next hops than this the kernel is not asked to resolve too: its own table has 1024 places by default.
const KERNEL_RESOLVES: usize = 512;

type Key = (u32, IpAddr);

/// Every key on one interface.
fn on_link(ifindex: u32) -> RangeInclusive<Key> {
    (ifindex, Ipv4Addr::UNSPECIFIED.into())..=(ifindex, Ipv6Addr::from_bits(u128::MAX).into())
}

#[derive(Debug)]
struct Target {
    way: Way,
    audit_at: Instant,
    told: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Asked,
    NoRoute,
    Local,
    Hop { key: Key, gateway: Option<IpAddr> },
}

#[derive(Debug)]
struct Hop {
    users: BTreeSet<IpAddr>,
    route_source: Option<IpAddr>,
    mac: Option<MacAddress>,
    /// A question is on its way.
    asked: bool,
    misses: u32,
    next_at: Instant,
}

/// The machine.
#[derive(Debug)]
pub struct NextHops {
    facts: Facts,
    targets: BTreeMap<IpAddr, Target>,
    unrouted: BTreeSet<IpAddr>,
    hops: BTreeMap<Key, Hop>,
    known: BTreeMap<Key, MacAddress>,
    to_ask: BTreeSet<IpAddr>,
    audits: BTreeSet<(Instant, IpAddr)>,
    probes: BTreeSet<(Instant, Key)>,
    gone_sources: BTreeSet<IpAddr>,
    sources_at: Option<Instant>,
    probe_pace: Pace,
    broadcast_pace: Pace,
    route_pace: Pace,
}

impl Default for NextHops {
    fn default() -> NextHops {
        NextHops {
            facts: Facts::default(),
            targets: BTreeMap::new(),
            unrouted: BTreeSet::new(),
            hops: BTreeMap::new(),
            known: BTreeMap::new(),
            to_ask: BTreeSet::new(),
            audits: BTreeSet::new(),
            probes: BTreeSet::new(),
            gone_sources: BTreeSet::new(),
            sources_at: None,
            probe_pace: Pace::new(PROBE_SPACING, PROBE_BURST),
            broadcast_pace: Pace::new(BROADCAST_SPACING, BROADCAST_BURST),
            route_pace: Pace::new(ROUTE_SPACING, ROUTE_BURST),
        }
    }
}

impl Machine for NextHops {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        match input {
            Input::Want(ip) => self.want(now, ip),
            Input::Forget(ip) => self.forget(ip),
            Input::Facts { links, addresses } => self.facts(now, &links, addresses, out),
            Input::Route { ip, route } => self.route(now, ip, route, out),
            Input::Event(event) => self.event(now, event, out),
            Input::Heard(heard) => self.heard(now, (heard.ifindex, heard.ip), heard.mac, out),
        }
        self.ask_routes(now, out);
        self.ask_neighbours(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if self.sources_at.is_some_and(|at| at <= now) {
            self.sources_at = None;
            let gone = std::mem::take(&mut self.gone_sources);
            let hit = self.hops.values().filter(|hop| hop.route_source.is_some_and(|s| gone.contains(&s)));
            self.to_ask.extend(hit.flat_map(|hop| hop.users.iter().copied()));
        }
        while let Some(&(at, ip)) = self.audits.first()
            && at <= now
        {
            self.audits.pop_first();
            self.to_ask.insert(ip);
        }
        self.ask_routes(now, out);
        self.ask_neighbours(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let routes = (!self.to_ask.is_empty()).then(|| self.route_pace.next());
        let probes = self.probes.first().map(|(at, _)| (*at).max(self.probe_pace.next()));
        let audits = self.audits.first().map(|(at, _)| *at);
        [routes, probes, audits, self.sources_at].into_iter().flatten().min()
    }
}

impl NextHops {
    /// A machine that knows nothing and watches nothing.
    pub fn new() -> NextHops {
        NextHops::default()
    }

    /// The way to a watched real server as it was told last.
    pub fn outcome(&self, real_server: IpAddr) -> Option<Outcome> {
        self.targets.get(&real_server)?.told
    }

    fn want(&mut self, now: Instant, ip: IpAddr) {
        self.targets.entry(ip).or_insert_with(|| {
            self.to_ask.insert(ip);
            Target { way: Way::Asked, audit_at: now, told: None }
        });
    }

    fn forget(&mut self, ip: IpAddr) {
        if let Some(target) = self.targets.remove(&ip) {
            self.leave(ip, target.way);
            self.audits.remove(&(target.audit_at, ip));
            self.unrouted.remove(&ip);
            self.to_ask.remove(&ip);
        }
    }

    fn leave(&mut self, ip: IpAddr, way: Way) {
        if let Way::Hop { key, .. } = way
            && let Some(hop) = self.hops.get_mut(&key)
        {
            hop.users.remove(&ip);
            if hop.users.is_empty() {
                self.probes.remove(&(hop.next_at, key));
                self.hops.remove(&key);
            }
        }
    }

    fn heard(&mut self, now: Instant, key: Key, mac: MacAddress, out: &mut Outbox<Output>) {
        // Our own address in an answer is our own frame come back.
        if !mac.is_unicast() || self.facts.state(key.0) == LinkState::Usable(mac) {
            return;
        }
        let Some(hop) = self.hops.get_mut(&key) else { return };
        let changed = hop.mac.replace(mac) != Some(mac);
        hop.asked = false;
        hop.misses = 0;
        self.probe_at(key, now + INTERVAL);
        if changed {
            self.tell_users(key, out);
        }
    }

    fn route(&mut self, now: Instant, ip: IpAddr, route: Option<Route>, out: &mut Outbox<Output>) {
        let Some(target) = self.targets.get_mut(&ip) else { return };
        let way = match route {
            None => Way::NoRoute,
            Some(route) if route.is_local => Way::Local,
            Some(route) => Way::Hop { key: (route.ifindex, route.gateway.unwrap_or(ip)), gateway: route.gateway },
        };
        self.audits.remove(&(target.audit_at, ip));
        target.audit_at = now + if way == Way::NoRoute { AUDIT_UNROUTED } else { AUDIT };
        self.audits.insert((target.audit_at, ip));
        let before = std::mem::replace(&mut target.way, way);
        if way == Way::NoRoute {
            self.unrouted.insert(ip);
        } else {
            self.unrouted.remove(&ip);
        }
        if let Way::Hop { key, .. } = way {
            self.join(now, ip, key, route.and_then(|route| route.source));
        }
        let same_hop = matches!((before, way), (Way::Hop { key: a, .. }, Way::Hop { key: b, .. }) if a == b);
        if !same_hop {
            self.leave(ip, before);
        }
        self.tell(ip, out);
    }

    fn join(&mut self, now: Instant, ip: IpAddr, key: Key, route_source: Option<IpAddr>) {
        let hop = self.hops.entry(key).or_insert_with(|| {
            self.probes.insert((now, key));
            let mac = self.known.get(&key).copied();
            Hop { users: BTreeSet::new(), route_source, mac, asked: false, misses: 0, next_at: now }
        });
        hop.users.insert(ip);
        hop.route_source = route_source;
    }

    fn probe_at(&mut self, key: Key, at: Instant) {
        if let Some(hop) = self.hops.get_mut(&key) {
            self.probes.remove(&(hop.next_at, key));
            hop.next_at = at;
            self.probes.insert((at, key));
        }
    }

    fn ask_routes(&mut self, now: Instant, out: &mut Outbox<Output>) {
        while !self.to_ask.is_empty() && self.route_pace.take(now) {
            if let Some(ip) = self.to_ask.pop_first() {
                out.push(Output::AskRoute(ip));
            }
        }
    }

    fn ask_neighbours(&mut self, now: Instant, out: &mut Outbox<Output>) {
        while let Some(&(at, key)) = self.probes.first()
            && at <= now
            && self.probe_pace.take(now)
        {
            self.ask_neighbour(now, key, out);
        }
    }

    fn ask_neighbour(&mut self, now: Instant, key: Key, out: &mut Outbox<Output>) {
        let LinkState::Usable(source_mac) = self.facts.state(key.0) else {
            // The interface's return asks at once.
            return self.probe_at(key, now + AUDIT_UNROUTED);
        };
        let many = self.hops.len() > KERNEL_RESOLVES;
        let Some(hop) = self.hops.get_mut(&key) else { return };
        let misses = hop.misses.saturating_add(u32::from(hop.asked));
        let everyone = misses > 0 || hop.mac.is_none();
        if everyone && !self.broadcast_pace.take(now) {
            let at = self.broadcast_pace.next();
            return self.probe_at(key, at);
        }
        hop.misses = misses;
        hop.asked = true;
        let destination = hop.mac.filter(|_| !everyone);
        let silent = hop.mac.is_none();
        // Every second try asks from no address, in case the question's source is what keeps the answer away.
        let from_nobody = key.1.is_ipv4() && misses >= 2 && misses % 2 == 0;
        let source = if from_nobody { None } else { self.facts.source(key.0, key.1) };
        out.push(Output::Probe(Question { ifindex: key.0, ip: key.1, destination, source, source_mac }));
        if silent && misses == 1 && !many {
            out.push(Output::Resolve { ifindex: key.0, ip: key.1 });
        }
        let wait = match misses {
            0..=3 => ANSWER,
            4..=9 => INTERVAL,
            _ => Duration::from_secs(1),
        };
        self.probe_at(key, now + wait);
        if silent && misses == MISSES {
            self.tell_users(key, out);
        }
    }

    fn tell_users(&mut self, key: Key, out: &mut Outbox<Output>) {
        for ip in self.users(key) {
            self.tell(ip, out);
        }
    }

    fn tell(&mut self, ip: IpAddr, out: &mut Outbox<Output>) {
        let Some(target) = self.targets.get(&ip) else { return };
        let outcome = match target.way {
            Way::Asked => return,
            Way::NoRoute => Outcome::Unresolved(Why::NoRoute),
            Way::Local => Outcome::Local,
            Way::Hop { key, gateway } => self.outcome_of(key, gateway),
        };
        if let Some(target) = self.targets.get_mut(&ip)
            && target.told.replace(outcome) != Some(outcome)
        {
            out.push(Output::Outcome { real_server: ip, outcome });
        }
    }

    fn outcome_of(&self, key: Key, gateway: Option<IpAddr>) -> Outcome {
        let source_mac = match self.facts.state(key.0) {
            LinkState::Usable(mac) => mac,
            LinkState::Down => return Outcome::Unresolved(Why::LinkDown),
            LinkState::NoEthernet => return Outcome::Unresolved(Why::NoEthernet),
        };
        match self.hops.get(&key) {
            Some(Hop { mac: Some(destination_mac), .. }) => {
                Outcome::Resolved(NextHop { ifindex: key.0, source_mac, destination_mac: *destination_mac, gateway })
            }
            Some(hop) if hop.misses >= MISSES => Outcome::Unresolved(Why::NoAnswer),
            Some(_) | None => Outcome::Unresolved(Why::Resolving),
        }
    }
}

#[cfg(test)]
mod tests;

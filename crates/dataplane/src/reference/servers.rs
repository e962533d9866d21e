//! Services and real servers as the reference keeps them, and whom a new connection gets (PP-17 to PP-23, PP-29 to PP-32).

mod locality;

use super::{clock::Clock, parse::Flow};
use crate::{
    Counters, RealServer, ServiceOptions,
    schedule::{Loaded, Member, dh, failover, least, maglev, mh, rr, sh, thresholds, wrr},
};
use evenkeel_abi::hash::{Secret, flow4, flow6, maglev_slot};
use evenkeel_model::{Forwarding, HashFlags, Scheduler, ServiceKey, Sources, Thresholds};
pub(super) use locality::Locality;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// Names a real server of a service for as long as anything refers to it.
pub(super) type ServerId = u32;

/// A real server, also one that was removed and is kept for its connections.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) service: ServiceKey,
    pub(super) member: Member,
    pub(super) forwarding: Forwarding,
    pub(super) shown: Forwarding,
    pub(super) thresholds: Thresholds,
    pub(super) is_overloaded: bool,
    pub(super) is_down: bool,
    /// In its service's list.
    pub(super) is_member: bool,
    /// What is counted for good; connections, active and inactive ones and clients are counted as they come and go.
    pub(super) counters: Counters,
}

/// A service and where its scheduler stands.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) options: ServiceOptions,
    /// Newest first.
    pub(super) list: Vec<ServerId>,
    /// Sums of real servers that are gone for good.
    pub(super) past: Counters,
    turn: u64,
    weighted: wrr::Cursor,
    /// Slots of hashing schedulers, by place in the list; made when first needed after a change.
    table: Option<Vec<u32>>,
}

/// Real servers by id.
pub(super) type Servers = BTreeMap<ServerId, Server>;

/// What schedulers look at besides the service.
pub(super) struct Scene<'a> {
    pub(super) servers: &'a mut Servers,
    pub(super) locality: &'a mut Locality,
    pub(super) secret: Secret,
    pub(super) clock: Clock,
    /// Whom chance is to choose, where it chooses.
    pub(super) lot: Option<IpAddr>,
}

impl Server {
    /// Its address, and the port that packets of a flow go to.
    pub(super) fn address_for(&self, flow: &Flow) -> SocketAddr {
        let port = if self.service.port() == 0 { flow.service.port() } else { self.member.address.port() };
        SocketAddr::new(self.member.address.ip(), port)
    }

    pub(super) fn new(service: ServiceKey, address: SocketAddr, server: RealServer) -> Server {
        Server {
            service,
            member: Member::new(address, server.weight.get()),
            forwarding: server.forwarding,
            shown: server.shown,
            thresholds: server.thresholds,
            is_overloaded: false,
            is_down: server.is_down,
            is_member: true,
            counters: Counters::default(),
        }
    }

    /// Takes what can be edited. A new threshold starts afresh (PP-32).
    pub(super) fn edit(&mut self, server: RealServer) {
        self.member = self.member.with_weight(server.weight.get());
        self.forwarding = server.forwarding;
        self.shown = server.shown;
        if self.thresholds != server.thresholds {
            self.is_overloaded = false;
        }
        self.thresholds = server.thresholds;
        self.is_down = server.is_down;
        self.is_member = true;
    }

    /// Whether it is removed or does not answer (PP-33).
    pub(super) fn is_gone(&self) -> bool {
        !self.is_member || self.is_down
    }

    /// Whether it takes new connections, its thresholds aside.
    pub(super) fn takes_new(&self) -> bool {
        self.is_member && self.member.is_usable()
    }

    /// PP-32: a connection is to be made, of whichever real server.
    fn judge(&mut self) {
        let Thresholds { upper, lower } = self.thresholds;
        self.is_overloaded = thresholds::is_still_overloaded(self.is_overloaded, self.load(), upper, lower);
    }

    /// PP-32: one of its own has been made.
    pub(super) fn fill(&mut self) {
        self.is_overloaded |= thresholds::is_reached(self.load(), self.thresholds.upper);
    }

    fn load(&self) -> u64 {
        u64::from(self.counters.active) + u64::from(self.counters.inactive)
    }

    fn loaded(&self) -> Loaded {
        let Counters { active, inactive, .. } = self.counters;
        Loaded { weight: self.member.weight, active, inactive, is_overloaded: self.is_overloaded }
    }
}

impl Service {
    pub(super) fn new(options: ServiceOptions) -> Service {
        let (turn, weighted) = (0, wrr::Cursor::default());
        Service { options, list: Vec::new(), past: Counters::default(), turn, weighted, table: None }
    }

    /// Another scheduler starts afresh; the same one goes on.
    pub(super) fn edit(&mut self, options: ServiceOptions, servers: &Servers) {
        if self.options.scheduler != options.scheduler {
            self.turn = 0;
            self.weighted = wrr::adjust(wrr::Cursor::default(), &weights(&self.weighty(servers), servers));
            self.table = None;
        }
        self.options = options;
    }

    /// Makes a change of the list or of weights, and moves the schedulers' positions as PP-19 and PP-20 say.
    pub(super) fn change(&mut self, servers: &mut Servers, change: impl FnOnce(&mut Vec<ServerId>, &mut Servers)) {
        let before = self.weighty(servers);
        change(&mut self.list, servers);
        let after = self.weighty(servers);
        self.turn = rr::adjust(&before, self.turn, &after);
        self.weighted = wrr::adjust(self.weighted, &weights(&after, servers));
        self.table = None;
    }

    /// Those that have a weight.
    fn weighty(&self, servers: &Servers) -> Vec<ServerId> {
        self.list.iter().copied().filter(|id| servers.get(id).is_some_and(|server| server.member.is_usable())).collect()
    }

    /// The real server of a new connection.
    pub(super) fn choose(&mut self, key: ServiceKey, scene: &mut Scene<'_>, flow: &Flow) -> Option<ServerId> {
        for id in &self.list {
            scene.servers.get_mut(id).into_iter().for_each(Server::judge);
        }
        let weighty = self.weighty(scene.servers);
        let servers = &*scene.servers;
        let loaded = |id: &ServerId| servers.get(id).map(Server::loaded).unwrap_or_default();
        let loads: Vec<Loaded> = self.list.iter().map(loaded).collect();
        let usable = |place: usize| loaded(&weighty[place]).is_usable();
        let list = &self.list;
        let at = |place: usize| list.get(place).copied();
        let hashed = |place: u32| loads.get(place as usize).is_some_and(Loaded::is_usable);
        let port_if = |wanted: bool| wanted.then_some(flow.client.port());
        match self.options.scheduler {
            Scheduler::RoundRobin => {
                let (index, turn) = rr::choose_usable(weighty.len(), self.turn, usable)?;
                self.turn = turn;
                Some(weighty[index])
            }
            Scheduler::WeightedRoundRobin => {
                let (index, cursor) = wrr::choose_usable(&weights(&weighty, servers), self.weighted, usable)?;
                self.weighted = cursor;
                Some(weighty[index])
            }
            Scheduler::MaglevHash(HashFlags { port, fallback }) => {
                let table = table(&mut self.table, list, servers, mh::table);
                mh::choose(table, flow.client.ip(), port_if(port), fallback, hashed).and_then(|p| at(p as usize))
            }
            Scheduler::SourceHash(HashFlags { port, fallback }) => {
                let table = table(&mut self.table, list, servers, sh::table);
                let bucket = sh::bucket(flow.client.ip(), port_if(port));
                sh::choose(table, bucket, fallback, hashed).and_then(|p| at(p as usize))
            }
            Scheduler::DestinationHash => {
                let table = table(&mut self.table, list, servers, dh::table);
                dh::choose(table, dh::bucket(flow.service.ip()), hashed).and_then(|p| at(p as usize))
            }
            Scheduler::Maglev => {
                let secret = scene.secret;
                let table = table(&mut self.table, list, servers, |members| maglev::table(members, secret));
                let slot = maglev_slot(hash(flow, secret), maglev::SLOTS);
                let place = *table.get(slot as usize)?;
                hashed(place).then_some(place).and_then(|p| at(p as usize))
            }
            Scheduler::LeastConnections => least::lc(&loads).and_then(at),
            Scheduler::WeightedLeastConnections => least::wlc(&loads).and_then(at),
            Scheduler::ShortestExpectedDelay => least::sed(&loads).and_then(at),
            Scheduler::NeverQueue => least::nq(&loads).and_then(at),
            Scheduler::WeightedFailover => failover::fo(&loads).and_then(at),
            Scheduler::WeightedOverflow => failover::ovf(&loads).and_then(at),
            Scheduler::LocalityLeastConnections => {
                scene.locality.lblc(key, flow.service.ip(), scene.clock, list, &loads)
            }
            Scheduler::LocalityLeastConnectionsReplicated => {
                scene.locality.lblcr(key, flow.service.ip(), scene.clock, list, &loads)
            }
            Scheduler::PowerOfTwo => {
                let is_lot = |id: &&ServerId| servers.get(id).map(|s| s.member.address.ip()) == scene.lot;
                let drawn = list.iter().find(is_lot).copied().filter(|id| loaded(id).is_usable());
                drawn.or_else(|| weighty.iter().copied().find(|id| loaded(id).is_usable()))
            }
        }
    }
}

/// The table of a hashing scheduler, made if it is not there.
fn table<'a>(
    kept: &'a mut Option<Vec<u32>>,
    list: &[ServerId],
    servers: &Servers,
    make: impl Fn(&[Member]) -> Vec<u32>,
) -> &'a [u32] {
    let members = || list.iter().filter_map(|id| servers.get(id)).map(|server| server.member).collect::<Vec<_>>();
    kept.get_or_insert_with(|| make(&members()))
}

fn weights(list: &[ServerId], servers: &Servers) -> Vec<u32> {
    list.iter().filter_map(|id| servers.get(id)).map(|server| server.member.weight).collect()
}

/// Whether the lists let the source connect (PP-17).
pub(super) fn admits(sources: &Sources, source: IpAddr) -> bool {
    let longest = |list: &[evenkeel_model::Prefix]| {
        list.iter().filter(|prefix| prefix.contains(source)).map(|prefix| prefix.length()).max()
    };
    match (longest(&sources.allow), longest(&sources.deny)) {
        (Some(allow), Some(deny)) => allow > deny,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => sources.allow.is_empty(),
    }
}

/// Whether an answer could be sent there (PP-8).
pub(super) fn answerable(flow: &Flow) -> bool {
    let can_be_a_source = match flow.client.ip() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first != 0 && first != 127 && first < 224
        }
        IpAddr::V6(address) => !(address.is_unspecified() || address.is_loopback() || address.is_multicast()),
    };
    can_be_a_source && flow.client.ip() != flow.service.ip()
}

/// The program's hash of a flow: words as they stand in memory, the earlier address in the upper half.
pub(super) fn hash(flow: &Flow, secret: Secret) -> u64 {
    let [a, b] = flow.client.port().to_be_bytes();
    let [c, d] = flow.service.port().to_be_bytes();
    let ports = evenkeel_abi::flow::ports(u32::from_ne_bytes([a, b, c, d]), flow.protocol);
    match (flow.client.ip(), flow.service.ip()) {
        (IpAddr::V4(client), IpAddr::V4(service)) => {
            let word = |address: [u8; 4]| u64::from(u32::from_ne_bytes(address));
            flow4(secret, &[word(client.octets()) << 32 | word(service.octets()), ports])
        }
        (client, service) => {
            let [c1, c2] = words6(client);
            let [s1, s2] = words6(service);
            flow6(secret, &[c1, c2, s1, s2, ports])
        }
    }
}

fn words6(address: IpAddr) -> [u64; 2] {
    let bytes = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let word = |at: usize| u64::from(u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    [word(0) << 32 | word(4), word(8) << 32 | word(12)]
}

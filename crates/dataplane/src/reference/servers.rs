//! Services and real servers as the reference keeps them, and whom a new connection gets (PP-17 to PP-23).

use super::parse::Flow;
use crate::{
    Counters, RealServer, ServiceOptions,
    schedule::{Member, maglev, mh, rr, wrr},
};
use evenkeel_abi::hash::{Secret, flow4, flow6, maglev_slot};
use evenkeel_model::{Forwarding, HashFlags, Scheduler, Sources};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

/// Names a real server of a service for as long as anything refers to it.
pub(super) type ServerId = u32;

/// A real server, also one that was removed and is kept for its connections.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) member: Member,
    pub(super) forwarding: Forwarding,
    pub(super) is_down: bool,
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
    /// Slots of mh and maglev, by place in the list; made when first needed after a change.
    table: Option<Vec<u32>>,
}

/// Real servers by id.
pub(super) type Servers = BTreeMap<ServerId, Server>;

impl Server {
    pub(super) fn new(address: SocketAddr, server: RealServer) -> Server {
        let member = Member::new(address, server.weight.get());
        Server { member, forwarding: server.forwarding, is_down: server.is_down, counters: Counters::default() }
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
            self.weighted = wrr::adjust(wrr::Cursor::default(), &weights(&self.usable(servers), servers));
            self.table = None;
        }
        self.options = options;
    }

    /// Makes a change of the list or of weights, and moves the schedulers' positions as PP-19 and PP-20 say.
    pub(super) fn change(&mut self, servers: &mut Servers, change: impl FnOnce(&mut Vec<ServerId>, &mut Servers)) {
        let before = self.usable(servers);
        change(&mut self.list, servers);
        let after = self.usable(servers);
        self.turn = rr::adjust(&before, self.turn, &after);
        self.weighted = wrr::adjust(self.weighted, &weights(&after, servers));
        self.table = None;
    }

    fn usable(&self, servers: &Servers) -> Vec<ServerId> {
        self.list.iter().copied().filter(|id| servers.get(id).is_some_and(|server| server.member.is_usable())).collect()
    }

    /// The real server of a new connection.
    pub(super) fn choose(&mut self, servers: &Servers, flow: &Flow, secret: Secret) -> Option<ServerId> {
        let usable = self.usable(servers);
        match self.options.scheduler {
            Scheduler::RoundRobin => {
                let (index, turn) = rr::choose(usable.len(), self.turn)?;
                self.turn = turn;
                Some(usable[index])
            }
            Scheduler::WeightedRoundRobin => {
                let (index, cursor) = wrr::choose(&weights(&usable, servers), self.weighted)?;
                self.weighted = cursor;
                Some(usable[index])
            }
            Scheduler::MaglevHash(HashFlags { port, .. }) => {
                let slot = mh::slot(flow.client.ip(), port.then_some(flow.client.port()));
                self.slot(servers, slot, mh::table).filter(|id| usable.contains(id))
            }
            Scheduler::Maglev => {
                let slot = maglev_slot(hash(flow, secret), maglev::SLOTS);
                self.slot(servers, slot, |members| maglev::table(members, secret))
            }
            // No service has it: `unbuilt` refuses them.
            Scheduler::LeastConnections
            | Scheduler::WeightedLeastConnections
            | Scheduler::ShortestExpectedDelay
            | Scheduler::NeverQueue
            | Scheduler::LocalityLeastConnections
            | Scheduler::LocalityLeastConnectionsReplicated
            | Scheduler::DestinationHash
            | Scheduler::SourceHash(_)
            | Scheduler::WeightedFailover
            | Scheduler::WeightedOverflow
            | Scheduler::PowerOfTwo => None,
        }
    }

    fn slot(&mut self, servers: &Servers, slot: u32, make: impl Fn(&[Member]) -> Vec<u32>) -> Option<ServerId> {
        let list = &self.list;
        let members = || list.iter().filter_map(|id| servers.get(id)).map(|server| server.member).collect::<Vec<_>>();
        let table = self.table.get_or_insert_with(|| make(&members()));
        list.get(*table.get(slot as usize)? as usize).copied()
    }
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
fn hash(flow: &Flow, secret: Secret) -> u64 {
    let [a, b] = flow.client.port().to_be_bytes();
    let [c, d] = flow.service.port().to_be_bytes();
    let ports = evenkeel_abi::flow::ports(u32::from_ne_bytes([a, b, c, d]), flow.protocol.number());
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

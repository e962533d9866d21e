//! What the daemon knows of the maps' contents, so that a change need not search them.
//!
//! All of it can be read back from the maps (`State::adopt`): a crash loses nothing.

use crate::{
    cells::{Cells, Extent},
    maps::{Maps, Sizes, key_bytes},
    marks::{self, Marks},
    options,
    room::{self, Weights},
    servers, sources,
};
use evenkeel_abi as abi;
use evenkeel_dataplane::{NextHop, ServiceOptions};
use evenkeel_model::{Family, HashFlags, Protocol, Scheduler, ServiceKey, Sources};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
};

/// Index over the maps.
pub(crate) struct State {
    /// Services by key, those that only drain included.
    pub(crate) services: BTreeMap<ServiceKey, u32>,
    /// By index.
    pub(crate) entries: BTreeMap<u32, Entry>,
    /// Real servers by service and address, draining ones included.
    pub(crate) dests: HashMap<(u32, SocketAddr), u32>,
    /// Real servers by their own address, for next hops.
    pub(crate) by_address: HashMap<IpAddr, BTreeSet<u32>>,
    /// What is known of next hops.
    pub(crate) hops: HashMap<IpAddr, NextHop>,
    /// Real servers that are no member any more, and for how many sweeps they have had no connection.
    pub(crate) draining: BTreeMap<u32, u32>,
    /// Free indices; the lowest is taken first.
    pub(crate) free_services: BTreeSet<u32>,
    /// See `free_services`.
    pub(crate) free_dests: BTreeSet<u32>,
    /// Indices from this one on have never been a real server's, as the lowest free one is taken: there may be room for many
    /// more than there are.
    pub(crate) dests_end: u32,
    /// Services whose list has to be written anew.
    pub(crate) dirty: BTreeSet<u32>,
    /// Services by bit of the address filter.
    pub(crate) filter: HashMap<u32, u32>,
    /// Translated real servers, those that drain included, by bit of the filter of answers.
    pub(crate) answers: HashMap<u32, u32>,
    pub(crate) cells: Cells,
    pub(crate) marks: Marks,
    /// Sequence number of the newest real server.
    pub(crate) sequence: u64,
    /// The same of services.
    pub(crate) made: u32,
}

/// A service.
pub(crate) struct Entry {
    pub(crate) key: ServiceKey,
    /// Packets find it; else it is only kept for draining real servers.
    pub(crate) live: bool,
    pub(crate) options: ServiceOptions,
    /// Real servers, newest last.
    pub(crate) members: Vec<u32>,
    /// Their weights.
    pub(crate) weights: Weights,
    /// How many of them have a threshold.
    pub(crate) limited: u32,
    /// Where its list lies.
    pub(crate) extent: Option<Extent>,
    /// Where its next one will find room.
    pub(crate) reserved: Option<Extent>,
    /// Usable real servers as the list in force has them (rr).
    pub(crate) listed: Vec<u32>,
    /// wrr: `cw` after the changes not yet published.
    pub(crate) weight: Option<u32>,
}

impl Entry {
    /// One without real servers that packets find.
    pub(crate) fn new(key: ServiceKey, options: ServiceOptions) -> Entry {
        let (members, listed) = (Vec::new(), Vec::new());
        let (weights, limited) = (Weights::new(), 0);
        Entry {
            key,
            live: true,
            options,
            members,
            weights,
            limited,
            extent: None,
            reserved: None,
            listed,
            weight: None,
        }
    }
}

impl State {
    /// Of empty maps.
    pub(crate) fn new(sizes: Sizes) -> State {
        State {
            services: BTreeMap::new(),
            entries: BTreeMap::new(),
            dests: HashMap::new(),
            by_address: HashMap::new(),
            hops: HashMap::new(),
            draining: BTreeMap::new(),
            free_services: (0..sizes.services).collect(),
            free_dests: (0..sizes.dests).collect(),
            dests_end: 0,
            dirty: BTreeSet::new(),
            filter: HashMap::new(),
            answers: HashMap::new(),
            cells: Cells::new(sizes.cells),
            marks: Marks::default(),
            sequence: 0,
            made: 0,
        }
    }

    /// Of maps an earlier daemon left.
    pub(crate) fn adopt(maps: &Maps, sizes: Sizes) -> io::Result<State> {
        let mut state = State::new(sizes);
        let sources = sources::read(maps)?;
        state.adopt_services(maps, sizes, &sources);
        state.adopt_dests(maps, sizes);
        state.marks = marks::adopt(maps, &mut state.cells, &mut state.entries, &mut state.filter)?;
        Ok(state)
    }

    /// An index is a real server's from now on.
    pub(crate) fn take_dest(&mut self, dest: u32) {
        self.free_dests.remove(&dest);
        self.dests_end = self.dests_end.max(dest + 1);
    }

    fn adopt_services(&mut self, maps: &Maps, sizes: Sizes, sources: &HashMap<u32, Sources>) {
        for index in 0..sizes.services {
            let info = maps.service_infos.get(index);
            if info.used == 0 {
                continue;
            }
            self.made = self.made.max(info.used);
            let live = maps.service_ids.get(&key_bytes(&info.key), 0).is_ok_and(|found| found == index);
            let key = model_key(&info.key);
            let list = abi::List::unpack(maps.services.get(index).list);
            let extent = extent_of(maps, list);
            if let Some(extent) = extent {
                self.cells.claim(extent);
            }
            let sources = sources.get(&index).cloned().unwrap_or_default();
            let options = options::read(&info, sources);
            let listed = listed(maps, list);
            self.free_services.remove(&index);
            self.entries.insert(index, Entry { live, extent, listed, ..Entry::new(key, options) });
            self.services.insert(key, index);
            if let Some(address) = key.address() {
                *self.filter.entry(abi::filter_bit_of(address)).or_default() += 1;
            }
        }
    }

    fn adopt_dests(&mut self, maps: &Maps, sizes: Sizes) {
        let mut members: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
        for index in 0..sizes.dests {
            let info = maps.dest_infos.get(index);
            if info.used == 0 {
                continue;
            }
            let address = dest_address(&info);
            self.take_dest(index);
            // Of several with one address, of which all but one drain, the one that is a member or was the last.
            let rank = |other: u32| (maps.dest_infos.get(other).member, maps.dest_infos.get(other).sequence);
            let known = self.dests.entry((info.service, address)).or_insert(index);
            if rank(*known) < rank(index) {
                *known = index;
            }
            if servers::translation(info.method).is_some() {
                *self.answers.entry(abi::filter_bit_of(address.ip())).or_default() += 1;
            }
            self.by_address.entry(address.ip()).or_default().insert(index);
            self.sequence = self.sequence.max(info.sequence);
            if info.member != 0
                && let Some(entry) = self.entries.get_mut(&info.service)
            {
                room::reweigh(&mut entry.weights, None, Some(info.weight));
                entry.limited += u32::from(info.upper > 0);
                members.entry(info.service).or_default().push((info.sequence, index));
            } else {
                self.draining.insert(index, 0);
            }
        }
        for (service, mut found) in members {
            found.sort_unstable();
            if let Some(entry) = self.entries.get_mut(&service) {
                entry.members = found.into_iter().map(|(_, index)| index).collect();
            }
        }
    }
}

/// The cells a list takes.
fn extent_of(maps: &Maps, list: abi::List) -> Option<Extent> {
    if list.length == 0 {
        return None;
    }
    let cell = |index: u32| ((index as usize) < maps.cells.len()).then(|| maps.cells.get(index));
    let count = match list.kind {
        abi::SCHED_MH | abi::SCHED_MAGLEV | abi::SCHED_SH | abi::SCHED_DH => list.length.div_ceil(2),
        abi::SCHED_WRR => {
            let ends = (0..list.length).map(|level| {
                let at = list.offset + abi::LIST_HEAD_CELLS + level * abi::LEVEL_CELLS;
                let range = abi::List::unpack(cell(at).unwrap_or(0));
                range.offset + range.length
            });
            ends.max().unwrap_or(0)
        }
        _ => abi::LIST_HEAD_CELLS + list.length,
    };
    Some(Extent { offset: list.offset, count })
}

fn listed(maps: &Maps, list: abi::List) -> Vec<u32> {
    if list.kind != abi::SCHED_RR {
        return Vec::new();
    }
    let first = list.offset + abi::LIST_HEAD_CELLS;
    (first..first + list.length)
        .filter(|i| (*i as usize) < maps.cells.len())
        .map(|i| maps.cells.get(i) as u32)
        .collect()
}

/// A scheduler's number; its flags are among the service's.
pub(crate) fn scheduler_number(scheduler: Scheduler) -> u32 {
    match scheduler {
        Scheduler::RoundRobin => abi::SCHED_RR,
        Scheduler::WeightedRoundRobin => abi::SCHED_WRR,
        Scheduler::MaglevHash(_) => abi::SCHED_MH,
        Scheduler::Maglev => abi::SCHED_MAGLEV,
        Scheduler::SourceHash(_) => abi::SCHED_SH,
        Scheduler::DestinationHash => abi::SCHED_DH,
        Scheduler::LeastConnections => abi::SCHED_LC,
        Scheduler::WeightedLeastConnections => abi::SCHED_WLC,
        Scheduler::ShortestExpectedDelay => abi::SCHED_SED,
        Scheduler::NeverQueue => abi::SCHED_NQ,
        Scheduler::LocalityLeastConnections => abi::SCHED_LBLC,
        Scheduler::LocalityLeastConnectionsReplicated => abi::SCHED_LBLCR,
        Scheduler::WeightedFailover => abi::SCHED_FO,
        Scheduler::WeightedOverflow => abi::SCHED_OVF,
        Scheduler::PowerOfTwo => abi::SCHED_TWOS,
    }
}

/// The scheduler of a number that [`scheduler_number`] gave, with a service's flags.
pub(crate) fn scheduler(number: u32, flags: u32) -> Scheduler {
    let hash =
        HashFlags { port: flags & abi::SERVICE_HASH_PORT != 0, fallback: flags & abi::SERVICE_HASH_FALLBACK != 0 };
    match number {
        abi::SCHED_WRR => Scheduler::WeightedRoundRobin,
        abi::SCHED_MH => Scheduler::MaglevHash(hash),
        abi::SCHED_MAGLEV => Scheduler::Maglev,
        abi::SCHED_SH => Scheduler::SourceHash(hash),
        abi::SCHED_DH => Scheduler::DestinationHash,
        abi::SCHED_LC => Scheduler::LeastConnections,
        abi::SCHED_WLC => Scheduler::WeightedLeastConnections,
        abi::SCHED_SED => Scheduler::ShortestExpectedDelay,
        abi::SCHED_NQ => Scheduler::NeverQueue,
        abi::SCHED_LBLC => Scheduler::LocalityLeastConnections,
        abi::SCHED_LBLCR => Scheduler::LocalityLeastConnectionsReplicated,
        abi::SCHED_FO => Scheduler::WeightedFailover,
        abi::SCHED_OVF => Scheduler::WeightedOverflow,
        abi::SCHED_TWOS => Scheduler::PowerOfTwo,
        _ => Scheduler::RoundRobin,
    }
}

/// An address as the maps have it.
pub(crate) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&a.octets());
            octets
        }
        IpAddr::V6(a) => a.octets(),
    }
}

/// The same as four words, as a packet has them.
pub(crate) fn words(address: IpAddr) -> [u32; 4] {
    let octets = octets(address);
    std::array::from_fn(|i| u32::from_ne_bytes(std::array::from_fn(|j| octets[4 * i + j])))
}

fn family(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// A service key as the maps have it.
pub(crate) fn abi_key(key: &ServiceKey) -> abi::ServiceKey {
    match key {
        ServiceKey::Address { address, protocol, port } => abi::ServiceKey {
            address: octets(*address),
            port: port.to_be(),
            protocol: protocol.number(),
            family: family(key.family()),
        },
        ServiceKey::Mark { mark, family: of } => {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&mark.get().to_ne_bytes());
            abi::ServiceKey { address, port: 0, protocol: 0, family: abi::mark::family(family(*of)) }
        }
    }
}

fn address_of(octets: [u8; 16], family: u8) -> IpAddr {
    if family == 6 {
        IpAddr::V6(Ipv6Addr::from(octets))
    } else {
        IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
    }
}

/// A service key of the maps.
pub(crate) fn model_key(key: &abi::ServiceKey) -> ServiceKey {
    let [a, b, c, d, ..] = key.address;
    let mark = NonZeroU32::new(u32::from_ne_bytes([a, b, c, d]));
    if let (Some(mark), true) = (mark, key.family & abi::SERVICE_BY_MARK != 0) {
        let family = if key.family & !abi::SERVICE_BY_MARK == 6 { Family::V6 } else { Family::V4 };
        return ServiceKey::Mark { mark, family };
    }
    let protocol = Protocol::from_number(key.protocol).unwrap_or(Protocol::Tcp);
    ServiceKey::Address { address: address_of(key.address, key.family), protocol, port: u16::from_be(key.port) }
}

/// A real server's address and port.
pub(crate) fn dest_address(info: &abi::DestInfo) -> SocketAddr {
    SocketAddr::new(address_of(info.address, info.family), info.port)
}

//! Services, real servers, their counters, and the lists that schedulers walk.

use crate::{Reason, hash::Secret};

macro_rules! sized {
    ($($name:ty = $size:literal),*) => { $(const _: () = assert!(size_of::<$name>() == $size);)* };
}

sized!(
    ServiceKey = 20,
    Service = 64,
    ServiceInfo = 64,
    Dest = 64,
    DestInfo = 64,
    Counters = 32,
    Drops = 128,
    Header = 64
);

/// What finds a service (PP-4): key of the map `SERVICE_IDS`, whose value is the index into `SERVICES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceKey {
    /// IPv4: in the first four bytes, rest 0.
    pub address: [u8; 16],
    /// Network order; 0: every port.
    pub port: u16,
    /// IANA number.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
}

/// [`List::kind`]: `rr`.
pub const SCHED_RR: u32 = 0;
/// `wrr`.
pub const SCHED_WRR: u32 = 1;
/// `mh` on the source address.
pub const SCHED_MH: u32 = 2;
/// `mh` on the source address and port.
pub const SCHED_MH_PORT: u32 = 3;
/// `maglev`.
pub const SCHED_MAGLEV: u32 = 4;
/// [`Service::flags`] bit: sources are looked up in the lists.
pub const SERVICE_ACL: u32 = 1 << 8;
/// [`Service::flags`] bit: a source that no list names is denied.
pub const SERVICE_DEFAULT_DENY: u32 = 1 << 9;

/// What the program needs of a service when it schedules.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `SERVICE_*` bits.
    pub flags: u32,
    /// Room.
    pub spare: u32,
    /// Where its list or table lies in `CELLS`, as [`List`]. Written with one store once the cells are complete.
    pub list: u64,
    /// rr: number of choices made. wrr: [`Cursor`]. Changed by atomics only.
    pub cursor: u64,
    /// Room to the end of the line.
    pub room: [u64; 5],
}

/// A range of `CELLS`.
///
/// - rr: `length` real servers; after [`LIST_HEAD_CELLS`] cells one cell each, newest first: its index.
/// - wrr: `length` levels. The head cell holds `mw` and, in the upper half, the step. Then [`LEVEL_CELLS`] cells a level,
///   heaviest first: its real servers as a `List` relative to `offset`, and the largest weight below it (0 for the last).
///   A level's real servers, newest first, are cells as for rr: all whose weight reaches it.
/// - mh and maglev: `length` slots, two in a cell, each a real server's index or [`CELL_EMPTY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// First cell; below [`CELL_LIMIT`].
    pub offset: u32,
    /// `SCHED_*`: what the cells are. Part of the word, so that cells are never read as what they are not.
    pub kind: u32,
    /// Real servers or slots; 0: nobody is usable.
    pub length: u32,
}

impl List {
    /// As stored.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.offset as u64 | (self.kind as u64) << 28 | (self.length as u64) << 32
    }

    /// From what is stored.
    #[inline(always)]
    pub const fn unpack(raw: u64) -> List {
        let low = raw as u32;
        List { offset: low & (CELL_LIMIT - 1), kind: low >> 28, length: (raw >> 32) as u32 }
    }
}

/// Cells a [`List`] can name.
pub const CELL_LIMIT: u32 = 1 << 28;
/// Cells before the real servers or levels of an rr or wrr list.
pub const LIST_HEAD_CELLS: u32 = 1;
/// Cells that describe one level of a wrr list.
pub const LEVEL_CELLS: u32 = 2;
/// An empty slot of an mh or maglev table.
pub const CELL_EMPTY: u32 = u32::MAX;

/// Where wrr stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The kernel's `cw`.
    pub weight: u32,
    /// How many of the level have been chosen in this round.
    pub position: u16,
    /// The level `cw` belongs to.
    pub level: u16,
}

impl Cursor {
    /// As stored.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.weight as u64 | (self.position as u64) << 32 | (self.level as u64) << 48
    }

    /// From what is stored.
    #[inline(always)]
    pub const fn unpack(raw: u64) -> Cursor {
        Cursor { weight: raw as u32, position: (raw >> 32) as u16, level: (raw >> 48) as u16 }
    }
}

/// What only the daemon reads of a service: enough to know it again after a crash.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceInfo {
    /// 0: free.
    pub used: u32,
    /// Scheduler, `SCHED_*`.
    pub scheduler: u32,
    /// The key.
    pub key: ServiceKey,
    /// Room.
    pub spare: u32,
    /// Counters of real servers that are gone for good: connections, packets, bytes.
    pub past: [u64; 3],
    /// Room.
    pub room: u64,
}

/// [`Dest::flags`] bit: delivered to the host's own stack.
pub const DEST_LOCAL: u32 = 1;
/// [`Dest::flags`] bit: the MAC addresses are right.
pub const DEST_RESOLVED: u32 = 2;
/// [`Dest::flags`] bit: `next_hop` is an IPv6 address.
pub const DEST_V6: u32 = 4;
/// [`Dest::flags`] bit: takes no new connections (weight 0 or removed).
pub const DEST_NO_NEW: u32 = 8;

/// What the program needs of a real server: one cache line, read for every packet, written only when something changes.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dest {
    /// `DEST_*` bits.
    pub flags: u32,
    /// Egress interface; 0: no route.
    pub interface: u32,
    /// MAC address of the next hop, as three words in the order of the packet.
    pub destination: [u16; 3],
    /// MAC address of the egress interface.
    pub source: [u16; 3],
    /// Address of the next hop (the real server or its gateway), network order.
    pub next_hop: [u32; 4],
    /// Index of the service.
    pub service: u32,
    /// Room to the end of the line.
    pub room: [u32; 5],
}

/// What only the daemon reads of a real server.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestInfo {
    /// 0: free.
    pub used: u32,
    /// 1: a real server of its service; 0: removed, kept for its connections.
    pub member: u32,
    /// IPv4: in the first four bytes.
    pub address: [u8; 16],
    /// Host order.
    pub port: u16,
    /// 4 or 6.
    pub family: u8,
    /// 1: forwarded locally.
    pub local: u8,
    /// Index of the service.
    pub service: u32,
    /// Weight.
    pub weight: u32,
    /// Last weight that was not 0; 0: never had one (the kernel's `mh` counts with it).
    pub last_weight: u32,
    /// When it was added: larger is newer.
    pub sequence: u64,
    /// Room to the end of the line.
    pub room: [u64; 2],
}

/// Active connections in the lower half, inactive ones in the upper; changed by atomic additions only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load;

impl Load {
    /// What one connection in `state` adds.
    #[inline(always)]
    pub const fn of(state: u32) -> u64 {
        if crate::tcp::is_active(state) { 1 } else { 1 << 32 }
    }
}

/// Counters of one real server on one CPU: element `cpu * dests + dest` of the map `COUNTERS`.
#[repr(C, align(32))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Packets forwarded or delivered.
    pub packets: u64,
    /// Their IP lengths.
    pub bytes: u64,
    /// Room.
    pub spare: u64,
}

/// Counters of one CPU by [`Reason`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the reason's number.
    pub count: [u64; Reason::SLOTS],
}

/// Words of [`Filter`].
pub const FILTER_WORDS: usize = 1024;

/// One bit for each hash of a virtual address: what has none here is certainly not ours (PP-3), for the price of one load.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// 65536 bits.
    pub words: [u64; FILTER_WORDS],
}

/// The bit of an address in [`Filter`]; IPv6: the four words folded by exclusive or. `folded` as it stands in memory.
#[inline(always)]
pub const fn filter_bit(folded: u32) -> u32 {
    folded.wrapping_mul(0x9e37_79b1) >> 16
}

/// Entries of the prefix trie `ACL`. Its keys are the service's index and an address as four words (IPv4: the first one),
/// all of them counted by the prefix's length.
pub const ACL_ENTRIES: u32 = 65_536;
/// Bit of the service's index in a key: the prefix is of the other address family, kept only to be read back.
pub const ACL_FOREIGN: u32 = 1 << 31;
/// Bit of the trie's values: the allow list has the prefix.
pub const ACL_ALLOW: u32 = 1;
/// Bit of the trie's values: the deny list has it, which wins.
pub const ACL_DENY: u32 = 2;

/// The single element of the map `HEADER`: what an adopting daemon must know.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// [`crate::LAYOUT`]; written last, so that a half-made set of maps is told from a whole one.
    pub layout: u32,
    /// CPUs there are counters for.
    pub cpus: u32,
    /// Elements of `DESTS`.
    pub dests: u32,
    /// Elements of `SERVICES`.
    pub services: u32,
    /// Elements of `CELLS`.
    pub cells: u32,
    /// Connections asked for.
    pub connections: u32,
    /// The secret of the hashes.
    pub secret: Secret,
    /// Elements of `FLOWS4` and of `FLOWS6`.
    pub buckets: u64,
    /// 1 while the daemon makes changes: who adopts the maps then writes all lists anew.
    pub applying: u64,
    /// Room to the end of the line.
    pub room: u64,
}

//! Services, real servers, their counters, and the lists that schedulers walk.

use crate::{
    Reason,
    hash::Secret,
    state::{is_active, is_connection},
};
use core::net::IpAddr;

macro_rules! sized {
    ($($name:ty = $size:literal),*) => { $(const _: () = assert!(size_of::<$name>() == $size);)* };
}

sized!(
    ServiceKey = 20,
    Service = 64,
    ServiceInfo = 128,
    Dest = 128,
    DestInfo = 128,
    Counters = 64,
    Load = 16,
    Drops = 256,
    Header = 64
);

/// What finds a service (PP-4): key of the map `SERVICE_IDS`, whose value is the index into `SERVICES`. A service by mark
/// has the mark in `address` (first four bytes, host order), port 0, protocol 0 and `family | SERVICE_BY_MARK`.
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

/// [`ServiceKey::family`] bit: the key of a service by mark.
pub const SERVICE_BY_MARK: u8 = 0x80;

/// [`List::kind`]: `rr`.
pub const SCHED_RR: u32 = 0;
/// `wrr`.
pub const SCHED_WRR: u32 = 1;
/// `mh`.
pub const SCHED_MH: u32 = 2;
/// `maglev`.
pub const SCHED_MAGLEV: u32 = 3;
/// `sh`.
pub const SCHED_SH: u32 = 4;
/// `dh`.
pub const SCHED_DH: u32 = 5;
/// `lc`.
pub const SCHED_LC: u32 = 6;
/// `wlc`.
pub const SCHED_WLC: u32 = 7;
/// `sed`.
pub const SCHED_SED: u32 = 8;
/// `nq`.
pub const SCHED_NQ: u32 = 9;
/// `lblc`.
pub const SCHED_LBLC: u32 = 10;
/// `lblcr`.
pub const SCHED_LBLCR: u32 = 11;
/// `fo`.
pub const SCHED_FO: u32 = 12;
/// `ovf`.
pub const SCHED_OVF: u32 = 13;
/// `twos`.
pub const SCHED_TWOS: u32 = 14;

/// [`Service::flags`] bit: `sh` and `mh` look at the source port too.
pub const SERVICE_HASH_PORT: u32 = 1 << 6;
/// [`Service::flags`] bit: `sh` and `mh` find another real server for one that is not usable.
pub const SERVICE_HASH_FALLBACK: u32 = 1 << 7;
/// [`Service::flags`] bit: sources are looked up in the lists.
pub const SERVICE_ACL: u32 = 1 << 8;
/// [`Service::flags`] bit: a source that no list names is denied.
pub const SERVICE_DEFAULT_DENY: u32 = 1 << 9;
/// [`Service::flags`] bit: clients come back to their real server (PP-34).
pub const SERVICE_PERSISTENT: u32 = 1 << 10;
/// [`Service::flags`] bit: a client is a Call-ID (PP-36).
pub const SERVICE_SIP: u32 = 1 << 11;
/// [`Service::flags`] bit: every packet is scheduled by itself (PP-37).
pub const SERVICE_ONE_PACKET: u32 = 1 << 12;
/// [`Service::flags`] bit: any packet but RST or ABORT may make a connection (PP-11).
pub const SERVICE_SLOPPY: u32 = 1 << 13;
/// [`Service::flags`] bit: a SYN on a closing connection is of that connection (PP-14).
pub const SERVICE_NO_REUSE: u32 = 1 << 14;
/// [`Service::flags`] bit: a template is given up when its real server has weight 0 (PP-35).
pub const SERVICE_EXPIRE_TEMPLATE: u32 = 1 << 15;
/// [`Service::flags`] bit: UDP connections of a real server that is gone are given up (PP-33).
pub const SERVICE_EXPIRE_UDP: u32 = 1 << 16;
/// [`Service::flags`] bit: so are all others.
pub const SERVICE_EXPIRE_ALL: u32 = 1 << 17;
/// [`Service::flags`] bit: a real server of it has a threshold; without it none is looked at (PP-32).
pub const SERVICE_THRESHOLDS: u32 = 1 << 18;
/// [`Service::flags`] bit: new connections are bounded by `new_rate` or `source_rate` (PP-38).
pub const SERVICE_LIMITED: u32 = 1 << 19;

/// What the program needs of a service when it schedules.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `SERVICE_*` bits.
    pub flags: u32,
    /// Ticks a template lasts (PP-34).
    pub persistence: u32,
    /// Where its list or table lies in `CELLS`, as [`List`]. Written with one store once the cells are complete.
    pub list: u64,
    /// Where its scheduler stands, see [`List`]. Changed by atomics only.
    pub cursor: u64,
    /// Bits of a client's address that count for a template.
    pub mask: [u32; 4],
    /// New connections a second over all clients; 0: no limit.
    pub new_rate: u32,
    /// New connections a second of one source; 0: no limit.
    pub source_rate: u32,
    /// Budget for `new_rate`, see [`crate::limit`]. Changed by atomics only.
    pub budget: u64,
    /// 0 for a service on an address.
    pub mark: u32,
    /// Port of a service on an address, network order; 0: every port.
    pub port: u16,
    /// Room.
    pub spare: u16,
}

/// A range of `CELLS`.
///
/// - rr, lc, wlc, sed, nq, lblc and lblcr: `length` real servers; after [`LIST_HEAD_CELLS`] cells one cell each, newest
///   first: its index, and its weight in the upper half.
/// - fo and ovf: the same, heaviest first, of equal weights newest first.
/// - twos: the same as rr, but the upper half is the sum of the weights up to and with its own; the head cell holds the sum of
///   all. Where that is more than 32 bits hold, weights are scaled down.
/// - wrr: `length` levels. The head cell holds `mw` and, in the upper half, the step. Then [`LEVEL_CELLS`] cells a level,
///   heaviest first: its real servers as a `List` relative to `offset`, and the largest weight below it (0 for the last).
///   A level's real servers, newest first, are cells as for rr: all whose weight reaches it.
/// - mh, maglev, sh and dh: `length` slots, two in a cell, each a real server's index or [`CELL_EMPTY`]. mh with its 4093,
///   maglev 65537, sh and dh 256 slots.
///
/// Only real servers of a weight above 0 are in lists; tables say of themselves whom they hold.
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
    /// 0: free; else when it was made: larger is newer.
    pub used: u32,
    /// Scheduler, `SCHED_*`.
    pub scheduler: u32,
    /// The key.
    pub key: ServiceKey,
    /// `SERVICE_*` bits as configured, those included that are off while nothing needs them.
    pub flags: u32,
    /// Counters of real servers that are gone for good: connections, packets and bytes in, packets and bytes out.
    pub past: [u64; 5],
    /// What `zero` takes off these.
    pub zero: [u64; 5],
    /// Seconds a template lasts.
    pub persistence: u32,
    /// Leading bits of a client's address that count for it.
    pub prefix: u32,
    /// New connections a second; 0: no limit.
    pub new_rate: u32,
    /// The same of one source.
    pub source_rate: u32,
}

/// [`Dest::flags`] bit: delivered to the host's own stack.
pub const DEST_LOCAL: u32 = 1;
/// [`Dest::flags`] bit: the MAC addresses are right.
pub const DEST_RESOLVED: u32 = 2;
/// [`Dest::flags`] bit: `next_hop` is an IPv6 address.
pub const DEST_V6: u32 = 4;
/// [`Dest::flags`] bit: takes no new connections (weight 0 or removed).
pub const DEST_NO_NEW: u32 = 8;
/// [`Dest::flags`] bit: does not answer, or is no real server of its service any more (PP-33).
pub const DEST_GONE: u32 = 16;
/// [`Dest::flags`] bit: `address` is an IPv6 address.
pub const DEST_ADDRESS_V6: u32 = 32;
/// [`Dest::flags`] bit: `own` is known.
pub const DEST_OWN: u32 = 64;
/// [`Dest::flags`] bit: `vlan` is not 0.
pub const DEST_VLAN: u32 = 128;
/// [`Dest::flags`] bit: the destination is translated (PP-40).
pub const DEST_NAT: u32 = 1 << 8;
/// [`Dest::flags`] bit: the source too (PP-44).
pub const DEST_FULLNAT: u32 = 1 << 9;
/// [`Dest::flags`] bit: wrapped into a tunnel packet (PP-46).
pub const DEST_TUNNEL: u32 = 1 << 10;
/// [`Dest::flags`] bit: only the stack and tc can send by `interface` (PP-26).
pub const DEST_BY_STACK: u32 = 1 << 11;
/// [`Dest::flags`] bits: anything but the MAC addresses changes.
pub const DEST_REWRITES: u32 = DEST_NAT | DEST_FULLNAT | DEST_TUNNEL;

/// [`Dest::tunnel`]: IP in IP.
pub const TUNNEL_IPIP: u8 = 0;
/// Generic UDP encapsulation.
pub const TUNNEL_GUE: u8 = 1;
/// Generic routing encapsulation.
pub const TUNNEL_GRE: u8 = 2;
/// [`Dest::tunnel_checksum`]: none.
pub const CHECKSUM_NONE: u8 = 0;
/// Over the whole of the outer UDP or GRE packet.
pub const CHECKSUM_FULL: u8 = 1;
/// GUE: remote checksum offload.
pub const CHECKSUM_REMOTE: u8 = 2;

/// What the program needs of a real server: its first cache line is all that direct routing reads, for every packet; written
/// only when something changes.
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
    /// Largest IP packet of the egress interface.
    pub mtu: u32,
    /// VLAN tag the packet leaves `interface` with, see [`crate::link::tag`]; 0: none.
    pub vlan: u16,
    /// Room to the end of the line.
    pub spare: [u16; 9],
    /// The real server's address, network order; IPv4: the first word, the rest 0.
    pub address: [u32; 4],
    /// The director's own address towards it.
    pub own: [u32; 4],
    /// Its port, network order; 0: the port is not translated.
    pub port: u16,
    /// `TUNNEL_*`.
    pub tunnel: u8,
    /// `CHECKSUM_*`.
    pub tunnel_checksum: u8,
    /// Outer UDP port of GUE, network order.
    pub tunnel_port: u16,
    /// Room.
    pub spare2: u16,
    /// Weight.
    pub weight: u32,
    /// With so many connections it takes no new ones; 0: no limit.
    pub upper: u32,
    /// It takes new ones again below this; 0: below three quarters of `upper`.
    pub lower: u32,
    /// 1 while it takes none for its thresholds. Changed by atomics only.
    pub overloaded: u32,
    /// Room to the end of the line.
    pub room: [u32; 2],
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
    /// `METHOD_*`.
    pub method: u8,
    /// Index of the service.
    pub service: u32,
    /// Weight.
    pub weight: u32,
    /// Last weight that was not 0; 0: never had one (the kernel's `mh` counts with it).
    pub last_weight: u32,
    /// When it was added: larger is newer.
    pub sequence: u64,
    /// Counters that `zero` takes off: connections, packets and bytes in, packets and bytes out.
    pub zero: [u64; 5],
    /// Upper threshold.
    pub upper: u32,
    /// Lower threshold.
    pub lower: u32,
    /// 1: it does not answer.
    pub down: u8,
    /// `TUNNEL_*`.
    pub tunnel: u8,
    /// `CHECKSUM_*`.
    pub tunnel_checksum: u8,
    /// How it was asked for and is listed, where that is not `method`: `METHOD_*` plus 1. The tunnel is of this one then.
    pub shown: u8,
    /// Outer UDP port of GUE, host order.
    pub tunnel_port: u16,
    /// Room to the end of the line.
    pub room: [u16; 13],
}

/// [`DestInfo::method`]: direct routing.
pub const METHOD_DIRECT: u8 = 0;
/// Delivered to the host's own stack.
pub const METHOD_LOCAL: u8 = 1;
/// Network address translation.
pub const METHOD_NAT: u8 = 2;
/// Translation of both addresses.
pub const METHOD_FULLNAT: u8 = 3;
/// Tunnel.
pub const METHOD_TUNNEL: u8 = 4;

/// Element of the map `LOADS`: what a real server carries now. Changed by atomic additions only.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Active connections in the lower half, inactive ones in the upper.
    pub connections: u64,
    /// Templates: persistent clients.
    pub templates: u64,
}

impl Load {
    /// What one connection in `state` adds to `connections`; nothing if it is none.
    #[inline(always)]
    pub const fn of(state: u32) -> u64 {
        if !is_connection(state) {
            0
        } else if is_active(state) {
            1
        } else {
            1 << 32
        }
    }
}

/// Counters of one real server on one CPU: element `cpu * dests + dest` of the map `COUNTERS`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Packets forwarded or delivered.
    pub packets: u64,
    /// Their IP lengths.
    pub bytes: u64,
    /// Packets to clients that came back through the director.
    pub packets_out: u64,
    /// Their IP lengths.
    pub bytes_out: u64,
    /// Room to the end of the line.
    pub room: [u64; 3],
}

/// Counters of one CPU by [`Reason`].
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// By the reason's number.
    pub count: [u64; Reason::SLOTS],
}

/// Words of each part of [`Filter`].
pub const FILTER_WORDS: usize = 1024;

/// One bit for each hash of an address: what has none here is certainly not ours (PP-3), for the price of one load.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Virtual addresses and what marks match: 65536 bits. All ones where a mark matches more than can be listed.
    pub words: [u64; FILTER_WORDS],
    /// Real servers whose answers are translated (PP-42): 65536 bits.
    pub answers: [u64; FILTER_WORDS],
}

/// The four words of an IPv6 address, as they stand in memory, in one, for [`filter_bit`]. Neighbours such as 2001:db8:0:1::10
/// and 2001:db8::11 must not fall together.
#[inline(always)]
pub const fn fold6(address: &[u32; 4]) -> u32 {
    let mixed = ((address[0] as u64) << 32 | address[1] as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32) ^ ((address[2] as u64) << 32 | address[3] as u64);
    (mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u32
}

/// The bit of an address in [`Filter`]; IPv4: of the address as it stands in memory, IPv6: of what [`fold6`] makes of it.
#[inline(always)]
pub const fn filter_bit(folded: u32) -> u32 {
    folded.wrapping_mul(0x9e37_79b1) >> 16
}

/// The same of an address that is no part of a packet.
pub fn filter_bit_of(address: IpAddr) -> u32 {
    let word = |octets: &[u8]| u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]);
    match address {
        IpAddr::V4(address) => filter_bit(word(&address.octets())),
        IpAddr::V6(address) => {
            let octets = address.octets();
            filter_bit(fold6(&core::array::from_fn(|i| word(&octets[4 * i..]))))
        }
    }
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbouring_networks_and_hosts_have_bits_of_their_own() {
        let word = |high: u16, low: u16| u32::from_ne_bytes((u32::from(high) << 16 | u32::from(low)).to_be_bytes());
        let addresses = (0..64).flat_map(|network| (0..64).map(move |host| (network, host)));
        let bits: BTreeSet<u32> = addresses
            .map(|(network, host)| filter_bit(fold6(&[word(0x2001, 0xdb8), word(0, network), 0, word(0, host)])))
            .collect();
        // By chance alone 4096 addresses have 3971.
        assert!(bits.len() > 3800, "{}", bits.len());
    }
}

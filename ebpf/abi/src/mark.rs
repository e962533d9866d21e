//! What gives packets a firewall mark (PP-39).
//!
//! The trie `MARKS` finds the longest destination prefix that any match names; its value is a [`Range`] of `CELLS` that holds the
//! matches to try, in their order, those of shorter prefixes that hold the destination included.

use crate::SERVICE_BY_MARK;

/// Key of the trie `MARKS` behind the prefix length: the family, then the address, all in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// 4 or 6 (in the first byte); always counted by the prefix length, with 32 bits.
    pub family: [u8; 4],
    /// IPv4: the first four bytes.
    pub address: [u8; 16],
}

/// Value of the trie `MARKS`: the cells of the matches to try, in their order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First cell.
    pub first: u32,
    /// Matches, each of [`MATCH_CELLS`] cells.
    pub count: u32,
}

/// Elements of the trie `MARKS`.
pub const MARK_ENTRIES: u32 = 65_536;

/// Most matches that are tried for one packet.
pub const MATCHES: u32 = 64;

/// Cells of one match.
pub const MATCH_CELLS: u32 = 4;

/// [`Match::names`] bit: a protocol.
pub const NAMES_PROTOCOL: u8 = 1;
/// [`Match::names`] bit: ports.
pub const NAMES_PORTS: u8 = 2;
/// [`Match::names`] bit: a source.
pub const NAMES_SOURCE: u8 = 4;

/// A match as four cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Index of the service.
    pub service: u32,
    /// 0: any.
    pub protocol: u8,
    /// Leading bits of the source that count; 0: any source.
    pub prefix: u8,
    /// Leading bits of the destination that the match was made for. For the daemon only.
    pub destination: u8,
    /// `NAMES_*` bits: what the match names, if only to say that all of it counts. For the daemon only.
    pub names: u8,
    /// Destination ports, host order; 0 and 65535 for any.
    pub ports: (u16, u16),
    /// Its place among the matches of its service. For the daemon only.
    pub position: u32,
    /// The source's prefix, network order words; IPv4: the first.
    pub source: [u32; 4],
}

impl Match {
    /// As stored.
    pub const fn pack(self) -> [u64; MATCH_CELLS as usize] {
        let [a, b, c, d] = self.source;
        let bytes = (self.protocol as u64) << 32
            | (self.prefix as u64) << 40
            | (self.destination as u64) << 48
            | (self.names as u64) << 56;
        [
            self.service as u64 | bytes,
            self.ports.0 as u64 | (self.ports.1 as u64) << 16 | (self.position as u64) << 32,
            a as u64 | (b as u64) << 32,
            c as u64 | (d as u64) << 32,
        ]
    }

    /// From what is stored.
    pub const fn unpack([head, ports, low, high]: [u64; MATCH_CELLS as usize]) -> Match {
        Match {
            service: head as u32,
            protocol: (head >> 32) as u8,
            prefix: (head >> 40) as u8,
            destination: (head >> 48) as u8,
            names: (head >> 56) as u8,
            ports: (ports as u16, (ports >> 16) as u16),
            position: (ports >> 32) as u32,
            source: [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32],
        }
    }
}

/// The family of a mark's [`crate::ServiceKey`].
pub const fn family(family: u8) -> u8 {
    family | SERVICE_BY_MARK
}

//! Choosing a real server (PP-18 to PP-23, PP-29 to PP-32): pure functions that the loader of the eBPF program and the plain
//! model share.
//!
//! Real servers always come newest first. The lists of [`rr`] and [`wrr`] hold those that have a weight, the tables of [`sh`],
//! [`dh`], [`mh`] and [`maglev`] are made from all of them.

pub mod dh;
pub mod failover;
pub mod least;
pub mod locality;
pub mod maglev;
pub mod mh;
pub mod order;
pub mod rr;
pub mod sh;
pub mod thresholds;
pub mod twos;
pub mod wrr;

use std::net::{IpAddr, SocketAddr};

/// What schedulers know of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Address and port.
    pub address: SocketAddr,
    /// 0: takes no new connections.
    pub weight: u32,
    /// The last weight that was not 0; 0 when there was none. `mh` counts with it.
    pub last_weight: u32,
}

impl Member {
    /// A real server that is just added.
    pub fn new(address: SocketAddr, weight: u32) -> Member {
        Member { address, weight, last_weight: weight }
    }

    /// The same with another weight; the last one that was not 0 is remembered.
    pub fn with_weight(self, weight: u32) -> Member {
        let last_weight = if weight > 0 { weight } else { self.last_weight };
        Member { weight, last_weight, ..self }
    }

    /// Whether it takes new connections (PP-18).
    pub fn is_usable(&self) -> bool {
        self.weight > 0
    }
}

/// A real server at the moment of a choice, for the schedulers that look at what each one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// 0: takes no new connections.
    pub weight: u32,
    /// Active connections (PP-15).
    pub active: u32,
    /// Connections in another state.
    pub inactive: u32,
    /// It has as many as its thresholds allow (PP-32).
    pub is_overloaded: bool,
}

impl Loaded {
    /// Whether it takes new connections (PP-18).
    pub fn is_usable(&self) -> bool {
        self.weight > 0 && !self.is_overloaded
    }

    /// What it has to do: an active connection counts as much as 256 inactive ones.
    pub fn overhead(&self) -> u64 {
        u64::from(self.active) * 256 + u64::from(self.inactive)
    }
}

/// The address as one number in host order; IPv6: its four words folded.
fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits ^ bits >> 32 ^ bits >> 64 ^ bits >> 96) as u32
        }
    }
}

/// Greatest common divisor; that of 0 and `n` is `n`.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

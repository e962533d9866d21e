//! Choosing a real server (PP-18 to PP-22): pure functions that the loader of the eBPF program and the plain model share.
//!
//! Real servers always come newest first. The lists of [`rr`] and [`wrr`] hold the usable ones only, the tables of [`mh`]
//! and [`maglev`] are made from all of them.

pub mod maglev;
pub mod mh;
pub mod order;
pub mod rr;
pub mod wrr;

use std::net::SocketAddr;

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

/// Greatest common divisor; that of 0 and `n` is `n`.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

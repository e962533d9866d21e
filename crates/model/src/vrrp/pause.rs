//! How slowly addresses are announced: for switches and hosts that lose packets which come too fast.

use std::time::Duration;

/// The time between two packets that announce addresses (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Interfaces that are paced together, none of them in another pause. Without any: each interface that no other
    /// pause names, by itself.
    pub interfaces: Vec<String>,
    /// Between two gratuitous ARP packets; 0: none.
    pub arp: Duration,
    /// Between two unsolicited neighbour advertisements; 0: none.
    pub neighbour: Duration,
}

//! How nodes hear each other, and what tells them whether they are cut off.

use super::NodeName;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
};

/// A way of messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Medium {
    /// UDP to one host through one interface (`ucast`, `ucast6`). One whose peer is this host is not there.
    Unicast {
        /// Interface.
        interface: String,
        /// The other host.
        peer: IpAddr,
        /// Port on both sides.
        port: u16,
    },
    /// UDP to the broadcast address of an interface (`bcast`).
    Broadcast {
        /// Interface.
        interface: String,
        /// Port on both sides.
        port: u16,
    },
    /// UDP to a group (`mcast`).
    Multicast {
        /// Interface.
        interface: String,
        /// The group.
        group: Ipv4Addr,
        /// Port on both sides.
        port: u16,
        /// Time to live.
        ttl: u8,
        /// Own messages come back.
        own: bool,
    },
    /// UDP to an IPv6 group (`mcast6`).
    Multicast6 {
        /// Interface.
        interface: String,
        /// The group.
        group: Ipv6Addr,
        /// Port on both sides.
        port: u16,
        /// Hop limit, 0 to 4.
        hops: u8,
        /// Own messages come back.
        own: bool,
    },
    /// A serial line (`serial`), where each node forwards what is not its own.
    Serial {
        /// The device.
        device: PathBuf,
        /// Bits a second.
        baud: NonZeroU32,
    },
}

impl Medium {
    /// What heartbeat calls it: its interface or device.
    pub fn link(&self) -> String {
        match self {
            Medium::Unicast { interface, .. }
            | Medium::Broadcast { interface, .. }
            | Medium::Multicast { interface, .. }
            | Medium::Multicast6 { interface, .. } => interface.clone(),
            Medium::Serial { device, .. } => device.display().to_string(),
        }
    }
}

/// A host, or several, outside of the cluster (`ping`, `ping_group`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingNode {
    /// Its name as a node: its address, or the group's name.
    pub name: NodeName,
    /// It is up while one of these answers; at least one.
    pub addresses: Vec<IpAddr>,
}

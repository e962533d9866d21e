//! What every data plane does, and no more.

use crate::{Change, Table};
use evenkeel_model::ServiceKey;
use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
};

/// Says what it can, says what is there, makes changes true.
pub trait Dataplane: Send {
    /// Which forwarding methods, schedulers and sizes it has.
    fn capabilities(&self) -> Capabilities;

    /// What is truly there, read from the data plane and not remembered.
    fn observe(&mut self) -> io::Result<Table>;

    /// Makes the changes true, in order. On an error the changes before the failed one are in force.
    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError>;

    /// Hands `sink` the counters of every service (`None`) and of every real server in it, removed ones included that still
    /// drain.
    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()>;

    /// Packets that ended in a reason instead of a verdict, by the reason's name.
    fn drops(&mut self, sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()>;

    /// Tells how a real server's address is reached. Data planes that leave this to the kernel ignore it.
    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()>;

    /// Removes connections whose timeout has passed and what was only kept for them. To be called about once a second.
    fn sweep(&mut self) -> io::Result<()>;
}

/// What a data plane can do; what it cannot is refused when the configuration is read, never at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Connections it can hold at the same time.
    pub connections: u32,
    /// Services.
    pub services: u32,
    /// Real servers over all services, draining ones included.
    pub real_servers: u32,
}

/// How a real server's address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// On the wire.
    Resolved {
        /// Egress interface.
        interface: u32,
        /// That interface's own MAC address.
        source: [u8; 6],
        /// The real server's MAC address, or that of the gateway towards it.
        destination: [u8; 6],
        /// The gateway, if there is one.
        gateway: Option<IpAddr>,
    },
    /// The route is known, the MAC address is not yet.
    Unresolved {
        /// Egress interface.
        interface: u32,
        /// The gateway, if there is one.
        gateway: Option<IpAddr>,
    },
    /// No route.
    Unreachable,
}

/// Sums since the service or real server was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, IP headers included.
    pub bytes_in: u64,
    /// Packets to clients that crossed the director; 0 with direct routing.
    pub packets_out: u64,
    /// Bytes to clients that crossed the director; 0 with direct routing.
    pub bytes_out: u64,
    /// Connections in an active state now (PP-15).
    pub active: u32,
    /// Connections in another state now.
    pub inactive: u32,
}

/// A change that could not be made.
#[derive(Debug)]
pub struct ApplyError {
    /// Which one.
    pub change: Change,
    /// How many before it are in force.
    pub applied: usize,
    /// Why.
    pub cause: io::Error,
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}: {} (after {} changes)", self.change.service(), self.cause, self.applied)
    }
}

impl Error for ApplyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

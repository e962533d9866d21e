//! What every data plane does, and no more.

use crate::{Change, Order, Table};
use evenkeel_model::{Protocol, ServiceKey, Timeouts};
use std::{
    collections::BTreeMap,
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

    /// What [`Dataplane::observe`] shows, in the order it was made: services, and the real servers of each, oldest first.
    fn order(&mut self) -> io::Result<Order> {
        let table = self.observe()?;
        let servers = |service: crate::Service| service.real_servers.into_keys().collect();
        Ok(table.services.into_iter().map(|(key, service)| (key, servers(service))).collect())
    }

    /// Hands `sink` the counters of every service (`None`) and of every real server in it, removed ones included that still
    /// drain.
    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()>;

    /// The same of one service. Where there are many it may be less work than to leave the others out.
    fn counters_of(
        &mut self,
        service: &ServiceKey,
        sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters),
    ) -> io::Result<()> {
        self.counters(&mut |key, server, counters| {
            if key == *service {
                sink(key, server, counters);
            }
        })
    }

    /// Packets that ended in a reason instead of a verdict, by the reason's name.
    fn drops(&mut self, sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()>;

    /// Tells how a real server's address is reached. Data planes that leave this to the kernel ignore it.
    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()>;

    /// Tells by which interfaces XDP can send, and how; by no others. Data planes that leave this to the kernel ignore it.
    fn links(&mut self, ways: &BTreeMap<u32, Egress>) -> io::Result<()>;

    /// Hands `sink` the connections that `filter` means, and ends when it returns `false`. One call looks at a bounded part
    /// of the table that begins at `from` (0 at first) and returns where the next one is to go on; `None`: that was all.
    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>>;

    /// The service and real server of the connection from `client` to `virtual_address`, without a look at the rest of the table.
    /// `None`: there is no such connection.
    fn find(
        &mut self,
        protocol: Protocol,
        client: SocketAddr,
        virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>>;

    /// Ends the connections that `filter` means; how many. Their clients' next packets are of unknown connections.
    fn flush(&mut self, filter: &ConnectionFilter) -> io::Result<u64>;

    /// The same in parts, as [`Dataplane::connections`]: how many of this part, and where the next call is to go on. One whose
    /// table is small may do all at once.
    fn flush_part(&mut self, filter: &ConnectionFilter, from: u64) -> io::Result<(u64, Option<u64>)> {
        let _ = from;
        self.flush(filter).map(|ended| (ended, None))
    }

    /// How long connections last, all three of them.
    fn timeouts(&mut self) -> io::Result<Timeouts>;

    /// Sets how long connections last, those there are included; `None` stays as it is. Kept over restarts of the daemon.
    fn set_timeouts(&mut self, timeouts: &Timeouts) -> io::Result<()>;

    /// Counts a service (all: `None`) and its real servers from 0 again.
    fn zero(&mut self, service: Option<&ServiceKey>) -> io::Result<()>;

    /// Removes connections whose timeout has passed and what was only kept for them; those of a meeting point ([`crate::Note`])
    /// that both sides have ended go after two seconds. To be called about once a second.
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
        /// The way there.
        route: Route,
        /// The egress interface's own MAC address.
        source: [u8; 6],
        /// The real server's MAC address, or that of the gateway towards it.
        destination: [u8; 6],
    },
    /// The route is known, the MAC address is not yet.
    Unresolved {
        /// The way there.
        route: Route,
    },
    /// No route.
    Unreachable,
}

/// The way to a real server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Egress interface.
    pub interface: u32,
    /// The gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet that goes out there, in bytes.
    pub mtu: u32,
    /// The director's own address towards it: the source of tunnel packets and what FullNAT makes clients into. `None`: the
    /// interface has none of the family.
    pub own_address: Option<IpAddr>,
    /// `interface` is the lower device of a VLAN interface with this tag.
    pub vlan: Option<Vlan>,
    /// XDP cannot send by `interface`: only the stack and tc can (PP-26).
    pub by_stack: bool,
}

/// A VLAN's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan {
    /// Its identifier, 1 to 4094.
    pub id: u16,
    /// It is one of 802.1ad, else of 802.1Q.
    pub is_service: bool,
}

/// How XDP leaves by an interface (PP-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Egress {
    /// The interface whose driver sends.
    pub interface: u32,
    /// The tag it sends with.
    pub vlan: Option<Vlan>,
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
    /// Persistent clients now: template connections.
    pub persistent: u32,
}

/// Which connections are meant: those for which everything that is said holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Of this service.
    pub service: Option<ServiceKey>,
    /// Of this real server address, any port where the port is 0.
    pub real_server: Option<SocketAddr>,
    /// Of this client, any port where the port is 0.
    pub client: Option<SocketAddr>,
}

impl ConnectionFilter {
    /// Whether the connection is meant.
    pub fn means(&self, connection: &Connection) -> bool {
        let is_there = |wanted: Option<SocketAddr>, end: SocketAddr| {
            wanted.is_none_or(|wanted| wanted.ip() == end.ip() && [0, end.port()].contains(&wanted.port()))
        };
        self.service.is_none_or(|service| service == connection.service)
            && is_there(self.real_server, connection.real_server)
            && is_there(self.client, connection.client)
    }
}

/// A connection as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// IANA number; 0 for a template that stands for every protocol.
    pub protocol: u8,
    /// Address and port of the client; of a template: masked, port 0.
    pub client: SocketAddr,
    /// Where the client sends to; of a template of a mark: the mark as an address, as IPVS shows it.
    pub virtual_address: SocketAddr,
    /// The real server.
    pub real_server: SocketAddr,
    /// Of this service.
    pub service: ServiceKey,
    /// As the real server sees the client, where FullNAT makes it another one.
    pub translated_client: Option<SocketAddr>,
    /// The state's name as IPVS has it: `ESTABLISHED`, `SYN_RECV`, `UDP`, `ASSURED`, …
    pub state: &'static str,
    /// Seconds until its timeout.
    pub expires_s: u32,
    /// Whether it is a persistence template.
    pub is_template: bool,
}

/// A change that could not be made.
#[derive(Debug)]
pub struct ApplyError {
    /// Which one.
    pub change: Box<Change>,
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

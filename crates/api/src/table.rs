//! The table of services as `ipvsadm` sees and edits it, and the connections.
//!
//! Keys and methods are numbers and words of the field, not types of `evenkeel_model`: a client is to need no other crate.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// What a service answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Key {
    /// Packets to an address.
    Address {
        /// The virtual address.
        address: IpAddr,
        /// IANA number: 6, 17 or 132.
        protocol: u8,
        /// 0: every port.
        port: u16,
    },
    /// Packets with a firewall mark.
    Mark {
        /// Not 0.
        mark: u32,
        /// Of IPv6 packets; else of IPv4 ones.
        ipv6: bool,
    },
}

/// Everything that can be said of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEntry {
    /// `rr`, `wrr`, …
    pub scheduler: String,
    /// The three scheduler flags as bits 0 to 2, whether the scheduler knows them or not: for `sh` and `mh` bit 0 is
    /// fallback and bit 1 port.
    #[serde(default)]
    pub flags: u8,
    /// Seconds of persistence.
    #[serde(default)]
    pub persistent_s: Option<u32>,
    /// Leading bits of a client's address that count for persistence.
    #[serde(default)]
    pub prefix: Option<u8>,
    /// The persistence engine's name: `sip`.
    #[serde(default)]
    pub engine: Option<String>,
    /// One-packet scheduling.
    #[serde(default)]
    pub one_packet: bool,
}

/// Everything that can be said of a real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerEntry {
    /// How packets reach it.
    pub forward: Forward,
    /// 0 to 2147483647.
    pub weight: u32,
    /// Upper threshold; 0: none.
    #[serde(default)]
    pub upper: u32,
    /// Lower threshold; 0: none.
    #[serde(default)]
    pub lower: u32,
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Forward {
    /// Direct routing (`-g`).
    Dr,
    /// Network address translation (`-m`).
    Nat,
    /// Translation of both addresses; `ipvsadm` has no word for it.
    Fullnat,
    /// IP in IP (`-i`).
    Ipip,
    /// GUE (`-i --tun-type gue`).
    Gue {
        /// Its UDP port.
        port: u16,
        /// 0 none, 1 full, 2 remote, as `--tun-nocsum`, `--tun-csum` and `--tun-remcsum`.
        checksum: u8,
    },
    /// GRE (`-i --tun-type gre`).
    Gre {
        /// With checksum.
        checksum: bool,
    },
    /// The host itself.
    Local,
}

/// One edit of the table ([`crate::Request::Edit`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// `-A`.
    AddService(Key, ServiceEntry),
    /// `-E`.
    EditService(Key, ServiceEntry),
    /// `-D`.
    RemoveService(Key),
    /// `-C`: removes every service. Connections stay where they are, as IPVS has it.
    Clear {},
    /// `-a`. Port 0 of the address means the service's.
    AddServer(Key, SocketAddr, ServerEntry),
    /// `-e`.
    EditServer(Key, SocketAddr, ServerEntry),
    /// `-d`.
    RemoveServer(Key, SocketAddr),
    /// `-Z`: counts from 0 again; `None`: everything.
    Zero(Option<Key>),
    /// `--set`: seconds; 0 leaves one as it is.
    Timeouts {
        /// Established TCP connections.
        tcp: u32,
        /// TCP connections after a FIN.
        tcp_fin: u32,
        /// UDP.
        udp: u32,
    },
}

/// Why an edit was not made; `ipvsadm` has an own message for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditFailure {
    /// `Service already exists`.
    ServiceExists,
    /// `No such service` (of `-E`, `-D`, `-Z`), `Service not defined` (of `-a`, `-e`, `-d`).
    NoService,
    /// `Destination already exists`.
    ServerExists,
    /// `No such destination`.
    NoServer,
    /// `Scheduler or persistence engine not found`.
    NoScheduler,
    /// `Numerical result out of range`: the lower threshold is above the upper one.
    Thresholds,
    /// `Invalid operation. …`: a real server's address that is none of a host (0.0.0.0, multicast, broadcast).
    NotUnicast,
    /// The data plane refuses it; the message says why.
    Refused,
}

/// Which edit of a request was not made, and why. With `atomic` none was, else those before it were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditError {
    /// Its place in the request, from 0.
    pub index: u32,
    /// Why.
    pub failure: EditFailure,
    /// The same in words.
    pub message: String,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The whole table ([`crate::Request::Table`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// In no order that matters to `ipvsadm`: of the data plane, which `--nosort` shows.
    pub services: Vec<TableService>,
    /// Capacity of the connection table.
    pub connections: u64,
    /// `--timeout`: tcp, tcpfin, udp in seconds.
    pub timeouts: [u32; 3],
}

/// A service of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableService {
    /// What it answers for.
    pub key: Key,
    /// What is said of it.
    pub entry: ServiceEntry,
    /// Sums and rates over its real servers.
    pub traffic: Traffic,
    /// Real servers, newest first as IPVS has them.
    pub servers: Vec<TableServer>,
}

/// A real server of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableServer {
    /// Address and port.
    pub address: SocketAddr,
    /// What is said of it.
    pub entry: ServerEntry,
    /// Active connections.
    pub active: u32,
    /// Inactive ones.
    pub inactive: u32,
    /// Persistent clients.
    pub persistent: u32,
    /// Sums and rates.
    pub traffic: Traffic,
}

/// Sums since it was added or zeroed, and rates over the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections a second.
    pub connections_rate: u64,
    /// Packets from clients a second.
    pub packets_in_rate: u64,
    /// Packets to clients a second.
    pub packets_out_rate: u64,
    /// Bytes from clients a second.
    pub bytes_in_rate: u64,
    /// Bytes to clients a second.
    pub bytes_out_rate: u64,
}

/// Which connections are meant: those for which everything that is said holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    /// Of this service.
    #[serde(default)]
    pub service: Option<Key>,
    /// Of this real server, any port where the port is 0.
    #[serde(default)]
    pub real_server: Option<SocketAddr>,
    /// Of this client, any port where the port is 0.
    #[serde(default)]
    pub client: Option<SocketAddr>,
}

/// A connection ([`crate::Reply::Connections`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEntry {
    /// IANA number; 0 for a template that stands for every protocol.
    pub protocol: u8,
    /// The client; of a template: masked, port 0.
    pub client: SocketAddr,
    /// Where the client sends to; of a mark's template the mark as an IPv4 address, port 0, as IPVS has it.
    pub virtual_address: SocketAddr,
    /// The real server.
    pub real_server: SocketAddr,
    /// The client as the real server sees it, where FullNAT makes it another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_client: Option<SocketAddr>,
    /// `ESTABLISHED`, …, of a template `ASSURED` or `NONE`.
    pub state: String,
    /// Seconds to its end.
    pub expires_s: u32,
    /// A persistence template.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub template: bool,
    /// What a persistence engine knows the client by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKey>,
    /// Its service's name.
    pub service: String,
}

/// What a persistence engine knows a client by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineKey {
    /// The engine: `sip`.
    pub name: String,
    /// What it read from the packet: the Call-ID.
    pub data: String,
}

//! The status object. Its field names are a contract: other programs read `evenkeel status --json`.

mod bfd;
mod cluster;
mod counters;

pub use bfd::BfdStatus;
pub use cluster::{ClusterStatus, FenceStatus, GroupStatus, LinkStatus, NodeStatus, ResourceStatus};
pub use counters::HaCounters;

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Everything an instance is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Name of this node.
    pub node: String,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// The packet path.
    pub dataplane: DataplaneStatus,
    /// Failover groups; empty where the files name none.
    pub ha: Vec<HaStatus>,
    /// BFD sessions in the order of the files; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bfd: Vec<BfdStatus>,
    /// The heartbeat cluster; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStatus>,
    /// Virtual services in the order of the files.
    pub services: Vec<ServiceStatus>,
    /// The files and the last reload.
    #[serde(default)]
    pub config: ConfigStatus,
    /// What the operator should know, one sentence each: rules of the host's firewall that VIP traffic bypasses, changes
    /// the data plane refused, a crash that will not be survived.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The packet path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataplaneStatus {
    /// `ebpf` or `ipvs`.
    pub kind: String,
    /// Where it takes packets.
    pub attachments: Vec<Attachment>,
    /// Packets that ended in a reason instead of a real server, by reason; zeros left out.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
}

/// One front door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Name of the interface.
    pub interface: String,
    /// `xdp`, `tcx`, `clsact` or `generic`.
    pub mode: String,
    /// Kernel's id of the program.
    pub program_id: u32,
}

/// A failover group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaStatus {
    /// Its name.
    pub name: String,
    /// `vrrp` or `heartbeat`.
    pub protocol: String,
    /// `init`, `backup`, `master` or `fault`.
    pub state: String,
    /// Priority of this node.
    pub priority: u32,
    /// Addresses it holds or would hold, with prefix length.
    pub addresses: Vec<String>,
    /// Seconds in this state.
    pub since_s: u64,
    /// What brought it there.
    pub reason: String,
    /// Priority of this node as it was configured, before what is tracked changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_priority: Option<u32>,
    /// What of what it tracks is broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<HaFault>,
    /// What it has said and heard; of VRRP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<HaCounters>,
}

/// Something tracked that is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaFault {
    /// It keeps this node from being master; else it lowers its priority.
    pub unfit: bool,
    /// What is broken, such as `script chk_nginx fails`.
    pub what: String,
    /// Why, where more is known, such as `exit status 1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Seconds for which it is.
    pub since_s: u64,
}

/// The files and the last reload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Whether the last reload was taken; the old state runs on when not.
    pub ok: bool,
    /// Seconds since the configuration that runs was taken.
    pub since_s: u64,
    /// Why the last reload was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One virtual service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name; the key's text where the file gives none.
    pub name: String,
    /// `tcp`, `udp`, `sctp` or `fwm`.
    pub protocol: String,
    /// `192.0.2.1:80`.
    pub address: String,
    /// `rr`, `wrr`, …
    pub scheduler: String,
    /// The sorry server.
    pub fallback: Option<FallbackStatus>,
    /// Real servers in the order of the file.
    pub real_servers: Vec<RealServerStatus>,
    /// Taken out of service by `disable`.
    #[serde(default)]
    pub disabled: bool,
    /// Sums over all its real servers, past ones included.
    #[serde(default)]
    pub counters: Counters,
}

/// The sorry server of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FallbackStatus {
    /// `127.0.0.1:80`.
    pub address: String,
    /// It answers now, because no real server is up.
    pub in_use: bool,
}

/// State of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Serving.
    Up,
    /// Its checks fail, or a maintenance file names it.
    Down,
    /// Up, but weight 0 by `drain`.
    Drained,
    /// Out by `disable`.
    Disabled,
    /// Not checked yet.
    #[default]
    Unchecked,
}

impl fmt::Display for ServerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServerState::Up => "up",
            ServerState::Down => "down",
            ServerState::Drained => "drained",
            ServerState::Disabled => "disabled",
            ServerState::Unchecked => "unchecked",
        })
    }
}

/// One real server of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RealServerStatus {
    /// `192.0.2.2:80`.
    pub address: String,
    /// `dr`, `tun`, `nat`, `fullnat` or `local`.
    pub forward: String,
    /// Weight in the data plane now; 0 while it takes no new connections or is not there.
    pub weight: u32,
    /// Its state.
    pub state: ServerState,
    /// Why it is in this state: the last verdict, or who asked for it.
    pub reason: String,
    /// Seconds in this state.
    pub since_s: u64,
    /// Connections now.
    pub connections: Connections,
    /// Sums since it was added.
    pub counters: Counters,
    /// Its name; the address where the file gives none.
    #[serde(default)]
    pub name: String,
    /// Weight it has, or would have, while up: the operator's or the file's.
    #[serde(default)]
    pub full_weight: u32,
    /// It is in the data plane's table.
    #[serde(default)]
    pub in_table: bool,
    /// How it is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckStatus>,
    /// How packets reach it, where that is known: `52:54:00:aa:02:07 on eth1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
    /// No way to it is known: its packets go nowhere, and `next_hop` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreachable: bool,
}

/// How a real server is watched, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// What one attempt does, in words: `http check every 1 s`.
    pub what: String,
    /// The last verdict: `http 200 in 3 ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Milliseconds since the last good attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_ms: Option<u64>,
    /// Attempts that failed in a row.
    #[serde(default)]
    pub failed: u64,
    /// Milliseconds to the next attempt; none while one is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// A command that does the same by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// Connections now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Established, or on the way there.
    pub active: u64,
    /// Closing, or UDP.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
}

/// Sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections made.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients that crossed the director; 0 with direct routing.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients that crossed the director; 0 with direct routing.
    pub bytes_out: u64,
}

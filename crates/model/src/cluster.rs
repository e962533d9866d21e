//! The validated cluster: what `config` hands to the engine.

use crate::{
    Check, Forwarding, Match, Notify, Persistence, Prefix, Scheduler, ServiceKey, Thresholds, Weight,
    heartbeat::Heartbeat, vrrp,
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Everything one instance is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Node-wide settings.
    pub settings: Settings,
    /// Virtual services; keys and names are unique.
    pub services: Vec<Service>,
    /// VRRP instances; names, and virtual routers of a family on an interface, are unique, and so are their addresses.
    pub vrrp: vrrp::Elections,
    /// The heartbeat cluster this node is in.
    pub heartbeat: Option<Heartbeat>,
    /// Who is told of changes besides the log.
    pub notify: Notify,
}

/// Node-wide settings. `None` where the file says nothing; the command line wins over the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Capacity of the connection table.
    pub connections: Option<u32>,
    /// Interfaces to attach to; empty: where the VIPs' traffic arrives.
    pub interfaces: Vec<String>,
    /// Front door, as `--attach` has it: auto, tcx, clsact, xdp or generic.
    pub attach: Option<String>,
    /// Read the files again when they change on disk.
    pub autoreload: bool,
    /// Program run after an automatic reload, with the file's path as its argument (ldirectord's `callback`).
    pub callback: Option<PathBuf>,
    /// Other files to run in instances of their own (ldirectord's `execute`).
    pub execute: Vec<String>,
    /// Directory of maintenance files (ldirectord's `maintenancedir`).
    pub maintenance_dir: Option<PathBuf>,
    /// Log file (ldirectord's `logfile="/path"`).
    pub log_file: Option<PathBuf>,
    /// Syslog facility (ldirectord's `logfile="local0"`).
    pub log_facility: Option<String>,
    /// Stay in the foreground (ldirectord's `supervised`).
    pub supervised: bool,
    /// How long connections last.
    pub timeouts: Timeouts,
}

/// How long connections last without a packet, in seconds; `None`: as the data plane has it (900, 120, 300).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: Option<u32>,
    /// TCP connections after a FIN.
    pub tcp_fin: Option<u32>,
    /// UDP.
    pub udp: Option<u32>,
}

/// What becomes of connections in the cases where IPVS has node-wide switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Connections of a real server that is gone, removed or down, that are given up at their next packet: it is then
    /// scheduled anew if it can be (`expire_nodest_conn`).
    pub expire_gone: ExpireGone,
    /// A persistent client whose real server has weight 0 gets another one (`expire_quiescent_template`).
    pub expire_quiescent_template: bool,
    /// A SYN on a connection that is closing is a new connection (`conn_reuse_mode`); else it stays with its real server.
    pub reuse: bool,
    /// Any TCP packet but RST, and any SCTP packet but ABORT, may make a connection (`sloppy_tcp`, `sloppy_sctp`).
    pub sloppy: bool,
    /// New connections a second over all clients; `None`: no limit.
    pub new_rate: Option<u32>,
    /// New connections a second of one client address (IPv6: of its /64); `None`: no limit.
    pub source_rate: Option<u32>,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            expire_gone: ExpireGone::Udp,
            expire_quiescent_template: false,
            reuse: true,
            sloppy: false,
            new_rate: None,
            source_rate: None,
        }
    }
}

/// See [`Behaviour::expire_gone`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpireGone {
    /// None: they drain until their timeout.
    Never,
    /// Those of UDP, whose clients would else send into a black hole for as long as they like.
    #[default]
    Udp,
    /// All. A TCP client gets a reset from the director's own stack, if that has the VIP.
    All,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Unique name; the key's text where the file gives none.
    pub name: String,
    /// What it answers for.
    pub key: ServiceKey,
    /// How connections are spread.
    pub scheduler: Scheduler,
    /// Real servers in the order of the file; addresses are unique within the service.
    pub real_servers: Vec<RealServer>,
    /// Where connections go while no real server is up.
    pub fallback: Option<Fallback>,
    /// Program told about the fallback coming and going.
    pub fallback_command: Option<FallbackCommand>,
    /// What happens to a real server that goes down.
    pub on_fail: OnFail,
    /// How much of its real servers must be up.
    pub quorum: Quorum,
    /// Its checks rest while this host does not hold its virtual address (keepalived's `ha_suspend`).
    pub suspend: bool,
    /// What a real server counts as before its first check has ended.
    pub start: StartState,
    /// Who may connect.
    pub sources: Sources,
    /// Clients come back to their real server.
    pub persistence: Option<Persistence>,
    /// Every packet is scheduled by itself and no connection is kept; UDP only.
    pub one_packet: bool,
    /// What becomes of connections in special cases.
    pub behaviour: Behaviour,
    /// What the data plane gives this service's mark to by itself, first to last; empty for services on an address.
    pub matches: Vec<Match>,
    /// Its real servers of NAT are given what FTP needs: a relay of the control connections.
    pub ftp: bool,
    /// Remove the service when the daemon stops (ldirectord's `cleanstop`; no: the table is left serving).
    pub clean_stop: bool,
    /// File that gets one line a state change (ldirectord's `monitorfile`).
    pub monitor_file: Option<PathBuf>,
    /// Mails about state changes.
    pub alerts: Option<Alerts>,
}

/// A real server of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct RealServer {
    /// Unique within the service; the address's text where the file gives none.
    pub name: String,
    /// Names under which a maintenance file may call it besides its address (host names, as written).
    pub aliases: Vec<String>,
    /// Address and port. Without translation the port is the service's; 0 where that has none.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// Weight while it is up.
    pub weight: Weight,
    /// How many connections it may have.
    pub thresholds: Thresholds,
    /// What happens when it goes down, where that is not as for the others of the service.
    pub on_fail: Option<OnFail>,
    /// How it is watched. Equal checks of several services are made once, and need not be held more than once.
    pub check: Arc<Check>,
}

/// The sorry server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Address and port. Without translation the port is the service's.
    pub address: SocketAddr,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// While it is not needed it stays in the table with weight 0 (keepalived's `sorry_server_inhibit`).
    pub quiesce: bool,
}

/// How much of a service's real servers must be up for it to do without its sorry server. What counts is the sum of the
/// weights of those that are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// At least 1.
    pub weight: u32,
    /// So much more is needed to reach it again, and so much less is enough to keep it; less than `weight`.
    pub hysteresis: u32,
    /// At the start it counts as lost, so that the hysteresis has to be reached on top (keepalived's `alpha`).
    pub begins_lost: bool,
}

impl Default for Quorum {
    fn default() -> Quorum {
        Quorum { weight: 1, hysteresis: 0, begins_lost: false }
    }
}

/// A program run as `program arguments start|stop VIP:PORT PROTOCOL` when the fallback comes into use and goes out of
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackCommand {
    /// The program, without a shell.
    pub program: PathBuf,
    /// Arguments that come before those above.
    pub arguments: Vec<String>,
}

/// What happens to a real server that goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFail {
    /// Weight 0: connections it has stay.
    Quiesce,
    /// Taken out of the table: its connections drain as well, and are forgotten when it comes back empty.
    Remove,
}

/// What a real server counts as before its first check has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartState {
    /// No traffic before the first good check.
    Down,
    /// Traffic at once.
    Up,
}

/// Source prefixes that may or may not connect. A deny wins over an allow; a non-empty allow list denies the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Sorted, without duplicates.
    pub allow: Vec<Prefix>,
    /// Sorted, without duplicates.
    pub deny: Vec<Prefix>,
}

/// Mails about state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// Recipients.
    pub to: Vec<String>,
    /// Sender.
    pub from: Option<String>,
    /// SMTP server and port; `None`: the local one on port 25.
    pub smtp: Option<String>,
    /// How often a mail about a real server that stays down is sent again; zero: never.
    pub repeat: Duration,
    /// Which changes are told, of `starting`, `running`, `stopping`, `reloading`; empty: none.
    pub status: Vec<String>,
}

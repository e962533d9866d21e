//! What moves between nodes.

use super::NodeName;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// Resources that are always on one node together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is called by: the first resource of a line of haresources as written, the name in a native file.
    pub key: String,
    /// The nodes it may be on, best first; at least one. Nodes that are not named come after these, in their own order.
    pub prefer: Vec<NodeName>,
    /// Started first to last, stopped last to first; at least one.
    pub resources: Vec<Resource>,
}

/// One thing that is started and stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// As written: `IPaddr::10.168.0.160/24/eth0`, `nginx`.
    pub name: String,
    /// What starts and stops it.
    pub agent: Agent,
    /// How long a start may take.
    pub start_within: Duration,
    /// How long a stop may take.
    pub stop_within: Duration,
    /// How it is watched while it runs; `None`: not at all.
    pub monitor: Option<Monitor>,
}

/// How a running resource is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Between the end of a look and the next.
    pub every: Duration,
    /// How long a look may take.
    pub within: Duration,
    /// Failures of it here, in a row, after which it is restarted rather than moved; then the group moves.
    pub restarts: u32,
}

/// What starts and stops a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agent {
    /// An address (`IPaddr`, `IPaddr2`).
    Ip(IpResource),
    /// A script of heartbeat or of the host's init, called `SCRIPT ARGUMENTS… start|stop|status`. Without a slash it is looked
    /// for in [`super::Heartbeat::resource_dirs`].
    Script {
        /// Name, or absolute path.
        name: String,
        /// Arguments before the action.
        arguments: Vec<String>,
    },
    /// An OCF resource agent, called with `OCF_RESKEY_*` (`ocf:heartbeat:Filesystem`).
    Ocf {
        /// `heartbeat`.
        provider: String,
        /// `Filesystem`.
        name: String,
        /// Parameters by name.
        parameters: Vec<(String, String)>,
    },
    /// A unit of systemd.
    Systemd {
        /// With its suffix: `nginx.service`.
        unit: String,
    },
    /// Services of evenkeel itself (`ldirectord::file.cf`): they are part of this cluster's services and run everywhere;
    /// starting them has nothing to do.
    Services {
        /// The file they came from.
        file: PathBuf,
    },
}

/// An address that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpResource {
    /// The address.
    pub address: IpAddr,
    /// Prefix length; `None`: of the route that leads to it.
    pub prefix: Option<u8>,
    /// Interface; `None`: the one of the route that leads to it.
    pub interface: Option<String>,
    /// Label, such as `eth0:0`.
    pub label: Option<String>,
    /// Broadcast address; `None`: as the prefix has it.
    pub broadcast: Option<IpAddr>,
}

//! A cluster as Linux-HA Heartbeat has it: nodes that hear each other, and resource groups that move between them.

mod change;
mod fence;
mod group;
mod key;
mod medium;

pub use change::{Change, Origin, origins};
pub use fence::{Fence, FenceAgent};
pub use group::{Agent, Group, IpResource, Monitor, Resource};
pub use key::{Key, Keys, Method, SLOTS};
pub use medium::{Medium, PingNode};

use crate::Account;
use std::{fmt, path::PathBuf, time::Duration};

/// The most nodes a cluster has (Heartbeat's own bound).
pub const MOST_NODES: usize = 100;
/// The most media (Heartbeat's own bound).
pub const MOST_MEDIA: usize = 64;
/// The most resource groups: a node names all that it has in each status, and that is one datagram.
pub const MOST_GROUPS: usize = 1000;
/// The most bytes of their names, each with what is told of it, so that they fit in there more than once: as had, as seen on
/// other nodes, as failed.
pub const MOST_GROUP_BYTES: usize = 20_000;
/// What a status has beside the name of a group: when it was taken, and blanks.
pub const GROUP_BYTES: usize = 16;

/// One node's view of its cluster; the same on each but for [`Heartbeat::node`] and unicast peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// `cluster`; tells nothing to the protocol.
    pub cluster: String,
    /// This node, one of `nodes`.
    pub node: NodeName,
    /// All nodes in the order of the file; unique.
    pub nodes: Vec<NodeName>,
    /// How they hear each other; at least one.
    pub media: Vec<Medium>,
    /// Hosts that tell a node whether it is cut off; names unique, and none is a node's.
    pub pings: Vec<PingNode>,
    /// How fast.
    pub timing: Timing,
    /// What messages are signed with.
    pub keys: Keys,
    /// The form messages are sent in.
    pub form: Form,
    /// Who holds a group when the node it prefers comes back.
    pub failback: Failback,
    /// A node that reaches fewer ping nodes than the other gives its groups up.
    pub ipfail: bool,
    /// What moves, in the order of the file; keys are unique, and no address is in two.
    pub groups: Vec<Group>,
    /// How nodes are made silent before what they held is taken.
    pub fences: Vec<Fence>,
    /// Watchdog device.
    pub watchdog: Option<PathBuf>,
    /// Programs kept running beside it (`respawn`, `failfast`); ipfail is not one of them.
    pub children: Vec<Child>,
    /// What scripts get in their environment besides, without `HA_`.
    pub environment: Vec<(String, String)>,
    /// Added to the number of nodes, ping nodes too: how often a message may be forwarded (`hopfudge`).
    pub hop_fudge: u8,
    /// The longest a node waits before it asks for a message again (`max_rexmit_delay`).
    pub rexmit_delay: Duration,
    /// Directories of scripts, looked through in this order (`/etc/ha.d/resource.d`, `/etc/init.d`).
    pub resource_dirs: Vec<PathBuf>,
    /// Directory of scripts told of messages (`/etc/ha.d/rc.d`).
    pub notify_dir: Option<PathBuf>,
    /// The file of the messages' log (`logfile`).
    pub log_file: Option<PathBuf>,
    /// Syslog facility (`logfacility`).
    pub log_facility: Option<String>,
}

impl Heartbeat {
    /// `cluster` where nothing is said.
    pub const NAME: &str = "linux-ha";
    /// `hopfudge` where nothing is said.
    pub const HOP_FUDGE: u8 = 1;
    /// `max_rexmit_delay` where nothing is said.
    pub const REXMIT_DELAY: Duration = Duration::from_millis(250);

    /// What heartbeat takes where nothing else is said; `node` is one of `nodes`. There is no medium and no group yet.
    pub fn new(node: NodeName, nodes: Vec<NodeName>, timing: Timing, keys: Keys) -> Heartbeat {
        Heartbeat {
            cluster: Self::NAME.to_owned(),
            node,
            nodes,
            media: Vec::new(),
            pings: Vec::new(),
            timing,
            keys,
            form: Form::default(),
            failback: Failback::default(),
            ipfail: false,
            groups: Vec::new(),
            fences: Vec::new(),
            watchdog: None,
            children: Vec::new(),
            environment: Vec::new(),
            hop_fudge: Self::HOP_FUDGE,
            rexmit_delay: Self::REXMIT_DELAY,
            resource_dirs: Vec::new(),
            notify_dir: None,
            log_file: None,
            log_facility: None,
        }
    }
}

/// The name of a node, in lower case as it is on the wire; at most 100 bytes, no blanks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// `None` for what no node can be called.
    pub fn new(text: &str) -> Option<NodeName> {
        const LONGEST: usize = 100;
        let fits = !text.is_empty() && text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_graphic() && c != '=');
        fits.then(|| NodeName(text.to_ascii_lowercase()))
    }

    /// As it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two statuses.
    pub keepalive: Duration,
    /// Silence after which this node is dead to others, and it tells them so; above twice `keepalive`.
    pub deadtime: Duration,
    /// Silence after which a status is late.
    pub warntime: Duration,
    /// In place of `deadtime` until nodes have heard each other; at least `deadtime`.
    pub initdead: Duration,
    /// Silence after which a ping node is dead; above twice `keepalive`.
    pub deadping: Duration,
}

impl Timing {
    /// What heartbeat takes where nothing is said of the others.
    pub fn usual(keepalive: Duration, deadtime: Duration) -> Timing {
        const SHORT: Duration = Duration::from_secs(6);
        const LONG: Duration = Duration::from_secs(10);
        let initdead = if deadtime > LONG {
            deadtime
        } else if deadtime < SHORT {
            Duration::from_secs(12)
        } else {
            deadtime * 2
        };
        Timing { keepalive, deadtime, warntime: deadtime / 2, initdead, deadping: deadtime }
    }
}

/// The form of messages (`msgfmt`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// With a signature inside, which old peers read.
    #[default]
    Classic,
    /// Without.
    Netstring,
}

impl Form {
    /// How ha.cf calls it.
    pub fn word(self) -> &'static str {
        match self {
            Form::Classic => "classic",
            Form::Netstring => "netstring",
        }
    }
}

/// Who holds a group when the node it prefers comes back (`auto_failback`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failback {
    /// It gets its groups back.
    On,
    /// They stay where they are.
    Off,
    /// A node takes its own groups whenever it comes up, by the old protocol.
    #[default]
    Legacy,
}

impl Failback {
    /// How ha.cf calls it.
    pub fn word(self) -> &'static str {
        match self {
            Failback::On => "on",
            Failback::Off => "off",
            Failback::Legacy => "legacy",
        }
    }
}

/// A program kept running (`respawn`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// As whom.
    pub account: Account,
    /// Absolute path and arguments; at least the path.
    pub command: Vec<String>,
    /// Its death restarts the host (`failfast`).
    pub vital: bool,
}

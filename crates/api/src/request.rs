//! What a client may ask for, and who may ask it.

use crate::table::{ConnectionFilter, Edit, Key};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a caller may do; told from its credentials. Each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    View,
    /// Move traffic between what the files name.
    Operate,
    /// Change what the files say, and end the daemon.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::View => "view",
            Role::Operate => "operate",
            Role::Admin => "admin",
        })
    }
}

/// A part of a cluster's resource groups, seen from one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// All groups.
    #[default]
    All,
    /// Those that prefer this node.
    Local,
    /// Those that prefer another one.
    Foreign,
}

/// One request. A `server` is `web/real-1`, `real-1`, `192.0.2.1:80`, `192.0.2.1` or `web/192.0.2.1`; a `service` is a
/// name, `192.0.2.9:80/tcp`, `192.0.2.9:80` or an address. What fits several is refused with the list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The state of everything, or of one service. Answered with [`crate::Reply::Status`].
    Status {
        /// Only this service.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// A stream of [`crate::Reply::Event`] and, when asked for, [`crate::Reply::Status`]. Served by the runtime, which
    /// fans events out; the engine never sees it.
    Watch {
        /// Send every event.
        #[serde(default)]
        events: bool,
        /// Send the status at once and then so often, in milliseconds (at least 100).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status_every_ms: Option<u64>,
    },
    /// Read the files again. The runtime reads them and hands the engine the cluster, or why there is none.
    Reload {},
    /// What a reload would change. The runtime reads the files; answered with [`crate::Reply::Plan`].
    Plan {},
    /// End the daemon.
    Stop {},
    /// Weight 0 until `undrain`, over reloads and restarts.
    Drain {
        /// Which real server.
        server: String,
        /// Undrain by itself after so many seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_s: Option<u64>,
        /// Answer only once no more than `keep` active connections are left, and tell it with an event.
        #[serde(default)]
        until_idle: bool,
        /// As `until_idle`, but for so many seconds at the most; then the connections that are left are ended, as they are
        /// once no more than `keep` are active. How many is told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_s: Option<u64>,
        /// Active connections that need not be waited for.
        #[serde(default, skip_serializing_if = "is_none_of_them")]
        keep: u32,
        /// Also when no real server of a service would be left.
        #[serde(default)]
        force: bool,
    },
    /// Ends `drain`.
    Undrain {
        /// Which real server.
        server: String,
    },
    /// Another weight than the file's, over reloads and restarts; `None` goes back to the file's.
    Weight {
        /// Which real server.
        server: String,
        /// 0 to 2147483647.
        weight: Option<u32>,
        /// Also when no real server of a service would be left.
        #[serde(default)]
        force: bool,
    },
    /// Out of the table until `enable`, over reloads and restarts. A real server or a whole service.
    Disable {
        /// A real server, or a service.
        target: String,
        /// Also when no real server of a service would be left.
        #[serde(default)]
        force: bool,
    },
    /// Ends `disable`.
    Enable {
        /// A real server, or a service.
        target: String,
    },
    /// The table as `ipvsadm` lists it, or one service of it. Answered with [`crate::Reply::Table`].
    Table {
        /// Only this service; refused (`unknown`) where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<Key>,
    },
    /// Edits of the table, in order. Answered with [`crate::Reply::Done`] or [`crate::Reply::NotEdited`]. More than
    /// [`crate::REQUEST_LINE_MAX`] bytes are sent as several requests that `more` joins.
    Edit {
        /// What to do.
        edits: Vec<Edit>,
        /// All or nothing.
        #[serde(default)]
        atomic: bool,
        /// The next request goes on with this one: nothing is done yet, and the answer is only that it was taken
        /// ([`crate::Reply::Done`]). Places count from the first of them. Any other request in between is refused, and what
        /// was joined is forgotten with the connection. At most [`crate::JOINED_MAX`] bytes.
        #[serde(default)]
        more: bool,
    },
    /// The connections, as a stream of [`crate::Reply::Connections`]. Who has seen enough hangs up.
    Connections {
        /// Which ones.
        #[serde(default)]
        filter: ConnectionFilter,
    },
    /// How many connections there are. Answered with [`crate::Reply::Counted`].
    Count {
        /// Which ones.
        #[serde(default)]
        filter: ConnectionFilter,
    },
    /// Gives resource groups to other nodes. Answered with [`crate::Reply::Done`] once they have moved.
    Standby {
        /// Which of them.
        #[serde(default)]
        share: Share,
        /// Only this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// To this node, wherever they are; without it each goes to the node that suits it best.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Takes resource groups from other nodes. Answered with [`crate::Reply::Done`] once they have moved.
    Takeover {
        /// Which of them.
        #[serde(default)]
        share: Share,
        /// Only this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
    },
    /// An operator has made sure that a node touches nothing any more, as if it had been fenced; or that a group which could
    /// not be stopped here has stopped.
    Confirm {
        /// The name of the node, or the key of the group.
        node: String,
    },
    /// Ends connections. Answered with [`crate::Reply::Done`], which says how many.
    Flush {
        /// Which ones.
        filter: ConnectionFilter,
    },
}

impl Request {
    /// The role a caller must have.
    pub fn needs(&self) -> Role {
        match self {
            Request::Status { .. }
            | Request::Watch { .. }
            | Request::Plan {}
            | Request::Table { .. }
            | Request::Connections { .. }
            | Request::Count { .. } => Role::View,
            Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::Weight { .. }
            | Request::Disable { .. }
            | Request::Enable { .. }
            | Request::Standby { .. }
            | Request::Takeover { .. }
            | Request::Flush { .. } => Role::Operate,
            // Said wrongly, two nodes hold the same.
            Request::Confirm { .. } | Request::Reload {} | Request::Stop {} | Request::Edit { .. } => Role::Admin,
        }
    }

    /// The word of the command line for it.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Status { .. } => "status",
            Request::Watch { .. } => "watch",
            Request::Reload {} => "reload",
            Request::Plan {} => "plan",
            Request::Stop {} => "stop",
            Request::Drain { .. } => "drain",
            Request::Undrain { .. } => "undrain",
            Request::Weight { .. } => "weight",
            Request::Disable { .. } => "disable",
            Request::Enable { .. } => "enable",
            Request::Table { .. } => "table",
            Request::Edit { .. } => "edit",
            Request::Connections { .. } => "connections",
            Request::Count { .. } => "count",
            Request::Standby { .. } => "standby",
            Request::Takeover { .. } => "takeover",
            Request::Confirm { .. } => "confirm",
            Request::Flush { .. } => "flush",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
fn is_none_of_them(number: &u32) -> bool {
    *number == 0
}

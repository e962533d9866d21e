//! A heartbeat cluster in the status, as this node sees it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// What this node holds of what it would share: `none`, `local`, `foreign` or `all`.
    pub holds: String,
    /// What was configured, by heartbeat's names: `keepalive`, `deadtime`, ….
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Nothing is being moved.
    pub stable: bool,
    /// What a node reaches of the ping nodes decides who serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ipfail: bool,
    /// All nodes in the order of the files, this one too.
    pub nodes: Vec<NodeStatus>,
    /// Hosts that tell a node whether it is cut off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pings: Vec<NodeStatus>,
    /// What moves, in the order of the files.
    pub groups: Vec<GroupStatus>,
    /// Fence devices; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fencing: Vec<FenceStatus>,
    /// Messages that were not heard, by reason (`signature`, `unknown-node`, `replay`); left out where there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
}

/// A node, or a ping node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `init`, `up`, `active` or `dead`; of a ping node `ping` or `dead`.
    pub state: String,
    /// Seconds in this state.
    pub since_s: u64,
    /// What brought it there.
    pub reason: String,
    /// It runs evenkeel of this version; left out where it runs something else, or was not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its files say something else than this node's; left out where they do not, or it does not tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_configuration: bool,
    /// Seconds that its clock is ahead of this node's, negative behind; left out while it is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_s: Option<i64>,
    /// Milliseconds since it was last heard; left out where that is this node or it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
    /// The ways to it; of this node, what it can send by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkStatus>,
}

/// A way to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Interface or device.
    pub name: String,
    /// `up` or `dead`.
    pub state: String,
    /// Seconds in this state.
    pub since_s: u64,
}

/// A resource group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// Who has it; left out where that is nobody, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Seconds that it has been there, as this node knows.
    #[serde(default)]
    pub owner_since_s: u64,
    /// The nodes it may be on, best first.
    pub prefer: Vec<String>,
    /// Of this node: `stopped`, `starting`, `running`, `stopping` or `failed`.
    pub state: String,
    /// Seconds in this state.
    pub since_s: u64,
    /// What brought it there.
    pub reason: String,
    /// What it is made of, in the order in which it is started.
    pub resources: Vec<ResourceStatus>,
}

/// A resource of a group, on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// As it was written.
    pub name: String,
    /// What starts it, as crm_mon has it: `ocf::heartbeat:IPaddr2`, `lsb:nginx`, `systemd:nginx`.
    pub agent: String,
    /// `stopped`, `starting`, `running`, `stopping` or `failed`.
    pub state: String,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A fence device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceStatus {
    /// What speaks to it.
    pub device: String,
    /// The nodes it can fence.
    pub nodes: Vec<String>,
    /// `ready`, `fencing`, `failed` or `waits` for an operator's word.
    pub state: String,
    /// Seconds in this state.
    #[serde(default)]
    pub since_s: u64,
    /// The node whose turn it was last to fence one with its own device, while that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

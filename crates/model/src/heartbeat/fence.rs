//! How a node is made silent before what it held is taken.

use super::NodeName;
use std::{path::PathBuf, time::Duration};

/// A device that fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The nodes it can fence; empty: whichever it lists itself.
    pub nodes: Vec<NodeName>,
    /// What speaks to it.
    pub agent: FenceAgent,
    /// How long one attempt may take.
    pub within: Duration,
}

/// What speaks to a fence device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceAgent {
    /// A plugin of cluster-glue, through `stonith` (`ibmhmc`, `external/ssh`).
    Stonith {
        /// The plugin.
        kind: String,
        /// What `stonith_host` gives, as written.
        parameters: Vec<String>,
        /// What `stonith` gives instead: a file.
        file: Option<PathBuf>,
    },
    /// A fence agent (`fence_ipmilan`): `name=value` lines on its standard input.
    Agent {
        /// Absolute path, or a name looked for in `/usr/sbin`.
        program: String,
        /// Parameters by name.
        parameters: Vec<(String, String)>,
    },
}

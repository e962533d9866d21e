//! What an operator may want to know of a node.

use crate::{NodeState, Refusal};
use std::time::Duration;

/// Something an operator may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A node's state has changed; this node's own too.
    Node {
        /// Which.
        node: usize,
        /// To what.
        state: NodeState,
    },
    /// A node is heard on a medium, or no longer.
    Link {
        /// Which node.
        node: usize,
        /// On which medium.
        medium: usize,
        /// Whether it is heard.
        up: bool,
    },
    /// A ping node answers, or no longer.
    Ping {
        /// Which.
        ping: usize,
        /// Whether it answers.
        up: bool,
    },
    /// A status came later than `warntime`.
    Late {
        /// Whose.
        node: usize,
        /// How long nothing was heard.
        silent: Duration,
    },
    /// This node's own timer came so late that a death was put off.
    SelfLate {
        /// By how much.
        by: Duration,
    },
    /// This node did not run for longer than the others wait: it gave everything up.
    Frozen {
        /// For how long.
        silent: Duration,
    },
    /// A node is heard in a later run than before: to be kept for [`crate::Identity::heard`].
    Generation {
        /// Which.
        node: usize,
        /// Of that run.
        generation: u64,
    },
    /// A node that was dead is heard again, without having restarted.
    Returned {
        /// Which.
        node: usize,
    },
    /// A node has restarted.
    Restarted {
        /// Which.
        node: usize,
    },
    /// Both nodes had this group.
    Both {
        /// Which.
        group: usize,
        /// The other one.
        node: usize,
        /// This node keeps it; else it yields.
        keeps: bool,
    },
    /// A node has gained or lost a group.
    Holder {
        /// Which group.
        group: usize,
        /// Who has it now.
        node: Option<usize>,
        /// Why, where this node decided it.
        why: Option<Why>,
    },
    /// Whether a node is stable has changed; this node's own too.
    Stable {
        /// Which.
        node: usize,
        /// Whether it is.
        stable: bool,
    },
    /// A group failed here and goes to the other node, where there is one.
    Failed {
        /// Which.
        group: usize,
        /// Where it goes.
        to: Option<usize>,
    },
    /// What another node asked for was not done.
    Ignored {
        /// Which node.
        node: usize,
        /// Why.
        why: Refusal,
    },
    /// A hand-over was broken off.
    Cancelled {
        /// Why.
        why: Refusal,
    },
    /// A node is being fenced.
    Fencing {
        /// Which.
        node: usize,
        /// Whose device does it.
        by: usize,
        /// 1 and up, of that device.
        attempt: u32,
    },
    /// Fencing a node failed; nothing of it is taken. It is tried again, but for the last attempt.
    FenceFailed {
        /// Which.
        node: usize,
        /// 1 and up.
        attempt: u32,
        /// Only an operator's word helps now.
        last: bool,
    },
    /// A node was fenced, and is heard without having restarted.
    FencedButHeard {
        /// Which.
        node: usize,
    },
    /// A node tells another configuration than this one's, or the same again.
    Configuration {
        /// Which.
        node: usize,
        /// Whether it is another.
        differs: bool,
    },
    /// The wall clock of a node is so far from this one's, by what its messages say, or near it again (zero).
    Clock {
        /// Which.
        node: usize,
        /// Seconds that it is ahead; negative: behind.
        ahead: i64,
    },
    /// A node is heard and does not seem to hear this one, or does again: whether it acknowledges.
    Deaf {
        /// Which.
        node: usize,
        /// Whether it does not.
        deaf: bool,
    },
    /// A node is an evenkeel, of that version.
    Evenkeel {
        /// Which.
        node: usize,
        /// As it tells it.
        version: String,
        /// The paths it tells, `interface address`.
        paths: Vec<String>,
    },
    /// This node reaches fewer ping nodes than the other and gives its groups up.
    CutOff {
        /// How many it reaches.
        here: usize,
        /// How many the other one reaches; `None` where it only said so.
        there: Option<usize>,
    },
    /// Messages of a node never came, although they were asked for.
    Lost {
        /// The node.
        node: usize,
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A message of a node was not taken.
    Dropped {
        /// The node.
        node: usize,
        /// Why.
        reason: Unheard,
    },
}

/// Why this node has a group, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody had it.
    Nobody,
    /// Its node died.
    Dead,
    /// Its node left.
    Left,
    /// The other node gave it, or it was given.
    Given,
    /// Both had it.
    Both,
    /// This node did not run for too long.
    Frozen,
    /// It failed here.
    Failed,
    /// This node leaves.
    Leaving,
}

/// Why an authentic message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unheard {
    /// It is of an earlier run of that node.
    OldGeneration,
    /// It was heard before.
    Again,
    /// It lacks a field, or one makes no sense.
    Malformed,
}

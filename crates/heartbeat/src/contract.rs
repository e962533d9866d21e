//! What a node is told and what it wants done.
//!
//! Nodes, ping nodes, media and groups are named by their place in [`evenkeel_model::heartbeat::Heartbeat`].

use crate::Message;
use std::{fmt, sync::Arc, time::Duration};

/// What a node is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin. What a former run of this node left running is told before by [`Input::Group`].
    Start,
    /// A message, decoded and authenticated. One of this node itself may be told too; it is ignored.
    Heard {
        /// Where it came in.
        path: Path,
        /// What it says.
        message: Message,
    },
    /// A medium can be sent on, or no longer.
    Medium {
        /// Which.
        medium: usize,
        /// Whether it can.
        up: bool,
    },
    /// How a group of resources stands on this node.
    Group {
        /// Which.
        group: usize,
        /// How.
        standing: Standing,
    },
    /// An attempt to fence a node has ended.
    Fenced {
        /// Which node.
        node: usize,
        /// Whether it is certain that the node touches nothing any more.
        ok: bool,
    },
    /// An operator asks for something.
    Request {
        /// Comes back in [`Output::Answer`].
        id: u64,
        /// For what.
        what: Request,
    },
    /// Whether what this node serves is loaded and checked: before that it takes nothing from a node that lives. True
    /// until told.
    Ready(bool),
    /// The paths of this node's resource addresses, for a peer to send to: `interface address`, told in its statuses.
    Paths(Vec<String>),
    /// Give everything up, tell the others, and end with [`Output::Stopped`].
    Stop,
}

/// Where a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// A medium.
    Medium(usize),
    /// The answer of a ping node.
    Ping(usize),
}

/// How a group stands on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Nothing of it runs.
    #[default]
    Stopped,
    /// It is being started.
    Starting,
    /// All of it runs.
    Running,
    /// It is being stopped.
    Stopping,
    /// It could not be started, or does not run any more; nothing of it runs.
    Failed,
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The other node shall have these (`hb_standby`).
    Standby(Share),
    /// This node shall have these (`hb_takeover`).
    Takeover(Share),
    /// One group shall be on that node. Between evenkeels only.
    Move {
        /// The group.
        group: usize,
        /// Where to.
        to: usize,
    },
    /// A node is known to be off: fencing it is done.
    Confirm {
        /// Which node.
        node: usize,
    },
}

/// Some of the groups, as a node sees them that says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// None.
    #[default]
    None,
    /// Those that prefer the node that says it.
    Local,
    /// Those that prefer another node.
    Foreign,
    /// All.
    All,
}

/// What a node wants done or known.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message; it is to be encoded and signed.
    Transmit {
        /// On which medium; `None`: on all.
        medium: Option<usize>,
        /// What.
        message: Arc<Message>,
    },
    /// Send a message to a ping node, to each address of a group of them, as the data of an ICMP echo request.
    Ping {
        /// Which.
        ping: usize,
        /// What.
        message: Arc<Message>,
    },
    /// Start a group; answered by [`Input::Group`].
    Acquire {
        /// Which.
        group: usize,
    },
    /// Stop a group; answered by [`Input::Group`].
    Yield {
        /// Which.
        group: usize,
    },
    /// Tell the network once more where a group's addresses are.
    Announce {
        /// Which.
        group: usize,
    },
    /// Fence a node; answered by [`Input::Fenced`].
    Fence {
        /// Which.
        node: usize,
    },
    /// A status was sent in time: the watchdog may be petted.
    Pet,
    /// A message was heard, or sent by this node, that a script of `rc.d` may want to know of.
    Notify {
        /// What.
        message: Arc<Message>,
    },
    /// What became of a request.
    Answer {
        /// Whose.
        id: u64,
        /// What.
        result: Result<(), Refusal>,
    },
    /// Something an operator may want to know.
    Tell(News),
    /// It has given everything up and said so.
    Stopped,
}

/// Why a request was not done, as it reads after "cannot ...: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This node has not joined yet, or a hand-over is under way.
    NotStable,
    /// The other node has not joined yet, or a hand-over is under way there.
    PeerNotStable,
    /// There is nobody to give to.
    NoPeer,
    /// `auto_failback legacy` knows no standby.
    Legacy,
    /// This node is leaving.
    Leaving,
    /// The other node did not answer in 10 s.
    NoAnswer,
    /// It was not done within its time.
    TooLong,
    /// The other node died or left meanwhile.
    PeerGone,
    /// A heartbeat that is no evenkeel moves all groups of a share together.
    NotEvenkeel,
    /// Nobody waits for this node to be fenced.
    NothingToConfirm,
    /// The other node refused: a group failed there, or it is not ready.
    PeerRefused,
    /// There is no such group or node.
    Unknown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotStable => "this node is joining or handing over: ask again when `status` calls it stable",
            Refusal::PeerNotStable => {
                "the other node is joining or handing over: ask again when `status` calls it stable"
            }
            Refusal::NoPeer => "the other node is not there to take over",
            Refusal::Legacy => "`auto_failback legacy` has no standby: write `auto_failback on` or `off` in ha.cf",
            Refusal::Leaving => "this node is leaving",
            Refusal::NoAnswer => "the other node did not answer within 10 s",
            Refusal::TooLong => "it was not done within an hour",
            Refusal::PeerGone => "the other node went away meanwhile",
            Refusal::NotEvenkeel => "the other node is a heartbeat, which moves `local`, `foreign` or `all` groups",
            Refusal::NothingToConfirm => "nothing waits for that node to be fenced",
            Refusal::PeerRefused => "the other node refused: the group failed there, or it is not ready",
            Refusal::Unknown => "there is no such group or node",
        })
    }
}

/// The state of a node as others see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Not heard yet.
    #[default]
    Unknown,
    /// It has begun (`init`, `up`).
    Up,
    /// It takes part (`active`).
    Active,
    /// It fell silent.
    Dead,
    /// It has left in order (`shutdone`).
    Left,
}

impl NodeState {
    /// Whether it is heard.
    pub fn lives(self) -> bool {
        match self {
            NodeState::Up | NodeState::Active => true,
            NodeState::Unknown | NodeState::Dead | NodeState::Left => false,
        }
    }
}

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
        /// 1 and up.
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
    /// The wall clock of a node is so far from this one's, or near it again (zero).
    Clock {
        /// Which.
        node: usize,
        /// How far.
        apart: Duration,
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
    /// Its `src` is no node of this cluster.
    UnknownNode,
    /// It is of an earlier run of that node.
    OldGeneration,
    /// It was heard before.
    Again,
    /// It lacks a field, or one makes no sense.
    Malformed,
    /// Too many before it are missing.
    TooFar,
}

/// What makes one run of a node distinct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of the host, for ever (`hb_uuid`).
    pub uuid: [u8; 16],
    /// Greater at each start (`hb_generation`).
    pub generation: u64,
    /// Of the program, told to other evenkeels.
    pub version: String,
    /// A hash of what has to be equal on all nodes, told to other evenkeels.
    pub configuration: u64,
    /// For what is random.
    pub seed: u64,
}

/// What a node knows at a moment, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// Whether each ping node answers; `None`: not known yet.
    pub pings: Vec<Option<bool>>,
    /// Who has each group.
    pub holders: Vec<Option<usize>>,
    /// Groups that failed here.
    pub failed: Vec<usize>,
    /// This node is stable: it has joined, and no hand-over is under way.
    pub stable: bool,
    /// The groups of this node, as it says it (`rsc_hold`).
    pub hold: Share,
    /// The node that is to be fenced before anything of it is taken, and the attempts so far.
    pub fencing: Option<(usize, u32)>,
}

/// What a node knows of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its state.
    pub state: NodeState,
    /// On which media it is heard; of this node: all that can be sent on.
    pub links: Vec<bool>,
    /// Its version, where it is an evenkeel.
    pub version: Option<String>,
    /// When it was heard last.
    pub heard: Option<evenkeel_machine::Instant>,
}

//! What a node is told and what it wants done.
//!
//! Nodes, ping nodes, media and groups are named by their place in [`evenkeel_model::heartbeat::Heartbeat`].

use crate::{Message, News};
use evenkeel_model::heartbeat::{Change, Heartbeat};
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
    /// The cluster is configured otherwise, as far as that can change while it runs: from now on places are those of
    /// `wanted`. A group that is new stands stopped until told.
    Configure {
        /// How it is now. This node, all nodes and their order are as before.
        wanted: Box<Heartbeat>,
        /// Where everything was before.
        change: Change,
        /// As in [`crate::Identity::configuration`].
        configuration: u64,
    },
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
        /// Where to; `None`: away from this node, to the one that suits it best.
        to: Option<usize>,
    },
    /// All groups shall be on that node; of two, what this node has.
    MoveAll {
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
    /// A status follows: the watchdog may be petted, and the lease of addresses be renewed, for less than the dead time.
    /// At no other moment, for the other nodes count from here too.
    Pet {
        /// The dead time that it tells: so long after it the others may claim what this node has.
        dead_time: Duration,
    },
    /// A message that a script of `rc.d` may want to know of was heard, was sent by this node, or says what it has found out
    /// by itself.
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
    /// The status that heartbeat has for it.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Active => "active",
            NodeState::Unknown | NodeState::Dead | NodeState::Left => "dead",
        }
    }

    /// Whether it is heard.
    pub fn lives(self) -> bool {
        match self {
            NodeState::Up | NodeState::Active => true,
            NodeState::Unknown | NodeState::Dead | NodeState::Left => false,
        }
    }
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
    /// The highest generation heard of each node, by its place, as far as it was kept when [`News::Generation`] told it; 0
    /// or missing: none. What is older is a replay.
    pub heard: Vec<u64>,
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

//! What a node is told and what it wants done.

use evenkeel_heartbeat::{Message, News, Path, Refusal, Request};
use evenkeel_model::heartbeat::Heartbeat;
use evenkeel_resource::{Order, Outcome, Remark, Standing, Task, Trouble};
use std::{sync::Arc, time::Duration};

/// What a node is told. Nodes, ping nodes, media and groups are named by their place in the configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start,
    /// A message, decoded and authenticated.
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
    /// An action of a resource has ended.
    Done {
        /// Which.
        task: Task,
        /// How.
        outcome: Outcome,
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
    /// An operator says that what could not be stopped of this group has stopped.
    ConfirmStopped(Arc<str>),
    /// Whether what this node serves is loaded and checked.
    Ready(bool),
    /// Where this node can be spoken to beside its resource addresses: `interface address`.
    Paths(Vec<String>),
    /// The cluster is configured so from now on, which [`crate::refusal`] does not object to.
    Configure {
        /// How.
        wanted: Box<Heartbeat>,
        /// As in [`evenkeel_heartbeat::Identity::configuration`].
        configuration: u64,
    },
    /// Give everything up, tell the others, and end with [`Output::Stopped`]. While something cannot be stopped it does not
    /// end before that is confirmed, unless a device would fence it: silent, it would be taken for dead and its groups be
    /// started elsewhere. Said again, it ends without that.
    Stop,
}

/// What a node wants done or has to say.
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
    /// Carry this out; answered by [`Input::Done`].
    Run(Order),
    /// Break this off: kill it.
    Cancel(Task),
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
    /// A status is sent in time: leases may be renewed.
    Pet {
        /// The dead time that it tells: so long after it the others may claim what this node has.
        dead_time: Duration,
        /// Whether the watchdog may be petted as well.
        watchdog: bool,
    },
    /// A message that a script of `rc.d` may want to know of.
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
    /// A group stands otherwise on this node.
    Turned {
        /// Its place.
        group: usize,
        /// How it stands now.
        standing: Standing,
        /// Why it is being stopped, has failed or is stuck, if nobody asked for that.
        why: Option<Trouble>,
    },
    /// Something an operator should know of a group.
    Remark {
        /// Key of the group.
        group: Arc<str>,
        /// What.
        remark: Remark,
    },
    /// Something an operator may want to know of the cluster.
    Tell(News),
    /// Everything is given up, and the others know.
    Stopped,
}

//! The thread of a heartbeat cluster: media, ping nodes, timers, and the addresses of resource groups.
//!
//! ```text
//!  daemon ──Command──► wake ─┐                                  ┌──► media, ping nodes
//!  links, addresses ─────────┼──► loop ──► cluster::Node ───────┼──► addresses, with a lease
//!  messages, echo replies ───┤                                  ├──► watchdog
//!  timer (CLOCK_BOOTTIME) ───┘                                  └──► News ──► daemon: other resources, fencing, the log
//! ```
//!
//! Beside the daemon runs a guard, which ends the addresses when it no longer sends statuses.

mod addresses;
mod guard;
mod lease;
mod media;
mod silence;
mod station;

use crate::teller::Teller;
use evenkeel_cluster::Report;
use evenkeel_heartbeat::{Identity, Message, Reason, Refusal, Request};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Heartbeat;
use evenkeel_resource::{Order, Outcome, Remark, Standing, Task, Trouble};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    process,
    sync::Arc,
    thread::{self, JoinHandle},
};

pub use addresses::PROTOCOL;
pub use guard::watch as guard;

/// What the thread is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Whether this node may take something from a node that lives: its services are loaded and checked.
    Ready(bool),
    /// An action of a resource has ended.
    Done {
        /// Which.
        task: Task,
        /// How.
        outcome: Outcome,
    },
    /// An attempt to fence a node has ended.
    Fenced {
        /// Place of the node.
        node: usize,
        /// Whether it is certain that the node touches nothing any more.
        ok: bool,
    },
    /// An operator asks for something.
    Request {
        /// Comes back in [`News::Answer`].
        id: u64,
        /// For what.
        what: Request,
    },
    /// An operator says that what could not be stopped of a group has stopped.
    ConfirmStopped(Arc<str>),
    /// Tell how everything stands: [`News::Report`].
    Report,
    /// Take part so from now on, which [`evenkeel_cluster::refusal`] does not object to.
    Configure {
        /// How.
        wanted: Box<Heartbeat>,
        /// As in [`Identity::configuration`].
        configuration: u64,
    },
    /// This host is to be restarted: the watchdog is not petted any more.
    Restart,
    /// Give everything up, tell the others, and end; said again, also with what cannot be stopped.
    Stop,
}

/// What the thread has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Something of the cluster.
    Told(evenkeel_heartbeat::News),
    /// Carry this out; answered by [`Command::Done`].
    Run(Order),
    /// Break this off.
    Cancel(Task),
    /// A group stands otherwise on this node.
    Turned {
        /// Its place.
        group: usize,
        /// How.
        standing: Standing,
        /// Why it is being stopped, has failed or is stuck, if nobody asked for that.
        why: Option<Trouble>,
    },
    /// Something an operator should know of a group.
    Remark {
        /// Its key.
        group: Arc<str>,
        /// What.
        remark: Remark,
    },
    /// Fence this node; answered by [`Command::Fenced`].
    Fence {
        /// Place of the node.
        node: usize,
    },
    /// A message that a script of `rc.d` may want to know of.
    Notify(Arc<Message>),
    /// This host has other addresses of groups than before.
    Addresses(Addresses),
    /// What became of a request.
    Answer {
        /// Whose.
        id: u64,
        /// What.
        result: Result<(), Refusal>,
    },
    /// The first message that was dropped for this reason from this source, or the first for a while.
    Dropped {
        /// Why.
        reason: Reason,
        /// Who sent it; `None` on a serial line.
        source: Option<IpAddr>,
        /// How many of them since it was last told.
        count: u64,
    },
    /// It takes part so from now on; in whatever is told after this, places are those of this configuration.
    Configured(Box<Heartbeat>),
    /// How everything stands, and when that is by the clock of its instants.
    Report(Box<Report>, Instant),
    /// Something did not work; the text is a sentence fragment that reads well after "heartbeat: ".
    Trouble(String),
}

/// The addresses of groups that this host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Those that groups hold here, each with its interface.
    pub held: BTreeSet<(IpAddr, String)>,
    /// Those that somebody else has put here for good.
    pub strays: BTreeSet<Stray>,
}

/// An address of a group that is on this host, and not by the group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// It.
    pub address: IpAddr,
    /// The length of its prefix.
    pub prefix: u8,
    /// Where it is.
    pub interface: String,
}

/// The running thread.
#[derive(Debug)]
pub struct Ha {
    teller: Teller<Command>,
    thread: JoinHandle<()>,
}

/// Begins to take part in the cluster in the caller's network namespace, `ready` as by [`Command::Ready`].
/// `guard` runs [`guard`] on its standard input. `tell` is called on the thread and must not block.
pub fn start(
    wanted: Heartbeat,
    identity: Identity,
    ready: bool,
    guard: process::Command,
    tell: impl FnMut(News) + Send + 'static,
) -> Result<Ha, String> {
    let (teller, orders) = Teller::new()?;
    let station = station::Station::prepare(wanted, identity, guard, orders, Box::new(tell))?;
    let thread = thread::Builder::new().name("ha-heartbeat".into()).spawn(move || station.run(ready));
    let thread = thread.map_err(|e| format!("start the thread for heartbeat: {e}"))?;
    Ok(Ha { teller, thread })
}

impl Ha {
    /// Another way to the thread.
    pub fn teller(&self) -> Teller<Command> {
        self.teller.clone()
    }

    /// Ends the thread and waits until everything is given up. Orders go on meanwhile.
    pub fn stop(self) {
        self.teller.end(Command::Stop, self.thread);
    }
}

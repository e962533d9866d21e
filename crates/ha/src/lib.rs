//! The thread that holds elections: sockets, addresses and timers of VRRP, and of BFD.
//!
//! Advertisements never wait for a slow check, a client or a reload: everything that times them runs here, on one
//! thread of real-time priority with one epoll loop. The rest of the daemon speaks to it in [`Command`]s and hears
//! [`News`].
//!
//! ```text
//!  daemon ──Command──► wake ─┐
//!  links, addresses ─────────┼──► loop ──► vrrp::Router ──► sockets, addresses, announcements
//!  packets ──────────────────┤      ├──► bfd::Sessions ──► sockets; a master they lose is not waited for
//!  timer (CLOCK_BOOTTIME) ───┘      └──News──► daemon
//! ```

#![forbid(unsafe_code)]

mod addresses;
mod bfd;
mod carry_out;
mod closed;
mod configure;
mod elections;
mod events;
mod fixed;
pub mod heartbeat;
mod igmp;
mod links;
mod member;
mod pacing;
mod promote;
mod renewals;
mod report;
mod routing;
mod tally;
mod teller;
mod tracking;
mod vmac;
mod wires;

use evenkeel_model::vrrp::{self, Target};
use evenkeel_vrrp::{
    Notice, Reason, Role, Why,
    track::{Sight, Standing},
};
use std::{
    net::IpAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

pub use addresses::PROTOCOL;
pub use fixed::FIXED_PROTOCOL;
pub use report::{Report, Socket};
pub use teller::Teller;

/// What the thread is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Whether this node may replace a working master: its services are loaded and checked.
    Ready(bool),
    /// What was seen of something tracked that is no interface.
    Seen(Target, Sight),
    /// Tell how every instance stands: [`News::Report`].
    Report {
        /// Begin to count anew.
        clear: bool,
    },
    /// Hold elections for these from now on; what did not change is not touched.
    Configure(Box<vrrp::Elections>),
    /// Give up all mastership, each as gently as its protocol allows, and end.
    Stop,
}

/// What the thread has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An instance has another part now.
    Turned {
        /// Its name.
        instance: Arc<str>,
        /// What it was.
        from: Role,
        /// What it is.
        to: Role,
        /// Why.
        why: Why,
        /// The priority it has, tracking included.
        priority: u8,
    },
    /// The state of something tracked has changed; told before what follows from it.
    Tracked {
        /// What.
        target: Target,
        /// How it stands now.
        standing: Standing,
    },
    /// What is tracked, or a new configuration, has changed the priority of an instance.
    Priority {
        /// Its name.
        instance: Arc<str>,
        /// What it is now.
        priority: u8,
    },
    /// Something an operator should know of an instance.
    Noticed {
        /// Its name.
        instance: Arc<str>,
        /// What.
        notice: Notice,
    },
    /// The first advertisement that had this wrong from this source, or the first for a while.
    Wrong {
        /// The name of the instance.
        instance: Arc<str>,
        /// Who sent it.
        source: IpAddr,
        /// What is wrong.
        reason: Reason,
        /// Whether it was dropped; else it counts all the same.
        dropped: bool,
        /// How many of them since it was last told.
        count: u64,
    },
    /// How every instance stands, in the order of the configuration.
    Report(Vec<Report>),
    /// A BFD session stands otherwise.
    Bfd {
        /// Its name.
        session: Arc<str>,
        /// How it stands now.
        standing: evenkeel_bfd::Standing,
    },
    /// The first packet of BFD that was dropped for this reason from this source, or the first for a while.
    BfdDropped {
        /// Name of the session it is about; `None`: of none.
        session: Option<Arc<str>>,
        /// Who sent it.
        source: IpAddr,
        /// Why it was dropped.
        reason: evenkeel_bfd::Reason,
        /// How many of them since it was last told.
        count: u64,
    },
    /// Something did not work; the text is a sentence fragment that reads well after "VRRP: ".
    Trouble(String),
}

/// The running thread.
#[derive(Debug)]
pub struct Ha {
    teller: Teller<Command>,
    thread: JoinHandle<()>,
}

/// Begins to hold the elections that are `wanted` in the caller's network namespace. `tell` is called on the thread and must
/// not block.
pub fn start(wanted: vrrp::Elections, tell: impl FnMut(News) + Send + 'static) -> Result<Ha, String> {
    let (teller, orders) = Teller::new()?;
    let elections = elections::Elections::prepare(wanted, orders, Box::new(tell))?;
    let thread = thread::Builder::new().name("ha".into()).spawn(move || elections.run());
    let thread = thread.map_err(|e| format!("start the thread for elections: {e}"))?;
    Ok(Ha { teller, thread })
}

impl Ha {
    /// Tells the thread something; says whether there was room for it.
    pub fn tell(&self, command: Command) -> bool {
        self.teller.tell(command)
    }

    /// Another way to the thread.
    pub fn teller(&self) -> Teller<Command> {
        self.teller.clone()
    }

    /// Ends the thread and waits until all addresses are handed over or removed.
    pub fn stop(self) {
        self.teller.end(Command::Stop, self.thread);
    }
}

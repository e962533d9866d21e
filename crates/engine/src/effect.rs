//! What the engine wants done.

use crate::{CheckId, Overrides, Token};
use evenkeel_api::{Event, Reply};
use evenkeel_dataplane::Change;
use evenkeel_model::{Forwarding, Origin, Probe, ServiceKey, Timeouts};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Something to be done, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make these changes true, in order; report with [`crate::Input::Programmed`]. No other comes before that report.
    Program {
        /// Names the batch.
        batch: u64,
        /// Never empty.
        changes: Vec<Change>,
    },
    /// Do this in the data plane; report with [`crate::Input::Programmed`], as for [`Effect::Program`].
    Operate {
        /// Names it among the batches.
        batch: u64,
        /// What to do.
        operation: Operation,
    },
    /// End the connections of a service that a real server has; report with [`crate::Input::Flushed`].
    Flush {
        /// Of this service.
        service: ServiceKey,
        /// Of this real server.
        real_server: SocketAddr,
    },
    /// From now on packets are sent to these, or taken for them, because a client edited the table; or no more.
    Follow {
        /// New ones; each is named once more than it was.
        more: Vec<Followed>,
        /// Each is named once less.
        less: Vec<Followed>,
    },
    /// Make an attempt; report with [`crate::Input::Begun`] when its turn comes and [`crate::Input::Verdict`].
    Probe(ProbeOrder),
    /// Give up an attempt; no report is wanted.
    CancelProbe {
        /// As ordered.
        check: CheckId,
        /// As ordered.
        attempt: u64,
    },
    /// Run a program, do not wait for it, tell [`evenkeel_api::Event::CommandFailed`] when it fails.
    Run(ScriptOrder),
    /// Send a mail.
    Mail(Mail),
    /// Append a line to a monitor file; the runtime puts `[time] [pid] ` in front.
    MonitorLine {
        /// Where.
        file: PathBuf,
        /// What, without line feed: `tcp:192.0.2.2:80 [down] connect to 192.0.2.2:80 refused`.
        line: String,
    },
    /// Tell everyone who listens: log, clients that watch.
    Event(Event),
    /// Read counters and the like; report with [`crate::Input::Sampled`]. No other comes before that report.
    Sample,
    /// Answer a request.
    Reply {
        /// Whose.
        token: Token,
        /// With what.
        reply: Reply,
    },
    /// Keep this over a restart, in place of what was kept before; give it back in [`crate::Start`].
    Persist(Overrides),
    /// The engine has ended; nothing comes after this.
    Exit(Exit),
}

/// What clients may have done beside the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Count a service (all: `None`) from 0 again.
    Zero(Option<ServiceKey>),
    /// Set how long connections last.
    Timeouts(Timeouts),
}

/// What the host's network has to do with the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A service.
    Service(ServiceKey),
    /// A real server.
    RealServer(IpAddr, Forwarding),
}

/// One attempt to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOrder {
    /// Which check.
    pub check: CheckId,
    /// Which attempt of it.
    pub attempt: u64,
    /// What to do.
    pub probe: Probe,
    /// Where it comes from.
    pub origin: Origin,
    /// Hard deadline from its beginning.
    pub timeout: Duration,
}

/// A program to run, without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptOrder {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A mail to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Recipients.
    pub to: Vec<String>,
    /// Sender; none: the daemon's user at this host.
    pub from: Option<String>,
    /// SMTP server and port; none: the local one on port 25.
    pub smtp: Option<String>,
    /// One line.
    pub subject: String,
    /// Lines.
    pub body: String,
}

/// How the engine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Services left serving (`cleanstop=no`): what is pinned must stay.
    pub left: usize,
    /// The data plane refused to let go of services.
    pub failed: bool,
}

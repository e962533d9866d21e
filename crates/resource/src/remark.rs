//! What an operator should know of a group.

use crate::order::{Action, Outcome, STOP_TRIES};
use std::{fmt, sync::Arc, time::Duration};

/// An action on a resource that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The resource, as written.
    pub resource: Arc<str>,
    /// What was to be done.
    pub action: Action,
    /// How long it might take.
    pub within: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

impl fmt::Display for Trouble {
    /// ``` `nginx` did not start: exit status 1 ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { resource, action, within, outcome } = self;
        write!(f, "`{resource}` ")?;
        let seconds = within.as_secs_f64();
        match (action, outcome) {
            (Action::Start, Outcome::TimedOut) => write!(f, "did not start within {seconds} s"),
            (Action::Start, Outcome::Failed { why }) => write!(f, "did not start: {why}"),
            (Action::Start, Outcome::NotRunning | Outcome::Done) => write!(f, "does not run after its start"),
            (Action::Stop, Outcome::TimedOut) => write!(f, "did not stop within {seconds} s"),
            (Action::Stop, Outcome::Failed { why }) => write!(f, "did not stop: {why}"),
            (Action::Stop, Outcome::NotRunning | Outcome::Done) => write!(f, "has stopped"),
            (Action::Status, Outcome::TimedOut) => write!(f, "did not say within {seconds} s whether it runs"),
            (Action::Status, Outcome::Failed { why }) => write!(f, "does not say whether it runs: {why}"),
            (Action::Monitor, Outcome::TimedOut) => write!(f, "did not answer its monitoring within {seconds} s"),
            (Action::Monitor, Outcome::Failed { why }) => write!(f, "has failed: {why}"),
            (Action::Status | Action::Monitor, Outcome::NotRunning) => write!(f, "does not run any more"),
            (Action::Status | Action::Monitor, Outcome::Done) => write!(f, "runs"),
        }
    }
}

/// What happened within a group without its standing telling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A resource ran already and was taken over as it is.
    TakenOver(Arc<str>),
    /// It was asked whether it runs and did not say so; it is started.
    Unsure(Trouble),
    /// A script started well, but when it is asked since then it does not say that it runs: its failures are not noticed.
    Unwatched(Arc<str>),
    /// A resource failed, and is started again here.
    Restarted {
        /// How it failed.
        trouble: Trouble,
        /// How often it failed in a row, this time included.
        failures: u32,
        /// How often it may.
        of: u32,
    },
    /// A stop did not work, but the resource says that it does not run.
    StoppedAnyway(Trouble),
    /// A stop did not work, and is tried again.
    StopAgain {
        /// How.
        trouble: Trouble,
        /// Which attempt it was, from 1.
        attempt: u32,
    },
    /// A group that is no longer configured has stopped.
    Gone,
    /// A group that is no longer configured cannot be stopped.
    GoneStuck(Trouble),
}

impl fmt::Display for Remark {
    /// A sentence about the group without its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::TakenOver(resource) => write!(f, "`{resource}` runs already and is taken over as it is"),
            Remark::Unsure(trouble) => write!(f, "{trouble}; it is started"),
            Remark::Unwatched(resource) => write!(
                f,
                "`{resource}` started well, but does not say that it runs when it is asked for its status: until it does, \
                 nobody notices when it fails.  Next: have `status` print `running`"
            ),
            Remark::Restarted { trouble, failures, of } => {
                write!(f, "{trouble}; it is started again here ({failures} of {of} times)")
            }
            Remark::StoppedAnyway(trouble) => write!(f, "{trouble}; asked, it says that it does not run"),
            Remark::StopAgain { trouble, attempt } => {
                write!(f, "{trouble} (attempt {attempt} of {STOP_TRIES}); it is tried again")
            }
            Remark::Gone => write!(f, "it is no longer configured and has been stopped"),
            Remark::GoneStuck(trouble) => write!(f, "it is no longer configured, but cannot be stopped: {trouble}"),
        }
    }
}

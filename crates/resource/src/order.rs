//! What is ordered, and how it ended.

use evenkeel_model::heartbeat::Resource;
use std::{fmt, sync::Arc, time::Duration};

/// How long a resource may take to say whether it runs, where nothing else is configured.
pub const ASK_WITHIN: Duration = Duration::from_secs(20);
/// Between two attempts to stop a resource, as heartbeat has it.
pub const RETRY_STOP: Duration = Duration::from_secs(1);
/// Attempts to stop a resource, as heartbeat has them (`HA_STOPRETRYMAX`).
pub const STOP_TRIES: u32 = 10;
/// After its start a script is looked at so soon for the first time, so that it is known whether it tells.
pub const FIRST_LOOK: Duration = Duration::from_secs(1);
/// A script that did not say so often that it runs probably never does.
pub const UNSAID: u32 = 3;
/// After its deadline an action of which nothing is heard counts as timed out: whoever runs it tells so much earlier.
pub const GRACE: Duration = Duration::from_secs(5);

/// Names one action; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task(pub u64);

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Have it run.
    Start,
    /// Have it end.
    Stop,
    /// Say whether it runs, before it would be started.
    Status,
    /// Say whether it still runs.
    Monitor,
}

impl Action {
    /// Whether it changes nothing, so that it may be broken off.
    pub fn only_asks(self) -> bool {
        match self {
            Action::Status | Action::Monitor => true,
            Action::Start | Action::Stop => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Status => "status",
            Action::Monitor => "monitor",
        }
        .fmt(f)
    }
}

/// One action, to be carried out by whoever runs resources. For a resource there is never a second one before the
/// outcome of the first is told, or the first was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what its outcome is told.
    pub task: Task,
    /// Key of the group.
    pub group: Arc<str>,
    /// With what.
    pub resource: Arc<Resource>,
    /// What.
    pub action: Action,
    /// How long it may take; then it is to be killed.
    pub within: Duration,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; asked whether it runs: it does.
    Done,
    /// It does not run.
    NotRunning,
    /// It did not work; asked whether it runs: that it does not run well, or cannot be told.
    Failed {
        /// A sentence fragment: `exit status 1: nginx: [emerg] bind() failed`.
        why: String,
    },
    /// It took too long, and was killed.
    TimedOut,
}

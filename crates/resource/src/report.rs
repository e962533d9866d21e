//! How groups stand.

use crate::remark::Trouble;
use evenkeel_machine::Instant;
use std::{fmt, sync::Arc};

/// How a group stands on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing of it runs here.
    Stopped,
    /// It is being started.
    Starting,
    /// All of it runs; a resource of it may be starting again after a failure.
    Running,
    /// It is being stopped.
    Stopping,
    /// It cannot run here, and nothing of it does: it may run elsewhere.
    Failed,
    /// Something of it cannot be stopped: it must not run elsewhere.
    Stuck,
}

impl Standing {
    /// Whether something of it may run here.
    pub fn may_run(self) -> bool {
        match self {
            Standing::Stopped | Standing::Failed => false,
            Standing::Starting | Standing::Running | Standing::Stopping | Standing::Stuck => true,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Stopped => "stopped",
            Standing::Starting => "starting",
            Standing::Running => "running",
            Standing::Stopping => "stopping",
            Standing::Failed => "failed",
            Standing::Stuck => "cannot be stopped",
        }
        .fmt(f)
    }
}

/// A group, for `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReport {
    /// Its key.
    pub key: Arc<str>,
    /// Whether it is configured; else it is on its way out.
    pub configured: bool,
    /// How it stands.
    pub standing: Standing,
    /// Since when.
    pub since: Instant,
    /// Why it failed, is being stopped or cannot be.
    pub why: Option<Trouble>,
    /// Its resources in their order.
    pub resources: Vec<ResourceReport>,
}

/// A resource, for `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceReport {
    /// As written.
    pub name: Arc<str>,
    /// Whether it runs.
    pub running: Running,
    /// Failures of its monitoring in a row.
    pub failures: u32,
}

/// Whether a resource runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Running {
    /// It was not started, or has stopped.
    No,
    /// It is being asked whether it runs.
    Asked,
    /// It is being started.
    Starting,
    /// It runs.
    Yes,
    /// It is being stopped.
    Stopping,
    /// A start or stop of it did not end well.
    Unknown,
}

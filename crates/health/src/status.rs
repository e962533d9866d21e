//! What `status` shows of a watch.

use crate::{Verdict, Weighing};
use evenkeel_machine::Instant;

/// Whether a real server counts as up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Too few attempts have been made.
    Unknown,
    /// The last `rise` attempts at some time were good, and no `fall` in a row have failed since.
    Up,
    /// The other way round.
    Down,
}

/// How attempts went since the state last changed, those that changed it included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts that ended.
    pub made: u64,
    /// Those of them that failed.
    pub failed: u64,
}

/// The last attempt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// When.
    pub at: Instant,
    /// How.
    pub verdict: Verdict,
}

/// What `status` shows of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Up, down or not known yet.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// The last attempt, if one has ended.
    pub last: Option<Last>,
    /// When the last good attempt ended.
    pub last_good: Option<Instant>,
    /// Attempts since the state changed.
    pub counts: Counts,
    /// Attempts in a row that ended like the last one.
    pub streak: u32,
    /// What the check makes of the real server's weight, while that is up.
    pub weighing: Weighing,
}

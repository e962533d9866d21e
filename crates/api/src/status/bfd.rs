//! BFD sessions in the status.

use serde::{Deserialize, Serialize};

/// A BFD session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BfdStatus {
    /// Its name.
    pub name: String,
    /// Address of the other end.
    pub neighbour: String,
    /// `admin_down`, `down`, `init` or `up`.
    pub state: String,
    /// Seconds in this state.
    pub since_s: u64,
    /// Why this end was last not up; `nothing` where it always was, or is now.
    pub reason: String,
    /// State of the other end, as it last said.
    pub remote_state: String,
    /// Why the other end was last not up, as it last said.
    pub remote_reason: String,
    /// Microseconds between packets to the neighbour; up to a quarter of it is taken off at random.
    pub transmit_us: u64,
    /// Microseconds between packets from it.
    pub receive_us: u64,
    /// Microseconds of silence after which it counts as gone.
    pub detection_us: u64,
}

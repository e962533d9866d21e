//! Runs what a cluster runs: resource scripts and agents, fence devices, scripts told of messages, programs kept running.
//!
//! Everything is a child without a shell, in a process group of its own, with a deadline at which the whole group is
//! killed, and with bounded output of which the last line is kept as the reason. Nothing here decides anything: what is
//! run comes from `resource` and `heartbeat`, and outcomes go back there.
//!
//! ```text
//!  resource::Order ──► Agents ──► script | OCF agent | systemctl ──► resource::Outcome
//!  Output::Fence ────► fence() ──► stonith | external plugin | fence agent ──► by what, or why not
//!  Output::Notify ───► Notices ──► rc.d/TYPE
//!  respawn lines ────► Keeper ───► children ──► Departed
//! ```
//!
//! Tasks are spawned where they are asked for: inside a `tokio` `LocalSet`.

#![forbid(unsafe_code)]

mod agents;
mod call;
mod child;
mod external;
mod fencing;
mod judge;
mod keeper;
mod notices;
mod places;

pub use agents::Agents;
pub use fencing::{fence, fits};
pub use keeper::{Departed, Keeper};
pub use notices::{Failed, Notices};
pub use places::Places;

//! Check machines: when to probe a real server, and when it counts as up or down.
//!
//! A [`Watch`] follows one target. It orders attempts ([`Output::Probe`]), takes their verdicts ([`Input::Verdict`])
//! and tells when the state changes. It opens no socket and reads no clock. At most one attempt is in flight, and an
//! attempt nobody reports on is counted as timed out, so that a watch never falls silent.
//!
//! ```text
//!              rise good in a row              fall bad in a row
//!            ┌──────────────────► up ◄───────┐
//!  unknown ──┤                     │         │ rise good in a row
//!            └──────────────────► down ──────┘
//!              fall bad in a row   ▲ fall bad in a row (from up)
//! ```
//!
//! Verdicts are plain data: whoever makes the attempts may live in another process.

#![forbid(unsafe_code)]

mod status;
mod verdict;
mod watch;

pub use status::{Counts, Last, State, Status};
pub use verdict::{MAX_TEXT, Outcome, Phase, Reason, Verdict, Weighing, printable};
pub use watch::{GRACE, Input, MIN_WAIT, Output, QUEUE_ALLOWANCE, Watch, Which};

//! A node of a heartbeat cluster in one machine: who is alive and who holds what ([`evenkeel_heartbeat`]), what that means
//! for the resources of each group ([`evenkeel_resource`]), and what became of it, told back.
//!
//! ```text
//!  messages, time, requests ──► heartbeat::Node ──Acquire, Yield──► resource::Groups ──► Run, Cancel
//!                                     ▲  └──► Transmit, Ping, Fence, …      │
//!                                     └───────────── standing ──────────────┘
//! ```

#![forbid(unsafe_code)]

mod change;
mod contract;
mod node;
mod report;

pub use change::{caution, refusal};
pub use contract::{Input, Output};
pub use node::Node;
pub use report::Report;

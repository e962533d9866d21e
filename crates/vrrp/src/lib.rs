//! VRRP versions 2 and 3 without a socket or a clock (RFC 9568, 5798, 3768).
//!
//! A packet goes through the [`Receiver`], which judges it, to the [`Instance`], which holds the election; what it wants
//! done comes out as [`Output`]s. Messages are made by [`codec::Prepared`], which keeps them so that a master that
//! speaks allocates nothing.
//!
//! ```text
//!  bytes ──► Packet ──► Receiver ──► Heard ──► Instance ──► Advertise, Hold, Release, Announce, Turned
//!                          │                      ▲
//!                          └──► Reason            └── time, links, tracking, the sync group
//! ```

#![forbid(unsafe_code)]

mod announce;
mod authentication;
pub mod checksum;
pub mod codec;
pub mod hmac;
mod instance;
pub mod lease;
mod reason;
mod receive;
mod router;
mod statistics;
mod timers;
pub mod track;
mod transmit;

pub use instance::{Input, Instance, LATE, LATE_BOUND, Notice, Output, Role, Settings, Why};
pub use reason::Reason;
pub use receive::{Heard, Packet, Receiver, SENDERS, Terms};
pub use router::{Place, Router};
pub use statistics::Statistics;
pub use transmit::Transmitter;

//! Linux-HA Heartbeat without a socket or a clock: the messages, who is alive, and who holds what.
//!
//! ```text
//!  bytes ──► codec + keys ──► Message ──► stream (order, replays) ──► membership ──► holding ──► Acquire, Yield, Fence
//!                 │                            │                          │             │
//!                 └──► Reason                  └──► ask again             └── time      └── groups, requests
//! ```
//!
//! Rules are numbered HB-1 … in docs/wire/heartbeat.md.

#![forbid(unsafe_code)]

pub mod codec;
mod contract;
pub mod control;
mod extension;
pub mod history;
mod holding;
mod ipfail;
mod lines;
mod membership;
mod message;
mod news;
mod node;
mod plan;
mod reason;
mod receive;
mod share;
mod signature;
pub mod stream;
mod transmit;

pub use codec::{Form, MOST_FIELDS};
pub use contract::{Identity, Input, NodeState, NodeView, Output, Path, Refusal, Request, Share, Standing, View};
pub use lines::Lines;
pub use message::{LONGEST, Message, Value};
pub use news::{News, Unheard, Why};
pub use node::Node;
pub use reason::{Drops, Reason};
pub use receive::Receiver;
pub use transmit::Transmitter;

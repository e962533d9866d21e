//! Linux-HA Heartbeat without a socket or a clock: the messages, who is alive, and who holds what.
//!
//! ```text
//!  bytes ──► codec + keys ──► Message ──► stream (order, replays) ──► membership ──► holding ──► Acquire, Yield, Fence
//!                 │                            │                          │             │
//!                 └──► Reason                  └──► ask again             └── time      └── groups, requests
//! ```

#![forbid(unsafe_code)]

mod message;

pub use message::{LONGEST, Message, Value};

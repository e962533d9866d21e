//! Linux-HA Heartbeat without a socket or a clock: the messages, who is alive, and who holds what.
//!
//! ```text
//!  bytes ──► codec + keys ──► Message ──► stream (order, replays) ──► membership ──► holding ──► Acquire, Yield, Fence
//!                 │                            │                          │             │
//!                 └──► Reason                  └──► ask again             └── time      └── groups, requests
//! ```

#![forbid(unsafe_code)]

mod contract;
mod message;
mod share;

pub use contract::{
    Identity, Input, News, NodeState, NodeView, Output, Path, Refusal, Request, Share, Standing, Unheard, View, Why,
};
pub use message::{LONGEST, Message, Value};

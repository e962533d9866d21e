//! Requests, replies and events between the daemon and its clients.
//!
//! On the control socket both sides speak lines of JSON. The daemon greets first (a [`Greeting`], or a [`Reply::Refused`]
//! where the caller may not even look), then the client sends one [`Request`] at a time and gets one [`Reply`] for it.
//! The exceptions are [`Request::Watch`], whose replies stream until the client hangs up, and [`Request::Connections`],
//! whose replies stream until the one that is the last. A line of a client is at most
//! [`REQUEST_LINE_MAX`] bytes; replies have no such limit. Fields are only ever added within one [`PROTOCOL`] number, and
//! readers skip reply fields they do not know; unknown fields of a *request* are refused, since a misread `drain` is
//! worse than a refused one.
//!
//! ```text
//! < {"evenkeel":"0.1.0","protocol":1,"role":"admin"}
//! > {"drain":{"server":"web/real-1","for_s":600}}
//! < {"done":{"message":"web/real-1 drains: 12 connections left, no new ones"}}
//! ```
#![forbid(unsafe_code)]

mod event;
mod frame;
mod plan;
mod reply;
mod request;
mod status;
pub mod table;
mod words;

pub use event::{Event, Severity};
pub use frame::{FrameError, Lines, to_line};
pub use plan::{PlanAction, PlanLine};
pub use reply::{Greeting, Refusal, RefusalCode, Reply, Stamped};
pub use request::{Request, Role, Share};
pub use status::{
    Attachment, BfdStatus, CheckStatus, ClusterStatus, ConfigStatus, Connections, Counters, DataplaneStatus,
    FallbackStatus, FenceStatus, GroupStatus, HaCounters, HaFault, HaStatus, LinkStatus, NodeStatus, RealServerStatus,
    ResourceStatus, ServerState, ServiceStatus, Status,
};
pub use words::{count, lasting};

/// Version of this protocol; raised only when old clients could misread something.
pub const PROTOCOL: u32 = 1;

/// Bytes of the lines that `more` joins to one [`Request::Edit`], over all clients.
pub const JOINED_MAX: usize = 64 * 1024 * 1024;

/// The longest line a client may send, line feed excluded.
pub const REQUEST_LINE_MAX: usize = 64 * 1024;

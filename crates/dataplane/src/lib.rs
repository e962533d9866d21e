//! The table of services, the planner, the data plane trait and its in-memory reference.
//!
//! What is wanted (a [`Table`]) is compared with what is there, and only the difference ([`Change`]s) is applied. The
//! rules of the packet path are numbered in `docs/packet-path.md`.
#![forbid(unsafe_code)]

pub mod contract;
pub mod reference;
pub mod schedule;
mod table;
mod traits;

pub use table::{Change, Note, Order, RealServer, Service, ServiceOptions, Table};
pub use traits::{
    ApplyError, Capabilities, Connection, ConnectionFilter, Counters, Dataplane, Egress, NextHop, Route, Vlan,
};

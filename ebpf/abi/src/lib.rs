//! Keys and values of the maps that the eBPF program and the daemon share.
//!
//! Plain old data, sizes asserted at compile time. Addresses and ports are kept as they stand in a packet (network
//! order bytes); numbers of our own are in host order. Whoever changes a layout here raises [`LAYOUT`], which is part
//! of the directory name of the pins: an old daemon's maps are then never taken for new ones.
#![no_std]
#![forbid(unsafe_code)]

pub mod flow;
pub mod hash;
mod reason;
mod table;
pub mod tcp;

pub use reason::Reason;
pub use table::{
    ACL_ALLOW, ACL_DENY, ACL_ENTRIES, ACL_FOREIGN, CELL_EMPTY, CELL_LIMIT, Counters, Cursor, DEST_LOCAL, DEST_NO_NEW,
    DEST_RESOLVED, DEST_V6, Dest, DestInfo, Drops, FILTER_WORDS, Filter, Header, LEVEL_CELLS, LIST_HEAD_CELLS, List,
    Load, SCHED_MAGLEV, SCHED_MH, SCHED_MH_PORT, SCHED_RR, SCHED_WRR, SERVICE_ACL, SERVICE_DEFAULT_DENY, Service,
    ServiceInfo, ServiceKey, filter_bit,
};

/// Version of all layouts in this crate, and of the numbers in [`tcp`]: a program in force is told from another one by its
/// instructions only, which do not show them.
pub const LAYOUT: u32 = 1;

//! Keys and values of the maps that the eBPF program and the daemon share.
//!
//! Plain old data, sizes asserted at compile time. Addresses and ports are kept as they stand in a packet (network
//! order bytes); numbers of our own are in host order. Whoever changes a layout here raises [`LAYOUT`], which is part
//! of the directory name of the pins: an old daemon's maps are then never taken for new ones.
#![no_std]
#![forbid(unsafe_code)]

pub mod flow;
pub mod fragment;
pub mod hash;
pub mod limit;
pub mod link;
pub mod locality;
pub mod mark;
mod reason;
pub mod sctp;
mod settings;
pub mod sip;
pub mod state;
mod table;
pub mod tcp;
pub mod unwrap;

pub use reason::Reason;
pub use settings::Settings;
pub use table::*;

/// Version of all layouts in this crate, and of the numbers in [`tcp`] and [`sctp`]: a program in force is told from another one by its
/// instructions only, which do not show them.
pub const LAYOUT: u32 = 2;

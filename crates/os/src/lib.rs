//! Files, processes, namespaces, mounts and kernel parameters: the parts of the system that are not the network's own.
//!
//! Everything here is synchronous and small. Whatever changes a thread (its namespace, its working directory) is done
//! on a thread made for it.

mod account;
mod bpffs;
pub mod child;
pub mod clock;
mod descriptors;
mod detach;
mod error;
pub mod firewall;
mod heap;
mod host_name;
mod local_time;
mod namespace;
mod pid_file;
mod realtime;
mod runtime_dir;
mod serial;
mod sockets;
mod sysctl;
pub mod trust;
mod udp_listener;
mod usage;
mod watchdog;

pub use account::{Ids, script_user};
pub use bpffs::{Bpffs, holds_pins, lasting_bpffs, remove_bpffs};
pub use clock::Clock;
pub use descriptors::close_inherited;
pub use detach::{Herald, Side, Waiter, detach};
pub use error::{Error, Result};
pub use heap::trim_heap;
pub use host_name::host_name;
pub use local_time::LocalTime;
pub use namespace::Namespace;
pub use pid_file::{Holder, PidFile, Signal};
pub use realtime::{be_realtime, lock_memory};
pub use runtime_dir::{Lock, RuntimeDir};
pub use serial::SerialLine;
pub use sockets::receive_errors;
pub use sysctl::Sysctl;
pub use udp_listener::UdpListener;
pub use usage::Usage;
pub use watchdog::Watchdog;

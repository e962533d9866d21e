//! The loops that feed the engine and carry out its effects.
//!
//! One task owns the engine and the data plane ([`run`]). Everything else - probes, clients, files, mails, programs -
//! is a task of its own that speaks to it in plain messages over bounded channels, so that it could be another process.
#![forbid(unsafe_code)]

mod answered;
mod bfd;
mod callers;
mod claims;
mod clock;
mod cluster;
mod commands;
mod configuration;
mod control;
mod core;
mod daemon;
mod doors;
mod dumps;
mod ebpf;
mod elections;
pub mod files;
mod firewall;
mod follows;
mod forwarding;
pub mod host;
mod instances;
mod interfaces;
mod limits;
pub mod log;
mod mail;
mod marks;
pub mod memory;
mod network;
mod notify;
mod path;
mod probes;
mod relay;
mod remarks;
mod reports;
mod running;
mod service_manager;
mod sinks;
mod state;
mod tracking;
mod watch;

pub use cluster::guard as heartbeat_guard;
pub use configuration::{Configuration, Loader, Written};
pub use daemon::{Failure, Need, Opened, Opener, Options, run};
pub use dumps::DumpFiles;
pub use ebpf::{has_leftovers, open as open_ebpf, remove_leftovers};
pub use path::{Door, PacketPath};
pub use watch::SourceFile;

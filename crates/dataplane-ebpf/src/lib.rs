//! The data plane on our own eBPF program: load, attach, pin, adopt.
//!
//! The program and its maps live in the kernel. With a pin directory they outlive the daemon: packets flow on while it is
//! gone, and the next start takes tables, connections and counters over as they are (docs/adr/0002). The daemon shares
//! the arrays' memory with the program (`mapped`), so that reading a million connections costs no system call.
//!
//! `EVENKEEL_EBPF_OBJECT` names another object file to load instead of the built-in one, for tests of a rebuilt one.
#![allow(unsafe_code, reason = "maps are shared memory, and some bpf(2) commands have no safe wrapper")]

mod adopt;
mod apply;
mod attach;
mod cells;
mod clients;
mod clock;
mod connections;
mod detach;
mod early;
mod error;
mod filter;
mod flush;
mod fragments;
mod hops;
mod kernel;
mod links;
mod mapped;
mod maps;
mod marks;
mod members;
mod mend;
mod open;
mod options;
mod plane;
mod publish;
mod room;
mod rules;
mod run;
mod servers;
mod settings;
mod slots;
mod sources;
mod state;
mod sums;
mod sweep;
#[cfg(feature = "traffic")]
mod traffic;
pub mod unwrap;

pub use attach::{Attach, Attachment, Mode};
pub use detach::remove_leftovers;
pub use error::Error;
pub use fragments::Settled;
pub use links::ways_out;
pub use open::{Opened, Options};
pub use plane::EbpfDataplane;
pub use run::{Door, Outcome, Runner};

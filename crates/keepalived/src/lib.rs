//! The command line of keepalived 2.2.7 and the files it writes about itself, byte for byte, without a kernel or a
//! daemon.
//!
//! [`parse`] makes a [`Call`] of words, or says what keepalived says when it cannot. A [`Dump`] is what the daemon knows;
//! [`Dump::data`], [`Dump::stats`], [`Dump::json`] and [`Dump::check`] are the files that programs around keepalived read
//! (`/tmp/keepalived.data` and its relatives). Their form was observed on keepalived 2.2.7;
//! tests/conformance/keepalived-dumps holds the recordings.
#![forbid(unsafe_code)]

mod call;
mod dump;
mod signal;

pub use call::{Call, Parsed, parse, usage, version};
pub use dump::{Civil, Dump, Link, Programs, ScriptStanding, Socket, Standing, State};
pub use signal::{Asked, signal_number};

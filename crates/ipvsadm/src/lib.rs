//! The command line of ipvsadm 1.31 and its output, byte for byte, without a kernel or a daemon.
//!
//! [`parse`] makes a [`Call`] of words, or says what ipvsadm says when it cannot ([`Fault`]). The functions of [`print`]
//! write what the lists look like. [`Rules`] splits what `-R` reads. Names of hosts and services are asked of [`Names`].
//! What is written here was observed on ipvsadm 1.31 with Linux 6.1; tests/conformance/ipvsadm holds the recordings.
#![forbid(unsafe_code)]

mod address;
mod call;
mod check;
mod flags;
mod names;
mod number;
mod options;
mod order;
mod parse;
pub mod print;
mod rules;
mod scan;
mod usage;

pub use call::{Call, Fault, View, failure, save_call, wrong_save_call};
pub use names::{Names, NoNames, Services};
pub use parse::parse;
pub use rules::{LONGEST_LINE, Rules};
pub use usage::{VERSION, usage};

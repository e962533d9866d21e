//! The packet path once more, plainly: the rules of docs/packet-path.md over ordinary collections.
//!
//! [`Memory`] is a whole data plane that forwards nothing but says what would become of each frame. The eBPF program is
//! compared with it packet by packet, so nothing here is shared with the program but the numbers of the rules: parsing,
//! states and headers are written a second time.

pub mod bed;
pub mod build;
mod clock;
pub mod compare;
pub mod fixtures;
mod fragments;
mod header;
mod limit;
mod marks;
mod memory;
mod open;
mod parse;
mod path;
mod persist;
pub mod random;
mod routes;
mod send;
mod servers;
mod state;
mod table;
mod too_big;
mod topic;
mod translate;
mod tunnel;
pub mod unwrap;
mod wire;

pub use memory::Memory;
pub use path::Outcome;
pub use routes::{Routes, Towards};
pub use topic::Topic;

use evenkeel_abi::Reason;
use std::io;

/// Where a frame came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Before the kernel has made anything of it.
    Xdp,
    /// As a socket buffer: the kernel can resolve next hops, and may have merged packets.
    Tc,
}

/// What can be seen of an [`Outcome`] from outside, of any data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where the frame went.
    pub verdict: Verdict,
    /// The frame as it went on; empty when it was dropped.
    pub frame: Vec<u8>,
    /// The reason that was counted.
    pub reason: Option<Reason>,
}

/// Where a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// To the host's own stack.
    Pass,
    /// Nowhere.
    Drop,
    /// Out of the interface it came in by, at the XDP door.
    Transmit,
    /// Out of an interface.
    Redirect,
}

/// A data plane that can be handed single frames: the reference, and the eBPF program under test run.
pub trait Traffic: crate::Dataplane {
    /// Hands over a frame that came in by `interface` at `door`. [`io::ErrorKind::InvalidInput`]: such a frame cannot be.
    fn frame(&mut self, door: Door, interface: u32, frame: &[u8]) -> io::Result<Sighting>;

    /// Lets time pass for the connection table.
    fn elapse(&mut self, seconds: u32) -> io::Result<()>;
}

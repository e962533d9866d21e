//! A data plane that nothing is attached to.
#![allow(clippy::expect_used, reason = "a test ends where its bed cannot be made")]

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};

/// Connections the plane is made for.
pub(crate) const CONNECTIONS: u32 = 4096;

/// A fresh one, pinned nowhere; `None` without the right to load programs.
pub(crate) fn plane() -> Option<EbpfDataplane> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let options = Options {
        pins: None,
        connections: CONNECTIONS,
        services: 256,
        real_servers: 1024,
        cells: 1 << 20,
        timeouts: TIMEOUT_SECONDS,
    };
    Some(EbpfDataplane::open(&options).expect("a data plane").0)
}

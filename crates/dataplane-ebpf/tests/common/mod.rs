//! A data plane that nothing is attached to.
#![allow(clippy::expect_used, reason = "a test ends where its bed cannot be made")]
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod host;

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::reference::{Topic, bed};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use std::cell::Cell;

/// Connections the plane is made for.
pub(crate) const CONNECTIONS: u32 = 4096;

/// What is compared; `EVENKEEL_TOPICS` names others, with commas between them.
pub(crate) fn topics() -> Vec<Vec<Topic>> {
    let Ok(names) = std::env::var("EVENKEEL_TOPICS") else {
        return Topic::TOGETHER.iter().map(|topics| topics.to_vec()).collect();
    };
    let topic = |name: &str| Topic::ALL.iter().copied().find(|topic| format!("{topic:?}") == name);
    vec![names.split(',').map(|name| topic(name).expect("a topic")).collect()]
}

/// A fresh one, pinned nowhere; `None` without the right to load programs.
pub(crate) fn plane() -> Option<EbpfDataplane> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let options = Options {
        pins: None,
        connections: CONNECTIONS,
        services: 512,
        real_servers: 2048,
        cells: 1 << 21,
        timeouts: TIMEOUT_SECONDS,
    };
    Some(EbpfDataplane::open(&options).expect("a data plane").0)
}

thread_local! {
    static IS_ON_HOST: Cell<bool> = const { Cell::new(false) };
}

/// The same on a host with the routes of [`bed::routes`]: this thread gets a network namespace of its own.
pub(crate) fn plane_on_host() -> Option<EbpfDataplane> {
    if rustix::process::geteuid().is_root() && !IS_ON_HOST.replace(true) {
        host::own_network();
        bed::HOST.iter().for_each(|line| host::run(&format!("ip {line}")));
        for (switch, value) in bed::SWITCHES {
            std::fs::write(format!("/proc/sys/net/{switch}"), value).expect("a host that forwards");
        }
    }
    plane()
}

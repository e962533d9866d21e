//! A host that tests may change: a bpffs and a network namespace of their own.
#![allow(unsafe_code, reason = "a test thread enters a network namespace of its own")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use evenkeel_dataplane_ebpf::{Attach, Mode};
use std::{path::PathBuf, process::Command};

pub(crate) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: loading a packet program needs root");
    }
    root
}

/// The ways to attach that this kernel has.
pub(crate) fn ways() -> impl DoubleEndedIterator<Item = (Attach, Mode)> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or_default());
    let has_tcx = (numbers.next(), numbers.next()) >= (Some(6), Some(6));
    let ways = [
        (Attach::Tcx, Mode::Tcx),
        (Attach::Clsact, Mode::Clsact),
        (Attach::Generic, Mode::Generic),
        (Attach::Xdp, Mode::Xdp),
    ];
    ways.into_iter().filter(move |(_, mode)| has_tcx || *mode != Mode::Tcx)
}

/// A bpffs of its own, unmounted at the end.
pub(crate) struct Pins(pub(crate) PathBuf);

impl Pins {
    pub(crate) fn new(name: &str) -> Pins {
        let path = std::env::temp_dir().join(format!("evenkeel-pins-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&path).status().unwrap();
        assert!(mount.success(), "cannot mount a bpffs");
        Pins(path)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// A network namespace of this test thread, gone with it.
pub(crate) fn own_network() {
    // SAFETY: only the network of this thread changes, which is what the tests after it want.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
}

/// The same with a pair of interfaces. The second one to come up, which tests send by, can send at once; the first one
/// only when the kernel has got round to noticing its carrier.
pub(crate) fn own_namespace() {
    own_network();
    run("ip link add veth0 type veth peer name veth1");
    run("ip link set veth1 up");
    run("ip link set veth0 up");
}

pub(crate) fn run(line: &str) {
    let mut words = line.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{line}");
}

//! Debian's keepalived in the director's place.

use super::{Bed, Daemon};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PROGRAM: &str = "/usr/sbin/keepalived";

/// Which half of it is to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Elections,
    /// Beside an IPVS that does nothing.
    Checkers,
}

/// Whether it is installed, and what its checkers need besides.
pub(crate) fn is_here(half: Half) -> bool {
    let compiler = || Command::new("cc").arg("--version").output().is_ok_and(|output| output.status.success());
    Path::new(PROGRAM).exists() && (half == Half::Elections || compiler())
}

/// Starts it in the foreground; what it says goes to the log of the bed.
pub(crate) fn start(bed: &Bed, half: Half) -> Daemon {
    let mut command = bed.inside(PROGRAM);
    if half == Half::Checkers {
        command.env("LD_PRELOAD", no_ipvs(bed));
    }
    command.arg(if half == Half::Elections { "-P" } else { "-C" }).args(["-n", "-l", "-D", "-G", "-f"]).arg(bed.file());
    for (option, name) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
        command.arg(option).arg(bed.directory.join(name));
    }
    let log = fs::File::create(bed.log()).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Daemon(command.spawn().unwrap())
}

fn no_ipvs(bed: &Bed) -> PathBuf {
    let (source, library) = (bed.directory.join("no_ipvs.c"), bed.directory.join("no_ipvs.so"));
    if !library.exists() {
        fs::write(&source, include_str!("no_ipvs.c")).unwrap();
        let mut command = Command::new("cc");
        command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(command.status().unwrap().success(), "cc makes no library");
    }
    library
}

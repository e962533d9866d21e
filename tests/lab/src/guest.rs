//! A guest with Linux 6.1 in user mode, which has what the machine's own kernel may lack: SCTP, VLANs, tunnel devices. A
//! test that needs it runs itself there once more.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::program;

/// Modules of the director's tc door, beside those that a test asks for.
const MODULES: &str = "sch_ingress cls_bpf";

/// Names another object of the packet path than the one in the program.
const OBJECT: &str = "EVENKEEL_EBPF_OBJECT";

/// Whether this is the guest.
pub fn inside() -> bool {
    std::env::var_os("UML_RUN").is_some()
}

/// Runs the test `name` of this program in a guest with these kernel modules, for at most so many seconds.
pub fn run(name: &str, modules: &str, seconds: u32) {
    let Some(mut command) = boot(modules, seconds) else { return };
    command.arg("-e").arg(format!("EVENKEEL_PROGRAM={}", program().display())).arg("--");
    command.arg(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    let done = command.stdin(Stdio::null()).output().expect("uml-run runs");
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "in the guest:\n{text}");
    // A name that no test has runs none, and that is a success too.
    assert!(text.contains("1 passed"), "the guest ran no test:\n{text}");
}

/// `uml-run` of this checkout, up to its options; `None`, and said why: there is no guest to boot.
pub fn boot(modules: &str, seconds: u32) -> Option<Command> {
    let there = ["/usr/bin/linux.uml", "/usr/bin/linux"].iter().any(|path| Path::new(path).exists());
    if !there {
        println!("skipped: needs the package user-mode-linux");
        return None;
    }
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/uml-run"));
    let modules = format!("{MODULES} {modules}");
    command.args(["-S", "-t", &seconds.to_string(), "-m", "1G", "-M", &modules]);
    if std::env::var_os(OBJECT).is_some() {
        command.args(["-e", OBJECT]);
    }
    Some(command)
}

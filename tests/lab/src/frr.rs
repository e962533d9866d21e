//! FRR's zebra and one of its daemons on a node, which live in a directory of their own.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use crate::LIMIT;
use evenkeel_lab::{Node, Process};
use rustix::process::Signal;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Where Debian has FRR's daemons.
const FRR: &str = "/usr/lib/frr";

/// The two, until this is dropped.
pub struct Frr {
    directory: PathBuf,
    node: Arc<Node>,
    daemon: &'static str,
    process: Process,
    _zebra: Process,
}

/// Whether Debian's FRR is there; says so where not.
pub fn has_frr(daemon: &str) -> bool {
    let there = Path::new(FRR).join(daemon).exists();
    if !there {
        println!("skipped: needs FRR (apt install frr)");
    }
    there
}

impl Frr {
    /// Starts zebra and `daemon`, which is configured by `text`; `directory` is made.
    pub fn start(node: Arc<Node>, directory: &Path, daemon: &'static str, text: &str) -> Frr {
        std::fs::create_dir(directory).expect("a directory can be made");
        std::fs::write(directory.join(format!("{daemon}.conf")), text).expect("the file is written");
        std::fs::write(directory.join("zebra.conf"), "").expect("the file is written");
        // They would run as a user who cannot reach the directory; root may be theirs once it is in their group.
        let group = std::fs::read_to_string("/etc/group").expect("there are groups");
        let with_root =
            |line: &str| if line.starts_with("frrvty:") { format!("{line},root\n") } else { format!("{line}\n") };
        let groups = directory.join("group");
        std::fs::write(&groups, group.lines().map(with_root).collect::<String>()).expect("the file is written");
        let run = |name: &str| {
            let file = |suffix: &str| directory.join(format!("{name}.{suffix}"));
            let mut command = Command::new("unshare");
            command
                .args(["-m", "sh", "-c", "mount --bind \"$1\" /etc/group && shift && exec \"$@\"", "sh"])
                .arg(&groups);
            command.arg(Path::new(FRR).join(name)).args(["-u", "root", "-g", "root"]);
            command.args(["-P", "0", "--log", "stdout", "-f"]).arg(file("conf"));
            command.arg("-i").arg(file("pid")).arg("-z").arg(directory.join("zserv"));
            command.arg("--vty_socket").arg(directory);
            if name == "bfdd" {
                command.arg("--bfdctl").arg(file("ctl"));
            }
            let log = File::create(file("log")).expect("a log");
            command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
            Process::new(name, node.spawn(command).expect("FRR starts"))
        };
        let zebra = run("zebra");
        let until = Instant::now() + LIMIT;
        while !directory.join("zserv").exists() {
            assert!(Instant::now() < until, "never zebra listened: {}", said(directory, "zebra"));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let process = run(daemon);
        Frr { directory: directory.to_owned(), node, daemon, process, _zebra: zebra }
    }

    /// An orderly end of the daemon, waited for.
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM).expect("it is told");
        self.process.wait(LIMIT).expect("it ends");
    }

    /// What a command of vtysh says.
    pub fn ask(&self, command: &str) -> String {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(&self.directory).args(["-c", command]);
        self.node.output(vtysh).unwrap_or_default()
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        said(&self.directory, self.daemon)
    }
}

fn said(directory: &Path, daemon: &str) -> String {
    std::fs::read_to_string(directory.join(format!("{daemon}.log"))).unwrap_or_default()
}

//! A node with mounts of its own, for programs that take their files from fixed places: each node has its own `/etc/nginx`, and
//! mounts file systems that no other node sees.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use evenkeel_lab::{Node, Process};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

/// Binds pairs of paths, and stays. Where systemd runs, init scripts would have it start services of the whole machine.
const KEEP: &str = "
set -e
ready=$1
shift
while [ $# -gt 1 ]; do [ ! -e \"$2\" ] || mount --bind \"$1\" \"$2\"; shift 2; done
[ ! -d /run/systemd/system ] || mount -t tmpfs none /run/systemd
: > \"$ready\"
exec sleep infinity
";

/// The mounts of a node, until this is dropped; what was mounted in them goes with the last program that sees them.
pub struct Room {
    node: Arc<Node>,
    keeper: Process,
    directory: PathBuf,
}

impl Room {
    /// Below `directory`, which is made; each first path is seen at the second one, where there is such a one.
    pub fn new(node: Arc<Node>, directory: &Path, binds: &[(PathBuf, &str)]) -> Room {
        fs::create_dir_all(directory).expect("a directory can be made");
        let ready = directory.join("ready");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", KEEP, "keep"]).arg(&ready);
        for (from, to) in binds {
            command.arg(from).arg(to);
        }
        let log = File::create(directory.join("keeper.log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let keeper = Process::new("the mounts of a node", node.spawn(command).expect("unshare starts"));
        crate::until("the mounts were made", || ready.exists());
        Room { node, keeper, directory: directory.to_owned() }
    }

    /// A file that runs `program` among these mounts; it stays the same process.
    pub fn program(&self, program: &Path) -> PathBuf {
        let path = self.directory.join("run");
        let text =
            format!("#!/bin/sh\nexec nsenter --mount=/proc/{}/ns/mnt {} \"$@\"\n", self.keeper.id(), program.display());
        fs::write(&path, text).expect("a file is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode is set");
        path
    }

    /// What a command says among these mounts; nothing where it fails.
    pub fn ask(&self, words: &[&str]) -> Option<String> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id())).args(words);
        self.node.output(command).ok()
    }
}

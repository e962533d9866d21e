//! Recordings, and a place where they are replayed.

use evenkeel_netlink::{Address, Netlink, VethEnd};
use evenkeel_os::{Namespace, child};
use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A namespace with the interface of the recordings, and the links first in its PATH.
pub(crate) struct Bed {
    name: String,
    namespace: Namespace,
    directory: tempfile::TempDir,
    /// An instance that is started has its table in memory only.
    memory: bool,
}

/// What is to be known of a daemon.
pub(crate) struct DaemonStatus {
    pub(crate) pid: i32,
    pub(crate) session: i32,
    pub(crate) caller_session: i32,
    /// Numbers and what they are.
    pub(crate) descriptors: Vec<(u32, String)>,
}

impl Bed {
    /// `None`: this user cannot.
    pub(crate) fn new(purpose: &str) -> Option<Bed> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let name = format!("ek-ipvsadm-{}-{purpose}", std::process::id());
        let namespace = Namespace::create(&name).unwrap();
        let directory = tempfile::tempdir().unwrap();
        // The recordings have a user without rights run it.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let bed = Bed { name, namespace, directory, memory: false };
        bed.interfaces();
        let links = bed.directory().join("bin");
        fs::create_dir(&links).unwrap();
        for name in ["evenkeel", "ipvsadm", "ipvsadm-save", "ipvsadm-restore"] {
            symlink(env!("CARGO_BIN_EXE_evenkeel"), links.join(name)).unwrap();
        }
        Some(bed)
    }

    /// Without a packet path.
    pub(crate) fn in_memory(mut self) -> Bed {
        self.memory = true;
        self
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.directory().join("run")
    }

    fn interfaces(&self) {
        let make = || {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(VethEnd::new("eth0"), VethEnd::new("far0")).unwrap();
            for name in ["lo", "eth0", "far0"] {
                let index = netlink.link(name).unwrap().unwrap().index;
                netlink.set_up(index, true).unwrap();
            }
            let index = netlink.link("eth0").unwrap().unwrap().index;
            netlink.add_address(&Address::new(index, "10.0.0.2".parse().unwrap(), 24)).unwrap();
        };
        self.namespace.run(make).unwrap();
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        let path = format!("{}:{}", self.directory().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.args(["-c", line]).env("PATH", path).env("EVENKEEL_RUNTIME_DIR", self.runtime_dir());
        if self.memory {
            command.env("EVENKEEL_DATAPLANE", "memory");
        }
        command.current_dir(self.directory()).stdin(Stdio::null());
        child::start_in(&mut command, &self.namespace).unwrap();
        command
    }

    /// Runs a line; its output, both kinds in the order they came.
    pub(crate) fn line(&self, line: &str) -> String {
        self.run(line).0
    }

    fn run(&self, line: &str) -> (String, Option<i32>) {
        let place = self.directory().join("output");
        let file = File::create(&place).unwrap();
        let mut command = self.shell(line);
        let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        (String::from_utf8_lossy(&fs::read(&place).unwrap()).into_owned(), status.code())
    }

    /// What a recording would hold of this script.
    pub(crate) fn replay(&self, script: &str) -> String {
        self.line("ipvsadm -C; ipvsadm --set 900 120 300");
        let mut text = String::new();
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (output, status) = self.run(line);
            text += &format!("$ {line}\n{output}");
            if status != Some(0) {
                text += &format!("[exit {}]\n", status.unwrap_or(-1));
            }
        }
        text
    }

    /// Of the instance that was started.
    pub(crate) fn daemon_status(&self) -> DaemonStatus {
        let socket = self.runtime_dir().join("control.sock");
        let pid: i32 = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .find(|pid: &i32| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let here = self.runtime_dir();
                let here = here.to_str().unwrap().as_bytes();
                command.starts_with("ipvsadm") && environment.windows(here.len()).any(|part| part == here)
            })
            .unwrap_or_else(|| panic!("nobody serves {}", socket.display()));
        // By /proc: a session whose leader is outside of a container's process numbers is 0, which getsid cannot give.
        let session = |pid: i32| -> i32 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let (_, fields) = stat.rsplit_once(") ").unwrap();
            fields.split(' ').nth(3).unwrap().parse().unwrap()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .flatten()
            .filter_map(|entry| {
                let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
                Some((entry.file_name().to_str()?.parse().ok()?, target))
            })
            .collect();
        let own = std::process::id().cast_signed();
        DaemonStatus { pid, session: session(pid), caller_session: session(own), descriptors }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.shell("evenkeel stop").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = Namespace::delete(&self.name);
    }
}

/// Name, script and what was recorded of each.
pub(crate) fn recordings() -> Vec<(String, String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/ipvsadm");
    let mut scripts: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "sh"))
        .collect();
    scripts.sort();
    let of = |script: PathBuf| {
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let recorded = fs::read_to_string(script.with_extension("out")).unwrap();
        (name, fs::read_to_string(script).unwrap(), recorded)
    };
    scripts.into_iter().map(of).collect()
}

/// The first line that is another one, with what led to it.
pub(crate) fn difference(recorded: &str, replayed: &str) -> Option<String> {
    let (mut left, mut right) = (recorded.lines(), replayed.lines());
    let mut command = "";
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (a, b) if a == b => command = a.filter(|line| line.starts_with("$ ")).unwrap_or(command),
            (a, b) => {
                let rest: Vec<&str> = b.into_iter().chain(right).take(6).collect();
                let (recorded, replayed) = (a.unwrap_or("(nothing)"), rest.join("\n            "));
                return Some(format!("after {command}\n  recorded: {recorded:?}\n  replayed: {replayed}"));
            }
        }
    }
}

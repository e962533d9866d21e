//! Debian's heartbeat on a node: in namespaces of its own for host name, mounts and processes, since it takes its files
//! from fixed places and kills its whole host when a resource does not stop.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use evenkeel_lab::{Node, Process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

const PROGRAM: &str = "/usr/libexec/heartbeat/heartbeat";

/// What the first process of its own process namespace does: makes the host heartbeat believes in, and reaps.
const HOST: &str = "
name=$1 at=$2
shift 2
hostname \"$name\"
mount --bind \"$at/etc\" /etc/ha.d
mount --bind \"$at/lib\" /var/lib/heartbeat
mount --bind \"$at/log\" /var/log
mount --bind /bin/true /bin/systemctl
while [ $# -gt 1 ]; do
  case $2 in /var/log/*) mkdir -p \"$2\";; esac
  [ ! -e \"$2\" ] || mount --bind \"$1\" \"$2\"
  shift 2
done
mount --bind \"$at/run\" /run
mkdir -p /run/lock/subsys /run/resource-agents
trap : TERM INT
echo ready > /run/ready
while :; do sleep 1000 & wait $!; done
";

/// Whether Debian's heartbeat is there; says so where not.
pub fn has_heartbeat() -> bool {
    let there = Path::new(PROGRAM).exists();
    if !there {
        println!("skipped: needs heartbeat (apt install heartbeat)");
    }
    there
}

/// A host with heartbeat on it, until this is dropped.
pub struct RealHeartbeat {
    node: Arc<Node>,
    directory: PathBuf,
    host: Process,
    /// The first process in its process namespace.
    first: u32,
}

impl RealHeartbeat {
    /// Makes the host `name` below `directory`, which is made; heartbeat is not started yet. Its files are written to
    /// [`RealHeartbeat::files`]. Each first path of `binds` is seen there at the second
    /// one, where there is such a one.
    pub fn new(node: Arc<Node>, directory: &Path, name: &str, binds: &[(PathBuf, &str)]) -> RealHeartbeat {
        for part in ["etc", "lib", "log", "run"] {
            fs::create_dir_all(directory.join(part)).expect("a directory can be made");
        }
        for (from, to) in [("/etc/ha.d/.", "etc"), ("/var/lib/heartbeat/.", "lib"), ("/run/heartbeat", "run")] {
            let copied = Command::new("cp").arg("-a").arg(from).arg(directory.join(to)).status();
            assert!(copied.is_ok_and(|status| status.success()), "{from} cannot be copied");
        }
        // Those of a heartbeat that ran on this machine itself: two nodes with one number call each other dead.
        for own in ["hb_uuid", "hb_generation", "generations", "hostcache", "delhostcache"] {
            let _ = fs::remove_file(directory.join("lib").join(own));
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "-u", "-i", "-p", "-f", "--kill-child", "--mount-proc", "bash", "-c", HOST, "host", name]);
        let log = File::create(directory.join("host.log")).expect("a log");
        command.arg(directory);
        for (from, to) in binds {
            command.arg(from).arg(to);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let host = Process::new("the host of heartbeat", node.spawn(command).expect("unshare starts"));
        crate::until("the host was made", || directory.join("run/ready").exists());
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.id())).expect("it has a child");
        let first = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a process");
        RealHeartbeat { node, directory: directory.to_owned(), host, first }
    }

    /// Where it takes its files from.
    pub fn files(&self) -> PathBuf {
        self.directory.join("etc")
    }

    /// A command on that host.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.to_string(), "-m", "-u", "-i", "-p", "-n", program]).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// What a command on that host says.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        self.node.output(self.command(program, arguments)).unwrap_or_default()
    }

    /// Starts heartbeat, which goes on by itself.
    pub fn start(&self) {
        let started = self.command(PROGRAM, &[]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(started.is_ok_and(|status| status.success()), "heartbeat does not start: {}", self.log());
    }

    /// Stops it in order, and waits.
    pub fn stop(&self) {
        let _ = self.command(PROGRAM, &["-k"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Kills every process of it.
    pub fn kill(&self) {
        let _ = self.command("pkill", &["-9", "heartbeat"]).status();
    }

    /// Kills the host with everything on it.
    pub fn power_off(&mut self) {
        let _ = self.host.kill();
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.directory.join("log").join(name)).unwrap_or_default();
        format!("{}{}", read("ha-log"), read("ha-debug"))
    }
}

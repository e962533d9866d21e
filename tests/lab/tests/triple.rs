//! Three evenkeels as one cluster, from one native file, with real packets: addresses, of which each has one owner.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_api::Status;
use evenkeel_lab::{Director, Stage, topology};
use evenkeel_lab_tests::{among_others, can_run, pings::Probe, program, unique_name};
use rustix::process::Signal;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const NAMES: [&str; 3] = ["ha1", "ha2", "ha3"];
const ADDRESSES: [&str; 3] = ["10.168.0.160", "10.168.0.170", "10.168.0.180"];

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

const FILE: &str = r#"
[cluster]
links     = ["eth1", "eth0"]
heartbeat = { every = "200ms", dead = "1500ms", first = "60s" }
secret    = { sha1 = "86f3d2c0a5b94e17cc20d3f1" }

[cluster.nodes]
ha1 = { addr = { eth1 = "10.0.0.1", eth0 = "10.168.0.161" } }
ha2 = { addr = { eth1 = "10.0.0.2", eth0 = "10.168.0.162" } }
ha3 = { addr = { eth1 = "10.0.0.3", eth0 = "10.168.0.163" } }

[vip.one]
address = "10.168.0.160/24"
dev     = "eth0"
prefer  = ["ha1", "ha2", "ha3"]

[vip.two]
address = "10.168.0.170/24"
dev     = "eth0"
prefer  = ["ha2", "ha3"]
"#;

/// A third address.
const MORE: &str = r#"
[vip.three]
address = "10.168.0.180/24"
dev     = "eth0"
prefer  = ["ha3", "ha1"]
"#;

/// A device for the first node: one of cluster-glue that does nothing, or none that there is.
fn fence(device: &str) -> String {
    format!("\n[fence.ha1]\ndevice = \"{device}\"\nparams = {{ hostlist = \"ha1\" }}\n")
}

struct Trio {
    stage: Stage,
    directors: Vec<Director>,
}

impl Trio {
    fn new() -> Trio {
        let stage = Stage::raise(&unique_name(), &topology::cluster(&NAMES)).expect("the stage is built");
        let directors = NAMES.iter().map(|name| {
            let directory = stage.directory().join(name);
            fs::create_dir_all(&directory).expect("a directory can be made");
            Director::new(Arc::clone(stage.node(name).expect("it is there")), program(), &directory)
        });
        let trio = Trio { directors: directors.collect(), stage };
        (0..3).for_each(|at| trio.write(at, ""));
        trio
    }

    fn file(&self, at: usize) -> PathBuf {
        self.stage.directory().join(format!("{}.toml", NAMES[at]))
    }

    /// The file, and what else it says.
    fn write(&self, at: usize, more: &str) {
        let file = self.file(at);
        fs::write(&file, format!("{FILE}{more}")).expect("the file is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("nobody else reads the secret");
    }

    fn start(&mut self, at: usize) {
        let file = self.file(at);
        let file = file.to_str().expect("a plain path");
        self.directors[at].start(&[file, "--node", NAMES[at]]).expect("evenkeel starts");
    }

    fn has(&self, at: usize, address: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["-o", "addr", "show", "to", address]).stdin(Stdio::null());
        let node = self.stage.node(NAMES[at]).expect("it is there");
        !node.output(command).unwrap_or_default().is_empty()
    }

    /// Who has each address.
    fn owners(&self) -> [Vec<usize>; 3] {
        ADDRESSES.map(|address| {
            let owners: Vec<usize> = (0..3).filter(|at| self.has(*at, address)).collect();
            // It may have moved between the looks: only another one tells that two had it at a time.
            let all = owners.len() == 1;
            owners.into_iter().filter(|at| all || self.has(*at, address)).collect()
        })
    }

    /// Waits until each address has this owner. At no time did two have one.
    fn wait(&self, wanted: [usize; 3]) {
        self.wait_for(wanted.map(|owner| vec![owner]));
    }

    fn wait_for(&self, wanted: [Vec<usize>; 3]) {
        let until = Instant::now() + PATIENCE;
        loop {
            let owners = self.owners();
            assert!(owners.iter().all(|owners| owners.len() < 2), "two had it: {owners:?} {}", self.logs());
            if owners == wanted {
                return;
            }
            assert!(Instant::now() < until, "never {wanted:?}: {owners:?} {}", self.logs());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn logs(&self) -> String {
        self.directors.iter().map(Director::log).collect::<Vec<_>>().join("\n----\n")
    }

    fn tell(&self, at: usize, arguments: &[&str]) {
        let output = self.directors[at].command(arguments).output().expect("it answers");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said} {}", self.directors[at].log());
    }
}

/// All read their files again, one of them for a signal, and lose nothing for it.
fn reload(trio: &mut Trio, fences: bool) {
    let client = trio.stage.node("client").expect("it is there");
    let probes = [160, 170].map(|last| Probe::start(client, [10, 168, 0, last].into()));
    for at in 0..3 {
        let device = fence(if at == 1 { "nonesuch" } else { "null" });
        trio.write(at, &(MORE.to_owned() + if fences { &device } else { "" }));
        if at == 1 {
            trio.directors[at].signal(Signal::HUP).expect("it is told");
        } else {
            trio.tell(at, &["reload"]);
        }
    }
    trio.wait([0, 1, 2]);
    let knows = |status: &Status| status.cluster.as_ref().is_some_and(|cluster| cluster.groups.len() == 3);
    trio.directors[1].wait("the third group was known", PATIENCE, knows).expect("it read its file");
    for probe in probes {
        probe.wait_for(500);
        let report = probe.stop();
        assert_eq!(report.lost, 0, "{report:?} {}", trio.logs());
    }
}

#[test]
fn three_nodes_share_addresses_of_which_each_has_one_owner() {
    if !can_run() {
        return;
    }
    let _turn = among_others();
    let mut trio = Trio::new();
    for at in 0..3 {
        trio.start(at);
    }
    trio.wait_for([vec![0], vec![1], Vec::new()]);
    let fences = Path::new("/usr/sbin/stonith").exists();
    reload(&mut trio, fences);
    // The order of each group decides who takes it, whoever had a device that could fence the dead node.
    trio.directors[0].kill().expect("it is killed");
    trio.wait([1, 1, 2]);
    if fences {
        let said = trio.directors[1].log();
        assert_eq!(said.matches("node ha1 is being fenced by ha2").count(), 3, "{said}");
        assert!(said.contains("node ha1 is being fenced by ha3 (attempt 1)"), "{said}");
    }
    trio.tell(1, &["standby"]);
    trio.wait([2, 2, 2]);
    // It gets back what prefers it, and nothing else moves.
    trio.start(0);
    trio.wait([0, 2, 2]);
    // Whoever is asked, the node that has it gives it.
    trio.tell(0, &["failover", "two", "--to", "ha2"]);
    trio.wait([0, 1, 2]);
    trio.directors[1].terminate().expect("it ends");
    trio.wait([0, 2, 2]);
    // With one off another one that is started again does not wait a minute for it: the third one knows.
    trio.directors[0].terminate().expect("it ends");
    trio.wait([2, 2, 2]);
    trio.start(0);
    trio.wait([0, 2, 2]);
}

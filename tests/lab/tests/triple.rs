//! Three evenkeels as one cluster, from one native file, with real packets: two addresses, of which each has one owner.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_lab::{Director, Stage, topology};
use evenkeel_lab_tests::{among_others, can_run, program, unique_name};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const NAMES: [&str; 3] = ["ha1", "ha2", "ha3"];
const ADDRESSES: [&str; 2] = ["10.168.0.160", "10.168.0.170"];

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

const FILE: &str = r#"
[cluster]
links     = ["eth1", "eth0"]
heartbeat = { every = "200ms", dead = "1500ms", first = "10s" }
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

struct Trio {
    stage: Stage,
    directors: Vec<Director>,
}

impl Trio {
    fn new() -> Trio {
        let stage = Stage::raise(&unique_name(), &topology::cluster(&NAMES)).expect("the stage is built");
        let file = stage.directory().join("cluster.toml");
        fs::write(&file, FILE).expect("the file is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("nobody else reads the secret");
        let directors = NAMES.iter().map(|name| {
            let directory = stage.directory().join(name);
            fs::create_dir_all(&directory).expect("a directory can be made");
            Director::new(Arc::clone(stage.node(name).expect("it is there")), program(), &directory)
        });
        Trio { directors: directors.collect(), stage }
    }

    fn start(&mut self, at: usize) {
        let file = self.stage.directory().join("cluster.toml");
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
    fn owners(&self) -> [Vec<usize>; 2] {
        ADDRESSES.map(|address| {
            let owners: Vec<usize> = (0..3).filter(|at| self.has(*at, address)).collect();
            // It may have moved between the looks: only another one tells that two had it at a time.
            let all = owners.len() == 1;
            owners.into_iter().filter(|at| all || self.has(*at, address)).collect()
        })
    }

    /// Waits until each address has this owner. At no time did two have one.
    fn wait(&self, wanted: [usize; 2]) {
        let until = Instant::now() + PATIENCE;
        let wanted = wanted.map(|owner| vec![owner]);
        loop {
            let owners = self.owners();
            let logs = || self.directors.iter().map(Director::log).collect::<Vec<_>>().join("\n----\n");
            assert!(owners.iter().all(|owners| owners.len() < 2), "two had it: {owners:?} {}", logs());
            if owners == wanted {
                return;
            }
            assert!(Instant::now() < until, "never {wanted:?}: {owners:?} {}", logs());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn tell(&self, at: usize, arguments: &[&str]) {
        let output = self.directors[at].command(arguments).output().expect("it answers");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said} {}", self.directors[at].log());
    }
}

#[test]
fn three_nodes_share_two_addresses_of_which_each_has_one_owner() {
    if !can_run() {
        return;
    }
    let _turn = among_others();
    let mut trio = Trio::new();
    for at in 0..3 {
        trio.start(at);
    }
    trio.wait([0, 1]);
    // The order of each group decides who takes it.
    trio.directors[0].kill().expect("it is killed");
    trio.wait([1, 1]);
    trio.tell(1, &["standby"]);
    trio.wait([2, 2]);
    // It gets back what prefers it, and nothing else moves.
    trio.start(0);
    trio.wait([0, 2]);
    // Whoever is asked, the node that has it gives it.
    trio.tell(0, &["failover", "two", "--to", "ha2"]);
    trio.wait([0, 1]);
    trio.directors[1].terminate().expect("it ends");
    trio.wait([0, 2]);
}

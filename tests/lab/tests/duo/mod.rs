//! The pair of document 003: two nodes with an address and nginx, joined by eth1, beside a client and a router on eth0.

#![allow(dead_code, reason = "each test file uses its part")]

use evenkeel_lab::{
    Director, Node, Stage,
    topology::{self, PAIR as NAMES, PAIR_VIP as VIP, SWITCH as NET},
};
use evenkeel_lab_tests::{
    LIMIT, among_others, heartbeat::RealHeartbeat, nginx, pings::Probe, program, pty::Pty, room::Room, setup,
    unique_name,
};
use evenkeel_netlink::Netlink;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, RwLockReadGuard},
    time::{Duration, Instant},
};

/// Who plays a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    Evenkeel,
    Heartbeat,
}

enum Seat {
    Evenkeel(Box<Director>),
    Heartbeat(Box<RealHeartbeat>),
}

/// The two and what is around them.
pub(crate) struct Duo {
    stage: Stage,
    seats: [Seat; 2],
    rooms: [Option<Room>; 2],
    files: Files,
    /// Asks the nodes' kernels, without a process for each question.
    kernels: [Mutex<Netlink>; 2],
    _turn: Option<RwLockReadGuard<'static, ()>>,
}

/// What the nodes are started with.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// Lines of ha.cf besides media and nodes.
    pub(crate) ha: String,
    /// Media of each node, and what else is its own.
    pub(crate) media: [String; 2],
    pub(crate) authkeys: String,
    pub(crate) haresources: String,
    /// Places of the file system that each node has for itself; it has the contents written to them by the test.
    pub(crate) private: Vec<&'static str>,
    /// Scripts of rc.d by name, and what each does.
    pub(crate) told: Vec<(&'static str, &'static str)>,
}

impl Files {
    /// Statuses every `keepalive` milliseconds, dead after `deadtime`; heard on both cables.
    pub(crate) fn quick(keepalive: u32, deadtime: u32) -> Files {
        let initdead = deadtime.max(10_000);
        Files {
            ha: format!(
                "logfile /var/log/ha-log\nkeepalive {keepalive}ms\ndeadtime {deadtime}ms\nwarntime {}ms\ninitdead \
                 {initdead}ms\nauto_failback on\nnode ha1\nnode ha2\n",
                deadtime / 2
            ),
            media: [2, 1].map(|other| format!("ucast eth1 10.0.0.{other}\nucast eth0 10.168.0.16{other}\n")),
            authkeys: "auth 2\n2 sha1 kfhslkdhfsk\n".to_owned(),
            haresources: "ha1 10.168.0.160/24/eth0 nginx\n".to_owned(),
            private: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Those of document 003 as they stand.
    pub(crate) fn of_the_document() -> Files {
        let read = |name: &str| {
            fs::read_to_string(setup("003-heartbeat-haresources").join(name)).expect("the document's file is there")
        };
        Files {
            ha: String::new(),
            media: [read("ha.cf"), read("ha.cf.ha2")],
            authkeys: read("authkeys"),
            haresources: read("haresources"),
            private: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Heard by these lines of ha.cf instead.
    pub(crate) fn over(mut self, media: &str) -> Files {
        self.media = [0, 1].map(|_| format!("{media}\n"));
        self
    }

    /// With another method of signatures, and its key.
    pub(crate) fn signed(mut self, key: &str) -> Files {
        self.authkeys = format!("auth 2\n2 {key}\n");
        self
    }

    /// With other lines of ha.cf besides.
    pub(crate) fn with(mut self, lines: &str) -> Files {
        self.ha += lines;
        self
    }
}

/// Gives the addresses of the nodes their broadcast addresses, which a heartbeat asks the interface for.
fn set_broadcasts(stage: &Stage) {
    for (at, name) in (1..).zip(NAMES) {
        for (interface, address) in [("eth0", format!("10.168.0.16{at}/24")), ("eth1", format!("10.0.0.{at}/24"))] {
            for words in [&["del", &address][..], &["add", &address, "broadcast", "+"]] {
                let mut command = Command::new("ip");
                command.arg("address").args(words).args(["dev", interface]);
                stage.node(name).expect("it is there").output(command).expect("the address is set");
            }
        }
    }
}

/// The places that a node has for itself, which are made, and where it sees them.
fn binds<'a>(stage: &Stage, at: usize, private: &[&'a str]) -> Vec<(PathBuf, &'a str)> {
    let own = |place: &&'a str| (private_place(stage, at, place), *place);
    let binds: Vec<(PathBuf, &str)> = private.iter().map(own).collect();
    binds.iter().for_each(|(from, _)| fs::create_dir_all(from).expect("a directory can be made"));
    binds
}

/// The mounts of a node, where it is to have its own.
fn room(stage: &Stage, at: usize, binds: &[(PathBuf, &str)]) -> Option<Room> {
    let node = || Arc::clone(stage.node(NAMES[at]).expect("it is there"));
    (!binds.is_empty()).then(|| Room::new(node(), &stage.directory().join(NAMES[at]).join("room"), binds))
}

fn private_place(stage: &Stage, at: usize, place: &str) -> PathBuf {
    stage.directory().join(NAMES[at]).join("private").join(place.trim_start_matches('/'))
}

fn seat(stage: &Stage, at: usize, player: Player, room: Option<&Room>, binds: &[(PathBuf, &str)]) -> Seat {
    let node = Arc::clone(stage.node(NAMES[at]).expect("it is there"));
    let directory = stage.directory().join(NAMES[at]);
    fs::create_dir_all(&directory).expect("a directory can be made");
    match player {
        Player::Evenkeel => {
            let program = room.map_or_else(program, |room| room.program(&program()));
            Seat::Evenkeel(Box::new(Director::new(node, program, &directory)))
        }
        Player::Heartbeat => {
            Seat::Heartbeat(Box::new(RealHeartbeat::new(node, &directory.join("host"), NAMES[at], binds)))
        }
    }
}

impl Duo {
    pub(crate) fn new(players: [Player; 2], files: Files) -> Duo {
        let turn = among_others();
        Duo { _turn: Some(turn), ..Duo::beside_others(players, files) }
    }

    /// One of several that a test has at a time.
    pub(crate) fn beside_others(players: [Player; 2], files: Files) -> Duo {
        let stage = Stage::raise(&unique_name(), &topology::pair()).expect("the stage is built");
        if files.media.iter().any(|media| media.contains("bcast")) {
            set_broadcasts(&stage);
        }
        let binds = [0, 1].map(|at| binds(&stage, at, &files.private));
        let rooms = [0, 1].map(|at| room(&stage, at, &binds[at]));
        let seats = [0, 1].map(|at| seat(&stage, at, players[at], rooms[at].as_ref(), &binds[at]));
        let kernel = |name| stage.node(name).expect("it is there").run(Netlink::open).expect("the node lives");
        let kernels = NAMES.map(|name| Mutex::new(kernel(name).expect("the kernel listens")));
        Duo { stage, seats, rooms, files, kernels, _turn: None }
    }

    /// Both started, and the address on the first.
    pub(crate) fn settled(players: [Player; 2], files: Files) -> Duo {
        let mut duo = Duo::new(players, files);
        duo.start(0);
        duo.start(1);
        duo.wait_owners(&[0]);
        duo
    }

    pub(crate) fn node(&self, name: &str) -> &Arc<Node> {
        self.stage.node(name).expect("it is there")
    }

    /// Where its files are.
    pub(crate) fn etc(&self, at: usize) -> PathBuf {
        match &self.seats[at] {
            Seat::Evenkeel(_) => self.stage.directory().join(NAMES[at]).join("ha.d"),
            Seat::Heartbeat(host) => host.files(),
        }
    }

    /// Where a place is that a node has for itself.
    pub(crate) fn private(&self, at: usize, place: &str) -> PathBuf {
        private_place(&self.stage, at, place)
    }

    /// What the nodes have as haresources when they are started from now on.
    pub(crate) fn set_haresources(&mut self, text: &str) {
        text.clone_into(&mut self.files.haresources);
    }

    /// What a command says among the mounts of a node; nothing where it fails.
    pub(crate) fn ask_room(&self, at: usize, words: &[&str]) -> Option<String> {
        match &self.seats[at] {
            Seat::Evenkeel(_) => self.rooms[at].as_ref().expect("it has mounts of its own").ask(words),
            Seat::Heartbeat(host) => self.node(NAMES[at]).output(host.command(words[0], &words[1..])).ok(),
        }
    }

    /// Whether the script that plays nginx was started last on a node, and not stopped.
    pub(crate) fn serves(&self, at: usize) -> bool {
        self.nginx(at).exists()
    }

    fn nginx(&self, at: usize) -> PathBuf {
        self.etc(at).join("nginx.state")
    }

    fn write_files(&self, at: usize) {
        let etc = self.etc(at);
        fs::create_dir_all(etc.join("resource.d")).expect("a directory can be made");
        let mut ha = format!("{}{}", self.files.ha, self.files.media[at]);
        if let Seat::Heartbeat(_) = self.seats[at] {
            // What of the document's files a heartbeat of Debian refuses.
            ha = ha.replace("keeplive", "keepalive").replace("/usr/lib64/heartbeat", "/usr/libexec/heartbeat");
        }
        let write = |name: &str, text: &str, mode: u32| {
            let path = etc.join(name);
            fs::write(&path, text).expect("a file is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode is set");
        };
        write("ha.cf", &ha, 0o644);
        write("authkeys", &self.files.authkeys, 0o600);
        write("haresources", &self.files.haresources, 0o644);
        for (name, body) in &self.files.told {
            fs::create_dir_all(etc.join("rc.d")).expect("a directory can be made");
            write(&format!("rc.d/{name}"), &format!("#!/bin/sh\n{body}\n"), 0o755);
        }
        if self.files.private.contains(&nginx::PLACES[0]) {
            return;
        }
        // Heartbeat sees its directory under another name.
        let state = match &self.seats[at] {
            Seat::Evenkeel(_) => self.nginx(at),
            Seat::Heartbeat(_) => Path::new("/etc/ha.d/nginx.state").to_owned(),
        };
        write("resource.d/nginx", &script(&state), 0o755);
    }

    /// Writes other text into a file of a node that runs.
    pub(crate) fn rewrite(&self, at: usize, file: &str, text: impl FnOnce(&str) -> String) {
        let path = self.etc(at).join(file);
        let before = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, text(&before)).expect("a file is written");
    }

    /// Has an evenkeel read its files again.
    pub(crate) fn hang_up(&self, at: usize) {
        let Seat::Evenkeel(director) = &self.seats[at] else { unreachable!("only evenkeels are told") };
        let process = director.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");
        kill_process(process, Signal::HUP).expect("it is told");
    }

    pub(crate) fn start(&mut self, at: usize) {
        self.write_files(at);
        let etc = self.etc(at);
        match &mut self.seats[at] {
            Seat::Evenkeel(director) => {
                let etc = etc.to_str().expect("a plain path");
                director.start(&[etc, "--node", NAMES[at]]).expect("evenkeel starts");
            }
            Seat::Heartbeat(host) => host.start(),
        }
    }

    /// An orderly end, waited for.
    pub(crate) fn stop(&mut self, at: usize) {
        match &mut self.seats[at] {
            Seat::Evenkeel(director) => {
                assert!(director.terminate().expect("evenkeel ends").success(), "{}", director.log());
            }
            Seat::Heartbeat(host) => host.stop(),
        }
    }

    /// The exit status of an evenkeel that ends.
    pub(crate) fn exit(&mut self, at: usize) -> Option<i32> {
        let Seat::Evenkeel(director) = &mut self.seats[at] else { unreachable!("only evenkeels are asked") };
        director.wait_end(LIMIT).expect("it ends").code()
    }

    /// Kills the daemon.
    pub(crate) fn kill(&mut self, at: usize) {
        match &mut self.seats[at] {
            Seat::Evenkeel(director) => {
                director.kill().expect("it is killed");
            }
            Seat::Heartbeat(host) => host.kill(),
        }
    }

    /// Stops the process of an evenkeel, or has it go on.
    pub(crate) fn freeze(&mut self, at: usize, frozen: bool) {
        let Seat::Evenkeel(director) = &mut self.seats[at] else { unreachable!("only evenkeels are frozen") };
        director.signal(if frozen { Signal::STOP } else { Signal::CONT }).expect("it is told");
    }

    /// Ends who plays a node; from now on it is played by `player`, who is not started yet.
    pub(crate) fn replace(&mut self, at: usize, player: Player) {
        self.stop(at);
        let binds = binds(&self.stage, at, &self.files.private);
        self.seats[at] = seat(&self.stage, at, player, self.rooms[at].as_ref(), &binds);
    }

    /// A subcommand of evenkeel for a node; whether it went well, and what it said.
    pub(crate) fn tell(&self, at: usize, arguments: &[&str]) -> (bool, String) {
        let Seat::Evenkeel(director) = &self.seats[at] else { unreachable!("only evenkeels are told") };
        let output = director.command(arguments).output().expect("it answers");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// What an old command says that speaks to the evenkeel of a node, as `cl_status listnodes`, and its exit status.
    pub(crate) fn old_command(&self, at: usize, words: &str) -> (String, Option<i32>) {
        let output = self.command(at, words).stdin(Stdio::null()).output().expect("it answers");
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8_lossy(&said).into_owned(), output.status.code())
    }

    /// A command that speaks to the evenkeel of a node, on a terminal of so many lines and columns.
    pub(crate) fn on_terminal(&self, at: usize, words: &str, size: (u16, u16)) -> Pty {
        Pty::start(&self.command(at, words), size)
    }

    fn command(&self, at: usize, words: &str) -> Command {
        let Seat::Evenkeel(director) = &self.seats[at] else { unreachable!("only evenkeels are asked") };
        let mut command = Command::new(program());
        command.args(words.split(' ')).env("EVENKEEL_RUNTIME_DIR", director.runtime_dir());
        command
    }

    /// What a command of the real heartbeat says.
    pub(crate) fn ask(&self, at: usize, program: &str, arguments: &[&str]) -> String {
        let Seat::Heartbeat(host) = &self.seats[at] else { unreachable!("only a heartbeat is asked") };
        host.ask(program, arguments)
    }

    /// What `status --json` of an evenkeel says, without spaces in front of values.
    pub(crate) fn status(&self, at: usize) -> String {
        match &self.seats[at] {
            Seat::Evenkeel(director) => director.status_json().unwrap_or_default().replace("\": ", "\":"),
            Seat::Heartbeat(_) => String::new(),
        }
    }

    pub(crate) fn wait_status(&self, at: usize, text: &str) {
        self.wait(&format!("{} said `{text}`", NAMES[at]), LIMIT, || self.status(at).contains(text));
    }

    pub(crate) fn log(&self, at: usize) -> String {
        match &self.seats[at] {
            Seat::Evenkeel(director) => director.log(),
            Seat::Heartbeat(host) => host.log(),
        }
    }

    pub(crate) fn wait_log(&self, at: usize, text: &str) {
        self.wait(&format!("{} said `{text}`", NAMES[at]), LIMIT, || self.log(at).contains(text));
    }

    /// What a command says on a host: `ha1`, `ha2`, `client`, `net`.
    pub(crate) fn run(&self, host: &str, words: &str) -> String {
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::null());
        self.node(host).output(command).unwrap_or_default()
    }

    /// Who has the address.
    pub(crate) fn owners(&self) -> Vec<usize> {
        let has = |at: &usize| {
            let mut kernel = self.kernels[*at].lock().unwrap_or_else(PoisonError::into_inner);
            kernel.addresses().expect("the kernel answers").iter().any(|held| held.address == VIP)
        };
        let owners: Vec<usize> = (0..2).filter(has).collect();
        // It may have moved between the two looks: only a third one tells that both had it at a time.
        if owners == [0, 1] && !has(&0) { vec![1] } else { owners }
    }

    pub(crate) fn wait_owners(&self, wanted: &[usize]) {
        self.wait_owners_within(wanted, LIMIT);
    }

    /// The same, where something has to run out first.
    pub(crate) fn wait_owners_within(&self, wanted: &[usize], limit: Duration) {
        self.wait(&format!("the address was at {wanted:?}"), limit, || self.owners() == wanted);
    }

    /// Every other set of owners that was seen before `wanted` had it.
    pub(crate) fn watch_owners_until(&self, wanted: &[usize], limit: Duration) -> Vec<Vec<usize>> {
        let mut seen = Vec::new();
        self.wait(&format!("the address was at {wanted:?}"), limit, || {
            let owners = self.owners();
            let done = owners == wanted;
            if !done && !seen.contains(&owners) {
                seen.push(owners);
            }
            done
        });
        seen
    }

    pub(crate) fn wait(&self, what: &str, limit: Duration, mut good: impl FnMut() -> bool) {
        let until = Instant::now() + limit;
        while !good() {
            let logs = format!("{}\n----\n{}", self.log(0), self.log(1));
            assert!(Instant::now() < until, "never {what}: {:?} {logs}", self.owners());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits until nginx runs on a node, which has the address, and not on the other.
    pub(crate) fn wait_served(&self, at: usize) {
        self.wait_served_within(at, LIMIT);
    }

    /// The same, where something has to run out first.
    pub(crate) fn wait_served_within(&self, at: usize, limit: Duration) {
        let served = || self.owners().contains(&at) && self.serves(at);
        self.wait(&format!("{} served", NAMES[at]), limit, served);
    }

    /// Sets a port of a switch: `ha1` and `ha2` are eth0 of the nodes, `line1` and `line2` eth1.
    pub(crate) fn port(&self, port: &str, state: &str) {
        let mut command = Command::new("ip");
        command.args(["link", "set", "dev", port, state]);
        self.node(NET).output(command).expect("the port is set");
    }

    /// Takes all cables of a node away, or puts them back.
    pub(crate) fn cables(&self, at: usize, state: &str) {
        self.port(NAMES[at], state);
        self.port(["line1", "line2"][at], state);
    }

    /// Begins to ping the address from the client.
    pub(crate) fn probe(&self) -> Probe {
        Probe::start(self.node("client"), VIP)
    }
}

/// A script of resource.d that starts nothing but says that it did.
fn script(state: &Path) -> String {
    let state = state.display();
    format!(
        "#!/bin/sh\ncase $1 in\nstart) : > '{state}';;\nstop) rm -f '{state}';;\nstatus) if [ -e '{state}' ]; then echo \
         running; else echo not running; exit 3; fi;;\nesac\nexit 0\n"
    )
}

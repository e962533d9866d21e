//! BFD with real packets: two hosts on one switch, evenkeel against itself, keepalived and FRR, and a switch that stops
//! passing packets while every link stays up.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_api::{BfdStatus, ServerState, Status};
use evenkeel_lab::{Director, Node, Process, Stage};
use evenkeel_lab_tests::{
    LIMIT, among_others, can_run,
    frr::{Frr, has_frr},
    program, switch, unique_name,
};
use rustix::process::Signal;
use std::{
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, RwLockReadGuard},
    time::{Duration, Instant},
};

const NAMES: [&str; 2] = ["d1", "d2"];
/// Three times the interval of the advertisements: what a backup without BFD waits at least.
const MASTER_DOWN: Duration = Duration::from_secs(6);

fn v4(at: usize) -> IpAddr {
    IpAddr::from([10, 78, 0, if at == 0 { 1 } else { 2 }])
}

fn v6(at: usize) -> IpAddr {
    IpAddr::from(Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, if at == 0 { 1 } else { 2 }))
}

/// Sessions of both families with the other host, in the native language.
fn native(at: usize) -> String {
    let session = |name: &str, neighbour: IpAddr| format!("[bfd.{name}]\nneighbour = \"{neighbour}\"\n");
    session("four", v4(1 - at)) + &session("six", v6(1 - at))
}

/// The same as keepalived has it. Its process is not punctual enough for a shorter time.
fn keepalived(at: usize, words: &str) -> String {
    let session = |name: &str, neighbour: IpAddr| {
        format!(
            "bfd_instance {name} {{\n neighbor_ip {neighbour}\n min_rx 100\n min_tx 100\n multiplier 4\n {words}\n}}\n"
        )
    };
    session("four", v4(1 - at)) + &session("six", v6(1 - at))
}

/// An instance that moves one address.
fn instance(at: usize, track: &str) -> String {
    let priority = if at == 0 { 150 } else { 100 };
    format!(
        "vrrp_instance pair {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n advert_int 2\n \
         {track}\n virtual_ipaddress {{\n 10.78.0.100/24\n }}\n}}\n"
    )
}

/// The two hosts.
struct Two {
    stage: Stage,
    _turn: RwLockReadGuard<'static, ()>,
}

impl Two {
    fn new() -> Two {
        let turn = among_others();
        let host = |at: usize| (NAMES[at], vec![(v4(at), 24), (v6(at), 64)]);
        let stage = Stage::raise(&unique_name(), &switch::topology([host(0), host(1)])).expect("the stage is built");
        for name in NAMES {
            std::fs::create_dir(stage.directory().join(name)).expect("a directory can be made");
        }
        Two { stage, _turn: turn }
    }

    fn node(&self, at: usize) -> Arc<Node> {
        Arc::clone(self.stage.node(NAMES[at]).expect("it is there"))
    }

    fn directory(&self, at: usize) -> PathBuf {
        self.stage.directory().join(NAMES[at])
    }

    fn evenkeel(&self, at: usize, file: &str, text: &str) -> Director {
        let path = self.directory(at).join(file);
        std::fs::write(&path, text).expect("the file is written");
        let mut director = Director::new(self.node(at), program(), &self.directory(at));
        director.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
        director
    }

    fn keepalived(&self, at: usize, text: &str) -> Process {
        let file = |name: &str| self.directory(at).join(name);
        std::fs::write(file("keepalived.conf"), text).expect("the file is written");
        let mut command = Command::new("keepalived");
        command.args(["-P", "-n", "-l", "-D", "-G", "-f"]).arg(file("keepalived.conf"));
        for (option, name) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
            command.arg(option).arg(file(name));
        }
        let log = std::fs::File::create(file("log")).expect("a log");
        // What it calls the console is standard error.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process::new("keepalived", self.node(at).spawn(command).expect("keepalived starts"))
    }

    /// What keepalived has said.
    fn keepalived_said(&self, at: usize) -> String {
        read(&self.directory(at).join("log"))
    }

    /// The switch passes nothing between the two, or everything again; their links do not notice.
    fn cut(&self, cut: bool) {
        for port in NAMES {
            let mut command = Command::new("ip");
            let state = if cut { "on" } else { "off" };
            command.args(["link", "set", "dev", port, "type", "bridge_slave", "isolated", state]);
            self.stage.node(switch::SWITCH).expect("it is there").output(command).expect("the port is set");
        }
    }
}

/// FRR's bfdd with both sessions.
fn bfdd(two: &Two, at: usize) -> Frr {
    let peer = |neighbour: IpAddr, local: IpAddr| {
        format!(
            " peer {neighbour} local-address {local} interface eth0\n  transmit-interval 100\n  receive-interval 100\n  \
             detect-multiplier 4\n !\n"
        )
    };
    let peers = peer(v4(1 - at), v4(at)) + &peer(v6(1 - at), v6(at));
    Frr::start(two.node(at), &two.directory(at).join("frr"), "bfdd", &format!("bfd\n{peers}!\n"))
}

/// How many of its sessions are in `state`.
fn count(frr: &Frr, state: &str) -> usize {
    frr.ask("show bfd peers json").matches(&format!("\"status\":\"{state}\"")).count()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn wait(what: &str, mut good: impl FnMut() -> bool, tell: impl Fn() -> String) {
    let until = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < until, "never {what}: {}", tell());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn all(status: &Status, good: impl Fn(&BfdStatus) -> bool) -> bool {
    status.bfd.len() == 2 && status.bfd.iter().all(good)
}

fn wait_up(director: &mut Director) {
    let up = |session: &BfdStatus| session.state == "up" && session.remote_state == "up";
    director.wait("had both sessions up", LIMIT, |status| all(status, up)).expect("they come up");
}

fn wait_lost(director: &mut Director) {
    let lost = |session: &BfdStatus| session.state == "down" && session.reason.contains("nothing was heard");
    director.wait("noticed the silence", LIMIT, |status| all(status, lost)).expect("it is noticed");
}

/// Waits until it is in `role`, for some seconds at least.
fn wait_role(director: &mut Director, role: &str, seconds: u64) -> Status {
    let in_role = |status: &Status| status.ha.iter().all(|group| group.state == role && group.since_s >= seconds);
    director.wait(&format!("was {role}"), LIMIT, in_role).expect("it becomes that")
}

#[test]
fn a_backup_does_not_wait_for_a_master_that_bfd_has_lost() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let toml = |at: usize| {
        let priority = if at == 0 { 150 } else { 100 };
        format!(
            "{}[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\ninterval = \"2s\"\n\
             addresses = [\"10.78.0.100/24\"]\n",
            native(at)
        )
    };
    let mut master = two.evenkeel(0, "pair.toml", &toml(0));
    wait_role(&mut master, "master", 0);
    let mut backup = two.evenkeel(1, "pair.toml", &toml(1));
    wait_up(&mut master);
    wait_up(&mut backup);
    // By now it has heard an advertisement.
    wait_role(&mut backup, "backup", 3);
    let cut = Instant::now();
    two.cut(true);
    let status = wait_role(&mut backup, "master", 0);
    assert!(cut.elapsed() < MASTER_DOWN, "{:?}", cut.elapsed());
    assert_eq!(status.ha[0].reason, "the master cannot be reached");
    wait_lost(&mut master);
    wait_lost(&mut backup);
    two.cut(false);
    wait_up(&mut backup);
    wait_role(&mut backup, "backup", 0);
    assert_eq!(master.status().expect("it answers").ha[0].state, "master");
    // An orderly end is no failure of the way there.
    assert!(master.terminate().expect("it ends").success(), "{}", master.log());
    let status = wait_role(&mut backup, "master", 0);
    assert_eq!(status.ha[0].reason, "the master said that it leaves");
    assert!(backup.log().contains("is down: it was taken down on purpose"), "{}", backup.log());
}

#[test]
fn one_that_is_at_fault_as_long_as_its_peer_is_reached_takes_over_at_once() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let text = |at, track| keepalived(at, "") + &instance(at, track);
    let mut master = two.evenkeel(0, "keepalived.conf", &text(0, ""));
    wait_role(&mut master, "master", 0);
    let mut backup = two.evenkeel(1, "keepalived.conf", &text(1, "track_bfd {\n four weight 0 reverse\n }"));
    wait_up(&mut backup);
    // By now it has heard an advertisement.
    wait_role(&mut backup, "fault", 3);
    let cut = Instant::now();
    two.cut(true);
    let status = wait_role(&mut backup, "master", 0);
    assert!(cut.elapsed() < MASTER_DOWN, "{:?}", cut.elapsed());
    assert_eq!(status.ha[0].reason, "the master cannot be reached");
    two.cut(false);
    wait_role(&mut backup, "fault", 0);
    assert_eq!(master.status().expect("it answers").ha[0].state, "master");
}

#[test]
fn a_real_server_is_up_as_long_as_its_session_is() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let check = "BFD_CHECK {\n name four\n }";
    let service = format!(
        "virtual_server 10.78.0.100 80 {{\n lvs_sched rr\n lvs_method DR\n protocol TCP\n real_server {} 80 {{\n {check}\n }}\n}}\n",
        v4(1)
    );
    let mut director = two.evenkeel(0, "keepalived.conf", &(keepalived(0, "") + &service));
    let real = v4(1).to_string();
    director.wait_state(&real, ServerState::Down, LIMIT).expect("it is down before it has come up");
    let mut other = two.evenkeel(1, "keepalived.conf", &keepalived(1, ""));
    director.wait_state(&real, ServerState::Up, LIMIT).expect("it comes up");
    two.cut(true);
    director.wait_state(&real, ServerState::Down, LIMIT).expect("it goes down");
    two.cut(false);
    director.wait_state(&real, ServerState::Up, LIMIT).expect("it comes up again");
    wait_up(&mut director);
    // An end on purpose says nothing about the way there.
    assert!(other.terminate().expect("it ends").success(), "{}", other.log());
    let ended = |status: &Status| status.bfd.iter().all(|session| session.remote_state == "admin_down");
    let status = director.wait("was told of the end", LIMIT, ended).expect("it is told");
    assert_eq!(status.services[0].real_servers[0].state, ServerState::Up, "{status:?}");
}

#[test]
fn a_reload_keeps_sessions_up_and_agrees_on_other_intervals() {
    if !can_run() {
        return;
    }
    let two = Two::new();
    let mut one = two.evenkeel(0, "bfd.toml", &native(0));
    let mut other = two.evenkeel(1, "bfd.toml", &native(1));
    wait_up(&mut one);
    wait_up(&mut other);
    let slower = native(0).replace("\n[", "\ntransmit = \"200ms\"\n[");
    std::fs::write(two.directory(0).join("bfd.toml"), slower).expect("the file is written");
    one.signal(Signal::HUP).expect("it is told");
    let agreed = |status: &Status| status.bfd.iter().any(|session| session.receive_us == 200_000);
    let status = other.wait("agreed on the slower interval", LIMIT, agreed).expect("it agrees");
    assert!(all(&status, |session| session.state == "up"), "{status:?}");
    let log = other.log();
    assert!(!log.contains("is down"), "{log}");
    // One that is wanted no more goes down on purpose.
    std::fs::write(two.directory(0).join("bfd.toml"), native(0).split("[bfd.six]").next().expect("the first"))
        .expect("the file is written");
    one.signal(Signal::HUP).expect("it is told");
    let gone = |status: &Status| status.bfd.iter().any(|session| session.remote_state == "admin_down");
    let status = other.wait("was told of the end", LIMIT, gone).expect("it is told");
    assert_eq!(status.bfd.iter().filter(|session| session.state == "up").count(), 1, "{status:?}");
}

#[test]
fn keepalived_and_evenkeel_see_each_other_and_a_cut() {
    if !can_run() || !has("keepalived") {
        return;
    }
    for words in ["", "passive"] {
        let two = Two::new();
        // What keepalived reads evenkeel reads too; the one that waits is keepalived.
        let mut ours = two.evenkeel(0, "keepalived.conf", &keepalived(0, ""));
        let mut theirs = two.keepalived(1, &(keepalived(1, words) + &instance(1, "")));
        wait_up(&mut ours);
        two.cut(true);
        wait_lost(&mut ours);
        let noticed = || two.keepalived_said(1).matches("Expired after").count() >= 2;
        wait("keepalived noticed", noticed, || two.keepalived_said(1));
        two.cut(false);
        wait_up(&mut ours);
        theirs.signal(Signal::TERM).expect("keepalived is told");
        theirs.wait(LIMIT).expect("keepalived ends");
        let down = |session: &BfdStatus| session.state == "down";
        ours.wait("noticed that keepalived has ended", LIMIT, |status| all(status, down)).expect("it is noticed");
    }
}

#[test]
fn frr_and_evenkeel_see_each_other_and_a_cut() {
    if !can_run() || !has_frr("bfdd") {
        return;
    }
    let two = Two::new();
    let mut ours = two.evenkeel(0, "bfd.toml", &native(0));
    let frr = bfdd(&two, 1);
    wait_up(&mut ours);
    wait("FRR had both up", || count(&frr, "up") == 2, || frr.log());
    let status = ours.status().expect("it answers");
    // The slower one of both intervals, and FRR's multiplier.
    assert!(all(&status, |session| session.detection_us == 400_000 && session.transmit_us == 100_000), "{status:?}");
    two.cut(true);
    wait_lost(&mut ours);
    wait("FRR noticed", || count(&frr, "down") == 2, || frr.log());
    two.cut(false);
    wait_up(&mut ours);
    wait("FRR had both up again", || count(&frr, "up") == 2, || frr.log());
    assert!(ours.terminate().expect("it ends").success(), "{}", ours.log());
    wait("FRR was told of the end", || count(&frr, "down") == 2, || frr.log());
}

fn has(name: &str) -> bool {
    let there = Command::new(name).arg("--version").stderr(Stdio::null()).stdout(Stdio::null()).status().is_ok();
    if !there {
        println!("skipped: needs {name} (apt install {name})");
    }
    there
}

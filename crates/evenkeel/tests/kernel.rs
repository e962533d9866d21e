//! The program on the real packet path, in a network namespace of its own. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_api::Status;
use evenkeel_netlink::{Address, Netlink, VethEnd};
use evenkeel_os::{Namespace, child};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Long enough on the busiest machine.
const LIMIT: Duration = Duration::from_secs(30);
const VIP: &str = "10.98.0.100";

/// A namespace with a director's interface, and a runtime directory.
struct Bed {
    name: String,
    namespace: Namespace,
    runtime_dir: PathBuf,
}

impl Bed {
    /// `None`: this user cannot.
    fn new(purpose: &str) -> Option<Bed> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let name = format!("ek-program-{}-{purpose}", std::process::id());
        let namespace = Namespace::create(&name).unwrap();
        let runtime_dir = PathBuf::from(format!("/run/{name}"));
        let bed = Bed { name, namespace, runtime_dir };
        bed.link();
        Some(bed)
    }

    /// Makes the interface `eth0`, the other end of which answers nothing.
    fn link(&self) {
        let make = || {
            let mut netlink = Netlink::open().unwrap();
            netlink.create_veth(VethEnd::new("eth0"), VethEnd::new("far0")).unwrap();
            let index = netlink.link("eth0").unwrap().unwrap().index;
            let far = netlink.link("far0").unwrap().unwrap().index;
            netlink.set_up(index, true).unwrap();
            netlink.set_up(far, true).unwrap();
            netlink.add_address(&Address::new(index, "10.98.0.1".parse().unwrap(), 24)).unwrap();
        };
        self.namespace.run(make).unwrap();
    }

    fn unlink(&self) {
        let remove = || {
            let mut netlink = Netlink::open().unwrap();
            let index = netlink.link("eth0").unwrap().unwrap().index;
            netlink.delete_link(index).unwrap();
        };
        self.namespace.run(remove).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(arguments).env("EVENKEEL_RUNTIME_DIR", &self.runtime_dir).stdin(Stdio::null());
        child::start_in(&mut command, &self.namespace).unwrap();
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn code(&self, arguments: &[&str]) -> Option<i32> {
        self.call(arguments).status.code()
    }

    fn status(&self) -> Option<Status> {
        serde_json::from_slice(&self.call(&["status", "--json"]).stdout).ok()
    }

    fn run(&self) -> Child {
        let vip = format!("{VIP}:80");
        let arguments = ["run", "--connections", "4096", "--vip", &vip, "--to", "10.98.0.2", "--check", "on"];
        let mut daemon = self.command(&arguments).stderr(Stdio::null()).spawn().unwrap();
        until("serves", || {
            assert!(daemon.try_wait().unwrap().is_none(), "it has ended");
            self.status().is_some()
        });
        daemon
    }

    fn pins(&self) -> PathBuf {
        self.runtime_dir.join("bpf")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.call(&["stop"]);
        let _ = Namespace::delete(&self.name);
        let _ = std::fs::remove_dir_all(&self.runtime_dir);
    }
}

fn until(what: &str, mut good: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < end, "never {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn holds_something(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

fn doors(status: &Status) -> Vec<(String, u32)> {
    status.dataplane.attachments.iter().map(|a| (a.interface.clone(), a.program_id)).collect()
}

#[test]
fn a_killed_daemon_leaves_its_program_and_the_next_one_takes_it_over() {
    let Some(bed) = Bed::new("adopt") else { return };
    let mut daemon = bed.run();
    let before = bed.status().unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(holds_something(&bed.pins()));
    let mut daemon = bed.run();
    let after = bed.status().unwrap();
    assert_eq!(doors(&after), doors(&before), "nothing was attached anew");
    assert_eq!(doors(&after).len(), 1);
    assert_eq!(bed.code(&["stop"]), Some(0));
    assert!(daemon.wait().unwrap().success());
    assert!(!bed.pins().exists());
}

#[test]
fn stop_removes_what_a_killed_daemon_has_left() {
    let Some(bed) = Bed::new("left") else { return };
    let mut daemon = bed.run();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(holds_something(&bed.pins()));
    assert_eq!(bed.code(&["status"]), Some(3));
    assert_eq!(bed.code(&["stop"]), Some(0));
    assert!(!bed.pins().exists());
    assert_eq!(bed.code(&["stop"]), Some(3), "there is nothing left to stop");
}

#[test]
fn stop_removes_what_a_daemon_leaves_that_is_still_dying() {
    let Some(bed) = Bed::new("dying") else { return };
    for _ in 0..5 {
        let mut daemon = bed.run();
        daemon.kill().unwrap();
        assert_eq!(bed.code(&["stop"]), Some(0));
        assert!(!bed.pins().exists(), "it was killed and has removed nothing itself");
        daemon.wait().unwrap();
    }
}

#[test]
fn an_interface_that_is_made_anew_is_attached_again_and_no_other() {
    let Some(bed) = Bed::new("anew") else { return };
    let mut daemon = bed.run();
    let before = doors(&bed.status().unwrap());
    assert_eq!(before.len(), 1);
    bed.unlink();
    until("let go", || doors(&bed.status().unwrap()).is_empty());
    bed.link();
    until("attached again", || !doors(&bed.status().unwrap()).is_empty());
    let after = doors(&bed.status().unwrap());
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].0, "eth0");
    assert_eq!(bed.code(&["stop"]), Some(0));
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn a_restart_may_follow_a_stop_at_once() {
    let Some(bed) = Bed::new("again") else { return };
    for _ in 0..5 {
        let mut daemon = bed.run();
        assert_eq!(bed.code(&["stop"]), Some(0));
        assert!(daemon.wait().unwrap().success());
    }
}

/// Loads rules of nftables.
fn nft(bed: &Bed, rules: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rules).unwrap();
    let mut command = Command::new("nft");
    command.arg("-f").arg(file.path());
    child::start_in(&mut command, &bed.namespace).unwrap();
    assert!(command.status().unwrap().success());
}

/// What `check` says of a file, with what code.
fn check(bed: &Bed, text: &str) -> Vec<(String, String)> {
    let file = tempfile::Builder::new().suffix(".cf").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let output = bed.call(&["check", "--output", "json", file.path().to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let word = |one: &serde_json::Value, field: &str| one[field].as_str().unwrap().to_owned();
    let told = told["diagnostics"].as_array().or_else(|| told.as_array()).unwrap();
    told.iter().map(|one| (word(one, "code"), word(one, "message"))).collect()
}

#[test]
fn check_names_the_rules_that_set_a_services_mark_and_cannot_be_followed() {
    let Some(bed) = Bed::new("marks") else { return };
    nft(
        &bed,
        "\
table ip marks {
    chain pre {
        type filter hook prerouting priority mangle
        iifname eth0 tcp dport 80 meta mark set 7
        iifname eth0 tcp dport 81 meta mark set 8
        tcp dport 82 meta mark set 7
    }
}
",
    );
    let lost = |service: &str| -> Vec<String> {
        let told = check(&bed, &format!("virtual={service}\n\treal=10.98.0.2 gate\n\tservice=http\n\tcheckport=80\n"));
        told.into_iter().filter(|(code, _)| code == "H0604").map(|(_, message)| message).collect()
    };
    let told = lost("7");
    assert!(told.len() == 1 && told[0].contains("dport 80") && told[0].contains("mark"), "{told:?}");
    assert_eq!(lost("10.98.0.1:80"), Vec::<String>::new());
}

#[test]
fn check_names_the_rules_of_forward_that_translated_answers_go_past() {
    let Some(bed) = Bed::new("forward") else { return };
    nft(
        &bed,
        "\
table inet filter {
    chain forward {
        type filter hook forward priority filter
        ip daddr 203.0.113.0/24 drop
        ip saddr 10.98.0.2 tcp sport 80 drop
    }
}
",
    );
    let bypassed = |method: &str| -> Vec<String> {
        let file = format!("virtual=10.98.0.1:80\n\treal=10.98.0.2:80 {method}\n\tservice=http\n");
        let told = check(&bed, &file).into_iter().filter(|(code, _)| code == "H0602");
        told.map(|(_, message)| message).collect()
    };
    let told = bypassed("masq");
    let [others, answers] = told.as_slice() else { panic!("{told:?}") };
    assert!(answers.contains("sport 80") && answers.contains("drops all of the real servers' answers"), "{answers}");
    assert!(others.contains("daddr 203.0.113.0") && others.contains("drops a part of"), "{others}");
    assert_eq!(bypassed("gate"), Vec::<String>::new());
    assert_eq!(bypassed("ipip"), Vec::<String>::new());
}

/// How often the threads of a process have gone to sleep.
fn sleeps(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of = |thread: std::fs::DirEntry| -> Option<u64> {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    threads.filter_map(of).sum()
}

#[test]
fn an_idle_daemon_sleeps() {
    let Some(bed) = Bed::new("idle") else { return };
    let mut daemon = bed.run();
    // What the start has left over is done.
    thread::sleep(Duration::from_secs(2));
    let before = sleeps(daemon.id());
    // That nothing happens can only be seen by letting time pass.
    thread::sleep(Duration::from_secs(5));
    let woken = sleeps(daemon.id()) - before;
    // Once a second old connections are looked for, files, and the real server that does not answer.
    assert!(woken < 60, "woken {woken} times in 5 s");
    assert_eq!(bed.code(&["stop"]), Some(0));
    assert!(daemon.wait().unwrap().success());
}

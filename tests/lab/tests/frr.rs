//! VRRP with FRR's vrrpd as the other router: take-over both ways.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use evenkeel_lab::{Director, Stage};
use evenkeel_lab_tests::{
    LIMIT, alone, can_run,
    frr::{Frr, has_frr},
    program, switch, unique_name,
};
use std::{
    net::{IpAddr, Ipv6Addr},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// What the two speak.
struct Wire {
    version: u8,
    /// As FRR says it: `4` or `6`.
    family: u8,
    /// Those of the virtual router, with their prefix.
    addresses: &'static [&'static str],
}

const WIRES: [Wire; 3] = [
    Wire { version: 3, family: 4, addresses: &["10.77.0.100/24"] },
    Wire { version: 2, family: 4, addresses: &["10.77.0.100/24"] },
    Wire { version: 3, family: 6, addresses: &["fe80::100/64", "fd77::100/64"] },
];

impl Wire {
    fn bare(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().filter_map(|address| Some(address.split_once('/')?.0))
    }

    fn frr(&self) -> String {
        let addresses = |bare| format!(" vrrp 51 ip{} {bare}\n", if self.family == 6 { "v6" } else { "" });
        let head = format!("interface eth0\n vrrp 51 version {}\n vrrp 51 priority 100\n", self.version);
        head + " vrrp 51 advertisement-interval 1000\n" + &self.bare().map(addresses).collect::<String>()
    }

    fn native(&self, priority: u8) -> String {
        let (version, addresses) = (self.version, self.addresses);
        format!(
            "[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\nversion = {version}\npriority = {priority}\naddresses = {addresses:?}\n"
        )
    }
}

/// Whether FRR's instance is in this state.
fn is(frr: &Frr, family: u8, state: &str) -> bool {
    let status = format!("Status (v{family})");
    frr.ask("show vrrp").lines().any(|line| line.contains(&status) && line.contains(state))
}

fn wait(what: &str, frr: &Frr, mut good: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < until, "never {what}: {}\n{}", frr.ask("show vrrp"), frr.log());
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn frr_is_relieved_and_relieves() {
    if !can_run() || !has_frr("vrrpd") {
        return;
    }
    let _alone = alone();
    for wire in WIRES {
        take_over_both_ways(&wire);
    }
}

fn take_over_both_ways(wire: &Wire) {
    let six = |last| Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last);
    let host =
        |name, last: u8| (name, vec![(IpAddr::from([10, 77, 0, last]), 24), (IpAddr::from(six(last.into())), 64)]);
    let stage = Stage::raise(&unique_name(), &switch::topology([host("d1", 1), host("d2", 2)])).expect("it is built");
    let node = |name: &str| Arc::clone(stage.node(name).expect("it is there"));
    let run = |words: &str| {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        node("d2").output(command).expect("ip runs");
    };
    // FRR has the addresses on an interface with the virtual router's MAC address, which is made for it.
    run("link add vr link eth0 type macvlan mode bridge");
    let family = if wire.family == 6 { 2 } else { 1 };
    run(&format!("link set dev vr address 00:00:5e:00:0{family}:33"));
    let length = if wire.family == 6 { 64 } else { 32 };
    for bare in wire.bare() {
        run(&format!("addr add {bare}/{length} dev vr"));
    }
    run("link set dev vr up");
    let mut frr = Frr::start(node("d2"), &stage.directory().join("frr"), "vrrpd", &wire.frr());
    wait("FRR was master", &frr, || is(&frr, wire.family, "Master"));
    let path = stage.directory().join("pair.toml");
    std::fs::write(&path, wire.native(150)).expect("the file is written");
    let mut ours = Director::new(node("d1"), program(), stage.directory());
    for _ in 0..2 {
        // The better one takes over, and is followed when it leaves.
        ours.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
        ours.wait("was master", LIMIT, |status| status.ha[0].state == "master").expect("it takes over");
        wait("FRR was backup", &frr, || is(&frr, wire.family, "Backup"));
        assert!(ours.terminate().expect("it ends").success(), "{}", ours.log());
        assert!(ours.log().contains(" has taken over"), "{}", ours.log());
        wait("FRR was master again", &frr, || is(&frr, wire.family, "Master"));
    }
    // A lower one follows when FRR leaves.
    std::fs::write(&path, wire.native(50)).expect("the file is written");
    ours.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
    ours.wait("was backup", LIMIT, |status| status.ha[0].state == "backup").expect("it waits");
    frr.stop();
    ours.wait("was master", LIMIT, |status| status.ha[0].state == "master").expect("it follows");
    assert!(ours.log().contains("the master said that it leaves"), "{}", ours.log());
    assert!(ours.terminate().expect("it ends").success(), "{}", ours.log());
}

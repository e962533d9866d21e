//! VRRP with FRR's vrrpd as the other router: take-over both ways.

use evenkeel_lab::{Director, Stage};
use evenkeel_lab_tests::{
    LIMIT, alone, can_run,
    frr::{Frr, has_frr},
    program, switch, unique_name,
};
use std::{
    net::IpAddr,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// Whether FRR's instance is in this state.
fn is(frr: &Frr, state: &str) -> bool {
    frr.ask("show vrrp").lines().any(|line| line.contains("Status (v4)") && line.contains(state))
}

fn wait(what: &str, mut good: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < until, "never {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn frr_is_relieved_and_relieves() {
    if !can_run() || !has_frr("vrrpd") {
        return;
    }
    let _alone = alone();
    let host = |name, last| (name, vec![(IpAddr::from([10, 77, 0, last]), 24)]);
    let stage = Stage::raise(&unique_name(), &switch::topology([host("d1", 1), host("d2", 2)])).expect("it is built");
    let node = |name: &str| Arc::clone(stage.node(name).expect("it is there"));
    // FRR has the address on an interface with the virtual router's MAC address, which is made for it.
    for words in [
        "link add vr link eth0 type macvlan mode bridge",
        "link set dev vr address 00:00:5e:00:01:33",
        "addr add 10.77.0.100/32 dev vr",
        "link set dev vr up",
    ] {
        let mut command = Command::new("ip");
        command.args(words.split(' '));
        node("d2").output(command).expect("ip runs");
    }
    let text = "interface eth0\n vrrp 51 version 3\n vrrp 51 priority 100\n vrrp 51 advertisement-interval 1000\n vrrp 51 ip \
                10.77.0.100\n";
    let frr = Frr::start(node("d2"), &stage.directory().join("frr"), "vrrpd", text);
    wait("FRR was master", || is(&frr, "Master"));
    let toml = "[vrrp.pair]\ninterface = \"eth0\"\nvrid = 51\npriority = 150\naddresses = [\"10.77.0.100/24\"]\n";
    let path = stage.directory().join("pair.toml");
    std::fs::write(&path, toml).expect("the file is written");
    let mut ours = Director::new(node("d1"), program(), stage.directory());
    for _ in 0..2 {
        // The better one takes over, and is followed when it leaves.
        ours.start(&[path.to_str().expect("a plain path")]).expect("evenkeel starts");
        ours.wait("was master", LIMIT, |status| status.ha[0].state == "master").expect("it takes over");
        wait("FRR was backup", || is(&frr, "Backup"));
        assert!(ours.terminate().expect("it ends").success(), "{}", ours.log());
        assert!(ours.log().contains("10.77.0.2 has taken over"), "{}", ours.log());
        wait("FRR was master again", || is(&frr, "Master"));
    }
}

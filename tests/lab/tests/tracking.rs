//! What instances track moves the address: the same file does the same to an evenkeel and to a keepalived.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;

use evenkeel_lab::Process;
use evenkeel_lab_tests::can_run;
use pair::{Pair, Player, Wire, has_keepalived};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// The better of the two has 150, the other 100.
const ENOUGH: i32 = -60;

fn ip(pair: &Pair, arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    pair.node("d1").output(command).expect("the interface is set");
}

/// A script, another with a weight, a file and an interface, one after the other.
fn what_is_tracked_moves_the_address(player: Player) {
    let mut pair = Pair::new(Wire::V3, [player, Player::Evenkeel]);
    ip(&pair, &["link", "add", "eth1", "type", "veth", "peer", "name", "other"]);
    for name in ["eth1", "other"] {
        ip(&pair, &["link", "set", name, "up"]);
    }
    let [fit, fast, load] = ["fit", "fast", "load"].map(|name| pair.file(0, name));
    for flag in [&fit, &fast] {
        fs::write(flag, "").expect("a file can be made");
    }
    let script = |name: &str, flag: &Path, more: &str| {
        format!("vrrp_script {name} {{\n script \"/usr/bin/test -e {}\"\n interval 1\n {more}\n}}\n", flag.display())
    };
    let blocks = script("fit", &fit, "fall 2")
        + &script("fast", &fast, &format!("weight {ENOUGH}"))
        + &format!("track_file load {{\n file {}\n init_file 0 overwrite\n}}\n", load.display());
    let words = "track_script {\n fit\n fast\n}\n track_file {\n load weight 2\n}\n track_interface {\n eth1\n}";
    pair.start_conf(0, &blocks, words);
    pair.wait_owners(&[0]);
    pair.start(1);
    pair.wait_role(1, "backup");

    fs::remove_file(&fit).expect("the flag goes");
    pair.wait_owners(&[1]);
    if player == Player::Evenkeel {
        let status = pair.status(0);
        assert!(status.contains("script fit fails: exit status 1"), "{status}");
    }
    fs::write(&fit, "").expect("the flag comes back");
    pair.wait_owners(&[0]);

    fs::remove_file(&fast).expect("the flag goes");
    pair.wait_owners(&[1]);
    if player == Player::Evenkeel {
        let status = pair.status(0).replace(' ', "");
        assert!(status.contains("\"priority\":90") && status.contains("\"base_priority\":150"), "{status}");
    }
    fs::write(&fast, "").expect("the flag comes back");
    pair.wait_owners(&[0]);

    assert_eq!(fs::read_to_string(&load).expect("it was made"), "0\n");
    fs::write(&load, (ENOUGH / 2).to_string()).expect("the file is written");
    pair.wait_owners(&[1]);
    fs::remove_file(&load).expect("the file goes");
    pair.wait_owners(&[0]);

    ip(&pair, &["link", "set", "eth1", "down"]);
    pair.wait_owners(&[1]);
    ip(&pair, &["link", "set", "eth1", "up"]);
    pair.wait_owners(&[0]);
    for at in [1, 0] {
        pair.stop(at);
    }
}

#[test]
fn what_an_evenkeel_tracks_moves_the_address() {
    if can_run() {
        what_is_tracked_moves_the_address(Player::Evenkeel);
    }
}

#[test]
fn what_a_keepalived_tracks_moves_the_address_to_an_evenkeel_just_so() {
    if can_run() && has_keepalived() {
        what_is_tracked_moves_the_address(Player::Keepalived);
    }
}

#[test]
fn a_process_that_is_killed_takes_the_address_along() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    // A name of its own, of 15 bytes at the most.
    let name = format!("trk{}", std::process::id());
    let program = pair.file(0, &name);
    fs::copy("/bin/sleep", &program).expect("a program can be copied");
    let begin = |pair: &Pair| {
        let mut command = Command::new(&program);
        command.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process::new("a program", pair.node("d1").spawn(command).expect("it starts"))
    };
    let running = begin(&pair);
    let blocks = format!("vrrp_track_process web {{\n process {name}\n}}\n");
    pair.start_conf(0, &blocks, "track_process {\n web\n}");
    pair.wait_owners(&[0]);
    pair.start(1);
    pair.wait_role(1, "backup");
    drop(running);
    pair.wait_owners(&[1]);
    let status = pair.status(0);
    assert!(status.contains(&format!("process web is not as wanted: 0 of `{name}` run")), "{status}");
    let _running = begin(&pair);
    pair.wait_owners(&[0]);
    for at in [1, 0] {
        pair.stop(at);
    }
}

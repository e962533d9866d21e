//! A node whose own firewall keeps out what the other one says: `status` and `check` name the rule, and the command they
//! give lets it in.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{can_run, program};
use std::process::Command;

/// What a shell says on a host.
fn shell(duo: &Duo, host: &str, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    duo.node(host).output(command).unwrap_or_else(|why| panic!("{script}: {why}"))
}

/// What `check` says on the second node.
fn check(duo: &Duo) -> String {
    let mut command = Command::new("sh");
    let files = duo.etc(1);
    command.arg("-c").arg(format!("{} check --node ha2 {} 2>&1 || true", program().display(), files.display()));
    duo.node("ha2").output(command).expect("it checks")
}

/// The commands that `status` gives.
fn remedies(status: &str) -> Vec<String> {
    let warnings = status.split("this host's firewall drops heartbeats").skip(1);
    let next = warnings.filter_map(|rest| rest.split_once("Next: ")?.1.split_once(" accept"));
    next.map(|(command, _)| format!("{} accept", command.replace("\\\"", "\""))).collect()
}

#[test]
fn a_rule_that_drops_heartbeats_is_named_until_they_are_let_in() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::new([Player::Evenkeel; 2], Files::quick(200, 2000));
    let rules = "nft add table inet guard && nft add chain inet guard input '{ type filter hook input priority 0; policy \
                 drop; }' && nft add rule inet guard input ct state established,related accept && nft add rule inet \
                 guard input iifname lo accept && nft add rule inet guard input meta l4proto '{ icmp, tcp }' accept";
    shell(&duo, "ha2", rules);
    duo.start(0);
    duo.start(1);
    // It is told for each path, and the first node, which hears nothing either, has no such rule.
    for (from, interface) in [("10.0.0.1", "eth1"), ("10.168.0.161", "eth0")] {
        duo.wait_status(
            1,
            &format!(
                "this host's firewall drops heartbeats of {from} on {interface} (UDP port 694): `inet guard input: policy drop`"
            ),
        );
    }
    assert!(!duo.status(0).contains("firewall"), "{}", duo.status(0));
    duo.wait_log(1, "this host's firewall drops heartbeats of 10.0.0.1 on eth1");
    let told = check(&duo);
    assert!(told.contains("warning[H0606]: this host's firewall drops heartbeats of 10.0.0.1 on eth1"), "{told}");
    assert!(
        told.contains("nft insert rule inet guard input iifname \"eth1\" ip saddr 10.0.0.1 udp dport 694 accept"),
        "{told}"
    );
    let commands = remedies(&duo.status(1));
    assert_eq!(commands.len(), 2, "{}", duo.status(1));
    for command in commands {
        shell(&duo, "ha2", &command);
    }
    duo.wait("the second heard the first", evenkeel_lab_tests::LIMIT, || !duo.status(1).contains("firewall drops"));
    assert!(!check(&duo).contains("H0606"), "{}", check(&duo));
    duo.wait_owners(&[0]);
}

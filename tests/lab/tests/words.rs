//! Words of keepalived.conf that few files have, with real packets: the same file for an evenkeel and for a keepalived.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;

use evenkeel_lab_tests::can_run;
use evenkeel_netlink::NeighbourSocket;
use pair::{Pair, Player, Wire, has_keepalived};
use std::{
    fs,
    time::{Duration, Instant},
};

#[test]
fn an_instance_that_is_to_have_peers_is_at_fault_until_it_has_some() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    pair.start_conf(0, "", "unicast_fault_no_peer\n unicast_peer {\n }");
    pair.wait_role(0, "fault");
    let status = pair.status(0);
    assert!(status.contains("it was told to speak to peers alone, and has none"), "{status}");
    let path = pair.file(0, "keepalived.conf");
    let text = fs::read_to_string(&path).expect("the file is there");
    fs::write(&path, text.replace("unicast_peer {\n", "unicast_peer {\n 10.79.0.2\n")).expect("the file is written");
    let (taken, said) = pair.reload(0);
    assert!(taken, "{said}");
    pair.wait_owners(&[0]);
    pair.stop(0);
}

/// An instance that has nothing to move.
fn bare(priority: u8) -> String {
    format!("vrrp_instance bare {{\n interface eth0\n virtual_router_id 77\n version 2\n priority {priority}\n}}\n")
}

#[test]
fn an_instance_without_addresses_elects_as_with_keepalived_and_counts_what_it_hears() {
    if !can_run() || !has_keepalived() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Keepalived, Player::Evenkeel]);
    pair.start_conf(0, &bare(150), "");
    pair.wait_for("the bare instance is master", || pair.log(0).contains("(bare) Entering MASTER STATE"));
    pair.start_conf(1, &bare(100), "");
    let bare_is = |state: &str| format!("\"name\":\"bare\",\"protocol\":\"vrrp\",\"state\":\"{state}\"");
    pair.wait_status(1, &bare_is("backup"));
    pair.wait_for("advertisements are counted", || {
        let status = pair.status(1).replace("\": ", "\":");
        status.contains("\"counters\":{\"sent\":0,\"received\":") && !status.contains("\"received\":0,")
    });
    pair.stop(0);
    pair.wait_status(1, &bare_is("master"));
    let status = pair.status(1).replace("\": ", "\":");
    assert!(status.contains("\"became_master\":1,") && status.contains("\"priority_zero_received\":1"), "{status}");
    pair.stop(1);
}

#[test]
fn announcements_keep_their_pause() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    let opened = pair.node("client").run(NeighbourSocket::open).expect("the client lives");
    let mut socket = opened.expect("a socket");
    let pause = Duration::from_millis(400);
    let blocks = format!("global_defs {{\n vrrp_garp_interval {}\n}}", pause.as_secs_f64());
    pair.start_conf(0, &blocks, "garp_master_repeat 3\n garp_master_delay 0");
    let mut heard: Vec<Instant> = Vec::new();
    let vip = "10.79.0.100".parse::<std::net::IpAddr>().expect("an address");
    pair.wait("the address was announced three times", || {
        let all = socket.read_heard().expect("the socket lives");
        heard.extend(all.iter().filter(|one| one.ip == vip).map(|_| Instant::now()));
        heard.len() >= 3
    });
    // Late looks make single pauses look shorter, the sum less so.
    let took = heard[2] - heard[0];
    assert!(took > pause, "{took:?}");
    pair.stop(0);
}

#[test]
fn a_master_that_leaves_says_so_and_igmp_is_spoken_again_at_the_end() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    let reports = "cat /proc/sys/net/ipv4/igmp_link_local_mcast_reports";
    pair.start_conf(0, "global_defs {\n disable_local_igmp\n}", "");
    pair.wait_owners(&[0]);
    assert_eq!(pair.run("d1", reports).trim(), "0");
    pair.stop(0);
    assert_eq!(pair.run("d1", reports).trim(), "1");
    let said = pair.said(0);
    assert!(said.contains("pair leaves: it was told to end."), "{said}");
    assert!(!said.contains("is master now: it was told to end"), "{said}");
}

#[test]
fn an_interface_that_comes_later_is_used_then() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    pair.start_with(0, |text| text.replace("eth0", "late0"));
    pair.wait_role(0, "fault");
    for command in [
        "ip link add late0 type veth peer name late1",
        "ip addr add 10.78.0.1/24 dev late0",
        "ip link set late1 up",
        "ip link set late0 up",
    ] {
        pair.run("d1", command);
    }
    pair.wait_role(0, "master");
    pair.wait_told("d1", "ip -o addr show dev late0", |told| told.contains("10.79.0.100/24"));
    pair.stop(0);
}

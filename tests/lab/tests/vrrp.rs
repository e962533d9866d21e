//! VRRP with real packets: two directors on one switch, evenkeel or keepalived, and a client that counts what it loses.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;
mod vmac;

use evenkeel_lab_tests::can_run;
use pair::{Pair, Player, Wire};
use std::time::Duration;

/// What a busy machine may keep a ping waiting. An election takes 3 s, and what waits for the skew time 0.6 s.
const NOISE: Duration = Duration::from_millis(500);

/// Everything a pair may speak.
const WIRES: [Wire; 6] = [Wire::V3Group, Wire::V2Password, Wire::V2Header, Wire::V3, Wire::V3Unicast, Wire::V3Ipv6];

#[test]
fn two_evenkeels_hand_over_without_losing_a_packet() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::settled();
    let probe = pair.probe();
    pair.stop(0);
    pair.wait_owners(&[1]);
    // It comes back and takes over again, as its priority says.
    pair.start(0);
    pair.wait_owners(&[0]);
    let report = probe.stop();
    assert!(report.sent > 1000, "{report:?}");
    assert!(report.longest < NOISE, "{report:?}");
}

#[test]
fn a_dead_daemon_leaves_no_address_for_ever() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::settled();
    pair.kill(0);
    // First nobody or the dead one alone, then the other alone: never both.
    let seen = pair.watch_owners_until(&[1]);
    assert!(!seen.contains(&vec![0, 1]), "{seen:?}");
    assert_eq!(pair.owners(), [1]);
}

#[test]
fn a_crashed_master_goes_on_where_it_was() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::settled();
    let probe = pair.probe();
    pair.kill(0);
    pair.start(0);
    pair.wait_role(0, "master");
    let status = pair.status(0);
    assert!(status.contains("as the run before had left them"), "{status}");
    let report = probe.stop();
    // The address was there all the time.
    assert!(report.longest < NOISE && report.lost < report.sent / 20, "{report:?}");
    assert_eq!(pair.owners(), [0]);
}

#[test]
fn a_healed_split_leaves_one_master_that_the_link_knows() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    pair.split();
    pair.wait_owners(&[0, 1]);
    pair.heal();
    pair.wait_owners(&[0]);
    let probe = pair.probe();
    probe.wait_for(300);
    let report = probe.stop();
    assert!(report.longest < NOISE, "{report:?}");
}

#[test]
fn a_keepalived_is_relieved_and_relieves() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    for wire in WIRES {
        for players in [[Player::Evenkeel, Player::Keepalived], [Player::Keepalived, Player::Evenkeel]] {
            let mut pair = Pair::new(wire, players);
            pair.start(1);
            pair.wait_owners(&[1]);
            // The better one takes over.
            pair.start(0);
            pair.wait_owners(&[0]);
            // And is followed when it leaves.
            pair.stop(0);
            pair.wait_owners(&[1]);
            pair.start(0);
            pair.wait_owners(&[0]);
        }
    }
}

#[test]
fn a_pair_of_keepalived_is_replaced_one_by_one() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    for wire in [Wire::V2Password, Wire::V3] {
        let mut pair = Pair::new(wire, [Player::Keepalived, Player::Keepalived]);
        pair.start(0);
        pair.wait_owners(&[0]);
        pair.start(1);
        pair.wait_listening(1);
        let probe = pair.probe();
        pair.replace(1, Player::Evenkeel);
        pair.start(1);
        pair.wait_role(1, "backup");
        // Only here the address moves away from a keepalived, which lets it go before anybody else has it.
        pair.replace(0, Player::Evenkeel);
        pair.wait_owners(&[1]);
        pair.start(0);
        pair.wait_owners(&[0]);
        let report = probe.stop();
        // The skew time of priority 100 after the last word; all else loses nothing.
        let takeover = Duration::from_millis(610) + NOISE;
        assert!(report.longest < takeover && report.lost < 600, "{wire:?}: {report:?}");
    }
}

//! VRRP with real packets: two directors on one switch, evenkeel or keepalived, and a client that counts what it loses.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod accept;
mod pair;
mod vmac;

use evenkeel_lab_tests::can_run;
use pair::{Pair, Player, Wire};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// What a busy machine may keep a ping waiting. An election takes 3 s, and what waits for the skew time 0.6 s.
const NOISE: Duration = Duration::from_millis(500);

/// How long an address may be there after all of its daemon was killed, at any interval.
const GONE: Duration = Duration::from_millis(1700);

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

/// Kills all of a master, after which only nobody and then its peer may have the address; gives how long it was still
/// there.
fn outlives(wire: Wire, interval: u32) -> Duration {
    let mut pair = Pair::new(wire, [Player::Evenkeel, Player::Evenkeel]).every(interval).settle();
    let killed = Instant::now();
    pair.kill_all(0);
    let seen = pair.watch_owners_until(&[]);
    let gone = killed.elapsed();
    assert!(seen.iter().all(|owners| *owners == [0]), "{wire:?} {interval} {seen:?}");
    let seen = pair.watch_owners_until(&[1]);
    assert!(seen.iter().all(Vec::is_empty), "{wire:?} {interval} {seen:?}");
    gone
}

#[test]
fn of_a_dead_master_the_address_is_gone_before_its_peer_claims_it() {
    if !can_run() {
        return;
    }
    for (wire, interval) in [(Wire::V3, 1000), (Wire::V3, 3000), (Wire::V3Ipv6, 1000)] {
        // A machine that stood still for a moment does not do so three times.
        let gone = (0..3).map(|_| outlives(wire, interval)).find(|gone| *gone <= GONE);
        assert!(gone.is_some(), "{wire:?} {interval}");
    }
}

#[test]
fn an_address_that_the_kernel_took_from_a_living_master_is_back_at_once() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]).every(3000).settle();
    pair.signal(0, Signal::STOP);
    pair.wait_owners(&[]);
    let begun = Instant::now();
    pair.signal(0, Signal::CONT);
    pair.wait_owners(&[0]);
    // It was away for less than its peers wait, and no election was held.
    assert!(begun.elapsed() < NOISE, "{:?}", begun.elapsed());
    assert_eq!(pair.said(0).matches("is master now").count(), 1, "{}", pair.said(0));
    let probe = pair.probe();
    probe.wait_for(300);
    let report = probe.stop();
    assert!(report.longest < NOISE, "{report:?}");
    assert_eq!(pair.owners(), [0]);
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
            // keepalived counts authentication headers: each that it heard was above all it had sent.
            let keepalived = if players[0] == Player::Keepalived { 0 } else { 1 };
            assert!(!pair.log(keepalived).contains("already processed"), "{}", pair.log(keepalived));
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

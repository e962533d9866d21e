//! What is wrong around an election is named in plain words, in `status` and in the log, with what to do.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;

use evenkeel_lab_tests::can_run;
use pair::{Pair, Player, Wire};

#[test]
fn a_host_that_has_the_vip_as_well_is_named() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled();
    pair.claim();
    pair.wait_status(0, "10.79.0.100 is also at ");
    pair.wait_log(0, "evenkeel realserver up 10.79.0.100");
    assert!(!pair.status(1).contains("is also at"), "a backup has no address to share");
}

/// The second one has something else in its file.
fn misfits(wire: Wire, change: impl FnOnce(String) -> String) -> Pair {
    let mut pair = Pair::new(wire, [Player::Evenkeel, Player::Evenkeel]);
    pair.start(0);
    pair.wait_owners(&[0]);
    pair.start_with(1, change);
    pair
}

#[test]
fn a_peer_with_another_password_is_named() {
    if !can_run() {
        return;
    }
    let pair = misfits(Wire::V2Password, |text| text.replace("1111", "2222"));
    pair.wait_status(1, "its password or digest is wrong.  Next: write the same password on every node");
}

#[test]
fn a_peer_with_another_interval_is_named() {
    if !can_run() {
        return;
    }
    let pair = misfits(Wire::V2Password, |text| text + "interval = \"3s\"\n");
    pair.wait_status(1, "its interval is another one.  Next: write the same interval on every node");
}

#[test]
fn a_peer_with_other_addresses_is_named_and_heard() {
    if !can_run() {
        return;
    }
    let pair = misfits(Wire::V3, |text| text.replace("10.79.0.100/24", "10.79.0.101/24"));
    pair.wait_status(1, "counts all the same: its addresses are others.  Next: write the same addresses");
    pair.wait_role(1, "backup");
}

#[test]
fn a_peer_that_speaks_by_unicast_is_named() {
    if !can_run() {
        return;
    }
    let pair = misfits(Wire::V3, |text| text.replace("vrid = 51", "vrid = 51\npeers = [\"10.79.0.1\"]"));
    pair.wait_status(1, "it was sent by multicast to a unicast router or the other way");
}

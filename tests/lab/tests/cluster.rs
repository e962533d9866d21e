//! Two evenkeels as a heartbeat cluster, with real packets: what breaks pairs, and does not break this one.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::can_run;
use std::time::Duration;

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn settled() -> Duo {
    let duo = Duo::settled([Player::Evenkeel; 2], Files::quick(200, 1500));
    duo.wait_served(0);
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    duo
}

#[test]
fn a_process_that_stood_still_puts_no_address_back_that_it_has_lost() {
    if !can_run() {
        return;
    }
    let mut duo = settled();
    duo.freeze(0, true);
    duo.wait_owners_within(&[1], PATIENCE);
    duo.wait_served(1);
    duo.freeze(0, false);
    // It is fit again, and is preferred: the address comes back in order.
    let seen = duo.watch_owners_until(&[0], PATIENCE);
    assert!(!seen.contains(&vec![0, 1]), "both had it: {seen:?} {}", duo.log(0));
    duo.wait_served(0);
    assert!(!duo.serves(1), "nginx was left on the second node");
}

#[test]
fn after_a_healed_split_one_node_has_gone_on_and_the_other_yields() {
    if !can_run() {
        return;
    }
    let duo = settled();
    duo.cables(1, "down");
    duo.wait_owners_within(&[0, 1], PATIENCE);
    duo.cables(1, "up");
    let seen = duo.watch_owners_until(&[0], PATIENCE);
    assert!(!seen.contains(&Vec::new()), "nobody had it: {seen:?}");
    duo.wait_log(1, "this one yields");
    duo.wait("nginx ran on the first alone", PATIENCE, || duo.serves(0) && !duo.serves(1));
}

#[test]
fn an_address_that_somebody_removes_is_put_back() {
    if !can_run() {
        return;
    }
    let duo = settled();
    duo.run("ha1", "ip addr del 10.168.0.160/24 dev eth0");
    duo.wait_owners(&[0]);
    assert!(duo.serves(0), "nothing else moved");
}

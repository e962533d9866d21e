//! One node is evenkeel and the other Debian's heartbeat 3.0.6.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{can_run, heartbeat::has_heartbeat};
use std::time::Duration;

const MIXED: [[Player; 2]; 2] = [[Player::Evenkeel, Player::Heartbeat], [Player::Heartbeat, Player::Evenkeel]];
/// Heartbeat waits for 10 s at a cold start, and its scripts take their time.
const PATIENCE: Duration = Duration::from_secs(60);

fn ready() -> bool {
    can_run() && has_heartbeat()
}

#[test]
fn a_pair_with_a_heartbeat_joins_and_each_takes_over_from_the_other() {
    if !ready() {
        return;
    }
    for players in MIXED {
        let mut duo = Duo::new(players, Files::quick(200, 2000));
        duo.start(0);
        duo.start(1);
        duo.wait_owners_within(&[0], PATIENCE);
        duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0) && !duo.serves(1));
        duo.stop(0);
        duo.wait_owners_within(&[1], PATIENCE);
        duo.wait("nginx ran on the second", PATIENCE, || duo.serves(1) && !duo.serves(0));
        // It comes back and gets what prefers it.
        duo.start(0);
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        duo.wait("nginx ran on the first again", PATIENCE, || duo.serves(0) && !duo.serves(1));
    }
}

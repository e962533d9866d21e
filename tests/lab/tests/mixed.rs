//! One node is evenkeel and the other Debian's heartbeat 3.0.6.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{alone, can_run, heartbeat::has_heartbeat};
use std::{
    thread,
    time::{Duration, Instant},
};

const MIXED: [[Player; 2]; 2] = [[Player::Evenkeel, Player::Heartbeat], [Player::Heartbeat, Player::Evenkeel]];
/// Heartbeat waits for 10 s at a cold start, and its scripts take their time.
const PATIENCE: Duration = Duration::from_secs(60);

fn ready() -> bool {
    can_run() && has_heartbeat()
}

/// Two pairs at a time, both started, and the address on the first node.
fn in_both_orders(test: fn(Duo, [Player; 2])) {
    let _alone = alone();
    thread::scope(|scope| {
        let running = MIXED.map(|players| {
            scope.spawn(move || {
                let mut duo = Duo::beside_others(players, Files::quick(200, 2000));
                duo.start(0);
                duo.start(1);
                duo.wait_owners_within(&[0], PATIENCE);
                test(duo, players);
            })
        });
        for (players, pair) in MIXED.iter().zip(running) {
            assert!(pair.join().is_ok(), "{players:?}");
        }
    });
}

#[test]
fn a_pair_with_a_heartbeat_joins_and_each_takes_over_from_the_other() {
    if !ready() {
        return;
    }
    in_both_orders(|mut duo, players| {
        duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0) && !duo.serves(1));
        duo.stop(0);
        duo.wait_owners_within(&[1], PATIENCE);
        duo.wait("nginx ran on the second", PATIENCE, || duo.serves(1) && !duo.serves(0));
        // It comes back and gets what prefers it.
        duo.start(0);
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        duo.wait("nginx ran on the first again", PATIENCE, || duo.serves(0) && !duo.serves(1));
    });
}

/// hb_standby and hb_takeover of the real one, `standby` and `takeover` of ours, each answered by the other.
#[test]
fn each_gives_and_takes_when_its_operator_asks() {
    if !ready() {
        return;
    }
    in_both_orders(|duo, players| {
        let ours = usize::from(players[1] == Player::Evenkeel);
        let theirs = 1 - ours;
        duo.wait_status(ours, "\"stable\":true");
        let give = |at: usize| {
            if at == ours {
                drop(duo.tell(ours, &["standby"]));
            } else {
                duo.ask(theirs, "/usr/share/heartbeat/hb_standby", &["all"]);
            }
        };
        let take = |at: usize| {
            if at == ours {
                drop(duo.tell(ours, &["takeover"]));
            } else {
                duo.ask(theirs, "/usr/share/heartbeat/hb_takeover", &["all"]);
            }
        };
        // What is asked of a real one before it has ended a transition it ignores; who asks, asks again.
        let moved = |ask: &dyn Fn(), to: usize| {
            duo.wait(&format!("the groups went to {to}"), PATIENCE, || {
                ask();
                let until = Instant::now() + Duration::from_secs(5);
                while duo.owners() != [to] && Instant::now() < until {
                    thread::park_timeout(Duration::from_millis(20));
                }
                duo.owners() == [to]
            });
            duo.wait("nginx went with it", PATIENCE, || duo.serves(to) && !duo.serves(1 - to));
        };
        moved(&|| give(0), 1);
        moved(&|| take(0), 0);
        moved(&|| take(1), 1);
        moved(&|| give(1), 0);
    });
}

/// A pair of heartbeats is replaced node by node, and serves all the while.
#[test]
fn a_pair_of_heartbeats_is_replaced_node_by_node() {
    if !ready() {
        return;
    }
    let mut duo = Duo::new([Player::Heartbeat; 2], Files::quick(200, 2000));
    duo.start(0);
    duo.start(1);
    duo.wait_owners_within(&[0], PATIENCE);
    duo.wait("nginx ran", PATIENCE, || duo.serves(0));
    let probe = duo.probe();
    probe.wait_for(200);
    duo.replace(1, Player::Evenkeel);
    duo.start(1);
    duo.wait_status(1, "\"stable\":true");
    assert_eq!(duo.owners(), [0]);
    // What the real one gives up moves in a second or two, most of it in its scripts.
    duo.replace(0, Player::Evenkeel);
    duo.wait_owners_within(&[1], PATIENCE);
    duo.start(0);
    duo.wait_owners_within(&[0], PATIENCE);
    duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0) && !duo.serves(1));
    let report = probe.stop();
    assert!(report.longest < Duration::from_secs(10), "a client was without for {:?}", report.longest);
    assert!(report.sent > 10 * report.lost, "{report:?}");
}

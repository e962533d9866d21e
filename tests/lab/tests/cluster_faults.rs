//! Faults of a heartbeat cluster that only a real kernel can show.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::can_run;
use std::{
    hint,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long the machine has too much to do.
const BUSY: Duration = Duration::from_secs(8);

/// Faults 15 and 16: four times as much to do as there are processors, on both hosts at once, for they share them.
#[test]
fn a_busy_host_keeps_its_groups() {
    if !can_run() {
        return;
    }
    let duo = Duo::settled([Player::Evenkeel; 2], Files::quick(200, 1500));
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..processors * 4 {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
        }
        let begun = Instant::now();
        while begun.elapsed() < BUSY {
            let owners = duo.owners();
            if owners != [0] {
                end.store(true, Ordering::Relaxed);
                assert_eq!(owners, [0], "{} {}", duo.log(0), duo.log(1));
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        end.store(true, Ordering::Relaxed);
    });
    for at in [0, 1] {
        let log = duo.log(at);
        assert!(!log.contains("fell silent"), "{log}");
    }
}

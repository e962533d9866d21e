//! The pure schedulers make the choices of a real kernel, event by event.

#![allow(clippy::expect_used, reason = "a test ends where its material is bad")]

mod recording;

use recording::{Event, rules::Service};

fn replay(text: &str, expected: usize) {
    let all = recording::read(text);
    assert_eq!(all.len(), expected, "recordings");
    for recording in &all {
        let mut service = Service::new(recording);
        for event in &recording.events {
            let chosen = service.step(*event);
            if let Event::Open(_, expected) = event {
                assert_eq!(chosen, *expected, "{}: {event:?}", recording.name);
            }
        }
    }
}

#[test]
fn hashes() {
    replay(include_str!("golden/schedulers/kernel-hashes.txt"), 13);
}

#[test]
fn loads() {
    replay(include_str!("golden/schedulers/kernel-loads.txt"), 13);
}

#[test]
fn thresholds_are_heeded() {
    replay(include_str!("golden/schedulers/kernel-thresholds.txt"), 11);
}

//! Random packets through the real program and through the reference: no packet, counter or choice may differ.

mod common;

use common::topics;
use evenkeel_dataplane::reference::compare;

/// Seeds, each a run on a fresh data plane. `EVENKEEL_SEED`, `EVENKEEL_PACKETS` and `EVENKEEL_TOPICS` choose another run.
const SEEDS: std::ops::Range<u64> = 1..9;
const PACKETS: u64 = 6_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_program_and_the_reference_agree() {
    let seeds = number("EVENKEEL_SEED").map_or(SEEDS, |seed| seed..seed + 1);
    let packets = number("EVENKEEL_PACKETS").unwrap_or(PACKETS);
    for topics in topics() {
        for seed in seeds.clone() {
            let Some(mut plane) = common::plane_on_host() else { return };
            let secret = plane.secret();
            if let Err(difference) = compare::run(&mut plane, &topics, secret, seed, packets) {
                panic!("{topics:?}, {difference}");
            }
        }
    }
}

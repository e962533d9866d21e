//! Whatever the bytes, the reference has an answer.
#![allow(clippy::expect_used, reason = "a test ends where its material is bad")]

use evenkeel_abi::{Reason, hash::Secret};
use evenkeel_dataplane::{
    Capabilities,
    reference::{Door, Memory, Outcome, Topic, bed, compare, random::Random},
};
use evenkeel_machine::Rng;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECRET: Secret = Secret { first: 7, second: 9 };

fn memory() -> Memory {
    let limits = Capabilities { connections: 1 << 20, services: 512, real_servers: 2048 };
    Memory::new(limits, SECRET, 250)
}

fn on_host() -> Memory {
    let mut memory = memory();
    memory.set_routes(bed::routes());
    memory
}

fn laid() -> Memory {
    let mut memory = on_host();
    bed::lay(&mut memory, Topic::ALL).expect("a bed");
    memory
}

#[test]
fn random_packets_end_in_every_way_there_is() {
    let (mut memory, mut rng, random) = (laid(), Rng::new(1), Random::new(Topic::ALL));
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..40_000 {
        let door = if number % 2 == 0 { Door::Xdp } else { Door::Tc };
        let frame = random.frame(&mut rng, &memory);
        let end = match memory.packet(door, &frame) {
            Outcome::Deliver { .. } => "deliver".to_owned(),
            Outcome::Refuse { .. } => "refuse".to_owned(),
            Outcome::Forward { .. } => "forward".to_owned(),
            Outcome::Resolve { .. } => "resolve".to_owned(),
            Outcome::End(reason) => reason.name().to_owned(),
        };
        *ends.entry(end).or_default() += 1;
    }
    // Full tables and faults of ours are not a matter of packets.
    let beyond = [
        Reason::TableFull,
        Reason::Contended,
        Reason::Internal,
        // Bounds need a clock that goes, and the last two a host or a frame that is otherwise.
        Reason::Limited,
        Reason::NotForwarding,
        Reason::NoHeadroom,
        // Told as a refusal.
        Reason::TooBig,
    ];
    let reasons = Reason::ALL.iter().filter(|reason| !beyond.contains(reason)).map(|reason| reason.name());
    for end in ["deliver", "forward", "refuse", "resolve"].into_iter().chain(reasons) {
        assert!(ends.get(end).copied().unwrap_or(0) > 5, "{end}: {ends:?}");
    }
}

#[test]
fn the_reference_does_not_differ_from_itself() {
    compare::run(&mut on_host(), Topic::ALL, SECRET, 3, 5_000).expect("no difference");
}

#[test]
fn another_secret_is_noticed() {
    let difference = compare::run(&mut memory(), &[Topic::Direct], Secret { first: 8, second: 9 }, 3, 5_000);
    assert!(difference.is_err_and(|text| text.starts_with("seed 3, packet ")), "maglev depends on the secret");
}

proptest! {
    #[test]
    fn any_bytes_have_an_end(frame in proptest::collection::vec(any::<u8>(), 0..200), tc: bool) {
        let mut memory = laid();
        let door = if tc { Door::Tc } else { Door::Xdp };
        match memory.packet(door, &frame) {
            Outcome::Forward { frame: sent, .. } | Outcome::Resolve { frame: sent, .. } => {
                prop_assert!(sent.len() + 4 >= frame.len());
            }
            Outcome::Deliver { .. } | Outcome::Refuse { .. } | Outcome::End(_) => {}
        }
    }
}

//! Any bytes as a frame: the reference takes them without a panic, and the program, where the right to load it is given,
//! does with them what the reference does.

#![no_main]

use evenkeel_abi::{hash::Secret, state::TIMEOUT_SECONDS};
use evenkeel_dataplane::{
    Capabilities,
    reference::{Door, Memory, Topic, Traffic, bed},
};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use std::cell::RefCell;

/// After so many frames both start anew: real time passes for the program only.
const FRAMES: u32 = 20_000;

struct Pair {
    reference: Memory,
    program: Option<EbpfDataplane>,
    frames: u32,
}

impl Pair {
    fn new() -> Pair {
        let connections = 1 << 18;
        let timeouts = TIMEOUT_SECONDS;
        let options = Options { pins: None, connections, services: 256, real_servers: 1024, cells: 1 << 20, timeouts };
        let mut program = EbpfDataplane::open(&options).ok().map(|(plane, _)| plane);
        let secret = program.as_ref().map_or(Secret { first: 1, second: 2 }, EbpfDataplane::secret);
        let limits = Capabilities { connections: u32::MAX, services: 256, real_servers: 1024 };
        let mut reference = Memory::new(limits, secret, 250);
        bed::lay(&mut reference, Topic::ALONE).expect("room");
        if let Some(program) = &mut program {
            bed::lay(program, Topic::ALONE).expect("room");
        }
        Pair { reference, program, frames: 0 }
    }

    fn take(&mut self, door: Door, frame: &[u8]) {
        let expected = match &mut self.program {
            None => {
                let _ = self.reference.frame(door, bed::OUTSIDE, frame);
                return;
            }
            // What the kernel does not run changes nothing.
            Some(program) => match program.frame(door, bed::OUTSIDE, frame) {
                Ok(seen) => Some(seen),
                Err(_) => None,
            },
        };
        if let Some(seen) = expected {
            let expected = self.reference.frame(door, bed::OUTSIDE, frame).expect("is taken");
            assert!(seen == expected, "{door:?} {frame:02x?}\nseen {seen:02x?}\nexpected {expected:02x?}");
        }
        self.frames += 1;
    }
}

thread_local! {
    static PAIR: RefCell<Pair> = RefCell::new(Pair::new());
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, frame)) = bytes.split_first() else { return };
    let door = if first & 1 == 0 { Door::Xdp } else { Door::Tc };
    PAIR.with_borrow_mut(|pair| {
        if pair.frames >= FRAMES {
            *pair = Pair::new();
        }
        // Frames above this length are no different and only slower.
        pair.take(door, &frame[..frame.len().min(512)]);
    });
});

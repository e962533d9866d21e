//! The reference keeps the contract of all data planes.

use evenkeel_abi::hash::Secret;
use evenkeel_dataplane::{Capabilities, contract, reference::Memory};

const SECRET: Secret = Secret { first: 0x0123_4567_89ab_cdef, second: 0xfedc_ba98_7654_3210 };

fn memory() -> Memory {
    let limits = Capabilities { connections: 1000, services: 64, real_servers: 512 };
    Memory::new(limits, SECRET, 250)
}

#[test]
fn tables_are_applied_and_observed() {
    contract::check(&mut || Box::new(memory()), 20_000);
}

#[test]
fn connections_meet_their_fate() {
    contract::check_traffic(&mut || Box::new(memory()));
}

#[test]
fn time_may_wrap() {
    contract::check_traffic(&mut || {
        let mut memory = memory();
        memory.set_now(u64::from(u32::MAX - 5));
        Box::new(memory)
    });
}

#[test]
fn options_are_observed() {
    contract::check_options(&mut || Box::new(memory()));
}

#[test]
fn connections_end_when_they_are_to() {
    contract::check_endings(&mut || Box::new(memory()));
}

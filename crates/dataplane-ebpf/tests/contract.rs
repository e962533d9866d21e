//! The program and its loader keep the contract of all data planes.

mod common;

use evenkeel_dataplane::contract;

#[test]
fn tables_are_applied_and_observed() {
    if common::plane().is_none() {
        return;
    }
    contract::check(&mut || Box::new(common::plane().expect("a plane, as before")), 500);
}

#[test]
fn options_are_applied_and_observed() {
    if common::plane().is_none() {
        return;
    }
    contract::check_options(&mut || Box::new(common::plane().expect("a plane, as before")));
}

#[test]
fn connections_end_when_they_are_to() {
    if common::plane().is_none() {
        return;
    }
    contract::check_endings(&mut || Box::new(common::plane().expect("a plane, as before")));
}

#[test]
fn connections_meet_their_fate() {
    if common::plane().is_none() {
        return;
    }
    contract::check_traffic(&mut || Box::new(common::plane().expect("a plane, as before")));
}

//! A new configuration while instances run: what goes on goes on, and nobody yields who need not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{Bed, own, settings};
use evenkeel_model::vrrp::Priority;
use evenkeel_vrrp::{Input, Output, Role, Settings};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// Masters, all of them.
fn masters() -> Bed {
    let mut bed = Bed::new();
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master; 3]);
    for place in 0..3 {
        bed.said(place);
    }
    bed
}

fn change(bed: &mut Bed, place: usize, settings: Settings) {
    bed.router.change(bed.now, place, settings, &mut bed.out);
}

#[test]
fn the_same_settings_say_nothing() {
    let mut bed = masters();
    change(&mut bed, 2, settings(100));
    bed.group(&[&[0, 1]]);
    assert!(bed.out.is_empty());
}

#[test]
fn a_master_says_its_new_interval_at_once_and_keeps_its_part() {
    let mut bed = masters();
    let slower = Settings { interval: 4 * SECOND, ..settings(90) };
    change(&mut bed, 2, slower);
    assert_eq!(bed.said(2), [Output::Advertise { priority: 90 }]);
    bed.pass(8 * SECOND);
    let said = bed.said(2);
    let adverts = said.iter().filter(|output| matches!(output, Output::Advertise { .. })).count();
    assert_eq!((adverts, bed.role(2)), (2, Role::Master), "{said:?}");
}

#[test]
fn a_backup_that_may_pre_empt_now_does_so_by_the_next_word_of_the_lower_master() {
    let mut bed = Bed::new();
    bed.hear(2, 110);
    bed.pass(SECOND);
    change(&mut bed, 2, settings(120));
    for _ in 0..2 {
        bed.hear(2, 110);
        bed.pass(SECOND);
    }
    assert_eq!(bed.role(2), Role::Backup, "it waits for the master-down time as ever");
    bed.hear(2, 110);
    bed.pass(SECOND);
    assert_eq!(bed.role(2), Role::Master);
}

#[test]
fn one_that_owns_the_addresses_now_is_master_at_once() {
    let mut bed = Bed::new();
    bed.hear(2, 200);
    change(&mut bed, 2, Settings { priority: Priority::OWNER, ..settings(100) });
    assert_eq!(bed.role(2), Role::Master);
}

#[test]
fn a_new_member_of_a_group_of_masters_becomes_one_without_a_pause_of_the_others() {
    let mut bed = masters();
    let place = bed.router.add(settings(100));
    bed.tell(place, Input::Address(Some(own())));
    bed.tell(place, Input::Start { since_renewal: None });
    bed.group(&[&[0, 1, place]]);
    assert_eq!((bed.roles(), bed.role(place)), ([Role::Master; 3], Role::Master));
    assert!(!bed.said(0).contains(&Output::Release));
}

#[test]
fn masters_yield_to_whoever_has_an_address_of_their_new_member() {
    let mut bed = masters();
    let place = bed.router.add(settings(100));
    bed.tell(place, Input::Address(Some(own())));
    bed.tell(place, Input::Start { since_renewal: None });
    bed.hear(place, 200);
    bed.group(&[&[0, 1, place]]);
    assert_eq!((bed.roles(), bed.role(place)), ([Role::Backup, Role::Backup, Role::Master], Role::Backup));
}

#[test]
fn a_broken_new_member_keeps_its_group_out_and_takes_its_fault_along() {
    let mut bed = masters();
    bed.tell(2, Input::Broken(true));
    bed.group(&[&[0, 1, 2]]);
    assert_eq!(bed.roles(), [Role::Fault; 3]);
    bed.group(&[&[0, 1]]);
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master, Role::Master, Role::Fault]);
}

#[test]
fn one_that_waits_for_its_group_does_not_wait_for_a_group_it_has_left() {
    let mut bed = Bed::new();
    for _ in 0..5 {
        bed.hear(1, 200);
        bed.pass(SECOND);
    }
    assert_eq!(bed.role(0), Role::Backup);
    bed.group(&[]);
    assert_eq!((bed.role(0), bed.role(1)), (Role::Master, Role::Backup));
}

#[test]
fn a_place_is_free_again_once_its_instance_has_stopped() {
    let mut bed = masters();
    assert!(!bed.router.remove(2), "it runs");
    bed.tell(2, Input::Stop { patience: Duration::ZERO });
    assert!(bed.router.remove(2) && !bed.router.remove(2));
    assert_eq!(bed.router.add(settings(100)), 2);
    assert_eq!(bed.router.add(settings(100)), 3);
    bed.pass(LONG);
    assert_eq!(bed.role(2), Role::Stopped, "it has not begun");
}

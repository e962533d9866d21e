//! Sync groups: all members are master, or none.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{Bed, own, settings};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_vrrp::{Input, Output, Role, Router};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_group_becomes_master_when_all_of_it_would() {
    let mut bed = Bed::new();
    // The second hears a better router for as long as it speaks.
    for _ in 0..10 {
        bed.hear(1, 200);
        bed.pass(Duration::from_secs(1));
    }
    assert_eq!(bed.roles(), [Role::Backup, Role::Backup, Role::Master]);
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master; 3]);
}

#[test]
fn one_that_hears_a_better_router_takes_its_group_with_it() {
    let mut bed = Bed::new();
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master; 3]);
    bed.said(0);
    bed.hear(1, 200);
    assert_eq!(bed.roles(), [Role::Backup, Role::Backup, Role::Master]);
    let said = bed.said(0);
    assert!(said.contains(&Output::Advertise { priority: 0 }) && said.contains(&Output::Release), "{said:?}");
}

#[test]
fn a_broken_member_keeps_its_group_out_until_it_is_mended() {
    let mut bed = Bed::new();
    bed.pass(LONG);
    bed.tell(0, Input::Broken(true));
    assert_eq!(bed.roles(), [Role::Fault, Role::Fault, Role::Master]);
    // Mended in part: the link of the other has lost its address meanwhile.
    bed.tell(1, Input::Address(None));
    bed.tell(0, Input::Broken(false));
    assert_eq!(bed.roles(), [Role::Fault, Role::Fault, Role::Master]);
    bed.tell(1, Input::Address(Some(own())));
    assert_eq!(bed.roles(), [Role::Backup, Role::Backup, Role::Master]);
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master; 3]);
}

#[test]
fn a_group_that_is_broken_or_leaves_turns_once() {
    let mut bed = Bed::new();
    bed.pass(LONG);
    bed.said(1);
    bed.tell(0, Input::Broken(true));
    let turned = |said: Vec<Output>| -> Vec<Role> {
        let to = |output: Output| match output {
            Output::Turned { to, .. } => Some(to),
            _ => None,
        };
        said.into_iter().filter_map(to).collect()
    };
    assert_eq!(turned(bed.said(1)), [Role::Fault]);
    bed.tell(0, Input::Broken(false));
    bed.pass(LONG);
    assert_eq!(bed.roles(), [Role::Master; 3]);
    bed.said(1);
    // Both keep their addresses for their successors.
    for place in [0, 1] {
        bed.tell(place, Input::Stop { patience: Duration::from_secs(1) });
    }
    let said = bed.said(1);
    assert!(!said.contains(&Output::Release), "{said:?}");
    assert_eq!(turned(said), [Role::Leaving]);
    bed.pass(LONG);
    assert_eq!(turned(bed.said(1)), [Role::Stopped]);
}

#[test]
fn two_things_broken_are_both_to_be_mended() {
    let mut bed = Bed::new();
    bed.tell(0, Input::Broken(true));
    bed.tell(0, Input::Address(None));
    bed.tell(0, Input::Address(Some(own())));
    assert_eq!(bed.roles(), [Role::Fault, Role::Fault, Role::Backup]);
}

#[test]
fn owners_in_a_group_wait_for_each_other_only() {
    let mut router = Router::new();
    let places = [0, 1].map(|_| router.add(settings(255)));
    let mut out = Outbox::new();
    router.group(Instant::START, vec![places.to_vec()], &mut out);
    for &place in &places {
        router.handle(Instant::START, (place, Input::Address(Some(own()))), &mut out);
    }
    router.handle(Instant::START, (0, Input::Start { since_renewal: None }), &mut out);
    assert_eq!(router.instance(0).unwrap().role(), Role::Backup);
    router.handle(Instant::START, (1, Input::Start { since_renewal: None }), &mut out);
    assert_eq!(router.instance(0).unwrap().role(), Role::Master);
    assert_eq!(router.instance(1).unwrap().role(), Role::Master);
}

#[test]
fn a_thousand_instances_keep_their_own_time() {
    let mut router = Router::new();
    let mut out = Outbox::new();
    for place in 0..1000 {
        router.add(settings(u8::try_from(1 + place % 254).unwrap()));
        router.handle(Instant::START, (place, Input::Address(Some(own()))), &mut out);
        router.handle(Instant::START, (place, Input::Start { since_renewal: None }), &mut out);
    }
    let mut bed = Bed { router, now: Instant::START, out };
    bed.pass(LONG);
    let mut adverts = vec![0; 1000];
    for (place, output) in bed.out.drain() {
        adverts[place] += u32::from(matches!(output, Output::Advertise { .. }));
    }
    for (place, count) in adverts.iter().enumerate() {
        // Between 3 and 4 s until it is master, then one a second.
        assert!((7..=8).contains(count) || *count == 6, "{place}: {count}");
    }
}

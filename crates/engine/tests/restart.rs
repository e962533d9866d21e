//! Crashes and orderly ends.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, Request, ServerState};
use evenkeel_dataplane::Change;
use evenkeel_engine::{Exit, Input};
use evenkeel_model::Weight;

#[test]
fn after_a_crash_what_served_goes_on_serving_untouched() {
    let mut bed = serving();
    bed.restart(2, &pair());
    assert_eq!(bed.changed(), vec![]);
    assert!(matches!(bed.events().as_slice(), [Event::Started { adopted: 2, .. }]));
    assert_eq!(bed.status().services[0].real_servers[0].state, ServerState::Up);
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    assert_eq!(bed.changed(), vec![]);
    assert_eq!(bed.events(), vec![], "nothing has happened");
}

#[test]
fn one_that_died_with_the_daemon_away_is_out_after_its_first_check() {
    let mut bed = serving();
    bed.restart(2, &pair());
    bed.answer(address(ONE), false);
    assert_eq!(bed.changed(), vec![Change::RemoveRealServer(key(VIP), address(ONE))]);
}

#[test]
fn what_an_earlier_run_left_and_the_files_do_not_name_is_removed() {
    let mut both = pair();
    both.services.push(service("old", "10.9.9.9:80", vec![]));
    let mut bed = Bed::running(&both);
    bed.changed();
    bed.restart(2, &pair());
    assert_eq!(bed.changed(), vec![Change::RemoveService(key("10.9.9.9:80"))]);
}

#[test]
fn a_fallback_found_in_use_is_not_told_again_and_its_end_is() {
    let mut bed = Bed::running(&pair());
    bed.answer(address(ONE), false);
    bed.answer(address(TWO), false);
    bed.events();
    bed.restart(2, &pair());
    assert!(matches!(bed.events().as_slice(), [Event::Started { adopted: 0, .. }]));
    bed.answer(address(ONE), true);
    let events = bed.events();
    assert!(matches!(events.as_slice(), [Event::ServerUp { .. }, Event::FallbackLeft { .. }]), "{events:?}");
}

#[test]
fn a_start_finds_another_weight_and_mends_it() {
    let mut bed = serving();
    let mut heavier = pair();
    heavier.services[0].real_servers[1].weight = Weight::new(7).unwrap();
    bed.restart(2, &heavier);
    assert_eq!(bed.weight(key(VIP), address(TWO)), Some(7));
    assert_eq!(bed.changed().len(), 1);
}

#[test]
fn an_end_removes_what_is_to_be_removed_and_leaves_the_rest() {
    let mut cluster = pair();
    cluster.services.push(service("stays", "10.9.9.9:80", vec![]));
    cluster.services[1].clean_stop = false;
    let mut bed = Bed::running(&cluster);
    bed.events();
    bed.handle(Input::Stop);
    assert_eq!(bed.changed(), vec![Change::RemoveService(key(VIP))]);
    assert_eq!(bed.exit, Some(Exit { left: 1, failed: false }));
    assert!(bed.probes.is_empty(), "attempts are given up");
    assert_eq!(bed.events(), vec![Event::Stopping { removed: 1, left: 1 }]);
    bed.handle(Input::Stop);
    assert_eq!(bed.log, vec![], "a second one changes nothing");
}

#[test]
fn a_client_that_ends_the_daemon_gets_its_answer_before_the_end() {
    let mut bed = serving();
    assert_eq!(bed.done(Request::Stop {}), "stopped");
    assert!(bed.exit.is_some());
}

#[test]
fn an_end_that_is_refused_says_so_and_ends() {
    let mut bed = serving();
    bed.refuse = Some((|_| true, usize::MAX));
    bed.handle(Input::Stop);
    assert_eq!(bed.exit, Some(Exit { left: 0, failed: true }));
}

#[test]
fn an_end_during_a_batch_waits_for_it() {
    let mut bed = serving();
    bed.slow = true;
    bed.next_answer(address(ONE), false);
    bed.handle(Input::Stop);
    assert_eq!(bed.exit, None);
    bed.program();
    bed.program();
    assert_eq!(bed.exit, Some(Exit { left: 0, failed: false }));
    assert!(bed.table.services.is_empty());
}

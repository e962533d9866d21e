//! From one configuration to the next.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, RefusalCode, Reply, ServerState};
use evenkeel_dataplane::Change;
use evenkeel_engine::{Effect, Input, Token};
use evenkeel_model::{Fallback, Forwarding, Scheduler, Weight};
use std::sync::Arc;
use std::time::Duration;

fn disturbed(bed: &Bed) -> bool {
    bed.log
        .iter()
        .any(|effect| matches!(effect, Effect::Probe(_) | Effect::CancelProbe { .. } | Effect::Program { .. }))
}

#[test]
fn a_reload_of_the_same_changes_and_disturbs_nothing() {
    let mut bed = serving();
    bed.pass(Duration::from_millis(500));
    bed.log.clear();
    bed.reload(&pair());
    assert!(!disturbed(&bed), "{:?}", bed.log);
    assert_eq!(bed.events(), vec![Event::Reloaded { changes: 0, services: 1, real_servers: 2 }]);
}

#[test]
fn another_weight_is_one_change() {
    let mut bed = serving();
    let mut next = pair();
    next.services[0].real_servers[0].weight = Weight::new(5).unwrap();
    bed.reload(&next);
    assert!(matches!(bed.changes.as_slice(), [Change::EditRealServer(..)]), "{:?}", bed.changes);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(5));
    assert_eq!(bed.events(), vec![Event::Reloaded { changes: 1, services: 1, real_servers: 2 }]);
}

#[test]
fn another_scheduler_is_an_edit() {
    let mut bed = serving();
    let mut next = pair();
    next.services[0].scheduler = Scheduler::Maglev;
    bed.reload(&next);
    assert!(matches!(bed.changed().as_slice(), [Change::EditService(..)]));
}

#[test]
fn a_new_real_server_waits_for_its_check_and_a_removed_one_goes_at_once() {
    let mut bed = serving();
    let mut next = pair();
    next.services[0].real_servers[1] = real_server("real-3", "192.168.214.146:80", 1);
    bed.reload(&next);
    assert_eq!(bed.changed(), vec![Change::RemoveRealServer(key(VIP), address(TWO))]);
    assert!(bed.answer(address("192.168.214.146:80"), true), "checked at once");
    assert_eq!(bed.weight(key(VIP), address("192.168.214.146:80")), Some(1));
    bed.pass(Duration::from_secs(5));
    assert!(!bed.answer(address(TWO), true), "no longer watched");
}

#[test]
fn another_check_takes_no_real_server_out_before_it_has_failed() {
    let mut bed = serving();
    let mut next = pair();
    next.services[0].real_servers[0].check = http(ONE, "/health").into();
    bed.reload(&next);
    assert_eq!(bed.changed(), vec![]);
    assert_eq!(bed.status().services[0].real_servers[0].state, ServerState::Up);
    bed.next_answer(address(ONE), false);
    assert_eq!(bed.weight(key(VIP), address(ONE)), None);
}

#[test]
fn another_rhythm_is_taken_without_a_new_attempt() {
    let mut bed = serving();
    let mut next = pair();
    Arc::make_mut(&mut next.services[0].real_servers[0].check).rhythm.every = Duration::from_secs(60);
    bed.log.clear();
    bed.reload(&next);
    assert!(!disturbed(&bed), "{:?}", bed.log);
    bed.pass(Duration::from_secs(2));
    assert!(!bed.answer(address(ONE), true), "its next attempt is a minute away");
    assert!(bed.answer(address(TWO), true));
}

#[test]
fn a_service_that_joins_a_watch_takes_its_state() {
    let mut bed = serving();
    let mut next = pair();
    next.services.push(service("second", "192.168.214.141:80", vec![real_server("real-1", ONE, 3)]));
    bed.reload(&next);
    assert_eq!(bed.weight(key("192.168.214.141:80"), address(ONE)), Some(3));
    bed.reload(&pair());
    assert!(!bed.table.services.contains_key(&key("192.168.214.141:80")));
    bed.next_answer(address(ONE), false);
    assert_eq!(bed.weight(key(VIP), address(ONE)), None, "the watch goes on for the first service");
}

#[test]
fn another_fallback_takes_over_from_the_old_one() {
    let mut bed = Bed::running(&pair());
    bed.answer(address(ONE), false);
    bed.answer(address(TWO), false);
    bed.events();
    let mut next = pair();
    next.services[0].fallback =
        Some(Fallback { address: address("10.0.0.9:80"), forwarding: Forwarding::DirectRouting, quiesce: false });
    bed.reload(&next);
    assert!(
        matches!(bed.changes.as_slice(), [Change::AddRealServer(..), Change::RemoveRealServer(..)]),
        "{:?}",
        bed.changes
    );
    let events = bed.events();
    let told =
        matches!(events.as_slice(), [Event::FallbackLeft { .. }, Event::FallbackInUse { .. }, Event::Reloaded { .. }]);
    assert!(told, "{events:?}");
}

#[test]
fn broken_files_leave_the_old_state_running_and_say_so() {
    let mut bed = serving();
    let token = Token(99);
    bed.handle(Input::ReloadFailed { why: "ldirectord.cf:3: unknown word".into(), token: Some(token) });
    let Some(Reply::Refused(refusal)) = bed.reply(token) else { panic!("refused") };
    assert_eq!((refusal.code, refusal.message.as_str()), (RefusalCode::BadConfig, "ldirectord.cf:3: unknown word"));
    assert_eq!(bed.changed(), vec![]);
    assert_eq!(bed.status().config.error.as_deref(), Some("ldirectord.cf:3: unknown word"));
    bed.reload(&pair());
    assert!(bed.status().config.ok);
}

#[test]
fn reloads_during_a_batch_wait_and_only_the_last_counts() {
    let mut bed = serving();
    bed.slow = true;
    bed.next_answer(address(ONE), false);
    let reload = |weight, token| {
        let mut next = pair();
        next.services[0].real_servers[1].weight = Weight::new(weight).unwrap();
        Input::Reload { cluster: Box::new(next), token: Some(Token(token)) }
    };
    bed.handle(reload(5, 51));
    bed.handle(reload(6, 61));
    assert!(matches!(bed.reply(Token(51)), Some(Reply::Refused(_))));
    bed.program();
    assert_eq!(bed.reply(Token(61)), None, "not in force yet");
    bed.program();
    assert_eq!(bed.weight(key(VIP), address(TWO)), Some(6));
    assert!(matches!(bed.reply(Token(61)), Some(Reply::Done { .. })));
}

//! A data plane that refuses, and one that somebody else has changed.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, RefusalCode, Request};
use evenkeel_dataplane::Change;
use evenkeel_engine::Input;
use std::time::Duration;

fn additions(change: &Change) -> bool {
    matches!(change, Change::AddRealServer(..))
}

fn anything(_: &Change) -> bool {
    true
}

/// How often the data plane was said to have refused, and how often to be well again.
fn told(events: &[Event]) -> (usize, usize) {
    let failed = events.iter().filter(|event| matches!(event, Event::ProgramFailed { .. })).count();
    let recovered = events.iter().filter(|event| matches!(event, Event::ProgramRecovered { .. })).count();
    (failed, recovered)
}

#[test]
fn a_refused_change_is_told_tried_again_and_told_when_it_is_in_force() {
    let mut bed = Bed::running(&pair());
    bed.events();
    bed.refuse = Some((additions, 2));
    bed.answer(address(ONE), true);
    let events = bed.events();
    let text = "the data plane refused to add real server 192.168.214.143:80 with weight 1 to 192.168.214.140:80/tcp: \
                no space left in the map.  Next try in 1 s";
    assert_eq!(events.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    assert_eq!(bed.weight(key(VIP), address("127.0.0.1:80")), Some(1), "the fallback stays meanwhile");
    let status = bed.status();
    assert_eq!(status.services[0].real_servers[0].weight, 0, "nothing is claimed that is not so");
    assert_eq!(status.warnings.len(), 1);
    bed.pass(Duration::from_millis(1001));
    assert_eq!(told(&bed.events()), (1, 0));
    bed.pass(Duration::from_secs(2));
    let events = bed.events();
    assert_eq!(told(&events), (0, 1));
    assert!(events.iter().any(|event| matches!(event, Event::ServerUp { .. })), "{events:?}");
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    assert_eq!(bed.status().warnings, Vec::<String>::new());
}

#[test]
fn what_one_service_is_refused_does_not_keep_the_others_waiting() {
    let services = vec![
        service("a", "10.0.0.1:80", vec![real_server("one", "10.1.0.1:80", 1)]),
        service("b", "10.0.0.2:80", vec![real_server("two", "10.1.0.2:80", 1)]),
    ];
    let mut bed = Bed::new(1);
    bed.refuse = Some((|change| *change == Change::AddService(key("10.0.0.1:80"), options()), usize::MAX));
    bed.start(&cluster(services));
    assert!(bed.table.services.contains_key(&key("10.0.0.2:80")));
    let events = bed.events();
    assert_eq!(told(&events), (1, 0));
    assert!(events.iter().any(|event| matches!(event, Event::Started { .. })), "{events:?}");
}

fn options() -> evenkeel_dataplane::ServiceOptions {
    let model = service("x", VIP, vec![]);
    evenkeel_dataplane::ServiceOptions::from(&model)
}

#[test]
fn tries_are_bounded_and_the_next_reload_begins_anew() {
    let mut bed = Bed::running(&pair());
    bed.events();
    bed.refuse = Some((additions, usize::MAX));
    bed.answer(address(ONE), true);
    for _ in 0..4000 {
        bed.pass(Duration::from_secs(1));
        bed.answer(address(ONE), true);
    }
    let events = bed.events();
    assert_eq!(told(&events), (12, 0));
    let last = events.iter().rev().find(|event| matches!(event, Event::ProgramFailed { .. })).unwrap();
    assert!(matches!(last, Event::ProgramFailed { retry_s: None, .. }));
    bed.refuse = None;
    bed.reload(&pair());
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    assert_eq!(told(&bed.events()), (0, 1));
}

#[test]
fn a_data_plane_that_refuses_everything_is_not_asked_for_each_service() {
    let services = (0..200).map(|n| service(&format!("s{n}"), &format!("10.0.0.{n}:80"), vec![])).collect();
    let mut bed = Bed::new(1);
    bed.refuse = Some((anything, usize::MAX));
    bed.start(&cluster(services));
    assert_eq!(told(&bed.events()), (16, 0));
    bed.refuse = None;
    bed.pass(Duration::from_secs(2));
    assert_eq!(bed.table.services.len(), 200);
    assert_eq!(told(&bed.events()), (0, 1));
}

#[test]
fn who_asked_for_what_was_refused_is_told_at_once() {
    let mut bed = serving();
    bed.refuse = Some((anything, 1));
    let request = Request::Weight { server: "real-1".into(), weight: Some(5), force: false };
    let (code, message) = bed.refused(request);
    assert_eq!(code, RefusalCode::Failed);
    assert!(message.starts_with("the data plane refused to give real server 192.168.214.143:80"), "{message}");
    assert!(message.ends_with("it is wanted still and tried again in 1 s"), "{message}");
    bed.pass(Duration::from_secs(2));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(5));
}

#[test]
fn what_a_foreign_hand_changed_is_put_right() {
    let mut bed = serving();
    bed.table.services.get_mut(&key(VIP)).unwrap().real_servers.remove(&address(ONE));
    bed.covered.clear();
    bed.handle(Input::Observed(bed.table.clone()));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    assert_eq!(bed.events(), vec![Event::TableRepaired { services: 1 }]);
    bed.handle(Input::Observed(bed.table.clone()));
    assert_eq!(bed.events(), vec![], "nothing to put right");
}

#[test]
fn a_report_of_another_batch_is_ignored() {
    let mut bed = serving();
    bed.slow = true;
    bed.next_answer(address(ONE), false);
    bed.handle(Input::Programmed { batch: 4711, outcome: Ok(()) });
    assert_eq!(*bed.engine.in_force(), bed.table, "not claimed before its own report");
    bed.program();
    assert_eq!(*bed.engine.in_force(), bed.table);
}

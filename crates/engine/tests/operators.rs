//! What operators ask for, over reloads and restarts.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, RefusalCode, Reply, Request, Role, ServerState};
use evenkeel_dataplane::Counters;
use evenkeel_engine::{Effect, Input, ServerSample};
use evenkeel_model::{OnFail, Weight};
use std::time::Duration;

fn drain(server: &str) -> Request {
    Request::Drain { server: server.into(), for_s: None, until_idle: false, deadline_s: None, keep: 0, force: false }
}

fn weight(server: &str, weight: Option<u32>) -> Request {
    Request::Weight { server: server.into(), weight, force: false }
}

fn disable(target: &str) -> Request {
    Request::Disable { target: target.into(), force: false }
}

fn state(bed: &mut Bed, place: usize) -> ServerState {
    bed.status().services[0].real_servers[place].state
}

#[test]
fn a_drained_real_server_has_weight_0_until_it_is_undrained() {
    let mut bed = serving();
    let message = bed.done(drain("web/real-1"));
    assert_eq!(message, "web/real-1 drains: no new connections until `evenkeel undrain web/real-1`");
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0));
    assert_eq!(state(&mut bed, 0), ServerState::Drained);
    bed.next_answer(address(ONE), true);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0), "good checks do not end it");
    bed.done(Request::Undrain { server: "web/real-1".into() });
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
}

/// Weight of the first real server in the table, and whether it says that it is down.
fn entry(bed: &Bed) -> (u32, bool) {
    let entry = bed.table.services[&key(VIP)].real_servers[&address(ONE)];
    (entry.weight.get(), entry.is_down)
}

#[test]
fn the_table_says_down_of_those_that_failed_and_not_of_those_an_operator_quiesced() {
    let mut cluster = pair();
    cluster.services[0].on_fail = OnFail::Quiesce;
    let mut bed = Bed::running(&cluster);
    assert_eq!(entry(&bed), (0, false), "nobody has looked yet");
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    assert_eq!(entry(&bed), (1, false));
    bed.done(drain("web/real-1"));
    assert_eq!(entry(&bed), (0, false));
    bed.next_answer(address(ONE), false);
    assert_eq!(entry(&bed), (0, true), "it fails while it drains");
    bed.next_answer(address(ONE), true);
    assert_eq!(entry(&bed), (0, false));
    bed.done(Request::Undrain { server: "web/real-1".into() });
    assert_eq!(entry(&bed), (1, false));
    bed.handle(Input::Maintenance(["192.168.214.143".to_owned()].into()));
    assert_eq!(entry(&bed), (0, true));
    bed.handle(Input::Maintenance([].into()));
    assert_eq!(entry(&bed), (1, false));
}

#[test]
fn what_operators_asked_for_outlives_reloads_and_crashes() {
    let mut bed = serving();
    bed.done(drain("real-1"));
    bed.done(weight("real-2", Some(9)));
    let mut next = pair();
    next.services[0].real_servers[1].weight = Weight::new(4).unwrap();
    bed.reload(&next);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0));
    assert_eq!(bed.weight(key(VIP), address(TWO)), Some(9));
    let stored = serde_json::to_string(&bed.stored).unwrap();
    bed.stored = serde_json::from_str(&stored).unwrap();
    bed.changed();
    bed.restart(2, &next);
    assert_eq!(bed.changed(), vec![]);
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    assert_eq!(bed.changed(), vec![]);
    bed.done(weight("real-2", None));
    assert_eq!(bed.weight(key(VIP), address(TWO)), Some(4), "the file's weight");
    bed.done(Request::Undrain { server: "real-1".into() });
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    assert_eq!(bed.stored.records, vec![], "nothing is left to keep");
}

#[test]
fn a_drain_with_a_time_ends_by_itself_also_over_a_restart() {
    let mut bed = serving();
    bed.done(Request::Drain {
        server: "real-1".into(),
        for_s: Some(600),
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: false,
    });
    assert_eq!(bed.stored.records[0].drained_for_ms, Some(600_000));
    bed.stored = bed.stored.clone().aged(Duration::from_secs(590));
    bed.restart(2, &pair());
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    bed.pass(Duration::from_secs(9));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0));
    bed.events();
    bed.pass(Duration::from_millis(1001));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    let over = Event::Undrained { service: "web".into(), server: "real-1".into(), expired: true };
    assert!(bed.events().contains(&over));
    assert_eq!(bed.stored.records, vec![]);
}

#[test]
fn a_drain_until_idle_answers_when_the_last_connection_is_gone() {
    let mut bed = serving();
    let busy = |active| {
        let counters = Counters { active, inactive: 7, ..Counters::default() };
        [(key(VIP), ServerSample { real_servers: [(address(ONE), counters)].into(), ..ServerSample::default() })].into()
    };
    bed.sample.services = busy(2);
    let request = Request::Drain {
        server: "real-1".into(),
        for_s: None,
        until_idle: true,
        deadline_s: None,
        keep: 0,
        force: false,
    };
    assert_eq!(bed.request(request), None);
    let token = bed.last_token();
    bed.pass(Duration::from_secs(5));
    assert_eq!(bed.reply(token), None);
    bed.sample.services = busy(0);
    bed.pass(Duration::from_secs(1));
    let Some(Reply::Done { message }) = bed.reply(token) else { panic!("not done") };
    assert_eq!(message, "web/real-1 has no active connections left after 6s");
    bed.log.clear();
    bed.pass(Duration::from_secs(5));
    assert!(!bed.log.contains(&Effect::Sample), "nobody waits any longer");
}

#[test]
fn a_drains_deadline_goes_on_over_a_restart() {
    let order = |server: &str| Request::Drain {
        server: server.into(),
        for_s: None,
        until_idle: false,
        deadline_s: Some(600),
        keep: 3,
        force: true,
    };
    let busy = |active| {
        let counters = Counters { active, ..Counters::default() };
        let both = [(address(ONE), counters), (address(TWO), Counters { active: 3, ..counters })];
        [(key(VIP), ServerSample { real_servers: both.into(), ..ServerSample::default() })].into()
    };
    let mut bed = serving();
    bed.sample.services = busy(9);
    bed.connections = 9;
    assert_eq!(bed.request(order("real-1")), None);
    bed.pass(Duration::from_secs(10));
    // The daemon is killed; the next one comes 570 s later.
    let stored = serde_json::to_string(&bed.stored).unwrap();
    let stored: evenkeel_engine::Overrides = serde_json::from_str(&stored).unwrap();
    bed.stored = stored.aged(Duration::from_secs(10 + 570));
    bed.restart(2, &pair());
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    bed.events();
    bed.pass(Duration::from_secs(18));
    assert_eq!(bed.events(), vec![], "not yet");
    bed.pass(Duration::from_secs(3));
    let (service, server) = ("web".to_owned(), "real-1".to_owned());
    assert_eq!(bed.events(), [Event::DrainEnded { service, server, after_s: 600, ended: 9, late: true }]);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0), "it drains still");
    // Once is enough, whatever restarts come.
    assert!(bed.stored.records[0].drained && bed.stored.records[0].drain_end.is_none());
    // One that has no more than it may keep is ended at once, and one that is undrained never.
    assert_eq!(bed.request(order("real-2")), None);
    bed.restart(3, &pair());
    bed.events();
    bed.pass(Duration::from_secs(2));
    assert!(matches!(bed.events().as_slice(), [Event::DrainEnded { late: false, .. }]));
    bed.sample.services = busy(9);
    assert_eq!(bed.request(order("real-1")), None);
    bed.done(Request::Undrain { server: "real-1".into() });
    assert!(bed.stored.records.iter().all(|record| record.drain_end.is_none()));
}

#[test]
fn a_drain_that_is_undone_while_someone_waits_says_so() {
    let mut bed = serving();
    let counters = Counters { active: 1, ..Counters::default() };
    let sample = ServerSample { real_servers: [(address(ONE), counters)].into(), ..ServerSample::default() };
    bed.sample.services = [(key(VIP), sample)].into();
    bed.request(Request::Drain {
        server: "real-1".into(),
        for_s: None,
        until_idle: true,
        deadline_s: None,
        keep: 0,
        force: false,
    });
    let token = bed.last_token();
    bed.done(Request::Undrain { server: "real-1".into() });
    bed.pass(Duration::from_secs(1));
    assert!(matches!(bed.reply(token), Some(Reply::Refused(_))));
}

#[test]
fn a_disabled_real_server_is_out_whatever_its_checks_say() {
    let mut bed = serving();
    bed.done(disable("web/real-1"));
    assert_eq!(bed.weight(key(VIP), address(ONE)), None);
    bed.events();
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(ONE), true);
    assert_eq!(bed.events(), vec![], "of one out of service nothing is told");
    assert_eq!(state(&mut bed, 0), ServerState::Disabled);
    bed.done(Request::Enable { target: "web/real-1".into() });
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
}

#[test]
fn a_disabled_service_is_out_of_the_table_and_comes_back_as_it_was() {
    let mut bed = serving();
    bed.done(Request::Disable { target: "web".into(), force: true });
    assert!(bed.table.services.is_empty());
    bed.next_answer(address(TWO), false);
    assert!(bed.table.services.is_empty());
    bed.restart(2, &pair());
    assert!(bed.table.services.is_empty(), "over a restart");
    bed.answer(address(ONE), true);
    bed.done(Request::Enable { target: "web".into() });
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
}

#[test]
fn the_last_real_server_is_taken_out_by_force_only() {
    let mut bed = serving();
    bed.next_answer(address(ONE), false);
    bed.changed();
    for request in [drain("real-2"), weight("real-2", Some(0)), disable("real-2")] {
        let (code, text) = bed.refused(request);
        assert_eq!(code, RefusalCode::WouldBreak);
        let expected = "web would have no real server left: the fallback 127.0.0.1:80 would answer; \
                        --force does it all the same";
        assert_eq!(text, expected);
    }
    assert_eq!(bed.changed(), vec![]);
    bed.done(Request::Drain {
        server: "real-2".into(),
        for_s: None,
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: true,
    });
    assert_eq!(bed.weight(key(VIP), address("127.0.0.1:80")), Some(1));
    bed.done(drain("real-1"));
}

#[test]
fn names_and_addresses_both_do_and_what_fits_two_is_refused_with_their_list() {
    let mut two = pair();
    two.services.push(service("web6", "10.9.9.9:80", vec![real_server("real-1", ONE, 1)]));
    let mut bed = Bed::running(&two);
    for server in ["web/real-1", "web/192.168.214.143", "web/192.168.214.143:80", "192.168.214.140:80/tcp/real-1"] {
        bed.done(weight(server, Some(3)));
        bed.done(weight(server, None));
    }
    bed.done(weight("192.168.214.145", Some(3)));
    for text in ["real-1", "192.168.214.143", "192.168.214.143:80"] {
        let (code, message) = bed.refused(weight(text, Some(3)));
        assert_eq!(code, RefusalCode::Ambiguous);
        assert_eq!(message, format!("{text:?} fits 2 of them: web/real-1, web6/real-1; say it as one of these"));
    }
    let (code, message) = bed.refused(weight("real-7", Some(3)));
    assert_eq!(code, RefusalCode::Unknown);
    let expected = "no real server is called \"real-7\"; there is web/real-1, web/real-2, web6/real-1";
    assert_eq!(message, expected);
    let (code, message) = bed.refused(Request::Status { service: Some("wbe".into()) });
    assert_eq!((code, message.as_str()), (RefusalCode::Unknown, "no service is called \"wbe\"; there is web, web6"));
}

#[test]
fn a_weight_above_the_largest_is_refused() {
    let mut bed = serving();
    let (code, message) = bed.refused(weight("real-1", Some(u32::MAX)));
    assert_eq!((code, message.as_str()), (RefusalCode::BadRequest, "weight is above 2147483647"));
}

#[test]
fn whoever_may_only_look_may_only_look() {
    let mut bed = serving();
    let requests = [drain("real-1"), weight("real-1", Some(2)), disable("web"), Request::Stop {}];
    for request in requests {
        let Some(Reply::Refused(refusal)) = bed.request_as(Role::View, request) else { panic!("not refused") };
        assert_eq!(refusal.code, RefusalCode::NotAllowed);
    }
    let refused = bed.request_as(Role::Operate, Request::Stop {});
    assert!(matches!(refused, Some(Reply::Refused(_))));
    assert!(matches!(bed.request_as(Role::View, Request::Status { service: None }), Some(Reply::Status(_))));
    assert_eq!((bed.changed(), bed.exit), (vec![], None));
}

#[test]
fn a_real_server_that_is_down_may_be_drained_and_comes_up_drained() {
    let mut bed = serving();
    bed.next_answer(address(ONE), false);
    bed.done(drain("real-1"));
    assert_eq!(state(&mut bed, 0), ServerState::Down);
    bed.next_answer(address(ONE), true);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(0));
    assert_eq!(state(&mut bed, 0), ServerState::Drained);
}

#[test]
fn a_whole_service_that_answers_is_taken_out_only_by_force() {
    let mut bed = serving();
    let disable = |force| Request::Disable { target: "web".into(), force };
    let (code, text) = bed.refused(disable(false));
    assert_eq!(code, RefusalCode::WouldBreak);
    assert!(text.contains("no real server of it would answer, nor would the fallback"), "{text}");
    assert!(bed.weight(key(VIP), address(ONE)).is_some(), "nothing has changed");
    let text = bed.done(disable(true));
    assert!(text.ends_with("it is out of the table, and nothing answers for it"), "{text}");
    bed.done(disable(false));
}

#[test]
fn real_servers_that_are_up_with_weight_0_are_not_told_to_be_down() {
    let mut bed = serving();
    bed.done(drain("real-1"));
    bed.events();
    bed.done(Request::Weight { server: "real-2".into(), weight: Some(0), force: true });
    let told: Vec<String> = bed.events().iter().map(ToString::to_string).collect();
    let want = "web has no real server that takes connections, the 2 that are up have weight 0: the fallback \
                127.0.0.1:80 answers.  Next: evenkeel status web";
    assert!(told.iter().any(|text| text == want), "{told:?}");
    bed.next_answer(address(ONE), false);
    bed.events();
    bed.next_answer(address(ONE), true);
    let told: Vec<String> = bed.events().iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|text| text.ends_with("web now has 2 of 2 servers, this one drained.")), "{told:?}");
}

#[test]
fn an_unknown_target_is_answered_with_services_and_real_servers() {
    let mut bed = serving();
    let (code, text) = bed.refused(Request::Enable { target: "nope".into() });
    assert_eq!(code, RefusalCode::Unknown);
    assert!(text.contains("nope"), "{text}");
    let token = bed.last_token();
    let Some(Reply::Refused(refusal)) = bed.reply(token) else { panic!("not refused") };
    assert_eq!(refusal.hint.as_deref(), Some("there is web, web/real-1, web/real-2"));
}

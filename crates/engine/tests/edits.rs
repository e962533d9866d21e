//! Clients edit the table, as `ipvsadm` does.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{
    Event, RefusalCode, Reply, Request, ServerState,
    table::{Edit, EditFailure, Forward, Key, ServerEntry, ServiceEntry},
};
use evenkeel_dataplane::{Change, Counters};
use evenkeel_engine::{Effect, Followed, Operation, Rates, ServerSample, Tally, key_of};
use evenkeel_model::{Forwarding, Scheduler, Timeouts};
use std::time::Duration;

const MADE: &str = "192.168.214.150:80";

fn at(text: &str) -> Key {
    key_of(&key(text))
}

fn entry(text: &str) -> ServiceEntry {
    serde_json::from_str(text).unwrap()
}

fn rr() -> ServiceEntry {
    entry(r#"{"scheduler":"rr"}"#)
}

fn dr(weight: u32) -> ServerEntry {
    ServerEntry { forward: Forward::Dr, weight, upper: 0, lower: 0 }
}

fn add(service: &str) -> Edit {
    Edit::AddService(at(service), rr())
}

fn add_server(service: &str, server: &str, weight: u32) -> Edit {
    Edit::AddServer(at(service), address(server), dr(weight))
}

/// Makes edits that must succeed.
fn make(bed: &mut Bed, edits: Vec<Edit>) -> String {
    match bed.edit(false, edits) {
        Some(Reply::Done { message }) => message,
        other => panic!("not made: {other:?}"),
    }
}

fn failure(bed: &mut Bed, edits: Vec<Edit>) -> (u32, EditFailure) {
    match bed.edit(false, edits) {
        Some(Reply::NotEdited(error)) => (error.index, error.failure),
        other => panic!("not refused: {other:?}"),
    }
}

fn made() -> Bed {
    let mut bed = Bed::running(&cluster(Vec::new()));
    make(&mut bed, vec![add(MADE), add_server(MADE, ONE, 1), add_server(MADE, TWO, 2)]);
    bed.changes.clear();
    bed
}

#[test]
fn a_service_made_by_a_client_serves_at_once_and_nobody_checks_it() {
    let mut bed = Bed::running(&cluster(Vec::new()));
    let told = make(&mut bed, vec![add(MADE), add_server(MADE, ONE, 3)]);
    assert_eq!(told, "the table was edited: added service 192.168.214.150:80/tcp with scheduler rr, and 1 more");
    assert_eq!(bed.weight(key(MADE), address(ONE)), Some(3));
    assert!(bed.probes.is_empty());
    let status = bed.status();
    let server = &status.services[0].real_servers[0];
    assert_eq!((server.state, server.in_table), (ServerState::Up, true));
    assert_eq!(server.reason, "nobody checks it: a client added it to the table");
    let events = bed.events();
    let bad = |event: &Event| matches!(event, Event::ServiceDown { .. } | Event::ServiceUp { .. });
    assert!(!events.iter().any(bad), "a service that is being made is not down: {events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Edited { .. })));
}

#[test]
fn every_failure_is_the_one_that_the_kernel_would_give() {
    let mut bed = made();
    let missing = || at("192.168.214.99:80");
    let crossed = ServerEntry { lower: 5, upper: 4, ..dr(1) };
    let cases = [
        (add(MADE), EditFailure::ServiceExists),
        (Edit::AddService(missing(), entry(r#"{"scheduler":"rrr"}"#)), EditFailure::NoScheduler),
        (Edit::EditService(missing(), rr()), EditFailure::NoService),
        (Edit::EditService(at(MADE), entry(r#"{"scheduler":"rr","engine":"x"}"#)), EditFailure::NoScheduler),
        (Edit::RemoveService(missing()), EditFailure::NoService),
        (Edit::AddServer(missing(), address(ONE), dr(1)), EditFailure::NoService),
        (add_server(MADE, ONE, 1), EditFailure::ServerExists),
        (Edit::AddServer(at(MADE), address("192.168.214.9:0"), crossed), EditFailure::Thresholds),
        (Edit::EditServer(at(MADE), address("192.168.214.9:80"), dr(1)), EditFailure::NoServer),
        (Edit::RemoveServer(at(MADE), address("192.168.214.9:80")), EditFailure::NoServer),
        (Edit::RemoveServer(missing(), address(ONE)), EditFailure::NoService),
        (Edit::Zero(Some(missing())), EditFailure::NoService),
        (add_server(MADE, "[2001:db8::1]:80", 1), EditFailure::Refused),
        (Edit::AddService(Key::Mark { mark: 0, ipv6: false }, rr()), EditFailure::Refused),
    ];
    for (edit, expected) in cases {
        let text = format!("{edit:?}");
        assert_eq!(failure(&mut bed, vec![edit]), (0, expected), "{text}");
    }
    assert_eq!(bed.changes, vec![]);
}

#[test]
fn edits_reset_what_is_not_said_and_touch_one_entry() {
    let mut bed = made();
    let persistent = entry(r#"{"scheduler":"wlc","persistent_s":60}"#);
    make(&mut bed, vec![Edit::EditService(at(MADE), persistent)]);
    assert!(bed.table.services[&key(MADE)].options.persistence.is_some());
    make(&mut bed, vec![Edit::EditService(at(MADE), rr())]);
    let options = &bed.table.services[&key(MADE)].options;
    assert_eq!((options.scheduler, options.persistence), (Scheduler::RoundRobin, None));
    bed.changes.clear();
    let nat = ServerEntry { forward: Forward::Nat, ..dr(9) };
    make(&mut bed, vec![Edit::EditServer(at(MADE), address(ONE), nat.clone())]);
    assert!(matches!(bed.changed().as_slice(), [Change::EditRealServer(_, _, server)] if server.weight.get() == 9));
    make(&mut bed, vec![Edit::EditServer(at(MADE), address(ONE), nat)]);
    assert_eq!(bed.changed(), vec![], "the same again changes nothing");
}

#[test]
fn a_port_that_is_not_said_is_the_services() {
    let mut bed = made();
    make(&mut bed, vec![Edit::AddServer(at(MADE), address("192.168.214.9:0"), dr(1))]);
    assert_eq!(bed.weight(key(MADE), address("192.168.214.9:80")), Some(1));
    make(&mut bed, vec![Edit::RemoveServer(at(MADE), address("192.168.214.9:0"))]);
    assert_eq!(bed.weight(key(MADE), address("192.168.214.9:80")), None);
}

#[test]
fn edits_before_a_wrong_one_stay_unless_they_are_all_or_nothing() {
    let wrong = || vec![add("192.168.214.151:80"), add(MADE), add("192.168.214.152:80")];
    let mut bed = made();
    assert_eq!(failure(&mut bed, wrong()), (1, EditFailure::ServiceExists));
    assert!(bed.table.services.contains_key(&key("192.168.214.151:80")));
    assert!(!bed.table.services.contains_key(&key("192.168.214.152:80")));

    let mut bed = made();
    let before = bed.table.clone();
    let reply = bed.edit(true, wrong());
    assert!(matches!(reply, Some(Reply::NotEdited(error)) if error.index == 1));
    assert_eq!((bed.changed(), bed.table), (vec![], before));
}

/// Real server 9 is refused by the data plane.
fn nine(change: &Change) -> bool {
    matches!(change, Change::AddRealServer(_, address, _) if *address == crate::address("192.168.214.9:80"))
}

fn refused_in_the_middle() -> Vec<Edit> {
    vec![
        Edit::EditServer(at(MADE), address(ONE), dr(7)),
        Edit::RemoveServer(at(MADE), address(TWO)),
        add("192.168.214.151:80"),
        add_server("192.168.214.151:80", "192.168.214.9:80", 1),
        Edit::RemoveService(at(MADE)),
    ]
}

#[test]
fn what_the_data_plane_refuses_is_undone_with_all_that_follows() {
    let mut bed = made();
    bed.refuse = Some((nine, 1));
    assert_eq!(failure(&mut bed, refused_in_the_middle()), (3, EditFailure::Refused));
    assert_eq!(bed.weight(key(MADE), address(ONE)), Some(7));
    assert_eq!(bed.weight(key(MADE), address(TWO)), None);
    assert!(bed.table.services[&key("192.168.214.151:80")].real_servers.is_empty());
    assert_eq!(bed.engine.wanted(), bed.table);
    // What was refused once may be asked for again.
    make(&mut bed, vec![add_server("192.168.214.151:80", "192.168.214.9:80", 1)]);
}

#[test]
fn all_or_nothing_is_nothing_when_the_data_plane_refuses_in_the_middle() {
    let mut bed = made();
    let (before, followed) = (bed.table.clone(), bed.followed.clone());
    bed.refuse = Some((nine, 1));
    let reply = bed.edit(true, refused_in_the_middle());
    assert!(matches!(reply, Some(Reply::NotEdited(error)) if error.index == 3), "{:?}", bed.log);
    assert_eq!(bed.table, before);
    assert_eq!(bed.engine.wanted(), before);
    assert_eq!(bed.followed.len(), followed.len());
}

#[test]
fn edits_that_come_while_the_data_plane_works_wait_for_it() {
    let mut bed = Bed::new(1);
    bed.slow = true;
    bed.start(&cluster(Vec::new()));
    assert_eq!(bed.edit(false, vec![add(MADE)]), None);
    let first = bed.last_token();
    assert_eq!(bed.edit(false, vec![add_server(MADE, ONE, 1)]), None);
    let second = bed.last_token();
    bed.program();
    assert!(matches!(bed.reply(first), Some(Reply::Done { .. })));
    assert_eq!(bed.reply(second), None);
    bed.program();
    assert!(matches!(bed.reply(second), Some(Reply::Done { .. })));
    assert_eq!(bed.weight(key(MADE), address(ONE)), Some(1));
}

#[test]
fn whoever_waits_to_edit_is_told_when_there_are_too_many_or_the_daemon_ends() {
    let mut bed = Bed::new(1);
    bed.slow = true;
    bed.start(&cluster(Vec::new()));
    bed.edit(false, vec![add(MADE)]);
    let mut waiting = Vec::new();
    for _ in 0..64 {
        assert_eq!(bed.edit(false, vec![Edit::Clear {}]), None);
        waiting.push(bed.last_token());
    }
    let busy = bed.edit(false, vec![Edit::Clear {}]);
    assert!(matches!(busy, Some(Reply::Refused(refusal)) if refusal.code == RefusalCode::Busy));
    bed.request(Request::Stop {});
    for token in waiting {
        assert!(matches!(bed.reply(token), Some(Reply::Refused(_))));
    }
    for _ in 0..3 {
        bed.program();
    }
    assert!(bed.exit.is_some());
    assert!(bed.table.services.is_empty(), "what clients made ends with the daemon");
}

#[test]
fn clearing_removes_the_services_of_files_too_and_a_reload_brings_those_back() {
    let mut bed = serving();
    make(&mut bed, vec![add(MADE)]);
    make(&mut bed, vec![Edit::Clear {}]);
    assert!(bed.table.services.is_empty());
    assert!(bed.probes.is_empty(), "nobody checks what is gone");
    assert_eq!(bed.followed, vec![]);
    bed.reload(&pair());
    assert_eq!(bed.table.services.keys().collect::<Vec<_>>(), [&key(VIP)]);
}

#[test]
fn an_edit_of_what_a_file_names_holds_until_the_next_reload() {
    let mut bed = serving();
    let third = "192.168.214.147:80";
    make(
        &mut bed,
        vec![
            Edit::EditServer(at(VIP), address(ONE), dr(5)),
            add_server(VIP, third, 2),
            Edit::EditService(at(VIP), entry(r#"{"scheduler":"wrr"}"#)),
        ],
    );
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(5));
    assert_eq!(bed.weight(key(VIP), address(third)), Some(2));
    // Its check goes on.
    bed.next_answer(address(ONE), false);
    assert_eq!(bed.weight(key(VIP), address(ONE)), None);
    bed.next_answer(address(ONE), true);
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(5));
    bed.reload(&pair());
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    assert_eq!(bed.weight(key(VIP), address(third)), None);
    assert_eq!(bed.table.services[&key(VIP)].options.scheduler, Scheduler::RoundRobin);
}

#[test]
fn a_service_with_a_fallback_is_never_empty_while_it_is_edited() {
    let mut bed = serving();
    // The bed itself looks at every change.
    make(&mut bed, vec![Edit::RemoveServer(at(VIP), address(ONE)), Edit::RemoveServer(at(VIP), address(TWO))]);
    assert_eq!(bed.weight(key(VIP), address("127.0.0.1:80")), Some(1));
    assert_eq!(failure(&mut bed, vec![add_server(VIP, "127.0.0.1:80", 1)]).1, EditFailure::ServerExists);
    let sorry = Edit::RemoveServer(at(VIP), address("127.0.0.1:80"));
    assert_eq!(failure(&mut bed, vec![sorry]).1, EditFailure::Refused);
    make(&mut bed, vec![add_server(VIP, ONE, 1)]);
    assert_eq!(bed.weight(key(VIP), address("127.0.0.1:80")), None);
}

#[test]
fn reloads_keep_what_clients_made_until_a_file_names_it() {
    let mut bed = serving();
    make(&mut bed, vec![add(MADE), add_server(MADE, ONE, 4)]);
    bed.changes.clear();
    bed.reload(&pair());
    assert_eq!(bed.changed(), vec![]);
    let mut both = pair();
    both.services.push(service("made", MADE, vec![real_server("real-1", ONE, 2)]));
    bed.reload(&both);
    assert_eq!(bed.weight(key(MADE), address(ONE)), Some(2), "up before it is checked: it served");
    assert!(!bed.table.services[&key(MADE)].options.note.by_edit);
    bed.next_answer(address(ONE), false);
    assert_eq!(bed.weight(key(MADE), address(ONE)), None);
    bed.reload(&pair());
    assert!(!bed.table.services.contains_key(&key(MADE)), "it was the file's, and the file names it no more");
}

#[test]
fn what_clients_made_outlives_kill_9() {
    let mut bed = serving();
    let noted = entry(r#"{"scheduler":"rr","flags":5,"engine":"sip"}"#);
    make(&mut bed, vec![Edit::AddService(at(MADE), noted), add_server(MADE, ONE, 4), add_server(MADE, TWO, 0)]);
    let before = bed.table.clone();
    bed.changes.clear();
    bed.restart(2, &pair());
    assert_eq!(bed.table, before);
    assert_eq!(bed.changed(), vec![]);
    assert_eq!(failure(&mut bed, vec![add(MADE)]).1, EditFailure::ServiceExists);
    bed.reload(&pair());
    assert_eq!(bed.table, before);
}

#[test]
fn an_instance_without_files_takes_over_whatever_it_finds() {
    let mut bed = serving();
    let before = bed.table.clone();
    bed.restart(2, &cluster(Vec::new()));
    assert!(bed.table.services.is_empty(), "files that name nothing any more");
    bed.table = before;
    bed.keep_all = true;
    bed.restart(3, &cluster(Vec::new()));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
    bed.keep_all = false;
    bed.restart(4, &cluster(Vec::new()));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1), "it is a client's from now on");
}

#[test]
fn a_service_of_a_client_that_was_told_to_be_down_is_told_to_be_up_again() {
    let mut bed = Bed::running(&cluster(Vec::new()));
    make(&mut bed, vec![add(MADE), add_server(MADE, ONE, 1)]);
    bed.done(Request::Drain {
        server: ONE.into(),
        for_s: None,
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: true,
    });
    assert!(bed.events().iter().any(|event| matches!(event, Event::ServiceDown { .. })));
    make(&mut bed, vec![add_server(MADE, TWO, 1)]);
    assert!(bed.events().iter().any(|event| matches!(event, Event::ServiceUp { .. })));
}

#[test]
fn a_drain_of_what_a_client_added_is_undone_with_its_weight_even_after_kill_9() {
    let mut bed = made();
    bed.done(Request::Drain {
        server: TWO.into(),
        for_s: None,
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: false,
    });
    assert_eq!(bed.weight(key(MADE), address(TWO)), Some(0));
    bed.restart(2, &cluster(Vec::new()));
    bed.done(Request::Undrain { server: TWO.into() });
    assert_eq!(bed.weight(key(MADE), address(TWO)), Some(2));
    // The last word counts.
    make(&mut bed, vec![Edit::EditServer(at(MADE), address(TWO), dr(6))]);
    assert_eq!(bed.weight(key(MADE), address(TWO)), Some(6));
    assert_eq!(bed.stored.records, vec![]);
    let (code, text) = bed.refused(Request::Disable { target: TWO.into(), force: true });
    assert_eq!((code, text.contains("drain it")), (RefusalCode::Failed, true));
}

#[test]
fn zeroing_and_timeouts_come_after_the_changes_of_the_table() {
    let mut bed = made();
    make(
        &mut bed,
        vec![
            Edit::Zero(Some(at(MADE))),
            Edit::Timeouts { tcp: 100, tcp_fin: 0, udp: 30 },
            Edit::Timeouts { tcp: 0, tcp_fin: 0, udp: 0 },
            Edit::Zero(None),
        ],
    );
    let timeouts = Timeouts { tcp: Some(100), tcp_fin: None, udp: Some(30) };
    let expected = [Operation::Zero(Some(key(MADE))), Operation::Timeouts(timeouts), Operation::Zero(None)];
    assert_eq!(bed.operations, expected);
    bed.operations.clear();
    make(&mut bed, vec![Edit::Zero(Some(at(MADE))), Edit::RemoveService(at(MADE))]);
    assert_eq!(bed.operations, [], "who is gone counts nothing");
}

#[test]
fn a_refused_operation_is_told_and_undoes_the_rest_only_when_all_was_asked_for() {
    for atomic in [false, true] {
        let mut bed = made();
        bed.refuse_operation = true;
        let reply = bed.edit(atomic, vec![Edit::RemoveServer(at(MADE), address(ONE)), Edit::Zero(None)]);
        assert!(matches!(reply, Some(Reply::NotEdited(error)) if error.index == 1));
        assert_eq!(bed.weight(key(MADE), address(ONE)), atomic.then_some(1));
        assert_eq!(bed.engine.wanted(), bed.table);
    }
}

#[test]
fn a_real_server_on_this_host_is_the_host_and_is_listed_as_it_was_added() {
    let mut bed = made();
    let nat = ServerEntry { forward: Forward::Nat, ..dr(1) };
    make(&mut bed, vec![Edit::AddServer(at(MADE), address(OWN), nat)]);
    let entry = bed.table.services[&key(MADE)].real_servers[&address(OWN)];
    assert_eq!(entry.forwarding, Forwarding::Local);
    let table = bed.engine.table(Some(&key(MADE)), &Tally::default(), &Rates::default()).unwrap();
    assert_eq!(
        (table.services[0].servers[0].address, table.services[0].servers[0].entry.forward),
        (address(OWN), Forward::Nat)
    );
}

#[test]
fn the_table_is_listed_newest_real_server_first_with_what_was_counted() {
    let mut bed = serving();
    make(&mut bed, vec![add(MADE), add_server(MADE, TWO, 1), add_server(MADE, ONE, 1)]);
    let counted = |n| Counters { connections: n, active: 2, persistent: 1, packets_out: 3, ..Counters::default() };
    let sample = ServerSample { total: counted(9), real_servers: [(address(ONE), counted(5))].into() };
    let tally = Tally { services: [(key(MADE), sample)].into(), connections: 4096, timeouts: Timeouts::default() };
    let table = bed.engine.table(None, &tally, &Rates::default()).unwrap();
    assert_eq!(table.services.iter().map(|s| s.key).collect::<Vec<_>>(), [at(VIP), at(MADE)]);
    let made = &table.services[1];
    assert_eq!(made.servers.iter().map(|s| s.address).collect::<Vec<_>>(), [address(ONE), address(TWO)]);
    assert_eq!((made.traffic.connections, made.servers[0].traffic.connections), (9, 5));
    assert_eq!((made.servers[0].active, made.servers[0].persistent, made.servers[0].traffic.packets_out), (2, 1, 3));
    assert_eq!(bed.engine.table(Some(&key(ONE)), &tally, &Rates::default()), None);
}

#[test]
fn what_the_network_has_to_do_with_an_edit_is_told_before_it_is_in_force_and_when_it_is_gone() {
    let mut bed = made();
    let real = |text: &str, forwarding| Followed::RealServer(address(text).ip(), forwarding);
    assert_eq!(
        bed.followed,
        [Followed::Service(key(MADE)), real(ONE, Forwarding::DirectRouting), real(TWO, Forwarding::DirectRouting)]
    );
    bed.log.clear();
    let nat = ServerEntry { forward: Forward::Nat, ..dr(1) };
    make(&mut bed, vec![Edit::EditServer(at(MADE), address(ONE), nat)]);
    let place = |wanted: fn(&Effect) -> bool| bed.log.iter().position(wanted).unwrap();
    let follows = place(|effect| matches!(effect, Effect::Follow { more, .. } if !more.is_empty()));
    assert!(follows < place(|effect| matches!(effect, Effect::Program { .. })));
    make(&mut bed, vec![Edit::RemoveService(at(MADE))]);
    assert_eq!(bed.followed, []);
}

#[test]
fn a_drain_with_a_deadline_ends_what_is_left_and_says_how_many() {
    let drain = |keep| Request::Drain {
        server: "real-1".into(),
        for_s: None,
        until_idle: false,
        deadline_s: Some(60),
        keep,
        force: false,
    };
    let busy = |bed: &mut Bed, active| {
        let counters = Counters { active, inactive: 7, ..Counters::default() };
        let sample = ServerSample { real_servers: [(address(ONE), counters)].into(), ..ServerSample::default() };
        bed.sample.services = [(key(VIP), sample)].into();
        bed.connections = u64::from(active) + 7;
    };
    let mut bed = serving();
    busy(&mut bed, 12);
    assert_eq!(bed.request(drain(10)), None);
    let token = bed.last_token();
    bed.pass(Duration::from_secs(5));
    assert_eq!(bed.reply(token), None);
    busy(&mut bed, 10);
    bed.pass(Duration::from_secs(1));
    let Some(Reply::Done { message }) = bed.reply(token) else { panic!("not done") };
    assert_eq!(message, "web/real-1 is drained after 6s: 17 connections left ended");

    let mut bed = serving();
    busy(&mut bed, 12);
    bed.request(drain(0));
    let token = bed.last_token();
    bed.pass(Duration::from_millis(59_999));
    assert_eq!(bed.reply(token), None);
    bed.pass(Duration::from_millis(1));
    let Some(Reply::Done { message }) = bed.reply(token) else { panic!("not done") };
    assert_eq!(message, "web/real-1 is drained: its deadline has passed after 1m00s, 19 connections ended");
    bed.log.clear();
    bed.pass(Duration::from_secs(5));
    assert!(!bed.log.contains(&Effect::Sample), "nobody waits any longer");
}

#[test]
fn ten_thousand_services_are_added_at_once_and_edited_one_by_one() {
    let mut bed = Bed::running(&cluster(Vec::new()));
    let vip = |n: u32| format!("172.16.{}.{}:80", n / 250, n % 250 + 1);
    let edits = (0..10_000).flat_map(|n| [add(&vip(n)), add_server(&vip(n), ONE, 1), add_server(&vip(n), TWO, 1)]);
    let edits: Vec<Edit> = edits.collect();
    let begun = std::time::Instant::now();
    make(&mut bed, edits);
    println!("10 000 services with two real servers each: {:?} with the bed's own table", begun.elapsed());
    assert_eq!(bed.table.services.len(), 10_000);
    bed.events();
    let begun = std::time::Instant::now();
    make(&mut bed, vec![add_server(&vip(7_777), "192.168.214.9:80", 1)]);
    println!("one real server more: {:?}", begun.elapsed());
    assert_eq!(bed.changed().len(), 1);
}

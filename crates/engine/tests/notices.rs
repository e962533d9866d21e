//! Mails, maintenance files and plans.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, PlanLine, Reply, ServerState};
use evenkeel_dataplane::Table;
use evenkeel_engine::{Effect, Input, Mail, Token, plan};
use evenkeel_model::{Alerts, Cluster, Scheduler, Weight};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

fn alerted(repeat: u64, status: &[&str]) -> Cluster {
    let mut cluster = pair();
    cluster.services[0].alerts = Some(Alerts {
        to: vec!["ops@example.net".into()],
        from: None,
        smtp: None,
        repeat: Duration::from_secs(repeat),
        status: status.iter().map(ToString::to_string).collect(),
    });
    cluster
}

fn mails(bed: &mut Bed) -> Vec<Mail> {
    let mail = |effect| match effect {
        Effect::Mail(mail) => Some(mail),
        _ => None,
    };
    bed.log.drain(..).filter_map(mail).collect()
}

/// Time passes; the second real server is good.
fn watch(bed: &mut Bed, seconds: u64, first_is_good: bool) {
    for _ in 0..seconds {
        bed.pass(Duration::from_secs(1));
        bed.answer(address(ONE), first_is_good);
        bed.answer(address(TWO), true);
    }
}

fn quiet(bed: &mut Bed) {
    watch(bed, 2000, true);
    mails(bed);
}

#[test]
fn a_change_is_mailed_at_once_and_says_what_happened() {
    let mut bed = Bed::running(&alerted(0, &["running"]));
    quiet(&mut bed);
    bed.next_answer(address(ONE), false);
    let sent = mails(&mut bed);
    let [mail] = sent.as_slice() else { panic!("not one mail: {sent:?}") };
    assert_eq!(mail.to, ["ops@example.net"]);
    assert_eq!(mail.subject, "evenkeel on node1: real server real-1 of web is down");
    assert!(mail.body.contains("web now has 1 of 2 servers"), "{}", mail.body);
}

#[test]
fn a_real_server_that_flaps_a_hundred_times_fills_no_mailbox() {
    let mut bed = Bed::running(&alerted(0, &["running"]));
    quiet(&mut bed);
    for _ in 0..50 {
        bed.next_answer(address(ONE), false);
        bed.next_answer(address(ONE), true);
    }
    let sent = mails(&mut bed);
    assert!(sent.len() <= 5, "{} mails about 100 changes in 100 seconds", sent.len());
    quiet_sum(&mut bed, sent);
}

/// Every change is told, in the end.
fn quiet_sum(bed: &mut Bed, mut sent: Vec<Mail>) {
    bed.pass(Duration::from_secs(700));
    sent.extend(mails(bed));
    let lines: usize = sent.iter().map(|mail| mail.body.lines().filter(|line| line.contains("real-1")).count()).sum();
    assert!(lines >= 100, "{lines} lines about 100 changes");
}

#[test]
fn what_stays_down_is_told_again_at_the_asked_interval() {
    let mut bed = Bed::running(&alerted(3600, &["all"]));
    quiet(&mut bed);
    bed.next_answer(address(ONE), false);
    mails(&mut bed);
    watch(&mut bed, 3590, false);
    assert_eq!(mails(&mut bed), vec![]);
    watch(&mut bed, 20, false);
    let sent = mails(&mut bed);
    let [mail] = sent.as_slice() else { panic!("not one mail: {sent:?}") };
    assert!(
        mail.body.starts_with("Inaccessible real server: web/real-1 (192.168.214.143:80) down for 3600"),
        "{}",
        mail.body
    );
    watch(&mut bed, 10, true);
    mails(&mut bed);
    watch(&mut bed, 7300, true);
    assert_eq!(mails(&mut bed), vec![]);
}

#[test]
fn only_the_asked_topics_are_mailed() {
    let mut bed = Bed::running(&alerted(0, &["stopping"]));
    bed.answer(address(ONE), true);
    bed.next_answer(address(ONE), false);
    assert_eq!(mails(&mut bed), vec![]);
    bed.handle(Input::Stop);
    let sent = mails(&mut bed);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, "evenkeel stopping: 1 service taken out\n");
}

fn in_maintenance(cluster: &Cluster, files: &[&str]) -> Vec<bool> {
    let mut bed = Bed::running(cluster);
    bed.answer(address(ONE), true);
    bed.answer(address(TWO), true);
    bed.handle(Input::Maintenance(files.iter().map(ToString::to_string).collect()));
    let down = bed.status().services[0].real_servers.iter().map(|server| server.state == ServerState::Down).collect();
    let serves: Vec<bool> = [ONE, TWO].iter().map(|at| bed.weight(key(VIP), address(at)).is_none()).collect();
    assert_eq!(down, serves);
    down
}

#[test]
fn a_maintenance_file_is_named_by_address_or_host_with_or_without_port() {
    let mut cluster = pair();
    cluster.services[0].real_servers[0].aliases = vec!["rs1.example.net".into()];
    let names = ["192.168.214.143", "192.168.214.143:80", "rs1.example.net", "rs1.example.net:80", "rs1", "rs1:80"];
    for name in names {
        assert_eq!(in_maintenance(&cluster, &[name]), [true, false], "{name}");
    }
    for name in ["192.168.214.143:81", "192.168.214.14", "rs1.example", "RS1", ""] {
        assert_eq!(in_maintenance(&cluster, &[name]), [false, false], "{name:?}");
    }
    assert_eq!(in_maintenance(&cluster, &["192.168.214.143", "192.168.214.145"]), [true, true]);
}

#[test]
fn maintenance_begins_and_ends_with_its_file() {
    let mut bed = serving();
    bed.handle(Input::Maintenance(BTreeSet::from(["192.168.214.143".to_owned()])));
    let began =
        Event::MaintenanceBegan { service: "web".into(), server: "real-1".into(), file: "192.168.214.143".into() };
    assert_eq!(bed.events(), vec![began]);
    assert_eq!(bed.status().services[0].real_servers[0].reason, "a maintenance file names it");
    bed.next_answer(address(ONE), true);
    assert_eq!(bed.weight(key(VIP), address(ONE)), None, "good checks do not end it");
    bed.handle(Input::Maintenance(BTreeSet::new()));
    assert_eq!(bed.weight(key(VIP), address(ONE)), Some(1));
}

#[test]
fn a_plan_for_an_empty_host_lists_everything() {
    let lines: Vec<String> = plan(&Table::default(), &pair()).iter().map(ToString::to_string).collect();
    let expected = [
        "+ service   tcp 192.168.214.140:80 rr dr",
        "+   real server 192.168.214.143:80 w1   tcp check every 1 s",
        "+   real server 192.168.214.145:80 w1   tcp check every 1 s",
        "+   fallback 127.0.0.1:80 local",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_plan_for_a_table_that_serves_lists_what_differs() {
    let bed = serving();
    assert_eq!(plan(&bed.table, &pair()), Vec::<PlanLine>::new());
    let mut next = pair();
    next.services[0].scheduler = Scheduler::WeightedRoundRobin;
    next.services[0].real_servers[0].weight = Weight::new(200).unwrap();
    next.services[0].real_servers.remove(1);
    let lines: Vec<String> = plan(&bed.table, &next).iter().map(ToString::to_string).collect();
    let expected = [
        "~ service   tcp 192.168.214.140:80 rr -> wrr",
        "~   real server 192.168.214.143:80 w1 -> w200",
        "-   real server 192.168.214.145:80",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_plan_of_a_reload_knows_checks_and_the_fallback_and_changes_nothing() {
    let mut bed = serving();
    let mut next = pair();
    Arc::make_mut(&mut next.services[0].real_servers[0].check).rhythm.every = Duration::from_secs(6);
    next.services[0].fallback = None;
    next.services.push(service("new", "10.9.9.9:80", vec![]));
    bed.handle(Input::Plan { cluster: Box::new(next), held: Box::default(), token: Token(7) });
    let Some(Reply::Plan { lines }) = bed.reply(Token(7)) else { panic!("no plan") };
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let expected = [
        "~ service   tcp 192.168.214.140:80 rr dr",
        "~   real server 192.168.214.143:80 tcp check every 1 s -> tcp check every 6 s",
        "-   fallback 127.0.0.1:80 local",
        "+ service   tcp 10.9.9.9:80 rr",
        "+   fallback 127.0.0.1:80 local",
    ];
    assert_eq!(lines, expected);
    assert_eq!(bed.changed(), vec![]);
}

#[test]
fn the_end_is_no_recovery() {
    let mut bed = Bed::running(&alerted(0, &["running"]));
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    bed.pass(Duration::from_secs(700));
    bed.log.clear();
    bed.handle(Input::Stop);
    let told: Vec<Event> = bed.log.iter().filter_map(event_of).collect();
    assert_eq!(told, [Event::Stopping { removed: 1, left: 0 }]);
    assert_eq!(mails(&mut bed), vec![]);
}

fn event_of(effect: &Effect) -> Option<Event> {
    match effect {
        Effect::Event(event) => Some(event.clone()),
        _ => None,
    }
}

#[test]
fn a_subject_names_the_first_change_and_how_many_follow() {
    let mut bed = Bed::running(&alerted(0, &["running"]));
    quiet(&mut bed);
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    bed.pass(Duration::from_secs(20));
    let subjects: Vec<String> = mails(&mut bed).into_iter().map(|mail| mail.subject).collect();
    assert_eq!(
        subjects,
        [
            "evenkeel on node1: real server real-1 of web is down",
            "evenkeel on node1: real server real-2 of web is down (+1 more)"
        ]
    );
}

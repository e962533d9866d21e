//! What follows from the verdicts of checks.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{Event, ServerState};
use evenkeel_dataplane::Change;
use evenkeel_engine::{Effect, Input, ScriptOrder};
use evenkeel_health::{Reason, Verdict};
use evenkeel_model::{FallbackCommand, OnFail, Probe, StartState};
use std::sync::Arc;
use std::time::Duration;

/// The shape of a change without its details: a sign and an address.
fn short(changes: &[Change]) -> Vec<String> {
    let text = |change: &Change| match change {
        Change::AddService(key, _) => format!("+ {key}"),
        Change::EditService(key, options) => format!("~ {key} {}", options.scheduler),
        Change::RemoveService(key) => format!("- {key}"),
        Change::AddRealServer(_, address, server) => format!("+ {address} w{}", server.weight),
        Change::EditRealServer(_, address, server) => format!("~ {address} w{}", server.weight),
        Change::RemoveRealServer(_, address) => format!("- {address}"),
    };
    changes.iter().map(text).collect()
}

#[test]
fn nothing_but_the_fallback_serves_before_the_first_good_check() {
    let mut bed = Bed::running(&pair());
    assert_eq!(short(&bed.changed()), ["+ 192.168.214.140:80/tcp", "+ 127.0.0.1:80 w1"]);
    assert_eq!(bed.probes.len(), 2, "both are checked at once");
    let events = bed.events();
    assert!(
        matches!(events.as_slice(), [Event::Started { services: 1, real_servers: 2, adopted: 0, .. }]),
        "{events:?}"
    );
}

#[test]
fn the_first_good_check_brings_a_real_server_in_and_the_fallback_out() {
    let mut bed = Bed::running(&pair());
    bed.changed();
    bed.answer(address(ONE), true);
    assert_eq!(short(&bed.changed()), ["+ 192.168.214.143:80 w1", "- 127.0.0.1:80"]);
    bed.answer(address(TWO), true);
    assert_eq!(short(&bed.changed()), ["+ 192.168.214.145:80 w1"]);
}

#[test]
fn the_fallback_is_in_before_the_last_real_server_is_out() {
    let mut bed = serving();
    bed.next_answer(address(ONE), false);
    assert_eq!(short(&bed.changed()), ["- 192.168.214.143:80"]);
    bed.next_answer(address(TWO), false);
    assert_eq!(short(&bed.changed()), ["+ 127.0.0.1:80 w1", "- 192.168.214.145:80"]);
}

#[test]
fn what_happened_is_told_in_order_once_it_is_in_force() {
    let mut bed = serving();
    bed.next_answer(address(ONE), false);
    bed.events();
    bed.slow = true;
    bed.next_answer(address(TWO), false);
    assert_eq!(bed.events(), vec![], "not in force yet");
    bed.program();
    let events: Vec<String> = bed.events().iter().map(ToString::to_string).collect();
    let down = "real-2 went down (192.168.214.145:80): connect to 192.168.214.145:80 refused (1 of 1 tries).  \
                It was up for 0s.  web now has 0 of 2 servers; the fallback 127.0.0.1:80 answers.";
    let fallback = "web has no real server up: the fallback 127.0.0.1:80 answers.  Next: evenkeel status web";
    assert_eq!(events, [down, fallback]);
}

#[test]
fn quiescent_real_servers_stay_with_weight_0() {
    let mut cluster = pair();
    cluster.services[0].on_fail = OnFail::Quiesce;
    let mut bed = Bed::running(&cluster);
    let at_first =
        ["+ 192.168.214.140:80/tcp", "+ 192.168.214.143:80 w0", "+ 192.168.214.145:80 w0", "+ 127.0.0.1:80 w1"];
    assert_eq!(short(&bed.changed()), at_first);
    bed.answer(address(ONE), true);
    assert_eq!(short(&bed.changed()), ["~ 192.168.214.143:80 w1", "- 127.0.0.1:80"]);
    bed.next_answer(address(ONE), false);
    assert_eq!(short(&bed.changed()), ["+ 127.0.0.1:80 w1", "~ 192.168.214.143:80 w0"]);
}

#[test]
fn a_service_that_starts_up_serves_until_the_first_bad_check() {
    let mut cluster = pair();
    cluster.services[0].start = StartState::Up;
    let mut bed = Bed::running(&cluster);
    let at_first = ["+ 192.168.214.140:80/tcp", "+ 192.168.214.143:80 w1", "+ 192.168.214.145:80 w1"];
    assert_eq!(short(&bed.changed()), at_first);
    bed.answer(address(ONE), false);
    assert_eq!(short(&bed.changed()), ["- 192.168.214.143:80"]);
}

#[test]
fn failures_below_fall_change_nothing() {
    let mut cluster = pair();
    Arc::make_mut(&mut cluster.services[0].real_servers[0].check).rhythm.fall = 3;
    let mut bed = Bed::running(&cluster);
    bed.answer(address(ONE), true);
    bed.changed();
    for _ in 0..2 {
        bed.next_answer(address(ONE), false);
    }
    assert_eq!(bed.changed(), vec![]);
    bed.next_answer(address(ONE), false);
    assert_eq!(short(&bed.changed()), ["+ 127.0.0.1:80 w1", "- 192.168.214.143:80"]);
}

#[test]
fn equal_checks_of_two_services_are_one_attempt() {
    let servers = || vec![real_server("real-1", ONE, 1)];
    let mut bed =
        Bed::running(&cluster(vec![service("a", VIP, servers()), service("b", "192.168.214.141:80", servers())]));
    assert_eq!(bed.probes.len(), 1);
    bed.answer(address(ONE), true);
    for vip in [VIP, "192.168.214.141:80"] {
        assert_eq!(bed.weight(key(vip), address(ONE)), Some(1));
    }
    bed.next_answer(address(ONE), false);
    for vip in [VIP, "192.168.214.141:80"] {
        assert_eq!(bed.weight(key(vip), address(ONE)), None);
    }
}

#[test]
fn the_fallback_command_is_told_what_is_true() {
    let mut cluster = pair();
    cluster.services[0].fallback_command =
        Some(FallbackCommand { program: "/usr/bin/sorry".into(), arguments: vec!["-v".into()] });
    let mut bed = Bed::running(&cluster);
    let told = |bed: &mut Bed| -> Vec<Vec<String>> {
        let order = |effect| match effect {
            Effect::Run(ScriptOrder { arguments, .. }) => Some(arguments),
            _ => None,
        };
        bed.log.drain(..).filter_map(order).collect()
    };
    assert_eq!(told(&mut bed), Vec::<Vec<String>>::new(), "first checks are not done");
    bed.answer(address(ONE), false);
    bed.answer(address(TWO), false);
    assert_eq!(told(&mut bed), [["-v", "start", "192.168.214.140:80", "tcp"]]);
    bed.next_answer(address(ONE), true);
    assert_eq!(told(&mut bed), [["-v", "stop", "192.168.214.140:80", "tcp"]]);
}

#[test]
fn a_monitor_file_gets_one_line_a_change() {
    let mut cluster = pair();
    cluster.services[0].monitor_file = Some("/var/log/web".into());
    let mut bed = Bed::running(&cluster);
    bed.answer(address(ONE), true);
    bed.next_answer(address(ONE), true);
    bed.next_answer(address(ONE), false);
    let line = |effect: &Effect| match effect {
        Effect::MonitorLine { line, .. } => Some(line.clone()),
        _ => None,
    };
    let lines: Vec<String> = bed.log.iter().filter_map(line).collect();
    let up = "tcp:192.168.214.143:80 [up] tcp connected in 3 ms";
    let down = "tcp:192.168.214.143:80 [down] connect to 192.168.214.143:80 refused";
    assert_eq!(lines, [up, down]);
}

#[test]
fn a_check_of_always_on_needs_no_attempt() {
    let mut cluster = pair();
    Arc::make_mut(&mut cluster.services[0].real_servers[0].check).probe = Probe::AlwaysOn;
    Arc::make_mut(&mut cluster.services[0].real_servers[1].check).probe = Probe::AlwaysOff;
    let mut bed = Bed::running(&cluster);
    assert_eq!(short(&bed.changed()), ["+ 192.168.214.140:80/tcp", "+ 192.168.214.143:80 w1"]);
    let states: Vec<ServerState> = bed.status().services[0].real_servers.iter().map(|server| server.state).collect();
    assert_eq!(states, [ServerState::Up, ServerState::Down]);
}

fn suspicions(events: &[Event]) -> Vec<(usize, usize, usize)> {
    let suspicion = |event: &Event| match event {
        Event::ChecksSuspect { down, of, own_fault, .. } => Some((*down, *of, *own_fault)),
        _ => None,
    };
    events.iter().filter_map(suspicion).collect()
}

#[test]
fn that_everything_failed_at_once_is_told_and_changes_nothing_else() {
    let targets = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let servers = targets.iter().map(|target| real_server(target, target, 1)).collect();
    let mut bed = Bed::running(&cluster(vec![service("web", VIP, servers)]));
    targets.iter().for_each(|target| assert!(bed.answer(address(target), true)));
    bed.events();
    bed.next_answer(address(targets[0]), false);
    bed.next_answer(address(targets[1]), false);
    assert_eq!(suspicions(&bed.events()), []);
    bed.next_answer(address(targets[2]), false);
    assert_eq!(suspicions(&bed.events()), [(3, 3, 0)]);
    assert_eq!(bed.weight(key(VIP), address("127.0.0.1:80")), Some(1), "the fallback answers all the same");
    bed.next_answer(address(targets[2]), true);
    bed.next_answer(address(targets[2]), false);
    assert_eq!(suspicions(&bed.events()), [(3, 3, 0)], "told again after something had come up");
}

#[test]
fn two_real_servers_that_die_together_are_no_suspicion_but_a_missing_route_is() {
    let mut bed = serving();
    bed.next_answer(address(ONE), false);
    bed.next_answer(address(TWO), false);
    assert_eq!(suspicions(&bed.events()), []);

    let mut bed = serving();
    bed.pass(Duration::from_secs(1));
    for order in bed.probes.clone().into_values() {
        let target = target_of(&order.probe).unwrap().ip();
        let verdict = Verdict::bad(Reason::NoRoute { target }, Duration::ZERO);
        bed.probes.remove(&order.check);
        bed.handle(Input::Verdict { check: order.check, attempt: order.attempt, verdict });
    }
    assert_eq!(suspicions(&bed.events()), [(2, 2, 2)]);
}

#[test]
fn first_checks_of_many_are_spread() {
    let servers =
        (0..2500).map(|n| format!("10.0.{}.{}:80", n / 250, n % 250)).map(|a| real_server(&a, &a, 1)).collect();
    let mut bed = Bed::running(&cluster(vec![service("web", VIP, servers)]));
    assert_eq!(bed.probes.len(), 1000);
    bed.pass(Duration::from_millis(100));
    assert_eq!(bed.probes.len(), 2000);
    bed.pass(Duration::from_millis(100));
    assert_eq!(bed.probes.len(), 2500);
}

#[test]
fn verdicts_nobody_ordered_are_ignored() {
    let mut bed = serving();
    let check = evenkeel_engine::CheckId::from_number(u64::MAX);
    let verdict = Verdict::good("x", Duration::ZERO);
    bed.handle(Input::Verdict { check, attempt: 1, verdict: verdict.clone() });
    bed.pass(Duration::from_secs(1));
    let order = bed.probes.values().next().unwrap().clone();
    bed.changed();
    let bad = Verdict::bad(Reason::AlwaysOff, Duration::ZERO);
    bed.handle(Input::Verdict { check: order.check, attempt: order.attempt - 1, verdict: bad });
    assert_eq!(bed.changed(), vec![]);
}

#[test]
fn status_says_why_and_how_to_look() {
    let mut cluster = pair();
    cluster.services[0].real_servers[0].check = http(ONE, "/.ok.html").into();
    let mut bed = Bed::running(&cluster);
    bed.next_answer(address(TWO), true);
    bed.answer(address(ONE), false);
    let status = bed.status();
    let [one, two] = status.services[0].real_servers.as_slice() else { panic!("two real servers") };
    assert_eq!((one.state, one.weight, one.in_table), (ServerState::Down, 0, false));
    assert_eq!(one.reason, "http: connect to 192.168.214.143:80 refused");
    let check = one.check.as_ref().unwrap();
    let by_hand = "curl -v --resolve www:80:192.168.214.143 http://www/.ok.html";
    assert_eq!((check.by_hand.as_deref(), check.failed, check.last_good_ms), (Some(by_hand), 1, None));
    assert_eq!((two.state, two.weight, two.reason.as_str()), (ServerState::Up, 1, "tcp connected in 3 ms"));
}

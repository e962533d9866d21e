use super::*;
use evenkeel_api::{
    CheckStatus, Connections, Counters, FallbackStatus, HaCounters, HaStatus, NodeStatus, RealServerStatus,
};
use evenkeel_source::Colour;

fn server(name: &str, state: ServerState, weight: u32) -> RealServerStatus {
    RealServerStatus {
        name: name.into(),
        address: "192.0.2.2:80".into(),
        forward: "dr".into(),
        state,
        weight,
        full_weight: 1,
        in_table: weight > 0,
        reason: if state == ServerState::Up {
            "http 200 in 3 ms".into()
        } else {
            "connect to 192.0.2.2:80 refused".into()
        },
        since_s: 131,
        connections: Connections { active: 2020, inactive: 5, persistent: 0 },
        counters: Counters { connections: 1_234_567, bytes_in: 61_000_000, ..Counters::default() },
        check: Some(CheckStatus {
            what: "http check every 1 s".into(),
            last_good_ms: Some(131_000),
            failed: 14,
            next_ms: Some(400),
            by_hand: Some("curl -v http://192.0.2.2/".into()),
            ..CheckStatus::default()
        }),
        next_hop: Some("52:54:00:aa:02:07 on eth1".into()),
        unreachable: false,
    }
}

fn status(servers: Vec<RealServerStatus>) -> Status {
    let service = ServiceStatus {
        name: "web".into(),
        protocol: "tcp".into(),
        address: "192.0.2.1:80".into(),
        scheduler: "rr".into(),
        fallback: Some(FallbackStatus { address: "127.0.0.1:80".into(), in_use: false }),
        real_servers: servers,
        ..ServiceStatus::default()
    };
    Status { version: "0.1.0".into(), node: "n1".into(), services: vec![service], ..Status::default() }
}

#[test]
fn brief_is_fine_degraded_or_down() {
    use ServerState::{Down, Drained, Up};
    let code = |servers| brief(&status(servers));
    assert_eq!(code(vec![server("a", Up, 1), server("b", Up, 1)]), ("OK: 1 service, 2/2 real servers up".into(), 0));
    let (line, degraded) = code(vec![server("a", Up, 1), server("b", Down, 0)]);
    assert_eq!((line.as_str(), degraded), ("WARNING: 1 service, 1/2 real servers up; degraded: web", 1));
    assert_eq!(code(vec![server("a", Down, 0), server("b", Down, 0)]).1, 2);
    assert_eq!(code(vec![server("a", Up, 1), server("b", Drained, 0)]).1, 0, "what was asked for is no fault");
    assert_eq!(code(vec![server("a", Drained, 0)]).1, 2, "but a service that nobody serves is down");
}

#[test]
fn brief_tells_of_a_cluster_that_lacks_a_node_or_serves_a_group_nowhere() {
    let node = |name: &str, state: &str| NodeStatus { name: name.into(), state: state.into(), ..NodeStatus::default() };
    let group = |owner: Option<&str>, state: &str| GroupStatus {
        name: "web".into(),
        owner: owner.map(Into::into),
        state: state.into(),
        ..GroupStatus::default()
    };
    let told = |other: &str, group| {
        let nodes = vec![node("ha1", "active"), node("ha2", other)];
        let cluster = ClusterStatus { nodes, groups: vec![group], ..ClusterStatus::default() };
        brief(&Status { cluster: Some(cluster), ..Status::default() })
    };
    let all = "0 services, 0/0 real servers up";
    assert_eq!(told("active", group(Some("ha2"), "stopped")), (format!("OK: {all}, 2/2 nodes active, 1 group"), 0));
    assert_eq!(told("dead", group(Some("ha1"), "running")), (format!("WARNING: {all}, 1/2 nodes active, 1 group"), 1));
    let failed = format!("WARNING: {all}, 2/2 nodes active, 1 group; failed here: web");
    assert_eq!(told("active", group(Some("ha2"), "failed")), (failed, 1));
    let nowhere = format!("CRITICAL: {all}, 2/2 nodes active, 1 group; on no node: web");
    assert_eq!(told("active", group(None, "stopped")), (nowhere, 2));
}

#[test]
fn what_is_down_is_told_with_reason_and_time_and_in_detail_when_asked() {
    let status = status(vec![server("real-1", ServerState::Up, 1), server("real-2", ServerState::Down, 0)]);
    let text = table::render(&status, None, false, Colour::No);
    assert!(text.contains("web 192.0.2.1:80/tcp"), "{text}");
    assert!(text.contains("1/2 up"), "{text}");
    assert!(text.contains("DOWN 2m11s"), "{text}");
    assert!(text.contains("connect to 192.0.2.2:80 refused"), "{text}");
    assert!(!text.contains("curl") && !text.contains('\x1b'), "{text}");
    let text = table::render(&status, None, true, Colour::No);
    assert!(text.contains("last good 2m11s ago, 14 failed since;  next try in 0.4 s"), "{text}");
    assert!(text.contains("try: curl -v http://192.0.2.2/"), "{text}");
}

#[test]
fn a_real_server_no_way_is_known_to_is_told_even_while_its_check_is_good() {
    let mut lost = server("real-1", ServerState::Up, 1);
    (lost.next_hop, lost.unreachable) = (Some("nobody answers for its address".into()), true);
    let status = status(vec![lost, server("real-2", ServerState::Up, 1)]);
    let text = table::render(&status, None, true, Colour::No);
    assert!(text.contains("\n      no way to it: nobody answers for its address\n"), "{text}");
    assert_eq!(brief(&status).1, 1);
}

#[test]
fn a_refused_reload_and_warnings_are_in_the_picture() {
    let mut status = status(vec![server("a", ServerState::Up, 1)]);
    status.config.error = Some("ldirectord.cf:3: unknown directive".into());
    status.warnings.push("rule 4 of chain input is bypassed".into());
    let text = table::render(&status, None, false, Colour::Yes);
    assert!(text.contains("config NOT TAKEN") && text.contains("ldirectord.cf:3: unknown directive"), "{text}");
    assert!(text.contains("rule 4 of chain input is bypassed"), "{text}");
    assert!(text.contains("not attached"), "{text}");
    assert_eq!(brief(&status), ("WARNING: 1 service, 1/1 real server up; config NOT TAKEN".into(), 1));
}

#[test]
fn a_real_server_that_is_up_with_weight_0_is_not_down() {
    let mut idle = server("real-1", ServerState::Up, 0);
    idle.full_weight = 0;
    let text = table::render(&status(vec![idle]), None, false, Colour::No);
    assert!(text.contains("1/1 up, weight 0\n") && !text.contains("DOWN"), "{text}");
}

#[test]
fn a_service_for_every_port_is_shown_with_a_star() {
    let mut status = status(vec![server("a", ServerState::Up, 1)]);
    status.services[0].address = "192.0.2.1:0".into();
    let text = table::render(&status, None, false, Colour::No);
    assert!(text.contains("web 192.0.2.1:*/tcp "), "{text}");
    status.services[0].name = "192.0.2.1:0/tcp".into();
    let text = table::render(&status, None, false, Colour::No);
    assert!(text.contains("\n192.0.2.1:*/tcp "), "{text}");
}

/// The head of the table comes with services, or where nothing else is to be shown.
#[test]
fn a_cluster_that_moves_no_services_has_no_table_of_them() {
    let mut picture = status(Vec::new());
    let has_table = |picture: &Status| table::render(picture, None, false, Colour::No).contains("SERVICE");
    assert!(has_table(&picture));
    picture.cluster = Some(evenkeel_api::ClusterStatus::default());
    assert!(has_table(&picture), "the services that ldirectord.cf names");
    picture.services.clear();
    assert!(!has_table(&picture));
    picture.cluster = None;
    assert!(has_table(&picture));
}

#[test]
fn numbers_are_grouped_and_bytes_have_units() {
    assert_eq!(table::number(0), "0");
    assert_eq!(table::number(8113), "8 113");
    assert_eq!(table::number(1_234_567), "1 234 567");
    assert_eq!(table::bytes(9_999), "9 999 B");
    assert_eq!(table::bytes(61_000_000), "61 MB");
    assert_eq!(table::bytes(u64::MAX), "18 446 PB");
}

#[test]
fn rates_come_from_two_pictures() {
    let before = status(vec![server("a", ServerState::Up, 1)]);
    let mut now = before.clone();
    now.uptime_s = 2;
    now.services[0].counters.connections = 2408;
    let text = table::render(&now, Some(&before), false, Colour::No);
    assert!(text.contains("1 204/s"), "{text}");
}

#[test]
fn an_instance_says_what_it_has_said_and_heard() {
    let wrong = [("checksum".to_owned(), 5), ("hops".to_owned(), 1200)].into();
    let counters = HaCounters { sent: 12, received: 3400, became_master: 1, wrong, ..HaCounters::default() };
    let group = HaStatus {
        name: "web".into(),
        state: "backup".into(),
        priority: 100,
        reason: "it was started".into(),
        addresses: vec!["192.0.2.1/24".into()],
        counters: Some(counters),
        ..HaStatus::default()
    };
    let text = table::render(&Status { ha: vec![group], ..Status::default() }, None, false, Colour::No);
    assert!(
        text.contains(
            "FAILOVER  web  backup for 0s: it was started  priority 100  192.0.2.1/24\n  \
             adverts: 12 sent, 3 400 heard, 1 205 wrong (checksum 5, hops 1 200); became master 1 time\n"
        ),
        "{text}"
    );
}

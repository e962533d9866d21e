//! The form on the wire: what other programs read and write.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use evenkeel_api::{
    Event, FrameError, Greeting, Lines, PlanAction, PlanLine, REQUEST_LINE_MAX, Refusal, RefusalCode, Reply, Request,
    Role, ServerState, ServiceStatus, Stamped, Status,
    table::{ConnectionFilter, Edit, Key},
    to_line,
};
use serde_json::{Value, json};

fn line<T: serde::Serialize>(value: &T) -> String {
    String::from_utf8(to_line(value).unwrap()).unwrap()
}

fn request(text: &str) -> Result<Request, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn the_greeting_names_version_protocol_and_role() {
    let greeting = Greeting { evenkeel: "0.1.0".into(), protocol: 1, role: Role::Admin };
    assert_eq!(line(&greeting), "{\"evenkeel\":\"0.1.0\",\"protocol\":1,\"role\":\"admin\"}\n");
}

#[test]
fn requests_are_read_as_documented() {
    let drain = Request::Drain {
        server: "web/real-1".into(),
        for_s: Some(600),
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: false,
    };
    assert_eq!(request(r#"{"drain":{"server":"web/real-1","for_s":600}}"#).unwrap(), drain);
    assert_eq!(request(r#"{"status":{}}"#).unwrap(), Request::Status { service: None });
    assert_eq!(request(r#"{"stop":{}}"#).unwrap(), Request::Stop {});
    let weight = Request::Weight { server: "real-1".into(), weight: None, force: false };
    assert_eq!(request(r#"{"weight":{"server":"real-1","weight":null}}"#).unwrap(), weight);
}

#[test]
fn every_request_comes_back_as_it_was_sent() {
    let server = || "web/real-1".to_owned();
    let requests = [
        Request::Status { service: Some("web".into()) },
        Request::Watch { events: true, status_every_ms: Some(500) },
        Request::Reload {},
        Request::Plan {},
        Request::Stop {},
        Request::Drain { server: server(), for_s: None, until_idle: true, deadline_s: Some(60), keep: 3, force: true },
        Request::Count { filter: ConnectionFilter::default() },
        Request::Table { service: Some(Key::Mark { mark: 3, ipv6: true }) },
        Request::Edit { edits: vec![Edit::Clear {}, Edit::Zero(None)], atomic: true, more: true },
        Request::Undrain { server: server() },
        Request::Weight { server: server(), weight: Some(3), force: false },
        Request::Disable { target: server(), force: false },
        Request::Enable { target: server() },
    ];
    for sent in requests {
        assert_eq!(request(&line(&sent)).unwrap(), sent);
    }
}

#[test]
fn a_misspelt_field_of_a_request_is_refused() {
    let error = request(r#"{"drain":{"server":"web/real-1","untilidle":true}}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `untilidle`"), "{error}");
    assert!(request(r#"{"explode":{}}"#).is_err());
}

#[test]
fn looking_needs_less_than_moving_traffic_and_that_less_than_ending() {
    assert_eq!(Request::Status { service: None }.needs(), Role::View);
    assert_eq!(Request::Enable { target: "web".into() }.needs(), Role::Operate);
    assert_eq!(Request::Stop {}.needs(), Role::Admin);
    assert!(Role::View < Role::Operate && Role::Operate < Role::Admin);
}

#[test]
fn exit_statuses_are_those_of_the_manual() {
    let statuses = [
        (RefusalCode::Failed, 1),
        (RefusalCode::BadConfig, 1),
        (RefusalCode::Unknown, 2),
        (RefusalCode::Ambiguous, 2),
        (RefusalCode::NotRunning, 3),
        (RefusalCode::NotAllowed, 4),
        (RefusalCode::WouldBreak, 5),
    ];
    for (code, status) in statuses {
        assert_eq!(code.exit_status(), status, "{code:?}");
    }
}

#[test]
fn a_refusal_says_what_was_wrong_and_what_to_do() {
    let refusal = Refusal::new(RefusalCode::Unknown, "no service is called \"wbe\"").hint("there is web");
    let reply = Reply::Refused(refusal.clone());
    let text = "{\"refused\":{\"code\":\"unknown\",\"message\":\"no service is called \\\"wbe\\\"\",\"hint\":\"there is web\"}}\n";
    assert_eq!(line(&reply), text);
    assert_eq!(refusal.to_string(), "no service is called \"wbe\"; there is web");
}

#[test]
fn readers_skip_reply_fields_they_do_not_know() {
    let text = r#"{"status":{"version":"9","node":"n","uptime_s":1,"new":true,"ha":[],"services":[],
        "dataplane":{"kind":"ebpf","attachments":[],"also_new":[1]}}}"#;
    let Ok(Reply::Status(status)) = serde_json::from_str(text) else { panic!("not a status") };
    assert_eq!((status.version.as_str(), status.uptime_s), ("9", 1));
}

#[test]
fn the_status_object_has_the_names_of_the_contract() {
    let mut status = Status { services: vec![ServiceStatus::default()], ..Status::default() };
    status.services[0].fallback = Some(Default::default());
    status.services[0].real_servers.push(Default::default());
    status.dataplane.attachments.push(Default::default());
    status.ha.push(Default::default());
    let value = serde_json::to_value(&status).unwrap();
    let has = |at: &str, names: &[&str]| {
        let object = value.pointer(at).and_then(Value::as_object).unwrap_or_else(|| panic!("no object at {at:?}"));
        names.iter().for_each(|name| assert!(object.contains_key(*name), "no {name} at {at:?}"));
    };
    has("", &["version", "node", "uptime_s", "dataplane", "ha", "services"]);
    has("/dataplane", &["kind", "attachments"]);
    has("/dataplane/attachments/0", &["interface", "mode", "program_id"]);
    has("/ha/0", &["name", "protocol", "state", "priority", "addresses", "since_s", "reason"]);
    has("/services/0", &["name", "protocol", "address", "scheduler", "fallback", "real_servers"]);
    has("/services/0/fallback", &["address", "in_use"]);
    let server = ["address", "forward", "weight", "state", "reason", "since_s", "connections", "counters"];
    has("/services/0/real_servers/0", &server);
    has("/services/0/real_servers/0/connections", &["active", "inactive", "persistent"]);
    let counters = ["connections", "packets_in", "packets_out", "bytes_in", "bytes_out"];
    has("/services/0/real_servers/0/counters", &counters);
    let states =
        [ServerState::Up, ServerState::Down, ServerState::Drained, ServerState::Disabled, ServerState::Unchecked];
    assert_eq!(serde_json::to_value(states).unwrap(), json!(["up", "down", "drained", "disabled", "unchecked"]));
}

#[test]
fn an_event_is_a_word_and_its_facts() {
    let event = Event::FallbackInUse { service: "web".into(), idle: 0, fallback: "127.0.0.1:80".into() };
    let reply = Reply::Event(Stamped { at_ms: 1700000000000, event });
    let expected = json!({"event": {"at_ms": 1700000000000_u64, "event": {"fallback_in_use": {"service": "web", "fallback": "127.0.0.1:80"}}}});
    assert_eq!(serde_json::to_value(&reply).unwrap(), expected);
    assert_eq!(serde_json::from_value::<Reply>(expected).unwrap(), reply);
}

#[test]
fn an_event_says_what_why_since_when_and_what_follows() {
    let event = Event::ServerDown {
        service: "web".into(),
        server: "real-2".into(),
        address: "192.168.0.207:80".into(),
        why: "connect to 192.168.0.207:80 refused".into(),
        failed: 3,
        up_s: Some(7500),
        quiesced: false,
        up: 1,
        of: 2,
        fallback: None,
    };
    let sentence = "real-2 went down (192.168.0.207:80): connect to 192.168.0.207:80 refused (3 of 3 tries).  \
                    It was up for 2h05m.  web now has 1 of 2 servers; it is out of the table.";
    assert_eq!(event.to_string(), sentence);
}

#[test]
fn the_last_server_down_names_who_answers_now() {
    let event = |fallback: Option<&str>| Event::ServerDown {
        service: "web".into(),
        server: "192.168.0.207:80".into(),
        address: "192.168.0.207:80".into(),
        why: "no connection within 3 s".into(),
        failed: 1,
        up_s: None,
        quiesced: true,
        up: 0,
        of: 1,
        fallback: fallback.map(str::to_owned),
    };
    let with = "192.168.0.207:80 is down: no connection within 3 s (1 of 1 tries).  web now has 0 of 1 servers; \
                the fallback 127.0.0.1:80 answers.";
    assert_eq!(event(Some("127.0.0.1:80")).to_string(), with);
    assert!(event(None).to_string().ends_with("web now has 0 of 1 servers and no fallback: nothing answers."));
}

#[test]
fn plan_lines_read_as_in_the_manual() {
    let add = |kind: &str, nested, text: &str| PlanLine {
        action: PlanAction::Add,
        kind: kind.into(),
        nested,
        text: text.into(),
    };
    assert_eq!(
        add("service", false, "tcp 192.168.1.150:80 rr dr").to_string(),
        "+ service   tcp 192.168.1.150:80 rr dr"
    );
    let server = add("real server", true, "192.168.1.138:80 w1   tcp check every 6 s");
    assert_eq!(server.to_string(), "+   real server 192.168.1.138:80 w1   tcp check every 6 s");
    assert_eq!(add("bpf", false, "xdp on eth0 (native)").to_string(), "+ bpf       xdp on eth0 (native)");
}

#[test]
fn lines_come_out_whole_however_they_come_in() {
    let mut lines = Lines::new(REQUEST_LINE_MAX);
    for byte in b"{\"stop\":{}}\n{\"sta" {
        lines.push(&[*byte]);
    }
    assert_eq!(lines.next_line(), Ok(Some("{\"stop\":{}}".into())));
    assert_eq!(lines.next_line(), Ok(None));
    assert!(lines.is_midline());
    lines.push(b"tus\":{}}\n\n");
    assert_eq!(lines.next_line(), Ok(Some("{\"status\":{}}".into())));
    assert_eq!(lines.next_line(), Ok(Some(String::new())));
    assert_eq!(lines.next_line(), Ok(None));
    assert!(!lines.is_midline());
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
    let mut lines = Lines::new(8);
    lines.push(b"12345678\n123456789");
    assert_eq!(lines.next_line(), Ok(Some("12345678".into())));
    assert_eq!(lines.next_line(), Err(FrameError::TooLong { limit: 8 }));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut lines = Lines::new(8);
    lines.push(b"\xff\xfe\n");
    assert_eq!(lines.next_line(), Err(FrameError::NotUtf8));
}

#[test]
fn what_was_never_tried_has_no_tries() {
    let event = Event::ServerDown {
        service: "web".into(),
        server: "real-2".into(),
        address: "192.0.2.2:80".into(),
        why: "check is set to always off".into(),
        failed: 0,
        up_s: None,
        quiesced: false,
        up: 1,
        of: 2,
        fallback: None,
    };
    let sentence = "real-2 is down (192.0.2.2:80): check is set to always off.  web now has 1 of 2 servers; it is out of \
                    the table.";
    assert_eq!(event.to_string(), sentence);
}

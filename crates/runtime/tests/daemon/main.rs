//! The whole daemon as any user: real files, real probes, the real control socket, a table in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;
mod control;

use bed::{Bed, Web};
use evenkeel_api::{RefusalCode, Reply, Request, ServerState};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, PermissionsExt},
};

/// Two web servers of one service, checked ten times a second, and the file for them. Every test has its own
/// addresses in 127/8.
fn cluster(net: u8, more: &str) -> (Web, Web, String) {
    let one = Web::start(SocketAddr::from(([127, net, 0, 1], 0)));
    let two = Web::start(SocketAddr::from(([127, net, 0, 2], one.address().port())));
    let text = format!(
        "checkinterval=1\nchecktimeout=2\n{more}\nvirtual=127.{net}.0.100:{port}\n\treal={a} gate\n\treal={b} gate\n\t\
         fallback=127.0.0.1:{port} gate\n\tservice=http\n\tscheduler=rr\n\trequest=\"index.html\"\n\treceive=\"RS\"\n\
         \tquiescent=no\n",
        port = one.address().port(),
        a = one.address(),
        b = two.address(),
    );
    (one, two, text)
}

fn states(status: &evenkeel_api::Status) -> Vec<ServerState> {
    status.services[0].real_servers.iter().map(|r| r.state).collect()
}

fn both_up(status: &evenkeel_api::Status) -> bool {
    states(status) == [ServerState::Up, ServerState::Up]
}

fn refusal(reply: Reply) -> RefusalCode {
    match reply {
        Reply::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn real_servers_that_go_down_and_come_up_change_the_table() {
    let (mut one, mut two, text) = cluster(21, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    assert_eq!(bed.table(), [(one.address(), 1), (two.address(), 1)]);

    two.down();
    let status = bed.until("one down", |s| states(s) == [ServerState::Up, ServerState::Down]);
    assert!(status.services[0].real_servers[1].reason.contains("refused"), "{status:?}");
    assert_eq!(bed.table(), [(one.address(), 1)]);

    one.down();
    bed.until("fallback in use", |s| s.services[0].fallback.as_ref().unwrap().in_use);
    let port = one.address().port();
    assert_eq!(bed.table(), [(SocketAddr::from(([127, 0, 0, 1], port)), 1)]);

    one.up();
    two.up();
    bed.until("both up again", both_up);
    assert_eq!(bed.table(), [(one.address(), 1), (two.address(), 1)]);
}

#[test]
fn the_status_object_keeps_its_contract() {
    let (one, _two, text) = cluster(22, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let mut client = bed.client();
    client.send(&Request::Status { service: None });
    let reply: serde_json::Value = serde_json::from_str(&client.line()).unwrap();
    let status = &reply["status"];
    assert_eq!(status["version"], "0.0.0");
    assert_eq!(status["node"], "n1");
    assert!(status["uptime_s"].is_u64());
    assert_eq!(status["dataplane"]["kind"], "memory");
    assert!(status["dataplane"]["attachments"].is_array());
    assert_eq!(status["ha"], serde_json::json!([]));
    let service = &status["services"][0];
    assert_eq!(service["protocol"], "tcp");
    assert_eq!(service["address"], format!("127.22.0.100:{}", one.address().port()));
    assert_eq!(service["scheduler"], "rr");
    assert_eq!(service["fallback"]["in_use"], false);
    let server = &service["real_servers"][0];
    assert_eq!(server["address"], one.address().to_string());
    assert_eq!(server["state"], "up");
    assert_eq!(server["weight"], 1);
    assert!(server["since_s"].is_u64() && server["reason"].is_string());
    for field in ["active", "inactive", "persistent"] {
        assert!(server["connections"][field].is_u64(), "{field}");
    }
    for field in ["connections", "packets_in", "packets_out", "bytes_in", "bytes_out"] {
        assert!(server["counters"][field].is_u64(), "{field}");
    }
}

#[test]
fn a_good_file_is_taken_at_a_reload_and_a_bad_one_is_not() {
    let (one, two, text) = cluster(23, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let before = bed.pins.changes().len();

    bed.write(&text.replace("scheduler=rr", "scheduler=wrr"));
    let reply = bed.ask(&Request::Reload {});
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    assert_eq!(bed.status().services[0].scheduler, "wrr");
    assert_eq!(bed.pins.changes().len() - before, 1, "a reload touches what has changed and nothing else");

    bed.write(&text.replace("scheduler=rr", "nonsense=rr"));
    assert_eq!(refusal(bed.ask(&Request::Reload {})), RefusalCode::BadConfig);
    let status = bed.status();
    assert!(!status.config.ok);
    assert_eq!(status.services[0].scheduler, "wrr");
    assert_eq!(bed.table(), [(one.address(), 1), (two.address(), 1)]);

    bed.write(&text);
    assert!(matches!(bed.ask(&Request::Reload {}), Reply::Done { .. }));
    assert!(bed.status().config.ok);
}

#[test]
fn a_plan_changes_nothing() {
    let (_one, _two, text) = cluster(24, "");
    let bed = Bed::serving(&text);
    bed.write(&text.replace("scheduler=rr", "scheduler=wrr"));
    let Reply::Plan { lines } = bed.ask(&Request::Plan {}) else { panic!() };
    assert!(!lines.is_empty());
    assert_eq!(bed.status().services[0].scheduler, "rr");
}

#[test]
fn with_autoreload_a_changed_file_is_taken_and_a_broken_one_told_and_left() {
    let (_one, _two, text) = cluster(25, "autoreload=yes");
    let bed = Bed::serving(&text);
    bed.write(&text.replace("scheduler=rr", "scheduler=wrr"));
    bed.until("reloaded by itself", |s| s.services[0].scheduler == "wrr");
    bed.write("virtual=nonsense\n");
    let status = bed.until("the broken file told", |s| !s.config.ok);
    assert!(status.config.error.is_some());
    assert_eq!(status.services[0].scheduler, "wrr");
    bed.write(&text);
    bed.until("reloaded again", |s| s.config.ok && s.services[0].scheduler == "rr");
}

#[test]
fn a_drain_outlives_the_daemon_and_an_undrain_ends_it() {
    let (one, two, text) = cluster(26, "");
    let mut bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let drain = Request::Drain {
        server: one.address().to_string(),
        for_s: None,
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force: false,
    };
    let reply = bed.ask(&drain);
    assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    assert_eq!(bed.table(), [(one.address(), 0), (two.address(), 1)]);

    bed.stop().unwrap();
    assert!(bed.table().is_empty());
    bed.start().unwrap();
    bed.until("drained still", |s| states(s) == [ServerState::Drained, ServerState::Up]);

    assert!(matches!(bed.ask(&Request::Undrain { server: one.address().to_string() }), Reply::Done { .. }));
    bed.until("both up", both_up);
    assert!(!bed.runtime_dir().join("overrides.json").exists());
}

#[test]
fn while_a_drain_ends_a_million_connections_everybody_else_is_served() {
    let (one, _two, text) = cluster(36, "");
    let mut bed = Bed::serving(&text);
    bed.until("both up", both_up);
    bed.pins.endless(true);
    let mut client = bed.client();
    client.send(&Request::Drain {
        server: one.address().to_string(),
        for_s: None,
        until_idle: false,
        deadline_s: Some(0),
        keep: 0,
        force: false,
    });
    bed.until("drained", |s| states(s) == [ServerState::Drained, ServerState::Up]);
    for _ in 0..100 {
        bed.status();
    }
    bed.pins.endless(false);
    let Reply::Done { message } = client.next() else { panic!("not done") };
    let ended: u64 = message.rsplit_once(" connection").unwrap().0.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(ended > 0, "{message}");
    // One that does not come to its end keeps nobody from ending.
    bed.pins.endless(true);
    bed.stop().unwrap();
}

#[test]
fn the_last_real_server_is_not_drained_unless_forced() {
    let (one, two, text) = cluster(27, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let drain = |web: &Web, force| Request::Drain {
        server: web.address().to_string(),
        for_s: None,
        until_idle: false,
        deadline_s: None,
        keep: 0,
        force,
    };
    assert!(matches!(bed.ask(&drain(&one, false)), Reply::Done { .. }));
    assert_eq!(refusal(bed.ask(&drain(&two, false))), RefusalCode::WouldBreak);
    assert!(matches!(bed.ask(&drain(&two, true)), Reply::Done { .. }));
    assert_eq!(refusal(bed.ask(&Request::Undrain { server: "nobody".into() })), RefusalCode::Unknown);
}

#[test]
fn stop_removes_everything_that_was_added() {
    let (_one, _two, text) = cluster(28, "");
    let mut bed = Bed::serving(&text);
    bed.until("both up", both_up);
    bed.stop().unwrap();
    assert!(bed.pins.table().services.is_empty());
    assert!(!bed.socket().exists());
    assert!(!bed.runtime_dir().join("pid").exists());
}

#[test]
fn with_cleanstop_no_the_services_stay() {
    let (one, two, text) = cluster(29, "cleanstop=no");
    let mut bed = Bed::serving(&text);
    bed.until("both up", both_up);
    bed.stop().unwrap();
    assert_eq!(bed.table(), [(one.address(), 1), (two.address(), 1)]);
    // The next start goes on where this one ended: nothing is added again.
    let before = bed.pins.changes().len();
    bed.start().unwrap();
    bed.until("both up", both_up);
    assert_eq!(bed.pins.changes().len(), before);
    bed.write(&text.replace("cleanstop=no", ""));
    assert!(matches!(bed.ask(&Request::Reload {}), Reply::Done { .. }));
    bed.stop().unwrap();
    assert!(bed.table().is_empty());
}

#[test]
fn a_maintenance_file_takes_a_real_server_out() {
    let maintenance = tempfile::tempdir().unwrap();
    let (one, two, text) = cluster(30, &format!("maintenancedir={}", maintenance.path().display()));
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let file = maintenance.path().join("127.30.0.1");
    fs::write(&file, "").unwrap();
    bed.until("in maintenance", |s| states(s)[0] == ServerState::Down);
    assert_eq!(bed.table(), [(two.address(), 1)]);
    fs::remove_file(file).unwrap();
    bed.until("both up", both_up);
    assert!(bed.table().contains(&(one.address(), 1)));
}

#[test]
fn the_socket_is_the_owners_alone_in_a_directory_of_the_owners_alone() {
    let (_one, _two, text) = cluster(31, "");
    let bed = Bed::serving(&text);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(bed.runtime_dir()), 0o700);
    assert_eq!(mode(bed.socket()), 0o600);
    assert!(fs::metadata(bed.socket()).unwrap().file_type().is_socket());
    let pid = fs::read_to_string(bed.runtime_dir().join("pid")).unwrap();
    assert_eq!(pid.trim(), std::process::id().to_string());
}

#[test]
fn two_daemons_do_not_share_a_runtime_directory() {
    let (_one, _two, text) = cluster(32, "");
    let mut bed = Bed::serving(&text);
    let mut other = Bed::new(&text);
    std::mem::swap(&mut other.dir, &mut bed.dir);
    let why = other.start().unwrap_err();
    assert!(why.to_string().contains("another instance"), "{why}");
    std::mem::swap(&mut other.dir, &mut bed.dir);
    assert_eq!(bed.status().node, "n1");
}

#[test]
fn where_nothing_can_be_attached_the_start_fails_with_the_reason_and_leaves_nothing() {
    let (_one, _two, text) = cluster(33, "");
    let mut bed = Bed::new(&text);
    bed.pins.refuse_attach(Some("this kernel has no BPF"));
    let why = bed.start().unwrap_err();
    // A host without any interface but loopback has another reason.
    assert!(why.to_string().contains("this kernel has no BPF") || why.to_string().contains("no interface"), "{why}");
    assert!(bed.pins.table().services.is_empty());
    assert!(!bed.socket().exists());
}

#[test]
fn the_monitor_file_and_the_log_file_tell_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let (log, monitor) = (dir.path().join("log"), dir.path().join("monitor"));
    let (_one, mut two, text) = cluster(34, &format!("logfile=\"{}\"", log.display()));
    let text = format!("{text}\tmonitorfile={}\n", monitor.display());
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    two.down();
    bed.until("one down", |s| states(s)[1] == ServerState::Down);
    let monitor = fs::read_to_string(monitor).unwrap();
    assert!(monitor.lines().any(|l| l.contains("127.34.0.2") && l.contains("[down]")), "{monitor}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("went down"), "{log}");
}

#[test]
fn a_number_in_a_file_moves_a_weight_and_with_it_the_quorum() {
    let one = Web::start(SocketAddr::from(([127, 61, 0, 1], 0)));
    let port = one.address().port();
    let two = Web::start(SocketAddr::from(([127, 61, 0, 2], port)));
    let mut bed = Bed::named("keepalived.conf", "");
    let number = bed.dir.path().join("number");
    let file = number.display();
    bed.write(&format!(
        "track_file load {{\n file {file}\n weight -1\n}}\n\
         virtual_server 192.0.2.61 {port} {{\n lvs_sched wrr\n lvs_method DR\n protocol TCP\n delay_loop 1\n quorum 3\n\
         sorry_server 192.0.2.99 {port}\n\
         real_server 127.61.0.1 {port} {{\n weight 5\n TCP_CHECK {{\n }}\n FILE_CHECK {{\n track_file load\n }}\n }}\n\
         real_server 127.61.0.2 {port} {{\n TCP_CHECK {{\n }}\n }}\n}}\n"
    ));
    bed.start().unwrap();
    bed.until("both up", both_up);
    let servers = |weight| [(one.address(), weight), (two.address(), 1)];
    assert_eq!(bed.table(), servers(5));
    let weighs = |weight: u32| {
        move |s: &evenkeel_api::Status| s.services[0].real_servers.first().is_some_and(|real| real.weight == weight)
    };
    fs::write(&number, "2\n").unwrap();
    bed.until("less weight", weighs(3));
    assert_eq!(bed.table(), servers(3));
    fs::write(&number, "4\n").unwrap();
    let fallback_in_use = |s: &evenkeel_api::Status| s.services[0].fallback.as_ref().unwrap().in_use;
    let status = bed.until("the quorum is lost", fallback_in_use);
    assert!(both_up(&status), "both are up, and not used");
    assert_eq!(bed.table(), [(SocketAddr::from(([192, 0, 2, 99], port)), 1)]);
    fs::write(&number, "0\n").unwrap();
    bed.until("all weight", weighs(5));
    assert_eq!(bed.table(), servers(5));
}

//! The native TOML: what it means, and what is said about mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, golden, native, only, rendered};
use evenkeel_model::{Alerts, Body, Forwarding, HttpMethod, OnFail, Probe, Protocol, Scheduler, StartState};
use evenkeel_source::Severity;
use std::time::Duration;

#[test]
fn a_service_reads_like_a_sentence() {
    let loaded = native(
        r#"
[service.web]
listen   = "192.168.0.85:80"
forward  = "dr"
schedule = "rr"
real_servers = [
  { name = "real-1", addr = "192.168.0.206" },
  { name = "real-2", addr = "192.168.0.207", check = { tcp = true, port = 8080 } },
]
fallback = "127.0.0.1:80"
on_fail  = "remove"
start    = "up"
allow    = ["10.0.0.0/8", "192.168.0.0/16"]
deny     = "10.9.0.0/16"
check    = { http = "/.ok.html", expect = "ok", every = "1s", timeout = "3s", status = ["200-299", 304], host = "www.example.org" }
"#,
    );
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let service = &cluster.services[0];
    assert_eq!((service.name.as_str(), service.key.to_string().as_str()), ("web", "192.168.0.85:80/tcp"));
    assert_eq!((service.on_fail, service.start), (OnFail::Remove, StartState::Up));
    assert_eq!(service.fallback.as_ref().unwrap().forwarding, Forwarding::Local);
    assert_eq!(service.sources.allow.len(), 2);
    assert_eq!(service.sources.deny[0].to_string(), "10.9.0.0/16");
    let [one, two] = service.real_servers.as_slice() else { panic!("two real servers") };
    let Probe::Http(http) = &one.check.probe else { panic!("http") };
    assert_eq!(
        (http.path.as_str(), http.host.as_str(), http.method),
        ("/.ok.html", "www.example.org", HttpMethod::Get)
    );
    assert_eq!(http.status.0, [(200, 299), (304, 304)]);
    assert_eq!(http.body, Body::PerlRegex("ok".to_owned()));
    assert_eq!(one.check.rhythm.every, Duration::from_secs(1));
    let Probe::Tcp { target } = two.check.probe else { panic!("tcp") };
    assert_eq!(target.to_string(), "192.168.0.207:8080");
    assert_eq!(two.address.to_string(), "192.168.0.207:80");
}

#[test]
fn what_is_not_said_is_what_an_operator_would_pick() {
    let loaded = native("[service.dns]\nlisten = \"udp://[2001:db8::1]:53\"\nreal_servers = [\"2001:db8::2\"]\n");
    let cluster = loaded.cluster.unwrap();
    let service = &cluster.services[0];
    assert_eq!((service.key.protocol(), service.key.port()), (Some(Protocol::Udp), 53));
    assert_eq!(service.scheduler, Scheduler::WeightedRoundRobin);
    assert_eq!((service.on_fail, service.start, service.clean_stop), (OnFail::Quiesce, StartState::Down, true));
    let check = &service.real_servers[0].check;
    assert!(matches!(check.probe, Probe::Ping { tries: 1, .. }));
    assert_eq!((check.rhythm.rise, check.rhythm.fall, check.rhythm.jitter_percent), (1, 2, 10));
    assert_eq!(service.real_servers[0].name, "[2001:db8::2]:53");
}

#[test]
fn settings_and_mail_are_read() {
    let loaded = native(
        "[settings]\nconnections = 2_000_000\ninterfaces = [\"eth0\"]\nattach = \"tcx\"\nautoreload = true\n\
         [alert.mail]\nto = [\"a@example.org\"]\nfrom = \"lb@example.org\"\nserver = \"192.168.200.1\"\nrepeat = \"1h\"\n\
         [service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.2\"]\n\
         [service.quiet]\nlisten = \"192.0.2.1:81\"\nreal_servers = [\"192.0.2.2\"]\nalert = false\n",
    );
    let cluster = loaded.cluster.unwrap();
    assert_eq!(cluster.settings.connections, Some(2_000_000));
    assert_eq!((cluster.settings.attach.as_deref(), cluster.settings.autoreload), (Some("tcx"), true));
    let states = ["starting", "running", "stopping", "reloading"].map(str::to_owned).to_vec();
    let wanted = Alerts {
        to: vec!["a@example.org".to_owned()],
        from: Some("lb@example.org".to_owned()),
        smtp: Some("192.168.200.1".to_owned()),
        repeat: Duration::from_secs(3600),
        status: states,
    };
    assert_eq!(cluster.services[0].alerts, Some(wanted));
    assert_eq!(cluster.services[1].alerts, None);
}

#[test]
fn short_checks_are_the_ones_of_the_command_line() {
    for (text, wanted) in [("http:/healthz", "Http"), ("tcp:8080", "Tcp"), ("ping", "Ping"), ("on", "AlwaysOn")] {
        let loaded = native(&format!(
            "[service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.2\"]\ncheck = \"{text}\"\n"
        ));
        let cluster = loaded.cluster.unwrap();
        let probe = format!("{:?}", cluster.services[0].real_servers[0].check.probe);
        assert!(probe.starts_with(wanted), "{text}: {probe}");
    }
}

#[test]
fn every_port_needs_a_check_that_has_one() {
    let service = "[service.all]\nlisten = \"192.0.2.1:*\"\nreal_servers = [\"192.0.2.2\"]\n";
    assert!(native(service).cluster.is_some());
    let loaded = native(&format!("{service}check = {{ http = \"/\" }}\n"));
    assert_eq!(only(&loaded), "error E0213 4:9 the service has every port, so the check needs one");
    assert!(native(&format!("{service}check = {{ http = \"/\", port = 80 }}\n")).cluster.is_some());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let loaded = native(include_str!("golden/native-mistakes.toml"));
    golden("tests/golden/native-mistakes.txt", &rendered(&loaded));
    assert!(loaded.cluster.is_none());
    assert!(loaded.count(Severity::Error) > 40, "{}", loaded.count(Severity::Error));
}

#[test]
fn syntax_mistakes_are_all_reported_too() {
    let loaded =
        native("[service.web\nlisten = 192.0.2.1:80\nreal_servers = [\"192.0.2.2\"\n[settings]\nattach = auto\n");
    golden("tests/golden/native-syntax.txt", &rendered(&loaded));
    assert!(errors(&loaded).len() >= 3, "{:#?}", brief(&loaded));
}

#[test]
fn parts_of_later_releases_are_refused_by_name() {
    let loaded = native(
        "[cluster]\nsecret = \"x\"\n[vip.main]\naddress = \"192.0.2.1/24\"\n[group.web]\n[fence.node2]\n\
         [service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.2\"]\nforward = \"nat\"\nschedule = \"wlc\"\n",
    );
    let errors = errors(&loaded);
    assert_eq!(errors.len(), 6, "{errors:#?}");
    assert_eq!(errors.iter().filter(|e| e.contains("E0309") && e.ends_with("is not in this release")).count(), 4);
    assert!(errors.iter().any(|e| e.contains("E0301")) && errors.iter().any(|e| e.contains("E0302")));
}

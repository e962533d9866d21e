//! The native TOML: what it means, and what is said about mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, golden, ldirectord, native, only, rendered};
use evenkeel_model::{
    Alerts, Body, Forwarding, GueChecksum, HashFlags, HttpMethod, OnFail, PersistenceEngine, Probe, Protocol,
    Scheduler, StartState, Thresholds, Tunnel,
};
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
        "[web]\nlisten = \"127.0.0.1:7070\"\n[api]\n[metrics]\n[log]\n\
         [service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.2\"]\nmss = 1400\n",
    );
    let errors = errors(&loaded);
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert!(errors.iter().all(|e| e.contains("E0309") && e.ends_with("is not in this release")), "{errors:#?}");
}

#[test]
fn every_method_and_option_is_read() {
    let loaded = native(
        r#"
[settings]
timeouts = { tcp = "30m", udp = "1m" }

[service.web]
listen   = "192.0.2.1:80"
forward  = "nat"
schedule = "sh"
schedule_flags = ["port"]
persist  = { for = "10m", prefix = 24 }
limit    = { per_second = 1000, per_second_of_a_source = 50 }
expire_gone = "all"
reuse    = false
real_servers = [
  { addr = "192.168.10.11:8080", limit = { upper = 100, lower = 80 } },
  { addr = "2001:db8::11", tunnel = { kind = "gue", port = 6081, checksum = "full" } },
  { addr = "192.168.10.12", forward = "fullnat", limit = 10 },
  "127.0.0.1",
]
check    = "tcp"

[service.call]
listen     = "udp://192.0.2.1:5060"
one_packet = true
persist    = { for = "1m", by = "sip" }
real_servers = ["192.0.2.2"]

[mark.3]
match    = ["192.0.2.1 tcp 80-81", "192.0.2.0/24 protocol 50 from 198.51.100.0/24"]
forward  = "tun"
real_servers = ["192.0.2.2"]
"#,
    );
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    assert_eq!((cluster.settings.timeouts.tcp, cluster.settings.timeouts.udp), (Some(1800), Some(60)));
    let [web, call, mark] = cluster.services.as_slice() else { panic!("three services") };
    assert_eq!(web.scheduler, Scheduler::SourceHash(HashFlags { port: true, fallback: true }));
    assert_eq!(web.persistence.map(|p| (p.timeout, p.prefix)), Some((600, 24)));
    assert_eq!((web.behaviour.new_rate, web.behaviour.source_rate, web.behaviour.reuse), (Some(1000), Some(50), false));
    let servers: Vec<_> = web.real_servers.iter().map(|r| (r.address.to_string(), r.forwarding)).collect();
    let gue = Tunnel::Gue { port: 6081, checksum: GueChecksum::Full };
    assert_eq!(
        servers,
        [
            ("192.168.10.11:8080".to_owned(), Forwarding::Nat),
            ("[2001:db8::11]:80".to_owned(), Forwarding::Tunnel(gue)),
            ("192.168.10.12:80".to_owned(), Forwarding::FullNat),
            ("127.0.0.1:80".to_owned(), Forwarding::Local),
        ]
    );
    assert_eq!(web.real_servers[0].thresholds, Thresholds { upper: 100, lower: 80 });
    assert!(call.one_packet && call.persistence.is_some_and(|p| p.engine == PersistenceEngine::Sip));
    assert_eq!((mark.key.to_string().as_str(), mark.matches.len()), ("mark 3", 2));
    assert_eq!(mark.real_servers[0].forwarding, Forwarding::Tunnel(Tunnel::Ipip));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let service = "[service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.2\"]\n";
    for (line, wanted) in [
        ("one_packet = true", "error E0504 4:14 one_packet of a tcp service"),
        ("schedule = \"rr\"\nschedule_flags = \"port\"", "error E0504 5:18 schedule `rr` has no flags"),
        ("forward = \"nat\"\ntunnel = \"gre\"", "error E0504 5:10 a tunnel with forward = \"nat\""),
        ("tunnel = { kind = \"ipip\", port = 5 }", "error E0504 4:34 an ipip tunnel has no port"),
        ("tunnel = { kind = \"gre\", checksum = \"remote\" }", "error E0121 4:37 checksum `remote` of a gre tunnel"),
        ("persist = \"32d\"", "error E0216 4:11 persistence lasts for more than 31 days"),
        ("persist = { prefix = 24 }", "error E0221 4:11 it is not said how long clients stay"),
        ("limit = { per_second = 0 }", "error E0121 4:24 per_second is 0; it goes from 1 to 2097152"),
    ] {
        assert_eq!(only(&native(&format!("{service}{line}\n"))), wanted, "{line}");
    }
    let mark = |text: &str| only(&native(&format!("{text}\nreal_servers = [\"192.0.2.2\"]\n")));
    assert_eq!(mark("[mark.0]\nmatch = \"192.0.2.1\""), "error E0212 1:7 `0` is no firewall mark");
    assert_eq!(
        mark("[mark.1]\nmatch = [\"192.0.2.1\", \"2001:db8::1\"]"),
        "error E0206 2:9 the matches of one mark are of both address families"
    );
    assert_eq!(
        mark("[mark.1]\nmatch = \"192.0.2.1 80\""),
        "error E0121 2:9 ports need one of tcp, udp and sctp before them"
    );
}

#[test]
fn ftp_is_what_port_21_of_tcp_speaks_unless_it_is_said_otherwise() {
    let read = |listen: &str, more: &str| {
        let text =
            format!("[service.a]\nlisten = \"{listen}\"\nforward = \"nat\"\nreal_servers = [\"192.0.2.2\"]\n{more}\n");
        native(&text).cluster.map(|cluster| cluster.services[0].ftp)
    };
    for (listen, more, ftp) in [
        ("192.0.2.1:21", "", true),
        ("192.0.2.1:21", "ftp = false", false),
        ("192.0.2.1:2121", "", false),
        ("192.0.2.1:2121", "ftp = true", true),
        ("udp://192.0.2.1:21", "", false),
        ("192.0.2.1:*", "", false),
    ] {
        assert_eq!(read(listen, more), Some(ftp), "{listen} {more}");
    }
    for (virtual_service, ftp) in [("192.0.2.1:21", true), ("192.0.2.1:80", false)] {
        let text = format!("virtual={virtual_service}\n\treal=192.0.2.2 masq\n\tprotocol=tcp\n\tchecktype=connect\n");
        let cluster = ldirectord(&text).cluster.unwrap();
        assert_eq!(cluster.services[0].ftp, ftp, "{text}");
    }
    for (listen, wanted) in [
        ("udp://192.0.2.1:21", "error E0504 4:7 ftp of 192.0.2.1:21/udp"),
        ("192.0.2.1:*", "error E0504 4:7 ftp of 192.0.2.1:0/tcp"),
    ] {
        let text = format!("[service.a]\nlisten = \"{listen}\"\nreal_servers = [\"192.0.2.2\"]\nftp = true\n");
        assert_eq!(only(&native(&text)), wanted);
    }
}

//! The files of two set-ups found in the field, as they stand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, golden, ldirectord, native, rendered};
use evenkeel_config::{Format, fixes, to_toml};
use evenkeel_model::{Body, Forwarding, OnFail, Probe, Scheduler, StartState, StatusSet};
use evenkeel_source::Severity;
use std::time::Duration;

const VERBATIM: &str = include_str!("setups/000-ldirectord.verbatim.cf");
const CLEANED: &str = include_str!("setups/000-ldirectord.cf");
const ONE: &str = include_str!("setups/001-ldirectord.cf");

#[test]
fn set_up_001_loads_without_a_word() {
    let loaded = ldirectord(ONE);
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    assert!(cluster.settings.autoreload);
    assert_eq!(cluster.settings.log_file.unwrap().to_str(), Some("/var/log/ldirectord.log"));
    let [service] = cluster.services.as_slice() else { panic!("one service") };
    assert_eq!(service.key.to_string(), "192.168.214.140:80/tcp");
    assert_eq!(service.scheduler, Scheduler::RoundRobin);
    assert_eq!((service.on_fail, service.start), (OnFail::Remove, StartState::Down));
    let fallback = service.fallback.as_ref().unwrap();
    assert_eq!((fallback.address.to_string().as_str(), fallback.forwarding), ("127.0.0.1:80", Forwarding::Local));
    let addresses: Vec<String> = service.real_servers.iter().map(|r| r.address.to_string()).collect();
    assert_eq!(addresses, ["192.168.214.143:80", "192.168.214.145:80"]);
    let check = &service.real_servers[0].check;
    assert_eq!((check.rhythm.every, check.rhythm.timeout), (Duration::from_secs(1), Duration::from_secs(3)));
    assert_eq!((check.rhythm.rise, check.rhythm.fall), (1, 1));
    let Probe::Http(http) = &check.probe else { panic!("an http probe") };
    assert_eq!((http.path.as_str(), http.host.as_str()), ("/index.html", "192.168.214.143"));
    assert_eq!(http.target.to_string(), "192.168.214.143:80");
    assert_eq!(http.body, Body::PerlRegex("RS".to_owned()));
    assert_eq!(http.status, StatusSet(vec![(200, 299)]));
    assert_eq!((http.redirects, http.size_cap, http.tls), (5, 65_536, false));
}

#[test]
fn set_up_000_as_copied_from_the_web_page_loads_with_every_line_named() {
    let loaded = ldirectord(VERBATIM);
    assert_eq!(loaded.count(Severity::Error), 0);
    let text = rendered(&loaded);
    golden("tests/golden/000-verbatim.txt", &text);
    assert!(text.contains("192.168.206 means 192.168.0.206"));
    let named = text.lines().find(|line| line.contains("note: lines 1, 2,")).unwrap();
    for line in [1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17] {
        assert!(named.contains(&format!(" {line}")), "line {line} is not named: {named}");
    }
    // The hand-cleaned file means the same.
    assert_eq!(loaded.cluster, ldirectord(CLEANED).cluster);
    assert!(loaded.cluster.is_some());
}

#[test]
fn fixing_the_copied_file_leaves_what_only_a_person_can_decide() {
    let loaded = ldirectord(VERBATIM);
    let files = fixes(&loaded, Some(Format::Ldirectord), &HOST);
    let [file] = files.as_slice() else { panic!("one file changes") };
    golden("tests/golden/000-fixed.cf", &file.text);
    let again = ldirectord(&file.text);
    assert_eq!(
        brief(&again),
        ["warning E0131 18:19 weights 200 and 600 have no effect with scheduler `rr`"],
        "{}",
        file.text
    );
    assert_eq!(again.cluster, loaded.cluster);
}

#[test]
fn converted_set_ups_mean_the_same() {
    for (name, text) in [("000", CLEANED), ("001", ONE)] {
        let cluster = ldirectord(text).cluster.unwrap();
        let toml = to_toml(&cluster);
        golden(&format!("tests/golden/{name}.toml"), &toml);
        assert_eq!(native(&toml).cluster, Some(cluster));
    }
}

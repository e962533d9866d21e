//! ha.cf, authkeys and haresources: the set-ups found in the field, directories, and which node this is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, errors, golden, rendered};
use evenkeel_config::{Format, Host, Input, Loaded, fixes, load, load_texts, to_toml};
use evenkeel_model::heartbeat::{Agent, Failback, Heartbeat, IpResource, Medium, Method};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const HA1: &str = include_str!("setups/003/ha.cf");
const HA2: &str = include_str!("setups/003/ha.cf.ha2");
const VERBATIM: &str = include_str!("setups/003/ha.verbatim.cf");
const KEYS: &str = include_str!("setups/003/authkeys");
const RESOURCES: &str = include_str!("setups/003/haresources");
const CF: &str = include_str!("setups/000-ldirectord.cf");

/// A host of this name where nginx has a script of init, as Debian has it.
fn host(name: &str) -> Host<'_> {
    Host { node: name, full_name: name, file_mode: &modes, read_file: &|_| Err("it does not exist".to_owned()), ..HOST }
}

fn modes(path: &Path) -> Option<u32> {
    (path == Path::new("/etc/init.d/nginx")).then_some(0o100_755)
}

fn texts(files: &[(&str, &str)], name: &str) -> Loaded {
    let input = |(path, text): &(&str, &str)| Input { path: Path::new("/etc/ha.d").join(path), bytes: (*text).into() };
    load_texts(files.iter().map(input).collect(), None, &host(name))
}

fn three(ha: &str, name: &str) -> Loaded {
    texts(&[("ha.cf", ha), ("authkeys", KEYS), ("haresources", RESOURCES)], name)
}

fn heartbeat(loaded: &Loaded) -> Heartbeat {
    assert!(loaded.cluster.is_some(), "{:#?}", brief(loaded));
    loaded.cluster.as_ref().unwrap().heartbeat.clone().unwrap()
}

#[test]
fn set_up_003_means_what_its_document_says() {
    let loaded = three(HA1, "HA1");
    assert_eq!(loaded.count(evenkeel_source::Severity::Error), 0, "{:#?}", brief(&loaded));
    let read = heartbeat(&loaded);
    assert_eq!(read.node.as_str(), "ha1");
    assert_eq!(read.nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>(), ["ha1", "ha2"]);
    let peer = "10.0.0.2".parse().unwrap();
    assert_eq!(read.media, [Medium::Unicast { interface: "eth1".to_owned(), peer, port: 694 }]);
    let seconds = Duration::from_secs;
    let timing = read.timing;
    assert_eq!((timing.keepalive, timing.deadtime, timing.warntime), (seconds(2), seconds(30), seconds(10)));
    assert_eq!((timing.initdead, timing.deadping), (seconds(60), seconds(30)));
    let (number, key) = read.keys.signing();
    assert_eq!((number, key.method, key.secret.as_slice()), (3, Method::Md5, b"hello!".as_slice()));
    assert_eq!((read.failback, read.ipfail), (Failback::On, true));
    assert!(read.children.is_empty(), "ipfail is no child");
    assert_eq!(read.pings.len(), 1);
    assert_eq!(read.pings[0].name.as_str(), "10.168.0.1");
    assert_eq!(read.log_file.as_deref(), Some(Path::new("/var/log/ha-log")));
    assert_eq!(read.log_facility.as_deref(), Some("local0"));
    let [group] = read.groups.as_slice() else { panic!("one group: {:?}", read.groups) };
    assert_eq!(group.key, "10.168.0.160/24/eth0");
    assert_eq!(group.prefer.iter().map(|node| node.as_str()).collect::<Vec<_>>(), ["ha1"]);
    let [address, nginx] = group.resources.as_slice() else { panic!("two resources") };
    let ip = IpResource {
        address: "10.168.0.160".parse().unwrap(),
        prefix: Some(24),
        interface: Some("eth0".to_owned()),
        label: None,
        broadcast: None,
    };
    assert_eq!(address.agent, Agent::Ip(ip));
    assert_eq!(nginx.agent, Agent::Script { name: "nginx".to_owned(), arguments: Vec::new() });
    assert!(nginx.monitor.is_some(), "it is looked at");
    golden("tests/golden/003.txt", &rendered(&loaded));
}

#[test]
fn the_other_node_of_set_up_003_differs_by_its_name_and_peer_alone() {
    let (one, two) = (heartbeat(&three(HA1, "ha1")), heartbeat(&three(HA2, "ha2")));
    assert_eq!(two.node.as_str(), "ha2");
    let media = [Medium::Unicast { interface: "eth1".to_owned(), peer: "10.0.0.1".parse().unwrap(), port: 694 }];
    assert_eq!(two.media, media);
    assert_eq!(Heartbeat { node: one.node.clone(), media: one.media.clone(), ..two }, one);
}

#[test]
fn lines_that_a_highlighter_broke_are_joined_told_and_mended() {
    let loaded = three(VERBATIM, "ha1");
    assert_eq!(heartbeat(&loaded), heartbeat(&three(HA1, "ha1")));
    let joined: Vec<String> = brief(&loaded).into_iter().filter(|line| line.contains("E0132")).collect();
    assert_eq!(
        joined,
        [
            "warning E0132 2:1 this is read as the rest of `debugfile` above",
            "warning E0132 4:1 this is read as the rest of `logfile` above",
            "warning E0132 16:1 this is read as the rest of `ping` above",
            "warning E0132 19:1 this is read as the rest of `respawn` above",
        ]
    );
    let fixed = fixes(&loaded, None, &host("ha1"));
    let [file] = fixed.as_slice() else { panic!("one file changes: {fixed:?}") };
    assert_eq!(file.text, HA1.replace("keeplive", "keepalive"));
}

#[test]
fn a_broken_line_of_haresources_is_joined() {
    let resources = "ha1 10.168.0.160\n/24/eth0 nginx\n";
    let loaded = texts(&[("ha.cf", HA1), ("authkeys", KEYS), ("haresources", resources)], "ha1");
    assert_eq!(heartbeat(&loaded), heartbeat(&three(HA1, "ha1")));
    let said = brief(&loaded);
    assert!(said.contains(&"warning E0132 2:1 this is read as the rest of the word above".to_owned()), "{said:#?}");
    let fixed = fixes(&loaded, None, &host("ha1"));
    assert!(fixed.iter().any(|file| file.text == RESOURCES), "{fixed:?}");
}

#[test]
fn set_up_000_makes_a_group_of_the_addresses_of_its_services() {
    let ha = include_str!("setups/000/ha.cf");
    let keys = include_str!("setups/000/authkeys");
    let loaded = texts(&[("ha.cf", ha), ("authkeys", keys), ("ldirectord.cf", CF)], "node2.a.org");
    let read = heartbeat(&loaded);
    assert_eq!(read.node.as_str(), "node2.a.org");
    assert_eq!(read.media, [Medium::Broadcast { interface: "eth1".to_owned(), port: 694 }]);
    assert_eq!(read.failback, Failback::Legacy);
    let [group] = read.groups.as_slice() else { panic!("one group") };
    assert_eq!((group.key.as_str(), group.prefer[0].as_str()), ("192.168.0.85", "node1.a.org"));
    let Agent::Ip(ip) = &group.resources[0].agent else { panic!("an address") };
    assert_eq!((ip.address.to_string().as_str(), ip.prefix, ip.interface.as_deref()), ("192.168.0.85", None, None));
    assert_eq!(loaded.cluster.as_ref().unwrap().services.len(), 1);
    golden("tests/golden/000-heartbeat.txt", &rendered(&loaded));
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
}

fn at(path: &Path, name: &str) -> Loaded {
    load(&[path.to_owned()], None, &Host { node: name, full_name: name, ..HOST })
}

/// The messages, with the directory left out.
fn said(directory: &TempDir, loaded: &Loaded) -> Vec<String> {
    let path = directory.path().display().to_string();
    brief(loaded).into_iter().map(|line| line.replace(&path, "DIR")).collect()
}

#[test]
fn a_directory_is_read_with_the_services_that_haresources_names() {
    let other = CF.replace("192.168.0.85", "192.168.0.86");
    let resources = "ha1 10.168.0.160/24/eth0 ldirectord::web.cf\n";
    let directory = directory(&[
        ("ha.cf", HA1),
        ("ha.cf.ha2", HA2),
        ("authkeys", KEYS),
        ("haresources", resources),
        ("web.cf", CF),
        ("ldirectord.cf", &other),
    ]);
    let loaded = at(directory.path(), "ha1");
    let read = heartbeat(&loaded);
    let [_, services] = read.groups[0].resources.as_slice() else { panic!("two resources") };
    assert_eq!(services.agent, Agent::Services { file: directory.path().join("web.cf") });
    let names: Vec<String> = loaded.cluster.as_ref().unwrap().services.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(names, ["192.168.0.85:80/tcp"]);
    let said = said(&directory, &loaded);
    assert!(
        said.contains(&"note E0277 - DIR/ldirectord.cf is not read: haresources does not name it".to_owned()),
        "{said:#?}"
    );
    let forced =
        load(&[directory.path().to_owned()], Some(Format::Heartbeat), &Host { node: "ha1", full_name: "ha1", ..HOST });
    assert_eq!(forced.cluster, loaded.cluster);
    // The same, of ha.cf alone: what it needs is beside it.
    assert_eq!(at(&directory.path().join("ha.cf"), "ha1").cluster, loaded.cluster);
}

#[test]
fn without_haresources_only_the_usual_ldirectord_cf_is_read() {
    let files = [("ha.cf", HA1), ("authkeys", KEYS), ("ldirectord.cf", CF), ("ldirectord.verbatim.cf", "nonsense")];
    let directory = directory(&files);
    let loaded = at(directory.path(), "ha1");
    assert_eq!(heartbeat(&loaded).groups.len(), 1);
    let host = Host { node: "ha1", full_name: "ha1", ..HOST };
    let forced = load(&[directory.path().to_owned()], Some(Format::Heartbeat), &host);
    assert_eq!(forced.cluster, loaded.cluster);
    let said = said(&directory, &loaded);
    assert!(said.iter().any(|line| line.starts_with("note E0277 - DIR/ldirectord.verbatim.cf")), "{said:#?}");
}

#[test]
fn a_file_that_haresources_names_and_that_is_not_there_is_pointed_at() {
    let directory =
        directory(&[("ha.cf", HA1), ("authkeys", KEYS), ("haresources", "ha1 10.0.0.5 ldirectord::no.cf\n")]);
    let loaded = at(directory.path(), "ha1");
    let said = said(&directory, &loaded);
    assert!(said.contains(&"error E0401 1:14 DIR/no.cf cannot be read: it does not exist".to_owned()), "{said:#?}");
}

#[test]
fn keys_that_others_can_read_are_refused_and_never_shown() {
    let directory = directory(&[("ha.cf", HA1), ("authkeys", KEYS), ("haresources", RESOURCES)]);
    let keys = directory.path().join("authkeys");
    for mode in [0o400, 0o600, 0o620] {
        fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = at(directory.path(), "ha1");
        assert!(loaded.cluster.is_some(), "{mode:o}");
        let changed = brief(&loaded).iter().any(|line| line.contains("others can change the keys"));
        assert_eq!(changed, mode == 0o620, "{:#?}", brief(&loaded));
    }
    for mode in [0o640, 0o644, 0o604, 0o660] {
        fs::set_permissions(&keys, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = at(directory.path(), "ha1");
        let wanted = format!("error E0264 1:1 others can read the keys: the mode of the file is {mode:04o}");
        assert!(brief(&loaded).contains(&wanted), "{:#?}", brief(&loaded));
        assert!(!rendered(&loaded).contains("hello!"), "{}", rendered(&loaded));
        assert!(rendered(&loaded).contains("chmod 600"));
    }
}

#[test]
fn scripts_that_heartbeat_never_ran_are_pointed_at() {
    let mode = |path: &Path| {
        let there = ["/etc/ha.d/rc.d", "/etc/ha.d/rc.d/status", "/etc/ha.d/rc.d/starting", "/etc/init.d/nginx"];
        path.to_str().is_some_and(|path| there.contains(&path)).then_some(0o100_755)
    };
    let host = Host { file_mode: &mode, ..host("ha1") };
    let files = [("ha.cf", HA1), ("authkeys", KEYS), ("haresources", RESOURCES)];
    let input = |(path, text): (&str, &str)| Input { path: Path::new("/etc/ha.d").join(path), bytes: text.into() };
    let loaded = load_texts(files.map(input).into(), None, &host);
    let said: Vec<String> = brief(&loaded).into_iter().filter(|line| line.contains("rc.d")).collect();
    assert_eq!(said, ["note E0280 1:1 /etc/ha.d/rc.d/starting is never run"]);
    assert_eq!(heartbeat(&loaded).notify_dir.as_deref(), Some(Path::new("/etc/ha.d/rc.d")));
}

/// Scripts of heartbeat find what evenkeel has no use for, after a conversion too.
#[test]
fn directives_without_a_use_are_kept_for_scripts() {
    let more = "debug 1\nbaud 9600\nhbgenmethod Time\nconn_logd_time 2sec\nrealtime off\nenv color=blue debug=9\n";
    let kept = heartbeat(&three(&format!("{HA1}{more}"), "ha1")).environment;
    let kept: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wanted = [
        ("baud", "9600"),
        ("conn_logd_time", "2"),
        ("debugfile", "/var/log/ha-debug"),
        ("hbgenmethod", "time"),
        ("realtime", "off"),
        ("color", "blue"),
        ("debug", "9"),
    ];
    assert_eq!(kept, wanted);
}

#[test]
fn names_are_folded_and_short_and_full_ones_matched() {
    let ha = HA1.replace("node HA1", "node Ha1.Example.org");
    for (name, warned) in [("ha1.example.ORG", false), ("HA1", true), ("ha1", true)] {
        let loaded = texts(&[("ha.cf", &ha), ("authkeys", KEYS), ("haresources", RESOURCES)], name);
        assert_eq!(heartbeat(&loaded).node.as_str(), "ha1.example.org");
        let told = brief(&loaded).iter().any(|line| line.contains("E0260 11:6 this host is"));
        assert_eq!(told, warned, "{name}: {:#?}", brief(&loaded));
    }
    let loaded = three(HA1, "director-1");
    assert_eq!(errors(&loaded), ["error E0260 11:6 this host is `director-1`, and no node is called so"]);
    assert!(rendered(&loaded).contains("--node NAME"));
}

#[test]
fn forced_formats_and_copies_under_other_names_are_read() {
    let files: [(&str, &str); 3] = [("ha.verbatim.cf", VERBATIM), ("keys.txt", KEYS), ("resources.txt", RESOURCES)];
    let directory = directory(&files);
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| directory.path().join(name)).collect();
    let host = Host { node: "ha1", full_name: "ha1", ..HOST };
    let loaded = load(&paths, Some(Format::Heartbeat), &host);
    assert_eq!(heartbeat(&loaded).groups.len(), 1, "{:#?}", brief(&loaded));
    // Content tells two of them; the third is beside no ha.cf and in no format.
    let loaded = load(&paths[..2], None, &host);
    let said = brief(&loaded);
    assert!(said.iter().any(|line| line.contains("there is no") && line.contains("haresources")), "{said:#?}");
}

#[test]
fn files_without_their_ha_cf_are_nothing() {
    let loaded = texts(&[("authkeys", KEYS), ("haresources", RESOURCES)], "ha1");
    assert_eq!(errors(&loaded), ["error E0273 1:1 there is no ha.cf"]);
    let loaded = texts(&[("ha.cf", HA1), ("ha.cf.ha2", HA2), ("authkeys", KEYS), ("haresources", "")], "ha1");
    assert_eq!(errors(&loaded), ["error E0215 1:1 a second ha.cf"]);
}

#[test]
fn the_table_in_docs_is_the_one_the_parser_uses() {
    golden("../../docs/compat/heartbeat.md", &evenkeel_config::heartbeat_markdown());
}

#[test]
fn converted_set_ups_mean_the_same_and_read_well() {
    let ha = include_str!("setups/000/ha.cf");
    let keys = include_str!("setups/000/authkeys");
    let zero = texts(&[("ha.cf", ha), ("authkeys", keys), ("ldirectord.cf", CF)], "node1.a.org");
    for (name, loaded, host) in [("003", three(HA1, "ha1"), host("ha1")), ("000-heartbeat", zero, host("node1.a.org"))]
    {
        let toml = to_toml(loaded.cluster.as_ref().unwrap());
        golden(&format!("tests/golden/{name}.toml"), &toml);
        let again = load_texts(vec![Input { path: "a.toml".into(), bytes: toml.into() }], None, &host);
        assert_eq!(again.cluster, loaded.cluster, "{:#?}", brief(&again));
    }
}

#[test]
fn more_groups_than_a_status_can_name_are_an_error() {
    let groups = |count: usize| -> String {
        let line = |number: usize| format!("ha1 10.168.{}.{}\n", number / 250 + 10, number % 250 + 1);
        (0..count).map(line).collect()
    };
    let loaded = |count: usize| texts(&[("ha.cf", HA1), ("authkeys", KEYS), ("haresources", &groups(count))], "HA1");
    assert_eq!(heartbeat(&loaded(700)).groups.len(), 700);
    let text = rendered(&loaded(999));
    assert!(text.contains("error[E0281]: 999 resource groups are more than nodes can tell each other of"), "{text}");
}

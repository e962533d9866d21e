//! `[cluster]`, `[group]`, `[vip]` and `[fence]` of the native file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, errors, native};
use evenkeel_config::{Host, Input, Loaded, load_texts, to_toml};
use evenkeel_model::heartbeat::{Agent, Failback, Fence, FenceAgent, Heartbeat, Medium, Method, NodeName};
use std::{net::IpAddr, path::Path, time::Duration};

/// The file of a cluster in which the host of these tests is the first node.
fn cluster(rest: &str) -> String {
    format!(
        "[cluster]\nlinks = [\"eth0\", \"eth1\"]\nsecret = {{ sha1 = \"0123456789abcdef0123\" }}\n{rest}\n\
         [cluster.nodes]\ndirector-1 = {{}}\ndirector-2 = {{}}\n"
    )
}

fn heartbeat(loaded: &Loaded) -> Heartbeat {
    assert!(loaded.cluster.is_some(), "{:#?}", brief(loaded));
    let heartbeat = loaded.cluster.as_ref().unwrap().heartbeat.clone().unwrap();
    let again = native(&to_toml(loaded.cluster.as_ref().unwrap()));
    assert_eq!(again.cluster, loaded.cluster, "{:#?}", brief(&again));
    heartbeat
}

/// The host of these tests under its short name.
fn read(text: &str) -> Loaded {
    let host = Host { full_name: "director-1", file_mode: &|_| None, read_file: &files, ..HOST };
    load_texts(vec![Input { path: "evenkeel.toml".into(), bytes: text.into() }], None, &host)
}

fn files(path: &Path) -> Result<Vec<u8>, String> {
    match path.to_str().unwrap() {
        "/etc/ha.d/authkeys" => Ok(b"auth 3\n3 md5 0123456789abcdef0123\n".to_vec()),
        "/etc/evenkeel/ipmi.pw" => Ok(b"secret\n".to_vec()),
        "/etc/evenkeel/broken" => Ok(b"# none\n1 sha1\n".to_vec()),
        _ => Err("it does not exist".to_owned()),
    }
}

#[test]
fn a_short_cluster_has_sensible_times() {
    let loaded = read(&cluster(""));
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let read = loaded.cluster.unwrap().heartbeat.unwrap();
    let times = read.timing;
    assert_eq!((times.keepalive, times.deadtime), (Duration::from_millis(500), Duration::from_secs(5)));
    assert_eq!((times.warntime, times.initdead), (Duration::from_millis(2500), Duration::from_secs(12)));
    assert_eq!((read.failback, read.ipfail), (Failback::On, false));
    assert_eq!(read.node.as_str(), "director-1");
}

#[test]
fn nodes_with_addresses_hear_each_other_one_by_one_and_are_preferred_in_their_order() {
    let text = "[cluster]\nlinks = [\"eth1\", \"eth0\"]\nheartbeat = { every = \"200ms\", port = 695 }\n\
                secret = { sha1 = \"0123456789abcdef0123\" }\n\
                [cluster.nodes]\ndirector-1 = { addr = \"10.0.0.1\", prefer = 90 }\n\
                director-2 = { addr = { eth1 = \"10.0.0.2\" }, prefer = 100 }\ndirector-3 = \"10.0.0.3\"\n\
                [vip.main]\naddress = \"192.0.2.85/24\"\ndev = \"eth0\"\n\
                [vip.other]\naddress = [\"192.0.2.86/24\", \"2001:db8::86/64\"]\ndev = \"auto\"\nprefer = \"director-3\"\n";
    let loaded = read(text);
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let read = loaded.cluster.unwrap().heartbeat.unwrap();
    let unicast = |peer: [u8; 4]| Medium::Unicast { interface: "eth1".to_owned(), peer: IpAddr::from(peer), port: 695 };
    let broadcast = Medium::Broadcast { interface: "eth0".to_owned(), port: 695 };
    assert_eq!(read.media, [unicast([10, 0, 0, 2]), unicast([10, 0, 0, 3]), broadcast]);
    assert_eq!(read.timing.deadtime, Duration::from_secs(2), "ten statuses");
    let prefer: Vec<Vec<&str>> =
        read.groups.iter().map(|group| group.prefer.iter().map(NodeName::as_str).collect()).collect();
    assert_eq!(prefer, [vec!["director-2", "director-1", "director-3"], vec!["director-3"]]);
    assert_eq!(read.groups[0].key, "main");
    assert_eq!(read.groups[1].resources.len(), 2);
}

#[test]
fn secrets_come_in_several_forms() {
    for (text, number, method, secret) in [
        ("\"sha1:0123456789abcdef0123\"", 1, Method::Sha1, "0123456789abcdef0123"),
        ("{ number = 2, sha256 = \"0123456789abcdef0123\" }", 2, Method::Sha256, "0123456789abcdef0123"),
        ("{ sha1 = \"hex:30313233343536373839616263646566\" }", 1, Method::Sha1, "0123456789abcdef"),
        ("{ file = \"/etc/ha.d/authkeys\" }", 3, Method::Md5, "0123456789abcdef0123"),
        (
            "[{ number = 4, md5 = \"0123456789abcdef\" }, { number = 5, crc = true }]",
            4,
            Method::Md5,
            "0123456789abcdef",
        ),
    ] {
        let toml = cluster("").replace("{ sha1 = \"0123456789abcdef0123\" }", text);
        let loaded = read(&toml);
        assert!(loaded.cluster.is_some(), "{text}: {:#?}", brief(&loaded));
        let keys = loaded.cluster.unwrap().heartbeat.unwrap().keys;
        let (send, key) = keys.signing();
        assert_eq!((send, key.method, key.secret.as_slice()), (number, method, secret.as_bytes()), "{text}");
    }
    let broken = cluster("").replace("{ sha1 = \"0123456789abcdef0123\" }", "{ file = \"/etc/evenkeel/broken\" }");
    assert_eq!(errors(&read(&broken)), ["error E0263 3:19 /etc/evenkeel/broken:2: sha1 needs a key"]);
}

#[test]
fn resources_are_words_or_tables() {
    let group = "[group.web]\nprefer = [\"director-2\", \"DIRECTOR-1\"]\nresources = [\n\
                 \"ip:192.0.2.100/24@eth0:web\",\n\
                 { ip = \"192.0.2.101/24\", dev = \"eth0\", broadcast = \"192.0.2.255\", monitor = false },\n\
                 \"service:nginx\", \"systemd:nginx\", \"lsb:x\", \"script:/usr/bin/x\", \"ocf:heartbeat:Dummy\",\n\
                 { ocf = \"heartbeat:Filesystem\", params = { device = \"/dev/sdb\", directory = \"/data\" }, start = \"2m\" },\n\
                 { script = \"drbddisk\", args = [\"r0\"], monitor = { every = \"1m\" } },\n]\n";
    let loaded = read(&(cluster("") + group));
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let resources = &cluster.heartbeat.as_ref().unwrap().groups[0].resources;
    let Agent::Ip(ip) = &resources[0].agent else { panic!("an address") };
    assert_eq!((ip.interface.as_deref(), ip.label.as_deref()), (Some("eth0"), Some("eth0:web")));
    assert_eq!(resources[1].monitor, None);
    assert_eq!(resources[3].agent, Agent::Systemd { unit: "nginx.service".to_owned() });
    assert_eq!(resources[7].start_within, Duration::from_secs(120));
    assert_eq!(resources[8].monitor.unwrap().every, Duration::from_secs(60));
    assert_eq!(resources[8].name, "drbddisk::r0");
}

#[test]
fn fence_devices_are_plugins_or_agents() {
    let devices = "[fence.director-2]\ndevice = \"ipmi\"\n\
                   params = { ipaddr = \"10.0.0.12\", passwd = { file = \"/etc/evenkeel/ipmi.pw\" } }\n\
                   [fence.other]\nnodes = [\"director-1\"]\ndevice = \"fence_ipmilan\"\nparams = { ip = \"10.0.0.11\" }\nwithin = \"20s\"\n\
                   [fence.\"*\"]\ndevice = \"meatware\"\nparams = [\"director-1 director-2\"]\n";
    let loaded = read(&(cluster("") + devices));
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let fences = loaded.cluster.unwrap().heartbeat.unwrap().fences;
    let node = |name| vec![NodeName::new(name).unwrap()];
    let ipmi = FenceAgent::Stonith {
        kind: "external/ipmi".to_owned(),
        parameters: vec!["ipaddr=10.0.0.12".to_owned(), "passwd=secret".to_owned()],
        file: None,
    };
    assert_eq!(fences[0], Fence { nodes: node("director-2"), agent: ipmi, within: Duration::from_secs(60) });
    let agent = FenceAgent::Agent {
        program: "fence_ipmilan".to_owned(),
        parameters: vec![("ip".to_owned(), "10.0.0.11".to_owned())],
    };
    assert_eq!(fences[1], Fence { nodes: node("director-1"), agent, within: Duration::from_secs(20) });
    assert!(fences[2].nodes.is_empty());
}

#[test]
fn an_address_has_one_owner_whoever_moves_it() {
    let vrrp = "[vrrp.a]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.100/24\"]\n";
    let group = "[group.web]\nresources = [\"ip:192.0.2.100/24@eth0\"]\n";
    let loaded = read(&(cluster("") + group + vrrp));
    assert_eq!(errors(&loaded), ["error E0267 9:14 192.0.2.100 is claimed twice"]);
    let d = loaded.diagnostics.iter().find(|d| d.code.0 == "E0267").unwrap();
    assert!(loaded.sources.place(d.labels[0].span).ends_with("evenkeel.toml:13:14"), "{:?}", d.labels);
    assert!(d.labels[0].text.contains("VRRP instance `a`"));
    let vip = "[vip.two]\naddress = \"192.0.2.100/24\"\n";
    let loaded = read(&(cluster("") + group + vip));
    assert_eq!(errors(&loaded), ["error E0267 11:11 192.0.2.100 is claimed twice"]);
}

#[test]
fn every_mistake_of_a_cluster_is_told_with_its_place() {
    let text = "[cluster]\nlinks = [{ ucast = \"eth0\" }, \"eth0:1\"]\nheartbeat = { every = \"2s\", dead = \"4s\", first = \"1s\" }\n\
                secret = { sha1 = \"\" }\nfailback = \"maybe\"\nmust_reach = [\"gateway\", \"director-1\"]\nping = []\n\
                children = [{ user = \"root\", run = \"x\" }]\nnodez = 1\nlog_facility = \"local9\"\n\
                [cluster.nodes]\ndirector-1 = {}\n\"a=b\" = {}\n\
                [group.web]\nprefer = \"nobody\"\nresources = [\"nginx\", 3, { ip = \"192.0.2.1\", script = \"x\" }, \"ip:192.0.2.2@eth0:a-label-that-is-long\"]\n\
                [group.none]\n[vip.x]\naddress = \"192.0.2.1/24/eth0\"\n[fence.nobody]\n[fence.director-1]\ndevice = \"../x\"\n";
    let loaded = read(text);
    assert_eq!(
        errors(&loaded),
        [
            "error E0221 2:10 the link has no peer",
            "error E0262 2:30 `eth0:1` cannot be the name of an interface",
            "error E0261 3:36 dead (4s) is not above twice every (4s)",
            "error E0261 3:50 first (1s) is below dead (4s)",
            "error E0263 4:19 the secret is empty",
            "error E0503 5:12 true, false or \"legacy\" is needed here, not a string",
            "error E0205 6:15 `gateway` is no address",
            "error E0205 6:26 `director-1` is no address",
            "error E0504 7:8 must_reach and ping exclude each other",
            "error E0268 8:13 a program kept running has a user and an absolute path",
            "error E0502 9:1 `nodez` is no key of [cluster]",
            "error E0121 10:16 `local9` is no syslog facility",
            "error E0260 13:1 `a=b` cannot be the name of a node",
            "error E0260 15:10 `nobody` is no node of the cluster",
            "error E0265 16:14 `nginx` is no resource",
            "error E0503 16:23 a resource such as \"ip:192.0.2.100/24@eth0\" is needed here, not a number",
            "error E0265 16:26 a resource is one of ip, script, ocf, systemd and services",
            "error E0121 16:62 `eth0:a-label-that-is-long` is no label of it",
            "error E0265 17:8 group `none` has no resources",
            "error E0205 19:11 an address has nothing behind its prefix here",
            "error E0221 20:8 `nobody` has no device",
            "error E0269 22:10 `../x` is no fence device",
        ]
    );
}

#[test]
fn what_must_be_said_is_missed() {
    assert_eq!(
        errors(&read("[cluster]\n")),
        [
            "error E0221 1:2 nodes have no way to hear each other",
            "error E0221 1:2 the cluster has no nodes",
            "error E0221 1:2 the cluster has no secret",
        ]
    );
    assert_eq!(errors(&read("[vip.x]\naddress = \"192.0.2.1/24\"\n")), ["error E0260 1:6 there is no cluster for it"]);
}

#[test]
fn a_node_goes_by_its_full_name_and_what_is_written_reads_the_same() {
    let text = cluster("").replace("director-1 = {}", "\"director-1.example.org\" = {}");
    assert_eq!(heartbeat(&native(&text)).node.as_str(), "director-1.example.org");
}

#[test]
fn a_secret_in_a_file_that_others_can_read_is_told() {
    let text = cluster("");
    for (mode, told) in [(0o100_600, 0), (0o100_644, 1)] {
        let modes = move |_: &Path| Some(mode);
        let host = Host { full_name: "director-1", file_mode: &modes, read_file: &files, ..HOST };
        let load = |text: &str| load_texts(vec![Input { path: "e.toml".into(), bytes: text.into() }], None, &host);
        let said = brief(&load(&text));
        assert_eq!(said.iter().filter(|line| line.contains("S0202 3:10 others can read")).count(), told, "{said:#?}");
        let elsewhere =
            text.replace("{ sha1 = \"0123456789abcdef0123\" }", "{ sha1 = \"file:/etc/evenkeel/ipmi.pw\" }");
        assert!(!brief(&load(&elsewhere)).iter().any(|line| line.contains("others can read")));
    }
}

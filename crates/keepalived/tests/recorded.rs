//! tests/conformance/keepalived-dumps: what keepalived 2.2.7 wrote about itself, and the same of the same configuration.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod exporter;

use evenkeel_config::{Format, Host, Input, Loaded, load_texts, system};
use evenkeel_keepalived::{Civil, Dump, Link, Programs, ScriptStanding, Socket, Standing, State};
use evenkeel_vrrp::{Heard, Reason, Statistics};
use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

/// Numbers of the recorded counters, by name.
struct Recording {
    data: String,
    stats: String,
    json: String,
    loaded: Loaded,
}

impl Recording {
    fn read(name: &str) -> Recording {
        let directory =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/keepalived-dumps").join(name);
        let text = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
        let input = Input { path: "keepalived.conf".into(), bytes: text("keepalived.conf").into_bytes() };
        let host = Host {
            resolve_host: &|_| Err("no names here".to_owned()),
            resolve_service: &|_, _| None,
            check_regex: &|_| Ok(()),
            read_file: &system::read_file,
            list_directory: &system::list_directory,
            environment: &|_| None,
            node: "vm",
            ..Host::NONE
        };
        let loaded = load_texts(vec![input], Some(Format::Keepalived), &host);
        assert!(loaded.cluster.is_some(), "{:?}", loaded.diagnostics);
        Recording {
            data: text("keepalived.data"),
            stats: text("keepalived.stats"),
            json: text("keepalived.json"),
            loaded,
        }
    }

    /// The lines of one instance.
    fn of(&self, instance: &str) -> Vec<&str> {
        let title = format!(" VRRP Instance = {instance}");
        let lines = self.data.lines().skip_while(|line| *line != title).skip(1);
        lines.take_while(|line| line.starts_with("   ")).collect()
    }

    /// What stands behind `name = `.
    fn value(&self, instance: &str, name: &str) -> Option<&str> {
        let start = format!("   {name} = ");
        self.of(instance).into_iter().find_map(|line| line.strip_prefix(start.as_str()))
    }

    fn time(&self, instance: &str, name: &str) -> Option<Duration> {
        let (seconds, micros) = self.value(instance, name)?.split(' ').next()?.split_once('.')?;
        Some(Duration::new(seconds.parse().unwrap(), micros.parse::<u32>().unwrap() * 1000))
    }

    /// How each instance stood: what a daemon knows, of what the other one wrote.
    fn standings(&self, from_stats: bool) -> Vec<Standing<'_>> {
        let stats = numbers(&self.stats);
        let counters: serde_json::Value = serde_json::from_str(&self.json).unwrap();
        let instances = &self.loaded.cluster.as_ref().unwrap().vrrp.instances;
        let mut all = Vec::new();
        for (place, instance) in instances.iter().enumerate() {
            let name = instance.name.as_str();
            let state = match self.value(name, "State").unwrap() {
                "MASTER" => State::Master,
                "BACKUP" => State::Backup,
                "FAULT" => State::Fault,
                other => panic!("{other}"),
            };
            let source = self.value(name, "Using src_ip").unwrap().split(' ').next().unwrap().parse().ok();
            let sockets = self.of(name).into_iter().find_map(|line| line.trim().strip_prefix("fd_in ")).unwrap();
            let (reads, writes) = sockets.split_once(", fd_out ").unwrap();
            let master = self.value(name, "Master router").map(|address| Heard {
                source: address.parse().unwrap(),
                priority: self.value(name, "Master priority").unwrap().parse().unwrap(),
                other_addresses: false,
                interval: self.value(name, "Master advert int").map_or(Duration::from_secs(1), |text| {
                    Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
                }),
            });
            all.push(Standing {
                instance,
                state,
                priority: self.value(name, "Effective priority").unwrap().parse().unwrap(),
                source,
                holds: counters[place]["data"]["vipset"].as_bool().unwrap(),
                faults: self.value(name, "Number of interface and track script faults").unwrap().parse().unwrap(),
                since: self.time(name, "Last transition").unwrap(),
                due: self.time(name, "Read timeout"),
                socket: Some(Socket { reads: reads.parse().unwrap(), writes: writes.parse().unwrap() }),
                statistics: match from_stats {
                    true => {
                        statistics(|name| stats[place][COUNTERS.iter().position(|it| *it == name).unwrap()], master)
                    }
                    false => statistics(|name| counters[place]["stats"][name].as_u64().unwrap(), master),
                },
            });
        }
        all
    }

    fn with<T>(&self, scripts: &[ScriptStanding], links: &[Link], umask: u32, look: impl FnOnce(&Dump<'_>) -> T) -> T {
        self.of_standings(&self.standings(false), scripts, links, umask, look)
    }

    fn of_standings<T>(
        &self,
        standings: &[Standing<'_>],
        scripts: &[ScriptStanding],
        links: &[Link],
        umask: u32,
        look: impl FnOnce(&Dump<'_>) -> T,
    ) -> T {
        look(&Dump {
            host: "vm",
            globals: &self.loaded.globals,
            written: &self.loaded.vrrp,
            instances: standings,
            scripts,
            files: &[("limit".to_owned(), 1)],
            processes: &[],
            links,
            services: &self.loaded.cluster.as_ref().unwrap().services,
            notify: &self.loaded.cluster.as_ref().unwrap().notify,
            alive: &|_, server| server.ip() == "192.0.2.21".parse::<IpAddr>().unwrap(),
            programs: &Root,
            local: &utc,
            umask,
        })
    }
}

struct Root;

impl Programs for Root {
    fn ids(&self, _user: &[String]) -> (u32, u32) {
        (0, 0)
    }
}

/// All recordings are of two days, in UTC.
fn utc(time: Duration) -> Civil {
    let of_day = time.as_secs() % 86_400;
    let tomorrow = u8::from(time.as_secs() / 86_400 > 20_777);
    let part = |seconds: u64, of: u64| u8::try_from(seconds / of % 60).unwrap();
    Civil {
        year: 2026,
        month: 11,
        day: 20 + tomorrow,
        weekday: 5 + tomorrow,
        hour: u8::try_from(of_day / 3600).unwrap(),
        minute: part(of_day, 60),
        second: part(of_day, 1),
    }
}

/// The counters of `keepalived.stats`, in its order, by their names in JSON.
const COUNTERS: [&str; 14] = [
    "advert_rcvd",
    "advert_sent",
    "become_master",
    "release_master",
    "packet_len_err",
    "ip_ttl_err",
    "invalid_type_rcvd",
    "advert_interval_err",
    "addr_list_err",
    "invalid_authtype",
    "authtype_mismatch",
    "auth_failure",
    "pri_zero_rcvd",
    "pri_zero_sent",
];

/// The numbers of each instance.
fn numbers(stats: &str) -> Vec<Vec<u64>> {
    let all = stats.split("VRRP Instance: ").skip(1);
    all.map(|one| one.lines().filter_map(|line| line.split_once(": ")?.1.parse().ok()).collect()).collect()
}

fn statistics(number: impl Fn(&str) -> u64, last: Option<Heard>) -> Statistics {
    let mut statistics = Statistics::default();
    statistics.sent = number("advert_sent");
    statistics.became_master = number("become_master");
    statistics.released_master = number("release_master");
    statistics.farewells_received = number("pri_zero_rcvd");
    statistics.farewells_sent = number("pri_zero_sent");
    statistics.last = last;
    for (name, reason) in [
        ("packet_len_err", Reason::Length),
        ("advert_interval_err", Reason::Interval),
        ("ip_ttl_err", Reason::Hops),
        ("invalid_type_rcvd", Reason::Type),
        ("addr_list_err", Reason::Addresses),
        ("invalid_authtype", Reason::UnknownAuthentication),
        ("authtype_mismatch", Reason::AuthenticationType),
        ("auth_failure", Reason::Authentication),
    ] {
        (0..number(name)).for_each(|_| statistics.hear(Err(reason)));
    }
    statistics.received = number("advert_rcvd");
    statistics
}

fn script(name: &str, result: u32, begins: bool) -> ScriptStanding {
    ScriptStanding { name: name.to_owned(), result, begins, running: begins }
}

fn link(index: u32, name: &str, addresses: &[&str], mac: &str, running: bool) -> Link {
    let bytes: Vec<u8> = mac.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    Link {
        index,
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        mac: bytes.try_into().ok(),
        up: running,
        running,
        loopback: name == "lo",
        noarp: false,
        mtu: if name == "lo" { 65536 } else { 1500 },
    }
}

/// The links of the recording of a master.
fn masters_links() -> [Link; 5] {
    [
        link(1, "lo", &["127.0.0.1"], "", true),
        link(2, "p0", &["fe80::f869:72ff:fe59:50ad"], "fa:69:72:59:50:ad", true),
        link(3, "eth0", &["192.0.2.1", "fe80::ff:fe00:1"], "02:00:00:00:00:01", true),
        link(4, "p1", &["fe80::c0f5:3fff:fe61:159f"], "c2:f5:3f:61:15:9f", true),
        link(5, "eth1", &["198.51.100.1", "fe80::ff:fe00:2"], "02:00:00:00:00:02", true),
    ]
}

/// The links of the recording of a backup.
fn backups_links() -> [Link; 5] {
    [
        link(1, "lo", &["127.0.0.1"], "", true),
        link(2, "eth0", &["192.0.2.1", "fe80::ff:fe00:1"], "02:00:00:00:00:01", true),
        link(3, "eth1", &["198.51.100.1", "fe80::ff:fe00:2"], "02:00:00:00:00:02", true),
        link(4, "p2", &[], "2a:0a:a9:4e:38:a2", false),
        link(5, "eth2", &[], "02:00:00:00:00:03", false),
    ]
}

/// What keepalived says of means that evenkeel does not use: its nftables, its changes of sysctls, its scheduling; and
/// passwords, which nobody needs to see.
const FOREIGN: [&str; 7] = [
    " nftables table name",
    " nftables base chain",
    " nftables don't force",
    " current realtime",
    "   Not IPv6 forwarding",
    "   rp_filter",
    "   Password = ",
];

/// As if keepalived had been able to add the address whose scope is the link.
fn recorded(text: &str) -> String {
    text.replace("scope link nftable_set", "scope link set nftable_set")
}

fn comparable(text: &str) -> String {
    let lines = text.lines().filter(|line| !FOREIGN.iter().any(|foreign| line.starts_with(foreign)));
    let line = |line: &str| {
        let line = recorded(line);
        match line.split_once("promote_secondaries ") {
            Some((before, _)) if !line.contains('=') => format!("{before}promote_secondaries\n"),
            _ if line.starts_with("   Reset promote") => "   Reset promote_secondaries counter\n".to_owned(),
            _ => format!("{line}\n"),
        }
    };
    lines.map(line).collect()
}

fn assert_same(ours: &str, theirs: &str) {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "line {}", at + 1);
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
fn a_master_writes_its_data_as_keepalived_does() {
    let recording = Recording::read("master");
    // What keepalived counts: web has been good twice, with rise 2 and fall 3; gate is bad.
    let scripts = [script("web", 4, false), script("gate", 0, false)];
    let ours = recording.with(&scripts, &masters_links(), 0o177, |dump| dump.data());
    assert_same(&comparable(&ours), &comparable(&recording.data));
    assert!(recording.data.contains("Password = secretpw") && ours.contains("   Password = ********\n"));
}

#[test]
fn a_backup_writes_its_data_as_keepalived_does() {
    let recording = Recording::read("backup");
    let ours = recording.with(&[script("slow", 0, true)], &backups_links(), 0o137, |dump| dump.data());
    // After the first seconds as master keepalived no longer says what it would wait as a backup; and it names another
    // default interface than its file does.
    const UNSETTLED: [&str; 2] = ["   Master down timer", " Default interface"];
    let settled = |text: &str| {
        let lines = comparable(text);
        let lines = lines.lines().filter(|line| !UNSETTLED.iter().any(|start| line.starts_with(start)));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_same(&settled(&ours), &settled(&recording.data));
}

#[test]
fn pauses_and_instances_without_peers_or_addresses_are_written_as_keepalived_does() {
    let recording = Recording::read("rare");
    let links = [
        link(1, "lo", &["127.0.0.1"], "", true),
        link(2, "eth1", &["198.51.100.1", "fe80::8c6b:feff:feeb:8fa4"], "8e:6b:fe:eb:8f:a4", true),
        link(3, "eth0", &["192.0.2.1", "fe80::2c70:d4ff:fe73:3578"], "2e:70:d4:73:35:78", true),
    ];
    let ours = recording.with(&[], &links, 0o177, |dump| dump.data());
    assert_same(&comparable(&ours), &comparable(&recording.data));
}

#[test]
fn counters_are_written_as_keepalived_does() {
    for name in ["master", "backup", "rare"] {
        let recording = Recording::read(name);
        let standings = recording.standings(true);
        assert_same(&recording.of_standings(&standings, &[], &[], 0, |dump| dump.stats()), &recording.stats);
    }
}

#[test]
fn json_is_written_as_keepalived_does() {
    for name in ["master", "backup", "rare"] {
        let recording = Recording::read(name);
        let ours = recording.with(&[], &[], 0, |dump| dump.json()).unwrap();
        let masked = ["secretpw", "right"].into_iter().fold(recording.json.clone(), |text, password| {
            text.replace(&format!("\"auth_data\":\"{password}\""), "\"auth_data\":\"********\"")
        });
        let masked = recorded(&masked);
        // A line for each member, so that a difference can be seen.
        let lines = |text: &str| text.replace(",\"", ",\n\"");
        assert_same(&lines(&ours), &lines(&masked));
    }
}

#[test]
fn virtual_servers_are_written_as_keepalived_does() {
    let recording = Recording::read("master");
    let recorded = fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/conformance/keepalived-dumps/master/keepalived_check.data"),
    );
    let ours = recording.with(&[], &[], 0o177, |dump| dump.check());
    // How far it had come with a check at that moment, and the version of HTTP it speaks; that evenkeel gives no real
    // server traffic before its first good check, and inhibits all real servers of a service or none.
    const MOMENTS: [&str; 7] = [
        "   Has run",
        "   Retries iterations",
        "   Failed URL",
        "   Keepalive method = HTTP_GET",
        "   Default delay",
        "   alpha ",
        "   inhibit on failure",
    ];
    let settled = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| !MOMENTS.iter().any(|start| line.to_lowercase().starts_with(&start.to_lowercase())));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_same(&settled(&ours), &settled(&recorded.unwrap()));
}

#[test]
fn an_exporter_reads_from_our_files_what_it_reads_from_keepalived_s() {
    for (name, instances, scripts) in [("master", 4, 2), ("backup", 8, 1)] {
        let recording = Recording::read(name);
        let (data, stats) = recording.with(&[], &[], 0o177, |dump| (dump.data(), dump.stats()));
        let ours = exporter::data(&data);
        assert_eq!(ours.len(), instances);
        let theirs = exporter::data(&recording.data.replace(" nftable_set", ""));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.name, theirs.name);
            assert_eq!((&ours.state, &ours.interface), (&theirs.state, &theirs.interface));
            assert_eq!((ours.vrid, ours.delay), (theirs.vrid, theirs.delay));
            assert_eq!(ours.places(), theirs.places());
        }
        assert_eq!(exporter::scripts(&data).len(), scripts);
        assert_eq!(exporter::scripts(&data), {
            let mut theirs = exporter::scripts(&recording.data);
            // Nothing was run here.
            theirs.iter_mut().for_each(|script| (script.1, script.2) = ("BAD".to_owned(), "idle".to_owned()));
            theirs
        });
        let ours = exporter::stats(&stats);
        let shape = |all: &[(String, Vec<(String, u64)>)]| -> Vec<(String, Vec<String>)> {
            let names = |counters: &[(String, u64)]| counters.iter().map(|(name, _)| name.clone()).collect();
            all.iter().map(|(name, counters)| (name.clone(), names(counters))).collect()
        };
        assert_eq!(shape(&ours), shape(&exporter::stats(&recording.stats)));
        assert!(ours.iter().all(|(_, counters)| counters.len() == 14));
    }
}

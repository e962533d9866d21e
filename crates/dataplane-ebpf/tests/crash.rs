//! A daemon that dies between any two steps: the next start makes of it what is wanted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;

use director::{SYN, goes_to, options, resolve, segment};
use evenkeel_dataplane::{Dataplane, Note, RealServer, Service, ServiceOptions, Table};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Opened, remove_leftovers};
use evenkeel_model::{
    Behaviour, Forwarding, HashFlags, Persistence, PersistenceEngine, Prefix, Protocol, Scheduler, ServiceKey, Sources,
    Thresholds, Tunnel, Weight,
};
use host::{Pins, root};
use std::{
    collections::BTreeMap,
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Set in the process that is to be killed: where it pins.
const VICTIM: &str = "EVENKEEL_TEST_VICTIM";
/// What it says before each change.
const STEP: &str = "next change";
const KILLS: u64 = 20;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

fn service(port: u16) -> ServiceKey {
    ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port }
}

/// One of a few tables that are far from each other.
fn table(number: u64) -> Table {
    let prefix = |text: &str| text.parse::<Prefix>().unwrap();
    let sources = match number % 4 {
        0 => Sources::default(),
        1 => Sources { allow: vec![prefix("198.51.100.0/24")], deny: vec![prefix("203.0.113.0/24")] },
        2 => Sources { allow: vec![], deny: vec![prefix("198.51.100.0/24")] },
        _ => Sources { allow: vec![prefix("203.0.113.0/24"), prefix("203.0.113.7/32")], deny: vec![] },
    };
    let scheduler = match number % 3 {
        0 => Scheduler::RoundRobin,
        1 => Scheduler::WeightedRoundRobin,
        _ => Scheduler::MaglevHash(HashFlags { port: false, fallback: false }),
    };
    let server = |last: u64| {
        let thresholds = Thresholds { upper: 1000 * (last as u32 % 3), lower: 0 };
        let real = RealServer { thresholds, ..RealServer::new(Weight::ONE, Forwarding::DirectRouting) };
        (SocketAddr::from(([10, 0, 0, last as u8], 80)), real)
    };
    let mut real_servers: BTreeMap<_, _> = (0..1 + number % 3).map(|n| server(11 + (number + n) % 4)).collect();
    // One that takes no connections, and is in turn of every kind.
    let kinds = [Forwarding::Nat, Forwarding::FullNat, Forwarding::Tunnel(Tunnel::Ipip), Forwarding::DirectRouting];
    let idle = RealServer {
        is_down: number.is_multiple_of(2),
        ..RealServer::new(Weight::ZERO, kinds[number as usize % kinds.len()])
    };
    real_servers.insert(SocketAddr::from(([10, 0, 0, 20], 80)), idle);
    let behaviour = Behaviour { sloppy: number % 3 == 1, reuse: number % 4 != 2, ..Behaviour::default() };
    let persistence = Persistence { timeout: 60 + number as u32, prefix: 32, engine: PersistenceEngine::Address };
    let options = ServiceOptions {
        sources,
        behaviour,
        persistence: Some(persistence).filter(|_| number % 5 == 1),
        note: Note { by_edit: number % 7 == 1, ..Note::default() },
        ..ServiceOptions::new(scheduler)
    };
    let one = Service { options, real_servers };
    let mut services = BTreeMap::new();
    if number % 5 != 4 {
        services.insert(service(80), one.clone());
    }
    if number.is_multiple_of(2) {
        services.insert(service(81), one);
    }
    Table { services }
}

fn be_the_victim(pins: &Path) {
    let (mut plane, _) = EbpfDataplane::open(&options(Some(pins))).unwrap();
    for number in 0.. {
        println!("{STEP}");
        let changes = plane.observe().unwrap().changes_to(&table(number));
        plane.apply(&changes).unwrap();
        plane.sweep().unwrap();
    }
}

/// Lets another process change tables, and kills it in the midst of a change.
fn kill_one(pins: &Path, step: usize) {
    use std::io::BufRead;
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "what_a_killed_daemon_left_half_changed_becomes_what_is_wanted", "--nocapture"])
        .env(VICTIM, pins)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(victim.stdout.take().unwrap()).lines();
    let steps = lines.by_ref().filter(|line| line.as_ref().is_ok_and(|line| line.contains(STEP)));
    assert!(steps.take(step).count() == step, "the victim works");
    victim.kill().unwrap();
    victim.wait().unwrap();
}

fn check(plane: &mut EbpfDataplane, wanted: &Table, port: &mut u16) {
    let changes = plane.observe().unwrap().changes_to(wanted);
    plane.apply(&changes).unwrap();
    assert_eq!(plane.observe().unwrap(), *wanted);
    resolve(plane, &[11, 12, 13, 14]);
    let Some(one) = wanted.services.get(&service(80)) else {
        *port += 1;
        let code = plane.run(Door::Xdp, &segment(*port, SYN), 1).unwrap().code;
        return assert_eq!(code, XDP_PASS, "no service: the host's own");
    };
    let source: IpAddr = [198, 51, 100, 9].into();
    let Sources { allow, deny } = &one.options.sources;
    let admitted =
        !deny.iter().any(|p| p.contains(source)) && (allow.is_empty() || allow.iter().any(|p| p.contains(source)));
    for _ in 0..20 {
        *port += 1;
        if admitted {
            let server = goes_to(plane, *port, SYN);
            assert!(one.real_servers.contains_key(&SocketAddr::from(([10, 0, 0, server], 80))), "{server}");
        } else {
            assert_eq!(plane.run(Door::Xdp, &segment(*port, SYN), 1).unwrap().code, XDP_DROP);
        }
    }
}

#[test]
fn what_a_killed_daemon_left_half_changed_becomes_what_is_wanted() {
    if let Some(pins) = env::var_os(VICTIM) {
        return be_the_victim(&PathBuf::from(pins));
    }
    if !root() {
        return;
    }
    let pins = Pins::new("killed");
    let mut port = 0;
    for turn in 0..KILLS {
        kill_one(&pins.0, 1 + turn as usize % 23);
        let (mut plane, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        assert_eq!(opened, Opened::Adopted);
        check(&mut plane, &table(turn), &mut port);
        check(&mut plane, &table(turn + 1), &mut port);
        if turn % 10 == 9 {
            plane.remove_all().unwrap();
        }
    }
}

#[test]
fn a_removal_that_died_half_way_is_taken_to_its_end() {
    if !root() {
        return;
    }
    for missing in ["FLOWS4", "FILTER", "ACL", "SERVICE_IDS"] {
        let pins = Pins::new("half-removed");
        let (first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        std::mem::forget(first);
        let directory = pins.0.join(format!("v{}", evenkeel_abi::LAYOUT));
        std::fs::remove_file(directory.join(missing)).unwrap();
        let (second, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        assert_eq!(opened, Opened::Fresh, "without {missing}");
        second.remove_all().unwrap();
    }
}

#[test]
fn leftovers_of_any_version_are_removed_without_loading_them() {
    if !root() {
        return;
    }
    let pins = Pins::new("leftovers");
    let (first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    std::mem::forget(first);
    let ours = pins.0.join(format!("v{}", evenkeel_abi::LAYOUT));
    std::fs::rename(&ours, pins.0.join("v99")).unwrap();
    assert!(EbpfDataplane::open(&options(Some(&pins.0))).is_err(), "another version's tables");
    assert!(remove_leftovers(&pins.0).unwrap());
    assert!(!remove_leftovers(&pins.0).unwrap(), "nothing is left");
    let (third, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!(opened, Opened::Fresh);
    third.remove_all().unwrap();
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    if !root() {
        return;
    }
    let pins = Pins::new("failed");
    let mut large = options(Some(&pins.0));
    // More than any kernel gives in one piece.
    (large.real_servers, large.connections) = (1 << 24, 64);
    large.services = 1 << 31;
    assert!(EbpfDataplane::open(&large).is_err());
    assert_eq!(std::fs::read_dir(&pins.0).unwrap().flatten().filter(|e| e.path().is_dir()).count(), 0);
}

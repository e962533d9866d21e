//! What outlives the daemon, and what does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;

use director::{ACK, SYN, changes, counters, goes_to, options, resolve, segment, server, service};
use evenkeel_dataplane::{Change, Dataplane, Note, RealServer, ServiceOptions, Table};
use evenkeel_dataplane_ebpf::{Attach, Door, EbpfDataplane, Opened};
use evenkeel_model::{
    Behaviour, ExpireGone, Forwarding, GueChecksum, Persistence, PersistenceEngine, Protocol, Scheduler, ServiceKey,
    Thresholds, Timeouts, Tunnel, Weight,
};
use evenkeel_netlink::Netlink;
use host::{Pins, own_namespace, root, ways};
use std::process::Command;

#[test]
fn connections_alternate_newest_first_and_stay_with_their_real_server() {
    if !root() {
        return;
    }
    let (mut plane, opened) = EbpfDataplane::open(&options(None)).unwrap();
    assert_eq!(opened, Opened::Fresh);
    plane.apply(&changes(Scheduler::RoundRobin, &[11, 12, 13])).unwrap();
    resolve(&mut plane, &[11, 12, 13]);
    let chosen: Vec<u8> = (0..9).map(|i| goes_to(&mut plane, 20000 + i, SYN)).collect();
    assert_eq!(chosen, [13, 12, 11, 13, 12, 11, 13, 12, 11]);
    let again: Vec<u8> = (0..9).map(|i| goes_to(&mut plane, 20000 + i, ACK)).collect();
    assert_eq!(again, chosen);
    let sum = counters(&mut plane);
    assert_eq!((sum.connections, sum.packets_in, sum.bytes_in, sum.active), (9, 18, 18 * 40, 9));
}

#[test]
fn what_was_pinned_is_adopted_with_its_connections_and_counters() {
    if !root() {
        return;
    }
    let pins = Pins::new("adopt");
    let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    first.apply(&changes(Scheduler::RoundRobin, &[11, 12, 13])).unwrap();
    resolve(&mut first, &[11, 12, 13]);
    assert_eq!(goes_to(&mut first, 1, SYN), 13);
    let table = first.observe().unwrap();
    // A crash: nothing is undone.
    std::mem::forget(first);
    let (mut second, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!(opened, Opened::Adopted);
    assert_eq!(second.observe().unwrap(), table);
    assert_eq!(goes_to(&mut second, 1, ACK), 13, "the connection is known");
    assert_eq!(goes_to(&mut second, 2, SYN), 12, "the scheduler goes on where it was");
    assert_eq!(counters(&mut second).connections, 2);
    second.remove_all().unwrap();
    let ours = |e: &std::fs::DirEntry| e.file_type().is_ok_and(|t| t.is_dir());
    let left = std::fs::read_dir(&pins.0).unwrap().flatten().filter(ours).count();
    assert_eq!(left, 0, "nothing is left");
    let (mut third, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!((opened, third.observe().unwrap()), (Opened::Fresh, Table::default()));
    third.remove_all().unwrap();
}

#[test]
fn tables_of_a_daemon_that_knew_no_links_get_their_map() {
    if !root() {
        return;
    }
    own_namespace();
    let index = Netlink::open().unwrap().link("veth0").unwrap().unwrap().index;
    let pins = Pins::new("links");
    let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    first.apply(&changes(Scheduler::RoundRobin, &[11, 12, 13])).unwrap();
    resolve(&mut first, &[11, 12, 13]);
    assert_eq!(goes_to(&mut first, 1, SYN), 13);
    std::mem::forget(first);
    let pin = pins.0.join(format!("v{}/LINKS", evenkeel_abi::LAYOUT));
    std::fs::remove_file(&pin).unwrap();
    let (mut second, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!(opened, Opened::Adopted);
    assert_eq!(goes_to(&mut second, 1, ACK), 13, "the connection is known");
    assert!(pin.exists());
    // It is filled before anybody tells what is there.
    let map = aya::maps::Map::HashMap(aya::maps::MapData::from_pin(&pin).unwrap());
    let links = aya::maps::HashMap::<_, [u32; 2], [u32; 2]>::try_from(map).unwrap();
    assert_eq!(links.get(&[index, 0], 0).unwrap(), [index, 0]);
    second.remove_all().unwrap();
}

#[test]
fn doors_stay_open_over_a_crash_and_close_on_a_clean_stop() {
    if !root() {
        return;
    }
    own_namespace();
    for (want, mode) in ways() {
        let pins = Pins::new(mode.name());
        let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        let attached = first.attach("veth0", want).unwrap();
        assert_eq!(attached.mode, mode);
        std::mem::forget(first);
        let (mut second, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        assert_eq!(second.attachments(), std::slice::from_ref(&attached), "{mode}: same door, same program");
        assert_eq!(second.attach("veth0", Attach::Auto).unwrap(), attached, "{mode}: nothing is attached twice");
        second.remove_all().unwrap();
        let left = Command::new("ip").args(["-d", "link", "show", "veth0"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&left.stdout).contains("prog/"), "{mode}: {left:?}");
        let filters = Command::new("tc").args(["filter", "show", "dev", "veth0", "ingress"]).output().unwrap();
        assert!(filters.stdout.is_empty(), "{mode}: {}", String::from_utf8_lossy(&filters.stdout));
        let qdiscs = Command::new("tc").args(["qdisc", "show", "dev", "veth0"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&qdiscs.stdout).contains("clsact"), "{mode}: {qdiscs:?}");
    }
}

#[test]
fn a_removed_real_server_keeps_its_connections_and_is_forgotten_after_them() {
    if !root() {
        return;
    }
    let mut short = options(None);
    short.timeouts = [1; evenkeel_abi::state::STATES];
    let (mut plane, _) = EbpfDataplane::open(&short).unwrap();
    plane.apply(&changes(Scheduler::RoundRobin, &[11, 12])).unwrap();
    resolve(&mut plane, &[11, 12]);
    assert_eq!(goes_to(&mut plane, 1, SYN), 12);
    plane.apply(&[Change::RemoveRealServer(service(), server(12))]).unwrap();
    assert_eq!(goes_to(&mut plane, 1, ACK), 12, "the connection drains where it is");
    assert_eq!(goes_to(&mut plane, 2, SYN), 11, "new ones go elsewhere");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while counters(&mut plane).active + counters(&mut plane).inactive > 0 {
        assert!(std::time::Instant::now() < deadline, "connections are never swept");
        plane.sweep_all().unwrap();
        std::thread::yield_now();
    }
    for _ in 0..4 {
        plane.sweep().unwrap();
    }
    let sum = counters(&mut plane);
    assert_eq!((sum.connections, sum.packets_in), (2, 3), "counters of the forgotten one stay in the service's");
    assert_eq!(plane.run(Door::Xdp, &segment(1, ACK), 1).unwrap().code, 2, "its connection is unknown: to the stack");
}

#[test]
fn tables_of_another_layout_are_refused_and_left_alone() {
    if !root() {
        return;
    }
    let pins = Pins::new("layout");
    let other = pins.0.join(format!("v{}", evenkeel_abi::LAYOUT + 1));
    std::fs::create_dir(&other).unwrap();
    let map = Command::new("bpftool")
        .args(["map", "create"])
        .arg(other.join("HEADER"))
        .args(["type", "array", "key", "4", "value", "8", "entries", "1", "name", "HEADER"])
        .status();
    if !map.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs bpftool");
        return;
    }
    let refused = EbpfDataplane::open(&options(Some(&pins.0))).err().map(|e| e.to_string());
    let refused = refused.expect("tables of another layout are not taken over");
    assert!(refused.contains("stop the instance first"), "{refused}");
    assert!(other.join("HEADER").exists(), "they are the other version's to remove");
    assert!(!pins.0.join(format!("v{}", evenkeel_abi::LAYOUT)).exists(), "nothing of ours is made beside them");
}

#[test]
fn what_a_start_left_half_made_is_made_anew() {
    if !root() {
        return;
    }
    let pins = Pins::new("half");
    let (first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    std::mem::forget(first);
    // As if the start had died before it wrote the header.
    std::fs::remove_file(pins.0.join(format!("v{}", evenkeel_abi::LAYOUT)).join("HEADER")).unwrap();
    let (second, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    assert_eq!(opened, Opened::Fresh);
    second.remove_all().unwrap();
}

#[test]
fn every_option_is_adopted() {
    if !root() {
        return;
    }
    let pins = Pins::new("options");
    let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    let behaviour = Behaviour {
        expire_gone: ExpireGone::All,
        expire_quiescent_template: true,
        reuse: false,
        sloppy: true,
        new_rate: Some(1000),
        source_rate: Some(100),
    };
    let persistence = Some(Persistence { timeout: 7, prefix: 24, engine: PersistenceEngine::Address });
    let all = ServiceOptions {
        persistence,
        behaviour,
        one_packet: true,
        note: Note { flags: 3, sip: true, by_edit: true, is_meeting: false },
        ..ServiceOptions::new(Scheduler::WeightedRoundRobin)
    };
    let real = |forwarding, upper, is_down| RealServer {
        weight: if is_down { Weight::ZERO } else { Weight::ONE },
        forwarding,
        shown: forwarding,
        thresholds: Thresholds { upper, lower: upper / 2 },
        is_down,
    };
    let tunnel = Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: GueChecksum::Remote });
    let servers = [
        (11, real(Forwarding::DirectRouting, 0, false)),
        (12, real(Forwarding::DirectRouting, 0, true)),
        (13, real(Forwarding::Nat, 10, false)),
        (14, real(Forwarding::FullNat, 0, true)),
        (15, real(tunnel, 20, false)),
        (16, real(Forwarding::Local, 0, false)),
        (18, RealServer { shown: tunnel, ..real(Forwarding::Local, 0, false) }),
        (17, RealServer { shown: Forwarding::DirectRouting, ..real(Forwarding::Local, 0, false) }),
    ];
    let mut steps = vec![Change::AddService(service(), all)];
    steps.extend(servers.map(|(last, one)| Change::AddRealServer(service(), server(last), one)));
    first.apply(&steps).unwrap();
    first.apply(&[Change::EditRealServer(service(), server(11), real(Forwarding::Nat, 5, false))]).unwrap();
    first.set_timeouts(&Timeouts { tcp: Some(77), tcp_fin: None, udp: Some(5) }).unwrap();
    let older = ServiceKey::new("10.0.0.99".parse().unwrap(), Protocol::Udp, 53);
    first.apply(&[Change::AddService(older, ServiceOptions::new(Scheduler::RoundRobin))]).unwrap();
    first.apply(&[Change::RemoveService(older)]).unwrap();
    let newest = ServiceKey::new("10.0.0.1".parse().unwrap(), Protocol::Tcp, 1);
    for key in [older, newest] {
        first.apply(&[Change::AddService(key, ServiceOptions::new(Scheduler::RoundRobin))]).unwrap();
    }
    let order = first.order().unwrap();
    assert_eq!(order.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [service(), older, newest]);
    let made = [11, 12, 13, 14, 15, 16, 18, 17].map(server);
    assert_eq!(order[0].1, made, "as they were made");
    let (table, timeouts) = (first.observe().unwrap(), first.timeouts().unwrap());
    std::mem::forget(first);
    for _ in 0..2 {
        let (mut next, opened) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
        assert_eq!(opened, Opened::Adopted);
        assert_eq!(next.observe().unwrap(), table);
        assert_eq!(next.order().unwrap(), order);
        assert_eq!(next.timeouts().unwrap(), timeouts);
        std::mem::forget(next);
    }
    let (mut last, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    last.apply(&[Change::EditRealServer(service(), server(12), real(Forwarding::DirectRouting, 0, false))]).unwrap();
    assert_ne!(last.observe().unwrap(), table, "it is up");
    last.remove_all().unwrap();
}

#[test]
fn what_was_counted_anew_stays_so() {
    if !root() {
        return;
    }
    let pins = Pins::new("zero");
    let (mut first, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    first.apply(&changes(Scheduler::RoundRobin, &[11])).unwrap();
    resolve(&mut first, &[11]);
    assert_eq!((goes_to(&mut first, 1, SYN), goes_to(&mut first, 1, ACK)), (11, 11));
    first.zero(None).unwrap();
    assert_eq!(goes_to(&mut first, 1, ACK), 11);
    std::mem::forget(first);
    let (mut second, _) = EbpfDataplane::open(&options(Some(&pins.0))).unwrap();
    let sum = counters(&mut second);
    assert_eq!((sum.connections, sum.packets_in, sum.bytes_in, sum.active), (0, 1, 40, 1));
    second.remove_all().unwrap();
}

#[test]
fn the_size_is_told_as_it_was_asked_for() {
    if !root() {
        return;
    }
    let pins = Pins::new("size");
    let mut odd = options(Some(&pins.0));
    odd.connections = 5000;
    let (first, _) = EbpfDataplane::open(&odd).unwrap();
    assert_eq!(first.capabilities().connections, 5000);
    std::mem::forget(first);
    odd.connections = 6000;
    let (second, _) = EbpfDataplane::open(&odd).unwrap();
    assert_eq!(second.capabilities().connections, 5000, "the adopted table keeps its size");
    second.remove_all().unwrap();
}

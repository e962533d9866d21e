//! Changes of the tables: what they do to connections, to each other, and where there is no room for them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;

use director::{ACK, SYN, changes, goes_to, options, segment, server, service};
use evenkeel_dataplane::{Change, ConnectionFilter, Dataplane, RealServer, Service, ServiceOptions, Table};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Prefix, Protocol, Scheduler, ServiceKey, Sources, Weight};
use host::root;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

fn weighing(weight: u32) -> RealServer {
    RealServer::new(Weight::new(weight).unwrap(), Forwarding::DirectRouting)
}

fn with_sources(allow: &[&str], deny: &[&str]) -> ServiceOptions {
    let prefixes = |list: &[&str]| list.iter().map(|text| text.parse::<Prefix>().unwrap()).collect();
    let sources = Sources { allow: prefixes(allow), deny: prefixes(deny) };
    ServiceOptions { sources, ..ServiceOptions::new(Scheduler::RoundRobin) }
}

#[test]
fn the_last_service_of_an_address_drains_when_it_is_removed() {
    if !root() {
        return;
    }
    let mut plane = director::plane(Scheduler::RoundRobin, &[11, 12]);
    assert_eq!(goes_to(&mut plane, 1, SYN), 12);
    plane.apply(&[Change::RemoveService(service())]).unwrap();
    assert_eq!(goes_to(&mut plane, 1, ACK), 12);
    plane.sweep().unwrap();
    assert_eq!(goes_to(&mut plane, 1, ACK), 12, "as long as it has the connection");
}

#[test]
fn a_service_without_usable_real_servers_takes_no_room() {
    if !root() {
        return;
    }
    for scheduler in [Scheduler::RoundRobin, Scheduler::WeightedRoundRobin] {
        let options = options(None);
        let (mut plane, _) = EbpfDataplane::open(&options).unwrap();
        plane.apply(&changes(scheduler, &[11])).unwrap();
        // One cell lost each time would use up all there are.
        for _ in 0..options.cells {
            plane.apply(&[Change::EditRealServer(service(), server(11), weighing(0))]).unwrap();
            plane.apply(&[Change::EditRealServer(service(), server(11), weighing(1))]).unwrap();
        }
    }
}

#[test]
fn tables_follow_changes_that_come_faster_than_old_ones_can_rest() {
    if !root() {
        return;
    }
    let mut plane = director::plane(Scheduler::Maglev, &[11, 12]);
    // A maglev table takes an eighth of the cells there are.
    for turn in 0..40 {
        let weight = weighing(turn % 2);
        plane.apply(&[Change::EditRealServer(service(), server(12), weight)]).unwrap();
    }
    plane.apply(&[Change::RemoveRealServer(service(), server(12))]).unwrap();
    assert!((0..100).all(|port| goes_to(&mut plane, port, SYN) == 11));
}

#[test]
fn a_list_there_is_no_room_for_is_refused_by_the_change_that_asks_for_it() {
    if !root() {
        return;
    }
    let mut large = options(None);
    (large.real_servers, large.services) = (4096, 4);
    let (mut plane, _) = EbpfDataplane::open(&large).unwrap();
    let key = |port| ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port };
    let wrr = ServiceOptions::new(Scheduler::WeightedRoundRobin);
    let address = |n: u32| SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 80));
    let mut changes = vec![Change::AddService(key(80), wrr.clone()), Change::AddService(key(81), wrr)];
    // Every weight is a level of its own, so that the list grows with the square.
    changes.extend((0..1000).map(|n| Change::AddRealServer(key(80), address(n), weighing(n + 1))));
    let failed = plane.apply(&changes).unwrap_err();
    assert!(failed.applied > 500 && failed.applied < changes.len(), "{failed}");
    assert_eq!(*failed.change, changes[failed.applied]);
    assert!(failed.cause.to_string().contains("no room"), "{failed}");
    let table = plane.observe().unwrap();
    assert_eq!(table.services[&key(80)].real_servers.len(), failed.applied - 2, "those before it are in force");
    // The rest of the batch can still be done, and what is there goes on.
    plane.apply(&[Change::AddRealServer(key(81), address(5000), weighing(1))]).unwrap();
    plane.apply(&[Change::RemoveRealServer(key(80), address(0))]).unwrap();
}

#[test]
fn weighted_round_robin_takes_no_more_real_servers_than_it_can_count() {
    if !root() {
        return;
    }
    let mut large = options(None);
    (large.real_servers, large.cells) = (70_000, 1 << 19);
    let (mut plane, _) = EbpfDataplane::open(&large).unwrap();
    let address = |n: u32| SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 80 + (n >> 16) as u16));
    let wrr = ServiceOptions::new(Scheduler::WeightedRoundRobin);
    let mut changes = vec![Change::AddService(service(), wrr)];
    changes.extend((0..66_000).map(|n| Change::AddRealServer(service(), address(n), weighing(1))));
    let failed = plane.apply(&changes).unwrap_err();
    assert_eq!((failed.applied, failed.cause.to_string().contains("65535")), (1 + 65_535, true), "{failed}");
}

#[test]
fn sources_are_observed_as_they_were_given() {
    if !root() {
        return;
    }
    let mut plane = director::plane(Scheduler::RoundRobin, &[11]);
    let lists: [(&[&str], &[&str]); 6] = [
        (&["198.51.100.0/24"], &["198.51.100.0/24"]),
        (&["0.0.0.0/0"], &["198.51.100.9/32"]),
        (&["2001:db8::/32"], &[]),
        (&["10.0.0.0/8", "2001:db8::/32"], &["10.0.0.0/8", "::/0"]),
        (&[], &["::/0"]),
        (&[], &[]),
    ];
    let admitted = [false, false, false, false, true, true];
    for (port, ((allow, deny), admitted)) in (1u16..).zip(lists.into_iter().zip(admitted)) {
        let options = with_sources(allow, deny);
        plane.apply(&[Change::EditService(service(), options.clone())]).unwrap();
        assert_eq!(plane.observe().unwrap().services[&service()].options, options);
        let code = plane.run(Door::Xdp, &segment(port, SYN), 1).unwrap().code;
        assert_eq!(code != XDP_DROP, admitted, "{allow:?} {deny:?}");
    }
}

#[test]
fn lists_of_sources_beyond_the_room_are_refused_and_change_nothing() {
    if !root() {
        return;
    }
    let mut plane = director::plane(Scheduler::RoundRobin, &[11]);
    let before = with_sources(&["198.51.100.9/32"], &[]);
    plane.apply(&[Change::EditService(service(), before.clone())]).unwrap();
    let host = |n: u32| Prefix::new(IpAddr::from((0x0b00_0000 + n).to_be_bytes()), 32).unwrap();
    let many = Sources { allow: Vec::new(), deny: (0..70_000).map(host).collect() };
    let many = ServiceOptions { sources: many, ..ServiceOptions::new(Scheduler::RoundRobin) };
    let failed = plane.apply(&[Change::EditService(service(), many.clone())]).unwrap_err();
    assert!(failed.cause.to_string().contains("no room for another source prefix"), "{failed}");
    assert_eq!(plane.observe().unwrap().services[&service()].options, before);
    assert_eq!(goes_to(&mut plane, 1, SYN), 11);
    // A service that is refused again and again uses nothing up.
    let other = ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port: 81 };
    let mut few = before.clone();
    few.sources.deny = many.sources.deny[..65_536].to_vec();
    for _ in 0..3 {
        let failed = plane.apply(&[Change::AddService(other, few.clone())]).unwrap_err();
        assert!(failed.cause.to_string().contains("no room for another source prefix"), "{failed}");
    }
    assert_eq!(plane.observe().unwrap().services.len(), 1);
    plane.apply(&[Change::AddService(other, before)]).unwrap();
}

#[test]
fn a_table_finds_the_room_that_was_made_for_it() {
    if !root() {
        return;
    }
    // A level for each weight: a fifth of a million cells for each service.
    let real_servers: BTreeMap<_, _> =
        (0..600).map(|n: u32| (SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 80)), weighing(n + 1))).collect();
    let wrr = ServiceOptions::new(Scheduler::WeightedRoundRobin);
    let one = Service { options: wrr, real_servers };
    let key = |port| ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port };
    let table = Table { services: (1..6).map(|port| (key(port), one.clone())).collect() };
    let (mut plane, _) = EbpfDataplane::open(&Options::for_table(&table, None, 64)).unwrap();
    plane.apply(&Table::default().changes_to(&table)).unwrap();
    assert_eq!(plane.observe().unwrap(), table);
}

#[test]
fn connections_keep_the_translation_they_were_made_for() {
    if !root() {
        return;
    }
    let mut plane = director::plane(Scheduler::RoundRobin, &[11, 12]);
    assert_eq!(goes_to(&mut plane, 1, SYN), 12);
    let edit = |forwarding| Change::EditRealServer(service(), server(12), RealServer::new(Weight::ONE, forwarding));
    let counted = |plane: &mut EbpfDataplane| {
        let mut all = Vec::new();
        plane.counters(&mut |_, address, c| all.push((address, c.connections, c.packets_in, c.active))).unwrap();
        all.sort_unstable();
        all
    };
    for forwarding in [Forwarding::Nat, Forwarding::FullNat, Forwarding::DirectRouting] {
        plane.apply(&[edit(forwarding)]).unwrap();
        let table = plane.observe().unwrap();
        assert_eq!(table.services[&service()].real_servers[&server(12)].forwarding, forwarding);
        assert_eq!(goes_to(&mut plane, 1, ACK), 12, "it goes where it went, and as it went");
        (0..8).for_each(|_| plane.sweep().unwrap());
    }
    let both = [(None, 1, 4, 1), (Some(server(11)), 0, 0, 0), (Some(server(12)), 1, 4, 1)];
    assert_eq!(counted(&mut plane), both, "they are one real server to those who count");
    let ended = plane.flush(&ConnectionFilter { real_server: Some(server(12)), ..ConnectionFilter::default() });
    assert_eq!(ended.unwrap(), 1);
    (0..8).for_each(|_| plane.sweep().unwrap());
    assert_eq!(plane.run(Door::Xdp, &segment(1, ACK), 1).unwrap().code, XDP_PASS);
    let after = [(None, 1, 4, 0), (Some(server(11)), 0, 0, 0), (Some(server(12)), 1, 4, 0)];
    assert_eq!(counted(&mut plane), after, "what was counted outlives the index it was counted under");
    plane.zero(None).unwrap();
    assert_eq!(counted(&mut plane), after.map(|(who, ..)| (who, 0, 0, 0)));
}

#[test]
fn room_for_many_real_servers_does_not_make_it_slow_to_count_a_few() {
    if !root() {
        return;
    }
    // The least of many: whatever else the machine does comes on top.
    let least = |real_servers| {
        let (mut plane, _) = EbpfDataplane::open(&Options { real_servers, ..options(None) }).unwrap();
        plane.apply(&changes(Scheduler::RoundRobin, &[11, 12])).unwrap();
        let once = |plane: &mut EbpfDataplane| {
            let begun = Instant::now();
            let mut told = 0;
            plane.counters(&mut |_, _, _| told += 1).unwrap();
            assert_eq!(told, 3);
            begun.elapsed()
        };
        (0..50).map(|_| once(&mut plane)).min().unwrap()
    };
    let (little, much) = (least(16), least(1 << 17));
    println!("{little:?} with room for 16, {much:?} with room for 131072");
    assert!(much < little * 20, "{little:?} with room for 16, {much:?} with room for 131072");
}

//! What every data plane must do, as one suite that runs against each of them: [`check`] for the table, [`check_traffic`]
//! for those that single frames can be handed to.
//!
//! A breach is a panic that says which promise was broken: these functions are called from tests.

mod endings;
mod fate;
mod host;
mod options;
mod relay;
pub mod tables;
mod turns;

use crate::{Change, Counters, Dataplane, RealServer, ServiceOptions, Table, reference::Traffic};
use evenkeel_machine::Rng;
use evenkeel_model::{Forwarding, HashFlags, Prefix, Protocol, Scheduler, ServiceKey, Sources, Weight};
use std::{
    collections::BTreeMap,
    fmt::Display,
    net::{IpAddr, SocketAddr},
};

/// Checks everything that concerns the table; `pairs`: how many random tables are gone through.
pub fn check(make: &mut dyn FnMut() -> Box<dyn Dataplane>, pairs: usize) {
    starts_empty(&mut *make());
    additions_edits_and_removals_are_observed(&mut *make());
    errors_name_the_change(&mut *make());
    counters_are_there_for_all(&mut *make());
    any_table_is_reached(&mut *make(), pairs);
}

/// Checks what becomes of connections. Planes must have room for some thousand connections at the most.
pub fn check_traffic(make: &mut dyn FnMut() -> Box<dyn Traffic>) {
    for v6 in [false, true] {
        turns::check(&mut || host::Host::new(make(), v6));
        fate::check(&mut || host::Host::new(make(), v6));
        relay::check(&mut || host::Host::new(make(), v6));
    }
}

/// Checks that every option of services and real servers is observed as it was applied.
pub fn check_options(make: &mut dyn FnMut() -> Box<dyn Dataplane>) {
    options::check(make);
}

/// Checks what ends connections, what counts them anew and how long they last.
pub fn check_endings(make: &mut dyn FnMut() -> Box<dyn Traffic>) {
    for v6 in [false, true] {
        endings::check(&mut || host::Host::new(make(), v6));
    }
}

/// mh that looks at the source port too.
const MH_PORT: Scheduler = Scheduler::MaglevHash(HashFlags { port: true, fallback: false });

/// The value, or a panic that says what failed.
fn must<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}

fn key(protocol: Protocol, port: u16) -> ServiceKey {
    ServiceKey::Address { address: IpAddr::from([192, 0, 2, 1]), protocol, port }
}

fn options(scheduler: Scheduler) -> ServiceOptions {
    ServiceOptions::new(scheduler)
}

fn server(weight: u32, forwarding: Forwarding) -> RealServer {
    RealServer::new(Weight::new(weight).unwrap_or(Weight::MAX), forwarding)
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn observe(plane: &mut dyn Dataplane) -> Table {
    must(plane.observe(), "cannot observe")
}

fn apply(plane: &mut dyn Dataplane, changes: &[Change]) {
    must(plane.apply(changes), "cannot apply");
}

fn starts_empty(plane: &mut dyn Dataplane) {
    assert_eq!(observe(plane), Table::default(), "a new data plane is empty");
    let limits = plane.capabilities();
    assert!(limits.connections > 0 && limits.services > 0 && limits.real_servers > 0, "{limits:?}");
    apply(plane, &[]);
    must(plane.sweep(), "cannot sweep an empty table");
}

fn additions_edits_and_removals_are_observed(plane: &mut dyn Dataplane) {
    let (web, dns) = (key(Protocol::Tcp, 80), key(Protocol::Udp, 0));
    let one = server(1, Forwarding::DirectRouting);
    apply(
        plane,
        &[Change::AddService(web, options(Scheduler::RoundRobin)), Change::AddRealServer(web, address(1), one)],
    );
    apply(plane, &[Change::AddRealServer(web, address(2), server(7, Forwarding::Local))]);
    apply(plane, &[Change::AddService(dns, options(Scheduler::Maglev))]);
    let table = observe(plane);
    assert_eq!(table.services.len(), 2, "services: {:?}", table.services.keys());
    let servers = |table: &Table| table.services.get(&web).map(|s| s.real_servers.clone()).unwrap_or_default();
    assert_eq!(servers(&table), BTreeMap::from([(address(1), one), (address(2), server(7, Forwarding::Local))]));
    let lists = |text: &[&str]| -> Vec<Prefix> { text.iter().map(|t| must(t.parse(), "a prefix")).collect() };
    let sources = Sources { allow: lists(&["10.0.0.0/8", "10.9.0.0/16"]), deny: lists(&["0.0.0.0/0", "10.1.2.3/32"]) };
    let edited = ServiceOptions { sources, ..options(MH_PORT) };
    apply(plane, &[Change::EditService(web, edited.clone())]);
    apply(plane, &[Change::EditRealServer(web, address(1), server(0, Forwarding::Local))]);
    let table = observe(plane);
    assert_eq!(table.services.get(&web).map(|s| &s.options), Some(&edited), "edited options");
    assert_eq!(servers(&table).get(&address(1)), Some(&server(0, Forwarding::Local)), "edited real server");
    apply(plane, &[Change::RemoveRealServer(web, address(2))]);
    assert_eq!(servers(&observe(plane)).len(), 1, "a removed real server");
    // One that was removed can come back, and be edited and removed once more.
    apply(
        plane,
        &[
            Change::AddRealServer(web, address(2), one),
            Change::EditRealServer(web, address(2), server(2, one.forwarding)),
        ],
    );
    assert_eq!(servers(&observe(plane)).get(&address(2)), Some(&server(2, Forwarding::DirectRouting)));
    apply(plane, &[Change::RemoveService(web)]);
    assert_eq!(observe(plane).services.keys().collect::<Vec<_>>(), [&dns], "a removed service");
    apply(plane, &[Change::AddService(web, options(Scheduler::RoundRobin))]);
    assert!(servers(&observe(plane)).is_empty(), "a service that comes back is empty");
}

/// What is wrong is refused by itself: what stood before it holds, what stood after it was not tried.
fn errors_name_the_change(plane: &mut dyn Dataplane) {
    let (here, gone) = (key(Protocol::Tcp, 80), key(Protocol::Tcp, 81));
    let one = server(1, Forwarding::DirectRouting);
    apply(
        plane,
        &[Change::AddService(here, options(Scheduler::RoundRobin)), Change::AddRealServer(here, address(1), one)],
    );
    let other_family = SocketAddr::new(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]), 80);
    let wrong = [
        Change::AddService(here, options(Scheduler::RoundRobin)),
        Change::EditService(gone, options(Scheduler::RoundRobin)),
        Change::RemoveService(gone),
        Change::AddRealServer(gone, address(1), one),
        Change::AddRealServer(here, address(1), one),
        Change::AddRealServer(here, other_family, one),
        Change::EditRealServer(gone, address(1), one),
        Change::EditRealServer(here, address(9), one),
        Change::RemoveRealServer(gone, address(1)),
        Change::RemoveRealServer(here, address(9)),
    ];
    for (last, wrong) in (100..).zip(wrong) {
        let before = Change::AddRealServer(here, address(last), one);
        let after = Change::RemoveRealServer(here, address(last));
        match plane.apply(&[before, wrong.clone(), after]) {
            Ok(()) => panic!("accepted: {wrong:?}"),
            Err(error) => {
                assert_eq!((error.applied, &*error.change), (1, &wrong), "{error}");
                let text = error.to_string();
                assert!(!text.contains('\n') && text.contains("after 1 changes"), "{text}");
            }
        }
        let servers = &observe(plane).services[&here].real_servers;
        assert!(
            servers.contains_key(&address(last)),
            "the change before {wrong:?} does not hold, or the one after it does"
        );
        assert_eq!(servers.len(), 2, "after {wrong:?}: {servers:?}");
        apply(plane, &[Change::RemoveRealServer(here, address(last))]);
    }
}

fn counters_are_there_for_all(plane: &mut dyn Dataplane) {
    let (one, web, dns) = (server(1, Forwarding::DirectRouting), key(Protocol::Tcp, 80), key(Protocol::Udp, 53));
    for key in [web, dns] {
        apply(
            plane,
            &[Change::AddService(key, options(Scheduler::RoundRobin)), Change::AddRealServer(key, address(1), one)],
        );
    }
    apply(plane, &[Change::AddRealServer(web, address(2), one)]);
    let mut all = Vec::new();
    let mut sink =
        |key: ServiceKey, address: Option<SocketAddr>, counters: Counters| all.push((key, address, counters));
    must(plane.counters(&mut sink), "cannot read counters");
    assert!(all.iter().all(|(_, _, counters)| *counters == Counters::default()), "new counters are 0: {all:?}");
    let mut named: Vec<_> = all.into_iter().map(|(key, address, _)| (key, address)).collect();
    named.sort();
    let mut expected =
        [(web, None), (web, Some(address(1))), (web, Some(address(2))), (dns, None), (dns, Some(address(1)))];
    expected.sort();
    assert_eq!(named, expected);
    let mut drops = Vec::new();
    must(plane.drops(&mut |name, count| drops.push((name, count))), "cannot read drops");
    assert!(
        drops.iter().any(|(name, _)| *name == "no_server") && drops.iter().all(|(_, count)| *count == 0),
        "{drops:?}"
    );
}

fn any_table_is_reached(plane: &mut dyn Dataplane, pairs: usize) {
    let mut rng = Rng::new(2);
    let mut have = observe(plane);
    for step in 0..pairs {
        let want = tables::next(&have, &mut rng);
        let changes = have.changes_to(&want);
        tables::check_order(&changes);
        must(plane.apply(&changes), &format!("table {step}"));
        let seen = observe(plane);
        assert_eq!(seen, want, "table {step}, by {changes:?}");
        assert_eq!(seen.changes_to(&want), [], "a second plan is empty");
        if step % 8 == 0 {
            must(plane.sweep(), "cannot sweep");
        }
        have = want;
    }
}

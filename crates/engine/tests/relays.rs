//! Services whose connections a relay carries on, as far as the runtime can.
#![allow(clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{
    Reply,
    table::{Edit, Forward, Key, ServerEntry, ServiceEntry},
};
use evenkeel_engine::{Input, Rates, Tally};
use evenkeel_model::{Forwarding, Service, ServiceKey, StartState};
use std::collections::BTreeSet;

const FTP: &str = "192.168.214.140:21";
const MADE: &str = "192.168.214.141:21";

fn ftp(methods: &[Forwarding]) -> Service {
    let addresses = ["192.168.214.143:21", "192.168.214.145:21"];
    let server = |(method, address): (&Forwarding, &str)| {
        let mut server = real_server("one", address, 1);
        (server.forwarding, server.name) = (*method, address.to_owned());
        server
    };
    Service {
        fallback: None,
        start: StartState::Up,
        ..service("ftp", FTP, methods.iter().zip(addresses).map(server).collect())
    }
}

fn relayed(keys: &[&str]) -> Input {
    Input::Relays(keys.iter().map(|text| key(text)).collect())
}

fn methods(bed: &Bed, service: &str) -> Vec<Forwarding> {
    bed.table.services[&key(service)].real_servers.values().map(|server| server.forwarding).collect()
}

fn wanted(bed: &Bed) -> Vec<ServiceKey> {
    bed.engine.wanted_relays().collect()
}

fn listed(bed: &Bed, service: &str) -> Vec<Forward> {
    let table = bed.engine.table(Some(&key(service)), &Tally::default(), &Rates::default()).unwrap();
    table.services[0].servers.iter().map(|server| server.entry.forward).collect()
}

fn made() -> Vec<Edit> {
    let at: std::net::SocketAddr = MADE.parse().unwrap();
    let key = Key::Address { address: at.ip(), protocol: 6, port: at.port() };
    let entry: ServiceEntry = serde_json::from_str(r#"{"scheduler":"rr"}"#).unwrap();
    let server = ServerEntry { forward: Forward::Nat, weight: 1, upper: 0, lower: 0 };
    vec![Edit::AddService(key, entry), Edit::AddServer(key, "192.168.214.143:21".parse().unwrap(), server)]
}

#[test]
fn translation_is_relayed_while_the_runtime_can_and_other_methods_never() {
    let mut bed = Bed::running(&cluster(vec![ftp(&[Forwarding::Nat, Forwarding::FullNat])]));
    assert_eq!(wanted(&bed), [key(FTP)]);
    assert_eq!(methods(&bed, FTP), [Forwarding::Nat, Forwarding::FullNat]);
    bed.handle(relayed(&[FTP, "192.168.214.140:99"]));
    assert_eq!(methods(&bed, FTP), [Forwarding::Relay, Forwarding::FullNat]);
    assert_eq!(listed(&bed, FTP), [Forward::Fullnat, Forward::Nat], "to people it is what they asked for");
    bed.changes.clear();
    bed.handle(relayed(&[FTP]));
    bed.reload(&cluster(vec![ftp(&[Forwarding::Nat, Forwarding::FullNat])]));
    assert!(bed.changes.is_empty(), "{:?}", bed.changes);
    bed.handle(relayed(&[]));
    assert_eq!(methods(&bed, FTP), [Forwarding::Nat, Forwarding::FullNat]);
}

#[test]
fn who_does_not_want_it_is_not_relayed() {
    let without = || Service { ftp: false, ..ftp(&[Forwarding::Nat]) };
    let mut bed = Bed::running(&cluster(vec![without()]));
    bed.handle(relayed(&[FTP]));
    assert_eq!((wanted(&bed), methods(&bed, FTP)), (vec![], vec![Forwarding::Nat]));
    bed.reload(&cluster(vec![ftp(&[Forwarding::Nat])]));
    assert_eq!((wanted(&bed), methods(&bed, FTP)), (vec![key(FTP)], vec![Forwarding::Relay]));
    bed.reload(&cluster(vec![without()]));
    assert_eq!((wanted(&bed), methods(&bed, FTP)), (vec![], vec![Forwarding::Nat]));
    bed.reload(&cluster(vec![ftp(&[Forwarding::DirectRouting, Forwarding::FullNat])]));
    assert_eq!(wanted(&bed), []);
}

#[test]
fn what_clients_make_is_relayed_and_a_crash_changes_nothing() {
    let files = || cluster(vec![ftp(&[Forwarding::Nat])]);
    let mut bed = Bed::running(&files());
    assert!(matches!(bed.edit(false, made()), Some(Reply::Done { .. })));
    assert_eq!(wanted(&bed), [key(FTP), key(MADE)]);
    bed.handle(relayed(&[FTP, MADE]));
    assert_eq!((methods(&bed, FTP), methods(&bed, MADE)), (vec![Forwarding::Relay], vec![Forwarding::Relay]));
    assert_eq!(listed(&bed, MADE), [Forward::Nat]);
    bed.changes.clear();
    bed.relays = BTreeSet::from([key(FTP), key(MADE)]);
    bed.restart(2, &files());
    assert!(bed.changes.is_empty(), "{:?}", bed.changes);
    assert_eq!((wanted(&bed).len(), listed(&bed, MADE)), (2, vec![Forward::Nat]));
    // The next one cannot listen.
    bed.relays.clear();
    bed.restart(3, &files());
    assert_eq!((methods(&bed, FTP), methods(&bed, MADE)), (vec![Forwarding::Nat], vec![Forwarding::Nat]));
}

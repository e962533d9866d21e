//! Pairs of slots as the program makes them for translated connections (PP-41), written by hand.

use super::*;
use crate::{Options, plane::EbpfDataplane};
use evenkeel_abi::{flow::KEY6, state::TIMEOUT_SECONDS};
use evenkeel_dataplane::{Change, Connection, ConnectionFilter, Dataplane, RealServer, ServiceOptions};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::net::{IpAddr, SocketAddr};

const ALL: ConnectionFilter = ConnectionFilter { service: None, real_server: None, client: None };
const CONNECTION: u32 = 3;
const WAY_BACK: u32 = (1 << 17) - 2;
/// The index of the only real server.
const DEST: u32 = 0;

/// A FullNAT service; `None` without the right to load programs.
fn translating() -> Option<EbpfDataplane> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let timeouts = TIMEOUT_SECONDS;
    let options = Options { pins: None, connections: 1 << 16, services: 1, real_servers: 1, cells: 1, timeouts };
    let (mut plane, _) = EbpfDataplane::open(&options).unwrap();
    let key = ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port: 80 };
    let server = RealServer::new(Weight::ONE, Forwarding::FullNat);
    plane
        .apply(&[
            Change::AddService(key, ServiceOptions::new(Scheduler::RoundRobin)),
            Change::AddRealServer(key, SocketAddr::from(([10, 0, 0, 11], 8080)), server),
        ])
        .unwrap();
    Some(plane)
}

fn key(source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> [u64; KEY4] {
    let words = [source, destination].map(|octets| u64::from(u32::from_ne_bytes(octets)));
    let ports = ports.map(|port| u32::from(port.to_be()));
    [words[0] << 32 | words[1], flow::ports(ports[0] | ports[1] << 16, 6)]
}

fn put(plane: &EbpfDataplane, slot: u32, state: State, link: u32, seen: u32, mut key: [u64; KEY4]) {
    key[KEY4 - 1] |= flow::link_in_key(link);
    let value = flow::value(DEST, state as u32, seen) | flow::link_in_value(link);
    let first = plane.slot::<KEY4>(slot);
    // SAFETY: words of a slot of an element of the array.
    let at = |index: usize| unsafe { word(first.add(index)) };
    at(1).store(value, PUBLISH);
    key.into_iter().zip(2..).for_each(|(word, index)| at(index).store(word, PUBLISH));
    at(0).store(flow::tag(0x1230), PUBLISH);
}

/// A connection that was made `seconds` ago, and its way back.
fn put_pair(plane: &mut EbpfDataplane, seconds: u32) {
    let hertz = plane.maps.settings.get(0).ticks_per_second;
    let seen = plane.clock.now(&mut plane.object).unwrap().wrapping_sub(seconds * hertz);
    let client = key([198, 51, 100, 9], [10, 0, 0, 100], [1234, 80]);
    put(plane, CONNECTION, State::Established, WAY_BACK, seen, client);
    put(plane, WAY_BACK, State::Reverse, CONNECTION, seen, key([10, 0, 0, 11], [10, 0, 0, 1], [8080, 40_000]));
    plane.maps.loads.set(DEST, Load { connections: 1, templates: 0 });
}

fn listed(plane: &mut EbpfDataplane) -> Vec<Connection> {
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let mut sink = |connection| {
            all.push(connection);
            true
        };
        next = plane.connections(&ALL, from, &mut sink).unwrap();
    }
    all
}

fn is_free(plane: &EbpfDataplane, slot: u32) -> bool {
    // SAFETY: a word of a slot of an element of the array.
    unsafe { word(plane.slot::<KEY4>(slot)) }.load(PUBLISH) == 0
}

#[test]
fn any_slot_can_be_named() {
    for slot in [0, 1, 0x3f_ffff, 0x40_0000, flow::LINK_LIMIT - 1] {
        let value = flow::value(flow::DEST_LIMIT - 1, State::Reverse as u32, u32::MAX) | flow::link_in_value(slot);
        let last = flow::ports(u32::MAX, 255) | flow::link_in_key(slot);
        assert_eq!(flow::link(value, last), slot);
        assert_eq!((flow::state(value), flow::dest(value)), (State::Reverse as u32, flow::DEST_LIMIT - 1));
        assert_eq!(last & !KEY_LINK, flow::ports(u32::MAX, 255));
    }
}

#[test]
fn the_two_halves_of_a_connection_find_each_other() {
    let Some(mut plane) = translating() else { return };
    put_pair(&mut plane, 0);
    let (connection, way_back) = (plane.see::<KEY4>(CONNECTION).unwrap(), plane.see::<KEY4>(WAY_BACK).unwrap());
    assert_eq!(plane.partner(&connection).map(|seen| seen.slot), Some(WAY_BACK));
    assert_eq!(plane.partner(&way_back).map(|seen| seen.slot), Some(CONNECTION));
    assert!(plane.see::<KEY6>(CONNECTION).is_none());
}

#[test]
fn a_listing_shows_the_client_as_the_real_server_sees_it_and_no_ways_back() {
    let Some(mut plane) = translating() else { return };
    put_pair(&mut plane, 0);
    let all = listed(&mut plane);
    let [one] = &all[..] else { panic!("{all:?}") };
    assert_eq!(one.translated_client, Some(SocketAddr::from(([10, 0, 0, 1], 40_000))));
    assert_eq!((one.client, one.state), (SocketAddr::from(([198, 51, 100, 9], 1234)), "ESTABLISHED"));
    assert_eq!(one.real_server, SocketAddr::from(([10, 0, 0, 11], 8080)));
}

#[test]
fn a_connection_takes_its_way_back_with_it() {
    let Some(mut plane) = translating() else { return };
    put_pair(&mut plane, 0);
    assert_eq!(plane.flush(&ALL).unwrap(), 1);
    assert!(is_free(&plane, CONNECTION) && is_free(&plane, WAY_BACK));
    assert_eq!(plane.maps.loads.get(DEST), Load::default());
    put_pair(&mut plane, 901);
    plane.sweep_all().unwrap();
    assert!(is_free(&plane, CONNECTION) && is_free(&plane, WAY_BACK));
    assert_eq!(plane.maps.loads.get(DEST), Load::default());
}

#[test]
fn a_way_back_that_nobody_names_is_swept_unless_it_is_just_being_made() {
    let Some(mut plane) = translating() else { return };
    for (seconds, stays) in [(100, false), (0, true)] {
        put_pair(&mut plane, seconds);
        plane.sweep_all().unwrap();
        assert!(!is_free(&plane, CONNECTION) && !is_free(&plane, WAY_BACK), "one that is named stays");
        // The connection names another slot now.
        let client = key([198, 51, 100, 9], [10, 0, 0, 100], [1234, 80]);
        let now = plane.clock.now(&mut plane.object).unwrap();
        put(&plane, CONNECTION, State::Established, WAY_BACK - 1, now, client);
        plane.sweep_all().unwrap();
        assert_eq!(is_free(&plane, WAY_BACK), !stays);
        assert!(!is_free(&plane, CONNECTION));
    }
}

#[test]
fn ways_back_are_swept_after_the_last_connection_is_gone() {
    let Some(mut plane) = translating() else { return };
    let seen = plane.clock.now(&mut plane.object).unwrap().wrapping_sub(1_000_000);
    put(&plane, WAY_BACK, State::Reverse, CONNECTION, seen, key([10, 0, 0, 11], [10, 0, 0, 1], [8080, 40_000]));
    (0..4).for_each(|_| plane.sweep().unwrap());
    assert!(is_free(&plane, WAY_BACK));
}

//! Each test leaves the maps as a crash between two steps would, and has them adopted.

use crate::{Door, EbpfDataplane, Options, maps::key_bytes, state::State, state::abi_key};
use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions, Table};
use evenkeel_model::{Forwarding, Prefix, Protocol, Scheduler, ServiceKey, Sources, Weight};
use std::net::{IpAddr, SocketAddr};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

fn key() -> ServiceKey {
    ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port: 80 }
}

fn denying(prefixes: &[&str]) -> ServiceOptions {
    let deny = prefixes.iter().map(|text| text.parse::<Prefix>().unwrap()).collect();
    ServiceOptions { sources: Sources { allow: Vec::new(), deny }, ..ServiceOptions::new(Scheduler::RoundRobin) }
}

/// A service of one real server.
fn changes(options: ServiceOptions) -> [Change; 2] {
    let one = RealServer::new(Weight::ONE, Forwarding::DirectRouting);
    [Change::AddService(key(), options), Change::AddRealServer(key(), SocketAddr::from(([10, 0, 0, 11], 80)), one)]
}

/// `None` without the right to load programs.
fn serving() -> Option<EbpfDataplane> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let timeouts = TIMEOUT_SECONDS;
    let options = Options { pins: None, connections: 64, services: 1, real_servers: 1, cells: 1, timeouts };
    let (mut plane, _) = EbpfDataplane::open(&options).unwrap();
    plane.apply(&changes(denying(&[]))).unwrap();
    let (source, destination) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 11]);
    let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
    let hop = NextHop::Resolved { route, source, destination };
    plane.next_hop(IpAddr::from([10, 0, 0, 11]), hop).unwrap();
    Some(plane)
}

/// What the next daemon does.
fn adopt(plane: &mut EbpfDataplane) {
    let hops = std::mem::take(&mut plane.state.hops);
    plane.state = State::adopt(&plane.maps, plane.sizes).unwrap();
    plane.mend(true);
    plane.state.hops = hops;
}

/// What becomes of a SYN from 198.51.100.9:`port`.
fn syn(plane: &mut EbpfDataplane, port: u16) -> u32 {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 9, 10, 0, 0, 100]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0]);
    plane.run(Door::Xdp, &frame, 1).unwrap().code
}

#[test]
fn a_service_that_packets_find_has_its_address_in_the_filter() {
    let Some(mut plane) = serving() else { return };
    plane.filter(&key(), false);
    assert_eq!(syn(&mut plane, 1), XDP_PASS);
    adopt(&mut plane);
    assert_eq!(syn(&mut plane, 1), XDP_TX);
}

#[test]
fn a_service_that_packets_no_longer_find_lets_go_of_its_real_servers_and_lists() {
    let Some(mut plane) = serving() else { return };
    plane.apply(&[Change::EditService(key(), denying(&["198.51.100.0/24"]))]).unwrap();
    plane.maps.service_ids.remove(&key_bytes(&abi_key(&key()))).unwrap();
    adopt(&mut plane);
    assert_eq!((plane.observe().unwrap(), syn(&mut plane, 1)), (Table::default(), XDP_PASS));
    assert_eq!(plane.maps.acl.iter().count(), 0);
    plane.apply(&changes(denying(&[]))).unwrap();
    assert_eq!(syn(&mut plane, 1), XDP_TX);
    for again in 2..4 {
        plane.apply(&[Change::RemoveService(key())]).unwrap();
        plane.sweep_all().unwrap();
        plane.apply(&changes(denying(&[]))).unwrap();
        assert_eq!(syn(&mut plane, again), XDP_TX);
    }
}

#[test]
fn lists_that_were_written_are_in_force() {
    let Some(mut plane) = serving() else { return };
    let wanted = denying(&["198.51.100.0/24"]);
    plane.apply(&[Change::EditService(key(), wanted.clone())]).unwrap();
    plane.set_service_flags(0, 0);
    assert_eq!(syn(&mut plane, 1), XDP_TX);
    adopt(&mut plane);
    assert_eq!(plane.observe().unwrap().services[&key()].options, wanted, "no change would be made");
    assert_eq!(syn(&mut plane, 2), XDP_DROP);
}

#[test]
fn lists_of_a_service_that_was_not_made_to_the_end_are_gone() {
    let Some(mut plane) = serving() else { return };
    // The index that the next service will have.
    plane.add_sources(1, &Sources::default(), &denying(&["0.0.0.0/0"]).sources).unwrap();
    adopt(&mut plane);
    assert_eq!(plane.maps.acl.iter().count(), 0);
}

#[test]
fn a_real_server_without_its_list_is_listed() {
    let Some(mut plane) = serving() else { return };
    // The list of before the real server was added.
    let service = plane.maps.services.at(0);
    // SAFETY: an element of the array.
    unsafe { (&raw mut (*service).list).write_volatile(0) };
    assert_eq!(syn(&mut plane, 1), XDP_DROP);
    adopt(&mut plane);
    assert_eq!(syn(&mut plane, 1), XDP_TX);
}

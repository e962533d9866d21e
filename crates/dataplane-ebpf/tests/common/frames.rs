//! Frames of clients, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{
    Change, Connection, ConnectionFilter, Counters, Dataplane, NextHop, RealServer, Route, ServiceOptions,
    reference::{Door, Traffic, Verdict},
};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::net::{IpAddr, SocketAddr};

pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;
pub(crate) const FIN: u8 = 1;
pub(crate) const RST: u8 = 4;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// To the real server 10.0.0.N or fd00::N.
    To(u8),
    /// Ended in this reason.
    Ended(&'static str),
    /// Nothing of ours.
    Passed,
}

/// A plane of so many connections at most, or `None` without the right to load programs.
pub(crate) fn plane(connections: u32) -> Option<EbpfDataplane> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let options =
        Options { pins: None, connections, services: 8, real_servers: 32, cells: 1 << 18, timeouts: TIMEOUT_SECONDS };
    Some(EbpfDataplane::open(&options).unwrap().0)
}

pub(crate) fn vip() -> IpAddr {
    IpAddr::from([192, 0, 2, 1])
}

pub(crate) fn key(protocol: Protocol, port: u16) -> ServiceKey {
    ServiceKey::new(vip(), protocol, port)
}

pub(crate) fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

pub(crate) fn weighing(weight: u32) -> RealServer {
    RealServer::new(Weight::new(weight).unwrap(), Forwarding::DirectRouting)
}

pub(crate) fn down() -> RealServer {
    RealServer { is_down: true, ..weighing(0) }
}

/// Round robin over real servers, of which the last one is chosen first.
pub(crate) fn serve(plane: &mut EbpfDataplane, key: ServiceKey, options: ServiceOptions, servers: &[u8]) {
    let mut changes = vec![Change::AddService(key, options)];
    changes.extend(servers.iter().map(|last| Change::AddRealServer(key, server(*last), weighing(1))));
    plane.apply(&changes).unwrap();
    for last in servers {
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination: [2, 0, 0, 0, 0, *last] };
        plane.next_hop(server(*last).ip(), hop).unwrap();
    }
}

pub(crate) fn round_robin() -> ServiceOptions {
    ServiceOptions::new(Scheduler::RoundRobin)
}

/// An IPv4 packet of a protocol from a client to a destination.
pub(crate) fn packet(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(source);
    frame.extend(destination);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

pub(crate) fn tcp_to(client: ([u8; 4], u16), to: ([u8; 4], u16), flags: u8) -> Vec<u8> {
    let mut segment = client.1.to_be_bytes().to_vec();
    segment.extend(to.1.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    packet(client.0, to.0, 6, &segment)
}

pub(crate) fn udp_to(client: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = client.1.to_be_bytes().to_vec();
    datagram.extend(to.1.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    packet(client.0, to.0, 17, &datagram)
}

/// A client 198.51.100.N.
pub(crate) fn client(last: u8, port: u16) -> ([u8; 4], u16) {
    ([198, 51, 100, last], port)
}

const VIP: [u8; 4] = [192, 0, 2, 1];

pub(crate) fn tcp(plane: &mut EbpfDataplane, client: ([u8; 4], u16), flags: u8) -> Fate {
    send(plane, &tcp_to(client, (VIP, 80), flags))
}

pub(crate) fn udp(plane: &mut EbpfDataplane, client: ([u8; 4], u16)) -> Fate {
    send(plane, &udp_to(client, (VIP, 80), b"hello"))
}

pub(crate) fn send(plane: &mut EbpfDataplane, frame: &[u8]) -> Fate {
    let seen = plane.frame(Door::Xdp, 1, frame).unwrap();
    match (seen.verdict, seen.reason) {
        (_, Some(reason)) => Fate::Ended(reason.name()),
        (Verdict::Pass, None) => Fate::Passed,
        (Verdict::Drop, None) => panic!("dropped without a reason"),
        (Verdict::Transmit | Verdict::Redirect, None) => Fate::To(seen.frame[5]),
    }
}

/// Of the service, or of a real server of it.
pub(crate) fn counters(plane: &mut EbpfDataplane, of: ServiceKey, real_server: Option<u8>) -> Counters {
    let mut found = None;
    let wanted = real_server.map(server);
    plane
        .counters(&mut |key, address, counters| {
            if key == of && address == wanted {
                found = Some(counters);
            }
        })
        .unwrap();
    found.unwrap()
}

pub(crate) fn connections(plane: &mut EbpfDataplane) -> Vec<Connection> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        from = plane
            .connections(&ConnectionFilter::default(), at, &mut |connection| {
                all.push(connection);
                true
            })
            .unwrap();
    }
    all
}

pub(crate) fn template(plane: &mut EbpfDataplane) -> Option<Connection> {
    connections(plane).into_iter().find(|connection| connection.is_template)
}

/// A TCP segment between IPv6 addresses.
pub(crate) fn tcp6_to(source: &str, port: u16, to: (&str, u16), flags: u8) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64];
    frame.extend(octets(source));
    frame.extend(octets(to.0));
    frame.extend(port.to_be_bytes());
    frame.extend(to.1.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame
}

/// Round robin of a service of IPv6, over fd00::N.
pub(crate) fn serve6(plane: &mut EbpfDataplane, key: ServiceKey, options: ServiceOptions, servers: &[u8]) {
    let server = |last: u8| SocketAddr::new(format!("fd00::{last:x}").parse().unwrap(), 80);
    let mut changes = vec![Change::AddService(key, options)];
    changes.extend(servers.iter().map(|last| Change::AddRealServer(key, server(*last), weighing(1))));
    plane.apply(&changes).unwrap();
    for last in servers {
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination: [2, 0, 0, 0, 0, *last] };
        plane.next_hop(server(*last).ip(), hop).unwrap();
    }
}

//! A director of one service, and packets to it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, Counters, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

pub(crate) const XDP_TX: u32 = 3;
pub(crate) const XDP_REDIRECT: u32 = 4;

pub(crate) fn options(pins: Option<&Path>) -> Options {
    Options {
        pins: pins.map(Path::to_path_buf),
        connections: 4096,
        services: 4,
        real_servers: 16,
        cells: 1 << 18,
        timeouts: TIMEOUT_SECONDS,
    }
}

pub(crate) fn service() -> ServiceKey {
    ServiceKey::Address { address: IpAddr::from([10, 0, 0, 100]), protocol: Protocol::Tcp, port: 80 }
}

pub(crate) fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

pub(crate) fn changes(scheduler: Scheduler, servers: &[u8]) -> Vec<Change> {
    let one = RealServer::new(Weight::ONE, Forwarding::DirectRouting);
    let mut changes = vec![Change::AddService(service(), ServiceOptions::new(scheduler))];
    changes.extend(servers.iter().map(|last| Change::AddRealServer(service(), server(*last), one)));
    changes
}

pub(crate) fn resolve(plane: &mut EbpfDataplane, servers: &[u8]) {
    for last in servers {
        let destination = [2, 0, 0, 0, 0, *last];
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination };
        plane.next_hop(server(*last).ip(), hop).unwrap();
    }
}

/// A data plane with the service, whose real servers are resolved.
pub(crate) fn plane(scheduler: Scheduler, servers: &[u8]) -> EbpfDataplane {
    let (mut plane, _) = EbpfDataplane::open(&options(None)).unwrap();
    plane.apply(&changes(scheduler, servers)).unwrap();
    resolve(&mut plane, servers);
    plane
}

/// The drops of a reason.
pub(crate) fn drops(plane: &mut EbpfDataplane, reason: &str) -> u64 {
    let mut found = 0;
    plane
        .drops(&mut |name, count| {
            if name == reason {
                found = count
            }
        })
        .unwrap();
    found
}

/// A TCP segment from 198.51.100.9:`port` to the service.
pub(crate) fn segment(port: u16, flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 9, 10, 0, 0, 100]);
    frame.extend(port.to_be_bytes());
    frame.extend(80u16.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame.resize(60, 0);
    frame
}

pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;

/// Which real server the segment goes to.
pub(crate) fn goes_to(plane: &mut EbpfDataplane, port: u16, flags: u8) -> u8 {
    let outcome = plane.run(Door::Xdp, &segment(port, flags), 1).unwrap();
    assert!(outcome.code == XDP_TX || outcome.code == XDP_REDIRECT, "code {}", outcome.code);
    outcome.frame[5]
}

pub(crate) fn counters(plane: &mut EbpfDataplane) -> Counters {
    let mut sum = Counters::default();
    plane
        .counters(&mut |_, address, c| {
            if address.is_none() {
                sum = c
            }
        })
        .unwrap();
    sum
}

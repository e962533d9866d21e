//! The services that fixtures and random packets are sent to: one of each kind, in both families.

use super::Traffic;
use crate::{Change, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_model::{Forwarding, HashFlags, Prefix, Protocol, Scheduler, ServiceKey, Sources, Weight};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// The interface that clients' frames come in by. Program test run says so of every packet that names none.
pub const OUTSIDE: u32 = 1;
/// An interface that real servers are behind.
pub const INSIDE: u32 = 7;
/// The MAC address of [`INSIDE`] and, for what goes back out, of [`OUTSIDE`].
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 7, 1];
/// The MAC address of every real server.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 7, 2];

/// Ports of the services of the bed, one real server each; all but [`ANY`] for TCP and UDP.
pub mod port {
    /// Forwarded by the inside interface.
    pub const INSIDE: u16 = 80;
    /// Forwarded back out.
    pub const BACK: u16 = 81;
    /// Delivered to the director itself.
    pub const LOCAL: u16 = 82;
    /// The MAC address of the gateway towards the real server is not known.
    pub const GATEWAY: u16 = 83;
    /// The real server's MAC address is not known.
    pub const UNRESOLVED: u16 = 84;
    /// There is no route to the real server.
    pub const UNREACHABLE: u16 = 85;
    /// The real server has weight 0.
    pub const QUIESCED: u16 = 86;
    /// There is no real server.
    pub const EMPTY: u16 = 87;
    /// Allowed is the clients' network without the client that ends in 66.
    pub const LISTED: u16 = 88;
    /// Denied is the clients' network but for the client that ends in 66.
    pub const DENYING: u16 = 89;
    /// Several real servers, rr, wrr, mh, mh-port, maglev.
    pub const SCHEDULED: [u16; 5] = [90, 91, 92, 93, 94];
    /// No service, but on the second virtual address.
    pub const NONE: u16 = 99;
}

/// The virtual address.
pub fn virtual_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.10", "2001:db8:2::10")
}

/// Another one, with a service for every port and one for port 80.
pub fn any_port_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.11", "2001:db8:2::11")
}

/// A client by its last number.
pub fn client(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([198, 51, 100, host]),
        true => IpAddr::from([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, u16::from(host)]),
    }
}

/// A real server by its last number.
pub fn real_server(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([10, 0, 0, host]),
        true => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)]),
    }
}

/// The gateway towards the real server of [`port::GATEWAY`].
pub fn gateway(v6: bool) -> IpAddr {
    real_server(v6, 254)
}

fn address(v6: bool, four: &str, six: &str) -> IpAddr {
    // Both are literals of this file.
    if v6 { six.parse() } else { four.parse() }.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// Adds the bed's services and next hops.
pub fn lay<T: Traffic + ?Sized>(plane: &mut T) -> io::Result<()> {
    for v6 in [false, true] {
        plane.apply(&changes(v6)).map_err(io::Error::other)?;
        for host in 1..=9 {
            plane.next_hop(real_server(v6, host), resolved(INSIDE))?;
        }
        plane.next_hop(real_server(v6, 2), resolved(OUTSIDE))?;
        let unresolved = |gateway| NextHop::Unresolved { route: route(INSIDE, gateway) };
        plane.next_hop(real_server(v6, 101), unresolved(Some(gateway(v6))))?;
        plane.next_hop(real_server(v6, 102), unresolved(None))?;
        plane.next_hop(real_server(v6, 103), NextHop::Unreachable)?;
    }
    Ok(())
}

/// A next hop on the wire.
pub fn resolved(interface: u32) -> NextHop {
    NextHop::Resolved { route: route(interface, None), source: OWN_MAC, destination: SERVER_MAC }
}

/// A way by an interface without VLAN that takes packets of 1500 bytes and has no address of its own.
pub fn route(interface: u32, gateway: Option<IpAddr>) -> Route {
    Route { interface, gateway, mtu: 1500, own_address: None, vlan: None }
}

fn changes(v6: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut service = |address, number, scheduler, sources: Sources, servers: &[(u8, u32)]| {
            let key = ServiceKey::Address { address, protocol, port: number };
            changes.push(Change::AddService(key, ServiceOptions { sources, ..ServiceOptions::new(scheduler) }));
            changes.extend(servers.iter().map(|(host, weight)| {
                let (address, forwarding) = match host {
                    0 => (loopback(v6), Forwarding::Local),
                    host => (real_server(v6, *host), Forwarding::DirectRouting),
                };
                let weight = Weight::new(*weight).unwrap_or(Weight::ONE);
                Change::AddRealServer(key, SocketAddr::new(address, number), RealServer::new(weight, forwarding))
            }));
        };
        let here = virtual_address(v6);
        for (number, host, weight) in [
            (port::INSIDE, 1, 1),
            (port::BACK, 2, 1),
            (port::LOCAL, 0, 1),
            (port::GATEWAY, 101, 1),
            (port::UNRESOLVED, 102, 1),
            (port::UNREACHABLE, 103, 1),
            (port::QUIESCED, 1, 0),
        ] {
            service(here, number, Scheduler::RoundRobin, Sources::default(), &[(host, weight)]);
        }
        service(here, port::EMPTY, Scheduler::WeightedRoundRobin, Sources::default(), &[]);
        let [network, one, other] = prefixes(v6);
        let listed = Sources { allow: network.into_iter().collect(), deny: one.into_iter().collect() };
        service(here, port::LISTED, Scheduler::RoundRobin, listed, &[(1, 1)]);
        let denying =
            Sources { allow: one.into_iter().collect(), deny: [network, other].into_iter().flatten().collect() };
        service(here, port::DENYING, Scheduler::RoundRobin, denying, &[(1, 1)]);
        let schedulers = [
            Scheduler::RoundRobin,
            Scheduler::WeightedRoundRobin,
            Scheduler::MaglevHash(HashFlags::default()),
            Scheduler::MaglevHash(HashFlags { port: true, fallback: false }),
            Scheduler::Maglev,
        ];
        for (number, scheduler) in port::SCHEDULED.into_iter().zip(schedulers) {
            let servers = [(3, 3), (4, 2), (5, 0), (6, 1), (7, 5), (0, 1)];
            service(here, number, scheduler, Sources::default(), &servers);
        }
        service(any_port_address(v6), 0, Scheduler::RoundRobin, Sources::default(), &[(1, 1)]);
        service(any_port_address(v6), port::INSIDE, Scheduler::RoundRobin, Sources::default(), &[(2, 1)]);
    }
    changes
}

/// The host's own address as a real server.
pub fn loopback(v6: bool) -> IpAddr {
    address(v6, "127.0.0.1", "::1")
}

/// The clients' network, the client that ends in 66, and the one that ends in 77.
fn prefixes(v6: bool) -> [Option<Prefix>; 3] {
    let (network, host) = if v6 { (48, 128) } else { (24, 32) };
    [(0, network), (66, host), (77, host)].map(|(last, length)| Prefix::new(client(v6, last), length).ok())
}

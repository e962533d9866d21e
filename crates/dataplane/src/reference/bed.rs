//! The services that fixtures and random packets are sent to: one of each kind, in both families.

mod host;
pub mod port;
mod services;

pub use host::{HOST, SWITCHES, routes};
pub(crate) use host::{OWN, client_mac};

use super::{Topic, Traffic};
use crate::{Egress, NextHop, Route, Vlan};
use std::{io, net::IpAddr};

/// The interface that clients' frames come in by. Program test run says so of every packet that names none.
pub const OUTSIDE: u32 = 1;
/// An interface that real servers are behind.
pub const INSIDE: u32 = 7;
/// An interface that clients are behind: where answers go.
pub const CLIENTS: u32 = 9;
/// A VLAN on [`CLIENTS`], as far as the data plane is told. The kernel takes it for an interface like others.
pub const TAGGED: u32 = 11;
/// Likewise, of 802.1ad, on [`OUTSIDE`].
pub const SERVICE_TAGGED: u32 = 12;
/// An interface that XDP cannot send by.
pub const BY_STACK: u32 = 13;
/// A VLAN on [`OUTSIDE`] from which the host forwards nothing.
pub const CLOSED: u32 = 14;
/// The MAC address of [`INSIDE`] and, for what goes back out, of [`OUTSIDE`].
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 7, 1];
/// The MAC address of [`CLIENTS`].
pub const CLIENTS_MAC: [u8; 6] = [2, 0, 0, 0, 9, 1];
/// The MAC address of the real servers that have a service to themselves.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 7, 2];
/// The VLAN of the real server of [`port::VLAN`].
pub const VLAN: Vlan = Vlan { id: 42, is_service: false };
/// That of [`port::SERVICE_VLAN`].
pub const SERVICE_VLAN: Vlan = Vlan { id: 43, is_service: true };
/// The tag of [`CLOSED`].
pub const CLOSED_TAG: [u8; 4] = [0x81, 0, 0, 44];
/// The MTU on the way to the real server of [`port::NARROW`], and to [`narrow_client`].
pub const NARROW: u32 = 1300;

/// The virtual address.
pub fn virtual_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.10", "2001:db8:2::10")
}

/// Another one, with a service for every port and one for port 80.
pub fn any_port_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.11", "2001:db8:2::11")
}

/// An address that no service has, but matches of marks.
pub fn marked_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.12", "2001:db8:2::12")
}

/// One with persistent services for every port.
pub fn persistent_address(v6: bool) -> IpAddr {
    address(v6, "192.0.2.13", "2001:db8:2::13")
}

/// A client by its last number.
pub fn client(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([198, 51, 100, host]),
        true => IpAddr::from([0x2001, 0xdb8, 0xc, 0, 0, 0, 0, u16::from(host)]),
    }
}

/// A client in another network of the same size.
pub fn far_client(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([198, 51, 101, host]),
        true => IpAddr::from([0x2001, 0xdb8, 0xc, 1, 0, 0, 0, u16::from(host)]),
    }
}

/// A client that packets above [`NARROW`] bytes do not reach.
pub fn narrow_client(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([198, 51, 102, host]),
        true => IpAddr::from([0x2001, 0xdb8, 0xc, 2, 0, 0, 0, u16::from(host)]),
    }
}

/// A client that is reached by [`TAGGED`], [`SERVICE_TAGGED`] or [`BY_STACK`].
pub fn client_behind(v6: bool, interface: u32, host: u8) -> IpAddr {
    let network = 103 + interface.saturating_sub(TAGGED) as u8;
    match v6 {
        false => IpAddr::from([198, 51, network, host]),
        true => IpAddr::from([0x2001, 0xdb8, 0xc, u16::from(network), 0, 0, 0, u16::from(host)]),
    }
}

/// A client that no route leads to.
pub fn lost_client(v6: bool) -> IpAddr {
    address(v6, "203.0.113.5", "2001:db8:dead::5")
}

/// A real server by its last number.
pub fn real_server(v6: bool, host: u8) -> IpAddr {
    match v6 {
        false => IpAddr::from([10, 0, 0, host]),
        true => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)]),
    }
}

/// The director's own address towards the real servers.
pub fn own_address(v6: bool) -> IpAddr {
    real_server(v6, 253)
}

/// The gateway towards the real server of [`port::GATEWAY`].
pub fn gateway(v6: bool) -> IpAddr {
    real_server(v6, 254)
}

/// The host's own address as a real server.
pub fn loopback(v6: bool) -> IpAddr {
    address(v6, "127.0.0.1", "::1")
}

fn address(v6: bool, four: &str, six: &str) -> IpAddr {
    // Both are literals of this file.
    if v6 { six.parse() } else { four.parse() }.unwrap_or(IpAddr::from([0, 0, 0, 0]))
}

/// The MAC address of a real server.
pub fn server_mac(host: u8) -> [u8; 6] {
    // Those that share a service are told apart.
    if SHARED.contains(&host) { [2, 0, 0, 0, 8, host] } else { SERVER_MAC }
}

/// The real server with a MAC address of [`server_mac`] that tells it from the others.
pub fn server_of(v6: bool, mac: &[u8]) -> Option<IpAddr> {
    let [2, 0, 0, 0, 8, host] = mac else { return None };
    Some(real_server(v6, *host))
}

/// Real servers of services that have several.
const SHARED: std::ops::RangeInclusive<u8> = 3..=9;

/// Adds the bed's services and next hops, of the topics that are on.
pub fn lay<T: Traffic + ?Sized>(plane: &mut T, topics: &[Topic]) -> io::Result<()> {
    let tagged = |interface, id, is_service| Egress { interface, vlan: Some(Vlan { id, is_service }) };
    let links = [
        (CLIENTS, Egress { interface: CLIENTS, vlan: None }),
        (TAGGED, tagged(CLIENTS, 5, false)),
        (SERVICE_TAGGED, tagged(OUTSIDE, 6, true)),
        (CLOSED, tagged(OUTSIDE, 44, false)),
    ];
    plane.links(&links.into())?;
    for v6 in [false, true] {
        plane.apply(&services::changes(v6, topics)).map_err(io::Error::other)?;
        for host in 1..=40 {
            plane.next_hop(real_server(v6, host), resolved(v6, INSIDE, server_mac(host)))?;
        }
        plane.next_hop(real_server(v6, 2), resolved(v6, OUTSIDE, SERVER_MAC))?;
        let unresolved = |gateway| NextHop::Unresolved { route: route(v6, INSIDE, gateway) };
        plane.next_hop(real_server(v6, 101), unresolved(Some(gateway(v6))))?;
        plane.next_hop(real_server(v6, 102), unresolved(None))?;
        plane.next_hop(real_server(v6, 103), NextHop::Unreachable)?;
        let other = |change: fn(Route) -> Route| NextHop::Resolved {
            route: change(route(v6, INSIDE, None)),
            source: OWN_MAC,
            destination: SERVER_MAC,
        };
        plane.next_hop(real_server(v6, 104), other(|route| Route { own_address: None, ..route }))?;
        plane.next_hop(real_server(v6, 105), other(|route| Route { mtu: NARROW, ..route }))?;
        plane.next_hop(real_server(v6, 106), other(|route| Route { vlan: Some(VLAN), ..route }))?;
        plane.next_hop(real_server(v6, 107), other(|route| Route { vlan: Some(SERVICE_VLAN), ..route }))?;
        plane.next_hop(real_server(v6, 108), other(|route| Route { by_stack: true, ..route }))?;
    }
    Ok(())
}

/// A next hop on the wire.
pub fn resolved(v6: bool, interface: u32, destination: [u8; 6]) -> NextHop {
    NextHop::Resolved { route: route(v6, interface, None), source: OWN_MAC, destination }
}

/// A way by an interface without VLAN that takes packets of 1500 bytes.
pub fn route(v6: bool, interface: u32, gateway: Option<IpAddr>) -> Route {
    Route { interface, gateway, mtu: 1500, own_address: Some(own_address(v6)), vlan: None, by_stack: false }
}

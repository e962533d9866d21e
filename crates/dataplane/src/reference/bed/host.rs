//! The host around the data plane: where answers to clients go, as commands and as the reference has it.

use super::{
    BY_STACK, CLIENTS, CLIENTS_MAC, CLOSED, NARROW, SERVICE_TAGGED, TAGGED, client, client_behind, far_client,
    narrow_client,
};
use crate::reference::{Routes, Towards};
use evenkeel_model::Prefix;
use std::net::IpAddr;

/// Last numbers of the clients whose MAC addresses are known.
const KNOWN: [u8; 6] = [5, 6, 7, 66, 77, 99];
/// The last number of an address of the clients' network that is the host's own.
pub(crate) const OWN: u8 = 200;

/// Interfaces that clients are behind who have a network to themselves.
const BEHIND: [u32; 3] = [TAGGED, SERVICE_TAGGED, BY_STACK];

/// Switches of the kernel by their names below `/proc/sys/net`, after [`HOST`].
pub const SWITCHES: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/closed/forwarding", "0"),
    ("ipv6/conf/closed/forwarding", "0"),
];

/// What makes a network namespace a host with the routes of [`routes`]: arguments of `ip`.
pub const HOST: &[&str] = &[
    "link set lo up",
    "link add clients index 9 address 02:00:00:00:09:01 type veth peer name far index 10",
    "link set clients up",
    "link set far up",
    "link add tagged index 11 address 02:00:00:00:09:01 type veth peer name far-tagged index 21",
    "link add service index 12 address 02:00:00:00:09:01 type veth peer name far-service index 22",
    "link add by-stack index 13 address 02:00:00:00:09:01 type veth peer name far-by-stack index 23",
    "link add closed index 14 type veth peer name far-closed index 24",
    "link set tagged up",
    "link set far-tagged up",
    "link set service up",
    "link set far-service up",
    "link set by-stack up",
    "link set far-by-stack up",
    "link set closed up",
    "link set far-closed up",
    "route add 198.51.103.0/24 via 198.51.100.254 dev tagged onlink",
    "route add 198.51.104.0/24 via 198.51.100.254 dev service onlink",
    "route add 198.51.105.0/24 via 198.51.100.254 dev by-stack onlink",
    "neighbour add 198.51.100.254 lladdr 02:00:00:00:09:fe dev tagged nud permanent",
    "neighbour add 198.51.100.254 lladdr 02:00:00:00:09:fe dev service nud permanent",
    "neighbour add 198.51.100.254 lladdr 02:00:00:00:09:fe dev by-stack nud permanent",
    "route add 2001:db8:c:67::/64 via fe80::1 dev tagged",
    "route add 2001:db8:c:68::/64 via fe80::1 dev service",
    "route add 2001:db8:c:69::/64 via fe80::1 dev by-stack",
    "neighbour add fe80::1 lladdr 02:00:00:00:09:fe dev tagged nud permanent",
    "neighbour add fe80::1 lladdr 02:00:00:00:09:fe dev service nud permanent",
    "neighbour add fe80::1 lladdr 02:00:00:00:09:fe dev by-stack nud permanent",
    "address add 198.51.100.200/32 dev clients",
    "address add 2001:db8:c::c8/128 dev clients nodad",
    "route add 198.51.100.0/24 dev clients scope link",
    "route add 198.51.101.0/24 via 198.51.100.254 dev clients onlink",
    "route add 198.51.102.0/24 via 198.51.100.254 dev clients onlink mtu lock 1300",
    "neighbour add 198.51.100.254 lladdr 02:00:00:00:09:fe dev clients nud permanent",
    "route add 2001:db8:c::/64 dev clients",
    "route add 2001:db8:c:1::/64 via fe80::1 dev clients",
    "route add 2001:db8:c:2::/64 via fe80::1 dev clients mtu lock 1300",
    "neighbour add fe80::1 lladdr 02:00:00:00:09:fe dev clients nud permanent",
    "neighbour add 198.51.100.5 lladdr 02:00:00:00:09:05 dev clients nud permanent",
    "neighbour add 198.51.100.6 lladdr 02:00:00:00:09:06 dev clients nud permanent",
    "neighbour add 198.51.100.7 lladdr 02:00:00:00:09:07 dev clients nud permanent",
    "neighbour add 198.51.100.66 lladdr 02:00:00:00:09:42 dev clients nud permanent",
    "neighbour add 198.51.100.77 lladdr 02:00:00:00:09:4d dev clients nud permanent",
    "neighbour add 198.51.100.99 lladdr 02:00:00:00:09:63 dev clients nud permanent",
    "neighbour add 2001:db8:c::5 lladdr 02:00:00:00:09:05 dev clients nud permanent",
    "neighbour add 2001:db8:c::6 lladdr 02:00:00:00:09:06 dev clients nud permanent",
    "neighbour add 2001:db8:c::7 lladdr 02:00:00:00:09:07 dev clients nud permanent",
    "neighbour add 2001:db8:c::42 lladdr 02:00:00:00:09:42 dev clients nud permanent",
    "neighbour add 2001:db8:c::4d lladdr 02:00:00:00:09:4d dev clients nud permanent",
    "neighbour add 2001:db8:c::63 lladdr 02:00:00:00:09:63 dev clients nud permanent",
];

/// The MAC address of a client, or of the gateway towards it.
pub(crate) fn client_mac(address: IpAddr) -> Option<[u8; 6]> {
    let known = [false, true].into_iter().flat_map(|v6| KNOWN.map(|host| (client(v6, host), host)));
    let host = known.into_iter().find(|(known, _)| *known == address).map(|(_, host)| host);
    let gated = |v6| {
        let behind = BEHIND.map(|interface| client_behind(v6, interface, 5));
        [far_client(v6, 5), narrow_client(v6, 5)].into_iter().chain(behind)
    };
    let far = gated(false).chain(gated(true)).any(|gated| gated == address).then_some(0xfe);
    Some([2, 0, 0, 0, 9, host.or(far)?])
}

/// The routes that [`HOST`] makes, of a host that forwards.
pub fn routes() -> Routes {
    let (mut routes, mut mtus) = (Vec::new(), Vec::new());
    for v6 in [false, true] {
        let (host, network) = if v6 { (128, 64) } else { (32, 24) };
        let mut add = |address, length, towards| {
            routes.extend(Prefix::new(address, length).ok().map(|prefix| (prefix, towards)));
        };
        let neighbour = |mac| Towards::Neighbour { interface: CLIENTS, source: CLIENTS_MAC, destination: mac };
        for last in KNOWN {
            add(client(v6, last), host, neighbour([2, 0, 0, 0, 9, last]));
        }
        add(client(v6, OWN), host, Towards::Own);
        // Clients other than these are asked for, as far as there are packets to them.
        add(client(v6, 0), network, Towards::Unresolved { interface: CLIENTS, next_hop: client(v6, 0) });
        add(far_client(v6, 0), network, neighbour([2, 0, 0, 0, 9, 0xfe]));
        add(narrow_client(v6, 0), network, neighbour([2, 0, 0, 0, 9, 0xfe]));
        for interface in BEHIND {
            let gateway = Towards::Neighbour { interface, source: CLIENTS_MAC, destination: [2, 0, 0, 0, 9, 0xfe] };
            add(client_behind(v6, interface, 0), network, gateway);
        }
        mtus.extend(Prefix::new(narrow_client(v6, 0), network).ok().map(|prefix| (prefix, NARROW)));
    }
    Routes { forwards: true, closed: vec![CLOSED], routes, mtus }
}

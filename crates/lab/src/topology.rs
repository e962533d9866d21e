//! A topology as data: nodes, the segments that join them, addresses, routes and kernel settings.
//!
//! A segment is a bridge inside one of the nodes (the router, as a rule), so that a topology needs no node that exists
//! only to be a switch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and the length of its prefix.
pub type Net = (IpAddr, u8);

/// A set of nodes and the cables between them.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    /// In the order they are built; a node's cables lead to nodes before it.
    pub nodes: Vec<Node>,
}

/// One machine: a network namespace.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its name inside the lab.
    pub name: String,
    /// Its interfaces besides `lo`.
    pub interfaces: Vec<Interface>,
    /// Addresses on `lo`, besides the loopback ones.
    pub loopback: Vec<Net>,
    /// Where everything else goes.
    pub gateways: Vec<IpAddr>,
    /// Passes packets on.
    pub forwards: bool,
    /// Settings below `net/`, as path and value, written after the interfaces exist.
    pub settings: Vec<(String, String)>,
}

/// One interface of a node.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Its name inside the node.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its addresses.
    pub addresses: Vec<Net>,
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A bridge that other nodes plug into.
    Bridge,
    /// One end of a cable; the other is an interface of another node.
    Cable {
        /// The node at the other end.
        node: String,
        /// The name of the other end there.
        peer: String,
        /// The bridge there that the other end is a port of; without one the other end has `peer_addresses`.
        bridge: Option<String>,
        /// Addresses of the other end.
        peer_addresses: Vec<Net>,
    },
}

/// The addresses of a direct-routing topology; two networks with a router between them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The client's own network: the router is the first of each pair, the client the second.
    pub client: Vec<(IpAddr, IpAddr, u8)>,
    /// The router's address in the director's network, for each family.
    pub router: Vec<Net>,
    /// More addresses of the router, on its `lo`: those of other hosts a set-up speaks of.
    pub elsewhere: Vec<Net>,
    /// The director's own addresses.
    pub director: Vec<Net>,
    /// The virtual addresses.
    pub vips: Vec<IpAddr>,
    /// The addresses of every real server.
    pub real_servers: Vec<Vec<Net>>,
    /// The director's addresses in a network of its own, behind it; empty: there is none.
    pub inner: Vec<Net>,
    /// The addresses of each host there, whose gateway is the director.
    pub inside: Vec<Vec<Net>>,
}

impl Plan {
    /// The addresses of `evenkeel lab dr`: 10.77.0.0/24 with the VIP 10.77.0.100, and the same in IPv6.
    pub fn lab() -> Self {
        let v4 = |last| (IpAddr::from([10, 77, 0, last]), 24);
        let v6 = |last| (IpAddr::from(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last)), 64);
        let far = |last| IpAddr::from([10, 77, 9, last]);
        let far6 = |last| IpAddr::from(Ipv6Addr::new(0xfd77, 9, 0, 0, 0, 0, 0, last));
        Self {
            client: vec![(far(1), far(9), 24), (far6(1), far6(9), 64)],
            router: vec![v4(1), v6(1)],
            elsewhere: Vec::new(),
            director: vec![v4(2), v6(2)],
            vips: vec![v4(100).0, v6(0x100).0],
            real_servers: vec![vec![v4(11), v6(0x11)], vec![v4(12), v6(0x12)]],
            inner: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// The same with a network 10.78.0.0/24 (and IPv6) behind the director, for real servers that are reached by
    /// translation: up to 200 hosts, whose gateway the director is.
    pub fn with_inside(self, hosts: u8) -> Self {
        let v4 = |last| (IpAddr::from([10, 78, 0, last]), 24);
        let v6 = |last| (IpAddr::from(Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, last)), 64);
        let inside = (1..=hosts.min(200)).map(|host| vec![v4(10 + host), v6(0x10 + u16::from(host))]).collect();
        Self { inner: vec![v4(1), v6(1)], inside, ..self }
    }

    /// IPv4 addresses of one /24: what `last` names in the network of `vip`.
    pub fn ipv4(vip: Ipv4Addr, router: u8, director: u8, real_servers: &[Ipv4Addr]) -> Self {
        let [a, b, c, _] = vip.octets();
        let near = |last| (IpAddr::from([a, b, c, last]), 24);
        Self {
            client: vec![(IpAddr::from([10, 77, 9, 1]), IpAddr::from([10, 77, 9, 9]), 24)],
            router: vec![near(router)],
            elsewhere: Vec::new(),
            director: vec![near(director)],
            vips: vec![vip.into()],
            real_servers: real_servers.iter().map(|address| vec![(IpAddr::from(*address), 24)]).collect(),
            inner: Vec::new(),
            inside: Vec::new(),
        }
    }
}

/// The name of the `number`th real server, counted from 1.
pub fn real_server_name(number: usize) -> String {
    format!("real-{number}")
}

/// Client, router, director and real servers. The director has its VIPs on `eth0`, and on `lo` as well when asked: one
/// guide in the field does so.
pub fn dr(plan: &Plan, vip_on_lo: bool) -> Topology {
    let addresses = |nets: &[Net]| nets.to_vec();
    let router = Node {
        name: "router".into(),
        interfaces: vec![Interface { name: "br0".into(), kind: Kind::Bridge, addresses: addresses(&plan.router) }],
        loopback: plan.elsewhere.clone(),
        forwards: true,
        ..Node::default()
    };
    let client = Node {
        name: "client".into(),
        interfaces: vec![Interface {
            name: "eth0".into(),
            kind: Kind::Cable {
                node: "router".into(),
                peer: "client".into(),
                bridge: None,
                peer_addresses: plan.client.iter().map(|(router, _, length)| (*router, *length)).collect(),
            },
            addresses: plan.client.iter().map(|(_, client, length)| (*client, *length)).collect(),
        }],
        gateways: plan.client.iter().map(|(router, _, _)| *router).collect(),
        ..Node::default()
    };
    let near = |name: &str, nets: Vec<Net>| Node {
        name: name.into(),
        interfaces: vec![Interface {
            name: "eth0".into(),
            kind: Kind::Cable {
                node: "router".into(),
                peer: name.into(),
                bridge: Some("br0".into()),
                peer_addresses: Vec::new(),
            },
            addresses: nets,
        }],
        gateways: plan.router.iter().map(|(address, _)| *address).collect(),
        ..Node::default()
    };
    let vips: Vec<Net> = plan.vips.iter().map(|vip| (*vip, host_length(*vip))).collect();
    let mut director = near("director", plan.director.iter().chain(&vips).copied().collect());
    if vip_on_lo {
        director.loopback = vips;
    }
    if plan.inside.len() > 1 {
        let inner = Interface { name: INNER.into(), kind: Kind::Bridge, addresses: plan.inner.clone() };
        director.interfaces.push(inner);
    }
    let mut nodes = vec![router, client, director];
    for (number, nets) in (1..).zip(&plan.real_servers) {
        nodes.push(near(&real_server_name(number), nets.clone()));
    }
    nodes.extend((1..).zip(&plan.inside).map(|(number, nets)| behind(plan, &inside_name(number), nets)));
    Topology { nodes }
}

/// The director's interface to the network behind it.
pub const INNER: &str = "in0";

/// A host behind the director: one by itself has a cable of its own, several share a bridge.
fn behind(plan: &Plan, name: &str, nets: &[Net]) -> Node {
    let shared = plan.inside.len() > 1;
    Node {
        name: name.into(),
        interfaces: vec![Interface {
            name: "eth0".into(),
            kind: Kind::Cable {
                node: "director".into(),
                peer: if shared { name } else { INNER }.into(),
                bridge: shared.then(|| INNER.into()),
                peer_addresses: if shared { Vec::new() } else { plan.inner.clone() },
            },
            addresses: nets.to_vec(),
        }],
        gateways: plan.inner.iter().map(|(address, _)| *address).collect(),
        ..Node::default()
    }
}

/// The name of the `number`th host behind the director, counted from 1.
pub fn inside_name(number: usize) -> String {
    format!("inside-{number}")
}

/// The nodes of a [`pair`].
pub const PAIR: [&str; 2] = ["ha1", "ha2"];
/// The node of a [`pair`] that is both switches, and the router that it pings.
pub const SWITCH: &str = "net";
/// The address that moves between the nodes of a [`pair`].
pub const PAIR_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 168, 0, 160));

/// Two nodes with eth0 at a switch that is the router 10.168.0.1 and has the client as well, and eth1 for heartbeats. Ports of the
/// switches: `ha1`, `ha2` for eth0, `line1`, `line2` for eth1.
pub fn pair() -> Topology {
    cluster(&PAIR)
}

/// The same with other nodes, 99 at most, whose addresses and `line`s are numbered from 1.
pub fn cluster(names: &[&str]) -> Topology {
    let v4 = |a, b, c, d| (IpAddr::from([a, b, c, d]), 24);
    let bridge = |name: &str, addresses| Interface { name: name.into(), kind: Kind::Bridge, addresses };
    let switch = Node {
        name: SWITCH.into(),
        interfaces: vec![bridge("br0", vec![v4(10, 168, 0, 1)]), bridge("br1", Vec::new())],
        ..Node::default()
    };
    let cable = |name: &str, peer: String, bridge: &str, address| Interface {
        name: name.into(),
        kind: Kind::Cable { node: SWITCH.into(), peer, bridge: Some(bridge.into()), peer_addresses: Vec::new() },
        addresses: vec![address],
    };
    let node = |name: &str, at: u8| Node {
        name: name.into(),
        interfaces: vec![
            cable("eth0", name.to_owned(), "br0", v4(10, 168, 0, 160 + at)),
            cable("eth1", format!("line{at}"), "br1", v4(10, 0, 0, at)),
        ],
        ..Node::default()
    };
    let client = Node {
        name: "client".into(),
        interfaces: vec![cable("eth0", "client".into(), "br0", v4(10, 168, 0, 9))],
        ..Node::default()
    };
    let nodes = names.iter().zip(1..).map(|(name, at)| node(name, at));
    Topology { nodes: [switch].into_iter().chain(nodes).chain([client]).collect() }
}

/// The length of a prefix that holds one address.
pub fn host_length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

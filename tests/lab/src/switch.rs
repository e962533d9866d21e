//! Hosts on one switch.

use evenkeel_lab::topology::{Interface, Kind, Net, Node, Topology};

/// The node that is the switch; its ports have the hosts' names.
pub const SWITCH: &str = "switch";

/// A topology of these hosts, each with its addresses on `eth0`.
pub fn topology<'a>(hosts: impl IntoIterator<Item = (&'a str, Vec<Net>)>) -> Topology {
    let bridge = Interface { name: "br0".into(), kind: Kind::Bridge, addresses: Vec::new() };
    let switch = Node { name: SWITCH.into(), interfaces: vec![bridge], ..Node::default() };
    let host = |(name, addresses): (&str, Vec<Net>)| Node {
        name: name.into(),
        interfaces: vec![Interface {
            name: "eth0".into(),
            kind: Kind::Cable {
                node: SWITCH.into(),
                peer: name.into(),
                bridge: Some("br0".into()),
                peer_addresses: Vec::new(),
            },
            addresses,
        }],
        ..Node::default()
    };
    Topology { nodes: [switch].into_iter().chain(hosts.into_iter().map(host)).collect() }
}

//! Makes the namespaces, cables, addresses and routes of a topology, in this process and through netlink.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use evenkeel_netlink::{Address, Netlink, RouteEntry, VethEnd};
use evenkeel_os::{Namespace, Sysctl};

use crate::error::Error;
use crate::node::Node;
use crate::topology::{Interface, Kind, Net, Node as Plan, Topology};

/// Kernel settings every node gets: a new namespace takes some of the host's, and a lab has to be the same everywhere.
const SETTINGS: &[(&[&str], &str)] = &[
    (&["net", "ipv4", "conf", "all", "rp_filter"], "0"),
    (&["net", "ipv4", "conf", "default", "rp_filter"], "0"),
    (&["net", "ipv4", "conf", "all", "arp_ignore"], "0"),
    (&["net", "ipv4", "conf", "default", "arp_ignore"], "0"),
    (&["net", "ipv4", "conf", "all", "arp_announce"], "0"),
    (&["net", "ipv4", "conf", "default", "arp_announce"], "0"),
    (&["net", "ipv4", "conf", "all", "send_redirects"], "0"),
    (&["net", "ipv4", "conf", "default", "send_redirects"], "0"),
    (&["net", "ipv6", "conf", "all", "disable_ipv6"], "0"),
    (&["net", "ipv6", "conf", "default", "disable_ipv6"], "0"),
    (&["net", "ipv6", "conf", "all", "accept_dad"], "0"),
    (&["net", "ipv6", "conf", "default", "accept_dad"], "0"),
    (&["net", "ipv6", "conf", "all", "accept_ra"], "0"),
    (&["net", "ipv6", "conf", "default", "accept_ra"], "0"),
];

/// A namespace under construction.
struct Site {
    namespace: Namespace,
    netlink: Netlink,
}

/// Builds the topology; `namespace` names the namespace of a node.
pub(crate) fn build(topology: &Topology, namespace: impl Fn(&str) -> String) -> Result<BTreeMap<String, Node>, Error> {
    let mut sites = BTreeMap::new();
    for node in &topology.nodes {
        let made = Namespace::create(&namespace(&node.name))?;
        let netlink = Netlink::open_in(made.as_fd())?;
        let forwards = node.forwards;
        made.run(move || settings(forwards))??;
        let mut site = Site { namespace: made, netlink };
        set_up(&mut site, "lo", &node.loopback)?;
        for interface in node.interfaces.iter().filter(|interface| interface.kind == Kind::Bridge) {
            site.netlink.create_bridge(&interface.name)?;
            set_up(&mut site, &interface.name, &interface.addresses)?;
        }
        sites.insert(node.name.clone(), site);
    }
    for node in &topology.nodes {
        for interface in &node.interfaces {
            plug(&mut sites, &node.name, interface)?;
        }
        finish(&mut sites, node)?;
    }
    let mut nodes = BTreeMap::new();
    for node in &topology.nodes {
        nodes.insert(node.name.clone(), Node::new(&node.name, &namespace(&node.name))?);
    }
    Ok(nodes)
}

/// Lays the cable of an interface.
fn plug(sites: &mut BTreeMap<String, Site>, name: &str, interface: &Interface) -> Result<(), Error> {
    let Kind::Cable { node, peer, bridge, peer_addresses } = &interface.kind else { return Ok(()) };
    let missing = || Error::new(format!("the topology has no node {node}, where a cable of {name} leads"));
    let mut site = sites.remove(name).ok_or_else(missing)?;
    let other = sites.get_mut(node).ok_or_else(missing)?;
    let far_end = VethEnd::new(peer).in_namespace(other.namespace.as_fd());
    site.netlink.create_veth(VethEnd::new(&interface.name), far_end)?;
    let far_index = set_up(other, peer, peer_addresses)?;
    if let Some(bridge) = bridge {
        let master = index(other, bridge)?;
        other.netlink.set_master(far_index, Some(master))?;
    }
    set_up(&mut site, &interface.name, &interface.addresses)?;
    sites.insert(name.to_owned(), site);
    Ok(())
}

/// Routes and settings, which need the interfaces up.
fn finish(sites: &mut BTreeMap<String, Site>, node: &Plan) -> Result<(), Error> {
    let Some(site) = sites.get_mut(&node.name) else { return Ok(()) };
    for gateway in &node.gateways {
        site.netlink.add_route(&RouteEntry::default_via(*gateway))?;
    }
    if node.settings.is_empty() {
        return Ok(());
    }
    let settings = node.settings.clone();
    site.namespace.run(move || {
        for (path, value) in &settings {
            let parts: Vec<&str> = std::iter::once("net").chain(path.split('/')).collect();
            Sysctl::new(&parts)?.write(value)?;
        }
        Ok::<(), Error>(())
    })?
}

/// Sets an interface up and gives it its addresses.
fn set_up(site: &mut Site, name: &str, addresses: &[Net]) -> Result<u32, Error> {
    let index = index(site, name)?;
    for (address, length) in addresses {
        site.netlink.add_address(&Address::new(index, *address, *length))?;
    }
    site.netlink.set_up(index, true)?;
    // Setting an interface up is what gives IPv6 its routes; addresses from before that are kept.
    Ok(index)
}

fn index(site: &mut Site, name: &str) -> Result<u32, Error> {
    let link = site.netlink.link(name)?;
    link.map(|link| link.index).ok_or_else(|| Error::new(format!("the interface {name} is not there")))
}

fn settings(forwards: bool) -> Result<(), Error> {
    let write = |parts: &[&str], value: &str| {
        let setting = Sysctl::new(parts)?;
        // A kernel without IPv6 has none of its settings.
        if setting.exists() { setting.write(value).map_err(Error::from) } else { Ok(()) }
    };
    for (parts, value) in SETTINGS {
        write(parts, value)?;
    }
    let value = if forwards { "1" } else { "0" };
    write(&["net", "ipv4", "ip_forward"], value)?;
    write(&["net", "ipv6", "conf", "all", "forwarding"], value)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::record::Record;
    use crate::topology::{Plan, dr};

    #[test]
    fn nodes_reach_each_other_through_the_router_in_both_families() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root, for network namespaces");
            return;
        }
        let record = Record::take(&format!("b{}", std::process::id())).unwrap();
        let mut plan = Plan::lab();
        plan.elsewhere = vec![(Ipv4Addr::new(172, 20, 17, 20).into(), 32)];
        let nodes = build(&dr(&plan, true), |node| record.namespace(node)).unwrap();
        let places = [("real-1", plan.real_servers[0][0].0), ("real-2", plan.real_servers[1][1].0)];
        let more = [("director", plan.vips[0]), ("director", plan.vips[1]), ("router", plan.elsewhere[0].0)];
        for (name, address) in places.into_iter().chain(more) {
            let peer = through(&nodes["client"], &nodes[name], address);
            let own = plan.client.iter().map(|(_, client, _)| *client).find(|own| own.is_ipv4() == address.is_ipv4());
            assert_eq!(Some(peer), own, "{name} was to see the client's own address");
        }
        drop(nodes);
        record.end().unwrap();
    }

    /// Sends a byte from `client` to `address` on `server`; the address that the server saw it come from.
    fn through(client: &Node, server: &Node, address: IpAddr) -> IpAddr {
        let target = SocketAddr::new(address, 7);
        let listener = server.run(move || TcpListener::bind(target)).unwrap().unwrap();
        let sender = client.run(move || TcpStream::connect_timeout(&target, Duration::from_secs(5))).unwrap();
        let mut sender = sender.unwrap_or_else(|error| panic!("{target}: {error}"));
        let (mut received, peer) = listener.accept().unwrap();
        sender.write_all(b"x").unwrap();
        drop(sender);
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        peer.ip()
    }
}

//! The host's network as the daemon follows it: interfaces for the doors, next hops for the real servers.

mod gateways;
mod ground;
mod hops;

pub(crate) use hops::Hop;

use crate::{
    claims::Claims,
    clock::Clock,
    doors::Numbered,
    follows::Follows,
    interfaces::{self, Interface},
};
use evenkeel_dataplane::Egress;
use evenkeel_dataplane_ebpf::ways_out;
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::{Cluster, Prefix};
use evenkeel_netlink::{
    Address, Event, Link, LinkKind, MacAddress, Monitor, NeighbourSocket, Netlink, RouteKind,
    nexthop::{Heard, Input, NextHops, Output, Question},
};
use gateways::Gateways;
use ground::Ground;
use hops::Hops;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, RawFd},
};
use tokio::io::{Interest, unix::AsyncFd};

/// The routing table that hosts use unless told otherwise.
const MAIN: u32 = 254;
/// Addresses that are asked for one by one whether they are this host's own.
const ASKED_ONE_BY_ONE: usize = 32;
/// Batches of news taken in one turn of the loop.
const TURN: usize = 16;

/// Follows the network.
pub(crate) struct Network {
    clock: Clock,
    netlink: Netlink,
    monitor: AsyncFd<Readable<Monitor>>,
    /// `None`: not permitted, so the kernel's neighbour table is all there is.
    neighbours: Option<AsyncFd<Readable<NeighbourSocket>>>,
    machine: NextHops,
    out: Outbox<Output>,
    wanted: BTreeSet<IpAddr>,
    addresses: Vec<Address>,
    ground: Ground,
    /// The ways out that were told last.
    told: BTreeMap<u32, Egress>,
    hops: Hops,
    gateways: Gateways,
    claims: Claims,
    trouble: Option<String>,
}

struct Readable<T>(T);

impl<T: AsFd> AsRawFd for Readable<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Network {
    /// Of the network namespace the daemon runs in.
    pub(crate) fn open(clock: Clock) -> Result<Network, String> {
        let netlink = Netlink::open().map_err(|e| format!("cannot follow the host's network: {e}"))?;
        let monitor = Monitor::open().map_err(|e| format!("cannot follow the host's network: {e}"))?;
        let register = |e: io::Error| format!("cannot follow the host's network: {e}");
        let monitor = registered(monitor).map_err(register)?;
        let (neighbours, trouble) = match NeighbourSocket::open() {
            Ok(socket) => (Some(registered(socket).map_err(register)?), None),
            Err(e) => (None, Some(format!("a real server that changes its MAC address is followed late: {e}"))),
        };
        let mut network = Network {
            clock,
            netlink,
            monitor,
            neighbours,
            machine: NextHops::new(),
            out: Outbox::new(),
            wanted: BTreeSet::new(),
            addresses: Vec::new(),
            ground: Ground::default(),
            told: BTreeMap::new(),
            hops: Hops::default(),
            gateways: Gateways::default(),
            claims: Claims::default(),
            trouble,
        };
        network.read_facts()?;
        Ok(network)
    }

    /// What the operator should know of how well the network is followed.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Waits until there are news.
    pub(crate) async fn changed(&self) {
        let heard = async {
            match &self.neighbours {
                Some(socket) => socket.readable().await.map(drop),
                None => std::future::pending().await,
            }
        };
        // An error comes only when the runtime ends.
        tokio::select! {
            _ = self.monitor.readable() => {}
            _ = heard => {}
        }
    }

    /// Takes the news; says whether interfaces, their addresses or default routes are among them.
    pub(crate) fn read(&mut self) -> bool {
        let mut interfaces = false;
        for _ in 0..TURN {
            let events = take(&mut self.monitor, |m| m.read_events());
            let heard: Vec<Heard> = match &mut self.neighbours {
                Some(socket) => take(socket, |s| s.read_heard()),
                None => Vec::new(),
            };
            if events.is_empty() && heard.is_empty() {
                break;
            }
            for event in events {
                interfaces |= touches_interfaces(&event);
                if self.ground.note(&event) {
                    self.hops.recheck();
                }
                self.gateways.note(self.clock.now(), &event);
                self.tell(Input::Event(event));
            }
            for heard in heard {
                if self.claims.concerns(heard.ip) && !self.ground.has_mac(heard.mac) {
                    self.claims.hear(heard.ip, heard.mac, self.clock.now());
                }
                self.tell(Input::Heard(heard));
            }
        }
        interfaces
    }

    /// When [`Network::due`] next wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.machine.deadline(), self.gateways.deadline()].into_iter().flatten().min()
    }

    /// Asks those whose time has come.
    pub(crate) fn due(&mut self) {
        self.machine.handle_timeout(self.clock.now(), &mut self.out);
        self.carry_out();
        self.use_gateways();
    }

    /// Keeps the gateways known to the kernel that answers may leave by, of IPv4 and of IPv6.
    pub(crate) fn keep_gateways(&mut self, families: [bool; 2]) {
        self.gateways.want(self.clock.now(), families);
        self.use_gateways();
    }

    fn use_gateways(&mut self) {
        let now = self.clock.now();
        if self.gateways.reads(now) {
            match self.netlink.routes() {
                Ok(routes) => self.gateways.routes(&routes),
                // They are read again with the next turn.
                Err(e) => self.trouble = Some(format!("cannot read the routes that answers take: {e}")),
            }
        }
        for (ifindex, ip) in self.gateways.due(now) {
            // On an interface that is down, say: it is tried again.
            drop(self.netlink.resolve(ifindex, ip));
        }
    }

    /// These addresses have come here by election or with a group, each on its interface; nobody else may have them.
    pub(crate) fn hold(&mut self, addresses: BTreeSet<(IpAddr, String)>) {
        self.claims.hold(addresses, self.clock.now());
    }

    /// Asks the link now and then who else has an address that is here; gives those who said so.
    pub(crate) fn rivals(&mut self) -> Vec<(IpAddr, MacAddress)> {
        let now = self.clock.now();
        for (ip, interface) in self.claims.due(now) {
            let (Some(socket), Some(link)) = (&self.neighbours, self.ground.named(&interface)) else { continue };
            let Some(source_mac) = link.mac else { continue };
            let question = Question { ifindex: link.index, ip, destination: None, source: None, source_mac };
            // One that is lost is asked again.
            drop(socket.get_ref().0.ask(&question));
        }
        self.claims.settle(now)
    }

    /// Watches the way to one more real server.
    pub(crate) fn want(&mut self, real_server: IpAddr) {
        if self.wanted.insert(real_server) {
            self.tell(Input::Want(real_server));
        }
    }

    /// Its way is of no interest any more.
    pub(crate) fn forget(&mut self, real_server: IpAddr) {
        if self.wanted.remove(&real_server) {
            self.hops.forget(real_server);
            self.tell(Input::Forget(real_server));
        }
    }

    /// Addresses are virtual, or not any more.
    pub(crate) fn virtual_addresses(&mut self, destinations: &[Prefix], are_virtual: bool) {
        let addresses: BTreeSet<IpAddr> = destinations.iter().copied().filter_map(one_address).collect();
        for address in &addresses {
            if are_virtual {
                self.ground.vips_mut().insert(*address);
            } else {
                self.ground.vips_mut().remove(address);
            }
        }
        // No packet to a real server may come from one.
        if !addresses.is_empty() && self.hops.come_from(&addresses) {
            self.hops.recheck();
        }
    }

    /// The interfaces that lead to these real servers, and one of them for each.
    pub(crate) fn ways_to(&self, real_servers: impl Iterator<Item = IpAddr>) -> BTreeMap<u32, IpAddr> {
        let way = |ip: IpAddr| self.hops.way(ip).filter(|route| !route.is_local).map(|route| (route.ifindex, ip));
        real_servers.filter_map(way).collect()
    }

    /// Those of these addresses that are this host's own.
    pub(crate) fn own_of(&mut self, addresses: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        // Each is a question to the kernel; of many it is less to read what there is.
        if addresses.len() > ASKED_ONE_BY_ONE {
            let own = self.own_addresses();
            return addresses.intersection(&own).copied().collect();
        }
        let mut is_own = |ip: &&IpAddr| matches!(self.netlink.route_to(**ip), Ok(Some(route)) if route.is_local);
        addresses.iter().filter(|ip| is_own(ip)).copied().collect()
    }

    /// Watches the ways to these real servers, and no others.
    pub(crate) fn follow(&mut self, follows: &Follows) {
        let wanted = follows.servers();
        self.ground.set_vips(follows.destinations().into_iter().filter_map(one_address).collect());
        self.hops.recheck();
        if wanted == self.wanted {
            return self.due();
        }
        let old = std::mem::replace(&mut self.wanted, wanted.clone());
        for gone in old.difference(&wanted) {
            self.hops.forget(*gone);
            self.tell(Input::Forget(*gone));
        }
        for new in wanted.difference(&old) {
            self.tell(Input::Want(*new));
        }
        self.due();
    }

    /// How XDP leaves by the interfaces that it can send by, if that is new since the last call.
    pub(crate) fn ways_out(&mut self) -> Option<BTreeMap<u32, Egress>> {
        let ways = self.ground.ways_out();
        if *ways == self.told {
            return None;
        }
        self.told.clone_from(ways);
        Some(self.told.clone())
    }

    /// The ways that are new since the last call.
    pub(crate) fn settle(&mut self) -> Vec<Hop> {
        self.hops.settle(&self.ground)
    }

    /// Whether a real server's way may still become known soon.
    pub(crate) fn is_waiting(&self) -> bool {
        self.wanted.iter().any(|ip| self.hops.is_open(*ip))
    }

    /// How the real servers are reached, for status.
    pub(crate) fn next_hops(&self) -> BTreeMap<IpAddr, String> {
        self.hops.texts(&self.ground)
    }

    /// The real servers no way is known to.
    pub(crate) fn unreachable(&self) -> BTreeSet<IpAddr> {
        self.hops.lost()
    }

    fn tell(&mut self, input: Input) {
        self.machine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.out.pop() {
            match output {
                Output::ReadFacts => {
                    if let Err(why) = self.read_facts() {
                        self.trouble = Some(why);
                    }
                }
                Output::AskRoute(ip) => {
                    // What cannot be asked for is looked at again by the machine's own audit.
                    let route = self.netlink.route_to(ip).ok().flatten();
                    self.hops.route(ip, route);
                    self.machine.handle(self.clock.now(), Input::Route { ip, route }, &mut self.out);
                }
                // Failing is like not being answered: it is asked again.
                Output::Resolve { ifindex, ip } => drop(self.netlink.resolve(ifindex, ip)),
                Output::Probe(question) => {
                    if let Some(socket) = &self.neighbours {
                        drop(socket.get_ref().0.ask(&question));
                    }
                }
                Output::Outcome { real_server, outcome } => self.hops.outcome(real_server, outcome, &self.ground),
            }
        }
    }

    fn read_facts(&mut self) -> Result<(), String> {
        let explain = |e: evenkeel_netlink::Error| format!("cannot read the host's network: {e}");
        let links = self.netlink.links().map_err(explain)?;
        let addresses = self.netlink.addresses().map_err(explain)?;
        self.ground.links(&links);
        self.ground.addresses(&addresses);
        self.hops.recheck();
        self.addresses.clone_from(&addresses);
        self.machine.handle(self.clock.now(), Input::Facts { links, addresses }, &mut self.out);
        Ok(())
    }

    /// The addresses of this host.
    pub(crate) fn own_addresses(&mut self) -> BTreeSet<IpAddr> {
        // Without news the ones known last are taken.
        if let Ok(addresses) = self.netlink.addresses() {
            self.addresses = addresses;
        }
        self.addresses.iter().map(|address| address.address).collect()
    }

    /// The address that a probe of `target` must come from, where the kernel would choose a virtual one: the real server
    /// has that address as well, and would answer to itself.
    pub(crate) fn source(&self, target: IpAddr) -> Option<IpAddr> {
        self.ground.instead_of_vip(target, &self.hops.way(target)?)
    }

    /// The interfaces as they are now. Default routes are looked for only where the choice for `vips` hangs on them:
    /// a router has a million routes to look through.
    pub(crate) fn interfaces(&mut self, vips: &BTreeSet<Prefix>) -> Result<Vec<Numbered>, String> {
        let explain = |e: evenkeel_netlink::Error| format!("cannot list the host's interfaces: {e}");
        let links = self.netlink.links().map_err(explain)?;
        let mut addresses: BTreeMap<u32, Vec<(IpAddr, u8)>> = BTreeMap::new();
        self.addresses = self.netlink.addresses().map_err(explain)?;
        let vmacs = vmacs(&links);
        for address in &self.addresses {
            let ifindex = vmacs.get(&address.ifindex).unwrap_or(&address.ifindex);
            addresses.entry(*ifindex).or_default().push((address.address, address.prefix));
        }
        let ways_out = ways_out(&links);
        let one = |link: Link| Numbered {
            index: link.index,
            is_card: link.kind == LinkKind::Physical,
            is_deaf: link.kind == LinkKind::Vlan && !ways_out.contains_key(&link.index),
            interface: Interface {
                usable: link.up
                    && !vmacs.contains_key(&link.index)
                    && !matches!(link.kind, LinkKind::Loopback | LinkKind::Dummy),
                addresses: addresses.remove(&link.index).unwrap_or_default(),
                default4: false,
                default6: false,
                name: link.name,
            },
        };
        let mut host: Vec<Numbered> = links.into_iter().map(one).collect();
        let interfaces: Vec<Interface> = host.iter().map(|n| n.interface.clone()).collect();
        if interfaces::hangs_on_routes(vips, &interfaces) {
            self.add_default_routes(&mut host).map_err(explain)?;
        }
        Ok(host)
    }

    fn add_default_routes(&mut self, host: &mut [Numbered]) -> Result<(), evenkeel_netlink::Error> {
        for route in self.netlink.routes()? {
            let is_default = route.table == MAIN && route.kind == RouteKind::Unicast && route.destination.length() == 0;
            let Some(numbered) = host.iter_mut().find(|n| is_default && route.ifindex == Some(n.index)) else {
                continue;
            };
            if route.destination.address().is_ipv4() {
                numbered.interface.default4 = true;
            } else {
                numbered.interface.default6 = true;
            }
        }
        Ok(())
    }
}

/// Interfaces with the MAC address of a virtual router (RFC 9568 7.3), and what is below them: their packets come by
/// that, and are taken there, so that nothing is attached or taken off when the virtual router moves.
fn vmacs(links: &[Link]) -> BTreeMap<u32, u32> {
    let virtual_router = |mac: MacAddress| matches!(mac.0, [0x00, 0x00, 0x5e, 0x00, 0x01 | 0x02, _]);
    links
        .iter()
        .filter(|link| link.kind == LinkKind::Macvlan && !link.peer_elsewhere && link.mac.is_some_and(virtual_router))
        .filter_map(|link| Some((link.index, link.peer?)))
        .collect()
}

#[expect(deprecated, reason = "its successor is unsafe to call, and what it asks for, Readable's types keep")]
fn registered<T: AsFd>(source: T) -> io::Result<AsyncFd<Readable<T>>> {
    AsyncFd::new(Readable(source))
}

/// One batch; none when nothing waits, which is then waited for again.
fn take<T, I>(
    source: &mut AsyncFd<Readable<T>>,
    read: impl FnOnce(&mut T) -> Result<Vec<I>, evenkeel_netlink::Error>,
) -> Vec<I>
where
    T: AsFd,
{
    let batch = source.try_io_mut(Interest::READABLE, |readable| match read(&mut readable.0) {
        Ok(batch) if batch.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
        Ok(batch) => Ok(batch),
        Err(e) => Err(io::Error::other(e.to_string())),
    });
    batch.unwrap_or_default()
}

/// Whether the choice of interfaces may come out differently after this.
fn touches_interfaces(event: &Event) -> bool {
    match event {
        Event::Link(_) | Event::LinkGone(_) | Event::Address(_) | Event::AddressGone(_) | Event::Overrun => true,
        Event::Route(route) | Event::RouteGone(route) => route.destination.length() == 0,
        Event::Neighbour(_) | Event::NeighbourGone(_) | Event::Rule(_) | Event::RuleGone(_) => false,
    }
}

/// The address, where the prefix is of one.
fn one_address(prefix: Prefix) -> Option<IpAddr> {
    let bits = if prefix.address().is_ipv4() { 32 } else { 128 };
    (prefix.length() == bits).then(|| prefix.address())
}

/// A real server whose address is this host's own is served by this host itself.
pub(crate) fn localise(cluster: &mut Cluster, own: &BTreeSet<IpAddr>) {
    for service in &mut cluster.services {
        let port = service.key.port();
        let servers = service.real_servers.iter_mut().map(|r| (r.address, &mut r.forwarding));
        let fallback = service.fallback.iter_mut().map(|f| (f.address, &mut f.forwarding));
        for (address, forwarding) in servers.chain(fallback) {
            if own.contains(&address.ip()) || address.ip().is_loopback() {
                *forwarding = forwarding.on_own_host(port == 0 || port == address.port());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::Forwarding;

    #[test]
    fn a_real_server_is_this_host_only_where_its_address_is_and_its_port_needs_no_translation() {
        let text = "virtual=192.0.2.1:80\n\treal=192.0.2.2 gate\n\treal=192.0.2.3 masq\n\treal=192.0.2.5:8080 masq\n\
                    \treal=192.0.2.4 masq\n\tservice=http\n";
        let input = evenkeel_config::Input { path: "x.cf".into(), bytes: text.as_bytes().to_vec() };
        let read = evenkeel_config::load_texts(vec![input], None, &evenkeel_config::Host::NONE);
        let mut cluster = read.cluster.unwrap_or_else(|| panic!("{:?}", read.diagnostics));
        localise(&mut cluster, &["192.0.2.2", "192.0.2.3", "192.0.2.5"].map(|ip| ip.parse().unwrap()).into());
        let methods: Vec<Forwarding> = cluster.services[0].real_servers.iter().map(|r| r.forwarding).collect();
        assert_eq!(methods[..4], [Forwarding::Local, Forwarding::Local, Forwarding::Nat, Forwarding::Nat]);
    }
}

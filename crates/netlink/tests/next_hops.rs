//! The machine, the monitor and the neighbour socket together, against a kernel: a director's namespace and those of
//! its real servers.

#![allow(clippy::expect_used, reason = "a test")]

use std::{net::IpAddr, os::fd::AsFd, process, time::Duration};

use evenkeel_machine::{Machine, Outbox};
use evenkeel_model::Prefix;
use evenkeel_netlink::{
    Address, MacAddress, Monitor, NeighbourSocket, Netlink, RouteEntry, VethEnd,
    nexthop::{Input, NextHop, NextHops, Outcome, Output},
};
use evenkeel_os::{Clock, Namespace, Sysctl, clock::since_boot};
use rustix::event::{PollFd, PollFlags, poll};

const PATIENCE: Duration = Duration::from_secs(10);
/// What is promised is one second; the rest is for a busy machine.
const FOLLOWED: Duration = Duration::from_secs(2);

struct Host {
    name: String,
    namespace: Namespace,
    netlink: Netlink,
}

impl Host {
    fn new(test: &str, role: &str) -> Host {
        let name = format!("ek-nh-{}-{test}-{role}", process::id());
        let namespace = Namespace::create(&name).expect("create a namespace");
        let mut netlink = Netlink::open_in(namespace.as_fd()).expect("open netlink");
        let lo = netlink.link("lo").expect("ask").expect("lo").index;
        netlink.set_up(lo, true).expect("up");
        Host { name, namespace, netlink }
    }

    fn index(&mut self, interface: &str) -> u32 {
        self.netlink.link(interface).expect("ask").expect("the interface").index
    }

    fn mac(&mut self, interface: &str) -> MacAddress {
        self.netlink.link(interface).expect("ask").and_then(|link| link.mac).expect("a MAC address")
    }

    fn up(&mut self, interface: &str, addresses: &[(&str, u8)]) -> u32 {
        let index = self.index(interface);
        self.netlink.set_up(index, true).expect("up");
        for (address, prefix) in addresses {
            self.netlink.add_address(&Address::new(index, ip(address), *prefix)).expect("address");
        }
        index
    }

    fn sysctl(&self, parameter: &Sysctl, value: &str) {
        self.namespace.run(|| parameter.write(value)).expect("enter").expect("write");
    }

    fn cable(&mut self, interface: &str, other: &Host, theirs: &str) {
        let end = VethEnd::new(theirs).in_namespace(other.namespace.as_fd());
        self.netlink.create_veth(VethEnd::new(interface), end).expect("veth");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Namespace::delete(&self.name);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What the runtime does: feeds the machine and carries out what it wants.
struct Director {
    host: Host,
    clock: Clock,
    machine: NextHops,
    monitor: Monitor,
    ears: NeighbourSocket,
    asked: usize,
}

impl Director {
    fn new(test: &str) -> Option<Director> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let host = Host::new(test, "director");
        let monitor = Monitor::open_in(host.namespace.as_fd()).expect("monitor");
        let ears = NeighbourSocket::open_in(host.namespace.as_fd()).expect("packet sockets");
        Some(Director { host, clock: Clock::start(), machine: NextHops::new(), monitor, ears, asked: 0 })
    }

    fn start(&mut self, real_servers: &[&str]) {
        let links = self.host.netlink.links().expect("links");
        let addresses = self.host.netlink.addresses().expect("addresses");
        self.tell(Input::Facts { links, addresses });
        for real_server in real_servers {
            self.tell(Input::Want(ip(real_server)));
        }
    }

    fn tell(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.machine.handle(self.clock.now(), input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            let input = match output {
                Output::ReadFacts => {
                    let links = self.host.netlink.links().expect("links");
                    Input::Facts { links, addresses: self.host.netlink.addresses().expect("addresses") }
                }
                Output::AskRoute(ip) => Input::Route { ip, route: self.host.netlink.route_to(ip).expect("route") },
                Output::Resolve { ifindex, ip } => {
                    let _ = self.host.netlink.resolve(ifindex, ip);
                    continue;
                }
                Output::Probe(question) => {
                    self.ears.ask(&question).expect("ask");
                    self.asked += 1;
                    continue;
                }
                Output::Outcome { .. } => continue,
            };
            self.machine.handle(self.clock.now(), input, &mut out);
        }
    }

    fn step(&mut self) {
        let now = self.clock.now();
        let wait = self.machine.deadline().map_or(Duration::from_secs(1), |at| at - now);
        let wait = rustix::time::Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.monitor, PollFlags::IN), PollFd::new(&self.ears, PollFlags::IN)];
        poll(&mut fds, Some(&wait)).expect("poll");
        for event in self.monitor.read_events().expect("events") {
            self.tell(Input::Event(event));
        }
        for heard in self.ears.read_heard().expect("hear") {
            self.tell(Input::Heard(heard));
        }
        let mut out = Outbox::new();
        self.machine.handle_timeout(self.clock.now(), &mut out);
        self.carry_out(out);
    }

    /// Runs until `reached`, and says how long that took.
    fn run(&mut self, reached: impl Fn(&Director) -> bool) -> Duration {
        let begin = since_boot();
        while !reached(self) {
            assert!(since_boot() - begin < PATIENCE, "not reached within {PATIENCE:?}: {:?}", self.machine);
            self.step();
        }
        since_boot() - begin
    }

    /// Runs until every given real server has the wanted next hop.
    fn until(&mut self, real_servers: &[&str], wanted: impl Fn(&NextHop) -> bool) -> Duration {
        let reached = |director: &Director, s: &&str| match director.machine.outcome(ip(s)) {
            Some(Outcome::Resolved(hop)) => wanted(&hop),
            Some(Outcome::Local | Outcome::Unresolved(_)) | None => false,
        };
        self.run(|director| real_servers.iter().all(|s| reached(director, s)))
    }

    /// Runs until the regular questions have been asked a few times.
    fn settle(&mut self) {
        let asked = self.asked + 6;
        self.run(|director| director.asked >= asked);
    }
}

/// A director and one real server on a cable, both families.
fn pair(test: &str) -> Option<(Director, Host)> {
    let mut director = Director::new(test)?;
    let mut server = Host::new(test, "server");
    director.host.cable("eth0", &server, "eth0");
    director.host.up("eth0", &[("10.9.0.1", 24), ("fd09::1", 64)]);
    server.up("eth0", &[("10.9.0.2", 24), ("fd09::2", 64)]);
    for (family, parameter) in [("ipv4", "arp_notify"), ("ipv6", "ndisc_notify")] {
        let silent = Sysctl::new(&["net", family, "conf", "eth0", parameter]).expect("a name");
        server.sysctl(&silent, "0");
    }
    Some((director, server))
}

const BOTH: [&str; 2] = ["10.9.0.2", "fd09::2"];

#[test]
fn a_real_server_that_changes_its_mac_address_silently_is_followed() {
    let Some((mut director, mut server)) = pair("mac") else { return };
    let before = server.mac("eth0");
    director.start(&BOTH);
    let first = director.until(&BOTH, |hop| hop.destination_mac == before);
    director.settle();
    let eth0 = server.index("eth0");
    for (round, family) in [(1u8, &BOTH[..1]), (2, &BOTH[1..]), (3, &BOTH[..])] {
        let after = MacAddress([2, 0xee, 0, 0, 0, round]);
        server.netlink.set_mac(eth0, after).expect("change the MAC address");
        let took = director.until(family, |hop| hop.destination_mac == after);
        println!("resolved in {first:?}, followed {family:?} in {took:?}");
        assert!(took < FOLLOWED, "{took:?}");
        director.until(&BOTH, |hop| hop.destination_mac == after);
        director.settle();
    }
    let entries = director.host.netlink.neighbours().expect("neighbours");
    assert!(entries.iter().all(|n| n.state != evenkeel_netlink::NeighbourState::Permanent), "{entries:?}");
}

#[test]
fn real_servers_behind_a_gateway_follow_its_mac_address() {
    let Some((mut director, mut gateway)) = pair("gateway") else { return };
    let mut server = Host::new("gateway", "behind");
    gateway.cable("eth1", &server, "eth0");
    gateway.up("eth1", &[("10.10.0.1", 24), ("fd10::1", 64)]);
    server.up("eth0", &[("10.10.0.2", 24), ("fd10::2", 64)]);
    let network = |text: &str, length| RouteEntry::new(Prefix::new(ip(text), length).expect("a prefix"));
    director.host.netlink.add_route(&network("10.10.0.0", 24).via(ip("10.9.0.2"))).expect("v4 route");
    director.host.netlink.add_route(&network("fd10::", 64).via(ip("fd09::2"))).expect("v6 route");
    let far = ["10.10.0.2", "fd10::2"];
    let before = gateway.mac("eth0");
    director.start(&far);
    director.until(&far, |hop| hop.destination_mac == before && hop.gateway.is_some());
    director.settle();
    let after = MacAddress([2, 0xee, 0, 0, 1, 1]);
    let eth0 = gateway.index("eth0");
    gateway.netlink.set_mac(eth0, after).expect("change the MAC address");
    let took = director.until(&far, |hop| hop.destination_mac == after);
    println!("followed the gateway in {took:?}");
    assert!(took < FOLLOWED, "{took:?}");
}

#[test]
fn a_route_that_moves_to_another_interface_and_a_link_made_anew_are_followed() {
    let Some((mut director, mut server)) = pair("move") else { return };
    director.host.cable("eth1", &server, "eth1");
    let eth1 = director.host.up("eth1", &[]);
    server.up("eth1", &[]);
    director.start(&["10.9.0.2"]);
    let (near, far) = (server.mac("eth0"), server.mac("eth1"));
    director.until(&["10.9.0.2"], |hop| hop.destination_mac == near);

    let host_route = RouteEntry::new(Prefix::new(ip("10.9.0.2"), 32).expect("a prefix")).by(eth1);
    director.host.netlink.add_route(&host_route).expect("route");
    let own = director.host.mac("eth1");
    let took = director.until(&["10.9.0.2"], |hop| hop.ifindex == eth1 && hop.source_mac == own);
    println!("followed the route in {took:?}");
    director.until(&["10.9.0.2"], |hop| hop.destination_mac == far);

    director.host.netlink.delete_link(eth1).expect("delete");
    director.until(&["10.9.0.2"], |hop| hop.ifindex != eth1 && hop.destination_mac == near);
    let eth0 = director.host.index("eth0");
    director.host.netlink.delete_link(eth0).expect("delete");
    director.run(|d| matches!(d.machine.outcome(ip("10.9.0.2")), Some(Outcome::Unresolved(_))));
    director.host.cable("eth0", &server, "eth0");
    let anew = director.host.up("eth0", &[("10.9.0.1", 24)]);
    server.up("eth0", &[("10.9.0.2", 24)]);
    assert_ne!(anew, eth0);
    let took = director.until(&["10.9.0.2"], |hop| hop.ifindex == anew);
    println!("followed the new interface in {took:?}");
}

//! The real kernel's answers, in namespaces made for the purpose.

#![allow(clippy::expect_used, reason = "a test")]

mod bed;

use std::{net::IpAddr, os::fd::AsFd, process::Command};

use bed::Bed;
use evenkeel_model::Prefix;
use evenkeel_netlink::{
    Address, Event, Link, LinkKind, MacAddress, Monitor, NeighbourState, Netlink, RouteEntry, RouteKind, VethEnd,
};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn prefix(text: &str, length: u8) -> Prefix {
    Prefix::new(ip(text), length).expect("a prefix")
}

fn named(netlink: &mut Netlink, name: &str) -> Link {
    netlink.link(name).expect("ask").expect("the interface is there")
}

/// Two namespaces with a veth between them, up on both sides.
fn pair() -> Option<(Bed, Bed)> {
    let (one, other) = (Bed::new("a")?, Bed::new("b")?);
    let mut netlink = one.netlink();
    netlink
        .create_veth(VethEnd::new("eth0"), VethEnd::new("eth0").in_namespace(other.namespace.as_fd()))
        .expect("veth");
    for bed in [&one, &other] {
        let mut netlink = bed.netlink();
        for name in ["lo", "eth0"] {
            let index = named(&mut netlink, name).index;
            netlink.set_up(index, true).expect("up");
        }
    }
    Some((one, other))
}

#[test]
fn links_are_made_told_apart_changed_and_removed() {
    let Some(bed) = Bed::new("links") else { return };
    let mut netlink = bed.netlink();
    netlink.create_veth(VethEnd::new("v0"), VethEnd::new("v1")).expect("veth");
    netlink.create_bridge("br0").expect("bridge");
    let bridge = named(&mut netlink, "br0").index;
    let v0 = named(&mut netlink, "v0").index;
    // Not every kernel is built with these two.
    let vlan = netlink.create_vlan("v0.5", v0, 5).is_ok();
    let dummy = netlink.create_dummy("d0").is_ok();
    netlink.set_master(v0, Some(bridge)).expect("master");
    let mac: MacAddress = "02:00:00:00:00:07".parse().expect("mac");
    netlink.set_mac(v0, mac).expect("mac");
    netlink.set_mtu(v0, 1400).expect("mtu");

    let links = netlink.links().expect("links");
    let kinds: Vec<_> = links.iter().map(|l| (l.name.as_str(), l.kind.clone())).collect();
    let kind = |name| kinds.iter().find(|(n, _)| *n == name).map(|(_, k)| k.clone());
    assert_eq!(kind("lo"), Some(LinkKind::Loopback));
    assert_eq!(kind("v0"), Some(LinkKind::Veth));
    assert_eq!(kind("br0"), Some(LinkKind::Bridge));
    assert_eq!(kind("v0.5"), vlan.then_some(LinkKind::Vlan));
    assert_eq!(kind("d0"), dummy.then_some(LinkKind::Dummy));
    let v0 = named(&mut netlink, "v0");
    let v1 = named(&mut netlink, "v1");
    assert_eq!((v0.master, v0.mac, v0.mtu, v0.up), (Some(bridge), Some(mac), 1400, false));
    assert_eq!((v0.peer, v0.peer_elsewhere), (Some(v1.index), false));
    assert_eq!(netlink.driver("v0").expect("driver").as_deref(), Some("veth"));
    assert_eq!(netlink.driver("br0").expect("driver").as_deref(), Some("bridge"));
    assert_eq!(netlink.driver("lo").expect("driver"), None);
    assert!(netlink.tx_checksum("v1").expect("read"));
    netlink.set_tx_checksum("v1", false).expect("switch");
    assert!(!netlink.tx_checksum("v1").expect("read"));

    netlink.rename(v1.index, "other").expect("rename");
    assert_eq!(netlink.link_at(v1.index).expect("ask").map(|l| l.name).as_deref(), Some("other"));
    assert!(netlink.create_bridge("br0").is_err_and(|e| e.is_exists()));
    netlink.delete_link(v0.index).expect("delete");
    assert_eq!(netlink.link("other").expect("ask"), None);
    assert_eq!(netlink.link_at(v0.index).expect("ask"), None);
}

#[test]
fn addresses_and_routes_come_and_go_and_are_looked_up() {
    let Some((one, _other)) = pair() else { return };
    let mut netlink = one.netlink();
    let eth0 = named(&mut netlink, "eth0").index;
    let mut monitor = Monitor::open_in(one.namespace.as_fd()).expect("monitor");
    let mut labelled = Address::new(eth0, ip("10.1.0.1"), 24);
    labelled.label = Some("eth0:1".into());
    labelled.protocol = Some(77);
    netlink.add_address(&labelled).expect("add v4");
    netlink.add_address(&Address::new(eth0, ip("fd00::1"), 64)).expect("add v6");
    assert!(netlink.add_address(&labelled).is_err_and(|e| e.is_exists()));
    let found = netlink.addresses().expect("addresses");
    let v4 = found.iter().find(|a| a.address == ip("10.1.0.1")).expect("v4 is listed");
    assert_eq!((v4.ifindex, v4.prefix, v4.label.as_deref(), v4.protocol), (eth0, 24, Some("eth0:1"), Some(77)));
    let v6 = found.iter().find(|a| a.address == ip("fd00::1")).expect("v6 is listed");
    assert!(v6.nodad && !v6.tentative, "a nodad address is usable at once: {v6:?}");

    netlink.add_route(&RouteEntry::default_via(ip("10.1.0.254"))).expect("default");
    netlink.add_route(&RouteEntry::new(prefix("fd01::", 64)).via(ip("fd00::254"))).expect("prefix");
    netlink.replace_route(&RouteEntry::default_via(ip("10.1.0.253"))).expect("replace");
    netlink.add_route(&RouteEntry::new(prefix("10.9.0.0", 16)).via(ip("fd00::9")).by(eth0)).expect("v4 through v6");
    let way = |netlink: &mut Netlink, to: &str| netlink.route_to(ip(to)).expect("look up");
    let direct = way(&mut netlink, "10.1.0.9").expect("on the link");
    assert_eq!((direct.ifindex, direct.gateway, direct.source), (eth0, None, Some(ip("10.1.0.1"))));
    assert_eq!(way(&mut netlink, "192.0.2.1").and_then(|r| r.gateway), Some(ip("10.1.0.253")));
    assert_eq!(way(&mut netlink, "fd01::5").and_then(|r| r.gateway), Some(ip("fd00::254")));
    assert_eq!(way(&mut netlink, "10.9.1.1").and_then(|r| r.gateway), Some(ip("fd00::9")));
    assert!(way(&mut netlink, "10.1.0.1").is_some_and(|r| r.is_local));
    assert!(way(&mut netlink, "127.0.0.1").is_some_and(|r| r.is_local));
    // An IPv6 address is routed here only once the kernel has heard of the carrier.
    let own = prefix("fd00::1", 128);
    wait_for(&mut monitor, |e| {
        matches!(e, Event::Route(r) if r.destination == own && r.kind == RouteKind::Local).then_some(())
    });
    assert!(way(&mut netlink, "fd00::1").is_some_and(|r| r.is_local));
    assert_eq!(way(&mut netlink, "fd02::1"), None);
    assert!(netlink.routes().expect("routes").iter().any(|r| r.gateway == Some(ip("10.1.0.253"))));

    let several = ["10.1.0.3", "10.1.0.4", "fd00::3", "fd00::4"];
    for (to, gateways) in [("10.8.0.0/16", &several[..2]), ("fd08::/64", &several[2..])] {
        let name = one.name.as_str();
        let hops = gateways.iter().flat_map(|gateway| ["nexthop", "via", gateway]);
        let made = Command::new("ip").args(["-n", name, "route", "add", to]).args(hops).status().expect("ip runs");
        assert!(made.success());
        let routes = netlink.routes().expect("routes");
        let route = routes.iter().find(|r| r.gateway == Some(ip(gateways[0]))).expect("the first of them");
        assert_eq!((route.ifindex, &route.more_gateways[..]), (Some(eth0), &[(eth0, ip(gateways[1]))][..]));
    }

    netlink.delete_route(&RouteEntry::default_via(ip("10.1.0.253"))).expect("delete");
    assert_eq!(way(&mut netlink, "192.0.2.1"), None);
    netlink.delete_address(&Address::new(eth0, ip("10.1.0.1"), 24)).expect("delete v4");
    netlink.delete_address(&Address::new(eth0, ip("fd00::1"), 64)).expect("delete v6");
    let left = netlink.addresses().expect("addresses");
    assert!(left.iter().all(|a| a.address != ip("10.1.0.1") && a.address != ip("fd00::1")), "{left:?}");
}

#[test]
fn the_kernel_resolves_a_neighbour_on_demand_and_tells_of_it() {
    let Some((one, other)) = pair() else { return };
    let mut far = other.netlink();
    let far_link = named(&mut far, "eth0");
    far.add_address(&Address::new(far_link.index, ip("10.1.0.2"), 24)).expect("far address");
    let mut netlink = one.netlink();
    let eth0 = named(&mut netlink, "eth0").index;
    netlink.add_address(&Address::new(eth0, ip("10.1.0.1"), 24)).expect("near address");
    let mut monitor = Monitor::open_in(one.namespace.as_fd()).expect("monitor");
    netlink.resolve(eth0, ip("10.1.0.2")).expect("resolve");

    let found = wait_for(&mut monitor, |event| match event {
        Event::Neighbour(n) if n.address == ip("10.1.0.2") && n.mac.is_some() => Some(*n),
        _ => None,
    });
    assert_eq!((found.ifindex, found.mac), (eth0, far_link.mac));
    let listed = netlink.neighbours().expect("neighbours");
    let listed = listed.iter().find(|n| n.address == ip("10.1.0.2")).expect("it is listed");
    assert_eq!(listed.mac, far_link.mac);
    assert_ne!(listed.state, NeighbourState::Permanent);
}

#[test]
fn the_monitor_tells_of_links_addresses_and_routes() {
    let Some(bed) = Bed::new("monitor") else { return };
    let mut netlink = bed.netlink();
    let mut monitor = Monitor::open_in(bed.namespace.as_fd()).expect("monitor");
    assert_eq!(monitor.read_events().expect("read"), []);
    netlink.create_veth(VethEnd::new("d0"), VethEnd::new("d1")).expect("veth");
    let peer = named(&mut netlink, "d1").index;
    netlink.set_up(peer, true).expect("up");
    let made = wait_for(&mut monitor, |e| match e {
        Event::Link(link) if link.name == "d0" => Some(link.index),
        _ => None,
    });
    netlink.set_up(made, true).expect("up");
    wait_for(&mut monitor, |e| matches!(e, Event::Link(link) if link.index == made && link.running).then_some(()));
    netlink.add_address(&Address::new(made, ip("10.2.0.1"), 24)).expect("address");
    wait_for(&mut monitor, |e| matches!(e, Event::Address(a) if a.address == ip("10.2.0.1")).then_some(()));
    netlink.add_route(&RouteEntry::new(prefix("10.3.0.0", 16)).via(ip("10.2.0.9"))).expect("route");
    wait_for(&mut monitor, |e| matches!(e, Event::Route(r) if r.destination == prefix("10.3.0.0", 16)).then_some(()));
    netlink.delete_link(made).expect("delete");
    wait_for(&mut monitor, |e| matches!(e, Event::LinkGone(index) if *index == made).then_some(()));
}

#[test]
fn a_monitor_that_was_not_read_tells_of_the_overrun() {
    let Some(bed) = Bed::new("overrun") else { return };
    let mut netlink = bed.netlink();
    let mut monitor = Monitor::open_in(bed.namespace.as_fd()).expect("monitor");
    netlink.create_bridge("br0").expect("bridge");
    let index = named(&mut netlink, "br0").index;
    // Each change is one notification of over a kilobyte; the socket holds some megabytes.
    for mtu in 0..12_000 {
        netlink.set_mtu(index, 1000 + mtu).expect("mtu");
    }
    wait_for(&mut monitor, |e| matches!(e, Event::Overrun).then_some(()));
}

/// Waits for the first event that `pick` takes; panics after five seconds of silence.
fn wait_for<T>(monitor: &mut Monitor, pick: impl Fn(&Event) -> Option<T>) -> T {
    loop {
        if let Some(found) = monitor.read_events().expect("read").iter().find_map(&pick) {
            return found;
        }
        let mut fds = [rustix::event::PollFd::new(&*monitor, rustix::event::PollFlags::IN)];
        let limit = rustix::time::Timespec { tv_sec: 5, tv_nsec: 0 };
        let ready = rustix::event::poll(&mut fds, Some(&limit)).expect("poll");
        assert_ne!(ready, 0, "the event did not come within five seconds");
    }
}

#[test]
fn what_the_kernel_shows_agrees_with_ip() {
    let Some(bed) = Bed::new("ip") else { return };
    let mut netlink = bed.netlink();
    netlink.create_bridge("br0").expect("bridge");
    let shown = bed.namespace.run(|| Command::new("ip").args(["-d", "link", "show", "br0"]).output()).expect("run");
    let Ok(shown) = shown else {
        println!("skipped: no ip");
        return;
    };
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let link = named(&mut netlink, "br0");
    assert!(text.contains(&link.mac.expect("a MAC address").to_string()), "{link:?}\n{text}");
    assert!(text.contains("forward_delay 0 ") && text.contains("mcast_snooping 0 "), "{text}");
}

#[test]
fn nftables_tables_are_told_by_the_kernel() {
    let Some(bed) = Bed::new("nft") else { return };
    let tables = || bed.namespace.run(evenkeel_netlink::nf_tables).expect("enter").expect("ask");
    assert_eq!(tables(), Vec::<String>::new());
    let script = "add table inet filter; add table ip6 other";
    let loaded = bed.namespace.run(|| Command::new("nft").arg(script).status()).expect("enter");
    if !loaded.is_ok_and(|status| status.success()) {
        println!("skipped: no nft");
        return;
    }
    assert_eq!(tables(), ["inet filter", "ip6 other"]);
}

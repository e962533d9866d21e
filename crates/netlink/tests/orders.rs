//! Routes and rules as somebody wrote them, and what `ip` says of them once the kernel has them.

#![allow(clippy::expect_used, reason = "a test")]

mod bed;

use std::{os::fd::AsFd, process::Command};

use bed::Bed;
use evenkeel_model::{
    Family, Prefix,
    vrrp::{Action, Hop, Metric, MetricValue, Placement, Route, RouteKind, Rule},
};
use evenkeel_netlink::{Event, Monitor, Netlink, Order, RouteEntry};

/// A namespace with a cable in it.
struct Host(Bed);

impl Host {
    fn new(purpose: &str) -> Option<Host> {
        let host = Host(Bed::new(purpose)?);
        host.ip("link add d0 type veth peer name d1");
        host.ip("link set d1 up");
        host.ip("addr add 10.9.0.1/24 dev d0");
        host.ip("addr add fd09::1/64 dev d0 nodad");
        host.ip("link set lo up");
        host.ip("link set d0 up");
        Some(host)
    }

    fn netlink(&self) -> Netlink {
        self.0.netlink()
    }

    fn ip(&self, words: &str) -> String {
        let mut command = Command::new("ip");
        let output = command.args(["-n", &self.0.name]).args(words.split(' ')).output().expect("ip runs");
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn index(&self) -> u32 {
        self.netlink().link("d0").expect("ask").expect("it is there").index
    }

    fn order(&self, route: &Route) -> Order {
        let index = self.index();
        Order::route(route, |name| (name == "d0").then_some(index)).expect("its interface is there")
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn by(via: &str) -> Hop {
    Hop { via: Some(via.parse().expect("an address")), interface: Some("d0".into()), ..Hop::default() }
}

#[test]
fn a_route_is_there_as_it_was_written_and_goes_again() {
    let Some(bed) = Host::new("route") else { return };
    let mut netlink = bed.netlink();
    let to = |text| Route::new(prefix(text));
    let metric = |metric, value, locked| MetricValue { metric, value, locked };
    let routes = [
        (
            Route {
                hops: vec![by("10.9.0.9")],
                source: Some("10.9.0.1".parse().expect("an address")),
                metric: Some(50),
                metrics: vec![metric(Metric::Mtu, 1400, true), metric(Metric::Advmss, 1300, false)],
                ..to("10.20.0.0/16")
            },
            "10.20.0.0/16 via 10.9.0.9 proto keepalived src 10.9.0.1 metric 50 mtu lock 1400 advmss 1300",
        ),
        (
            Route { kind: RouteKind::Blackhole, table: 1000, ..to("10.21.0.0/16") },
            "blackhole 10.21.0.0/16 proto keepalived",
        ),
        (
            Route {
                kind: RouteKind::Local,
                table: 1000,
                hops: vec![Hop { interface: Some("d0".into()), ..Hop::default() }],
                ..to("10.22.0.1/32")
            },
            "local 10.22.0.1 dev d0 proto keepalived scope host",
        ),
        (
            Route { hops: vec![Hop { weight: Some(3), ..by("10.9.0.9") }, by("10.9.0.8")], ..to("10.23.0.0/16") },
            "10.23.0.0/16 proto keepalived \n\tnexthop via 10.9.0.9 dev d0 weight 3 \n\tnexthop via 10.9.0.8 dev d0 weight 1",
        ),
        (
            Route { hops: vec![Hop { onlink: true, ..by("192.0.2.1") }], tos: 16, protocol: 99, ..to("10.24.0.0/16") },
            "10.24.0.0/16 tos 0x10 via 192.0.2.1 dev d0 proto openr onlink",
        ),
        (
            Route { hops: vec![by("fd09::9")], preference: Some(1), ..to("fd20::/16") },
            "fd20::/16 via fd09::9 dev d0 proto keepalived metric 1024 pref high",
        ),
    ];
    for (route, wanted) in routes {
        let mut order = bed.order(&route);
        netlink.add(&mut order).expect("it is added");
        let family = if route.to.address().is_ipv6() { "-6 " } else { "-4 " };
        let shown = bed.ip(&format!("{family}route show table {} {}", route.table, show(&route)));
        let shown = shown.trim().replace("  ", " ");
        let wanted = wanted.replace("  ", " ");
        let same = wanted.split_whitespace().all(|word| shown.split_whitespace().any(|said| said == word));
        assert!(same, "{shown}\nis not\n{wanted}");
        assert!(netlink.add(&mut order).expect_err("twice").is_exists());
        netlink.delete(&mut order).expect("it is deleted");
        assert!(netlink.delete(&mut order).expect_err("nothing is left").is_missing());
    }
}

fn show(route: &Route) -> String {
    format!("{}/{}", route.to.address(), route.to.length())
}

#[test]
fn a_rule_is_there_as_it_was_written_and_goes_again() {
    let Some(bed) = Host::new("rule") else { return };
    let mut netlink = bed.netlink();
    let v4 = |action| Rule::new(Family::V4, 1234, action);
    let rules = [
        (
            Rule { from: Some(prefix("10.0.0.0/8")), mark: Some((0x10, Some(0xf0))), ..v4(Action::Lookup(1000)) },
            "from 10.0.0.0/8 fwmark 0x10/0xf0 lookup 1000 proto keepalived",
        ),
        (
            Rule { not: true, to: Some(prefix("10.1.0.0/16")), input: Some("d0".into()), ..v4(Action::Lookup(100)) },
            "not from all to 10.1.0.0/16 iif d0 lookup 100 proto keepalived",
        ),
        (
            Rule {
                ip_protocol: Some(6),
                destination_ports: Some(80..=90),
                users: Some(0..=10),
                ..v4(Action::Prohibit)
            },
            "from all uidrange 0-10 ipproto tcp dport 80-90 prohibit proto keepalived",
        ),
        (
            Rule { suppress_prefix: Some(0), ..v4(Action::Lookup(254)) },
            "from all lookup main suppress_prefixlength 0 proto keepalived",
        ),
        (v4(Action::Goto(32766)), "from all goto 32766 proto keepalived"),
        (v4(Action::Blackhole), "from all blackhole proto keepalived"),
        (Rule::new(Family::V6, 1234, Action::Unreachable), "from all unreachable proto keepalived"),
        (v4(Action::L3mdev), "from all lookup [l3mdev-table] proto keepalived"),
    ];
    for (rule, wanted) in rules {
        let mut order = Order::rule(&rule);
        netlink.add(&mut order).unwrap_or_else(|e| panic!("{e}"));
        let family = if rule.family == Family::V6 { "-6" } else { "-4" };
        let shown = bed.ip(&format!("{family} rule show priority 1234"));
        let shown = shown.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        assert_eq!(shown, wanted);
        assert!(netlink.add(&mut order).expect_err("twice").is_exists());
        netlink.delete(&mut order).expect("it is deleted");
        assert!(netlink.delete(&mut order).expect_err("nothing is left").is_missing());
    }
}

#[test]
fn what_somebody_else_made_is_not_deleted() {
    let Some(bed) = Host::new("else") else { return };
    let mut netlink = bed.netlink();
    let route = Route { hops: vec![by("10.9.0.9")], ..Route::new(prefix("10.30.0.0/16")) };
    bed.ip("route add 10.30.0.0/16 via 10.9.0.9 dev d0");
    let mut order = bed.order(&route);
    assert!(netlink.delete(&mut order).expect_err("it is not ours").is_missing());
    // Ours stands before theirs, and leaves theirs behind.
    netlink.add(&mut order).expect("there is room");
    netlink.delete(&mut order).expect("ours");
    assert!(bed.ip("route show 10.30.0.0/16").contains("via 10.9.0.9"));
    let mut rule = Order::rule(&Rule::new(Family::V4, 77, Action::Lookup(1000)));
    bed.ip("rule add from all lookup 1000 priority 77");
    assert!(netlink.delete(&mut rule).expect_err("it is not ours").is_missing());
    netlink.add(&mut rule).expect("there is room");
    netlink.delete(&mut rule).expect("ours");
    assert_eq!(bed.ip("rule show priority 77").trim(), "77:\tfrom all lookup 1000");
}

#[test]
fn a_refusal_names_the_route_and_the_kernels_reason() {
    let Some(bed) = Host::new("refused") else { return };
    let mut netlink = bed.netlink();
    let route = Route { hops: vec![by("192.0.2.1")], placement: Placement::Only, ..Route::new(prefix("10.40.0.0/16")) };
    let error = netlink.add(&mut bed.order(&route)).expect_err("the router is nowhere").to_string();
    assert!(error.starts_with("add route 10.40.0.0/16 via 192.0.2.1 dev d0 add: "), "{error}");
    assert!(error.contains("Nexthop has invalid gateway"), "{error}");
    let nowhere = Route { hops: vec![Hop { interface: Some("d9".into()), ..Hop::default() }], ..route };
    assert_eq!(Order::route(&nowhere, |_| None).expect_err("no such interface"), "d9");
}

#[test]
fn the_monitor_tells_whose_routes_and_rules_go() {
    let Some(bed) = Host::new("monitor") else { return };
    let (mut netlink, mut monitor) = (bed.netlink(), Monitor::open_in(bed.0.namespace.as_fd()).expect("it listens"));
    let route = Route { hops: vec![by("10.9.0.9")], ..Route::new(prefix("10.50.0.0/16")) };
    let (mut route, mut rule) = (bed.order(&route), Order::rule(&Rule::new(Family::V6, 77, Action::Nop)));
    for order in [&mut route, &mut rule] {
        netlink.add(order).expect("it is added");
        netlink.delete(order).expect("it is deleted");
    }
    let events = monitor.read_events().expect("it reads");
    let ours = |event: &&Event| match event {
        Event::Rule(protocol) | Event::RuleGone(protocol) => *protocol == 18,
        Event::Route(RouteEntry { protocol, .. }) | Event::RouteGone(RouteEntry { protocol, .. }) => *protocol == 18,
        _ => false,
    };
    let told: Vec<&Event> = events.iter().filter(ours).collect();
    assert!(matches!(told[..], [Event::Route(_), Event::RouteGone(_), Event::Rule(_), Event::RuleGone(_)]), "{told:?}");
}

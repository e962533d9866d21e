//! `load(to_toml(cluster)) == cluster`, for every heartbeat cluster there can be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, native};
use evenkeel_config::to_toml;
use evenkeel_model::{
    Account, Cluster,
    heartbeat::{
        Agent, Child, Failback, Fence, FenceAgent, Form, Group, Heartbeat, IpResource, Key, Keys, Medium, Method,
        Monitor, NodeName, PingNode, Resource, Timing,
    },
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

/// The host the texts are read on.
const OWN: &str = "director-1.example.org";

fn text() -> impl Strategy<Value = String> {
    "[ -~äß中\"\\\\#=\\[\\]]{1,12}"
}

fn path() -> impl Strategy<Value = PathBuf> {
    "/[ -~]{1,12}".prop_map(PathBuf::from)
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![(1..1000u64).prop_map(Duration::from_secs), (1..100_000u64).prop_map(Duration::from_millis)]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (any::<[u8; 3]>(), 1..=223u8).prop_map(|([b, c, d], a)| IpAddr::from([a, b, c, d])),
        any::<[u16; 7]>().prop_map(|rest| {
            let [b, c, d, e, f, g, h] = rest;
            IpAddr::from([0x2001, b, c, d, e, f, g, h])
        }),
    ]
    .prop_filter("it moves", |address| !address.is_loopback())
}

fn interface() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.@-]{0,8}"
}

fn medium() -> impl Strategy<Value = Medium> {
    let port = prop_oneof![Just(694), 1..=u16::MAX];
    (interface(), address(), any::<([u8; 3], u8, u8, bool)>(), port, 9600..460_800u32, path()).prop_flat_map(
        |(interface, peer, (group, ttl, hops, own), port, baud, device)| {
            let [b, c, d] = group;
            select(vec![
                Medium::Unicast { interface: interface.clone(), peer, port },
                Medium::Broadcast { interface: interface.clone(), port },
                Medium::Multicast { interface: interface.clone(), group: Ipv4Addr::new(225, b, c, d), port, ttl, own },
                Medium::Multicast6 {
                    interface: interface.clone(),
                    group: Ipv6Addr::new(0xff02, 0, 0, 0, 0, b.into(), c.into(), d.into()),
                    port,
                    hops: hops % 5,
                    own,
                },
                Medium::Serial { device: device.clone(), baud: NonZeroU32::new(baud).unwrap() },
            ])
        },
    )
}

fn media() -> impl Strategy<Value = Vec<Medium>> {
    vec(medium(), 1..5).prop_map(|media| media.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
}

fn keys() -> impl Strategy<Value = Keys> {
    let methods = vec![Method::Crc, Method::Md5, Method::Sha1, Method::Sha256];
    let secret = prop_oneof![text().prop_map(String::into_bytes), vec(any::<u8>(), 1..20), Just(b"hex:00".to_vec())];
    let key = (select(methods), secret).prop_map(|(method, secret)| {
        let secret = if method == Method::Crc { Vec::new() } else { secret };
        Key { method, secret }
    });
    btree_map(0..=15u8, key, 1..4).prop_flat_map(|slots| {
        let numbers: Vec<u8> = slots.keys().copied().collect();
        select(numbers).prop_map(move |send| Keys::new(send, slots.clone()).unwrap())
    })
}

/// Times that agree with each other.
fn timing() -> impl Strategy<Value = Timing> {
    (duration(), duration(), duration(), duration(), option::of(duration())).prop_map(
        |(keepalive, more, warn, first, ping)| {
            let deadtime = keepalive * 2 + more;
            Timing {
                keepalive,
                deadtime,
                warntime: warn,
                initdead: deadtime + first,
                deadping: ping.map_or(deadtime, |ping| keepalive * 2 + ping),
            }
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_]{0,8}"
}

fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    btree_map(name(), text(), 0..3).prop_map(|map| map.into_iter().collect())
}

fn ip(address: IpAddr) -> impl Strategy<Value = IpResource> {
    let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
    let broadcast = any::<[u8; 4]>().prop_map(IpAddr::from);
    (option::of(0..=bits), option::of(("[a-z]{1,6}", option::of("[0-9a-z]{1,4}"))), option::of(broadcast)).prop_map(
        move |(prefix, nic, broadcast)| {
            let broadcast = broadcast.filter(|_| address.is_ipv4());
            let label = nic.as_ref().and_then(|(name, label)| Some(format!("{name}:{}", label.as_ref()?)));
            IpResource { address, prefix, interface: nic.map(|(name, _)| name), label, broadcast }
        },
    )
}

fn agent(address: IpAddr) -> impl Strategy<Value = Agent> {
    let script = prop_oneof!["[a-z][a-z0-9:_-]{1,9}-none", "/[a-z/]{1,9}"];
    prop_oneof![
        ip(address).prop_map(Agent::Ip),
        (script, vec(text(), 0..3)).prop_map(|(name, arguments)| Agent::Script { name, arguments }),
        (name(), name(), parameters()).prop_map(|(provider, name, parameters)| Agent::Ocf {
            provider,
            name,
            parameters
        }),
        "[a-z@-]{1,9}(\\.service|\\.mount|\\.mount\\.service)"
            .prop_filter("a unit", |unit| !unit.starts_with('-'))
            .prop_map(|unit| Agent::Systemd { unit }),
        path().prop_map(|file| Agent::Services { file }),
    ]
}

fn resource(address: IpAddr) -> impl Strategy<Value = Resource> {
    let monitor = (duration(), duration(), any::<u32>()).prop_map(|(every, within, restarts)| Monitor {
        every,
        within,
        restarts,
    });
    (text(), agent(address), duration(), duration(), option::of(monitor)).prop_map(
        |(name, agent, start_within, stop_within, monitor)| Resource {
            name,
            agent,
            start_within,
            stop_within,
            monitor,
        },
    )
}

/// Groups in which no address and no key is there twice.
fn groups(nodes: Vec<NodeName>) -> impl Strategy<Value = Vec<Group>> {
    let addresses =
        proptest::collection::btree_set(address(), 0..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    addresses.prop_flat_map(move |addresses| {
        let nodes = nodes.clone();
        let groups: Vec<_> = addresses
            .into_iter()
            .enumerate()
            .map(|(at, address)| {
                let node = nodes[at % nodes.len()].clone();
                (text(), resource(address)).prop_map(move |(key, resource)| Group {
                    key: format!("{key}{at}"),
                    prefer: vec![node.clone()],
                    resources: vec![resource],
                })
            })
            .collect();
        groups
    })
}

fn fence(nodes: Vec<NodeName>) -> impl Strategy<Value = Fence> {
    let agent = prop_oneof![
        ("(external/)?[a-z]{3,9}x", vec(text(), 0..3), option::of(path()))
            .prop_map(|(kind, parameters, file)| FenceAgent::Stonith { kind, parameters, file }),
        ("(fence_|/)[a-z]{1,9}", parameters())
            .prop_map(|(program, parameters)| FenceAgent::Agent { program, parameters }),
    ];
    (proptest::sample::subsequence(nodes.clone(), 0..=nodes.len()), agent, 1..1000u64)
        .prop_map(|(nodes, agent, within)| Fence { nodes, agent, within: Duration::from_secs(within) })
}

fn nodes() -> impl Strategy<Value = Vec<NodeName>> {
    proptest::collection::btree_set("[a-z*][a-z0-9.:-]{0,9}", 0..3).prop_map(|others| {
        let names = others.iter().map(String::as_str).chain([OWN]);
        names.map(|name| NodeName::new(name).unwrap()).collect::<BTreeSet<_>>().into_iter().collect()
    })
}

fn pings() -> impl Strategy<Value = Vec<PingNode>> {
    vec((option::of("[a-z]{1,9}"), vec(address(), 1..3)), 0..3).prop_map(|pings| {
        let ping = |(at, (name, addresses)): (usize, (Option<String>, Vec<IpAddr>))| {
            let name = name.map_or_else(|| addresses[0].to_string(), |name| format!("ping-{name}-{at}"));
            PingNode { name: NodeName::new(&name).unwrap(), addresses }
        };
        let mut pings: Vec<PingNode> = pings.into_iter().enumerate().map(ping).collect();
        pings.dedup_by(|a, b| a.name == b.name);
        pings
    })
}

fn child() -> impl Strategy<Value = Child> {
    (name(), option::of(name()), "/[ -~]{1,9}", vec(text(), 0..2), any::<bool>()).prop_map(
        |(user, group, program, arguments, vital)| Child {
            account: Account { user, group },
            command: std::iter::once(program).chain(arguments).collect(),
            vital,
        },
    )
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let choices = (
        select(vec![Form::Classic, Form::Netstring]),
        select(vec![Failback::On, Failback::Off, Failback::Legacy]),
        any::<bool>(),
        any::<u8>(),
        duration(),
    );
    let paths = (option::of(path()), option::of(path()), option::of(path()), option::of(vec(path(), 0..3)));
    let rest = (vec(child(), 0..3), parameters(), option::of(select(vec!["local0", "daemon"])), text());
    let rules = nodes().prop_flat_map(move |nodes| {
        let parts = (media(), pings(), timing(), keys(), groups(nodes.clone()), vec(fence(nodes.clone()), 0..3));
        (Just(nodes), parts)
    });
    (rules, choices, paths, rest).prop_map(|((nodes, parts), choices, paths, rest)| {
        let (media, pings, timing, keys, groups, fences) = parts;
        let (form, failback, ipfail, hop_fudge, rexmit_delay) = choices;
        let (watchdog, notify_dir, log_file, scripts) = paths;
        let (children, environment, log_facility, cluster) = rest;
        let usual = ["/etc/ha.d/resource.d", "/etc/init.d"].map(PathBuf::from).to_vec();
        Heartbeat {
            cluster,
            node: NodeName::new(OWN).unwrap(),
            nodes,
            media,
            pings,
            timing,
            keys,
            form,
            failback,
            ipfail,
            groups,
            fences,
            watchdog,
            children,
            environment,
            hop_fudge,
            rexmit_delay,
            resource_dirs: scripts.unwrap_or(usual),
            notify_dir,
            log_file,
            log_facility: log_facility.map(str::to_owned),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_the_same(heartbeat in heartbeat()) {
        let cluster = Cluster { heartbeat: Some(heartbeat), ..Cluster::default() };
        let toml = to_toml(&cluster);
        let loaded = native(&toml);
        prop_assert_eq!(loaded.cluster.as_ref(), Some(&cluster), "{}\n{:#?}", toml, brief(&loaded));
    }
}

//! `load(to_toml(cluster)) == cluster`, for every cluster there can be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, native};
use evenkeel_config::to_toml;
use evenkeel_model::{
    Account, Alerts, Behaviour, Body, Check, Cluster, Dns, ExpireGone, Fallback, FallbackCommand, Family, Forwarding,
    GueChecksum, HashFlags, Http, HttpMethod, HttpRules, HttpVersion, Match, Notify, NumberFile, OnFail, Origin,
    Persistence, PersistenceEngine, Prefix, Probe, Protocol, Quorum, RealServer, Record, Rhythm, Scheduler, Script,
    Service, ServiceKey, Settings, Sources, StartState, StatusSet, Thresholds, Timeouts, Tunnel, Udp, UdpReply, Weight,
    bfd::Session,
    notify::{Bracket, Fifo, MailRoute, Moment, NotifyScript, RoleNotify, ServerNotify, ServiceNotify, Subject},
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::{select, subsequence},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

fn text() -> impl Strategy<Value = String> {
    "[ -~äß中\u{1f600}\"\\\\#=\\[\\]]{1,12}"
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    text().prop_map(|text| PathBuf::from(format!("/{text}")))
}

fn address(v6: bool) -> BoxedStrategy<IpAddr> {
    if v6 {
        any::<[u16; 8]>().prop_map(IpAddr::from).boxed()
    } else {
        prop_oneof![8 => any::<[u8; 4]>(), 1 => Just([127, 0, 0, 1])].prop_map(IpAddr::from).boxed()
    }
}

/// Not every address may be virtual.
fn virtual_address(v6: bool) -> impl Strategy<Value = IpAddr> {
    address(v6).prop_filter("one host's own, for clients to ask for", |ip| {
        let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let broadcast = *ip == IpAddr::from([255, 255, 255, 255]);
        !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || link_local || broadcast)
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1..1000u64).prop_map(Duration::from_secs),
        (1..100_000u64).prop_map(Duration::from_millis),
        (1_000_000..u64::from(u32::MAX)).prop_map(Duration::from_nanos),
    ]
}

fn rhythm() -> impl Strategy<Value = Rhythm> {
    (duration(), duration(), option::of(duration()), 1..10u32, 1..10u32, 0..=50u8).prop_map(
        |(every, timeout, retry_after, rise, fall, jitter_percent)| Rhythm {
            every,
            timeout,
            retry_after,
            rise,
            fall,
            jitter_percent,
        },
    )
}

fn http(real: SocketAddr) -> impl Strategy<Value = Probe> {
    let target = prop_oneof![
        3 => Just(real),
        1 => (1..=u16::MAX).prop_map(move |port| SocketAddr::new(real.ip(), port)),
        1 => (any::<bool>().prop_flat_map(address), 1..=u16::MAX).prop_map(|(ip, port)| SocketAddr::new(ip, port)),
    ];
    let standard = match real.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let host = prop_oneof![Just(standard), Just("www.example.org".to_owned()), "[!-~]{1,10}"];
    let name = prop_oneof![Just(None), Just(Some("www.example.org".to_owned())), "[a-z]{1,9}".prop_map(Some)];
    let status = vec((100..=500u16, 0..400u16), 1..3);
    let body = prop_oneof![Just(Body::Any), text().prop_map(|t| Body::PerlRegex(t.replace(['(', ')'], "")))];
    let body = body.prop_map(|b| if b == Body::PerlRegex(String::new()) { Body::Any } else { b });
    let offsets = (0..9usize, option::of(1..99usize), any::<bool>());
    let rules = (select(HttpVersion::ALL.to_vec()), option::of(any::<[u8; 16]>()), offsets);
    (
        rules,
        target,
        any::<(bool, bool, bool)>(),
        host,
        name,
        status,
        body,
        0..=20u32,
        1..=(16usize << 20),
        "/[!$-;=?-~]{0,9}",
    )
        .prop_map(|(rules, target, (tls, verify, head), host, name, status, body, redirects, size_cap, path)| {
            let server_name = name.filter(|_| tls);
            let (version, digest, (least_offset, most_offset, unwanted)) = rules;
            let rules = HttpRules { version, digest, ..HttpRules::default() };
            let rules =
                if body == Body::Any { rules } else { HttpRules { unwanted, least_offset, most_offset, ..rules } };
            let head = head && body == Body::Any;
            Probe::Http(Http {
                target,
                tls,
                verify: verify && server_name.is_some(),
                server_name,
                host,
                method: if head { HttpMethod::Head } else { HttpMethod::Get },
                path,
                status: StatusSet(status.into_iter().map(|(low, more)| (low, low + more)).collect()),
                body,
                redirects,
                size_cap,
                rules,
            })
        })
}

fn probe(real: SocketAddr) -> impl Strategy<Value = Probe> {
    let script = (any_path(), vec(text(), 0..3), vec(text(), 0..3), any::<bool>()).prop_map(
        |(program, arguments, names, shell)| {
            let mut environment: Vec<(String, String)> = Vec::new();
            for name in names {
                if !environment.iter().any(|(known, _)| *known == name) {
                    environment.push((name.clone(), name));
                }
            }
            let account =
                shell.then(|| Account { user: "nobody".into(), group: arguments.first().map(|_| "adm".into()) });
            Probe::Script(Script { program, arguments, environment, shell, account, weighs: shell })
        },
    );
    let port = if real.port() == 0 { 80 } else { real.port() };
    let real = SocketAddr::new(real.ip(), port);
    prop_oneof![
        1 => Just(Probe::AlwaysOn),
        1 => Just(Probe::AlwaysOff),
        3 => Just(Probe::Tcp { target: real }),
        2 => (1..5u32).prop_map(move |tries| Probe::Ping { target: real.ip(), tries }),
        1 => any::<bool>().prop_flat_map(address).prop_map(|target| Probe::Ping { target, tries: 1 }),
        3 => http(real),
        1 => script,
        2 => udp(real),
        2 => ("[a-z]{1,20}([.][a-z]{1,20})?", select(Record::ALL.to_vec()))
            .prop_map(move |(name, record)| Probe::Dns(Dns { target: real, name, record })),
        1 => "[a-z.]{1,20}".prop_map(move |helo| Probe::Smtp { target: real, helo }),
        1 => (any_path(), any::<i32>(), any::<bool>()).prop_map(|(path, factor, reverse)| {
            Probe::File(NumberFile { path, factor: i64::from(factor.max(-i32::MAX)), reverse })
        }),
        1 => Just(Probe::Bfd { name: "peer".to_owned() }),
    ]
}

fn udp(target: SocketAddr) -> impl Strategy<Value = Probe> {
    let masked = (any::<u8>(), select(vec![0, 0x0f, 0xf0, 0xff])).prop_map(|(byte, mask)| (byte & !mask, mask));
    let reply = (vec(masked, 0..4), any::<(u16, u16)>());
    let reply = reply.prop_map(|(begins, (a, b))| UdpReply { begins, length: (a.min(b), a.max(b)) });
    (option::of(vec(any::<u8>(), 1..4)), option::of(reply))
        .prop_map(move |(payload, reply)| Probe::Udp(Udp { target, payload, reply }))
}

fn origin() -> impl Strategy<Value = Origin> {
    let interface = option::of("[a-z0-9]{1,9}");
    (option::of(any::<IpAddr>()), option::of(1..=u16::MAX), interface, option::of(any::<std::num::NonZeroU32>()))
        .prop_map(|(address, port, interface, mark)| Origin { address, port, interface, mark })
}

fn check(real: SocketAddr) -> impl Strategy<Value = Arc<Check>> {
    vec(one_check(real), 1..3).prop_map(|checks| Check::all(checks).unwrap())
}

fn one_check(real: SocketAddr) -> impl Strategy<Value = Arc<Check>> {
    (probe(real), rhythm(), 0..5u32, option::weighted(0.2, origin())).prop_map(|(probe, rhythm, connects, origin)| {
        let connects_between = if matches!(probe, Probe::Http(_)) { connects } else { 0 };
        let (connecting, ports) = match &probe {
            Probe::Tcp { .. } | Probe::Http(_) | Probe::Udp(_) | Probe::Dns(_) | Probe::Smtp { .. } => (true, true),
            Probe::Ping { .. } => (true, false),
            _ => (false, false),
        };
        let origin =
            origin.filter(|_| connecting).map(|origin| Origin { port: origin.port.filter(|_| ports), ..origin });
        let origin = origin.filter(|origin| !origin.is_default()).map(Box::new);
        Arc::new(Check { probe, connects_between, rhythm, origin })
    })
}

fn forwarding() -> impl Strategy<Value = Forwarding> {
    let tunnel = prop_oneof![
        Just(Tunnel::Ipip),
        (1..=u16::MAX, select(vec![GueChecksum::None, GueChecksum::Full, GueChecksum::Remote]))
            .prop_map(|(port, checksum)| Tunnel::Gue { port, checksum }),
        any::<bool>().prop_map(|checksum| Tunnel::Gre { checksum }),
    ];
    let plain = vec![Forwarding::DirectRouting, Forwarding::Local, Forwarding::Nat, Forwarding::FullNat];
    prop_oneof![4 => select(plain), 2 => tunnel.prop_map(Forwarding::Tunnel)]
}

/// The port a real server may have.
fn served(key: ServiceKey, forwarding: Forwarding, own: u16) -> u16 {
    if forwarding.translates_ports() && key.port() != 0 && own != 0 { own } else { key.port() }
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    prop_oneof![
        2 => Just(Thresholds::default()),
        1 => (1..=u32::MAX).prop_map(|upper| Thresholds { upper, lower: 0 }),
        1 => (1..=u32::MAX, any::<u32>()).prop_map(|(upper, lower)| Thresholds { upper, lower: lower % upper }),
    ]
}

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    let engine = select(vec![PersistenceEngine::Address, PersistenceEngine::Sip]);
    (1..=Persistence::LONGEST_TIMEOUT, 1..=family.bits(), engine).prop_map(|(timeout, prefix, engine)| Persistence {
        timeout,
        prefix,
        engine,
    })
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let rate = || option::of(1..=1u32 << 21);
    let gone = select(vec![ExpireGone::Never, ExpireGone::Udp, ExpireGone::All]);
    (gone, any::<(bool, bool, bool)>(), rate(), rate()).prop_map(|(expire_gone, flags, new_rate, source_rate)| {
        let (expire_quiescent_template, reuse, sloppy) = flags;
        Behaviour { expire_gone, expire_quiescent_template, reuse, sloppy, new_rate, source_rate }
    })
}

fn matches(v6: bool) -> impl Strategy<Value = Vec<Match>> {
    let prefix = move || {
        let most = if v6 { 128 } else { 32u8 };
        (address(v6), 0..=most).prop_map(|(address, length)| Prefix::new(address, length).unwrap())
    };
    let ports = (any::<u16>(), any::<u16>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let protocol = option::of(any::<u8>());
    let one = (prefix(), option::of(prefix()), protocol, option::of(ports)).prop_map(
        |(destination, source, protocol, ports)| {
            let ports = ports.filter(|_| protocol.is_some_and(|number| Protocol::from_number(number).is_some()));
            Match { destination, source, protocol, ports }
        },
    );
    vec(one, 0..3).prop_map(|mut list| {
        list.sort();
        list.dedup();
        list
    })
}

fn real_server(key: ServiceKey) -> impl Strategy<Value = RealServer> {
    (address(key.family() == Family::V6), forwarding(), any::<u16>()).prop_flat_map(move |(ip, forwarding, own)| {
        let address = SocketAddr::new(ip, served(key, forwarding, own));
        let name = prop_oneof![2 => Just(address.to_string()), 1 => text()];
        (name, vec("[a-z]{1,8}", 0..2), thresholds(), 0..=Weight::MAX.get(), check(address)).prop_map(
            move |(name, mut aliases, thresholds, weight, check)| {
                aliases.dedup();
                RealServer {
                    name,
                    aliases,
                    address,
                    forwarding,
                    weight: Weight::new(weight).unwrap(),
                    thresholds,
                    on_fail: [None, Some(OnFail::Remove), Some(OnFail::Quiesce)][own as usize % 3],
                    check,
                }
            },
        )
    })
}

fn alerts() -> impl Strategy<Value = Alerts> {
    let states = select(vec![vec![], vec!["running"], vec!["starting", "running", "stopping", "reloading"]]);
    (vec(text(), 1..3), option::of(text()), option::of(text()), duration(), states).prop_map(
        |(to, from, smtp, repeat, states)| Alerts {
            to,
            from,
            smtp,
            repeat,
            status: states.into_iter().map(str::to_owned).collect(),
        },
    )
}

fn prefixes() -> impl Strategy<Value = Vec<Prefix>> {
    vec((any::<[u8; 4]>(), 0..=32u8), 0..3).prop_map(|list| {
        let mut prefixes: Vec<Prefix> = list.into_iter().map(|(a, l)| Prefix::new(a.into(), l).unwrap()).collect();
        prefixes.sort();
        prefixes.dedup();
        prefixes
    })
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let on_address = (any::<bool>().prop_flat_map(virtual_address), protocol, any::<u16>())
        .prop_map(|(address, protocol, port)| ServiceKey::Address { address, protocol, port });
    let by_mark = (any::<std::num::NonZeroU32>(), select(vec![Family::V4, Family::V6]))
        .prop_map(|(mark, family)| ServiceKey::Mark { mark, family });
    prop_oneof![3 => on_address, 1 => by_mark]
}

fn service() -> impl Strategy<Value = Service> {
    let scheduler =
        (select(Scheduler::ALL.to_vec()), any::<(bool, bool)>()).prop_map(|(scheduler, (port, fallback))| {
            scheduler.with_flags(HashFlags { port, fallback }).unwrap_or(scheduler)
        });
    let scheduler = scheduler.boxed();
    let command =
        (any_path(), vec(text(), 0..3)).prop_map(|(program, arguments)| FallbackCommand { program, arguments }).boxed();
    key().prop_flat_map(move |key| {
        let v6 = key.family() == Family::V6;
        let fallback = (address(v6), forwarding(), any::<u16>()).prop_map(move |(ip, forwarding, own)| Fallback {
            address: SocketAddr::new(ip, served(key, forwarding, own)),
            forwarding,
            quiesce: own % 2 == 1,
        });
        let three = (option::of(persistence(key.family())), any::<bool>(), behaviour(), matches(v6), any::<bool>());
        let name = prop_oneof![Just(key.to_string()), text()];
        let one = (name, scheduler.clone(), vec(real_server(key), 0..4), option::of(fallback));
        let quorum = (1..=u32::MAX, any::<u32>(), any::<(bool, bool)>());
        let two = (option::of(command.clone()), any::<(bool, bool, bool)>(), prefixes(), prefixes(), quorum);
        (one, two, three, option::of(any_path()), option::of(alerts())).prop_map(
            move |((name, scheduler, real_servers, fallback), two, three, monitor_file, alerts)| {
                let (fallback_command, (quiesce, up, clean_stop), allow, deny, quorum) = two;
                let (weight, hysteresis, (begins_lost, suspend)) = quorum;
                let (persistence, one_packet, behaviour, matches, ftp) = three;
                Service {
                    name,
                    key,
                    scheduler,
                    real_servers,
                    fallback,
                    fallback_command,
                    on_fail: if quiesce { OnFail::Quiesce } else { OnFail::Remove },
                    quorum: Quorum { weight, hysteresis: hysteresis % weight, begins_lost },
                    suspend: suspend && key.mark().is_none(),
                    start: if up { StartState::Up } else { StartState::Down },
                    sources: Sources { allow, deny },
                    persistence,
                    one_packet: one_packet && matches!(key.protocol(), None | Some(Protocol::Udp)),
                    behaviour,
                    matches: if key.mark().is_some() { matches } else { Vec::new() },
                    ftp: ftp && key.protocol() == Some(Protocol::Tcp) && key.port() > 0,
                    clean_stop,
                    monitor_file,
                    alerts,
                }
            },
        )
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let one = (option::of(1..=1u32 << 24), vec(text(), 0..3), option::of(select(vec!["auto", "xdp", "tcx"])));
    let two = (any::<(bool, bool)>(), option::of(any_path()), vec(text(), 0..2), option::of(any_path()));
    let seconds = || option::of(1..=31 * 24 * 60 * 60u32);
    let timeouts = (seconds(), seconds(), seconds()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp });
    (one, two, option::of(any_path()), option::of(text()), timeouts).prop_map(
        |((connections, interfaces, attach), two, log_file, log_facility, timeouts)| {
            let ((autoreload, supervised), callback, execute, maintenance_dir) = two;
            Settings {
                connections,
                interfaces,
                attach: attach.map(str::to_owned),
                autoreload,
                callback,
                execute,
                maintenance_dir,
                log_file,
                log_facility,
                supervised,
                timeouts,
            }
        },
    )
}

/// Makes names, keys and addresses unique, as they are in every cluster.
fn unique(mut cluster: Cluster) -> Cluster {
    let mut services: Vec<Service> = Vec::new();
    for mut service in std::mem::take(&mut cluster.services) {
        if services.iter().any(|s| s.key == service.key || s.name == service.name) {
            continue;
        }
        let mut reals: Vec<RealServer> = Vec::new();
        for real in std::mem::take(&mut service.real_servers) {
            if !reals.iter().any(|r| r.address == real.address || r.name == real.name) {
                reals.push(real);
            }
        }
        service.real_servers = reals;
        services.push(service);
    }
    // A check goes by a session that there is.
    let checks = services.iter().flat_map(|service| &service.real_servers).flat_map(|real| real.check.parts());
    if checks.into_iter().any(|check| matches!(check.probe, Probe::Bfd { .. })) {
        cluster.vrrp.bfd = vec![Session::new("peer".to_owned(), [192, 0, 2, 2].into())];
    }
    Cluster { services, ..cluster }
}

fn account() -> impl Strategy<Value = Account> {
    (select(vec!["root", "www-data", "1000"]), option::of(select(vec!["root", "adm"])))
        .prop_map(|(user, group)| Account { user: user.to_owned(), group: group.map(str::to_owned) })
}

fn script() -> impl Strategy<Value = NotifyScript> {
    (any_path(), vec(text(), 0..3), option::of(account())).prop_map(|(program, arguments, user)| NotifyScript {
        program,
        arguments,
        user,
    })
}

fn role() -> impl Strategy<Value = RoleNotify> {
    let scripts = btree_map(select(Moment::ALL.to_vec()), script(), 0..4);
    (scripts, option::of(script()), any::<(bool, bool, bool)>()).prop_map(
        |(scripts, any, (priorities, deleted, mail))| {
            let deleted = deleted || scripts.contains_key(&Moment::Deleted);
            RoleNotify { scripts, any, priorities, deleted, mail }
        },
    )
}

fn route() -> impl Strategy<Value = MailRoute> {
    let texts = (option::of(text()), option::of(text()), option::of(text()));
    (vec(text(), 1..3), text(), texts, 1..100_u64, any::<bool>()).prop_map(
        |(to, smtp, (from, helo, node), seconds, faults)| MailRoute {
            to,
            from,
            smtp,
            helo,
            timeout: Duration::from_secs(seconds),
            node,
            faults,
        },
    )
}

fn fifos() -> impl Strategy<Value = Vec<Fifo>> {
    let some = subsequence(vec![Subject::All, Subject::Vrrp, Subject::Services], 0..=3);
    (some, option::of(account()), option::of(script())).prop_map(|(some, owner, script)| {
        let fifo = |(at, about): (usize, Subject)| {
            let path = PathBuf::from(format!("/run/fifo {at}"));
            Fifo { about, path, owner: owner.clone(), script: script.clone() }
        };
        some.into_iter().enumerate().map(fifo).collect()
    })
}

/// Who is told of `services`: the same of each, and of each of their real servers.
fn notify(services: &[Service]) -> impl Strategy<Value = Notify> + use<> {
    let all: Vec<_> = services
        .iter()
        .map(|service| (service.key, service.real_servers.iter().map(|r| r.address).collect()))
        .collect();
    let bracket = || option::of((script(), 1..100_u64));
    let ends = || (option::of(script()), option::of(script()));
    let groups = btree_map(text(), role(), 0..3);
    let whole = (groups, option::of(route()), fifos(), any::<[bool; 6]>(), bracket(), bracket());
    (whole, ends(), ends()).prop_map(move |((groups, mail, fifos, flags, startup, shutdown), of_service, of_server)| {
        let [strict, states_on_reload, service_mail, omega, server_mail, first] = flags;
        let bracket = |(script, seconds)| Bracket { script, timeout: Duration::from_secs(seconds) };
        let server = ServerNotify { up: of_server.0, down: of_server.1, mail: server_mail && mail.is_some(), first };
        let silent = server == ServerNotify::default();
        let told = |servers: &Vec<SocketAddr>| ServiceNotify {
            up: of_service.0.clone(),
            down: of_service.1.clone(),
            mail: service_mail,
            omega,
            servers: servers.iter().filter(|_| !silent).map(|address| (*address, server.clone())).collect(),
        };
        let services = all.iter().map(|(key, servers)| (*key, told(servers)));
        Notify {
            instances: Default::default(),
            groups,
            services: services.filter(|(_, told)| !told.is_silent()).collect(),
            fifos,
            mail,
            strict,
            states_on_reload,
            startup: startup.map(bracket),
            shutdown: shutdown.map(bracket),
        }
    })
}

fn cluster() -> impl Strategy<Value = Cluster> {
    (settings(), vec(service(), 0..4)).prop_flat_map(|(settings, services)| {
        let cluster = unique(Cluster { settings, services, ..Cluster::default() });
        notify(&cluster.services).prop_map(move |notify| Cluster { notify, ..cluster.clone() })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cluster_written_as_toml_reads_as_the_same(cluster in cluster()) {
        prop_assume!(!cluster.services.is_empty() || cluster.settings != Settings::default());
        let text = to_toml(&cluster);
        let loaded = native(&text);
        prop_assert_eq!(loaded.cluster.as_ref(), Some(&cluster), "{}\n{:#?}", text, brief(&loaded));
    }
}

//! Every option of services and real servers is observed as it was applied, by whatever way it came to be.

use super::{address, apply, key, must, observe, options, server};
use crate::{Change, Dataplane, Note, RealServer, ServiceOptions};
use evenkeel_model::{
    Behaviour, ExpireGone, Forwarding, GueChecksum, Persistence, PersistenceEngine, Protocol, Scheduler, ServiceKey,
    Thresholds, Timeouts, Tunnel,
};
use std::net::{IpAddr, SocketAddr};

pub(super) fn check(make: &mut dyn FnMut() -> Box<dyn Dataplane>) {
    services_are_observed(&mut *make());
    real_servers_are_observed(&mut *make());
    families_are_crossed_by_those_that_can(&mut *make());
    timeouts_are_told(&mut *make());
}

/// One of each kind, and some together.
fn service_options() -> Vec<ServiceOptions> {
    let plain = || options(Scheduler::RoundRobin);
    let persistent = |timeout, prefix, engine| ServiceOptions {
        persistence: Some(Persistence { timeout, prefix, engine }),
        ..plain()
    };
    let behaving = |behaviour| ServiceOptions { behaviour, ..plain() };
    let usual = Behaviour::default;
    vec![
        plain(),
        persistent(1, 1, PersistenceEngine::Address),
        persistent(Persistence::LONGEST_TIMEOUT, 32, PersistenceEngine::Address),
        persistent(360, 24, PersistenceEngine::Sip),
        ServiceOptions { one_packet: true, ..plain() },
        behaving(Behaviour { expire_gone: ExpireGone::Never, ..usual() }),
        behaving(Behaviour { expire_gone: ExpireGone::All, ..usual() }),
        behaving(Behaviour { expire_quiescent_template: true, ..usual() }),
        behaving(Behaviour { reuse: false, ..usual() }),
        behaving(Behaviour { sloppy: true, ..usual() }),
        behaving(Behaviour { new_rate: Some(1), ..usual() }),
        behaving(Behaviour { source_rate: Some(2_000_000), ..usual() }),
        ServiceOptions { note: Note { flags: 5, sip: true, by_edit: true, is_meeting: false }, ..plain() },
        ServiceOptions { note: Note { is_meeting: true, ..Note::default() }, ..plain() },
        ServiceOptions {
            behaviour: Behaviour {
                expire_gone: ExpireGone::All,
                expire_quiescent_template: true,
                reuse: false,
                sloppy: true,
                new_rate: Some(7),
                source_rate: Some(8),
            },
            one_packet: true,
            ..persistent(7200, 16, PersistenceEngine::Sip)
        },
    ]
}

fn services_are_observed(plane: &mut dyn Dataplane) {
    let all = service_options();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let edited = key(protocol, 80);
        apply(plane, &[Change::AddService(edited, all[0].clone())]);
        for from in &all {
            for to in &all {
                apply(plane, &[Change::EditService(edited, from.clone()), Change::EditService(edited, to.clone())]);
                let table = observe(plane);
                assert_eq!(table.services.get(&edited).map(|service| &service.options), Some(to), "after {from:?}");
            }
        }
        for (port, wanted) in (1000..).zip(&all) {
            let key = key(protocol, port);
            apply(plane, &[Change::AddService(key, wanted.clone())]);
            assert_eq!(observe(plane).services.get(&key).map(|service| &service.options), Some(wanted));
            apply(plane, &[Change::RemoveService(key)]);
        }
    }
}

/// One of each kind, and some together.
fn real_servers() -> Vec<RealServer> {
    let limited =
        |upper, lower| RealServer { thresholds: Thresholds { upper, lower }, ..server(3, Forwarding::DirectRouting) };
    let tunnels = [
        Tunnel::Ipip,
        Tunnel::Gue { port: 6080, checksum: GueChecksum::None },
        Tunnel::Gue { port: 1, checksum: GueChecksum::Full },
        Tunnel::Gue { port: u16::MAX, checksum: GueChecksum::Remote },
        Tunnel::Gre { checksum: false },
        Tunnel::Gre { checksum: true },
    ];
    let mut all = vec![
        server(1, Forwarding::DirectRouting),
        limited(1000, 0),
        limited(u32::MAX, 700),
        limited(0, 5),
        RealServer { is_down: true, ..server(0, Forwarding::DirectRouting) },
        RealServer { is_down: true, ..server(0, Forwarding::Nat) },
        server(2, Forwarding::Local),
        server(2, Forwarding::Relay),
        server(4, Forwarding::Nat),
        server(5, Forwarding::FullNat),
        RealServer { thresholds: Thresholds { upper: 9, lower: 8 }, ..server(6, Forwarding::FullNat) },
    ];
    all.extend(tunnels.into_iter().map(|tunnel| server(7, Forwarding::Tunnel(tunnel))));
    all
}

fn real_servers_are_observed(plane: &mut dyn Dataplane) {
    let (web, all) = (key(Protocol::Tcp, 80), real_servers());
    apply(plane, &[Change::AddService(web, options(Scheduler::RoundRobin))]);
    for from in &all {
        for to in &all {
            let add = Change::AddRealServer(web, address(1), *from);
            apply(plane, &[add, Change::EditRealServer(web, address(1), *to)]);
            let servers = observe(plane).services.remove(&web).map(|service| service.real_servers).unwrap_or_default();
            assert_eq!(servers.into_iter().collect::<Vec<_>>(), [(address(1), *to)], "after {from:?}");
            // Without connections it is gone after a while, with all that it was.
            apply(plane, &[Change::RemoveRealServer(web, address(1))]);
            (0..4).for_each(|_| must(plane.sweep(), "cannot sweep"));
        }
    }
}

fn families_are_crossed_by_those_that_can(plane: &mut dyn Dataplane) {
    let other_family = SocketAddr::new(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]), 80);
    let web: ServiceKey = key(Protocol::Tcp, 80);
    apply(plane, &[Change::AddService(web, options(Scheduler::RoundRobin))]);
    for wanted in real_servers() {
        let change = Change::AddRealServer(web, other_family, wanted);
        let crosses = wanted.forwarding.crosses_families();
        assert_eq!(plane.apply(std::slice::from_ref(&change)).is_ok(), crosses, "{change:?}");
        let servers = observe(plane).services.remove(&web).map(|service| service.real_servers).unwrap_or_default();
        assert_eq!(servers.get(&other_family), Some(&wanted).filter(|_| crosses));
        if crosses {
            let direct = server(1, Forwarding::DirectRouting);
            assert!(plane.apply(&[Change::EditRealServer(web, other_family, direct)]).is_err(), "from {wanted:?}");
            apply(plane, &[Change::RemoveRealServer(web, other_family)]);
        }
    }
}

fn timeouts_are_told(plane: &mut dyn Dataplane) {
    let told = |plane: &mut dyn Dataplane| must(plane.timeouts(), "cannot tell timeouts");
    assert_eq!(told(plane), Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) });
    must(plane.set_timeouts(&Timeouts { tcp: Some(7200), tcp_fin: None, udp: Some(1) }), "cannot set timeouts");
    assert_eq!(told(plane), Timeouts { tcp: Some(7200), tcp_fin: Some(120), udp: Some(1) });
    must(plane.set_timeouts(&Timeouts::default()), "cannot set timeouts");
    must(plane.set_timeouts(&Timeouts { tcp_fin: Some(60), ..Timeouts::default() }), "cannot set timeouts");
    assert_eq!(told(plane), Timeouts { tcp: Some(7200), tcp_fin: Some(60), udp: Some(1) });
}

//! Translation (PP-40 to PP-45): frames in, frames out, their checksums made from scratch to compare with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/host.rs"]
mod host;
#[path = "common/wire.rs"]
mod wire;

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, Connection, ConnectionFilter, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Options, Runner};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use host::{own_namespace, root, run};
use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};
use wire::{ACK, FIN, ICMP_ERROR, RST, SCTP, SYN, Segment, TCP, UDP};

const DOORS: [Door; 2] = [Door::Xdp, Door::Tc];
const FAMILIES: [bool; 2] = [false, true];
/// MAC address of the real servers' next hop, and the client's as the kernel's neighbours have it.
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x99];

fn ip(v6: bool, kind: u16, last: u16) -> IpAddr {
    if v6 {
        IpAddr::from([0x2001, 0xdb8, kind, 0, 0, 0, 0, last])
    } else {
        IpAddr::from([10, kind as u8, (last >> 8) as u8, last as u8])
    }
}

fn client(v6: bool) -> IpAddr {
    ip(v6, 9, 9)
}
fn vip(v6: bool) -> IpAddr {
    ip(v6, 1, 100)
}
fn server(v6: bool, last: u16) -> IpAddr {
    ip(v6, 2, last)
}
fn own(v6: bool) -> IpAddr {
    ip(v6, 2, 1)
}

/// A namespace that answers are routed in.
fn network() {
    own_namespace();
    run("ip link set lo up");
    for v6 in FAMILIES {
        let length = if v6 { 64 } else { 16 };
        run(&format!("ip addr add {}/{length} dev veth0{}", ip(v6, 9, 1), if v6 { " nodad" } else { "" }));
        run(&format!("ip neigh add {} lladdr 02:00:00:00:00:99 dev veth0", client(v6)));
    }
    run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
}

/// A director with virtual service ports 80 and 81 of every protocol, whose real servers have port 8080.
fn director(method: Forwarding, servers: &[u16]) -> EbpfDataplane {
    director_for(1 << 16, method, servers)
}

/// The same, with a table for so many connections.
fn director_for(connections: u32, method: Forwarding, servers: &[u16]) -> EbpfDataplane {
    let (services, real_servers) = (16, 64);
    let options =
        Options { pins: None, connections, services, real_servers, cells: 1 << 18, timeouts: TIMEOUT_SECONDS };
    let (mut plane, _) = EbpfDataplane::open(&options).unwrap();
    let mut changes = Vec::new();
    for v6 in FAMILIES {
        for (protocol, port) in [(Protocol::Tcp, 80), (Protocol::Tcp, 81), (Protocol::Udp, 80), (Protocol::Sctp, 80)] {
            let key = ServiceKey::Address { address: vip(v6), protocol, port };
            changes.push(Change::AddService(key, ServiceOptions::new(Scheduler::RoundRobin)));
            let one = RealServer::new(Weight::ONE, method);
            changes
                .extend(servers.iter().map(|s| Change::AddRealServer(key, SocketAddr::new(server(v6, *s), 8080), one)));
        }
    }
    plane.apply(&changes).unwrap();
    for (v6, last) in FAMILIES.into_iter().flat_map(|v6| servers.iter().map(move |last| (v6, *last))) {
        let route =
            Route { interface: 1, gateway: None, mtu: 1500, own_address: Some(own(v6)), vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination: SERVER_MAC };
        plane.next_hop(server(v6, last), hop).unwrap();
    }
    plane
}

fn request(v6: bool, protocol: u8, port: u16, flags: u8) -> Segment {
    Segment {
        from: SocketAddr::new(client(v6), port),
        to: SocketAddr::new(vip(v6), 80),
        protocol,
        flags,
        ..wire::segment()
    }
}

fn answer_to(sent: &Segment, flags: u8) -> Segment {
    Segment { from: sent.to, to: sent.from, flags, ttl: 64, payload: b"and back again".to_vec(), ..sent.clone() }
}

fn went(door: Door, code: u32) -> bool {
    match door {
        Door::Xdp => code == 3 || code == 4,
        Door::Tc => code == 7,
    }
}

fn passed(door: Door, code: u32) -> bool {
    match door {
        Door::Xdp => code == 2,
        Door::Tc => code == u32::MAX,
    }
}

/// Sends a segment, which goes on; what it has become.
fn through(plane: &mut EbpfDataplane, door: Door, segment: &Segment) -> Segment {
    let outcome = plane.run(door, &segment.frame(), 1).unwrap();
    assert!(went(door, outcome.code), "{door:?} {segment:?}: code {} {:?}", outcome.code, dropped(plane));
    Segment::read(&outcome.frame)
}

fn dropped(plane: &mut EbpfDataplane) -> Vec<(&'static str, u64)> {
    let mut all = Vec::new();
    plane.drops(&mut |reason, count| all.extend((count > 0).then_some((reason, count)))).unwrap();
    all
}

fn count(plane: &mut EbpfDataplane, reason: &str) -> u64 {
    dropped(plane).iter().find(|(name, _)| *name == reason).map_or(0, |(_, count)| *count)
}

fn connections(plane: &mut EbpfDataplane) -> Vec<Connection> {
    let (mut all, mut from) = (Vec::new(), Some(0));
    while let Some(at) = from {
        let mut sink = |connection| {
            all.push(connection);
            true
        };
        from = plane.connections(&ConnectionFilter::default(), at, &mut sink).unwrap();
    }
    all
}

#[test]
fn packets_are_translated_both_ways() {
    if !root() {
        return;
    }
    network();
    for (method, door) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| DOORS.map(|door| (m, door))) {
        let mut plane = director(method, &[11]);
        for (v6, protocol) in FAMILIES.into_iter().flat_map(|v6| [TCP, UDP, SCTP].map(|protocol| (v6, protocol))) {
            let what = format!("{method:?} {door:?} v6 {v6} protocol {protocol}");
            let port = 20_000;
            let sent = through(&mut plane, door, &request(v6, protocol, port, SYN));
            let from = if method == Forwarding::Nat { client(v6) } else { own(v6) };
            assert_eq!(
                (sent.from, sent.to),
                (SocketAddr::new(from, port), SocketAddr::new(server(v6, 11), 8080)),
                "{what}"
            );
            assert_eq!((sent.ttl, sent.mac), (63, SERVER_MAC), "{what}");
            sent.verify();
            let back = through(&mut plane, door, &answer_to(&sent, SYN | ACK));
            assert_eq!(
                (back.from, back.to),
                (SocketAddr::new(vip(v6), 80), SocketAddr::new(client(v6), port)),
                "{what}"
            );
            assert_eq!((back.ttl, back.mac), (63, CLIENT_MAC), "{what}");
            assert_eq!(back.payload, b"and back again", "{what}");
            back.verify();
            // Of a known connection now, with a payload of odd length.
            let payload = b"more of it".repeat(70)[..697].to_vec();
            let more = through(&mut plane, door, &Segment { payload, ..request(v6, protocol, port, ACK) });
            assert_eq!((more.from, more.to), (sent.from, sent.to), "{what}");
            more.verify();
        }
        let made = connections(&mut plane);
        assert_eq!(made.len(), 6, "one of each family and protocol: {made:?}");
        for connection in made.iter().filter(|c| c.protocol == TCP) {
            assert_eq!(connection.state, "ESTABLISHED");
        }
        let mut out = (0, 0);
        plane
            .counters(&mut |_, server, c| {
                if server.is_some() {
                    out = (out.0 + c.packets_in, out.1 + c.packets_out);
                }
            })
            .unwrap();
        assert_eq!(out, (12, 6), "{method:?} {door:?}");
    }
}

#[test]
fn a_datagram_without_checksum_stays_without() {
    if !root() {
        return;
    }
    network();
    for door in DOORS {
        let mut plane = director(Forwarding::Nat, &[11]);
        let mut frame = request(false, UDP, 5000, 0).frame();
        frame[40..42].fill(0);
        let outcome = plane.run(door, &frame, 1).unwrap();
        assert!(went(door, outcome.code), "{door:?}");
        assert_eq!(outcome.frame[40..42], [0, 0], "{door:?}");
    }
}

#[test]
fn others_packets_of_a_real_server_pass() {
    if !root() {
        return;
    }
    network();
    for (door, v6) in DOORS.into_iter().flat_map(|door| FAMILIES.map(|v6| (door, v6))) {
        let mut plane = director(Forwarding::Nat, &[11]);
        let own_business = Segment {
            from: SocketAddr::new(server(v6, 11), 33_000),
            to: SocketAddr::new(client(v6), 443),
            ..wire::segment()
        };
        let frame = own_business.frame();
        let outcome = plane.run(door, &frame, 1).unwrap();
        assert!(passed(door, outcome.code) && outcome.frame == frame, "{door:?} {v6}");
        assert_eq!(dropped(&mut plane), [], "nothing is counted");
    }
}

#[test]
fn errors_about_connections_are_translated_both_ways() {
    if !root() {
        return;
    }
    network();
    for (method, door) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| DOORS.map(|door| (m, door))) {
        let mut plane = director(method, &[11]);
        for ((v6, protocol), quote) in FAMILIES
            .into_iter()
            .flat_map(|v6| [TCP, UDP].map(|protocol| (v6, protocol)))
            .flat_map(|f| [8, 48].map(|quote| (f, quote)))
        {
            let what = format!("{method:?} {door:?} v6 {v6} protocol {protocol} quote {quote}");
            let asked = Segment { payload: vec![7; 40], ..request(v6, protocol, 41_000, SYN) };
            let sent = through(&mut plane, door, &asked);
            let answered = Segment { payload: vec![8; 40], ..answer_to(&sent, SYN | ACK) };
            let back = through(&mut plane, door, &answered);
            // A router behind the director cannot deliver what the director sent: the client learns it of the virtual address.
            let router = ip(v6, 2, 254);
            let error = wire::error(router, &sent, quote);
            let told = through(&mut plane, door, &error);
            assert_eq!(
                (told.from.ip(), told.to.ip(), told.protocol),
                (vip(v6), client(v6), ICMP_ERROR[usize::from(v6)]),
                "{what}"
            );
            told.verify();
            told.verify_quote(&Segment { ttl: sent.ttl, ..asked.clone() }, quote, &what);
            // A router before the director cannot deliver what came back: the real server learns it of that router.
            let far = ip(v6, 9, 77);
            let error = wire::error(far, &back, quote);
            let told = through(&mut plane, door, &error);
            assert_eq!((told.from.ip(), told.to.ip()), (far, server(v6, 11)), "{what}");
            told.verify();
            told.verify_quote(&Segment { ttl: back.ttl, ..answered.clone() }, quote, &what);
        }
    }
}

#[test]
fn a_port_used_again_leads_the_new_real_servers_answers_back_only() {
    if !root() {
        return;
    }
    network();
    for (method, door) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| DOORS.map(|door| (m, door))) {
        for v6 in FAMILIES {
            let mut plane = director(method, &[11, 12]);
            let first = through(&mut plane, door, &request(v6, TCP, 42_000, SYN));
            through(&mut plane, door, &answer_to(&first, SYN | ACK));
            through(&mut plane, door, &request(v6, TCP, 42_000, ACK));
            through(&mut plane, door, &request(v6, TCP, 42_000, RST));
            let second = through(&mut plane, door, &request(v6, TCP, 42_000, SYN));
            assert_ne!(first.to, second.to, "round robin");
            let back = through(&mut plane, door, &answer_to(&second, SYN | ACK));
            assert_eq!(back.from, SocketAddr::new(vip(v6), 80));
            let stale = plane.run(door, &answer_to(&first, ACK).frame(), 1).unwrap();
            assert!(passed(door, stale.code), "{method:?} {door:?}: code {}", stale.code);
            let third = through(&mut plane, door, &request(v6, TCP, 42_000, RST | ACK));
            assert_eq!(third.to, second.to);
            assert_eq!(connections(&mut plane).len(), 1);
        }
    }
}

#[test]
fn a_client_port_that_the_real_server_knows_is_refused_until_its_connection_closes() {
    if !root() {
        return;
    }
    network();
    let mut plane = director(Forwarding::Nat, &[11]);
    let door = Door::Xdp;
    let one = request(false, TCP, 43_000, SYN);
    let two = Segment { to: SocketAddr::new(vip(false), 81), ..one.clone() };
    through(&mut plane, door, &one);
    assert_eq!(plane.run(door, &two.frame(), 1).unwrap().code, 1, "dropped");
    assert_eq!(dropped(&mut plane), [("no_port", 1)]);
    assert_eq!(connections(&mut plane).len(), 1, "no half of a connection is left");
    through(&mut plane, door, &Segment { flags: FIN | ACK, ..one.clone() });
    let sent = through(&mut plane, door, &two);
    let back = through(&mut plane, door, &answer_to(&sent, SYN | ACK));
    assert_eq!(back.from, two.to);
    assert_eq!(connections(&mut plane).len(), 1, "the closing one has made room");
}

#[test]
fn full_nat_gives_every_connection_a_port_of_its_own_until_none_is_left() {
    if !root() {
        return;
    }
    network();
    let mut plane = director(Forwarding::FullNat, &[11]);
    let runner = plane.runner(Door::Xdp).unwrap();
    for number in 0..34_000u32 {
        let from = SocketAddr::new(ip(false, 9, 100 + (number / 50) as u16), 1024 + (number % 50) as u16);
        let code = runner.run(&Segment { from, ..request(false, TCP, 0, SYN) }.frame(), 1).unwrap().code;
        assert!(code == 1 || code == 3 || code == 4);
    }
    let made = connections(&mut plane);
    let ports: HashSet<u16> = made.iter().map(|c| c.translated_client.unwrap().port()).collect();
    assert_eq!(ports.len(), made.len(), "no port is given twice");
    assert!(ports.iter().all(|port| (4_096..=32_767).contains(port)));
    assert!(ports.len() > 20_000, "{} ports of 28672 found", ports.len());
    assert!(count(&mut plane, "no_port") > 0);
}

#[test]
fn answers_stay_where_the_kernel_does_not_forward() {
    if !root() {
        return;
    }
    network();
    for (door, v6) in DOORS.into_iter().flat_map(|door| FAMILIES.map(|v6| (door, v6))) {
        let mut plane = director(Forwarding::Nat, &[11]);
        let sent = through(&mut plane, door, &request(v6, TCP, 44_000, SYN));
        run("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0");
        plane.run(door, &answer_to(&sent, SYN | ACK).frame(), 1).unwrap();
        run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        assert_eq!(dropped(&mut plane), [("not_forwarding", 1)], "{door:?} {v6}");
    }
}

/// A datagram in two IPv4 fragments, sent through one after the other; what they are together.
fn in_pieces(plane: &mut EbpfDataplane, door: Door, whole: &Segment, identification: u16) -> Segment {
    const FIRST: usize = 24;
    let frame = whole.frame();
    let (head, payload) = frame.split_at(34);
    let piece = |payload: &[u8], fragment: u16| {
        let mut piece = [head, payload].concat();
        piece[16..18].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        piece[18..20].copy_from_slice(&identification.to_be_bytes());
        piece[20..22].copy_from_slice(&fragment.to_be_bytes());
        wire::seal(&mut piece[14..34]);
        piece
    };
    let mut join = Vec::new();
    for piece in [piece(&payload[..FIRST], 0x2000), piece(&payload[FIRST..], FIRST as u16 / 8)] {
        let outcome = plane.run(door, &piece, 1).unwrap();
        assert!(went(door, outcome.code), "{door:?}: code {} {:?}", outcome.code, dropped(plane));
        let mut sealed = outcome.frame.clone();
        wire::seal(&mut sealed[14..34]);
        assert_eq!(sealed, outcome.frame, "the header's checksum is right");
        if join.is_empty() {
            join = outcome.frame;
        } else {
            assert_eq!(join[26..34], outcome.frame[26..34], "both have the same addresses");
            join.extend(&outcome.frame[34..]);
        }
    }
    let length = join.len() as u16 - 14;
    join[16..18].copy_from_slice(&length.to_be_bytes());
    join[18..22].copy_from_slice(&[0, 1, 0x40, 0]);
    wire::seal(&mut join[14..34]);
    Segment::read(&join)
}

#[test]
fn fragments_are_translated_both_ways() {
    if !root() {
        return;
    }
    network();
    for (method, door) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| DOORS.map(|door| (m, door))) {
        let mut plane = director(method, &[11, 12]);
        let asked = Segment { payload: b"a datagram in two pieces".repeat(3), ..request(false, UDP, 45_000, 0) };
        let sent = in_pieces(&mut plane, door, &asked, 7);
        assert_eq!(sent.to.port(), 8080, "{method:?} {door:?}");
        assert_eq!(sent.payload, asked.payload);
        sent.verify();
        let answer = Segment { payload: b"and an answer in as many".repeat(3), ..answer_to(&sent, 0) };
        let back = in_pieces(&mut plane, door, &answer, 8);
        assert_eq!((back.from, back.to), (asked.to, asked.from), "{method:?} {door:?}");
        assert_eq!(back.payload, answer.payload);
        back.verify();
    }
}

#[test]
fn a_full_table_gives_both_slots_of_half_open_connections_away() {
    if !root() {
        return;
    }
    network();
    for (method, v6) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| FAMILIES.map(|v6| (m, v6))) {
        let mut plane = director_for(512, method, &[11]);
        let runner = plane.runner(Door::Xdp).unwrap();
        let mut latest = Vec::new();
        for port in 10_000..20_000 {
            let outcome = runner.run(&request(v6, TCP, port, SYN).frame(), 1).unwrap();
            if went(Door::Xdp, outcome.code) {
                latest.push(Segment::read(&outcome.frame));
            }
        }
        assert!(latest.len() > 9_000, "{method:?}: {} of 10000 found room", latest.len());
        // Whatever is left is whole: every connection has its way back, and no way back leads elsewhere.
        let left = connections(&mut plane);
        assert!(left.len() > 256, "{method:?}: {} connections", left.len());
        let mut answered = 0;
        for sent in latest.iter().rev() {
            let outcome = plane.run(Door::Xdp, &answer_to(sent, SYN | ACK).frame(), 1).unwrap();
            if went(Door::Xdp, outcome.code) {
                let client = Segment::read(&outcome.frame).to;
                assert!(left.iter().any(|c| c.client == client), "{method:?}: {client} has no connection");
                answered += 1;
            }
        }
        // Of FullNAT a port may have been given again.
        assert!(answered >= left.len(), "{method:?}: {answered} answers for {} connections", left.len());
    }
}

const FLOWS: u16 = 1 << 13;

fn contend(runner: &Runner, v6: bool, own: &AtomicU32, other: &AtomicU32) {
    for flow in 0..FLOWS {
        own.store(u32::from(flow) + 1, Ordering::SeqCst);
        while other.load(Ordering::SeqCst) < u32::from(flow) + 1 {
            std::thread::yield_now();
        }
        runner.run(&request(v6, TCP, 1024 + flow, SYN).frame(), 1).unwrap();
    }
}

#[test]
fn two_cpus_make_one_connection_with_one_way_back() {
    if !root() {
        return;
    }
    network();
    for (method, v6) in [Forwarding::Nat, Forwarding::FullNat].into_iter().flat_map(|m| FAMILIES.map(|v6| (m, v6))) {
        let mut plane = director(method, &[11, 12, 13]);
        let runners = [plane.runner(Door::Xdp).unwrap(), plane.runner(Door::Xdp).unwrap()];
        let (one, two) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            // A thread's network is that of who starts it.
            scope.spawn(|| contend(&runners[0], v6, &one, &two));
            scope.spawn(|| contend(&runners[1], v6, &two, &one));
        });
        for flow in 0..FLOWS {
            let port = 1024 + flow;
            // What was dropped because the other CPU was at it is sent again, as a client does.
            let sent = through(&mut plane, Door::Xdp, &request(v6, TCP, port, SYN));
            let mut led_back = 0;
            for last in [11, 12, 13] {
                let from = SocketAddr::new(server(v6, last), 8080);
                let outcome =
                    plane.run(Door::Xdp, &Segment { from, ..answer_to(&sent, SYN | ACK) }.frame(), 1).unwrap();
                if went(Door::Xdp, outcome.code) {
                    let back = Segment::read(&outcome.frame);
                    led_back += u32::from(back.to == SocketAddr::new(client(v6), port) && from == sent.to);
                }
            }
            assert_eq!(led_back, 1, "{method:?} flow {flow}");
        }
        assert_eq!(connections(&mut plane).len(), usize::from(FLOWS), "{method:?}: each is made once");
    }
}

//! Tunnels packet by packet: what is put in front, with every checksum made from scratch, and what is answered to packets too big.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;
#[path = "common/sums.rs"]
mod sums;

use director::{drops, options};
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions, Vlan};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane};
use evenkeel_model::{Forwarding, GueChecksum, Protocol, Scheduler, ServiceKey, Tunnel, Weight};
use host::root;
use std::net::{IpAddr, SocketAddr};
use sums::{be16, ethernet, ip, octets, pseudo, sum, udp};

const MTU: usize = 1500;
const GUE_PORT: u16 = 6080;
const DOORS: [Door; 2] = [Door::Xdp, Door::Tc];

struct Way {
    client: IpAddr,
    vip: IpAddr,
    real: IpAddr,
    own: IpAddr,
    tunnel: Tunnel,
    port: u16,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ways() -> Vec<Way> {
    let gue = |checksum| Tunnel::Gue { port: GUE_PORT, checksum };
    let tunnels = [
        Tunnel::Ipip,
        Tunnel::Gre { checksum: false },
        Tunnel::Gre { checksum: true },
        gue(GueChecksum::None),
        gue(GueChecksum::Full),
        gue(GueChecksum::Remote),
    ];
    let mut ways = Vec::new();
    for (client, vip) in [("198.51.100.9", "192.0.2.1"), ("2001:db8::9", "2001:db8:1::1")] {
        for (real, own) in [("10.0.0.7", "10.0.0.1"), ("fd00::7", "fd00::1")] {
            ways.extend(tunnels.map(|tunnel| Way {
                client: address(client),
                vip: address(vip),
                real: address(real),
                own: address(own),
                tunnel,
                port: 0,
            }));
        }
    }
    for (way, port) in ways.iter_mut().zip(1000..) {
        way.port = port;
    }
    ways
}

fn plane(ways: &[Way]) -> EbpfDataplane {
    let (mut plane, _) = EbpfDataplane::open(&options(None)).unwrap();
    for way in ways {
        let key = ServiceKey::Address { address: way.vip, protocol: Protocol::Udp, port: way.port };
        let real = RealServer::new(Weight::ONE, Forwarding::Tunnel(way.tunnel));
        let service = ServiceOptions::new(Scheduler::RoundRobin);
        let add = Change::AddRealServer(key, SocketAddr::new(way.real, way.port), real);
        plane.apply(&[Change::AddService(key, service), add]).unwrap();
        lead(&mut plane, way, Some(way.own), None);
    }
    plane
}

fn lead(plane: &mut EbpfDataplane, way: &Way, own_address: Option<IpAddr>, vlan: Option<u16>) {
    let vlan = vlan.map(|id| Vlan { id, is_service: false });
    let route = Route { interface: 1, gateway: None, mtu: MTU as u32, own_address, vlan, by_stack: false };
    let (source, destination) = ([2, 0, 0, 0, 0, 0xee], [2, 0, 0, 0, 0, 7]);
    plane.next_hop(way.real, NextHop::Resolved { route, source, destination }).unwrap();
}

fn query(way: &Way, ttl: u8, length: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..length).map(|at| (at * 7 + 3) as u8).collect();
    ip(way.client, way.vip, 17, ttl, &udp(way.client, way.vip, (4000, way.port), &payload))
}

/// Takes the outer headers off, all checked; the inner packet.
fn unwrapped<'a>(way: &Way, frame: &'a [u8]) -> &'a [u8] {
    assert_eq!(frame[..12], [2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 0xee]);
    let packet = &frame[14..];
    let v4 = way.real.is_ipv4();
    assert_eq!(frame[12..14], if v4 { [8, 0] } else { [0x86, 0xdd] });
    let (class, protocol, ttl, total, header) = if v4 {
        assert_eq!(sum(&[&packet[..20]]), 0xffff, "outer header's checksum");
        assert_eq!((packet[0], be16(packet, 4), be16(packet, 6)), (0x45, 0, 0x4000));
        assert_eq!((&packet[12..16], &packet[16..20]), (&octets(way.own)[..], &octets(way.real)[..]));
        (packet[1], packet[9], packet[8], usize::from(be16(packet, 2)), 20)
    } else {
        assert_eq!((packet[0] >> 4, packet[1] & 15, be16(packet, 2)), (6, 0, 0), "no flow label");
        assert_eq!((&packet[8..24], &packet[24..40]), (&octets(way.own)[..], &octets(way.real)[..]));
        (packet[0] << 4 | packet[1] >> 4, packet[6], packet[7], usize::from(be16(packet, 4)) + 40, 40)
    };
    assert_eq!((class, ttl, total), (3, 64, packet.len()));
    let shim = &packet[header..];
    let inner = if way.vip.is_ipv4() { 4 } else { 41 };
    let kind = if way.vip.is_ipv4() { 0x0800 } else { 0x86dd };
    match way.tunnel {
        Tunnel::Ipip => {
            assert_eq!(protocol, inner);
            shim
        }
        Tunnel::Gre { checksum } => {
            assert_eq!((protocol, be16(shim, 0), be16(shim, 2)), (47, if checksum { 0x8000 } else { 0 }, kind));
            if checksum {
                assert_eq!((sum(&[shim]), be16(shim, 6)), (0xffff, 0), "GRE's checksum");
                &shim[8..]
            } else {
                &shim[4..]
            }
        }
        Tunnel::Gue { port, checksum } => {
            assert_eq!((protocol, be16(shim, 2), usize::from(be16(shim, 4))), (17, port, shim.len()));
            assert!(be16(shim, 0) >= 49152);
            if checksum == GueChecksum::Full || !v4 {
                assert_eq!(sum(&[&pseudo(way.own, way.real, 17, shim.len()), shim]), 0xffff, "outer UDP's checksum");
            } else {
                assert_eq!(be16(shim, 6), 0);
            }
            if checksum == GueChecksum::Remote {
                assert_eq!(shim[8..12], [0, inner, 0, 0]);
                &shim[12..]
            } else {
                &shim[8..]
            }
        }
    }
}

#[test]
fn every_tunnel_puts_the_right_header_in_front() {
    if !root() {
        return;
    }
    let ways = ways();
    let mut plane = plane(&ways);
    for way in &ways {
        for length in [0, 1, 333, 1200] {
            let frames = DOORS.map(|door| {
                let outcome = plane.run(door, &ethernet(&query(way, 64, length)), 1).unwrap();
                let inner = unwrapped(way, &outcome.frame);
                assert_eq!(inner, query(way, 63, length), "{} {door:?}", way.tunnel);
                outcome.frame
            });
            // The source port of GUE, too.
            assert_eq!(frames[0], frames[1], "{}", way.tunnel);
        }
    }
}

#[test]
fn a_datagram_without_checksum_and_one_with_extension_headers_are_added_up() {
    if !root() {
        return;
    }
    let ways = ways();
    let mut plane = plane(&ways);
    for way in &ways {
        for door in DOORS {
            for length in [0, 1, 2, 5, 511, 1111] {
                let mut datagram = udp(way.client, way.vip, (4000, way.port), &vec![0xa5; length]);
                let (protocol, payload) = if way.vip.is_ipv4() {
                    datagram[6..8].fill(0);
                    (17, datagram)
                } else {
                    let options = [60, 0, 1, 4, 0, 0, 0, 0].into_iter().chain([17, 0, 1, 4, 0, 0, 0, 0]);
                    (0, options.chain(datagram).collect())
                };
                let packet = |ttl| ip(way.client, way.vip, protocol, ttl, &payload);
                let outcome = plane.run(door, &ethernet(&packet(64)), 1).unwrap();
                assert_eq!(unwrapped(way, &outcome.frame), packet(63), "{} {door:?} {length}", way.tunnel);
            }
        }
    }
}

#[test]
fn a_packet_too_big_for_the_tunnel_is_answered_from_the_virtual_address() {
    if !root() {
        return;
    }
    let ways = ways();
    let mut plane = plane(&ways);
    let mut answers = 0;
    for way in &ways {
        for door in DOORS {
            answers += 1;
            let (ip_header, quote) = if way.vip.is_ipv4() { (20, 576) } else { (40, 1280) };
            let query = |ttl| query(way, ttl, MTU - ip_header - 8);
            let outcome = plane.run(door, &ethernet(&query(64)), 1).unwrap();
            let frame = &outcome.frame;
            assert_eq!(frame[..12], [2, 0, 0, 0, 0, 0xcc, 2, 0, 0, 0, 0, 0xee], "back to where it came from");
            let packet = &frame[14..];
            assert_eq!(packet.len(), quote);
            let icmp = &packet[ip_header..];
            let outer = if way.real.is_ipv4() { 20 } else { 40 };
            let shim = match way.tunnel {
                Tunnel::Ipip => 0,
                Tunnel::Gre { checksum } => {
                    if checksum {
                        8
                    } else {
                        4
                    }
                }
                Tunnel::Gue { checksum, .. } => {
                    if checksum == GueChecksum::Remote {
                        12
                    } else {
                        8
                    }
                }
            };
            let left = (MTU - outer - shim) as u16;
            if way.vip.is_ipv4() {
                assert_eq!(sum(&[&packet[..20]]), 0xffff);
                assert_eq!(
                    (packet[9], &packet[12..16], &packet[16..20]),
                    (1, &octets(way.vip)[..], &octets(way.client)[..])
                );
                assert_eq!((icmp[0], icmp[1], be16(icmp, 6)), (3, 4, left));
                assert_eq!(sum(&[icmp]), 0xffff);
            } else {
                assert_eq!(
                    (packet[6], &packet[8..24], &packet[24..40]),
                    (58, &octets(way.vip)[..], &octets(way.client)[..])
                );
                assert_eq!((icmp[0], icmp[1], be16(icmp, 4), be16(icmp, 6)), (2, 0, 0, left));
                assert_eq!(sum(&[&pseudo(way.vip, way.client, 58, icmp.len()), icmp]), 0xffff);
            }
            assert_eq!(icmp[8..], query(63)[..icmp.len() - 8]);
            assert_eq!(drops(&mut plane, "too_big"), answers);
            // What just fits goes.
            let fits = self::query(way, 64, usize::from(left) - ip_header - 8);
            let outcome = plane.run(door, &ethernet(&fits), 1).unwrap();
            assert_eq!(unwrapped(way, &outcome.frame).len(), usize::from(left));
            answers += 1;
            let more = self::query(way, 64, usize::from(left) + 1 - ip_header - 8);
            plane.run(door, &ethernet(&more), 1).unwrap();
            assert_eq!(drops(&mut plane, "too_big"), answers, "one byte more does not fit");
        }
    }
}

#[test]
fn without_an_own_address_there_is_no_tunnel() {
    if !root() {
        return;
    }
    let ways = ways();
    let (way, mut plane) = (&ways[0], plane(&ways[..1]));
    lead(&mut plane, way, None, None);
    let outcome = plane.run(Door::Xdp, &ethernet(&query(way, 64, 8)), 1).unwrap();
    assert_eq!((outcome.code, drops(&mut plane, "no_own_address")), (1, 1));
}

#[test]
fn answers_to_packets_too_big_are_bounded() {
    if !root() {
        return;
    }
    let ways = ways();
    let (way, mut plane) = (&ways[0], plane(&ways[..1]));
    let frame = ethernet(&query(way, 64, 1472));
    let runs = 3000;
    let answered = (0..runs).filter(|_| plane.run(Door::Xdp, &frame, 1).unwrap().code == 3).count();
    assert!((1..runs).contains(&answered), "{answered}");
    assert_eq!(drops(&mut plane, "too_big"), runs as u64);
}

#[test]
fn a_tagged_frame_leaves_with_the_tag_of_the_real_server() {
    if !root() {
        return;
    }
    let ways = ways();
    let (way, mut plane) = (&ways[0], plane(&ways[..1]));
    for vlan in [None, Some(7)] {
        lead(&mut plane, way, Some(way.own), vlan);
        let mut frame = ethernet(&query(way, 64, 100));
        frame.splice(12..12, [0x81, 0, 0x20, 5]);
        let mut out = plane.run(Door::Xdp, &frame, 1).unwrap().frame;
        if vlan.is_some() {
            let tag: Vec<u8> = out.splice(12..16, []).collect();
            assert_eq!(tag, [0x81, 0, 0, 7]);
        }
        assert_eq!(unwrapped(way, &out), query(way, 63, 100));
        // What passes keeps its own.
        let mut other = frame.clone();
        other[18 + 20 + 3] ^= 0xff;
        assert_eq!(plane.run(Door::Xdp, &other, 1).unwrap().frame, other);
    }
}

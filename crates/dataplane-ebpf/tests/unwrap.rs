//! The real server's side of tunnels (PP-48): the programs against the reference, packet by packet.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod common;

use common::host::{self, Pins};
use evenkeel_dataplane::reference::{
    bed,
    build::{self, Frame},
    unwrap::{Limits as ModelLimits, Unwrapper},
};
use evenkeel_dataplane_ebpf::unwrap::{Limits, Side, Unwrap};
use evenkeel_machine::Rng;
use std::net::{IpAddr, SocketAddr};

const GUE_PORT: u16 = 6080;
const MSS: u16 = 1380;
const PACKETS: u32 = 20_000;

/// The programs on a host with the bed's routes, and the reference.
fn pair(pins: &Pins) -> (Unwrap, Unwrapper) {
    bed::HOST.iter().for_each(|line| host::run(&format!("ip {line}")));
    host::run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    let mut programs = Unwrap::open(&pins.0).unwrap();
    let mut vips = Vec::new();
    for v6 in [false, true] {
        for (vip, mss) in [(bed::virtual_address(v6), MSS), (bed::any_port_address(v6), 0)] {
            programs.add(vip, Limits { mss, gue_port: GUE_PORT }).unwrap();
            vips.push((vip, ModelLimits { mss, gue_port: GUE_PORT }));
        }
    }
    (programs, Unwrapper::new(bed::routes(), vips))
}

/// Its own address that packets are sent to.
fn own(v6: bool) -> IpAddr {
    bed::client(v6, 200)
}

fn segment(v6: bool) -> Frame {
    build::tcp(SocketAddr::new(bed::client(v6, 5), 4000), SocketAddr::new(bed::virtual_address(v6), 80), build::ACK)
}

/// `inner` in an outer packet by `protocol`, behind `shim`.
fn wrapped(v6: bool, protocol: u8, shim: &[u8], inner: &[u8]) -> Frame {
    build::raw(bed::real_server(v6, 253), own(v6), protocol, &[shim, inner].concat())
}

fn gue(v6: bool, port: u16, header: &[u8], inner: &[u8]) -> Frame {
    let from = SocketAddr::new(bed::real_server(v6, 253), 50_000);
    build::udp(from, SocketAddr::new(own(v6), port)).payload(&[header, inner].concat())
}

/// What is said, the frame, and whether it is unwrapped.
fn cases(outer: bool, v6: bool) -> Vec<(&'static str, Frame, bool)> {
    let inner = segment(v6).payload(b"hello").quote();
    let protocol = if v6 { 41 } else { 4 };
    let kind: [u8; 2] = if v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let gre = |flags: [u8; 2], rest: &[u8]| [&flags, &kind, rest].concat();
    let stranger = build::udp(SocketAddr::new(bed::client(v6, 5), 1), SocketAddr::new(bed::real_server(v6, 1), 2));
    vec![
        ("ipip", wrapped(outer, protocol, &[], &inner), true),
        ("padding stays", wrapped(outer, protocol, &[], &inner).padding(9), true),
        ("the other family's number", wrapped(outer, 45 - protocol, &[], &inner), false),
        ("another virtual address", wrapped(outer, protocol, &[], &stranger.quote()), false),
        (
            "to somebody else",
            wrapped(outer, protocol, &[], &inner).between(bed::own_address(outer), bed::client(outer, 5)),
            false,
        ),
        ("an inner header that is cut", wrapped(outer, protocol, &[], &inner[..19]), false),
        ("GRE", wrapped(outer, 47, &gre([0, 0], &[]), &inner), true),
        ("GRE with its checksum", wrapped(outer, 47, &gre([0x80, 0], &[1, 2, 0, 0]), &inner), true),
        ("GRE with a key", wrapped(outer, 47, &gre([0x20, 0], &[0; 4]), &inner), false),
        ("GRE of Ethernet", wrapped(outer, 47, &[0, 0, 0x65, 0x58], &inner), false),
        ("GUE without a header", gue(outer, GUE_PORT, &[], &inner), true),
        ("GUE with one", gue(outer, GUE_PORT, &[0, protocol, 0, 0], &inner), true),
        ("GUE with options", gue(outer, GUE_PORT, &[1, protocol, 0, 0, 0, 0, 0, 0], &inner), false),
        ("GUE to another port", gue(outer, GUE_PORT + 1, &[], &inner), false),
        ("a fragment", gue(outer, GUE_PORT, &[], &inner).identification(1).fragment(0, true), false),
        ("no tunnel", segment(v6), false),
    ]
}

#[test]
fn packets_for_listed_addresses_lose_their_outer_header() {
    if !host::root() {
        return;
    }
    host::own_network();
    let pins = Pins::new("unwrap");
    let (mut programs, model) = pair(&pins);
    for (outer, v6) in [(false, false), (false, true), (true, false), (true, true)] {
        let inner = segment(v6).payload(b"hello");
        for (name, frame, loses) in cases(outer, v6) {
            let frame = frame.bytes();
            let expected = model.take_in(&frame);
            assert_eq!(loses, expected != frame, "{name}, IPv6 {v6} in IPv6 {outer}");
            if loses && name != "padding stays" {
                assert_eq!(expected, inner.bytes(), "{name}, IPv6 {v6} in IPv6 {outer}");
            }
            for side in [Side::In, Side::InXdp] {
                let seen = programs.run(side, &frame).unwrap().frame;
                assert_eq!(seen, expected, "{name}, IPv6 {v6} in IPv6 {outer}, {side:?}");
            }
        }
    }
}

#[test]
fn random_packets_come_out_as_the_reference_says() {
    if !host::root() {
        return;
    }
    host::own_network();
    let pins = Pins::new("unwrap-random");
    let (mut programs, model) = pair(&pins);
    let seed = std::env::var("EVENKEEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (mut rng, mut changed, mut refused) = (Rng::new(seed), 0u32, 0u32);
    for packet in 0..PACKETS {
        let side = [Side::In, Side::InXdp, Side::Out][rng.below(3) as usize];
        let frame = if side == Side::Out { syn(&mut rng) } else { tunnelled(&mut rng) };
        let expected = if side == Side::Out { model.send_out(&frame) } else { model.take_in(&frame) };
        // The kernel runs nothing on frames that end in the IP header.
        let Ok(seen) = programs.run(side, &frame) else {
            refused += 1;
            continue;
        };
        changed += u32::from(expected != frame);
        assert_eq!(seen.frame, expected, "seed {seed}, packet {packet}, {side:?}: {frame:02x?}");
    }
    assert!(changed > PACKETS / 4 && refused < PACKETS / 10, "{changed} changed, {refused} refused");
}

fn damage(rng: &mut Rng, frame: &mut Vec<u8>) {
    while rng.chance(25) {
        let place = rng.below(frame.len().min(140) as u64) as usize;
        frame[place] ^= 1 << rng.below(8);
    }
    if rng.chance(5) {
        frame.truncate(rng.below(frame.len() as u64 + 1) as usize);
    }
}

fn tunnelled(rng: &mut Rng) -> Vec<u8> {
    let (outer, v6) = (rng.chance(50), rng.chance(50));
    let all = cases(outer, v6);
    let frame = all[rng.below(all.len() as u64) as usize].1.clone();
    let frame = match rng.below(8) {
        0 => frame.options(&vec![1; 4 * rng.below(11) as usize]),
        1 => frame.between(bed::real_server(outer, 1), bed::far_client(outer, 5)),
        2 => frame.between(bed::real_server(outer, 1), bed::lost_client(outer)),
        3 => frame.padding(rng.below(40) as usize),
        _ => frame,
    };
    let mut frame = frame.bytes();
    damage(rng, &mut frame);
    frame
}

/// A SYN or an answer to one, with options before its MSS.
fn syn(rng: &mut Rng) -> Vec<u8> {
    let v6 = rng.chance(50);
    let vip = if rng.chance(80) { bed::virtual_address(v6) } else { bed::any_port_address(v6) };
    let flags = [build::SYN, build::SYN | build::ACK, build::ACK][rng.below(3) as usize];
    let mut options: Vec<u8> = Vec::new();
    for _ in 0..rng.below(4) {
        options.extend([&[1][..], &[3, 3, 7], &[4, 2], &[8, 4, 0, 0]][rng.below(4) as usize]);
    }
    options.extend([2, 4]);
    options.extend([1460u16, MSS, MSS + 1, 536, 9000][rng.below(5) as usize].to_be_bytes());
    options.resize(options.len().next_multiple_of(4), 0);
    let words = 5 + options.len() / 4;
    let frame = build::tcp(SocketAddr::new(vip, 80), SocketAddr::new(bed::client(v6, 5), 4000), flags);
    let frame = frame.data_offset(words as u8).payload(&options);
    let frame = if rng.chance(10) { frame.checksum(rng.bits() as u16) } else { frame };
    let mut frame = if rng.chance(5) { frame.fragment(3, false).bytes() } else { frame.bytes() };
    damage(rng, &mut frame);
    frame
}

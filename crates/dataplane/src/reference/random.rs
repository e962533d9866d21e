//! Random packets to the services of the bed, most of them nearly right: connections that go on, are repeated, end and
//! begin again, with something broken in every few.

use super::{
    bed::{self, port},
    build::{self, ACK, FIN, Frame, PSH, RST, SYN},
};
use evenkeel_machine::Rng;
use std::net::{IpAddr, SocketAddr};

/// Clients' ports: few, so that connections are met again.
const PORTS: u64 = 40;
/// Clients.
const CLIENTS: u64 = 6;

/// The next frame.
pub fn frame(rng: &mut Rng) -> Vec<u8> {
    let v6 = rng.chance(45);
    let mut bytes = match rng.below(100) {
        0..70 => transport(rng, v6),
        70..85 => error(rng, v6),
        85..95 => other(rng, v6),
        _ => noise(rng, v6),
    };
    if rng.chance(6) {
        damage(rng, &mut bytes);
    }
    bytes
}

fn client(rng: &mut Rng, v6: bool) -> SocketAddr {
    let address = match rng.below(60) {
        0 => bed::virtual_address(v6),
        1 => bed::loopback(v6),
        2 if v6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]),
        2 => IpAddr::from([224, 0, 0, 18]),
        3 if v6 => IpAddr::from([0; 8]),
        3 => IpAddr::from([0; 4]),
        4 => bed::real_server(v6, 8),
        host => bed::client(v6, [5, 6, 7, 66, 77, 99][(host % CLIENTS) as usize]),
    };
    SocketAddr::new(address, 1024 + rng.below(PORTS) as u16)
}

fn service(rng: &mut Rng, v6: bool) -> SocketAddr {
    let known = [
        port::INSIDE,
        port::BACK,
        port::LOCAL,
        port::GATEWAY,
        port::UNRESOLVED,
        port::UNREACHABLE,
        port::QUIESCED,
        port::EMPTY,
        port::LISTED,
        port::DENYING,
        port::NONE,
    ];
    let number = match rng.below(3) {
        0 => port::SCHEDULED[rng.below(5) as usize],
        1 => port::INSIDE,
        _ => known[rng.below(known.len() as u64) as usize],
    };
    let address = if rng.chance(10) { bed::any_port_address(v6) } else { bed::virtual_address(v6) };
    SocketAddr::new(address, number)
}

fn flags(rng: &mut Rng) -> u8 {
    match rng.below(100) {
        0..30 => SYN,
        30..70 => ACK,
        70..78 => FIN | ACK,
        78..84 => RST,
        84..87 => RST | ACK,
        87..90 => SYN | ACK,
        90..94 => ACK | PSH,
        _ => rng.bits() as u8,
    }
}

fn transport(rng: &mut Rng, v6: bool) -> Vec<u8> {
    let (client, service) = (client(rng, v6), service(rng, v6));
    let mut frame = if rng.chance(70) { build::tcp(client, service, flags(rng)) } else { build::udp(client, service) };
    if rng.chance(40) {
        frame = frame.payload(&vec![rng.bits() as u8; rng.below(64) as usize]);
    }
    twist(rng, frame).bytes()
}

/// Now and then something odd, mostly one thing.
fn twist(rng: &mut Rng, frame: Frame) -> Frame {
    if rng.chance(60) {
        return frame;
    }
    match rng.below(13) {
        0 => frame.ttl(rng.below(3) as u8),
        1 => frame.ttl(rng.bits() as u8),
        2 => frame.options(&vec![1; 4 * rng.below(11) as usize]),
        3 => frame.header_words(rng.below(16) as u8),
        4 => frame.fragment(rng.below(2) as u16, rng.chance(50)),
        5 => frame.stated_length(rng.below(120) as u16),
        6 => frame.data_offset(rng.below(16) as u8),
        7 => frame.udp_length(rng.below(40) as u16),
        8 => frame.padding(rng.below(20) as usize),
        9 => frame.identification(rng.bits() as u16),
        10 => frame.version(rng.below(16) as u8),
        11 => frame.tag([0x81, 0, 0, 1]),
        _ => frame.dont_fragment(),
    }
}

fn error(rng: &mut Rng, v6: bool) -> Vec<u8> {
    let (client, service) = (client(rng, v6), service(rng, v6));
    let quoted = if rng.chance(60) { build::tcp(service, client, ACK) } else { build::udp(service, client) };
    let quoted = twist(rng, quoted).quote();
    let kinds: &[u8] = if v6 { &[1, 2, 3, 4, 128, 135, 0, 5] } else { &[3, 11, 12, 8, 4, 5, 0] };
    let kind = kinds[rng.below(kinds.len() as u64) as usize];
    let to = if rng.chance(90) { service.ip() } else { bed::any_port_address(v6) };
    let frame = build::icmp(bed::client(v6, 1), to, kind, &quoted);
    let frame = if rng.chance(15) { frame.cut(14 + rng.below(120) as usize) } else { frame };
    twist(rng, frame).bytes()
}

/// Not for a service, or not of a kind that services have.
fn other(rng: &mut Rng, v6: bool) -> Vec<u8> {
    let (client, service) = (client(rng, v6), service(rng, v6));
    match rng.below(5) {
        0 => build::tcp(client, SocketAddr::new(bed::real_server(v6, 99), 80), flags(rng)).bytes(),
        1 => build::raw(client.ip(), service.ip(), rng.bits() as u8, &[rng.bits() as u8; 48]).bytes(),
        2 => build::tcp(client, service, SYN).ether_type(rng.bits() as u16).bytes(),
        3 => build::udp(client, service).cut(14 + rng.below(50) as usize).bytes(),
        _ => build::tcp(client, service, SYN).cut(14 + rng.below(60) as usize).bytes(),
    }
}

/// Random bytes behind the start of an IP header, so that some get far.
fn noise(rng: &mut Rng, v6: bool) -> Vec<u8> {
    let mut frame = build::raw(client(rng, v6).ip(), service(rng, v6).ip(), rng.bits() as u8, &[]).bytes();
    frame.extend((0..rng.below(80)).map(|_| rng.bits() as u8));
    frame
}

fn damage(rng: &mut Rng, frame: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let place = rng.below(frame.len() as u64) as usize;
        if let Some(byte) = frame.get_mut(place) {
            *byte ^= 1 << rng.below(8);
        }
    }
    if rng.chance(20) {
        frame.truncate(rng.below(frame.len() as u64 + 1) as usize);
    }
}

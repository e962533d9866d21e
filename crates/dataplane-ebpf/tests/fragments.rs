//! Fragments: where the first one goes the others go, early ones too, and what could deceive is dropped.
#![allow(unsafe_code, reason = "a test hears what leaves an interface")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;
#[path = "common/sums.rs"]
mod sums;

use director::{drops, options};
use evenkeel_dataplane::{Change, Dataplane, Egress, NextHop, RealServer, Route, ServiceOptions, Vlan};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Settled};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Tunnel, Weight};
use host::{own_namespace, root, run};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};
use sums::{ethernet, ip, sum, udp};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const REALS: [u8; 2] = [7, 8];

fn client(v6: bool) -> IpAddr {
    if v6 { "2001:db8::9".parse().unwrap() } else { "198.51.100.9".parse().unwrap() }
}

fn vip(v6: bool) -> IpAddr {
    if v6 { "2001:db8:1::1".parse().unwrap() } else { "192.0.2.1".parse().unwrap() }
}

fn real(v6: bool, last: u8) -> IpAddr {
    if v6 { format!("fd00::{last}").parse().unwrap() } else { IpAddr::from([10, 0, 0, last]) }
}

/// Two real servers, taken in turn, that packets leave to by `interface`.
fn plane(v6: bool, forwarding: Forwarding, interface: u32) -> EbpfDataplane {
    let (mut plane, _) = EbpfDataplane::open(&options(None)).unwrap();
    let key = ServiceKey::Address { address: vip(v6), protocol: Protocol::Udp, port: 53 };
    plane.apply(&[Change::AddService(key, ServiceOptions::new(Scheduler::RoundRobin))]).unwrap();
    for last in REALS {
        let server = RealServer::new(Weight::ONE, forwarding);
        plane.apply(&[Change::AddRealServer(key, SocketAddr::new(real(v6, last), 53), server)]).unwrap();
        let own = Some(real(v6, 1));
        let route = Route { interface, gateway: None, mtu: 1500, own_address: own, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination: [2, 0, 0, 0, 0, last] };
        plane.next_hop(real(v6, last), hop).unwrap();
    }
    plane
}

/// The frames of a datagram's fragments: `cuts` in units of 8 bytes.
fn fragments(v6: bool, port: u16, identification: u16, payload: usize, cuts: &[usize]) -> Vec<Vec<u8>> {
    cut(client(v6), vip(v6), (port, 53), identification, payload, cuts)
}

/// The same between any two.
fn cut(
    from: IpAddr,
    to: IpAddr,
    ports: (u16, u16),
    identification: u16,
    payload: usize,
    cuts: &[usize],
) -> Vec<Vec<u8>> {
    let datagram = udp(from, to, ports, &vec![0x5a; payload]);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut * 8).collect();
    ends.push(datagram.len());
    let mut frames = Vec::new();
    let mut begin = 0;
    for end in ends {
        let more = end < datagram.len();
        frames.push(fragment_of(from, to, identification, begin / 8, more, &datagram[begin..end]));
        begin = end;
    }
    frames
}

fn fragment(v6: bool, identification: u16, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    fragment_of(client(v6), vip(v6), identification, offset, more, payload)
}

fn fragment_of(from: IpAddr, to: IpAddr, identification: u16, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    if from.is_ipv6() {
        let word = (offset << 3 | usize::from(more)) as u16;
        let mut bytes = vec![17, 0];
        bytes.extend(word.to_be_bytes());
        bytes.extend(u32::from(identification).to_be_bytes());
        bytes.extend(payload);
        return ethernet(&ip(from, to, 44, 64, &bytes));
    }
    let mut packet = ip(from, to, 17, 64, payload);
    let word = (offset | if more { 0x2000 } else { 0 }) as u16;
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    packet[6..8].copy_from_slice(&word.to_be_bytes());
    packet[10..12].fill(0);
    let checksum = !sum(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    ethernet(&packet)
}

fn goes_to(plane: &mut EbpfDataplane, door: Door, frame: &[u8]) -> u8 {
    let outcome = plane.run(door, frame, 1).unwrap();
    assert!([3, 4, 7].contains(&outcome.code), "code {}", outcome.code);
    outcome.frame[5]
}

#[test]
fn later_fragments_go_where_the_first_one_went() {
    if !root() {
        return;
    }
    for v6 in [false, true] {
        let mut plane = plane(v6, Forwarding::DirectRouting, 1);
        let mut seen = Vec::new();
        for (n, door) in (0..8).zip([Door::Xdp, Door::Tc].into_iter().cycle()) {
            let frames = fragments(v6, 4000 + n, n, 3000, &[150, 300]);
            let to: Vec<u8> = frames.iter().map(|frame| goes_to(&mut plane, door, frame)).collect();
            assert_eq!(to, vec![to[0]; 3], "IPv6 {v6} {door:?}");
            seen.push(to[0]);
        }
        assert!(REALS.iter().all(|real| seen.contains(real)), "{seen:?}");
    }
}

#[test]
fn what_could_deceive_is_dropped() {
    if !root() {
        return;
    }
    for v6 in [false, true] {
        let mut plane = plane(v6, Forwarding::DirectRouting, 1);
        let mut bad = vec![
            ("offset of 8 bytes", fragment(v6, 1, 1, true, &[0; 16])),
            ("past the end", fragment(v6, 1, 8191, false, &[0; 16])),
            ("first one too short", fragment(v6, 2, 0, true, &[0; 0])),
        ];
        if v6 {
            bad.push(("odd length", fragment(v6, 1, 4, true, &[0; 15])));
        }
        let mut count = 0;
        for (what, frame) in bad {
            assert_eq!(plane.run(Door::Xdp, &frame, 1).unwrap().code, XDP_DROP, "{what}, IPv6 {v6}");
            count += 1;
            assert_eq!(drops(&mut plane, "bad_fragment"), count, "{what}, IPv6 {v6}");
        }
        // The same packet's first fragment again, of another connection, which goes to the other real server.
        let first = |port| fragments(v6, port, 9, 3000, &[100]).remove(0);
        goes_to(&mut plane, Door::Xdp, &first(1));
        assert_eq!(plane.run(Door::Xdp, &first(2), 1).unwrap().code, XDP_DROP);
        assert_eq!(drops(&mut plane, "bad_fragment"), count + 1);
    }
}

#[test]
fn fragments_of_what_passes_pass() {
    if !root() {
        return;
    }
    let mut plane = plane(false, Forwarding::DirectRouting, 1);
    let mut frames = fragments(false, 4000, 3, 3000, &[100]);
    // To a port without service.
    frames[0][14 + 20 + 3] = 54;
    for frame in &frames {
        assert_eq!(plane.run(Door::Xdp, frame, 1).unwrap().code, XDP_PASS);
    }
}

/// Hears what comes in by an interface.
fn listen(interface: &str) -> OwnedFd {
    let name = std::ffi::CString::new(interface).unwrap();
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain system calls on a descriptor made here; the address outlives the call.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(all));
        assert!(socket >= 0);
        let socket = OwnedFd::from_raw_fd(socket);
        let mut at: libc::sockaddr_ll = std::mem::zeroed();
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = all;
        at.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
        let size = size_of::<libc::sockaddr_ll>() as u32;
        assert_eq!(libc::bind(socket.as_raw_fd(), (&raw const at).cast(), size), 0);
        let patience = libc::timeval { tv_sec: 10, tv_usec: 0 };
        let (level, name) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
        let size = size_of::<libc::timeval>() as u32;
        assert_eq!(libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const patience).cast(), size), 0);
        socket
    }
}

/// The next frame of ours, past what the hosts say by themselves.
fn heard(socket: &OwnedFd) -> Vec<u8> {
    for _ in 0..100 {
        let mut frame = vec![0u8; 4096];
        // SAFETY: the buffer has the length that is given.
        let length = unsafe { libc::recv(socket.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        assert!(length > 0, "{}", std::io::Error::last_os_error());
        frame.truncate(length as usize);
        if frame[..5] == [2, 0, 0, 0, 0] {
            return frame;
        }
    }
    panic!("nothing of ours came");
}

/// Whether the next fragment is told of within some milliseconds.
fn is_told(plane: &EbpfDataplane, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: plane.early_fragments().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, as is said.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
}

#[test]
fn early_fragments_wait_for_the_first_one_and_follow_it() {
    if !root() {
        return;
    }
    own_namespace();
    // SAFETY: a terminated string.
    let interface = unsafe { libc::if_nametoindex(c"veth0".as_ptr()) };
    let ears = listen("veth1");
    for (n, (v6, forwarding)) in (0u16..).zip([
        (false, Forwarding::DirectRouting),
        (true, Forwarding::DirectRouting),
        (false, Forwarding::Tunnel(Tunnel::Ipip)),
        (true, Forwarding::Tunnel(Tunnel::Gre { checksum: true })),
    ]) {
        for door in [Door::Xdp, Door::Tc] {
            let mut plane = plane(v6, forwarding, interface);
            assert_eq!(plane.settle_fragments().unwrap(), Settled::default());
            assert!(!is_told(&plane, 0), "there is nothing to tell of");
            let frames = fragments(v6, 4000, n, 3000, &[150, 300]);
            for early in &frames[1..] {
                let shot = if door == Door::Xdp { XDP_DROP } else { 2 };
                assert_eq!(plane.run(door, early, 1).unwrap().code, shot);
            }
            assert_eq!(drops(&mut plane, "early_fragment"), 2);
            assert!(is_told(&plane, 20_000));
            assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 0, lost: 0, waiting: 1 });
            let to = goes_to(&mut plane, door, &frames[0]);
            assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 2, lost: 0, waiting: 0 });
            for fragment in &frames[1..] {
                // As if it had come in time.
                let expected = plane.run(Door::Xdp, fragment, 1).unwrap().frame;
                assert_eq!(expected[5], to);
                assert_eq!(heard(&ears), expected, "IPv6 {v6} {forwarding:?} {door:?}");
            }
        }
    }
}

#[test]
fn early_fragments_of_answers_follow_the_first_one_to_the_client() {
    if !root() {
        return;
    }
    own_namespace();
    run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    for v6 in [false, true] {
        let (client, length) = (client(v6), if v6 { 128 } else { 32 });
        run(&format!("ip route add {client}/{length} dev veth0"));
        run(&format!("ip neigh add {client} lladdr 02:00:00:00:00:cc dev veth0 nud permanent"));
    }
    let ears = listen("veth1");
    // SAFETY: a terminated string.
    let interface = unsafe { libc::if_nametoindex(c"veth0".as_ptr()) };
    let itself = Some(Egress { interface, vlan: None });
    let tagged = Some(Egress { interface, vlan: Some(Vlan { id: 7, is_service: false }) });
    let ways = [(itself, Door::Xdp), (itself, Door::Tc), (tagged, Door::Xdp), (tagged, Door::Tc), (None, Door::Tc)];
    let ways = ways.into_iter().flat_map(|(way, door)| [(way, door, false), (way, door, true)]);
    for (n, (way, door, v6)) in (0u16..).zip(ways) {
        let mut plane = plane(v6, Forwarding::Nat, 1);
        plane.links(&way.map(|way| (interface, way)).into_iter().collect()).unwrap();
        let request = ethernet(&ip(client(v6), vip(v6), 17, 64, &udp(client(v6), vip(v6), (4000, 53), b"?")));
        let server = real(v6, goes_to(&mut plane, door, &request));
        let frames = cut(server, client(v6), (53, 4000), n, 1600, &[50, 100]);
        for early in &frames[1..] {
            let shot = if door == Door::Xdp { XDP_DROP } else { 2 };
            assert_eq!(plane.run(door, early, 1).unwrap().code, shot);
        }
        assert_eq!(drops(&mut plane, "early_fragment"), 2);
        assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 0, lost: 0, waiting: 1 });
        goes_to(&mut plane, door, &frames[0]);
        assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 2, lost: 0, waiting: 0 });
        for fragment in &frames[1..] {
            let as_in_time = if way.is_none() { Door::Tc } else { Door::Xdp };
            let mut expected = plane.run(as_in_time, fragment, 1).unwrap().frame;
            if way == tagged {
                // The kernel takes it out again at the other end.
                assert_eq!(expected.splice(12..16, []).collect::<Vec<u8>>(), [0x81, 0, 0, 7]);
            }
            assert_eq!(expected[5], 0xcc);
            assert_eq!(heard(&ears), expected, "IPv6 {v6} {door:?} {way:?}");
        }
    }
}

#[test]
fn early_fragments_reach_a_real_server_that_xdp_cannot_send_to() {
    if !root() {
        return;
    }
    own_namespace();
    // SAFETY: a terminated string.
    let interface = unsafe { libc::if_nametoindex(c"veth0".as_ptr()) };
    let ears = listen("veth1");
    let mut plane = plane(false, Forwarding::DirectRouting, interface);
    let route = Route { interface, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: true };
    for last in REALS {
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination: [2, 0, 0, 0, 0, last] };
        plane.next_hop(real(false, last), hop).unwrap();
    }
    let frames = fragments(false, 4000, 1, 3000, &[150, 300]);
    for early in &frames[1..] {
        assert_eq!(plane.run(Door::Tc, early, 1).unwrap().code, 2);
    }
    assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 0, lost: 0, waiting: 1 });
    let to = goes_to(&mut plane, Door::Tc, &frames[0]);
    assert_eq!(plane.settle_fragments().unwrap(), Settled { sent: 2, lost: 0, waiting: 0 });
    assert_eq!([heard(&ears)[5], heard(&ears)[5]], [to; 2]);
}

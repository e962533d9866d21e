//! The sockets of heartbeat over a cable between two namespaces.

#![allow(clippy::expect_used, clippy::panic, reason = "a test")]

use std::{
    net::IpAddr,
    os::fd::AsFd,
    process::{self, Command},
    time::Duration,
};

use evenkeel_netlink::{MediumSocket, MediumTarget, Netlink, PingSocket};
use evenkeel_os::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// As heartbeat has it.
const PORT: u16 = 694;
/// How long something is awaited that has to come.
const LIMIT: Duration = Duration::from_secs(10);

/// Two namespaces with a cable between them, gone when the test is.
struct Bed {
    names: [String; 2],
    sides: [Namespace; 2],
}

impl Bed {
    fn new(purpose: &str) -> Option<Bed> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        let names = ["a", "b"].map(|side| format!("ek-hb-{}-{purpose}{side}", process::id()));
        let sides = names.each_ref().map(|name| Namespace::create(name).expect("create a namespace"));
        let bed = Bed { names, sides };
        bed.cable();
        Some(bed)
    }

    /// Lays the cable, anew where it was pulled.
    fn cable(&self) {
        let [a, b] = &self.names;
        ip(&format!("-n {a} link add eth0 type veth peer name eth0 netns {b}"));
        for (side, name) in self.names.iter().enumerate() {
            let host = side + 1;
            ip(&format!("-n {name} addr add 10.9.0.{host}/24 broadcast 10.9.0.255 dev eth0"));
            ip(&format!("-n {name} addr add fd09::{host}/64 dev eth0 nodad"));
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} link set eth0 up"));
        }
    }

    fn inside<T: Send>(&self, side: usize, work: impl FnOnce() -> T + Send) -> T {
        self.sides[side].run(work).expect("enter")
    }

    fn open(&self, side: usize, target: MediumTarget) -> MediumSocket {
        self.inside(side, || {
            let link = Netlink::open().expect("netlink").link("eth0").expect("ask").expect("it is there");
            MediumSocket::open(link.index, target, PORT).expect("a socket")
        })
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Namespace::delete(name);
        }
    }
}

fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Waits until it is readable; false when it never is.
fn readable(socket: impl AsFd) -> bool {
    let limit = Timespec::try_from(LIMIT).expect("it fits");
    let mut watched = [PollFd::new(&socket, PollFlags::IN)];
    poll(&mut watched, Some(&limit)).expect("poll") > 0
}

fn heard(socket: &MediumSocket) -> (Vec<u8>, IpAddr) {
    assert!(readable(socket), "nothing is heard");
    let mut buffer = [0; 2048];
    let (length, source) = socket.receive(&mut buffer).expect("receive").expect("a message");
    (buffer[..length].to_vec(), source)
}

fn nothing(socket: &MediumSocket) -> bool {
    socket.receive(&mut [0; 2048]).expect("receive").is_none()
}

/// Both say something, and hear each other.
fn talk(a: &MediumSocket, b: &MediumSocket, sources: [&str; 2]) {
    for (from, to, source) in [(a, b, sources[0]), (b, a, sources[1])] {
        from.send(source.as_bytes()).expect("send");
        assert_eq!(heard(to), (source.as_bytes().to_vec(), address(source)));
    }
}

#[test]
fn unicast_is_heard_by_the_other_and_not_by_this_host() {
    let Some(bed) = Bed::new("ucast") else { return };
    for [one, other] in [["10.9.0.1", "10.9.0.2"], ["fd09::1", "fd09::2"]] {
        let a = bed.open(0, MediumTarget::Host(address(other)));
        let b = bed.open(1, MediumTarget::Host(address(one)));
        talk(&a, &b, [one, other]);
        assert!(nothing(&a) && nothing(&b));
    }
}

#[test]
fn broadcast_is_heard_by_all_and_by_this_host() {
    let Some(bed) = Bed::new("bcast") else { return };
    let target = MediumTarget::Broadcast("10.9.0.255".parse().expect("an address"));
    let (a, b) = (bed.open(0, target), bed.open(1, target));
    a.send(b"hello").expect("send");
    assert_eq!(heard(&b), (b"hello".to_vec(), address("10.9.0.1")));
    assert_eq!(heard(&a), (b"hello".to_vec(), address("10.9.0.1")), "its own");
    // Without a route that leads there.
    ip(&format!("-n {} route flush dev eth0", bed.names[0]));
    a.send(b"again").expect("send");
    assert_eq!(heard(&b).0, b"again");
}

#[test]
fn multicast_is_heard_by_the_others_and_by_this_host_if_it_asks_for_that() {
    let Some(bed) = Bed::new("mcast") else { return };
    for (group, sources) in [("239.0.0.42", ["10.9.0.1", "10.9.0.2"]), ("ff12::42", ["", ""])] {
        let group = address(group);
        let silent = MediumTarget::Group { group, hops: 1, own: false };
        let (a, b) = (bed.open(0, silent), bed.open(1, silent));
        if group.is_ipv4() {
            talk(&a, &b, sources);
        } else {
            a.send(b"hello").expect("send");
            assert_eq!(heard(&b).0, b"hello", "from its link-local address, or the other one");
        }
        assert!(nothing(&a), "it did not ask for its own");
        drop(a);
        let a = bed.open(0, MediumTarget::Group { group, hops: 1, own: true });
        a.send(b"mine").expect("send");
        assert_eq!(heard(&a).0, b"mine");
    }
}

#[test]
fn media_of_one_interface_and_port_stand_beside_each_other() {
    let Some(bed) = Bed::new("beside") else { return };
    let targets = [MediumTarget::Host(address("10.9.0.2")), MediumTarget::Host(address("10.9.0.3"))];
    let media = targets.map(|target| bed.open(0, target));
    let peer = bed.open(1, MediumTarget::Host(address("10.9.0.1")));
    peer.send(b"hello").expect("send");
    let limit = Timespec::try_from(LIMIT).expect("it fits");
    let mut watched = media.each_ref().map(|medium| PollFd::new(medium, PollFlags::IN));
    assert_eq!(poll(&mut watched, Some(&limit)).expect("poll"), 1, "one of them hears it");
}

#[test]
fn a_cable_that_is_pulled_is_no_error_and_a_new_one_needs_a_new_socket() {
    let Some(bed) = Bed::new("pulled") else { return };
    let targets = [MediumTarget::Host(address("10.9.0.2")), MediumTarget::Host(address("10.9.0.1"))];
    let (a, b) = (bed.open(0, targets[0]), bed.open(1, targets[1]));
    ip(&format!("-n {} link set eth0 down", bed.names[0]));
    a.send(b"lost").expect("no error");
    assert!(nothing(&a));
    ip(&format!("-n {} link set eth0 up", bed.names[0]));
    talk(&a, &b, ["10.9.0.1", "10.9.0.2"]);
    ip(&format!("-n {} link del eth0", bed.names[0]));
    a.send(b"lost").expect("no error");
    assert!(nothing(&a));
    bed.cable();
    let (a, b) = (bed.open(0, targets[0]), bed.open(1, targets[1]));
    talk(&a, &b, ["10.9.0.1", "10.9.0.2"]);
}

#[test]
fn a_message_as_long_as_any_passes() {
    let Some(bed) = Bed::new("long") else { return };
    let a = bed.open(0, MediumTarget::Host(address("10.9.0.2")));
    let b = bed.open(1, MediumTarget::Host(address("10.9.0.1")));
    let message = vec![b'x'; 60_000];
    a.send(&message).expect("send");
    assert!(readable(&b));
    let mut buffer = vec![0; 64 * 1024];
    assert_eq!(b.receive(&mut buffer).expect("receive"), Some((message.len(), address("10.9.0.1"))));
}

#[test]
fn a_ping_node_sends_the_message_back() {
    let Some(bed) = Bed::new("ping") else { return };
    for (ipv6, host) in [(false, "10.9.0.2"), (true, "fd09::2")] {
        let (mut ours, mut others) = bed.inside(0, || {
            (PingSocket::open(ipv6, 694).expect("a socket"), PingSocket::open(ipv6, 695).expect("a socket"))
        });
        // An odd length too, for the checksum.
        for data in [&b"t=NS_st"[..], b"t=NS_st;"] {
            others.send(address(host), b"of another program").expect("send");
            ours.send(address(host), data).expect("send");
            let mut buffer = [0; 2048];
            let found = loop {
                assert!(readable(&ours), "no reply from {host}");
                if let Some(found) = ours.receive(&mut buffer).expect("receive") {
                    break found;
                }
            };
            assert_eq!((&buffer[..found.0], found.1), (data, address(host)));
            assert_eq!(ours.receive(&mut buffer).expect("receive"), None, "only its own");
        }
    }
}

#[test]
fn a_reply_that_nobody_asked_for_is_none() {
    let Some(bed) = Bed::new("unasked") else { return };
    let (mut first, second) = bed.inside(0, || {
        (PingSocket::open(false, 694).expect("a socket"), PingSocket::open(false, 694).expect("a socket"))
    });
    first.send(address("10.9.0.2"), b"hello").expect("send");
    assert!(readable(&first) && readable(&second), "the kernel shows it to both");
    let mut buffer = [0; 2048];
    assert_eq!(second.receive(&mut buffer).expect("receive"), None, "it has sent nothing");
    assert_eq!(first.receive(&mut buffer).expect("receive"), Some((5, address("10.9.0.2"))));
}

#[test]
fn a_host_that_cannot_be_reached_is_no_error() {
    let Some(bed) = Bed::new("away") else { return };
    let mut ping = bed.inside(0, || PingSocket::open(false, 694).expect("a socket"));
    ping.send(address("192.0.2.1"), b"no route").expect("no error");
    ping.send(address("10.9.0.9"), b"nobody").expect("no error");
    assert_eq!(ping.receive(&mut [0; 2048]).expect("receive"), None);
}

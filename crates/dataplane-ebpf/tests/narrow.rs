//! Answers that do not fit on their way to the client (PP-43), over real interfaces: client, director and real server, each a
//! network namespace of its own. The link between client and director takes smaller packets than either end knows.
#![allow(unsafe_code, reason = "threads enter network namespaces")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/director.rs"]
mod director;
#[path = "common/host.rs"]
mod host;

use director::{drops, options};
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Mode};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use host::{root, run};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

const BYTES: usize = 1 << 20;
const MTU: u32 = 1400;
const PATIENCE: Duration = Duration::from_secs(30);

/// The network, gone with the value.
struct Bed(String);

impl Bed {
    fn new(name: &str) -> Bed {
        let bed = Bed(format!("ek{name}{}", std::process::id()));
        for namespace in ["c", "d", "s"] {
            run(&format!("ip netns add {}", bed.of(namespace)));
            run(&format!("ip -n {} link set lo up", bed.of(namespace)));
        }
        for (at, namespace) in (1..).zip(["c", "s"]) {
            let (there, here) = (bed.of("d"), bed.of(namespace));
            run(&format!("ip -n {there} link add {namespace}0 type veth peer name e0 netns {here}"));
            run(&format!("ip -n {here} link set e0 address 02:00:00:00:0{at}:02 up"));
            run(&format!("ip -n {there} link set {namespace}0 address 02:00:00:00:0{at}:01 up"));
            for (family, network, length) in [(4, format!("10.{at}.0."), 24), (6, format!("fd00:{at}::"), 64)] {
                let nodad = if family == 6 { "nodad" } else { "" };
                run(&format!("ip -n {there} address add {network}1/{length} dev {namespace}0 {nodad}"));
                run(&format!("ip -n {here} address add {network}2/{length} dev e0 {nodad}"));
                run(&format!("ip -n {here} -{family} route add default via {network}1"));
            }
        }
        run(&format!("ip -n {} link set c0 mtu {MTU}", bed.of("d")));
        for vip in ["10.9.0.100/32", "fd00:9::100/128 nodad"] {
            run(&format!("ip -n {} address add {vip} dev lo", bed.of("d")));
        }
        run(&format!("ip netns exec {} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1", bed.of("d")));
        bed
    }

    fn of(&self, namespace: &str) -> String {
        format!("{}{namespace}", self.0)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for namespace in ["c", "d", "s"] {
            let _ = Command::new("ip").args(["netns", "del", &self.of(namespace)]).status();
        }
    }
}

/// Moves the calling thread.
fn enter(namespace: &str) {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(file.as_fd(), kind).unwrap();
}

fn plane(bed: &Bed, vip: IpAddr, server: SocketAddr, mode: Mode) -> EbpfDataplane {
    enter(&bed.of("d"));
    let (mut plane, _) = EbpfDataplane::open(&options(None)).unwrap();
    let key = ServiceKey::Address { address: vip, protocol: Protocol::Tcp, port: 80 };
    let nat = RealServer::new(Weight::ONE, Forwarding::Nat);
    let options = ServiceOptions::new(Scheduler::RoundRobin);
    plane.apply(&[Change::AddService(key, options), Change::AddRealServer(key, server, nat)]).unwrap();
    // SAFETY: a terminated string.
    let interface = unsafe { libc::if_nametoindex(c"s0".as_ptr()) };
    let route = Route { interface, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
    let (source, destination) = ([2, 0, 0, 0, 2, 1], [2, 0, 0, 0, 2, 2]);
    plane.next_hop(server.ip(), NextHop::Resolved { route, source, destination }).unwrap();
    let (way, _) = host::ways().find(|(_, known)| *known == mode).unwrap();
    for interface in ["c0", "s0"] {
        plane.attach(interface, way).unwrap();
    }
    plane
}

/// Sends [`BYTES`] to whoever connects first.
fn serve(namespace: String, at: SocketAddr) {
    let (ready, wait) = mpsc::channel();
    thread::spawn(move || {
        enter(&namespace);
        let listener = TcpListener::bind(at).unwrap();
        ready.send(()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&[7; BYTES]);
    });
    wait.recv().unwrap();
}

/// What comes from the service.
fn fetch(namespace: String, from: SocketAddr) -> std::io::Result<usize> {
    let client = thread::spawn(move || {
        enter(&namespace);
        let mut stream = TcpStream::connect_timeout(&from, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)
    });
    client.join().unwrap()
}

#[test]
fn a_real_server_learns_that_its_answers_do_not_fit() {
    if !root() {
        return;
    }
    let mode = if host::ways().any(|(_, mode)| mode == Mode::Tcx) { Mode::Tcx } else { Mode::Clsact };
    for (vip, server) in [("10.9.0.100", "10.2.0.2"), ("fd00:9::100", "fd00:2::2")] {
        let bed = Bed::new("n");
        let (vip, server): (IpAddr, IpAddr) = (vip.parse().unwrap(), server.parse().unwrap());
        let server = SocketAddr::new(server, 8080);
        let mut plane = plane(&bed, vip, server, mode);
        serve(bed.of("s"), server);
        let got = fetch(bed.of("c"), SocketAddr::new(vip, 80));
        let told = drops(&mut plane, "too_big");
        plane.remove_all().unwrap();
        assert_eq!(got.unwrap(), BYTES, "{vip}, {told} answers were too big");
        assert!((1..1000).contains(&told), "{vip}: {told} answers were too big");
    }
}

//! Megabytes through every tunnel, over real interfaces: client - router - director, real server, each a network namespace of
//! its own. The answers go straight to the client. MTUs are what they are: the director's "too big" and the real server's MSS
//! have to make it work.
#![allow(unsafe_code, reason = "threads enter network namespaces")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/host.rs"]
mod host;

use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};
use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{
    Attach, EbpfDataplane, Options,
    unwrap::{self, Limits, Unwrap},
};
use evenkeel_model::{Forwarding, GueChecksum, Protocol, Scheduler, ServiceKey, Tunnel, Weight};
use host::{Pins, root, run};
use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

const MEGABYTE: usize = 1 << 20;
const GUE_PORT: u16 = 6080;

/// The network, gone with the value.
struct Bed {
    name: String,
}

impl Bed {
    fn new(name: &str) -> Bed {
        let bed = Bed { name: format!("ek{name}{}", std::process::id()) };
        for namespace in ["c", "r", "d", "s"] {
            run(&format!("ip netns add {}", bed.of(namespace)));
            bed.within(namespace, "ip link set lo up");
            bed.within(namespace, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0");
            bed.within(namespace, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0");
        }
        for (at, namespace) in (1..).zip(["c", "d", "s"]) {
            let (there, here) = (bed.of("r"), bed.of(namespace));
            run(&format!("ip -n {there} link add {namespace}0 type veth peer name e0 netns {here}"));
            run(&format!("ip -n {there} link set {namespace}0 address 02:00:00:00:0{at}:01 up"));
            run(&format!("ip -n {here} link set e0 address 02:00:00:00:0{at}:02 up"));
            run(&format!("ip -n {there} address add 10.{at}.0.1/24 dev {namespace}0"));
            run(&format!("ip -n {there} address add fd00:{at}::1/64 dev {namespace}0 nodad"));
            run(&format!("ip -n {here} address add 10.{at}.0.2/24 dev e0"));
            run(&format!("ip -n {here} address add fd00:{at}::2/64 dev e0 nodad"));
            run(&format!("ip -n {here} route add default via 10.{at}.0.1"));
            run(&format!("ip -n {here} -6 route add default via fd00:{at}::1"));
        }
        bed.within("r", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        run(&format!("ip -n {} route add 10.9.0.0/24 via 10.2.0.2", bed.of("r")));
        run(&format!("ip -n {} -6 route add fd00:9::/64 via fd00:2::2", bed.of("r")));
        for vip in vips() {
            let length = if vip.is_ipv4() { 32 } else { 128 };
            run(&format!("ip -n {} address add {vip}/{length} dev lo", bed.of("d")));
            run(&format!("ip -n {} address add {vip}/{length} dev lo", bed.of("s")));
        }
        bed
    }

    fn of(&self, namespace: &str) -> String {
        format!("{}{namespace}", self.name)
    }

    fn within(&self, namespace: &str, line: &str) {
        run(&format!("ip netns exec {} {line}", self.of(namespace)));
    }

    /// Moves the calling thread.
    fn enter(&self, namespace: &str) {
        let file = std::fs::File::open(format!("/run/netns/{}", self.of(namespace))).unwrap();
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for namespace in ["c", "r", "d", "s"] {
            let _ = Command::new("ip").args(["netns", "del", &self.of(namespace)]).status();
        }
    }
}

fn vips() -> [IpAddr; 2] {
    ["10.9.0.100".parse().unwrap(), "fd00:9::100".parse().unwrap()]
}

fn kinds() -> Vec<Tunnel> {
    let gue = |checksum| Tunnel::Gue { port: GUE_PORT, checksum };
    vec![
        Tunnel::Ipip,
        Tunnel::Gre { checksum: false },
        Tunnel::Gre { checksum: true },
        gue(GueChecksum::None),
        gue(GueChecksum::Full),
        gue(GueChecksum::Remote),
    ]
}

fn plane(bed: &Bed) -> EbpfDataplane {
    bed.enter("d");
    let options = Options {
        pins: None,
        connections: 4096,
        services: 64,
        real_servers: 64,
        cells: 1 << 18,
        timeouts: TIMEOUT_SECONDS,
    };
    let mut plane = EbpfDataplane::open(&options).unwrap().0;
    let index = index_of("e0");
    for (own, real, gateway) in [("10.2.0.2", "10.3.0.2", "10.2.0.1"), ("fd00:2::2", "fd00:3::2", "fd00:2::1")] {
        let route = Route {
            interface: index,
            gateway: Some(gateway.parse().unwrap()),
            mtu: 1500,
            own_address: Some(own.parse().unwrap()),
            vlan: None,
            by_stack: false,
        };
        let (source, destination) = ([2, 0, 0, 0, 2, 2], [2, 0, 0, 0, 2, 1]);
        plane.next_hop(real.parse().unwrap(), NextHop::Resolved { route, source, destination }).unwrap();
    }
    plane
}

fn index_of(name: &str) -> u32 {
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: a terminated string.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// A service on each port: kind, outer family, inner family.
fn services(plane: &mut EbpfDataplane) -> Vec<(String, SocketAddr)> {
    let mut all = Vec::new();
    let mut port = 7000;
    for vip in vips() {
        for outer in ["10.3.0.2", "fd00:3::2"] {
            for tunnel in kinds() {
                port += 1;
                let key = ServiceKey::Address { address: vip, protocol: Protocol::Tcp, port };
                let outer: IpAddr = outer.parse().unwrap();
                let real = RealServer::new(Weight::ONE, Forwarding::Tunnel(tunnel));
                let options = ServiceOptions::new(Scheduler::RoundRobin);
                let server = SocketAddr::new(outer, port);
                plane.apply(&[Change::AddService(key, options), Change::AddRealServer(key, server, real)]).unwrap();
                all.push((format!("{tunnel} over {outer} to {vip}"), SocketAddr::new(vip, port)));
            }
        }
    }
    all
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at * 7) as u8).collect()
}

/// Serves one connection: takes what comes, compares it, sends the same back.
fn serve(bed: &Bed, at: SocketAddr, megabytes: usize) -> thread::JoinHandle<bool> {
    let (ready, wait) = std::sync::mpsc::channel();
    let bed_name = Bed { name: bed.name.clone() };
    let server = thread::spawn(move || {
        bed_name.enter("s");
        std::mem::forget(bed_name);
        let listener = TcpListener::bind(at).unwrap();
        ready.send(()).unwrap();
        listener.set_nonblocking(true).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let mut stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(_) if Instant::now() < until => thread::yield_now(),
                Err(_) => return false,
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut got = vec![0; megabytes * MEGABYTE];
        if stream.read_exact(&mut got).is_err() {
            return false;
        }
        stream.write_all(&got).is_ok() && got == pattern(got.len())
    });
    wait.recv().unwrap();
    server
}

/// Sends to the service and takes what comes back; how long the way there took.
fn transfer(bed: &Bed, to: SocketAddr, megabytes: usize) -> Result<Duration, String> {
    let server = serve(bed, to, megabytes);
    let name = bed.name.clone();
    let client = thread::spawn(move || {
        let bed = Bed { name };
        bed.enter("c");
        std::mem::forget(bed);
        let mut stream =
            TcpStream::connect_timeout(&to, Duration::from_secs(5)).map_err(|e| format!("connect: {e}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let (sent, begin) = (pattern(megabytes * MEGABYTE), Instant::now());
        stream.write_all(&sent).map_err(|e| format!("send: {e}"))?;
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got[..1]).map_err(|e| format!("receive: {e}"))?;
        let took = begin.elapsed();
        stream.read_exact(&mut got[1..]).map_err(|e| format!("receive: {e}"))?;
        if got == sent { Ok(took) } else { Err("other bytes came back".to_owned()) }
    });
    let took = client.join().unwrap();
    if !server.join().unwrap() && took.is_ok() {
        return Err("the server saw other bytes".to_owned());
    }
    took
}

/// Unwraps at the real server.
fn unwrapping(bed: &Bed, pins: &Pins, mss: Option<(u16, u16)>) {
    bed.enter("s");
    let mut unwrap = Unwrap::open(&pins.0.join("realserver")).unwrap();
    let (mss4, mss6) = mss.unwrap_or((0, 0));
    for (vip, mss) in vips().into_iter().zip([mss4, mss6]) {
        unwrap.add(vip, Limits { mss, gue_port: GUE_PORT }).unwrap();
    }
    unwrap.attach("e0").unwrap();
}

/// What the veth towards the director needs for native XDP: a program at its peer, and checksums in the packets.
fn prepare_xdp(bed: &Bed) -> Ebpf {
    bed.enter("r");
    let file = std::env::var("EVENKEEL_EBPF_OBJECT")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/object/evenkeel.o").to_owned());
    let mut object = Ebpf::load_file(file).unwrap();
    let program: &mut Xdp = object.program_mut("evenkeel_pass").unwrap().try_into().unwrap();
    program.load().unwrap();
    program.attach("d0", XdpMode::Driver).unwrap();
    bed.within("r", "ethtool -K d0 tx off");
    object
}

#[test]
fn every_tunnel_carries_megabytes_through_both_doors() {
    if !root() {
        return;
    }
    let mut failed = Vec::new();
    for door in [Attach::Tcx, Attach::Xdp] {
        let bed = Bed::new(if door == Attach::Tcx { "t" } else { "x" });
        let pins = Pins::new("transfer");
        let _peer = (door == Attach::Xdp).then(|| prepare_xdp(&bed));
        unwrapping(&bed, &pins, None);
        let mut plane = plane(&bed);
        plane.attach("e0", door).unwrap();
        for (name, to) in services(&mut plane) {
            match transfer(&bed, to, 10) {
                Ok(took) => eprintln!("{door:?} {name}: {took:?}"),
                Err(why) => failed.push(format!("{door:?} {name}: {why}")),
            }
        }
        let status = unwrap::status(&pins.0.join("realserver")).unwrap().unwrap();
        eprintln!("{:?}", status.counts);
        let mut drops = Vec::new();
        plane.drops(&mut |name, count| drops.push((name, count))).unwrap();
        drops.retain(|(_, count)| *count != 0);
        eprintln!("{drops:?}");
        plane.remove_all().unwrap();
        bed.enter("s");
        unwrap::remove(&pins.0.join("realserver")).unwrap();
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The same upload with nothing done, with the MSS cut by the real server, and with the MTU set by hand.
#[test]
fn an_upload_of_100_megabytes_needs_no_mtu_set_by_hand() {
    if !root() {
        return;
    }
    for door in [Attach::Tcx, Attach::Xdp] {
        let bed = Bed::new(if door == Attach::Tcx { "u" } else { "v" });
        let pins = Pins::new("upload");
        let _peer = (door == Attach::Xdp).then(|| prepare_xdp(&bed));
        unwrapping(&bed, &pins, None);
        let mut plane = plane(&bed);
        plane.attach("e0", door).unwrap();
        let services = services(&mut plane);
        let (_, to) = services[0];
        for what in ["nothing done", "MSS cut", "MTU by hand"] {
            match what {
                "MSS cut" => unwrapping(&bed, &pins, Some((1408, 1388))),
                "MTU by hand" => {
                    unwrapping(&bed, &pins, None);
                    bed.within("s", "ip route change default via 10.3.0.1 advmss 1440");
                }
                _ => {}
            }
            bed.within("c", "ip route flush cache");
            let took = transfer(&bed, to, 100).unwrap();
            eprintln!("{door:?} 100 MB, {what}: {took:?}");
        }
        plane.remove_all().unwrap();
        bed.enter("s");
        unwrap::remove(&pins.0.join("realserver")).unwrap();
    }
}

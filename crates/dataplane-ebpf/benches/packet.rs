//! What a packet costs: net nanoseconds over an empty program, beside the floor program in the same run.
//!
//! Prints a section of docs/benchmarks.md. Method: docs/adr/0001.
#![allow(unsafe_code, reason = "map values are plain memory")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, HashMap, ProgramArray},
    programs::{TestRun, TestRunOptions, Xdp},
};
use evenkeel_abi::{
    state::TIMEOUT_SECONDS,
    tcp::{ACK, SYN},
};
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names the object of the driver and the programs to compare with; `cargo xtask bench` builds it.
const OBJECT: &str = "EVENKEEL_EBPF_BENCH_OBJECT";

const ROUNDS: usize = 7;
const PACKETS: u32 = 1_000_000;
const NEW_FLOWS: u32 = 1 << 18;
const MILLION: u32 = 1 << 20;

#[repr(C)]
#[derive(Clone, Copy)]
struct Drive {
    counter: u64,
    stride: u32,
    mask: u32,
    family: u32,
    address: u32,
    head: [u32; 20],
}
// SAFETY: plain words without holes.
unsafe impl Pod for Drive {}

/// The programs of `ebpf/program/src/bin/bench.rs`.
struct Bench(Ebpf);

impl Bench {
    fn load(path: &OsStr) -> Bench {
        let mut object = EbpfLoader::new().load_file(path).expect("the benchmark's programs load");
        for name in ["drive", "empty", "kernel_lru", "kernel_lru_full"] {
            let program: &mut Xdp = object.program_mut(name).expect("is there").try_into().expect("is XDP");
            program.load().expect("is verified");
        }
        let mut vips: HashMap<_, [u8; 8], u32> =
            HashMap::try_from(object.map_mut("VIPS").expect("is there")).expect("a hash");
        vips.insert([10, 0, 0, 100, 0, 80, 6, 0], 1, 0).expect("room");
        let mut ring: Array<_, u32> = Array::try_from(object.map_mut("RING").expect("is there")).expect("an array");
        for slot in 0..65_537 {
            ring.set(slot, slot % 3, 0).expect("room");
        }
        Bench(object)
    }

    /// Calls `program` of this object next.
    fn aim(&mut self, program: &str) {
        let target: &mut Xdp = self.0.program_mut(program).expect("is there").try_into().expect("is XDP");
        let fd = target.fd().expect("is loaded").try_clone().expect("a descriptor");
        self.target().set(0, &fd, 0).expect("fits");
    }

    fn target(&mut self) -> ProgramArray<&mut aya::maps::MapData> {
        ProgramArray::try_from(self.0.map_mut("TARGET").expect("is there")).expect("a program array")
    }

    /// Nanoseconds a repetition, all told.
    fn run(&mut self, frame: &[u8], flows: u32, first: u64, packets: u32) -> (f64, u32) {
        let mut head = [0u32; 20];
        for (i, byte) in frame.iter().take(78).enumerate() {
            let at = i + 2;
            head[at / 4] |= u32::from(*byte) << (8 * (at % 4));
        }
        let family = if frame[12] == 8 { 4 } else { 6 };
        let address = if family == 4 { 0x0a80_0000 } else { 0x2001_0db8 };
        // An odd stride visits every flow of a power of two, in no order that helps.
        let (mask, stride) = (flows.wrapping_sub(1), 0x9e37_79b1);
        let drive = Drive { counter: first, stride, mask, family, address, head };
        let mut settings: Array<_, Drive> =
            Array::try_from(self.0.map_mut("DRIVE").expect("is there")).expect("an array");
        settings.set(0, drive, 0).expect("room");
        let program: &mut Xdp = self.0.program_mut("drive").expect("is there").try_into().expect("is XDP");
        let options = TestRunOptions { data_in: Some(frame), repeat: packets, ..TestRunOptions::default() };
        let result = program.test_run(options).expect("runs");
        (result.duration.as_nanos() as f64, result.return_value)
    }
}

fn tcp4(destination: [u8; 4], flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 64, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 128, 0, 0]);
    frame.extend(destination);
    frame.extend([4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame.resize(14 + 64, 0);
    frame
}

fn udp4() -> Vec<u8> {
    let mut frame = tcp4([10, 0, 0, 100], 0);
    frame[23] = 17;
    frame[36..42].copy_from_slice(&[0, 80, 0, 44, 0, 0]);
    frame
}

fn tcp6(flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 0x86, 0xdd];
    frame.extend([0x60, 0, 0, 0, 0, 24, 6, 64]);
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    frame.extend([4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame
}

/// A director for a million connections with three real servers behind each of its services.
fn director(scheduler: Scheduler) -> EbpfDataplane {
    let options = Options {
        pins: None,
        connections: MILLION,
        services: 8,
        real_servers: 64,
        cells: 1 << 18,
        timeouts: TIMEOUT_SECONDS,
    };
    let (mut plane, _) = EbpfDataplane::open(&options).expect("root, and a kernel with eBPF");
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let v6 = |last: u8| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)));
    let vip6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x100));
    let services = [(v4(100), Protocol::Tcp), (v4(100), Protocol::Udp), (vip6, Protocol::Tcp)];
    let mut changes = Vec::new();
    for (address, protocol) in services {
        let key = ServiceKey::Address { address, protocol, port: 80 };
        changes.push(Change::AddService(key, ServiceOptions::new(scheduler)));
        for last in [11, 12, 13] {
            let server = if address.is_ipv4() { v4(last) } else { v6(last) };
            let one = RealServer::new(Weight::ONE, Forwarding::DirectRouting);
            changes.push(Change::AddRealServer(key, SocketAddr::new(server, 80), one));
        }
    }
    plane.apply(&changes).expect("room");
    for last in [11, 12, 13] {
        let destination = [2, 0, 0, 0, 0, last];
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 0xee], destination };
        plane.next_hop(v4(last), hop).expect("is taken");
        plane.next_hop(v6(last), hop).expect("is taken");
    }
    plane
}

struct Case {
    name: &'static str,
    frame: Vec<u8>,
    /// The first packet of each flow.
    opening: Vec<u8>,
    flows: u32,
    /// XDP code expected.
    code: u32,
}

fn cases() -> Vec<Case> {
    let vip = [10, 0, 0, 100];
    let case = |name, frame: &Vec<u8>, opening: &Vec<u8>, flows, code| Case {
        name,
        frame: frame.clone(),
        opening: opening.clone(),
        flows,
        code,
    };
    let (data4, syn4) = (tcp4(vip, ACK), tcp4(vip, SYN));
    let (data6, syn6, udp) = (tcp6(ACK), tcp6(SYN), udp4());
    let other = tcp4([10, 0, 0, 99], ACK);
    vec![
        case("established, IPv4 TCP, 1 flow", &data4, &syn4, 1, 3),
        case("established, IPv4 TCP, 8k flows", &data4, &syn4, 8192, 3),
        case("established, IPv4 TCP, 1M flows", &data4, &syn4, MILLION, 3),
        case("established, IPv6 TCP, 1 flow", &data6, &syn6, 1, 3),
        case("established, IPv6 TCP, 8k flows", &data6, &syn6, 8192, 3),
        case("established, IPv6 TCP, 1M flows", &data6, &syn6, MILLION, 3),
        case("known, IPv4 UDP, 8k flows", &udp, &udp, 8192, 3),
        case("not ours, 8k flows", &other, &other, 8192, 2),
    ]
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: loading packet programs needs root");
        return;
    }
    let Some(object) = std::env::var_os(OBJECT) else {
        eprintln!("skipped: {OBJECT} is not set; `cargo xtask bench` builds the object and sets it");
        return;
    };
    let mut bench = Bench::load(&object);
    println!("## A packet through the XDP door\n");
    println!(
        "Net nanoseconds a packet over an empty program: median of {ROUNDS} rounds of {PACKETS} packets each, all"
    );
    println!(
        "cases interleaved, the packet restored and the flow varied before each repetition. *Floor* is design A, a"
    );
    println!(
        "program on the kernel's LRU hash that does the least there is to do (no states, no timeouts, no TTL, IPv4"
    );
    println!("only); the ratio is ours to it in the same run.\n");
    println!("| packet | evenkeel | floor | ratio |\n|---|---|---|---|");
    for case in cases() {
        established(&mut bench, &case);
    }
    for (name, scheduler) in [("new flow, rr", Scheduler::RoundRobin), ("new flow, maglev", Scheduler::Maglev)] {
        new_flows(&mut bench, name, scheduler);
    }
}

fn established(bench: &mut Bench, case: &Case) {
    let mut plane = director(Scheduler::RoundRobin);
    let ours = plane.xdp_program().expect("is loaded").try_clone().expect("a descriptor");
    let floor = case.frame[12] == 8 && case.frame[23] == 6;
    let (mut net, mut net_floor) = (Vec::new(), Vec::new());
    bench.target().set(0, &ours, 0).expect("fits");
    bench.run(&case.opening, case.flows, 0, case.flows);
    if floor {
        bench.aim("kernel_lru");
        bench.run(&case.opening, case.flows, 0, case.flows);
    }
    for _ in 0..ROUNDS {
        bench.aim("empty");
        let (empty, _) = bench.run(&case.frame, case.flows, 0, PACKETS);
        bench.target().set(0, &ours, 0).expect("fits");
        let (raw, code) = bench.run(&case.frame, case.flows, 0, PACKETS);
        assert_eq!(code, case.code, "{}", case.name);
        net.push(raw - empty);
        if floor {
            bench.aim("kernel_lru");
            net_floor.push(bench.run(&case.frame, case.flows, 0, PACKETS).0 - empty);
        }
    }
    row(case.name, &mut net, &mut net_floor);
}

fn new_flows(bench: &mut Bench, name: &str, scheduler: Scheduler) {
    let frame = tcp4([10, 0, 0, 100], SYN);
    let (mut net, mut net_full, mut net_floor) = (Vec::new(), Vec::new(), Vec::new());
    bench.aim("kernel_lru_full");
    bench.run(&frame, 0, 0, 2 * MILLION);
    let mut next = u64::from(2 * MILLION);
    for _ in 0..ROUNDS {
        bench.aim("empty");
        let (empty, _) = bench.run(&frame, 0, 0, NEW_FLOWS);
        bench.aim("kernel_lru_full");
        net_floor.push(bench.run(&frame, 0, next, NEW_FLOWS).0 - empty);
        let mut plane = director(scheduler);
        let ours = plane.xdp_program().expect("is loaded").try_clone().expect("a descriptor");
        bench.target().set(0, &ours, 0).expect("fits");
        let (raw, code) = bench.run(&frame, 0, next, NEW_FLOWS);
        assert_eq!(code, 3, "{name}");
        net.push(raw - empty);
        bench.run(&frame, 0, next + u64::from(NEW_FLOWS), 4 * MILLION);
        net_full.push(bench.run(&frame, 0, next + u64::from(5 * MILLION), NEW_FLOWS).0 - empty);
        next += u64::from(NEW_FLOWS);
    }
    row(&format!("{name}, table of 1M with room"), &mut net, &mut net_floor.clone());
    row(&format!("{name}, table of 1M full of half-open ones"), &mut net_full, &mut net_floor);
}

fn row(name: &str, net: &mut [f64], floor: &mut [f64]) {
    let ours = median(net);
    if floor.is_empty() {
        println!("| {name} | {ours:.0} | | |");
    } else {
        let floor = median(floor);
        println!("| {name} | {ours:.0} | {floor:.0} | {:.2} |", ours / floor);
    }
}

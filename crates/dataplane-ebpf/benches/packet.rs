//! What a packet costs: net nanoseconds over an empty program, beside the floor program in the same run.
//!
//! Prints two sections of docs/benchmarks.md. Method: docs/adr/0001. `--quick` is for trying the benchmark itself.
#![allow(unsafe_code, reason = "map values are plain memory")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

#[path = "packet/check.rs"]
mod check;
#[path = "packet/driver.rs"]
mod driver;
#[path = "packet/methods.rs"]
mod methods;

use check::{Becomes, OWN_MAC, verify};
use driver::{Bench, Flows, MILLION, Ran, door, tcp4, tcp6, udp4};
use evenkeel_abi::{
    state::TIMEOUT_SECONDS,
    tcp::{ACK, SYN},
};
use evenkeel_dataplane::{Change, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names the object of the driver and the programs to compare with; `cargo xtask bench` builds it.
const OBJECT: &str = "EVENKEEL_EBPF_BENCH_OBJECT";

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    packets: u32,
}

const NEW_FLOWS: u32 = 1 << 18;

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
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: OWN_MAC, destination };
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
    becomes: Becomes,
}

fn cases() -> Vec<Case> {
    let vip = [10, 0, 0, 100];
    let case = |name, frame: &Vec<u8>, opening: &Vec<u8>, flows, becomes| Case {
        name,
        frame: frame.clone(),
        opening: opening.clone(),
        flows,
        becomes,
    };
    let (data4, syn4) = (tcp4(vip, ACK), tcp4(vip, SYN));
    let (data6, syn6, udp) = (tcp6(ACK), tcp6(SYN), udp4());
    let other = tcp4([10, 0, 0, 99], ACK);
    vec![
        case("established, IPv4 TCP, 1 flow", &data4, &syn4, 1, Becomes::Routed),
        case("established, IPv4 TCP, 8k flows", &data4, &syn4, 8192, Becomes::Routed),
        case("established, IPv4 TCP, 1M flows", &data4, &syn4, MILLION, Becomes::Routed),
        case("established, IPv6 TCP, 1 flow", &data6, &syn6, 1, Becomes::Routed),
        case("established, IPv6 TCP, 8k flows", &data6, &syn6, 8192, Becomes::Routed),
        case("established, IPv6 TCP, 1M flows", &data6, &syn6, MILLION, Becomes::Routed),
        case("known, IPv4 UDP, 8k flows", &udp, &udp, 8192, Becomes::Routed),
        case("not ours, 8k flows", &other, &other, 8192, Becomes::Itself),
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
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let effort =
        if is_quick { Effort { rounds: 2, packets: 100_000 } } else { Effort { rounds: 7, packets: 1_000_000 } };
    let Effort { rounds, packets } = effort;
    println!("## A packet through the XDP door\n");
    println!(
        "Net nanoseconds a packet over an empty program: median of {rounds} rounds of {packets} packets each, all"
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
        established(&mut bench, effort, &case);
    }
    for (name, scheduler) in [("new flow, rr", Scheduler::RoundRobin), ("new flow, maglev", Scheduler::Maglev)] {
        new_flows(&mut bench, effort, name, scheduler);
    }
    methods::section(&mut bench, effort);
}

/// Ends the benchmark unless the last frame of a run is what it should be: what is fast must be right.
fn must_become(name: &str, becomes: Becomes, ran: &Ran, sent: &[u8]) {
    assert_eq!(ran.code, if becomes == Becomes::Itself { 2 } else { 3 }, "{name}: the XDP code");
    if let Err(why) = verify(becomes, sent, &ran.frame) {
        panic!("{name}: {why}\nsent {sent:02x?}\ncame {:02x?}", ran.frame);
    }
}

fn established(bench: &mut Bench, effort: Effort, case: &Case) {
    let Effort { rounds, packets } = effort;
    let mut plane = director(Scheduler::RoundRobin);
    let (ours, flows) = (door(&mut plane), Flows::of(case.flows));
    let floor = case.frame[12] == 8 && case.frame[23] == 6;
    let (mut net, mut net_floor) = (Vec::new(), Vec::new());
    bench.aim_at(&ours);
    bench.run(&case.opening, flows, case.flows);
    if floor {
        bench.aim("kernel_lru");
        bench.run(&case.opening, flows, case.flows);
    }
    for _ in 0..rounds {
        bench.aim("empty");
        let empty = bench.run(&case.frame, flows, packets).nanoseconds;
        bench.aim_at(&ours);
        let ran = bench.run(&case.frame, flows, packets);
        must_become(case.name, case.becomes, &ran, &flows.frame(&case.frame, packets - 1));
        net.push(ran.nanoseconds - empty);
        if floor {
            bench.aim("kernel_lru");
            net_floor.push(bench.run(&case.frame, flows, packets).nanoseconds - empty);
        }
    }
    row(case.name, &mut net, &mut net_floor);
}

fn new_flows(bench: &mut Bench, effort: Effort, name: &str, scheduler: Scheduler) {
    let frame = tcp4([10, 0, 0, 100], SYN);
    let (mut net, mut net_full, mut net_floor) = (Vec::new(), Vec::new(), Vec::new());
    let from = |first| Flows { first, ..Flows::of(0) };
    bench.aim("kernel_lru_full");
    bench.run(&frame, from(0), 2 * MILLION);
    let mut next = u64::from(2 * MILLION);
    for _ in 0..effort.rounds {
        bench.aim("empty");
        let empty = bench.run(&frame, from(0), NEW_FLOWS).nanoseconds;
        bench.aim("kernel_lru_full");
        net_floor.push(bench.run(&frame, from(next), NEW_FLOWS).nanoseconds - empty);
        let mut plane = director(scheduler);
        let ours = door(&mut plane);
        bench.aim_at(&ours);
        let ran = bench.run(&frame, from(next), NEW_FLOWS);
        must_become(name, Becomes::Routed, &ran, &from(next).frame(&frame, NEW_FLOWS - 1));
        net.push(ran.nanoseconds - empty);
        bench.run(&frame, from(next + u64::from(NEW_FLOWS)), 4 * MILLION);
        net_full.push(bench.run(&frame, from(next + u64::from(5 * MILLION)), NEW_FLOWS).nanoseconds - empty);
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

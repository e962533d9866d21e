//! What the daemon pays for a million connections: to list, to end and to sweep them.
//!
//! Prints a section of docs/benchmarks.md. Nothing else of the daemon goes on during one of these calls.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, ConnectionFilter, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

const MILLION: u32 = 1 << 20;
const SERVERS: u8 = 4;
const ALL: ConnectionFilter = ConnectionFilter { service: None, real_server: None, client: None };

fn server(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn director() -> EbpfDataplane {
    let timeouts = TIMEOUT_SECONDS;
    let options = Options { pins: None, connections: MILLION, services: 1, real_servers: 64, cells: 1 << 10, timeouts };
    let (mut plane, _) = EbpfDataplane::open(&options).expect("root, and a kernel with eBPF");
    let key = ServiceKey::new(IpAddr::from([10, 0, 0, 100]), Protocol::Tcp, 80);
    let one = RealServer::new(Weight::ONE, Forwarding::DirectRouting);
    let mut changes = vec![Change::AddService(key, ServiceOptions::new(Scheduler::RoundRobin))];
    changes.extend((1..=SERVERS).map(|last| Change::AddRealServer(key, server(last), one)));
    plane.apply(&changes).expect("a table");
    for last in 1..=SERVERS {
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, last] };
        plane.next_hop(server(last).ip(), hop).expect("a next hop");
    }
    plane
}

/// Opens so many connections, of 16 clients.
fn fill(plane: &mut EbpfDataplane, connections: u32) {
    let runner = plane.runner(Door::Xdp).expect("is loaded");
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 0, 10, 0, 0, 100]);
    frame.extend([0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0]);
    for number in 0..connections {
        frame[29] = (number >> 16) as u8;
        frame[34..36].copy_from_slice(&(number as u16).to_be_bytes());
        runner.run(&frame, 1).expect("runs");
    }
}

/// Lists what the filter means: how many, in how long, and the longest call.
fn list(plane: &mut EbpfDataplane, filter: &ConnectionFilter) -> (u64, Duration, Duration) {
    let (mut count, mut longest, begin) = (0, Duration::ZERO, Instant::now());
    let mut next = Some(0);
    while let Some(from) = next {
        let call = Instant::now();
        let mut sink = |_| {
            count += 1;
            true
        };
        next = plane.connections(filter, from, &mut sink).expect("lists");
        longest = longest.max(call.elapsed());
    }
    (count, begin.elapsed(), longest)
}

fn row(what: &str, count: u64, all: Duration, longest: Duration) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("| {what} | {count} | {:.1} | {:.2} |", milliseconds(all), milliseconds(longest));
}

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let mut plane = director();
    fill(&mut plane, MILLION);
    println!("## A million connections in the daemon\n");
    println!(
        "Milliseconds for {MILLION} IPv4 connections of {SERVERS} real servers. The longest call is how long the daemon"
    );
    println!("does nothing else: lists and ends are made in parts.\n");
    println!("| what | connections | together | longest call |\n|---|---|---|---|");
    let one = |last| ConnectionFilter { real_server: Some(server(last)), ..ALL };
    let client = ConnectionFilter { client: Some(SocketAddr::from(([198, 51, 100, 3], 7))), ..ALL };
    for (what, filter) in [("list all", ALL), ("list one real server", one(1)), ("list one client's port", client)] {
        let (count, all, longest) = list(&mut plane, &filter);
        row(what, count, all, longest);
    }
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    for _ in 0..4 {
        let call = Instant::now();
        plane.sweep().expect("sweeps");
        longest = longest.max(call.elapsed());
    }
    row("sweep", 0, begin.elapsed(), longest);
    for (what, filter) in [("end one client's port", client), ("end one real server's", one(1)), ("end all", ALL)] {
        let (mut count, mut longest, begin, mut next) = (0, Duration::ZERO, Instant::now(), Some(0));
        while let Some(from) = next {
            let call = Instant::now();
            let (ended, rest) = plane.flush_part(&filter, from).expect("ends");
            (count, next) = (count + ended, rest);
            longest = longest.max(call.elapsed());
        }
        row(what, count, begin.elapsed(), longest);
    }
}

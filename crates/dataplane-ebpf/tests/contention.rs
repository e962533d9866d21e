//! Two CPUs that meet the same new flow at the same moment make one connection.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{
    Change, Connection, ConnectionFilter, Counters, Dataplane, NextHop, RealServer, Route, ServiceOptions,
};
use evenkeel_dataplane_ebpf::{Door, EbpfDataplane, Options, Runner};
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey, Weight};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
};

const FLOWS: u32 = 1 << 15;
/// XDP_DROP of the one that came second and met a slot being filled; XDP_TX.
const CODES: [u32; 2] = [1, 3];

fn director(vip: IpAddr, server: impl Fn(u8) -> IpAddr) -> EbpfDataplane {
    let options = Options {
        pins: None,
        connections: 4 * FLOWS,
        services: 1,
        real_servers: 8,
        cells: 64,
        timeouts: TIMEOUT_SECONDS,
    };
    let (mut plane, _) = EbpfDataplane::open(&options).unwrap();
    let key = ServiceKey::Address { address: vip, protocol: Protocol::Tcp, port: 80 };
    let rr = ServiceOptions::new(Scheduler::RoundRobin);
    let one = RealServer::new(Weight::ONE, Forwarding::DirectRouting);
    let mut changes = vec![Change::AddService(key, rr)];
    changes.extend((11..19).map(|last| Change::AddRealServer(key, SocketAddr::new(server(last), 80), one)));
    plane.apply(&changes).unwrap();
    for last in 11..19 {
        let destination = [2, 0, 0, 0, 0, last];
        let route = Route { interface: 1, gateway: None, mtu: 1500, own_address: None, vlan: None, by_stack: false };
        let hop = NextHop::Resolved { route, source: [2, 0, 0, 0, 0, 1], destination };
        plane.next_hop(server(last), hop).unwrap();
    }
    plane
}

fn syn4(flow: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 9]);
    frame.extend(((flow >> 12) as u16).to_be_bytes());
    frame.extend([10, 0, 0, 100]);
    tcp_syn(&mut frame, flow);
    frame
}

fn syn6(flow: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xcc, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64];
    frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend(((flow >> 12) as u16).to_be_bytes());
    frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    tcp_syn(&mut frame, flow);
    frame
}

fn tcp_syn(frame: &mut Vec<u8>, flow: u32) {
    frame.extend((1024 + (flow & 0xfff) as u16).to_be_bytes());
    frame.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0]);
}

/// Sends every flow's SYN, in step with the other thread.
fn send(runner: &Runner, frame: fn(u32) -> Vec<u8>, own: &AtomicU32, other: &AtomicU32) {
    for flow in 0..FLOWS {
        own.store(flow + 1, Ordering::SeqCst);
        while other.load(Ordering::SeqCst) < flow + 1 {
            // On a machine with other work the other thread may not be running.
            std::thread::yield_now();
        }
        let code = runner.run(&frame(flow), 1).unwrap().code;
        assert!(CODES.contains(&code), "code {code}");
    }
}

fn contend(mut plane: EbpfDataplane, frame: fn(u32) -> Vec<u8>) {
    let runners = [plane.runner(Door::Xdp).unwrap(), plane.runner(Door::Xdp).unwrap()];
    let (one, two) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| send(&runners[0], frame, &one, &two));
        scope.spawn(|| send(&runners[1], frame, &two, &one));
    });
    // What was dropped because the other CPU was at it is sent again, as a client does.
    for flow in 0..FLOWS {
        runners[0].run(&frame(flow), 1).unwrap();
    }
    let mut copies: HashMap<SocketAddr, u32> = HashMap::new();
    let mut count = |c: Connection| {
        *copies.entry(c.client).or_default() += 1;
        true
    };
    let mut next = Some(0);
    while let Some(from) = next {
        next = plane.connections(&ConnectionFilter::default(), from, &mut count).unwrap();
    }
    let twice = copies.values().filter(|n| **n > 1).count();
    assert_eq!((copies.len() as u32, twice), (FLOWS, 0), "flows that have a connection, and more than one");
    let mut sum = Counters::default();
    plane
        .counters(&mut |_, address, c| {
            if address.is_none() {
                sum = c
            }
        })
        .unwrap();
    assert_eq!((sum.connections, sum.active), (u64::from(FLOWS), FLOWS), "each is counted once");
}

#[test]
fn two_cpus_make_one_connection_of_a_flow() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: loading a packet program needs root");
        return;
    }
    contend(director(IpAddr::from([10, 0, 0, 100]), |last| IpAddr::from([10, 0, 0, last])), syn4);
    let v6 = |last: u8| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)]);
    contend(director(IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0x100]), v6), syn6);
}

/// A few flows open, go on and end at once, while the daemon ends, sweeps and lists them: in the end nothing is counted that
/// is not there.
#[test]
fn what_ends_while_packets_come_is_accounted_for_once() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: loading a packet program needs root");
        return;
    }
    const ROUNDS: u32 = 200;
    let mut plane = director(IpAddr::from([10, 0, 0, 100]), |last| IpAddr::from([10, 0, 0, last]));
    let runners = [plane.runner(Door::Xdp).unwrap(), plane.runner(Door::Xdp).unwrap()];
    let done = AtomicU32::new(0);
    let all = ConnectionFilter::default();
    let one = ConnectionFilter { real_server: Some(SocketAddr::from(([10, 0, 0, 11], 80))), ..all };
    let mut ended = 0;
    std::thread::scope(|scope| {
        for runner in &runners {
            scope.spawn(|| {
                for number in 0..ROUNDS * 64 {
                    let mut frame = syn4(number % 64);
                    // SYN, ACK, RST and SYN again of each flow in turn.
                    frame[47] = [2, 16, 4, 2][(number / 64) as usize % 4];
                    runner.run(&frame, 1).unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        while done.load(Ordering::SeqCst) < 2 {
            ended += plane.flush(&one).unwrap();
            plane.sweep().unwrap();
            plane.connections(&all, 0, &mut |_| true).unwrap();
            ended += plane.flush(&all).unwrap();
        }
    });
    ended += plane.flush(&all).unwrap();
    assert!(ended > 0, "nothing was ever there to end");
    let mut left = Vec::new();
    let mut note = |_, address: Option<SocketAddr>, c: Counters| left.push((address, c.active, c.inactive));
    plane.counters(&mut note).unwrap();
    assert!(left.iter().all(|(_, active, inactive)| (*active, *inactive) == (0, 0)), "{left:?}");
}

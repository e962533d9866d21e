//! What each forwarding method costs, beside direct routing in the same run.

use crate::{
    Effort,
    check::{Becomes, OWN, OWN_MAC, SERVER_PORT},
    driver::{Bench, Flows, MILLION, door, tcp4, tcp6},
    median, must_become,
};
use aya::programs::ProgramFd;
use evenkeel_abi::{
    state::TIMEOUT_SECONDS,
    tcp::{ACK, SYN},
};
use evenkeel_dataplane::{Change, ConnectionFilter, Dataplane, NextHop, RealServer, Route, ServiceOptions};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use evenkeel_model::{Forwarding, Persistence, PersistenceEngine, Protocol, Scheduler, ServiceKey, Tunnel, Weight};
use std::net::{IpAddr, SocketAddr};

/// Of every service: FullNAT gives each of their ports one client, and needs as many for a million.
const SERVERS: u8 = 200;
/// Most rounds of new connections: each makes directors and fills them anew.
const ROUNDS_OF_NEW: usize = 5;
const SIZES: [(&str, u32); 3] = [("1 flow", 1), ("8k flows", 8192), ("1M flows", MILLION)];

struct Method {
    name: &'static str,
    forwarding: Forwarding,
    v6: bool,
    persistence: Option<Persistence>,
    becomes: Becomes,
}

fn methods() -> [Method; 6] {
    let method = |name, forwarding, becomes| Method { name, forwarding, v6: false, persistence: None, becomes };
    let direct = |name| method(name, Forwarding::DirectRouting, Becomes::Routed);
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Address };
    [
        direct("direct routing"),
        Method { v6: true, ..direct("direct routing, IPv6") },
        Method { persistence: Some(persistence), ..direct("direct routing, persistent") },
        method("tunnel, ipip", Forwarding::Tunnel(Tunnel::Ipip), Becomes::Wrapped),
        method("NAT", Forwarding::Nat, Becomes::Translated),
        method("FullNAT", Forwarding::FullNat, Becomes::FullyTranslated),
    ]
}

impl Method {
    fn frame(&self, flags: u8) -> Vec<u8> {
        if self.v6 { tcp6(flags) } else { tcp4([10, 0, 0, 100], flags) }
    }

    /// With room for twice as many connections as there will be: a translated one takes the place of two.
    fn director(&self) -> EbpfDataplane {
        let timeouts = TIMEOUT_SECONDS;
        let connections = if self.forwarding.translates_ports() { 4 * MILLION } else { 2 * MILLION };
        let (services, real_servers, cells) = (4, 256, 1 << 14);
        let options = Options { pins: None, connections, services, real_servers, cells, timeouts };
        let (mut plane, _) = EbpfDataplane::open(&options).expect("root, and a kernel with eBPF");
        let address =
            if self.v6 { IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 0x100]) } else { IpAddr::from([10, 0, 0, 100]) };
        let key = ServiceKey::Address { address, protocol: Protocol::Tcp, port: 80 };
        let server = |last: u8| {
            if self.v6 {
                IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 1, u16::from(last)])
            } else {
                IpAddr::from([10, 0, 1, last])
            }
        };
        let port = if self.forwarding.translates_ports() { SERVER_PORT } else { 80 };
        let service = ServiceOptions { persistence: self.persistence, ..ServiceOptions::new(Scheduler::RoundRobin) };
        let one = RealServer::new(Weight::ONE, self.forwarding);
        let mut changes = vec![Change::AddService(key, service)];
        changes.extend((1..=SERVERS).map(|last| Change::AddRealServer(key, SocketAddr::new(server(last), port), one)));
        plane.apply(&changes).expect("room");
        for last in 1..=SERVERS {
            let own_address = Some(IpAddr::from(OWN)).filter(|_| !self.v6);
            let route = Route { interface: 1, gateway: None, mtu: 1500, own_address, vlan: None, by_stack: false };
            let hop = NextHop::Resolved { route, source: OWN_MAC, destination: [2, 0, 0, 0, 0, last] };
            plane.next_hop(server(last), hop).expect("is taken");
        }
        plane
    }

    /// A director with so many established connections.
    fn serving(&self, bench: &mut Bench, flows: u32) -> (EbpfDataplane, ProgramFd) {
        let mut plane = self.director();
        let door = door(&mut plane);
        bench.aim_at(&door);
        bench.run(&self.frame(SYN), known(flows), flows);
        bench.run(&self.frame(ACK), known(flows), flows);
        (plane, door)
    }

    /// What the driver costs, and what it does for packets that have grown.
    fn beside(&self, bench: &mut Bench, frame: &[u8], flows: Flows, packets: u32) -> f64 {
        bench.aim("empty");
        let empty = bench.run(frame, flows, packets).nanoseconds;
        if self.becomes != Becomes::Wrapped {
            return empty;
        }
        // To put in front and to take off cost the same; the one is the method's own.
        bench.aim("grow");
        (empty + bench.run(frame, flows, packets).nanoseconds) / 2.0
    }

    /// Net nanoseconds of a run, whose last frame must be right.
    fn net(&self, bench: &mut Bench, door: &ProgramFd, frame: &[u8], flows: Flows, packets: u32) -> f64 {
        let beside = self.beside(bench, frame, flows, packets);
        bench.aim_at(door);
        let ran = bench.run(frame, flows, packets);
        must_become(self.name, self.becomes, &ran, &flows.frame(frame, packets - 1));
        ran.nanoseconds - beside
    }

    /// Ends the benchmark unless every packet so far went to a real server, and made the connections it should.
    fn must_have_sent(&self, plane: &mut EbpfDataplane, packets: u64, made: u64) {
        let mut sums = (0, 0);
        let mut add = |_, server: Option<SocketAddr>, of: evenkeel_dataplane::Counters| {
            if server.is_some() {
                sums = (sums.0 + of.packets_in, sums.1 + of.connections);
            }
        };
        plane.counters(&mut add).expect("counts");
        let mut drops = Vec::new();
        plane.drops(&mut |reason, count| drops.extend((count > 0).then_some((reason, count)))).expect("counts");
        let all = nearly_all(sums.0, packets) && nearly_all(sums.1, made);
        assert!(all, "{}: {sums:?} of {packets} packets sent, {made} connections made; {drops:?}", self.name);
    }

    /// Ends the benchmark unless so many connections are established.
    fn must_have_established(&self, plane: &mut EbpfDataplane, flows: u32) {
        let (mut count, mut next) = (0, Some(0));
        while let Some(from) = next {
            let mut sink = |connection: evenkeel_dataplane::Connection| {
                count += u64::from(connection.state == "ESTABLISHED" && !connection.is_template);
                true
            };
            next = plane.connections(&ConnectionFilter::default(), from, &mut sink).expect("lists");
        }
        assert!(nearly_all(count, u64::from(flows)), "{}: {count} of {flows} connections are established", self.name);
    }
}

/// All but those few that find no slot: a table is no hash map.
fn nearly_all(count: u64, of: u64) -> bool {
    count <= of && count >= of - of / 10_000
}

/// Clients of so many flows.
fn clients(flows: u32) -> u32 {
    flows.min(8192)
}

/// Flows that are there before anything is measured.
fn known(flows: u32) -> Flows {
    Flows { base: 0, count: flows, first: 0, clients: clients(flows) }
}

/// New ones of the same clients, of whom one alone has no more ports.
fn newcomers(flows: u32) -> Flows {
    let (base, count) = if flows == 1 { (1 << 14, 1 << 14) } else { (MILLION, 1 << 18) };
    Flows { base, count, first: 0, clients: clients(flows) }
}

/// Prints the section.
pub(crate) fn section(bench: &mut Bench, effort: Effort) {
    let Effort { rounds, packets } = effort;
    println!("\n## Forwarding methods through the XDP door\n");
    println!(
        "Net nanoseconds a packet as above, client to real server: medians of {rounds} rounds, the methods interleaved round\n\
         by round; in brackets the difference to direct routing. TCP over IPv4 but for the second row, {SERVERS} real servers,\n\
         a table for two million connections (translated ones, which take two slots: for four million). What the\n\
         driver takes off again from a tunnel's packet is not counted. Addresses, ports and checksums of the last frame of\n\
         every run are verified, and that the packets before it were counted for real servers.\n"
    );
    println!(
        "Of a tunnel's difference {:.0} ns are `bpf_xdp_adjust_head`, measured by itself. Established connections, {packets}\n\
         packets a round:\n",
        adjusting(bench, effort)
    );
    table(&SIZES.map(|(_, flows)| established(bench, effort, flows)));
    println!(
        "\nNew connections beside so many established ones, of their clients (1, 8192 and 8192), round robin; the\n\
         persistent service finds each client's template. {} rounds of {} connections, of {} beside 1 flow, each in a\n\
         director of its own:\n",
        rounds.min(ROUNDS_OF_NEW),
        newcomers(MILLION).count,
        newcomers(1).count
    );
    table(&SIZES.map(|(_, flows)| new(bench, effort, flows)));
}

/// Nanoseconds to put a header's length in front: half of what the programs of [`Method::beside`] differ by.
fn adjusting(bench: &mut Bench, effort: Effort) -> f64 {
    let (frame, flows) = (tcp4([10, 0, 0, 100], ACK), known(1));
    let mut of = |program: &str| {
        bench.aim(program);
        bench.run(&frame, flows, effort.packets).nanoseconds
    };
    let mut samples: Vec<f64> = (0..effort.rounds).map(|_| (of("grow") - of("empty")) / 2.0).collect();
    median(&mut samples)
}

/// Medians by size and method.
fn table(medians: &[Vec<f64>; 3]) {
    println!("| method | {} | {} | {} |\n|---|---|---|---|", SIZES[0].0, SIZES[1].0, SIZES[2].0);
    for (at, method) in methods().iter().enumerate() {
        let cell = |of: &Vec<f64>| {
            if at == 0 { format!("{:.0}", of[0]) } else { format!("{:.0} ({:+.0})", of[at], of[at] - of[0]) }
        };
        println!("| {} | {} | {} | {} |", method.name, cell(&medians[0]), cell(&medians[1]), cell(&medians[2]));
    }
}

fn medians(samples: &mut [Vec<f64>]) -> Vec<f64> {
    samples.iter_mut().map(|of| median(of)).collect()
}

fn established(bench: &mut Bench, effort: Effort, flows: u32) -> Vec<f64> {
    let Effort { rounds, packets } = effort;
    let methods = methods();
    let mut planes: Vec<_> = methods.iter().map(|method| method.serving(bench, flows)).collect();
    let mut samples = vec![Vec::new(); methods.len()];
    for _ in 0..rounds {
        for (at, method) in methods.iter().enumerate() {
            samples[at].push(method.net(bench, &planes[at].1, &method.frame(ACK), known(flows), packets));
        }
    }
    for (method, (plane, _)) in methods.iter().zip(&mut planes) {
        method.must_have_sent(plane, 2 * u64::from(flows) + rounds as u64 * u64::from(packets), u64::from(flows));
        method.must_have_established(plane, flows);
    }
    medians(&mut samples)
}

fn new(bench: &mut Bench, effort: Effort, flows: u32) -> Vec<f64> {
    let (methods, fresh) = (methods(), newcomers(flows));
    let mut samples = vec![Vec::new(); methods.len()];
    for _ in 0..effort.rounds.min(ROUNDS_OF_NEW) {
        for (at, method) in methods.iter().enumerate() {
            let (mut plane, door) = method.serving(bench, flows);
            samples[at].push(method.net(bench, &door, &method.frame(SYN), fresh, fresh.count));
            let made = u64::from(flows) + u64::from(fresh.count);
            method.must_have_sent(&mut plane, made + u64::from(flows), made);
        }
    }
    medians(&mut samples)
}

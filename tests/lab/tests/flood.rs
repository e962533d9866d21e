//! A flood of SYNs from everywhere against one service: the table is full, and nobody else feels it.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evenkeel_lab::{Client, Report};
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, talk};
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

const FLOODED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 100), 80);
const CALM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 101), 80);
/// Connections the table has room for, as is asked for; it has twice as many slots.
const ROOM: u64 = 4096;
const FULL: u64 = 2 * ROOM * 9 / 10;
/// Requests to the calm service meanwhile, and so many a second.
const REQUESTS: usize = 2000;
const RATE: u32 = 400;
/// SYNs in a row, then a breath: no more than 50 000 a second.
const BURST: u32 = 100;
const BREATH: Duration = Duration::from_millis(2);
/// However slow the machine is, the flood ends.
const MOST: u32 = 2_000_000;

/// A SYN from a made-up client, of whom there are 2^31.
fn syn(number: u32) -> [u8; 40] {
    let source = Ipv4Addr::from_bits(0xc612_0000 | number & 0xffff);
    let port = 1024 + (number >> 16) as u16 % 32_768;
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[3] = 40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&FLOODED.ip().octets());
    packet[20..22].copy_from_slice(&port.to_be_bytes());
    packet[22..24].copy_from_slice(&FLOODED.port().to_be_bytes());
    packet[24..28].copy_from_slice(&number.to_be_bytes());
    packet[32] = 5 << 4;
    packet[33] = 2;
    packet[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
    // RFC 9293 3.1: the sum goes over addresses, protocol and length as well. The kernel makes that of the IP header.
    let words = packet[12..].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>() + 6 + 20;
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A running flood.
struct Flood {
    sent: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(client: &Client) -> Flood {
        let (sent, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (sent.clone(), ends.clone());
        let start = move || thread::spawn(move || flood(&count, &end));
        let thread = client.node().run(start).expect("the client lives");
        Flood { sent, ends, thread }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood ends well");
        self.sent.load(Ordering::Relaxed)
    }
}

fn flood(sent: &AtomicU64, ends: &AtomicBool) {
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).expect("a raw socket");
    for number in 0..MOST {
        if ends.load(Ordering::Relaxed) {
            return;
        }
        // A queue on the way may be full; the next one is as good.
        if sendto(&raw, &syn(number), SendFlags::empty(), &FLOODED).is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        if number % BURST == 0 {
            thread::sleep(BREATH);
        }
    }
}

/// A bed with a director that serves two services, each with a real server of its own. `limit` is a line of the flooded one.
fn serving(limit: &str) -> Bed {
    let mut bed = Bed::new(|options| {
        options.plan.vips = [FLOODED, CALM].map(|vip| (*vip.ip()).into()).to_vec();
    });
    let service = |name: &str, listen: SocketAddrV4, real: &str, more: &str| {
        format!(
            "[service.{name}]\nlisten = \"{listen}\"\nforward = \"dr\"\nreal_servers = [\"{real}\"]\n{more}\n\
             check = {{ http = \"/\", expect = \"real\", every = \"500ms\", timeout = \"5s\", fall = 5 }}\n"
        )
    };
    let text = service("flooded", FLOODED, "10.77.0.11", limit) + &service("calm", CALM, "10.77.0.12", "");
    let path = bed.write("director.toml", &text).expect("the file is written");
    bed.director.start(&[&path, "--connections", &ROOM.to_string()]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    bed
}

/// How many connections there are.
fn connections(bed: &Bed) -> u64 {
    let (good, said) = talk(bed, &["conns", "--count", "--json"]);
    assert!(good, "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).expect("an object");
    said.as_object().and_then(|object| object.values().find_map(serde_json::Value::as_u64)).expect("a number")
}

fn until(what: &str, mut good: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !good() {
        assert!(Instant::now() < end, "never {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes requests of the calm service, and keeps `old` alive meanwhile.
fn requests(bed: &Bed, old: &mut TcpStream) -> Report {
    let load = bed.client.load(SocketAddr::V4(CALM), RATE).expect("the load starts");
    for _ in 0..REQUESTS / 100 {
        // The rest of a header, a piece at a time.
        old.write_all(b"x-still: here\r\n").expect("the old connection takes more");
        load.wait_for(100, LIMIT).expect("requests flow");
    }
    let report = load.stop();
    println!("{} of {} requests failed: {:?}", report.failed(), report.total(), report.failures().next());
    report
}

fn is_well(report: &Report) -> bool {
    report.total() >= REQUESTS && report.failed() <= report.total() / 1000
}

/// A connection that was there before, in the middle of its request.
fn old_connection(bed: &Bed) -> TcpStream {
    let open = || TcpStream::connect(FLOODED);
    let mut old = bed.client.node().run(open).expect("the client lives").expect("a connection");
    old.set_read_timeout(Some(LIMIT)).expect("a timeout");
    old.write_all(b"GET / HTTP/1.0\r\n").expect("half a request");
    old
}

fn finish(mut old: TcpStream) {
    old.write_all(b"\r\n").expect("the rest of the request");
    let mut answer = String::new();
    old.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("real-1"), "{answer:?}");
}

#[test]
fn a_flood_of_syns_takes_neither_the_other_services_connections_nor_old_ones() {
    if !can_run() {
        return;
    }
    let bed = serving("");
    let mut old = old_connection(&bed);
    let flood = Flood::start(&bed.client);
    until("was the table full", || connections(&bed) > FULL);
    let before = flood.sent();
    let report = requests(&bed, &mut old);
    let meanwhile = flood.sent() - before;
    let full = connections(&bed);
    println!("{meanwhile} SYNs meanwhile, {} in all; {full} connections", flood.end());
    assert!(full > FULL, "the table was full to the end: {full}");
    assert!(meanwhile > ROOM, "it was a flood: {meanwhile}");
    assert!(is_well(&report), "{} of {} failed: {:?}", report.failed(), report.total(), report.failures().next());
    finish(old);
}

#[test]
fn a_service_with_a_limit_does_not_fill_the_table() {
    if !can_run() {
        return;
    }
    let bed = serving("limit = { per_second = 20 }");
    let mut old = old_connection(&bed);
    let flood = Flood::start(&bed.client);
    until("were SYNs above the limit", || flood.sent() > 3 * FULL);
    let report = requests(&bed, &mut old);
    let sent = flood.end();
    let there = connections(&bed);
    let status = bed.director.status().expect("a status");
    let limited = status.dataplane.drops.get("limited").copied().unwrap_or_default();
    println!("{there} connections, {limited} of {sent} SYNs above the limit");
    // Of what the calm service leaves behind, each stays for its two minutes of FIN_WAIT.
    assert!(there < FULL, "{there} connections");
    assert!(limited > sent / 2, "{limited} of {sent}");
    assert!(is_well(&report), "{} of {} failed: {:?}", report.failed(), report.total(), report.failures().next());
    finish(old);
}

//! A client that pings an address all the time, and sees every gap.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use evenkeel_lab::Node;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// What came of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Pings sent.
    pub sent: u32,
    /// Pings without an answer.
    pub lost: u32,
    /// The longest time in which every request stayed without an answer.
    pub longest: Duration,
}

/// Pings every 2 ms until it is told to stop.
pub struct Probe {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: JoinHandle<Report>,
}

/// Between two pings of a probe.
pub const PACE: Duration = Duration::from_millis(2);
const REQUEST: u8 = 8;
const REPLY: u8 = 0;

impl Probe {
    /// Begins to ping `vip` from `client`.
    pub fn start(client: &Node, vip: IpAddr) -> Probe {
        assert!(vip.is_ipv4(), "the probe speaks ICMP");
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (told, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = client.run(move || {
            let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).expect("a raw socket");
            std::thread::spawn(move || ping(&socket, vip, &told, &count))
        });
        Probe { stop, sent, thread: thread.expect("the client lives") }
    }

    /// Waits until so many were sent.
    pub fn wait_for(&self, count: u32) {
        while self.sent.load(Ordering::Relaxed) < count {
            std::thread::park_timeout(PACE);
        }
    }

    /// Ends it, once answers that are under way have come.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the probe ends")
    }
}

fn ping(socket: &rustix::fd::OwnedFd, vip: IpAddr, stop: &AtomicBool, count: &AtomicU32) -> Report {
    let answered: Mutex<Vec<bool>> = Mutex::new(Vec::new());
    let begun = Instant::now();
    let mut sent_at: Vec<Instant> = Vec::new();
    let mut buffer = [0; 128];
    let mut take = |answered: &mut Vec<bool>| {
        while let Ok((length, _)) = recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
            // An IPv4 header without options, then type, code, checksum, identifier, sequence.
            if length >= 28 && buffer[20] == REPLY && buffer[24..26] == [0xe, 0x4b] {
                let sequence = usize::from(u16::from_be_bytes([buffer[26], buffer[27]]));
                // The sequence wraps; only the last half of it can still be answered.
                let last = answered.len().wrapping_sub(1);
                let index = last.wrapping_sub(last.wrapping_sub(sequence) & 0xffff);
                if let Some(place) = answered.get_mut(index) {
                    *place = true;
                }
            }
        }
    };
    while !stop.load(Ordering::Relaxed) {
        let sequence = u16::try_from(sent_at.len() & 0xffff).expect("16 bits");
        let mut packet = [REQUEST, 0, 0, 0, 0xe, 0x4b, 0, 0];
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
        sent_at.push(Instant::now());
        let mut list = answered.lock().expect("one thread");
        list.push(false);
        // While nobody answers ARP this fails, which is a loss like any other.
        let _ = sendto(socket, &packet, SendFlags::DONTWAIT, &SocketAddr::new(vip, 0));
        take(&mut list);
        drop(list);
        count.fetch_add(1, Ordering::Relaxed);
        std::thread::park_timeout(PACE);
    }
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        take(&mut answered.lock().expect("one thread"));
        std::thread::park_timeout(PACE);
    }
    let answered = answered.into_inner().expect("one thread");
    let mut last = begun;
    let mut longest = Duration::ZERO;
    for (at, _) in sent_at.iter().zip(&answered).filter(|(_, answered)| **answered) {
        longest = longest.max(*at - last);
        last = *at;
    }
    longest = longest.max(sent_at.last().map_or(Duration::ZERO, |end| *end - last));
    let lost = answered.iter().filter(|answered| !**answered).count();
    Report {
        sent: u32::try_from(answered.len()).unwrap_or(u32::MAX),
        lost: u32::try_from(lost).unwrap_or(u32::MAX),
        longest,
    }
}

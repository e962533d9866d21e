//! Recordings of what the IPVS of a real kernel chose, event by event (`golden/schedulers/kernel-*.txt`).

#![allow(unreachable_pub, dead_code, reason = "tests of two packages include it")]

pub mod rules;

use evenkeel_model::{HashFlags, Scheduler};
use std::net::IpAddr;

/// What is done to a service, and what came of it. Real servers are named by the last part of their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A real server is added.
    Add(Server),
    /// Another weight or other thresholds.
    Edit(Server),
    /// A real server is removed.
    Remove(u16),
    /// The first packet of a connection: UDP, or a SYN. `None`: it was dropped.
    Open(Flow, Option<u16>),
    /// ACK and FIN: FIN_WAIT.
    Finish(Flow),
    /// ACK and RST: CLOSE.
    Reset(Flow),
    /// Longer than the timeout of CLOSE passes.
    Gone,
    /// Longer than the timeout of a destination's set passes.
    Stale,
}

/// A real server as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: u16,
    pub weight: u32,
    pub upper: u32,
    pub lower: u32,
}

/// A connection: number of the client, its port, number of the virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub client: u16,
    pub port: u16,
    pub vip: u8,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Recording {
    pub name: String,
    pub scheduler: Scheduler,
    pub v6: bool,
    pub tcp: bool,
    pub port: u16,
    /// One service for this many addresses each; 0: one by mark for all.
    pub vips: u8,
    pub events: Vec<Event>,
}

impl Recording {
    pub fn client(&self, flow: Flow) -> IpAddr {
        self.address(["10.5", "fd05"], flow.client)
    }

    pub fn vip(&self, number: u8) -> IpAddr {
        self.address(["10.6", "fd06"], u16::from(number))
    }

    pub fn server(&self, host: u16) -> IpAddr {
        let text = match self.v6 {
            true => format!("fd77::{host}"),
            false => format!("10.77.{}.{}", host >> 8, host & 255),
        };
        text.parse().expect("an address")
    }

    fn address(&self, network: [&str; 2], number: u16) -> IpAddr {
        let text = match self.v6 {
            true => format!("{}::{number:x}", network[1]),
            false => format!("{}.{}.{}", network[0], number >> 8, number & 255),
        };
        text.parse().expect("an address")
    }
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

fn scheduler(name: &str, flags: &str) -> Scheduler {
    let scheduler: Scheduler = name.parse().expect("a scheduler");
    let flags = HashFlags { port: flags.contains("-port"), fallback: flags.contains("-fallback") };
    scheduler.with_flags(flags).unwrap_or(scheduler)
}

fn event(line: &str) -> Event {
    let (kind, rest) = line.split_once(' ').expect("an event");
    let server = || {
        let n = numbers(rest);
        Server { host: n[0] as u16, weight: n[1], upper: n[2], lower: n[3] }
    };
    let flow = |text: &str| {
        let n = numbers(text);
        Flow { client: n[0] as u16, port: n[1] as u16, vip: n[2] as u8 }
    };
    match kind {
        "+" => Event::Add(server()),
        "~" => Event::Edit(server()),
        "/" => Event::Remove(rest.parse().expect("a real server")),
        ">" => {
            let (packet, answer) = rest.rsplit_once(' ').expect("an answer");
            Event::Open(flow(packet), (answer != "-").then(|| answer.parse().expect("a real server")))
        }
        "f" => Event::Finish(flow(rest)),
        "r" => Event::Reset(flow(rest)),
        "w" if rest == "gone" => Event::Gone,
        "w" if rest == "stale" => Event::Stale,
        _ => panic!("no event: {line}"),
    }
}

/// All of a file.
pub fn read(text: &str) -> Vec<Recording> {
    let mut all: Vec<Recording> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(header) = line.strip_prefix("= ") else {
            all.last_mut().expect("a header first").events.push(event(line));
            continue;
        };
        let (name, setup) = header.split_once("; ").expect("a name");
        let words: Vec<&str> = setup.split_whitespace().collect();
        all.push(Recording {
            name: format!("{name} ({setup})"),
            scheduler: scheduler(words[0], words[1]),
            v6: words[2] == "IPv6",
            tcp: words[3] == "tcp",
            port: words[5].parse().expect("a port"),
            vips: words.get(7).map_or(0, |count| count.parse().expect("a count")),
            events: Vec::new(),
        });
    }
    all
}

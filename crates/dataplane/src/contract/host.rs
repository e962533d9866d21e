//! A data plane under test with one kind of client and of real servers, told apart by the last byte of their MAC addresses.

use super::{must, options, server};
use crate::{
    Change, Connection, ConnectionFilter, Counters, NextHop, ServiceOptions,
    reference::{Door, Traffic, Verdict, bed, build},
};
use evenkeel_abi::Reason;
use evenkeel_model::{Forwarding, Protocol, Scheduler, ServiceKey};
use std::net::SocketAddr;

/// The port of the service.
const PORT: u16 = 80;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It went to this real server.
    To(u8),
    /// The host's own stack has it.
    Passed(Option<Reason>),
    Dropped(Option<Reason>),
}

pub(super) struct Host {
    pub(super) plane: Box<dyn Traffic>,
    pub(super) v6: bool,
    door: Door,
}

impl Host {
    pub(super) fn new(plane: Box<dyn Traffic>, v6: bool) -> Host {
        Host { plane, v6, door: Door::Xdp }
    }

    pub(super) fn key(&self, protocol: Protocol) -> ServiceKey {
        ServiceKey::Address { address: bed::virtual_address(self.v6), protocol, port: PORT }
    }

    pub(super) fn server(&self, host: u8) -> SocketAddr {
        SocketAddr::new(bed::real_server(self.v6, host), PORT)
    }

    pub(super) fn client(&self, port: u16) -> SocketAddr {
        SocketAddr::new(bed::client(self.v6, 5), port)
    }

    pub(super) fn service(&self) -> SocketAddr {
        SocketAddr::new(bed::virtual_address(self.v6), PORT)
    }

    pub(super) fn apply(&mut self, changes: &[Change]) {
        must(self.plane.apply(changes), "cannot apply");
    }

    /// The TCP and the UDP service, each with these real servers, given as host and weight and added one by one.
    pub(super) fn serve(&mut self, scheduler: Scheduler, servers: &[(u8, u32)]) {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let key = self.key(protocol);
            self.apply(&[Change::AddService(key, options(scheduler))]);
            for (host, weight) in servers {
                self.apply(&[Change::AddRealServer(
                    key,
                    self.server(*host),
                    server(*weight, Forwarding::DirectRouting),
                )]);
            }
        }
        for (host, _) in servers {
            self.hop(*host, *host);
        }
    }

    /// Packets to the real server go to the MAC address that ends in `mac`.
    pub(super) fn hop(&mut self, host: u8, mac: u8) {
        let hop = NextHop::Resolved {
            route: bed::route(self.v6, bed::INSIDE, None),
            source: bed::OWN_MAC,
            destination: [2, 0, 0, 0, 9, mac],
        };
        must(self.plane.next_hop(bed::real_server(self.v6, host), hop), "cannot set a next hop");
    }

    pub(super) fn add(&mut self, host: u8, weight: u32) {
        let change =
            Change::AddRealServer(self.tcp_key(), self.server(host), server(weight, Forwarding::DirectRouting));
        self.apply(&[change]);
        self.hop(host, host);
    }

    pub(super) fn weigh(&mut self, host: u8, weight: u32) {
        let change =
            Change::EditRealServer(self.tcp_key(), self.server(host), server(weight, Forwarding::DirectRouting));
        self.apply(&[change]);
    }

    pub(super) fn remove(&mut self, host: u8) {
        self.apply(&[Change::RemoveRealServer(self.tcp_key(), self.server(host))]);
    }

    pub(super) fn edit(&mut self, options: ServiceOptions) {
        self.apply(&[Change::EditService(self.tcp_key(), options)]);
    }

    pub(super) fn tcp_key(&self) -> ServiceKey {
        self.key(Protocol::Tcp)
    }

    /// A TCP packet from the client's port.
    pub(super) fn tcp(&mut self, port: u16, flags: u8) -> Fate {
        let frame = build::tcp(self.client(port), self.service(), flags).bytes();
        self.frame(&frame)
    }

    pub(super) fn syn(&mut self, port: u16) -> Fate {
        self.tcp(port, build::SYN)
    }

    pub(super) fn ack(&mut self, port: u16) -> Fate {
        self.tcp(port, build::ACK)
    }

    /// Ends the connections from these ports.
    pub(super) fn close(&mut self, ports: std::ops::Range<u16>) {
        for port in ports {
            self.ack(port);
            self.tcp(port, build::RST);
        }
    }

    pub(super) fn udp(&mut self, port: u16) -> Fate {
        let frame = build::udp(self.client(port), self.service()).bytes();
        self.frame(&frame)
    }

    /// The doors take turns, as both lead to the same connections.
    pub(super) fn frame(&mut self, frame: &[u8]) -> Fate {
        self.door = if self.door == Door::Xdp { Door::Tc } else { Door::Xdp };
        let seen = must(self.plane.frame(self.door, bed::OUTSIDE, frame), "cannot hand over a frame");
        match seen.verdict {
            Verdict::Pass => Fate::Passed(seen.reason),
            Verdict::Drop => Fate::Dropped(seen.reason),
            Verdict::Transmit | Verdict::Redirect => Fate::To(seen.frame.get(5).copied().unwrap_or(0)),
        }
    }

    pub(super) fn elapse(&mut self, seconds: u32) {
        must(self.plane.elapse(seconds), "cannot let time pass");
    }

    /// Often enough for whatever is spread over several calls.
    pub(super) fn sweep(&mut self) {
        (0..16).for_each(|_| must(self.plane.sweep(), "cannot sweep"));
    }

    /// Counters of a real server of the TCP service, or of that service.
    pub(super) fn counters(&mut self, host: Option<u8>) -> Option<Counters> {
        let wanted = (self.tcp_key(), host.map(|host| self.server(host)));
        self.counters_of(wanted)
    }

    pub(super) fn counters_of(&mut self, wanted: (ServiceKey, Option<SocketAddr>)) -> Option<Counters> {
        let mut found = None;
        let mut sink = |key, address, counters| {
            if (key, address) == wanted {
                found = Some(counters);
            }
        };
        must(self.plane.counters(&mut sink), "cannot read counters");
        let mut alone = None;
        let mut sink = |key, address, counters| {
            assert_eq!(key, wanted.0, "only this service was asked for");
            if address == wanted.1 {
                alone = Some(counters);
            }
        };
        must(self.plane.counters_of(&wanted.0, &mut sink), "cannot read counters");
        assert_eq!(alone, found, "one service counts as all do");
        found
    }

    /// The connections that `filter` means, TCP first, by client.
    pub(super) fn connections(&mut self, filter: &ConnectionFilter) -> Vec<Connection> {
        let mut all = Vec::new();
        let mut sink = |connection| {
            all.push(connection);
            true
        };
        let mut next = Some(0);
        while let Some(from) = next {
            next = must(self.plane.connections(filter, from, &mut sink), "cannot list connections");
        }
        all.sort_by_key(|connection| (connection.protocol, connection.client));
        all
    }

    /// Active and inactive connections of a real server of the TCP service.
    pub(super) fn load(&mut self, host: u8) -> (u32, u32) {
        self.counters(Some(host)).map_or((0, 0), |counters| (counters.active, counters.inactive))
    }
}

//! What becomes of a packet (PP-8 to PP-16, PP-23 to PP-28).

use super::{
    Door, Memory, Sighting, Verdict,
    parse::{self, ETHERNET, Flow, Packet},
    servers::{ServerId, admits, answerable},
    state::{Flags, State},
};
use crate::NextHop;
use evenkeel_abi::Reason;
use evenkeel_model::{Forwarding, Protocol, ServiceKey};
use std::net::IpAddr;

/// Where a packet ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In the host's own stack, as the real server is the host.
    Deliver,
    /// On its way to the real server.
    Forward {
        /// Egress interface.
        interface: u32,
        /// As it leaves.
        frame: Vec<u8>,
    },
    /// On its way once the kernel has found the next hop's MAC address; tc door only.
    Resolve {
        /// Egress interface.
        interface: u32,
        /// Whose MAC address is missing.
        next_hop: IpAddr,
        /// All but the MAC addresses as it will leave.
        frame: Vec<u8>,
    },
    /// Counted under a reason, and passed or dropped as that says.
    End(Reason),
}

impl Outcome {
    /// What can be seen of it, the frame having come in as `before` by `interface`.
    pub fn sighting(self, door: Door, interface: u32, before: &[u8]) -> Sighting {
        let pass = |reason| Sighting { verdict: Verdict::Pass, frame: before.to_vec(), reason };
        match self {
            Outcome::Deliver | Outcome::End(Reason::NotOurs) => pass(None),
            Outcome::End(reason) if reason.passes() => pass(Some(reason)),
            Outcome::End(reason) => Sighting { verdict: Verdict::Drop, frame: Vec::new(), reason: Some(reason) },
            Outcome::Forward { interface: egress, frame } => {
                let back = door == Door::Xdp && egress == interface;
                let verdict = if back { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame, reason: None }
            }
            Outcome::Resolve { frame, .. } => Sighting { verdict: Verdict::Redirect, frame, reason: None },
        }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) server: ServerId,
    pub(super) state: State,
    /// When its last packet came.
    pub(super) seen: u32,
}

impl Memory {
    /// Runs a frame that came in at `door` through the rules.
    pub fn packet(&mut self, door: Door, frame: &[u8]) -> Outcome {
        let outcome = match self.real_server(door, frame) {
            Ok((server, bytes)) => self.send(door, frame, server, bytes),
            Err(reason) => Err(reason),
        };
        outcome.unwrap_or_else(|reason| {
            self.drops[reason as usize] += 1;
            Outcome::End(reason)
        })
    }

    /// Whose packet it is, and its IP length.
    fn real_server(&mut self, door: Door, frame: &[u8]) -> Result<(ServerId, u64), Reason> {
        match parse::packet(door, frame).ok_or(Reason::NotOurs)? {
            Packet::Error { flow, bytes } => {
                let known = self.connection(&flow).ok_or(Reason::NotOurs)?;
                Ok((known.server, bytes))
            }
            Packet::Transport { flow, flags, fault, bytes } => {
                let known = self.connection(&flow);
                let service = self.service_of(&flow);
                if known.is_none() && service.is_none() {
                    return Err(Reason::NotOurs);
                }
                fault.map_or(Ok(()), Err)?;
                let opens = flags.is_none_or(|flags| flags.syn && !flags.ack);
                let server = match known {
                    Some(known) if opens && (known.state.is_over() || self.is_stranded(&known)) => {
                        self.open(&flow, service.ok_or(Reason::NotOurs)?)?
                    }
                    Some(known) => self.follow(flow, known, flags),
                    None if opens => self.open(&flow, service.ok_or(Reason::NotOurs)?)?,
                    None => return Err(Reason::NoConnection),
                };
                Ok((server, bytes))
            }
        }
    }

    /// The connection, unless its timeout has passed.
    fn connection(&self, flow: &Flow) -> Option<Connection> {
        self.connections.get(flow).copied().filter(|connection| !self.is_over(connection))
    }

    /// Whether a connection's timeout has passed.
    pub(super) fn is_over(&self, connection: &Connection) -> bool {
        let idle = self.now.wrapping_sub(connection.seen);
        // More than half the clock's range: the packet is younger than now.
        idle < 1 << 31 && idle > connection.state.seconds() * self.ticks_per_second
    }

    /// Whether it is half open on its way to a real server that takes no new connections (PP-14).
    fn is_stranded(&self, connection: &Connection) -> bool {
        let is_member = self.services.values().any(|service| service.list.contains(&connection.server));
        let takes_new = is_member && self.servers.get(&connection.server).is_some_and(|s| s.member.is_usable());
        connection.state == State::SynRecv && !takes_new
    }

    /// The service that answers for a flow (PP-4).
    fn service_of(&self, flow: &Flow) -> Option<ServiceKey> {
        let key = |port| ServiceKey::Address { address: flow.service.ip(), protocol: flow.protocol, port };
        [key(flow.service.port()), key(0)].into_iter().find(|key| self.services.contains_key(key))
    }

    /// A packet of a known connection (PP-10, PP-13).
    fn follow(&mut self, flow: Flow, known: Connection, flags: Option<Flags>) -> ServerId {
        let state = flags.map_or(known.state, |flags| known.state.after(flags));
        self.connections.insert(flow, Connection { state, seen: self.now, ..known });
        known.server
    }

    /// Makes a connection (PP-8, PP-16, PP-17, PP-23).
    fn open(&mut self, flow: &Flow, key: ServiceKey) -> Result<ServerId, Reason> {
        let service = self.services.get_mut(&key).ok_or(Reason::NotOurs)?;
        if !answerable(flow) {
            return Err(Reason::BadSource);
        }
        if !admits(&service.options.sources, flow.client.ip()) {
            return Err(Reason::Denied);
        }
        let server = service.choose(&self.servers, flow, self.secret).ok_or(Reason::NoServer)?;
        self.make_room(flow)?;
        let state = match flow.protocol {
            Protocol::Tcp => State::SynRecv,
            Protocol::Udp => State::Udp,
            // No service has it: `unbuilt` refuses them.
            Protocol::Sctp => return Err(Reason::NotOurs),
        };
        self.connections.insert(*flow, Connection { server, state, seen: self.now });
        if let Some(server) = self.servers.get_mut(&server) {
            server.counters.connections += 1;
        }
        Ok(server)
    }

    /// Takes a connection away where there is no room for another (PP-16).
    fn make_room(&mut self, flow: &Flow) -> Result<(), Reason> {
        if self.connections.contains_key(flow) || self.connections.len() < self.limits.connections as usize {
            return Ok(());
        }
        let rank = |connection: &Connection| match self.is_over(connection) {
            true => Some(0),
            false => connection.state.dispensable(),
        };
        let ranked = self.connections.iter().filter_map(|(flow, connection)| Some((rank(connection)?, *flow)));
        let (_, victim) = ranked.min().ok_or(Reason::TableFull)?;
        self.connections.remove(&victim);
        Ok(())
    }

    /// Sends a packet to its real server (PP-24 to PP-26, PP-28).
    fn send(&mut self, door: Door, frame: &[u8], id: ServerId, bytes: u64) -> Result<Outcome, Reason> {
        let server = self.servers.get_mut(&id).ok_or(Reason::Internal)?;
        let address = server.member.address.ip();
        let hop = self.hops.get(&address).copied().unwrap_or(NextHop::Unreachable);
        let outcome = match (server.forwarding, hop, door) {
            (Forwarding::Local, _, _) => Outcome::Deliver,
            (Forwarding::DirectRouting, NextHop::Unreachable, _)
            | (Forwarding::DirectRouting, NextHop::Unresolved { .. }, Door::Xdp) => return Err(Reason::NoNextHop),
            (Forwarding::DirectRouting, NextHop::Unresolved { route }, Door::Tc) => {
                let frame = aged(frame).ok_or(Reason::Ttl)?;
                Outcome::Resolve { interface: route.interface, next_hop: route.gateway.unwrap_or(address), frame }
            }
            (Forwarding::DirectRouting, NextHop::Resolved { route, source, destination }, _) => {
                let mut frame = aged(frame).ok_or(Reason::Ttl)?;
                frame[..6].copy_from_slice(&destination);
                frame[6..12].copy_from_slice(&source);
                Outcome::Forward { interface: route.interface, frame }
            }
            // No real server has it: `unbuilt` refuses them.
            (Forwarding::Nat | Forwarding::FullNat | Forwarding::Tunnel(_), _, _) => return Err(Reason::Internal),
        };
        server.counters.packets_in += 1;
        server.counters.bytes_in += bytes;
        Ok(outcome)
    }
}

/// The frame with one less to live; `None` when it has lived long enough.
fn aged(frame: &[u8]) -> Option<Vec<u8>> {
    let mut frame = frame.to_vec();
    let version4 = frame[ETHERNET] >> 4 == 4;
    let ttl = &mut frame[ETHERNET + if version4 { 8 } else { 7 }];
    *ttl = ttl.checked_sub(1).filter(|left| *left > 0)?;
    if version4 {
        let sum = &mut frame[ETHERNET + 10..ETHERNET + 12];
        // RFC 1624, equation 3: ~(~checksum + ~old + new), and new is old less 0x0100.
        let old = u32::from(u16::from_be_bytes([sum[0], sum[1]]));
        let added = (!old & 0xffff) + 0xfeff;
        let folded = (added & 0xffff) + (added >> 16);
        sum.copy_from_slice(&(!folded as u16).to_be_bytes());
    }
    Some(frame)
}

//! What becomes of a packet, from the frame to its way (PP-9 to PP-14, PP-27, PP-33, PP-42, PP-45, PP-50).

use super::{
    Door, Memory, Sighting, Verdict,
    parse::{self, Content, Flow, Packet, Part, Quoted},
    servers::ServerId,
    state::{Direction, Event},
    table::{Connection, Inside},
};
use evenkeel_abi::{Reason, filter_bit_of};
use evenkeel_model::{ExpireGone, Forwarding, ServiceKey};
use std::net::IpAddr;

/// Where a packet ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In the host's own stack, as this.
    Deliver {
        /// As it came, but for answers to the host itself, which are translated.
        frame: Vec<u8>,
    },
    /// On its way.
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
    /// Dropped and answered: this goes back out of the interface that it came in by.
    Refuse {
        /// The answer.
        frame: Vec<u8>,
        /// Why, which is counted.
        reason: Reason,
    },
    /// Counted under a reason, and passed or dropped as that says.
    End(Reason),
}

impl Outcome {
    /// What can be seen of it, the frame having come in as `before` by `interface`.
    pub fn sighting(self, door: Door, interface: u32, before: &[u8]) -> Sighting {
        let pass = |reason| Sighting { verdict: Verdict::Pass, frame: before.to_vec(), reason };
        match self {
            Outcome::Deliver { frame } => Sighting { verdict: Verdict::Pass, frame, reason: None },
            Outcome::End(Reason::NotOurs) => pass(None),
            Outcome::End(reason) if reason.passes() => pass(Some(reason)),
            Outcome::End(reason) => Sighting { verdict: Verdict::Drop, frame: Vec::new(), reason: Some(reason) },
            Outcome::Forward { interface: egress, frame } => {
                let back = door == Door::Xdp && egress == interface;
                let verdict = if back { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame, reason: None }
            }
            Outcome::Resolve { frame, .. } => Sighting { verdict: Verdict::Redirect, frame, reason: None },
            Outcome::Refuse { frame, reason } => {
                let verdict = if door == Door::Xdp { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame, reason: Some(reason) }
            }
        }
    }

    fn reason(&self) -> Option<Reason> {
        match self {
            Outcome::End(reason) | Outcome::Refuse { reason, .. } => Some(*reason),
            Outcome::Deliver { .. } | Outcome::Forward { .. } | Outcome::Resolve { .. } => None,
        }
    }
}

/// Whose packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From a client to a real server.
    In(Target),
    /// From a translated real server to a client.
    Out(Target),
}

impl Way {
    /// Whether it leads to where the other one leads.
    pub(super) fn is_along(&self, other: &Way) -> bool {
        match (self, other) {
            (Way::In(one), Way::In(other)) => one.server == other.server,
            (Way::Out(one), Way::Out(other)) => one.flow.client.ip() == other.flow.client.ip(),
            (Way::In(_), Way::Out(_)) | (Way::Out(_), Way::In(_)) => false,
        }
    }
}

/// A connection, as far as sending its packets takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) server: ServerId,
    /// From the client to the virtual address.
    pub(super) flow: Flow,
    pub(super) inside: Option<Inside>,
}

impl Memory {
    /// Runs a frame that came in at `door` through the rules.
    pub fn packet(&mut self, door: Door, frame: &[u8]) -> Outcome {
        let outcome = match parse::packet(door, frame) {
            Some(packet) => self.run(door, frame, &packet).unwrap_or_else(Outcome::End),
            None => Outcome::End(Reason::NotOurs),
        };
        if let Some(reason) = outcome.reason() {
            self.drops[reason as usize] += 1;
        }
        outcome
    }

    fn run(&mut self, door: Door, frame: &[u8], packet: &Packet) -> Result<Outcome, Reason> {
        let is_ours = self.may_be_virtual(packet.destination) || self.may_translate(packet.source);
        if is_ours && let (Part::First(name), Content::Transport { .. }) = (packet.part, &packet.content) {
            self.notes.arrived(name, self.clock);
        }
        let way = match packet.content {
            Content::Bad if is_ours => return Err(Reason::BadFragment),
            Content::Bad => return Err(Reason::NotOurs),
            Content::Rest { .. } if !is_ours => return Err(Reason::NotOurs),
            Content::Rest { fault } => self.way_of_rest(packet, fault)?,
            // Somebody else's extension headers are not looked behind (PP-45).
            Content::Error(_) if !is_ours && packet.source.is_ipv6() && packet.transport != 40 => {
                return Err(Reason::NotOurs);
            }
            Content::Error(quoted) => self.way_of_error(&quoted)?,
            Content::Transport { flow, event, fault } => self.way_of(packet, flow, event, fault)?,
        };
        if let Part::First(name) = packet.part {
            self.notes.goes(name, way, self.clock)?;
        }
        match way {
            Way::In(target) => self.send_in(door, frame, packet, &target),
            Way::Out(target) => self.send_out(door, packet, &target),
        }
    }

    /// Whether answers from this address may be of a translated connection (PP-42), as far as the first look tells (PP-3).
    fn may_translate(&self, address: IpAddr) -> bool {
        let bit = filter_bit_of(address);
        let is_translated = |forwarding| matches!(forwarding, Forwarding::Nat | Forwarding::FullNat);
        let mut servers = self.servers.values().filter(|server| is_translated(server.forwarding));
        servers.any(|server| filter_bit_of(server.member.address.ip()) == bit)
    }

    /// PP-50: a later fragment goes where the first one went.
    fn way_of_rest(&mut self, packet: &Packet, fault: Option<Reason>) -> Result<Way, Reason> {
        if parse::is_icmp(packet.protocol) {
            return Err(Reason::NotOurs);
        }
        fault.map_or(Ok(()), Err)?;
        let Part::Later(name) = packet.part else { return Err(Reason::Internal) };
        self.notes.find(&name, self.clock).ok_or(Reason::EarlyFragment)?.ok_or(Reason::NotOurs)
    }

    /// PP-27, PP-45: an error goes where the connection goes that it is about.
    fn way_of_error(&mut self, quoted: &Quoted) -> Result<Way, Reason> {
        // What the virtual service has sent, or what the client has sent as its real server saw it.
        let answer = quoted.flow.turned();
        if let Some(known) = self.connection(&answer) {
            return Ok(Way::In(Target { server: known.server, flow: answer, inside: known.inside }));
        }
        let (flow, known) = self.answered(&answer).ok_or(Reason::NotOurs)?;
        Ok(Way::Out(Target { server: known.server, flow, inside: known.inside }))
    }

    fn way_of(&mut self, packet: &Packet, flow: Flow, event: Event, fault: Option<Reason>) -> Result<Way, Reason> {
        if let Some((flow, known)) = self.answered(&flow) {
            fault.map_or(Ok(()), Err)?;
            self.follow(flow, known, event, Direction::Output);
            return Ok(Way::Out(Target { server: known.server, flow, inside: known.inside }));
        }
        let known = self.connection(&flow);
        let service = self.service_of(&flow);
        if known.is_none() && service.is_none() {
            return Err(Reason::NotOurs);
        }
        fault.map_or(Ok(()), Err)?;
        let (server, inside) = match known {
            Some(known) if self.is_given_up(&flow, &known) => {
                let opened = self.open_for(packet, &flow, event, service);
                if matches!(opened, Err(Reason::NotOurs | Reason::NoConnection)) {
                    self.table.remove(&mut self.servers, &flow);
                }
                opened?
            }
            Some(known) if event.opens() && self.is_opened_anew(&known) => {
                self.open_for(packet, &flow, event, service)?
            }
            Some(known) => {
                let direction = if known.inside.is_some() { Direction::Input } else { Direction::InputOnly };
                self.follow(flow, known, event, direction);
                (known.server, known.inside)
            }
            None => self.open_for(packet, &flow, event, service)?,
        };
        Ok(Way::In(Target { server, flow, inside }))
    }

    /// A packet without a connection (PP-11, PP-12).
    fn open_for(
        &mut self,
        packet: &Packet,
        flow: &Flow,
        event: Event,
        service: Option<ServiceKey>,
    ) -> Result<(ServerId, Option<Inside>), Reason> {
        let key = service.ok_or(Reason::NotOurs)?;
        let is_sloppy = self.services.get(&key).is_some_and(|service| service.options.behaviour.sloppy);
        if !event.opens() && (!is_sloppy || event.aborts()) {
            return Err(Reason::NoConnection);
        }
        self.open(packet, flow, event, key)
    }

    /// The connection, unless its timeout has passed.
    pub(super) fn connection(&self, flow: &Flow) -> Option<Connection> {
        self.table.get(flow).filter(|connection| !self.is_over(connection))
    }

    /// The connection that an answer is of.
    fn answered(&self, answer: &Flow) -> Option<(Flow, Connection)> {
        let flow = self.table.answered(answer)?;
        Some((flow, self.connection(&flow)?))
    }

    /// Whether a connection's timeout has passed.
    pub(super) fn is_over(&self, connection: &Connection) -> bool {
        self.clock.is_past(connection.seen, connection.state.seconds(&self.timeouts))
    }

    /// Whether a packet that opens makes another connection of a known one (PP-14).
    fn is_opened_anew(&self, known: &Connection) -> bool {
        let Some(server) = self.servers.get(&known.server) else { return true };
        let reuses = self.services.get(&server.service).is_none_or(|service| service.options.behaviour.reuse);
        let is_stranded = known.state.is_half_open() && !server.takes_new();
        known.state.is_over() && reuses || is_stranded
    }

    /// Whether its real server is gone and its service does not wait for it (PP-33).
    fn is_given_up(&self, flow: &Flow, known: &Connection) -> bool {
        let Some(server) = self.servers.get(&known.server) else { return true };
        let Some(service) = self.services.get(&server.service) else { return false };
        server.is_gone()
            && match service.options.behaviour.expire_gone {
                ExpireGone::Never => false,
                ExpireGone::Udp => flow.protocol == super::wire::UDP,
                ExpireGone::All => true,
            }
    }

    /// A packet of a known connection (PP-10, PP-13).
    fn follow(&mut self, flow: Flow, known: Connection, event: Event, direction: Direction) {
        let state = known.state.after(event, direction);
        let service = self.servers.get(&known.server).map(|server| server.service);
        if let Some(service) = service.filter(|_| state.is_established() && !known.state.is_established()) {
            self.assure(service, flow.client.ip());
        }
        self.table.put(&mut self.servers, flow, Connection { state, seen: self.clock.now, ..known });
    }
}

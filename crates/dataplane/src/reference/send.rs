//! Sends packets on (PP-24 to PP-28, PP-40 to PP-47).

use super::{
    Door, Memory, Outcome, header,
    parse::{Content, Packet, Part},
    path::Target,
    routes::Towards,
    servers, too_big, translate, tunnel,
    wire::{SCTP, array},
};
use crate::{Egress, NextHop, Route, Vlan};
use evenkeel_abi::Reason;
use evenkeel_model::Forwarding;
use std::net::IpAddr;

/// Where a packet goes next.
#[derive(Clone, Copy)]
enum Hop {
    /// MAC addresses of the next hop and of our own interface.
    Known { interface: u32, destination: [u8; 6], source: [u8; 6], vlan: Option<Vlan> },
    /// The kernel has to find out.
    Unknown { interface: u32, next_hop: IpAddr },
}

impl Memory {
    /// Sends a packet to its real server.
    pub(super) fn send_in(
        &mut self,
        door: Door,
        frame: &[u8],
        packet: &Packet,
        target: &Target,
    ) -> Result<Outcome, Reason> {
        let server = self.servers.get(&target.server).ok_or(Reason::Internal)?;
        let (address, forwarding) = (server.member.address.ip(), server.forwarding);
        if matches!(forwarding, Forwarding::Local | Forwarding::Relay) {
            self.count_in(packet, target);
            return Ok(Outcome::Deliver { frame: frame.to_vec() });
        }
        let (route, hop) = self.way_to(address, door)?;
        let ip = match forwarding {
            Forwarding::DirectRouting => aged(packet.ip.clone())?,
            Forwarding::Nat | Forwarding::FullNat => {
                let inside = target.inside.ok_or(Reason::Internal)?;
                aged(match &packet.content {
                    Content::Error(quoted) => {
                        let ends = (inside.server, inside.client);
                        translate::error(packet, quoted, (packet.source, address), ends)
                    }
                    Content::Transport { .. } | Content::Rest { .. } | Content::Bad => {
                        translate::packet(packet, (inside.client, inside.server))
                    }
                })?
            }
            Forwarding::Tunnel(kind) => {
                let ip = aged(packet.ip.clone())?;
                let own = route.own_address.ok_or(Reason::NoOwnAddress)?;
                // A later fragment does not show whose it is.
                let is_known = !matches!(packet.part, Part::Later(_));
                let hash = if is_known { servers::hash(&target.flow, self.secret) } else { 0 };
                let outer = tunnel::Outer { own, server: address, kind, hash };
                if packet.bytes + outer.length(packet) > route.mtu as usize {
                    let left = (route.mtu as usize).saturating_sub(outer.length(packet));
                    let answer = too_big::answer(packet, &ip, left);
                    return answer.map(|frame| Outcome::Refuse { frame, reason: Reason::TooBig }).ok_or(Reason::TooBig);
                }
                outer.wrap(packet, &ip)
            }
            Forwarding::Local | Forwarding::Relay => return Err(Reason::Internal),
        };
        if target.inside.is_some() {
            check_sum(packet, &ip)?;
        }
        self.count_in(packet, target);
        Ok(leave(door, packet, &ip, hop))
    }

    /// Sends an answer, or an error about what a client has sent, to the client.
    pub(super) fn send_out(&mut self, door: Door, packet: &Packet, target: &Target) -> Result<Outcome, Reason> {
        let (virtual_end, client) = (target.flow.service, target.flow.client);
        let ip = match &packet.content {
            Content::Error(quoted) => {
                translate::error(packet, quoted, (virtual_end.ip(), client.ip()), (client, virtual_end))
            }
            Content::Transport { .. } | Content::Rest { .. } | Content::Bad => {
                translate::packet(packet, (virtual_end, client))
            }
        };
        check_sum(packet, &ip)?;
        if !self.routes.forwards_from(self.came_by(packet)) {
            return Err(Reason::NotForwarding);
        }
        let towards = self.routes.towards(client.ip());
        let mtu = self.routes.mtu(client.ip()) as usize;
        let leads_out = matches!(towards, Some(Towards::Neighbour { .. } | Towards::Unresolved { .. }));
        if leads_out && packet.bytes > mtu {
            // Nobody is told about what shows no ports, or tells something itself.
            let is_told = matches!(packet.content, Content::Transport { .. });
            let answer = is_told.then(|| too_big::answer(packet, &packet.ip, mtu)).flatten();
            return answer.map(|frame| Outcome::Refuse { frame, reason: Reason::TooBig }).ok_or(Reason::TooBig);
        }
        let hop = match towards {
            // The kernel does not tell the program which of both it is, but knows what to do.
            None | Some(Towards::Own) => {
                self.count_out(packet, target);
                return Ok(Outcome::Deliver { frame: framed(packet.macs, packet.tag, &ip) });
            }
            Some(Towards::Neighbour { interface, source, destination }) => {
                let way = match door {
                    Door::Xdp => *self.links.get(&interface).ok_or(Reason::NotByXdp)?,
                    Door::Tc => Egress { interface, vlan: None },
                };
                Hop::Known { interface: way.interface, destination, source, vlan: way.vlan }
            }
            Some(Towards::Unresolved { .. }) if door == Door::Xdp => return Err(Reason::NoNextHop),
            Some(Towards::Unresolved { interface, next_hop }) => Hop::Unknown { interface, next_hop },
        };
        let ip = aged(ip)?;
        self.count_out(packet, target);
        Ok(match leave(door, packet, &ip, hop) {
            // The kernel writes the MAC addresses, whatever stands there.
            Outcome::Resolve { interface, next_hop, .. } => {
                Outcome::Resolve { interface, next_hop, frame: framed([0; 12], None, &ip) }
            }
            outcome => outcome,
        })
    }

    /// PP-26: how the real server is reached.
    fn way_to(&self, address: IpAddr, door: Door) -> Result<(Route, Hop), Reason> {
        match self.hops.get(&address).copied().unwrap_or(NextHop::Unreachable) {
            NextHop::Unreachable => Err(Reason::NoNextHop),
            NextHop::Unresolved { .. } if door == Door::Xdp => Err(Reason::NoNextHop),
            NextHop::Unresolved { route } => {
                let next_hop = route.gateway.unwrap_or(address);
                Ok((route, Hop::Unknown { interface: route.interface, next_hop }))
            }
            NextHop::Resolved { route, .. } if route.by_stack && door == Door::Xdp => Err(Reason::NotByXdp),
            NextHop::Resolved { route, source, destination } => {
                let Route { interface, vlan, .. } = route;
                Ok((route, Hop::Known { interface, destination, source, vlan }))
            }
        }
    }

    /// The interface that routes see a packet come in by: that of its VLAN.
    fn came_by(&self, packet: &Packet) -> u32 {
        let Some([kind, _, high, low]) = packet.tag else { return self.ingress };
        let vlan = Vlan { id: u16::from_be_bytes([high & 0x0f, low]), is_service: kind == 0x88 };
        let way = Egress { interface: self.ingress, vlan: Some(vlan) };
        self.links.iter().find(|(_, link)| **link == way).map_or(self.ingress, |(index, _)| *index)
    }

    fn count_in(&mut self, packet: &Packet, target: &Target) {
        if let Some(server) = self.servers.get_mut(&target.server) {
            server.counters.packets_in += 1;
            server.counters.bytes_in += packet.bytes as u64;
        }
    }

    fn count_out(&mut self, packet: &Packet, target: &Target) {
        if let Some(server) = self.servers.get_mut(&target.server) {
            server.counters.packets_out += 1;
            server.counters.bytes_out += packet.bytes as u64;
        }
    }
}

/// PP-52: whether the checksum of the packet as it goes on can be known.
fn check_sum(packet: &Packet, ip: &[u8]) -> Result<(), Reason> {
    let is_sctp = packet.protocol == SCTP && matches!(packet.part, Part::First(_));
    let ports = |ip: &[u8]| array::<4>(ip, packet.transport);
    if is_sctp && ports(ip) != ports(&packet.ip) { Err(Reason::SctpFragment) } else { Ok(()) }
}

fn aged(ip: Vec<u8>) -> Result<Vec<u8>, Reason> {
    header::aged(ip).ok_or(Reason::Ttl)
}

/// The packet as it leaves.
fn leave(door: Door, packet: &Packet, ip: &[u8], hop: Hop) -> Outcome {
    match hop {
        Hop::Known { interface, destination, source, vlan } => {
            let macs: [u8; 12] = std::array::from_fn(|i| if i < 6 { destination[i] } else { source[i - 6] });
            // At the tc door the tag stands beside the frame.
            let vlan = vlan.filter(|_| door == Door::Xdp).map(|vlan| {
                let [high, low] = vlan.id.to_be_bytes();
                if vlan.is_service { [0x88, 0xa8, high, low] } else { [0x81, 0x00, high, low] }
            });
            Outcome::Forward { interface, frame: framed(macs, vlan, ip) }
        }
        Hop::Unknown { interface, next_hop } => {
            Outcome::Resolve { interface, next_hop, frame: framed(packet.macs, None, ip) }
        }
    }
}

/// An Ethernet frame around an IP packet.
pub(super) fn framed(macs: [u8; 12], tag: Option<[u8; 4]>, ip: &[u8]) -> Vec<u8> {
    let tag = tag.map(Vec::from).unwrap_or_default();
    let kind = if header::is_version4(ip) { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&macs, &*tag, &kind, ip].concat()
}

//! Sends packets on (PP-24 to PP-28, PP-40 to PP-47).

use super::{
    Door, Memory, Outcome, header,
    parse::{Content, Packet, Part},
    path::Target,
    routes::Towards,
    servers, too_big, translate, tunnel,
};
use crate::{NextHop, Route};
use evenkeel_abi::Reason;
use evenkeel_model::Forwarding;
use std::net::IpAddr;

/// Where a packet goes next.
#[derive(Clone, Copy)]
enum Hop {
    /// MAC addresses of the next hop and of our own interface.
    Known { interface: u32, destination: [u8; 6], source: [u8; 6], vlan: Option<u16> },
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
        if !self.routes.forwards {
            return Err(Reason::NotForwarding);
        }
        let hop = match self.routes.towards(client.ip()) {
            // The kernel does not tell the program which of both it is, but knows what to do.
            None | Some(Towards::Own) => {
                self.count_out(packet, target);
                return Ok(Outcome::Deliver { frame: framed(packet.macs, packet.tag, &ip) });
            }
            Some(Towards::Neighbour { interface, source, destination }) => {
                Hop::Known { interface, destination, source, vlan: None }
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
            NextHop::Resolved { route, source, destination } => {
                let Route { interface, vlan, .. } = route;
                Ok((route, Hop::Known { interface, destination, source, vlan }))
            }
        }
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

fn aged(ip: Vec<u8>) -> Result<Vec<u8>, Reason> {
    header::aged(ip).ok_or(Reason::Ttl)
}

/// The packet as it leaves.
fn leave(door: Door, packet: &Packet, ip: &[u8], hop: Hop) -> Outcome {
    match hop {
        Hop::Known { interface, destination, source, vlan } => {
            let macs: [u8; 12] = std::array::from_fn(|i| if i < 6 { destination[i] } else { source[i - 6] });
            // At the tc door the tag stands beside the frame.
            let vlan = vlan.filter(|_| door == Door::Xdp);
            Outcome::Forward { interface, frame: framed(macs, vlan, ip) }
        }
        Hop::Unknown { interface, next_hop } => {
            Outcome::Resolve { interface, next_hop, frame: framed(packet.macs, None, ip) }
        }
    }
}

/// An Ethernet frame around an IP packet.
pub(super) fn framed(macs: [u8; 12], vlan: Option<u16>, ip: &[u8]) -> Vec<u8> {
    let tag = vlan.map(|vlan| [[0x81, 0x00], vlan.to_be_bytes()].concat()).unwrap_or_default();
    let kind = if header::is_version4(ip) { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&macs, &*tag, &kind, ip].concat()
}

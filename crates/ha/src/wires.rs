//! The sockets that advertisements come and go by.

use crate::{News, elections::Elections, member::Member, vmac};
use evenkeel_machine::Machine;
use evenkeel_model::vrrp::Vrid;
use evenkeel_netlink::VrrpSocket;
use evenkeel_vrrp::{Input, Packet, Place, Reason};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Packets read from one socket before timers have their turn.
const BATCH: usize = 256;

/// A socket and what it hears.
pub(crate) struct Wire {
    pub(crate) socket: VrrpSocket,
    ifindex: u32,
    ipv6: bool,
    header: bool,
    /// What it hears by multicast.
    group: IpAddr,
    /// The instances of each virtual router that speak by it.
    listeners: HashMap<Vrid, Vec<Place>>,
}

impl Wire {
    /// Whether `member` listens here.
    pub(crate) fn carries(&self, member: &Member) -> bool {
        self.speaks_for(member, member.ifindex) || self.speaks_for(member, member.vmac_ifindex)
    }

    /// Whether `member` speaks here where it does so on the interface with that index.
    pub(crate) fn speaks_for(&self, member: &Member, ifindex: Option<u32>) -> bool {
        (Some(self.ifindex), self.group, self.header)
            == (ifindex, member.instance.multicast_group(), member.has_header())
    }
}

impl Elections {
    /// Reads what waits on a wire and hands it to the instances it is about.
    pub(crate) fn hear(&mut self, wire: usize) {
        for _ in 0..BATCH {
            let Some(Some(Wire { socket, ipv6, listeners, .. })) = self.wires.get(wire) else { return };
            let received = match socket.receive(&mut self.buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(e) => return self.complain(e.to_string()),
            };
            let now = self.events.now();
            let bytes = self.buffer.get(..received.length).unwrap_or_default();
            let packet = if *ipv6 {
                let (Some(source), Some(destination)) = (received.source, received.destination) else { continue };
                Packet::ipv6(source, destination, received.hops, bytes)
            } else {
                // What is not even a packet of ours is nobody's.
                let Ok(packet) = Packet::ipv4(bytes) else { continue };
                packet
            };
            let places = packet.vrid().and_then(|vrid| listeners.get(&vrid));
            for &place in places.into_iter().flatten() {
                let Some(member) = self.members.get_mut(place) else { continue };
                let Some(own) = member.source else { continue };
                if member.vmacs.is_copy(wire, bytes) {
                    continue;
                }
                let judged = member.judge(&packet, own);
                member.statistics.hear(judged);
                let wrong = match judged {
                    Ok(heard) => heard.other_addresses.then_some(Reason::Addresses),
                    Err(reason) => Some(reason),
                };
                if let Some(reason) = wrong
                    && let Some(count) = self.wrong.count(now, (place, packet.source, reason))
                {
                    let (instance, source, dropped) = (Arc::clone(&member.name), packet.source, judged.is_err());
                    (self.tell)(News::Wrong { instance, source, reason, dropped, count });
                }
                if let Ok(heard) = judged {
                    self.router.handle(now, (place, Input::Heard(heard)), &mut self.out);
                }
            }
        }
    }

    /// Tells each instance how its interface stands, and opens the sockets it needs.
    pub(crate) fn look_at_links(&mut self) {
        for wire in &mut self.wires {
            let lives = |wire: &mut Wire| self.links.links.iter().any(|link| link.index == wire.ifindex);
            drop(wire.take_if(|wire| !lives(wire)));
        }
        let mut told = Vec::new();
        for place in (0..self.members.len()).filter(|&place| !self.router.is_free(place)).collect::<Vec<_>>() {
            let Some(member) = self.members.get_mut(place) else { continue };
            let furnished = self.addresses.furnish(member, &mut self.links, &mut told);
            let ifindex = self.links.named(&member.instance.interface).map(|link| link.index);
            let source = self.links.source(&member.instance).filter(|_| furnished);
            let moved = std::mem::replace(&mut member.ifindex, ifindex) != ifindex;
            let spoke = std::mem::replace(&mut member.source, source);
            let (group, header) = (member.instance.multicast_group(), member.has_header());
            let vmac = vmac::listens_at(member, &self.links);
            let vmac_moved = std::mem::replace(&mut member.vmac_ifindex, vmac) != vmac;
            for (moved, ifindex) in [(moved, ifindex), (vmac_moved, vmac)] {
                if let (true, Some(ifindex)) = (moved, ifindex) {
                    self.open_wire(ifindex, group, header);
                }
            }
            if spoke != source {
                self.handle(place, Input::Address(source));
            }
        }
        self.see_links();
        for wire in self.wires.iter_mut().flatten() {
            wire.listeners.clear();
            for (place, member) in self.members.iter().enumerate() {
                if wire.carries(member) && !self.router.is_free(place) {
                    wire.listeners.entry(member.instance.vrid).or_default().push(place);
                }
            }
        }
        for why in told {
            self.complain(why);
        }
        self.promote();
    }

    fn open_wire(&mut self, ifindex: u32, group: IpAddr, header: bool) {
        let known = |wire: &Wire| (wire.ifindex, wire.group, wire.header) == (ifindex, group, header);
        if self.wires.iter().flatten().any(known) {
            return;
        }
        let place = self.wires.iter().position(Option::is_none).unwrap_or(self.wires.len());
        if place == self.wires.len() {
            self.wires.push(None);
        }
        let opened = VrrpSocket::open(ifindex, group, header).map_err(|e| e.to_string());
        match opened.and_then(|socket| self.events.add(&socket, place as u64).map(|()| socket)) {
            Ok(socket) => {
                self.wires[place] =
                    Some(Wire { socket, ifindex, ipv6: group.is_ipv6(), header, group, listeners: HashMap::new() });
            }
            Err(why) => self.complain(why),
        }
    }
}

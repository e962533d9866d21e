//! What elections want done, done: words, addresses, announcements.

use crate::{News, elections::Elections, member::Member, vmac, wires::Wire};
use evenkeel_model::vrrp;
use evenkeel_vrrp::{Output, Role};
use std::sync::Arc;

impl Elections {
    /// Does what was said since the last time.
    pub(crate) fn carry_out(&mut self) {
        let (mut refused, mut told) = (Vec::new(), Vec::new());
        // Words first: what is changed in the kernel may have to wait there.
        while let Some((place, output)) = self.out.pop() {
            let Some(member) = self.members.get_mut(place) else { continue };
            match output {
                // The word of a VMAC comes from where its addresses have to be before; others may want them there too.
                Output::Advertise { priority } if member.instance.vmacs.is_empty() && !member.waits => {
                    member.statistics.say(&output);
                    advertise(member, &self.wires, member.ifindex, priority, &mut refused);
                }
                output => {
                    member.waits = true;
                    self.later.push_back((place, output));
                }
            }
        }
        while let Some((place, output)) = self.later.pop_front() {
            let role = self.router.instance(place).map(evenkeel_vrrp::Instance::role);
            let Some(member) = self.members.get_mut(place) else { continue };
            member.waits = false;
            member.statistics.say(&output);
            match output {
                Output::Advertise { priority } => {
                    let master = matches!(role, Some(Role::Master | Role::Leaving));
                    if role == Some(Role::Master) && member.holds.is_none() && !member.instance.vmacs.is_empty() {
                        // The word moves the virtual MAC address to this port of the switch: what answers there is
                        // to be there before.
                        self.addresses.take(place, member, &mut self.links, &mut refused);
                    } else if role == Some(Role::Leaving) {
                        vmac::hush(member);
                    }
                    let ifindex = vmac::speaks_at(member, &self.links, master);
                    advertise(member, &self.wires, ifindex, priority, &mut refused);
                }
                Output::Hold => {
                    if vmac::is_down(member, &self.links) || !self.addresses.renew(member) {
                        self.addresses.take(place, member, &mut self.links, &mut refused);
                    }
                    self.addresses.routing.hold(Some(place), &mut told);
                }
                Output::Release => {
                    self.addresses.routing.release(Some(place), &mut told);
                    self.addresses.leave(place, member, &mut self.links, &mut refused);
                }
                Output::Announce { rounds } => {
                    let now = self.events.now();
                    self.addresses.announce(now, (place, member), &self.links.links, rounds, &mut refused);
                }
                Output::Candidate => {}
                Output::Turned { from, to, why } => {
                    let priority = self.router.instance(place).map_or(0, |instance| instance.priority().get());
                    (self.tell)(News::Turned { instance: Arc::clone(&member.name), from, to, why, priority });
                    if to == Role::Stopped {
                        self.bury(place);
                    }
                }
                Output::Noticed(notice) => {
                    (self.tell)(News::Noticed { instance: Arc::clone(&member.name), notice });
                }
            }
        }
        refused.extend(self.addresses.renewals.refusals());
        told.extend(self.addresses.closed.told());
        for e in refused {
            self.complain(e.to_string());
        }
        self.complain_of(told);
    }

    /// Puts back addresses that somebody took from a master.
    pub(crate) fn restore_addresses(&mut self) {
        for place in 0..self.members.len() {
            let Some(member) = self.members.get(place) else { continue };
            if member.holds.is_none() {
                continue;
            }
            let there = |vip: &vrrp::Vip| self.links.addresses.iter().any(|known| known.address == vip.address);
            if !member.instance.vips().all(there) || vmac::is_down(member, &self.links) {
                self.out.push((place, Output::Hold));
                self.out.push((place, Output::Announce { rounds: member.instance.rounds.burst }));
            }
        }
    }
}

/// Sends an advertisement on the interface with this index.
fn advertise(
    member: &mut Member,
    wires: &[Option<Wire>],
    ifindex: Option<u32>,
    priority: u8,
    refused: &mut Vec<evenkeel_netlink::Error>,
) {
    let Some(wire) = wires.iter().flatten().find(|wire| wire.speaks_for(member, ifindex)) else { return };
    member.advertise(priority, |bytes, source, destination, hops| {
        refused.extend(wire.socket.send(bytes, source, destination, hops).err());
    });
}

//! What the kernel tells, and which next hops and routes that concerns.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::Prefix;

use super::{KNOWN, Key, NextHops, Output, SOURCE_DELAY, on_link};
use crate::{
    address::Address,
    link::Link,
    monitor::Event,
    neighbour::{Neighbour, NeighbourState},
};

impl NextHops {
    pub(super) fn facts(&mut self, now: Instant, links: &[Link], addresses: Vec<Address>, out: &mut Outbox<Output>) {
        self.facts.forget_addresses();
        addresses.into_iter().for_each(|address| self.facts.address(address));
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        for gone in self.facts.indexes().into_iter().filter(|index| !present.contains(index)) {
            self.link_gone(gone, out);
        }
        for link in links {
            self.link(now, link, out);
        }
    }

    pub(super) fn event(&mut self, now: Instant, event: Event, out: &mut Outbox<Output>) {
        match event {
            Event::Link(link) => self.link(now, &link, out),
            Event::LinkGone(ifindex) => self.link_gone(ifindex, out),
            Event::Address(address) => {
                self.ask_again(address.address);
                self.facts.address(address);
            }
            Event::AddressGone(address) => {
                self.ask_again(address.address);
                self.facts.address_gone(&address);
                // The kernel drops the routes that came from this address without telling of them.
                self.gone_sources.insert(address.address);
                self.sources_at.get_or_insert(now + SOURCE_DELAY);
            }
            Event::Route(route) | Event::RouteGone(route) => self.ask_within(route.destination),
            Event::Rule(_) | Event::RuleGone(_) => self.to_ask.extend(self.targets.keys().copied()),
            Event::Neighbour(neighbour) => self.neighbour(now, neighbour, out),
            Event::NeighbourGone(neighbour) => {
                self.known.remove(&(neighbour.ifindex, neighbour.address));
            }
            Event::Overrun => {
                self.known.clear();
                self.to_ask.extend(self.targets.keys().copied());
                out.push(Output::ReadFacts);
            }
        }
    }

    fn ask_again(&mut self, ip: IpAddr) {
        if self.targets.contains_key(&ip) {
            self.to_ask.insert(ip);
        }
    }

    /// The real servers inside a prefix, and only these, are looked up anew.
    fn ask_within(&mut self, prefix: Prefix) {
        let first = prefix.address();
        let host_bits = |bits: u8| u32::from(bits.saturating_sub(prefix.length()));
        let last: IpAddr = match first {
            IpAddr::V4(a) => {
                Ipv4Addr::from_bits(a.to_bits() | !u32::MAX.checked_shl(host_bits(32)).unwrap_or(0)).into()
            }
            IpAddr::V6(a) => {
                Ipv6Addr::from_bits(a.to_bits() | !u128::MAX.checked_shl(host_bits(128)).unwrap_or(0)).into()
            }
        };
        self.to_ask.extend(self.targets.range(first..=last).map(|(ip, _)| *ip));
    }

    fn link(&mut self, now: Instant, link: &Link, out: &mut Outbox<Output>) {
        if !self.facts.link(link) {
            return;
        }
        // An IPv4 route goes with its interface without a word, and comes back with it.
        self.to_ask.extend(self.unrouted.iter().copied());
        for key in self.keys_on(link.index) {
            self.to_ask.extend(self.users(key));
            self.probe_at(key, now);
            self.tell_users(key, out);
        }
    }

    fn link_gone(&mut self, ifindex: u32, out: &mut Outbox<Output>) {
        if !self.facts.link_gone(ifindex) {
            return;
        }
        for key in self.keys_on(ifindex) {
            self.to_ask.extend(self.users(key));
            self.tell_users(key, out);
        }
        let known: Vec<Key> = self.known.range(on_link(ifindex)).map(|(key, _)| *key).collect();
        for key in known {
            self.known.remove(&key);
        }
    }

    fn keys_on(&self, ifindex: u32) -> Vec<Key> {
        self.hops.range(on_link(ifindex)).map(|(key, _)| *key).collect()
    }

    pub(super) fn users(&self, key: Key) -> Vec<IpAddr> {
        self.hops.get(&key).map(|hop| hop.users.iter().copied().collect()).unwrap_or_default()
    }

    /// The kernel's word counts where nothing better is known. Where it contradicts what was heard, everyone is asked:
    /// for a second after a change the kernel does not believe an answer (its locktime).
    fn neighbour(&mut self, now: Instant, neighbour: Neighbour, out: &mut Outbox<Output>) {
        let key = (neighbour.ifindex, neighbour.address);
        let sure = match neighbour.state {
            NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent => true,
            NeighbourState::Idle | NeighbourState::Incomplete | NeighbourState::Failed | NeighbourState::Noarp => false,
        };
        let Some(mac) = neighbour.mac.filter(|mac| sure && mac.is_unicast()) else { return };
        if self.known.len() < KNOWN || self.known.contains_key(&key) {
            self.known.insert(key, mac);
        }
        match self.hops.get_mut(&key) {
            None => {}
            Some(hop) if hop.mac.is_none() => {
                hop.mac = Some(mac);
                self.probe_at(key, now);
                self.tell_users(key, out);
            }
            Some(hop) if hop.mac != Some(mac) && hop.misses == 0 => {
                hop.asked = true;
                self.probe_at(key, now);
            }
            Some(_) => {}
        }
    }
}

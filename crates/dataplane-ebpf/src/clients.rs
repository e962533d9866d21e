//! Clients of persistent services that have connections: their templates do not end before these (PP-34).

use crate::{plane::EbpfDataplane, slots::Seen};
use evenkeel_abi::{
    SERVICE_ONE_PACKET, SERVICE_PERSISTENT, Service, Settings,
    flow::{self, KEY4},
    hash,
    state::{self, State},
};
use evenkeel_model::Protocol;
use std::{collections::HashSet, mem};

/// Seconds that a template is put back to.
const KEPT: u32 = 60;
/// Seconds in which a template's youngest connection lives for certain: no state but NONE is shorter than 10 s. A pass
/// over the table that may not have seen it yet takes less.
const YOUNG: u32 = 8;

/// What passes over the table have seen, as hashes: at most one for each connection.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// Any service is persistent.
    pub(crate) wanted: bool,
    /// In this pass.
    seen: HashSet<u64>,
    /// In the last whole one.
    known: HashSet<u64>,
    /// `known` is as the table is now.
    exact: bool,
}

impl Clients {
    /// None yet.
    pub(crate) fn of(wanted: bool) -> Clients {
        Clients { wanted, ..Clients::default() }
    }

    /// A pass over the whole table is complete.
    pub(crate) fn complete(&mut self) {
        self.known = mem::take(&mut self.seen);
    }

    /// All of them, as a pass has just found them.
    pub(crate) fn exactly(mut self) -> Clients {
        self.complete();
        Clients { exact: true, ..self }
    }

    /// Whether a client whose template was renewed `idle` ticks ago has connections.
    fn has(&self, client: u64, idle: i32, hertz: u32) -> bool {
        let young = !self.exact && idle < (YOUNG * hertz) as i32;
        young || self.known.contains(&client) || self.seen.contains(&client)
    }
}

impl EbpfDataplane {
    /// Whether any service is persistent.
    pub(crate) fn has_clients(&self) -> bool {
        self.state.entries.values().any(|entry| entry.options.persistence.is_some())
    }

    /// Notes the client of a connection.
    pub(crate) fn note_client<const K: usize>(&self, clients: &mut Clients, seen: &Seen<K>) {
        let index = self.service_of(seen.dest());
        let service = self.maps.services.get(index);
        if state::is_connection(seen.state()) && service.flags & SERVICE_PERSISTENT != 0 {
            clients.seen.insert(self.client(index, &service, seen));
        }
    }

    /// The hash of a client of a service.
    fn client<const K: usize>(&self, index: u32, service: &Service, seen: &Seen<K>) -> u64 {
        let mask = |at: usize| u64::from(service.mask[at]) << 32 | u64::from(service.mask[at + 1]);
        let source = if K == KEY4 {
            [seen.key[0] >> 32 & u64::from(service.mask[0]), 0]
        } else {
            [seen.key[0] & mask(0), seen.key[1] & mask(2)]
        };
        hash::flow6(self.maps.header.get(0).secret, &[index.into(), source[0], source[1], 0, 0])
    }

    /// The value that a template gets whose client has connections, and that would end too early; `None`: it is left alone.
    pub(crate) fn kept<const K: usize>(
        &self,
        clients: &Clients,
        seen: &Seen<K>,
        now: u32,
        settings: &Settings,
    ) -> Option<u64> {
        let hertz = settings.ticks_per_second;
        let idle = now.wrapping_sub(flow::seen(seen.value)) as i32;
        let (lasts, kept) = (self.lasts(seen.value, settings) as i32, (KEPT * hertz) as i32);
        // One that has ended stays so.
        if seen.state() != State::Template as u32 || idle > lasts || lasts - idle >= kept {
            return None;
        }
        let index = self.service_of(seen.dest());
        let service = self.maps.services.get(index);
        let last = seen.flow()[K - 1];
        // A client that has a port is a Call-ID, whose connections nobody knows.
        let is_call = (last >> 32) as u16 != 0;
        let one_packet = service.flags & SERVICE_ONE_PACKET != 0 && last as u8 == Protocol::Udp.number();
        let keeps = service.flags & SERVICE_PERSISTENT != 0 && !is_call && !one_packet;
        if !keeps || !clients.has(self.client(index, &service, seen), idle, hertz) {
            return None;
        }
        let renewed = now.wrapping_add_signed(kept - lasts);
        Some(seen.value & u64::from(u32::MAX) | u64::from(renewed) << 32)
    }
}

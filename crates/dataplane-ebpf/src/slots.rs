//! Slots of the connection table: how the daemon reads them, and ends what is in them.

use crate::{
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    state::model_key,
};
use evenkeel_abi::{
    Load, Settings,
    flow::{self, BUSY, KEY_LINK, KEY4, WAYS},
    state::{self, State},
};
use evenkeel_model::Family;

/// What a slot of the family with `K` key words held at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<const K: usize> {
    /// Its number in the table.
    pub(crate) slot: u32,
    pub(crate) meta: u64,
    pub(crate) value: u64,
    /// With the link in its last word.
    pub(crate) key: [u64; K],
}

impl<const K: usize> Seen<K> {
    pub(crate) fn state(&self) -> u32 {
        flow::state(self.value)
    }

    pub(crate) fn dest(&self) -> u32 {
        flow::dest(self.value)
    }

    /// The slot it names (PP-41).
    pub(crate) fn link(&self) -> u32 {
        flow::link(self.value, self.key[K - 1])
    }

    /// The key without the link.
    pub(crate) fn flow(&self) -> [u64; K] {
        let mut key = self.key;
        key[K - 1] &= !KEY_LINK;
        key
    }
}

impl EbpfDataplane {
    /// Slots of each family.
    pub(crate) fn slots(&self) -> u32 {
        self.sizes.buckets * WAYS as u32
    }

    /// The first word of a slot.
    pub(crate) fn slot<const K: usize>(&self, slot: u32) -> *mut u64 {
        let (bucket, way) = (slot / WAYS as u32, slot as usize % WAYS);
        let (first, stride): (*mut u64, _) =
            if K == KEY4 { (self.maps.flows4.at(bucket).cast(), 4) } else { (self.maps.flows6.at(bucket).cast(), 8) };
        // SAFETY: inside the bucket, which has WAYS slots of that many words.
        unsafe { first.add(way * stride) }
    }

    /// What a slot holds; `None`: nothing, something over, or something that changes just now.
    pub(crate) fn see<const K: usize>(&self, slot: u32) -> Option<Seen<K>> {
        let first = self.slot::<K>(slot);
        // SAFETY: words of a slot of an element of the array.
        let at = |index: usize| unsafe { word(first.add(index)) }.load(PUBLISH);
        let meta = at(0);
        if meta == 0 || meta & BUSY != 0 {
            return None;
        }
        let value = at(1);
        let key = std::array::from_fn(|index| at(2 + index));
        (at(0) == meta && flow::state(value) != State::Dead as u32).then_some(Seen { slot, meta, value, key })
    }

    /// The other half of a translated connection: of the connection its way back, of a way back its connection. `None`:
    /// there is none that names it too.
    pub(crate) fn partner<const K: usize>(&self, seen: &Seen<K>) -> Option<Seen<K>> {
        let link = seen.link();
        let partner = (link < self.slots()).then(|| self.see::<K>(link)).flatten()?;
        let is_way_back = |state: u32| state == State::Reverse as u32;
        let fits = if is_way_back(seen.state()) {
            state::is_connection(partner.state())
        } else {
            is_way_back(partner.state()) && state::is_connection(seen.state())
        };
        (fits && partner.link() == seen.slot).then_some(partner)
    }

    /// Ends what was seen, and with a connection its way back. `false`: it has changed since, a packet keeps it alive.
    pub(crate) fn end<const K: usize>(&self, seen: &Seen<K>) -> bool {
        let partner = if state::is_connection(seen.state()) { self.partner(seen) } else { None };
        if !self.kill(seen) {
            return false;
        }
        // A way back without its connection leads nowhere, so that the order does not matter to packets.
        if let Some(way_back) = partner {
            self.kill(&way_back);
        }
        true
    }

    fn kill<const K: usize>(&self, seen: &Seen<K>) -> bool {
        let first = self.slot::<K>(seen.slot);
        // SAFETY: words of a slot of an element of the array.
        let (meta, value) = unsafe { (word(first), word(first.add(1))) };
        // First it ends, which is counted once whoever else tries.
        let dead = flow::value(seen.dest(), State::Dead as u32, flow::seen(seen.value));
        if value.compare_exchange(seen.value, dead, PUBLISH, PUBLISH).is_err() {
            return false;
        }
        self.lighten(seen.dest(), seen.state());
        // Then the slot is freed, unless the program has claimed it for another flow.
        let _ = meta.compare_exchange(seen.meta, 0, PUBLISH, PUBLISH);
        true
    }

    /// Takes what was in `state` off a real server's load.
    fn lighten(&self, dest: u32, state: u32) {
        if dest as usize >= self.maps.loads.len() {
            return;
        }
        let load = self.maps.loads.at(dest);
        // SAFETY: words of an element of the array.
        unsafe {
            if state == State::Template as u32 {
                word(&raw mut (*load).templates).fetch_sub(1, PUBLISH);
            } else {
                word(&raw mut (*load).connections).fetch_sub(Load::of(state), PUBLISH);
            }
        }
    }

    /// Ticks that something of this value lasts without a packet. Ways back have no timeout.
    pub(crate) fn lasts(&self, value: u64, settings: &Settings) -> u32 {
        let state = flow::state(value);
        if state == State::Template as u32 {
            let service = self.service_of(flow::dest(value));
            let own = self.maps.services.at(service);
            // SAFETY: a field of an element of the array.
            let persistence = unsafe { (&raw const (*own).persistence).read_volatile() };
            if persistence > 0 {
                return persistence;
            }
        }
        settings.timeouts[state as usize % state::STATES]
    }

    /// The service of a real server.
    pub(crate) fn service_of(&self, dest: u32) -> u32 {
        let info = self.maps.dest_infos.at(dest % self.sizes.dests);
        // SAFETY: a field of an element of the array.
        unsafe { (&raw const (*info).service).read_volatile() % self.sizes.services }
    }

    /// The family of a service's packets, whatever that of its real servers.
    pub(crate) fn family_of(&self, service: u32) -> Family {
        model_key(&self.maps.service_infos.get(service).key).family()
    }
}

#[cfg(test)]
mod tests;

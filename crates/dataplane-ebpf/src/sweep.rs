//! Removes connections whose timeout has passed, and what was only kept for them.

use crate::{
    clients::Clients,
    mapped::{PUBLISH, word},
    options,
    plane::EbpfDataplane,
    servers,
    state::{Entry, dest_address},
};
use evenkeel_abi::{
    self as abi, Load, Settings,
    flow::{self, BUSY, KEY4, KEY6},
    state::State,
};
use evenkeel_model::Family;
use std::{collections::BTreeSet, io, mem};

/// A whole pass over the table takes this many sweeps.
const PARTS: u32 = 4;
/// Sweeps that go on after nothing is counted any more, of each family: two passes over the table, so that ways back are
/// found that were young in the first.
pub(crate) const LINGERS: [u32; 2] = [2 * PARTS + 1; 2];
/// Sweeps without a connection after which a removed real server is forgotten: longer than any CPU can hold on to the
/// list it stood in.
const QUIET: u32 = 3;

/// What is done with a slot.
type Look = fn(&EbpfDataplane, u32, u32, &Settings, &mut Clients);

impl EbpfDataplane {
    /// A part of the table, so that a large one does not push everything else out of the caches at once.
    pub(crate) fn sweep_part(&mut self) -> io::Result<()> {
        let part = self.slots().div_ceil(PARTS);
        let from = self.swept.min(self.slots());
        let to = (from + part).min(self.slots());
        self.swept = if to >= self.slots() { 0 } else { to };
        let mut clients = mem::take(&mut self.clients);
        clients.wanted = self.has_clients();
        let swept = self.sweep_range(from, to, &mut clients, Self::sweep_slot::<KEY4>, Self::sweep_slot::<KEY6>);
        if self.swept == 0 {
            clients.complete();
        }
        self.clients = clients;
        swept?;
        self.state.cells.rest();
        self.release_bits();
        self.forget_drained();
        Ok(())
    }

    /// The whole table.
    pub fn sweep_all(&mut self) -> io::Result<()> {
        let mut clients = Clients::of(self.has_clients());
        self.sweep_range(0, self.slots(), &mut clients, Self::look_at_slot::<KEY4>, Self::look_at_slot::<KEY6>)?;
        let mut clients = clients.exactly();
        self.sweep_range(0, self.slots(), &mut clients, Self::sweep_slot::<KEY4>, Self::sweep_slot::<KEY6>)
    }

    fn sweep_range(
        &mut self,
        from: u32,
        to: u32,
        clients: &mut Clients,
        v4_slot: Look,
        v6_slot: Look,
    ) -> io::Result<()> {
        let (v4, v6) = self.families_to_sweep();
        if !v4 && !v6 {
            return Ok(());
        }
        let now = self.clock.now(&mut self.object)?;
        let settings = self.maps.settings.get(0);
        for slot in from..to {
            if v4 {
                v4_slot(self, slot, now, &settings, clients);
            }
            if v6 {
                v6_slot(self, slot, now, &settings, clients);
            }
        }
        Ok(())
    }

    /// The families of which something is counted, or was a while ago: ways back are not counted.
    fn families_to_sweep(&mut self) -> (bool, bool) {
        let in_use = self.families_in_use();
        let mut sweeps = [in_use.0, in_use.1];
        for (sweeps, left) in sweeps.iter_mut().zip(&mut self.lingers) {
            *left = if *sweeps { LINGERS[0] } else { left.saturating_sub(1) };
            *sweeps |= *left > 0;
        }
        (sweeps[0], sweeps[1])
    }

    /// Whether anything is counted of IPv4 and of IPv6.
    pub(crate) fn families_in_use(&self) -> (bool, bool) {
        let (mut v4, mut v6) = (false, false);
        for dest in (0..self.state.dests_end).filter(|dest| self.maps.loads.get(*dest) != Load::default()) {
            match self.family_of(self.service_of(dest)) {
                Family::V4 => v4 = true,
                Family::V6 => v6 = true,
            }
            if v4 && v6 {
                break;
            }
        }
        (v4, v6)
    }

    /// Only notes whose connection is in a slot.
    fn look_at_slot<const K: usize>(&self, slot: u32, now: u32, settings: &Settings, clients: &mut Clients) {
        if let Some(seen) = self.see::<K>(slot)
            && now.wrapping_sub(flow::seen(seen.value)) as i32 <= self.lasts(seen.value, settings) as i32
        {
            self.note_client(clients, &seen);
        }
    }

    fn sweep_slot<const K: usize>(&self, slot: u32, now: u32, settings: &Settings, clients: &mut Clients) {
        let first = self.slot::<K>(slot);
        // SAFETY: words of a slot of an element of the array.
        let (meta, value) = unsafe { (word(first), word(first.add(1))) };
        let tag = meta.load(PUBLISH);
        if tag == 0 || tag & BUSY != 0 {
            return;
        }
        let seen = value.load(PUBLISH);
        if flow::state(seen) == State::Dead as u32 {
            // The program has ended it; its slot is free, unless it has claimed it for another flow.
            let _ = meta.compare_exchange(tag, 0, PUBLISH, PUBLISH);
            return;
        }
        let idle = now.wrapping_sub(flow::seen(seen)) as i32;
        if flow::state(seen) == State::Reverse as u32 {
            // One that is being made is not named yet.
            if idle > settings.ticks_per_second as i32
                && let Some(way_back) = self.see::<K>(slot)
                && self.partner(&way_back).is_none()
            {
                self.end(&way_back);
            }
            return;
        }
        let is_over =
            idle > self.lasts(seen, settings) as i32 || self.is_bereft(seen) || self.has_met(seen, idle, settings);
        if (is_over || clients.wanted)
            && let Some(whole) = self.see::<K>(slot).filter(|now| now.value == seen)
        {
            if is_over {
                self.end(&whole);
            } else if let Some(kept) = self.kept(clients, &whole, now, settings) {
                // A packet that changes it meanwhile renews it.
                let _ = value.compare_exchange(seen, kept, PUBLISH, PUBLISH);
            } else {
                self.note_client(clients, &whole);
            }
        }
    }

    /// Whether it is a template of a real server that was removed and has no connections any more: it leads nowhere, and
    /// would keep the real server for as long as it lasts.
    fn is_bereft(&self, value: u64) -> bool {
        let dest = flow::dest(value) % self.sizes.dests;
        if flow::state(value) != State::Template as u32 || self.maps.loads.get(dest).connections != 0 {
            return false;
        }
        let info = self.maps.dest_infos.at(dest);
        // SAFETY: a field of an element of the array.
        unsafe { (&raw const (*info).member).read_volatile() == 0 }
    }

    /// Whether it is a data connection of a relay that both sides have ended (PP-55). Each has a service of its own, and who fetches a
    /// thousand small files would hold a thousand of them for two minutes.
    fn has_met(&self, value: u64, idle: i32, settings: &Settings) -> bool {
        if flow::state(value) != State::TimeWait as u32 || idle <= 2 * settings.ticks_per_second as i32 {
            return false;
        }
        let info = self.maps.service_infos.at(self.service_of(flow::dest(value)));
        // SAFETY: a field of an element of the array.
        let flags = unsafe { (&raw const (*info).flags).read_volatile() };
        flags & options::NOTE_MEETING != 0
    }

    /// Frees real servers that were removed and have had no connection for a while, and services without any.
    fn forget_drained(&mut self) {
        let mut forgotten = Vec::new();
        for (dest, quiet) in &mut self.state.draining {
            *quiet = if self.maps.loads.get(*dest) == Load::default() { *quiet + 1 } else { 0 };
            if *quiet >= QUIET {
                forgotten.push(*dest);
            }
        }
        for dest in forgotten {
            self.forget(dest);
        }
        // One look at what drains, however many services were taken out together.
        let draining = self.state.draining.keys().map(|dest| self.maps.dest_infos.get(*dest).service);
        let kept: BTreeSet<u32> = draining.collect();
        let over = |(index, e): &(&u32, &Entry)| !e.live && e.members.is_empty() && !kept.contains(index);
        let over: Vec<u32> = self.state.entries.iter().filter(over).map(|(index, _)| *index).collect();
        for service in over {
            self.forget_service(service);
        }
    }

    fn forget(&mut self, dest: u32) {
        self.bequeath(dest);
        self.state.draining.remove(&dest);
        let info = self.maps.dest_infos.get(dest);
        let address = dest_address(&info);
        for cpu in 0..self.sizes.cpus {
            self.maps.counters.set(cpu * self.sizes.dests + dest, abi::Counters::default());
        }
        self.maps.dest_infos.set(dest, abi::DestInfo::default());
        self.maps.dests.set(dest, abi::Dest::default());
        if self.state.dests.get(&(info.service, address)) == Some(&dest) {
            self.state.dests.remove(&(info.service, address));
        }
        if let Some(dests) = self.state.by_address.get_mut(&address.ip()) {
            dests.remove(&dest);
            if dests.is_empty() {
                self.state.by_address.remove(&address.ip());
            }
        }
        if servers::translation(info.method).is_some() {
            self.filter_answers(address.ip(), false);
        }
        self.state.free_dests.insert(dest);
    }

    fn forget_service(&mut self, service: u32) {
        if let Some(entry) = self.state.entries.remove(&service) {
            self.state.cells.give_back_all([entry.extent, entry.reserved]);
            self.state.services.remove(&entry.key);
            self.filter(&entry.key, false);
        }
        self.maps.services.set(service, abi::Service::default());
        self.maps.service_infos.set(service, abi::ServiceInfo::default());
        self.state.free_services.insert(service);
    }
}

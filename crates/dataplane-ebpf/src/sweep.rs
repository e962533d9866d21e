//! Removes connections whose timeout has passed, and what was only kept for them.

use crate::{
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    state::{Entry, dest_address},
};
use evenkeel_abi::{
    self as abi, Load,
    flow::{self, BUSY, WAYS},
    state::{STATES, State},
};
use std::{collections::BTreeSet, io};

/// A whole pass over the table takes this many sweeps.
const PARTS: u32 = 4;
/// Sweeps without a connection after which a removed real server is forgotten: longer than any CPU can hold on to the
/// list it stood in.
const QUIET: u32 = 3;

impl EbpfDataplane {
    /// A part of the table, so that a large one does not push everything else out of the caches at once.
    pub(crate) fn sweep_part(&mut self) -> io::Result<()> {
        let part = self.sizes.buckets.div_ceil(PARTS);
        let from = self.swept.min(self.sizes.buckets);
        let to = (from + part).min(self.sizes.buckets);
        self.swept = if to >= self.sizes.buckets { 0 } else { to };
        self.sweep_range(from, to)?;
        self.state.cells.rest();
        self.forget_drained();
        Ok(())
    }

    /// The whole table.
    pub fn sweep_all(&mut self) -> io::Result<()> {
        self.sweep_range(0, self.sizes.buckets)
    }

    fn sweep_range(&mut self, from: u32, to: u32) -> io::Result<()> {
        let (v4, v6) = self.families_in_use();
        if !v4 && !v6 {
            return Ok(());
        }
        let now = self.clock.now(&mut self.object)?;
        let timeouts = self.maps.settings.get(0).timeouts;
        for index in from..to {
            if v4 {
                self.sweep_bucket::<4>(self.maps.flows4.at(index).cast(), now, &timeouts);
            }
            if v6 {
                self.sweep_bucket::<8>(self.maps.flows6.at(index).cast(), now, &timeouts);
            }
        }
        Ok(())
    }

    /// Whether there is any connection of IPv4 and of IPv6.
    fn families_in_use(&self) -> (bool, bool) {
        let (mut v4, mut v6) = (false, false);
        for dest in (0..self.sizes.dests).filter(|dest| self.maps.loads.get(*dest) != Load::default()) {
            match self.maps.dest_infos.get(dest).family {
                6 => v6 = true,
                _ => v4 = true,
            }
            if v4 && v6 {
                break;
            }
        }
        (v4, v6)
    }

    /// `STRIDE`: words of a slot.
    fn sweep_bucket<const STRIDE: usize>(&self, bucket: *mut u64, now: u32, timeouts: &[u32; STATES]) {
        for way in 0..WAYS {
            // SAFETY: words of a slot of an element of the array.
            let (meta, value) = unsafe { (word(bucket.add(way * STRIDE)), word(bucket.add(way * STRIDE + 1))) };
            let tag = meta.load(PUBLISH);
            if tag == 0 || tag & BUSY != 0 {
                continue;
            }
            let seen = value.load(PUBLISH);
            let state = flow::state(seen);
            if state != State::Dead as u32 {
                let idle = now.wrapping_sub(flow::seen(seen)) as i32;
                if idle <= timeouts[state as usize] as i32 {
                    continue;
                }
                // First the connection ends: a packet that came meanwhile has changed the value and keeps it alive.
                let dead = flow::value(flow::dest(seen), State::Dead as u32, flow::seen(seen));
                if value.compare_exchange(seen, dead, PUBLISH, PUBLISH).is_err() {
                    continue;
                }
                self.lighten(flow::dest(seen), state);
            }
            // Then the slot is freed, unless the program has claimed it for another flow.
            let _ = meta.compare_exchange(tag, 0, PUBLISH, PUBLISH);
        }
    }

    fn lighten(&self, dest: u32, state: u32) {
        if (dest as usize) < self.maps.loads.len() {
            let load = self.maps.loads.at(dest);
            // SAFETY: a word of an element of the array.
            unsafe { word(&raw mut (*load).connections) }.fetch_sub(Load::of(state), PUBLISH);
        }
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
        self.state.draining.remove(&dest);
        self.state.down.remove(&dest);
        let info = self.maps.dest_infos.get(dest);
        let address = dest_address(&info);
        let sum = self.counters_of(dest);
        let mut service = self.maps.service_infos.get(info.service);
        for (past, more) in
            service.past.iter_mut().zip([sum.connections, sum.packets_in, sum.bytes_in, sum.packets_out, sum.bytes_out])
        {
            *past += more;
        }
        self.maps.service_infos.set(info.service, service);
        for cpu in 0..self.sizes.cpus {
            self.maps.counters.set(cpu * self.sizes.dests + dest, abi::Counters::default());
        }
        self.maps.dest_infos.set(dest, abi::DestInfo::default());
        self.maps.dests.set(dest, abi::Dest::default());
        self.state.dests.remove(&(info.service, address));
        if let Some(dests) = self.state.by_address.get_mut(&address.ip()) {
            dests.remove(&dest);
            if dests.is_empty() {
                self.state.by_address.remove(&address.ip());
            }
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

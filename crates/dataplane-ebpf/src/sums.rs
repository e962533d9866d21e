//! What packets and connections add up to.

use crate::{plane::EbpfDataplane, state::dest_address};
use evenkeel_dataplane::Counters;
use evenkeel_model::ServiceKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
};

/// Connections, packets and bytes in, packets and bytes out, as `past` and `zero` of the maps have them.
pub(crate) type Sums = [u64; 5];

/// Sums of one real server since its index was taken, and the connections there are now.
#[derive(Clone, Copy, Default)]
struct Tally {
    sums: Sums,
    active: u32,
    inactive: u32,
    persistent: u32,
}

impl Tally {
    fn add(&mut self, more: &Tally) {
        add(&mut self.sums, &more.sums);
        self.active += more.active;
        self.inactive += more.inactive;
        self.persistent += more.persistent;
    }

    /// What is shown, counted from where `zero` says. What it takes off may be less than nothing, see `inherit`.
    fn shown(&self, zero: &Sums) -> Counters {
        let [connections, packets_in, bytes_in, packets_out, bytes_out] =
            std::array::from_fn(|i| self.sums[i].wrapping_sub(zero[i]));
        Counters {
            connections,
            packets_in,
            bytes_in,
            packets_out,
            bytes_out,
            active: self.active,
            inactive: self.inactive,
            persistent: self.persistent,
        }
    }
}

pub(crate) fn add(sums: &mut Sums, more: &Sums) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
}

impl EbpfDataplane {
    /// Over all CPUs.
    pub(crate) fn sums_of(&self, dest: u32) -> Sums {
        let mut sums = Sums::default();
        for cpu in 0..self.sizes.cpus {
            let of_cpu = self.maps.counters.get(cpu * self.sizes.dests + dest);
            let more = [of_cpu.connections, of_cpu.packets, of_cpu.bytes, of_cpu.packets_out, of_cpu.bytes_out];
            add(&mut sums, &more);
        }
        sums
    }

    fn tally_of(&self, dest: u32) -> Tally {
        let load = self.maps.loads.get(dest);
        Tally {
            sums: self.sums_of(dest),
            active: load.connections as u32,
            inactive: (load.connections >> 32) as u32,
            persistent: u32::try_from(load.templates).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn tell_counters(&self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) {
        let live = self.state.entries.iter().filter(|(_, entry)| entry.live).map(|(index, _)| *index);
        self.tell_counters_of(0..self.state.dests_end, live, sink);
    }

    /// The same of one service, for no more work than that takes.
    pub(crate) fn tell_service(
        &self,
        key: &ServiceKey,
        sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters),
    ) {
        let index = self.state.services.get(key);
        let found = index.and_then(|index| Some((*index, self.state.entries.get(index).filter(|entry| entry.live)?)));
        let Some((index, entry)) = found else { return };
        let draining = self.state.draining.keys().copied();
        let draining = draining.filter(|dest| self.maps.dest_infos.get(*dest).service == index);
        let dests: BTreeSet<u32> = entry.members.iter().copied().chain(draining).collect();
        self.tell_counters_of(dests.into_iter(), std::iter::once(index), sink);
    }

    fn tell_counters_of(
        &self,
        dests: impl Iterator<Item = u32>,
        live: impl Iterator<Item = u32>,
        sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters),
    ) {
        let (mut services, mut servers) =
            (BTreeMap::<u32, Tally>::new(), BTreeMap::<(u32, SocketAddr), Counters>::new());
        for dest in dests {
            let info = self.maps.dest_infos.get(dest);
            if info.used == 0 {
                continue;
            }
            let tally = self.tally_of(dest);
            services.entry(info.service).or_default().add(&tally);
            // One that was translated otherwise before has connections under two indices.
            let sum = servers.entry((info.service, dest_address(&info))).or_default();
            *sum = sum_of(sum, &tally.shown(&info.zero));
        }
        for index in live {
            let Some(entry) = self.state.entries.get(&index) else { continue };
            let info = self.maps.service_infos.get(index);
            let mut tally = services.get(&index).copied().unwrap_or_default();
            add(&mut tally.sums, &info.past);
            sink(entry.key, None, tally.shown(&info.zero));
        }
        for ((service, address), counters) in servers {
            if let Some(entry) = self.state.entries.get(&service).filter(|entry| entry.live) {
                sink(entry.key, Some(address), counters);
            }
        }
    }

    /// Counts a service (all: `None`) and its real servers from 0 again.
    pub(crate) fn zero_counters(&mut self, key: Option<&ServiceKey>) -> io::Result<()> {
        let only = key.map(|key| self.live(key)).transpose()?;
        let mut totals: BTreeMap<u32, Sums> = BTreeMap::new();
        for dest in 0..self.state.dests_end {
            let mut info = self.maps.dest_infos.get(dest);
            if info.used == 0 || only.is_some_and(|only| only != info.service) {
                continue;
            }
            info.zero = self.sums_of(dest);
            add(totals.entry(info.service).or_default(), &info.zero);
            self.maps.dest_infos.set(dest, info);
        }
        let services: Vec<u32> = match only {
            Some(only) => vec![only],
            None => self.state.entries.keys().copied().collect(),
        };
        for service in services {
            let mut info = self.maps.service_infos.get(service);
            info.zero = info.past;
            add(&mut info.zero, &totals.get(&service).copied().unwrap_or_default());
            self.maps.service_infos.set(service, info);
        }
        Ok(())
    }

    /// Keeps what a real server that is forgotten has counted: in its service, and where its address goes on under
    /// another index, there.
    pub(crate) fn bequeath(&self, dest: u32) {
        let (info, sums) = (self.maps.dest_infos.get(dest), self.sums_of(dest));
        let mut service = self.maps.service_infos.get(info.service);
        add(&mut service.past, &sums);
        self.maps.service_infos.set(info.service, service);
        let Some(heir) = self.state.dests.get(&(info.service, dest_address(&info))).filter(|heir| **heir != dest)
        else {
            return;
        };
        let mut heir_info = self.maps.dest_infos.get(*heir);
        for (zero, (sum, own_zero)) in heir_info.zero.iter_mut().zip(sums.iter().zip(info.zero)) {
            *zero = zero.wrapping_sub(sum.wrapping_sub(own_zero));
        }
        self.maps.dest_infos.set(*heir, heir_info);
    }
}

fn sum_of(a: &Counters, b: &Counters) -> Counters {
    Counters {
        connections: a.connections.wrapping_add(b.connections),
        packets_in: a.packets_in.wrapping_add(b.packets_in),
        bytes_in: a.bytes_in.wrapping_add(b.bytes_in),
        packets_out: a.packets_out.wrapping_add(b.packets_out),
        bytes_out: a.bytes_out.wrapping_add(b.bytes_out),
        active: a.active + b.active,
        inactive: a.inactive + b.inactive,
        persistent: a.persistent + b.persistent,
    }
}

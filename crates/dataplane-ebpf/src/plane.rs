//! The data plane, as the rest of the program sees it.

use crate::{
    attach::Links,
    clock::Clock,
    maps::{Maps, Sizes},
    options, sources,
    state::{State, dest_address, model_key, scheduler},
    unbuilt,
};
use aya::Ebpf;
use evenkeel_abi::{DestInfo, Reason, state::State as Phase};
use evenkeel_dataplane::{
    ApplyError, Capabilities, Change, Connection, ConnectionFilter, Counters, Dataplane, NextHop, RealServer, Service,
    ServiceOptions, Table,
};
use evenkeel_model::{Forwarding, ServiceKey, Timeouts, Weight};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Our own packet path.
pub struct EbpfDataplane {
    pub(crate) object: Ebpf,
    pub(crate) maps: Maps,
    pub(crate) clock: Clock,
    pub(crate) sizes: Sizes,
    pub(crate) state: State,
    pub(crate) links: Links,
    /// Directory of the pins of this layout.
    pub(crate) pins: Option<PathBuf>,
    /// Where the next sweep goes on.
    pub(crate) swept: u32,
}

impl EbpfDataplane {
    pub(crate) fn new(object: Ebpf, maps: Maps, clock: Clock, sizes: Sizes, pins: Option<PathBuf>) -> Self {
        let state = State::new(sizes);
        EbpfDataplane { object, maps, clock, sizes, state, links: Links::default(), pins, swept: 0 }
    }

    /// Sums over the CPUs, and the connections there are now.
    pub(crate) fn counters_of(&self, dest: u32) -> Counters {
        let mut sum = Counters::default();
        for cpu in 0..self.sizes.cpus {
            let of_cpu = self.maps.counters.get(cpu * self.sizes.dests + dest);
            sum.connections += of_cpu.connections;
            sum.packets_in += of_cpu.packets;
            sum.bytes_in += of_cpu.bytes;
            sum.packets_out += of_cpu.packets_out;
            sum.bytes_out += of_cpu.bytes_out;
        }
        let load = self.maps.loads.get(dest);
        sum.active = load.connections as u32;
        sum.inactive = (load.connections >> 32) as u32;
        sum.persistent = u32::try_from(load.templates).unwrap_or(u32::MAX);
        sum
    }
}

impl Dataplane for EbpfDataplane {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // As they were asked for: there is room for at least as many.
            connections: self.maps.header.get(0).connections,
            services: self.sizes.services,
            real_servers: self.sizes.dests,
        }
    }

    fn observe(&mut self) -> io::Result<Table> {
        let mut by_service: BTreeMap<u32, Service> = BTreeMap::new();
        let sources = sources::read(&self.maps)?;
        for entry in self.maps.service_ids.iter() {
            let (_, index) = entry.map_err(io::Error::other)?;
            let info = self.maps.service_infos.get(index);
            let sources = sources.get(&index).cloned().unwrap_or_default();
            let note = options::note(info.flags);
            let options =
                ServiceOptions { sources, note, ..ServiceOptions::new(scheduler(info.scheduler, info.flags)) };
            by_service.insert(index, Service { options, real_servers: BTreeMap::new() });
        }
        for index in 0..self.sizes.dests {
            let info = self.maps.dest_infos.get(index);
            if info.used == 0 || info.member == 0 {
                continue;
            }
            if let Some(service) = by_service.get_mut(&info.service) {
                let is_down = self.state.down.contains(&index);
                service.real_servers.insert(dest_address(&info), RealServer { is_down, ..real_server(&info) });
            }
        }
        let key = |index: u32| model_key(&self.maps.service_infos.get(index).key);
        Ok(Table { services: by_service.into_iter().map(|(index, service)| (key(index), service)).collect() })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.apply_all(changes)
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        let mut sums: BTreeMap<u32, Counters> = BTreeMap::new();
        let mut servers = Vec::new();
        for index in 0..self.sizes.dests {
            let info = self.maps.dest_infos.get(index);
            if info.used == 0 {
                continue;
            }
            let counters = self.counters_of(index);
            add(sums.entry(info.service).or_default(), &counters);
            servers.push((info.service, dest_address(&info), counters));
        }
        for (index, entry) in &self.state.entries {
            if entry.live {
                let past = self.maps.service_infos.get(*index).past;
                let mut sum = sums.get(index).copied().unwrap_or_default();
                sum.connections += past[0];
                sum.packets_in += past[1];
                sum.bytes_in += past[2];
                sum.packets_out += past[3];
                sum.bytes_out += past[4];
                sink(entry.key, None, sum);
            }
        }
        for (service, address, counters) in servers {
            if let Some(entry) = self.state.entries.get(&service)
                && entry.live
            {
                sink(entry.key, Some(address), counters);
            }
        }
        Ok(())
    }

    fn drops(&mut self, sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()> {
        for reason in Reason::ALL {
            let of_cpu = |cpu| self.maps.drops.get(cpu).count[*reason as usize];
            let sum = (0..self.sizes.cpus).map(of_cpu).sum();
            if *reason != Reason::NotOurs {
                sink(reason.name(), sum);
            }
        }
        Ok(())
    }

    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()> {
        self.set_next_hop(real_server, hop);
        Ok(())
    }

    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        self.list_connections(filter, from, sink)
    }

    fn flush(&mut self, _: &ConnectionFilter) -> io::Result<u64> {
        Err(unbuilt::unsupported("ending connections"))
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        let settings = self.maps.settings.get(0);
        let seconds = |state: Phase| Some(settings.timeouts[state as usize] / settings.ticks_per_second.max(1));
        Ok(Timeouts { tcp: seconds(Phase::Established), tcp_fin: seconds(Phase::FinWait), udp: seconds(Phase::Udp) })
    }

    fn set_timeouts(&mut self, _: &Timeouts) -> io::Result<()> {
        Err(unbuilt::unsupported("other timeouts"))
    }

    fn zero(&mut self, _: Option<&ServiceKey>) -> io::Result<()> {
        Err(unbuilt::unsupported("counting from 0 again"))
    }

    fn sweep(&mut self) -> io::Result<()> {
        self.sweep_part()
    }
}

fn real_server(info: &DestInfo) -> RealServer {
    let forwarding =
        if info.method == evenkeel_abi::METHOD_LOCAL { Forwarding::Local } else { Forwarding::DirectRouting };
    RealServer::new(Weight::new(info.weight).unwrap_or(Weight::MAX), forwarding)
}

fn add(sum: &mut Counters, more: &Counters) {
    sum.connections += more.connections;
    sum.packets_in += more.packets_in;
    sum.bytes_in += more.bytes_in;
    sum.active += more.active;
    sum.inactive += more.inactive;
    sum.packets_out += more.packets_out;
    sum.bytes_out += more.bytes_out;
    sum.persistent += more.persistent;
}

//! The data plane, as the rest of the program sees it.

use crate::{
    attach::Links,
    clients::Clients,
    clock::Clock,
    early::Early,
    maps::{Maps, Sizes},
    marks, options, servers, sources,
    state::{State, dest_address, model_key},
    sweep::LINGERS,
};
use aya::Ebpf;
use evenkeel_abi::Reason;
use evenkeel_dataplane::{
    ApplyError, Capabilities, Change, Connection, ConnectionFilter, Counters, Dataplane, Egress, NextHop, Order,
    Service, Table,
};
use evenkeel_model::{Protocol, ServiceKey, Timeouts};
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
    /// Sweeps of each family that still look at the table although nothing is counted any more.
    pub(crate) lingers: [u32; 2],
    /// Who has connections, as sweeps have found.
    pub(crate) clients: Clients,
    /// Fragments that came before the first one of their packet.
    pub(crate) early: Early,
}

impl EbpfDataplane {
    pub(crate) fn new(object: Ebpf, maps: Maps, clock: Clock, sizes: Sizes, pins: Option<PathBuf>) -> Self {
        let state = State::new(sizes);
        let (links, clients, early) = (Links::default(), Clients::default(), Early::default());
        EbpfDataplane { object, maps, clock, sizes, state, links, pins, swept: 0, lingers: LINGERS, clients, early }
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
        let mut matches = marks::read(&self.maps)?;
        for entry in self.maps.service_ids.iter() {
            let (_, index) = entry.map_err(io::Error::other)?;
            let info = self.maps.service_infos.get(index);
            let sources = sources.get(&index).cloned().unwrap_or_default();
            let mut options = options::read(&info, sources);
            options.matches = matches.remove(&index).unwrap_or_default();
            by_service.insert(index, Service { options, real_servers: BTreeMap::new() });
        }
        for index in 0..self.sizes.dests {
            let info = self.maps.dest_infos.get(index);
            if info.used == 0 || info.member == 0 {
                continue;
            }
            if let Some(service) = by_service.get_mut(&info.service) {
                service.real_servers.insert(dest_address(&info), servers::read(&info));
            }
        }
        let key = |index: u32| model_key(&self.maps.service_infos.get(index).key);
        Ok(Table { services: by_service.into_iter().map(|(index, service)| (key(index), service)).collect() })
    }

    fn order(&mut self) -> io::Result<Order> {
        let live = self.state.entries.iter().filter(|(_, entry)| entry.live);
        let mut services: Vec<_> =
            live.map(|(index, entry)| (self.maps.service_infos.get(*index).used, entry)).collect();
        services.sort_by_key(|(made, _)| *made);
        let address = |dest: &u32| dest_address(&self.maps.dest_infos.get(*dest));
        Ok(services.into_iter().map(|(_, entry)| (entry.key, entry.members.iter().map(address).collect())).collect())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.apply_all(changes)
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        self.tell_counters(sink);
        Ok(())
    }

    fn counters_of(
        &mut self,
        service: &ServiceKey,
        sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters),
    ) -> io::Result<()> {
        self.tell_service(service, sink);
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

    fn links(&mut self, ways: &BTreeMap<u32, Egress>) -> io::Result<()> {
        self.write_links(ways)
    }

    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        self.list_connections(filter, from, sink)
    }

    fn find(
        &mut self,
        protocol: Protocol,
        client: SocketAddr,
        virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>> {
        self.find_connection(protocol, client, virtual_address)
    }

    fn flush(&mut self, filter: &ConnectionFilter) -> io::Result<u64> {
        let (mut sum, mut next) = (0, Some(0));
        while let Some(from) = next {
            let (ended, rest) = self.flush_part(filter, from)?;
            (sum, next) = (sum + ended, rest);
        }
        Ok(sum)
    }

    fn flush_part(&mut self, filter: &ConnectionFilter, from: u64) -> io::Result<(u64, Option<u64>)> {
        self.flush_some(filter, from)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        Ok(self.read_timeouts())
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> io::Result<()> {
        self.write_timeouts(timeouts);
        Ok(())
    }

    fn zero(&mut self, service: Option<&ServiceKey>) -> io::Result<()> {
        self.zero_counters(service)
    }

    fn sweep(&mut self) -> io::Result<()> {
        self.sweep_part()
    }
}

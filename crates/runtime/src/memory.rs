//! A packet path that keeps its table in memory and forwards nothing: for tests, and to try a configuration's checks
//! out as an ordinary user.

use crate::path::{Door, PacketPath};
use evenkeel_api::Attachment;
use evenkeel_dataplane::{
    ApplyError, Capabilities, Change, Connection, ConnectionFilter, Counters, Dataplane, Egress, NextHop, RealServer,
    Service, ServiceOptions, Table,
};
use evenkeel_model::{Protocol, ServiceKey, Timeouts};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What outlives a [`MemoryPath`], as pinned maps outlive the daemon.
#[derive(Clone, Debug, Default)]
pub struct Pins(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    table: Table,
    doors: BTreeMap<String, String>,
    hops: BTreeMap<IpAddr, NextHop>,
    attached: usize,
    timeouts: Timeouts,
    changes: Vec<Change>,
    refuse_attach: Option<String>,
    endless: bool,
}

impl Pins {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as it is now.
    pub fn table(&self) -> Table {
        self.state().table.clone()
    }

    /// All changes made so far.
    pub fn changes(&self) -> Vec<Change> {
        self.state().changes.clone()
    }

    /// What is known of how real servers are reached.
    pub fn next_hops(&self) -> BTreeMap<IpAddr, NextHop> {
        self.state().hops.clone()
    }

    /// How often an interface was attached to.
    pub fn attached(&self) -> usize {
        self.state().attached
    }

    /// Has flushes find one more connection in one more part, as long as this holds.
    pub fn endless(&self, holds: bool) {
        self.state().endless = holds;
    }

    /// Lets attaching fail from now on, or succeed again.
    pub fn refuse_attach(&self, why: Option<&str>) {
        self.state().refuse_attach = why.map(str::to_owned);
    }
}

/// Opens a path in memory; nothing is forwarded.
pub fn open(_need: &crate::Need) -> Result<crate::Opened, String> {
    let warnings = vec!["no packet is forwarded: this data plane is a table in memory".to_owned()];
    Ok(crate::Opened { path: Box::new(MemoryPath::open(&Pins::default())), adopted: false, warnings })
}

/// The path itself.
#[derive(Debug)]
pub struct MemoryPath {
    pins: Pins,
    capabilities: Capabilities,
}

impl MemoryPath {
    /// On what an earlier one left in `pins`.
    pub fn open(pins: &Pins) -> MemoryPath {
        let capabilities = Capabilities { connections: 1 << 20, services: 65_536, real_servers: 1 << 20 };
        MemoryPath { pins: pins.clone(), capabilities }
    }
}

impl Dataplane for MemoryPath {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn observe(&mut self) -> io::Result<Table> {
        Ok(self.pins.table())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        let mut state = self.pins.state();
        for (applied, change) in changes.iter().enumerate() {
            apply(&mut state.table, change).map_err(|why| ApplyError {
                change: Box::new(change.clone()),
                applied,
                cause: io::Error::other(why),
            })?;
            state.changes.push(change.clone());
        }
        Ok(())
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        for (key, service) in &self.pins.state().table.services {
            sink(*key, None, Counters::default());
            service.real_servers.keys().for_each(|address| sink(*key, Some(*address), Counters::default()));
        }
        Ok(())
    }

    fn drops(&mut self, _sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()> {
        Ok(())
    }

    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()> {
        self.pins.state().hops.insert(real_server, hop);
        Ok(())
    }

    fn links(&mut self, _ways: &BTreeMap<u32, Egress>) -> io::Result<()> {
        Ok(())
    }

    /// No packets, no connections.
    fn connections(
        &mut self,
        _filter: &ConnectionFilter,
        _from: u64,
        _sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn find(
        &mut self,
        _protocol: Protocol,
        _client: SocketAddr,
        _virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>> {
        Ok(None)
    }

    fn flush(&mut self, _filter: &ConnectionFilter) -> io::Result<u64> {
        Ok(0)
    }

    fn flush_part(&mut self, filter: &ConnectionFilter, from: u64) -> io::Result<(u64, Option<u64>)> {
        if self.pins.state().endless {
            return Ok((1, Some(from + 1)));
        }
        self.flush(filter).map(|ended| (ended, None))
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        let Timeouts { tcp, tcp_fin, udp } = self.pins.state().timeouts;
        Ok(Timeouts { tcp: tcp.or(Some(900)), tcp_fin: tcp_fin.or(Some(120)), udp: udp.or(Some(300)) })
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> io::Result<()> {
        let kept = &mut self.pins.state().timeouts;
        *kept = Timeouts {
            tcp: timeouts.tcp.or(kept.tcp),
            tcp_fin: timeouts.tcp_fin.or(kept.tcp_fin),
            udp: timeouts.udp.or(kept.udp),
        };
        Ok(())
    }

    /// There is nothing to count.
    fn zero(&mut self, service: Option<&ServiceKey>) -> io::Result<()> {
        match service {
            Some(key) if !self.pins.state().table.services.contains_key(key) => {
                Err(io::Error::new(io::ErrorKind::NotFound, "there is no such service"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn sweep(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn apply(table: &mut Table, change: &Change) -> Result<(), &'static str> {
    const NO_SERVICE: &str = "there is no such service";
    const NO_SERVER: &str = "there is no such real server";
    match change {
        Change::AddService(key, options) => {
            let new = Service { options: options.clone(), real_servers: BTreeMap::new() };
            match table.services.insert(*key, new) {
                None => Ok(()),
                Some(_) => Err("the service is there already"),
            }
        }
        Change::EditService(key, options) => {
            set_options(table.services.get_mut(key).ok_or(NO_SERVICE)?, options);
            Ok(())
        }
        Change::RemoveService(key) => table.services.remove(key).map(drop).ok_or(NO_SERVICE),
        Change::AddRealServer(key, address, server) => {
            match real_servers(table, key).ok_or(NO_SERVICE)?.insert(*address, *server) {
                None => Ok(()),
                Some(_) => Err("the real server is there already"),
            }
        }
        Change::EditRealServer(key, address, server) => {
            *real_servers(table, key).ok_or(NO_SERVICE)?.get_mut(address).ok_or(NO_SERVER)? = *server;
            Ok(())
        }
        Change::RemoveRealServer(key, address) => {
            real_servers(table, key).ok_or(NO_SERVICE)?.remove(address).map(drop).ok_or(NO_SERVER)
        }
    }
}

fn set_options(service: &mut Service, options: &ServiceOptions) {
    service.options = options.clone();
}

fn real_servers<'a>(table: &'a mut Table, key: &ServiceKey) -> Option<&'a mut BTreeMap<SocketAddr, RealServer>> {
    table.services.get_mut(key).map(|service| &mut service.real_servers)
}

impl PacketPath for MemoryPath {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn attach(&mut self, interface: &str, door: Door) -> Result<Attachment, String> {
        let mut state = self.pins.state();
        if let Some(why) = &state.refuse_attach {
            return Err(why.clone());
        }
        let mode = if door == Door::Auto { "tcx" } else { door.name() };
        state.doors.insert(interface.to_owned(), mode.to_owned());
        state.attached += 1;
        Ok(Attachment { interface: interface.to_owned(), mode: mode.to_owned(), program_id: 0 })
    }

    fn detach(&mut self, interface: &str) -> Result<(), String> {
        self.pins.state().doors.remove(interface);
        Ok(())
    }

    fn attachments(&mut self) -> Vec<Attachment> {
        let one = |(interface, mode): (&String, &String)| Attachment {
            interface: interface.clone(),
            mode: mode.clone(),
            program_id: 0,
        };
        self.pins.state().doors.iter().map(one).collect()
    }

    fn frailty(&self) -> Option<String> {
        None
    }

    fn remove(self: Box<Self>) -> Result<(), String> {
        let mut state = self.pins.state();
        state.table = Table::default();
        state.doors.clear();
        state.hops.clear();
        Ok(())
    }

    fn leave(self: Box<Self>) {}
}

//! Our own packet path, pinned where it outlasts the daemon.

use crate::{
    daemon::{Need, Opened},
    path::{Door, PacketPath},
};
use evenkeel_api::Attachment;
use evenkeel_dataplane::{
    ApplyError, Capabilities, Change, Connection, ConnectionFilter, Counters, Dataplane, Egress, NextHop, Order, Table,
};
use evenkeel_dataplane_ebpf::{Attach, EbpfDataplane, Opened as Found, Options, Settled};
use evenkeel_model::{Protocol, ServiceKey, Timeouts};
use evenkeel_os::{Bpffs, RuntimeDir, holds_pins, lasting_bpffs, remove_bpffs};
use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

/// Services that clients find room for at least, …
const SERVICES: u32 = 16_384;
/// … real servers of theirs, …
const REAL_SERVERS: u32 = 65_536;
/// … and cells of lists and tables.
const CELLS: u32 = 1 << 20;
/// Data connections of FTP that there is room for at least, those included that have ended some seconds ago.
const MEETINGS: u32 = 8192;

/// Opens the packet path of an instance: the one an earlier run left, or a new one.
pub fn open(need: &Need) -> Result<Opened, String> {
    let mount = mount_point(&need.runtime_dir);
    let (pins, frailty) = match lasting_bpffs(&mount) {
        Ok(Bpffs::Lasting(path)) => (Some(path), None),
        Ok(bpffs @ Bpffs::NotLasting { .. }) => (Some(bpffs.path().to_owned()), Some(bpffs.to_string())),
        Err(e) => (None, Some(e.to_string())),
    };
    let connections = need.connections.unwrap_or(Options::CONNECTIONS);
    let mut options = Options::for_table(&need.table, pins, connections);
    if need.for_clients {
        options.services = options.services.max(SERVICES);
        options.real_servers = options.real_servers.max(REAL_SERVERS);
        options.cells = options.cells.max(CELLS);
    }
    if need.for_relays {
        options.services = options.services.saturating_add(MEETINGS);
        options.real_servers = options.real_servers.saturating_add(MEETINGS);
        options.cells = options.cells.saturating_add(2 * MEETINGS);
    }
    let (plane, found) = match EbpfDataplane::open(&options) {
        Ok(opened) => opened,
        Err(e) => {
            // Nothing was pinned, or what was there before is in use still: then the mount stays.
            unmount(&mount);
            return Err(e.to_string());
        }
    };
    let adopted = found == Found::Adopted;
    let have = plane.capabilities().connections;
    let size = (adopted && need.connections.is_some_and(|wanted| wanted != have)).then(|| {
        format!("the connection table of the run before is kept with its size of {have}; `evenkeel stop` and a start change it")
    });
    let frailty = frailty.map(|why| format!("a crash of the daemon will not be survived by the traffic: {why}"));
    let path = Box::new(EbpfPath { plane, mount, frailty });
    Ok(Opened { path, adopted, warnings: size.into_iter().collect() })
}

/// Whether a killed daemon has left something serving, which the next one takes over.
pub fn has_leftovers(runtime_dir: &Path) -> bool {
    holds_pins(&mount_point(runtime_dir))
}

/// Removes what a killed daemon has left serving. False: there was nothing.
pub fn remove_leftovers(runtime_dir: &Path) -> Result<bool, String> {
    let mount = mount_point(runtime_dir);
    if !holds_pins(&mount) {
        return Ok(false);
    }
    let directory = RuntimeDir::prepare(runtime_dir).map_err(|e| e.to_string())?;
    let _lock = directory.lock().map_err(|e| e.to_string())?;
    let pins = lasting_bpffs(&mount).map_err(|e| e.to_string())?.path().to_owned();
    let found = evenkeel_dataplane_ebpf::remove_leftovers(&pins).map_err(|e| e.to_string())?;
    unmount(&mount);
    crate::forwarding::KernelForwarding::in_directory(runtime_dir).undo()?;
    for name in ["control.sock", "pid"] {
        // Says where a daemon is that is no more.
        let _ = fs::remove_file(runtime_dir.join(name));
    }
    Ok(found)
}

fn mount_point(runtime_dir: &Path) -> PathBuf {
    // The mount is made for every process, wherever it stands.
    std::path::absolute(runtime_dir).unwrap_or_else(|_| runtime_dir.to_owned()).join("bpf")
}

fn unmount(mount: &Path) {
    // What holds pins of others, or was mounted by an administrator, stays.
    if let Ok(true) = remove_bpffs(mount) {
        let _ = fs::remove_dir(mount);
    }
}

/// The data plane with its mount.
struct EbpfPath {
    plane: EbpfDataplane,
    mount: PathBuf,
    frailty: Option<String>,
}

impl Dataplane for EbpfPath {
    fn capabilities(&self) -> Capabilities {
        self.plane.capabilities()
    }

    fn observe(&mut self) -> io::Result<Table> {
        self.plane.observe()
    }

    fn order(&mut self) -> io::Result<Order> {
        self.plane.order()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.plane.apply(changes)
    }

    fn counters(&mut self, sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters)) -> io::Result<()> {
        self.plane.counters(sink)
    }

    fn counters_of(
        &mut self,
        service: &ServiceKey,
        sink: &mut dyn FnMut(ServiceKey, Option<SocketAddr>, Counters),
    ) -> io::Result<()> {
        self.plane.counters_of(service, sink)
    }

    fn drops(&mut self, sink: &mut dyn FnMut(&'static str, u64)) -> io::Result<()> {
        self.plane.drops(sink)
    }

    fn next_hop(&mut self, real_server: IpAddr, hop: NextHop) -> io::Result<()> {
        self.plane.next_hop(real_server, hop)
    }

    fn links(&mut self, ways: &BTreeMap<u32, Egress>) -> io::Result<()> {
        self.plane.links(ways)
    }

    fn connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        self.plane.connections(filter, from, sink)
    }

    fn find(
        &mut self,
        protocol: Protocol,
        client: SocketAddr,
        virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>> {
        self.plane.find(protocol, client, virtual_address)
    }

    fn flush(&mut self, filter: &ConnectionFilter) -> io::Result<u64> {
        self.plane.flush(filter)
    }

    fn flush_part(&mut self, filter: &ConnectionFilter, from: u64) -> io::Result<(u64, Option<u64>)> {
        self.plane.flush_part(filter, from)
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        self.plane.timeouts()
    }

    fn set_timeouts(&mut self, timeouts: &Timeouts) -> io::Result<()> {
        self.plane.set_timeouts(timeouts)
    }

    fn zero(&mut self, service: Option<&ServiceKey>) -> io::Result<()> {
        self.plane.zero(service)
    }

    fn sweep(&mut self) -> io::Result<()> {
        self.plane.sweep()
    }
}

impl PacketPath for EbpfPath {
    fn kind(&self) -> &'static str {
        "ebpf"
    }

    fn early_fragments(&self) -> Option<BorrowedFd<'_>> {
        Some(self.plane.early_fragments())
    }

    fn settle_fragments(&mut self) -> io::Result<bool> {
        let settled = self.plane.settle_fragments().map_err(io::Error::other)?;
        Ok(settled != Settled::default())
    }

    fn attach(&mut self, interface: &str, door: Door) -> Result<Attachment, String> {
        let door = match door {
            Door::Auto => Attach::Auto,
            Door::Tcx => Attach::Tcx,
            Door::Clsact => Attach::Clsact,
            Door::Xdp => Attach::Xdp,
            Door::Generic => Attach::Generic,
        };
        self.plane.attach(interface, door).map(of_plane).map_err(|e| e.to_string())
    }

    fn detach(&mut self, interface: &str) -> Result<(), String> {
        let doors = self.plane.attachments();
        let Some(door) = doors.iter().find(|door| door.interface == interface) else { return Ok(()) };
        self.plane.detach(door.index).map_err(|e| e.to_string())
    }

    fn attachments(&mut self) -> Vec<Attachment> {
        // A door that cannot be forgotten is shown as what it is: still there.
        let _ = self.plane.prune();
        self.plane.attachments().into_iter().map(of_plane).collect()
    }

    fn frailty(&self) -> Option<String> {
        self.frailty.clone()
    }

    fn remove(self: Box<Self>) -> Result<(), String> {
        let EbpfPath { plane, mount, .. } = *self;
        plane.remove_all().map_err(|e| e.to_string())?;
        unmount(&mount);
        Ok(())
    }

    fn leave(self: Box<Self>) {}
}

fn of_plane(door: evenkeel_dataplane_ebpf::Attachment) -> Attachment {
    Attachment { interface: door.interface, mode: door.mode.name().to_owned(), program_id: door.program_id }
}

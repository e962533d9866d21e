//! One edit: what it does to the engine's services, which changes of the data plane it means, and how it is undone.

use crate::{
    Effect, Followed, Operation,
    balance::Balance,
    entry::{self, Said, Wrong, address_in, model_key},
    service::{Asked, Cover, Server, Service},
};
use evenkeel_api::table::{Edit, EditFailure, Key, ServerEntry, ServiceEntry};
use evenkeel_dataplane::{Change, RealServer, ServiceOptions};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::{ServiceKey, Timeouts};
use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

/// A request while it is made.
#[derive(Debug, Default)]
pub(super) struct Making {
    /// Which edit it is.
    pub(super) index: u32,
    pub(super) changes: Vec<Change>,
    pub(super) steps: Vec<Step>,
    pub(super) operations: VecDeque<(u32, Operation)>,
    /// Services with a sorry server: what an edit means for them hangs on who answers then, so that they are compared as a
    /// whole in the end, and never empty on the way.
    pub(super) whole: BTreeSet<ServiceKey>,
}

impl Making {
    fn step(&mut self, undo: Undo, change: Option<Change>, more: Vec<Followed>, less: Vec<Followed>) {
        self.steps.push(Step { index: self.index, first: self.changes.len(), undo, more, less });
        self.changes.extend(change);
    }

    /// Of the service itself, which stays: the change of this edit alone, or none where it is compared as a whole.
    fn within(&mut self, service: &Service, change: Option<Change>) -> Option<Change> {
        if service.fallback.is_some() {
            self.whole.insert(service.key);
            return None;
        }
        change
    }
}

/// What one edit did, or a part of it.
#[derive(Debug)]
pub(super) struct Step {
    /// Of which edit.
    pub(super) index: u32,
    /// Where its changes begin.
    pub(super) first: usize,
    undo: Undo,
    /// What is followed from now on.
    pub(super) more: Vec<Followed>,
    /// What no longer is, once it is in force.
    pub(super) less: Vec<Followed>,
}

/// How the engine's services become what they were.
#[derive(Debug)]
enum Undo {
    AddService(ServiceKey),
    EditService(ServiceKey, Box<ServiceOptions>),
    RemoveService(Box<Service>),
    AddServer(ServiceKey, SocketAddr),
    EditServer(ServiceKey, Box<Server>),
    RemoveServer(ServiceKey, usize, Box<Server>),
}

fn missing() -> Wrong {
    (EditFailure::NoService, "there is no such service".to_owned())
}

fn missing_server(service: &Service, address: SocketAddr) -> Wrong {
    if is_sorry(service, address) {
        let why = format!("{address} is the fallback of {}, which the files decide on", service.name);
        return (EditFailure::Refused, why);
    }
    (EditFailure::NoServer, format!("{} has no real server {address}", service.name))
}

/// The sorry server answers for the service now.
fn is_sorry(service: &Service, address: SocketAddr) -> bool {
    let is_listed = matches!(service.cover, Cover::Fallback { .. })
        || service.fallback.as_ref().is_some_and(|fallback| fallback.quiesce);
    is_listed && service.fallback.as_ref().is_some_and(|fallback| fallback.address == address)
}

fn followed(server: &Server) -> Followed {
    Followed::RealServer(server.address.ip(), server.forwarding)
}

impl Balance {
    /// Makes one edit. `Err`: nothing of it is done.
    pub(super) fn make(
        &mut self,
        now: Instant,
        edit: &Edit,
        own: &BTreeSet<IpAddr>,
        making: &mut Making,
    ) -> Result<(), Wrong> {
        match edit {
            Edit::AddService(key, entry) => self.make_service(key, entry, making),
            Edit::EditService(key, entry) => self.remake_service(key, entry, making),
            Edit::RemoveService(key) => {
                let key = self.editable(key)?;
                self.unmake_service(&key, making).ok_or_else(missing)
            }
            Edit::Clear {} => {
                let keys: Vec<ServiceKey> = self.in_order().map(|service| service.key).collect();
                for key in &keys {
                    self.unmake_service(key, making);
                }
                Ok(())
            }
            Edit::AddServer(key, address, entry) => self.make_server(now, key, *address, entry, own, making),
            Edit::EditServer(key, address, entry) => self.remake_server(key, *address, entry, own, making),
            Edit::RemoveServer(key, address) => self.unmake_server(key, *address, making),
            Edit::Zero(key) => {
                let key = key.as_ref().map(|key| self.editable(key)).transpose()?;
                if key.is_some_and(|key| !self.services.contains_key(&key)) {
                    return Err(missing());
                }
                making.operations.push_back((making.index, Operation::Zero(key)));
                Ok(())
            }
            Edit::Timeouts { tcp, tcp_fin, udp } => {
                let [tcp, tcp_fin, udp] = [tcp, tcp_fin, udp].map(|seconds| Some(*seconds).filter(|s| *s > 0));
                let timeouts = Timeouts { tcp, tcp_fin, udp };
                if timeouts != Timeouts::default() {
                    making.operations.push_back((making.index, Operation::Timeouts(timeouts)));
                }
                Ok(())
            }
        }
    }

    /// The key, unless the data plane is at odds with what the service should be.
    fn editable(&self, key: &Key) -> Result<ServiceKey, Wrong> {
        let key = model_key(key).map_err(|why| (EditFailure::Refused, why))?;
        match self.program.complaint(&key) {
            Some(why) => Err((EditFailure::Refused, format!("the data plane refuses service {key} at present: {why}"))),
            None => Ok(key),
        }
    }

    fn make_service(&mut self, key: &Key, entry: &ServiceEntry, making: &mut Making) -> Result<(), Wrong> {
        let key = self.editable(key)?;
        if let Some(service) = self.services.get(&key) {
            return Err((EditFailure::ServiceExists, format!("there is a service {} already", service.name)));
        }
        let options = entry::options(&key, entry, None)?;
        self.edits.places += 1;
        let service = Service::by_edit(key, options, self.edits.places);
        let change = Change::AddService(key, service.options.clone());
        making.step(Undo::AddService(key), Some(change), vec![Followed::Service(key)], Vec::new());
        self.edited.insert(service.place, key);
        self.services.insert(key, service);
        Ok(())
    }

    fn remake_service(&mut self, key: &Key, entry: &ServiceEntry, making: &mut Making) -> Result<(), Wrong> {
        let key = self.editable(key)?;
        let service = self.services.get_mut(&key).ok_or_else(missing)?;
        let options = entry::options(&key, entry, Some(&service.options))?;
        let shown = !service.disabled && options != service.options;
        let old = std::mem::replace(&mut service.options, options.clone());
        let change = making.within(service, shown.then_some(Change::EditService(key, options)));
        making.step(Undo::EditService(key, Box::new(old)), change, Vec::new(), Vec::new());
        Ok(())
    }

    fn unmake_service(&mut self, key: &ServiceKey, making: &mut Making) -> Option<()> {
        let service = self.services.remove(key)?;
        self.edited.remove(&service.place);
        making.whole.remove(key);
        let less = std::iter::once(Followed::Service(*key)).chain(service.servers.iter().map(followed)).collect();
        let change = (!service.disabled).then_some(Change::RemoveService(*key));
        making.step(Undo::RemoveService(Box::new(service)), change, Vec::new(), less);
        Some(())
    }

    fn make_server(
        &mut self,
        now: Instant,
        key: &Key,
        address: SocketAddr,
        entry: &ServerEntry,
        own: &BTreeSet<IpAddr>,
        making: &mut Making,
    ) -> Result<(), Wrong> {
        let key = self.editable(key)?;
        let service = self.services.get_mut(&key).ok_or_else(missing)?;
        let said = entry::server(&key, address, entry, |ip| own.contains(ip))?;
        let address = said.address;
        if service.server(&address).is_some() || is_sorry(service, address) {
            let why = format!("{} has a real server {address} already", service.name);
            return Err((EditFailure::ServerExists, why));
        }
        let server = said_of(Server::unchecked(address, said.forwarding, said.weight, now), said);
        let change = service.entry(&server, &self.watches).map(|new| Change::AddRealServer(key, address, new));
        let change = making.within(service, change);
        let more = vec![followed(&server)];
        service.servers.push(server);
        making.step(Undo::AddServer(key, address), change, more, Vec::new());
        Ok(())
    }

    fn remake_server(
        &mut self,
        key: &Key,
        address: SocketAddr,
        entry: &ServerEntry,
        own: &BTreeSet<IpAddr>,
        making: &mut Making,
    ) -> Result<(), Wrong> {
        let key = self.editable(key)?;
        let service = self.services.get(&key).ok_or_else(missing)?;
        let said = entry::server(&key, address, entry, |ip| own.contains(ip))?;
        let address = said.address;
        let old = service.server(&address).ok_or_else(|| missing_server(service, address))?;
        let before = service.entry(old, &self.watches);
        // The last word counts: what an operator asked for before is over.
        let new = Server { asked: Asked::default(), ..said_of(old.clone(), said) };
        let change = difference(key, address, before, service.entry(&new, &self.watches));
        let change = making.within(service, change);
        let (more, less) = (vec![followed(&new)], vec![followed(old)]);
        let place = self.services.get_mut(&key).and_then(|service| service.server_mut(&address));
        let Some(place) = place else { return Ok(()) };
        let old = std::mem::replace(place, new);
        making.step(Undo::EditServer(key, Box::new(old)), change, more, less);
        Ok(())
    }

    fn unmake_server(&mut self, key: &Key, address: SocketAddr, making: &mut Making) -> Result<(), Wrong> {
        let key = self.editable(key)?;
        let service = self.services.get_mut(&key).ok_or_else(missing)?;
        let address = address_in(&key, address);
        let place = service.servers.iter().position(|server| server.address == address);
        let place = place.ok_or_else(|| missing_server(service, address))?;
        let server = service.servers.remove(place);
        let listed = service.entry(&server, &self.watches).is_some();
        let change = making.within(service, listed.then_some(Change::RemoveRealServer(key, address)));
        let less = vec![followed(&server)];
        making.step(Undo::RemoveServer(key, place, Box::new(server)), change, Vec::new(), less);
        Ok(())
    }

    /// Undoes steps, last first; what of them is in force is put right by the next batch.
    pub(super) fn undo(&mut self, now: Instant, steps: Vec<Step>) {
        let mut touched = BTreeSet::new();
        for step in steps.into_iter().rev() {
            let key = match step.undo {
                Undo::AddService(key) => {
                    if let Some(service) = self.services.remove(&key) {
                        self.edited.remove(&service.place);
                    }
                    key
                }
                Undo::EditService(key, options) => {
                    if let Some(service) = self.services.get_mut(&key) {
                        service.options = *options;
                    }
                    key
                }
                Undo::RemoveService(service) => {
                    let key = service.key;
                    if service.is_by_edit() {
                        self.edited.insert(service.place, key);
                    }
                    self.services.insert(key, *service);
                    key
                }
                Undo::AddServer(key, address) => {
                    if let Some(service) = self.services.get_mut(&key) {
                        service.servers.retain(|server| server.address != address);
                    }
                    key
                }
                Undo::EditServer(key, server) => {
                    let place = self.services.get_mut(&key).and_then(|service| service.server_mut(&server.address));
                    if let Some(place) = place {
                        *place = *server;
                    }
                    key
                }
                Undo::RemoveServer(key, place, server) => {
                    if let Some(service) = self.services.get_mut(&key) {
                        service.servers.insert(place.min(service.servers.len()), *server);
                    }
                    key
                }
            };
            touched.insert(key);
            self.program.touch(key);
        }
        self.follow_edits(now, touched);
    }

    /// The steps are in force and stay: what hung on what is gone ends.
    pub(super) fn close_steps(&mut self, now: Instant, steps: Vec<Step>, out: &mut Outbox<Effect>) {
        let mut touched = BTreeSet::new();
        let mut released = BTreeSet::new();
        let mut overridden = false;
        for step in steps {
            let key = match step.undo {
                Undo::AddService(key) => {
                    overridden |= self.book.forget(key, None);
                    key
                }
                Undo::EditService(key, _) | Undo::AddServer(key, _) => key,
                Undo::RemoveService(service) => {
                    let key = service.key;
                    for server in &service.servers {
                        released.insert(server.watch);
                        overridden |= self.book.forget(key, Some(server.address));
                    }
                    overridden |= self.book.forget(key, None);
                    if !service.is_by_edit() && !self.services.contains_key(&key) {
                        self.drop_cover(now, *service);
                    }
                    key
                }
                Undo::EditServer(key, server) => {
                    overridden |= self.book.forget(key, Some(server.address));
                    key
                }
                Undo::RemoveServer(key, _, server) => {
                    released.insert(server.watch);
                    overridden |= self.book.forget(key, Some(server.address));
                    key
                }
            };
            touched.insert(key);
        }
        self.release(now, &released, out);
        self.follow_edits(now, touched);
        if overridden {
            out.push(Effect::Persist(self.book.store(now)));
        }
    }
}

fn said_of(server: Server, said: Said) -> Server {
    let Said { shown, forwarding, weight, thresholds, .. } = said;
    Server { shown, forwarding, weight, thresholds, ..server }
}

fn difference(
    key: ServiceKey,
    address: SocketAddr,
    before: Option<RealServer>,
    after: Option<RealServer>,
) -> Option<Change> {
    match (before, after) {
        (None, Some(new)) => Some(Change::AddRealServer(key, address, new)),
        (Some(_), None) => Some(Change::RemoveRealServer(key, address)),
        (Some(old), Some(new)) if old != new => Some(Change::EditRealServer(key, address, new)),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

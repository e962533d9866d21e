//! An instance that has a table and no packet path: the judgements of Linux 6.1 about edits.

use evenkeel_api::{
    Greeting, Lines, PROTOCOL, REQUEST_LINE_MAX, Refusal, RefusalCode, Reply, Request, Role,
    table::{
        ConnectionEntry, Edit, EditError, EditFailure, Key, ServerEntry, ServiceEntry, Table, TableServer,
        TableService, Traffic,
    },
    to_line,
};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

const SCHEDULERS: [&str; 13] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf"];

#[derive(Clone)]
struct Service {
    key: Key,
    entry: ServiceEntry,
    /// Newest last.
    servers: Vec<(SocketAddr, ServerEntry)>,
}

#[derive(Clone)]
struct Model {
    services: Vec<Service>,
    /// Places of keys in the list.
    places: HashMap<Key, usize>,
    timeouts: [u32; 3],
    connections: Vec<ConnectionEntry>,
}

/// Serves until the test ends.
pub(crate) struct Fake {
    model: Arc<Mutex<Model>>,
    requests: Arc<AtomicUsize>,
    /// The next request gets no answer.
    hangs_up: Arc<AtomicBool>,
}

impl Fake {
    pub(crate) fn start(runtime_dir: &Path) -> Fake {
        std::fs::create_dir_all(runtime_dir).unwrap();
        let only_ours = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(runtime_dir, only_ours).unwrap();
        let listener = UnixListener::bind(runtime_dir.join("control.sock")).unwrap();
        let model =
            Model { services: Vec::new(), places: HashMap::new(), timeouts: [900, 120, 300], connections: Vec::new() };
        let fake = Fake { model: Arc::new(Mutex::new(model)), requests: Arc::default(), hangs_up: Arc::default() };
        let (model, requests, hangs_up) = (fake.model.clone(), fake.requests.clone(), fake.hangs_up.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (model, requests, hangs_up) = (model.clone(), requests.clone(), hangs_up.clone());
                thread::spawn(move || serve(stream, &model, &requests, &hangs_up));
            }
        });
        fake
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// As one that is killed when it has greeted does with its next request.
    pub(crate) fn hang_up(&self) {
        self.hangs_up.store(true, Ordering::Relaxed);
    }

    /// What `-Lc` is to show.
    pub(crate) fn connections(&self, connections: Vec<ConnectionEntry>) {
        lock(&self.model).connections = connections;
    }
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: UnixStream, model: &Mutex<Model>, requests: &AtomicUsize, hangs_up: &AtomicBool) {
    let greeting = Greeting { evenkeel: "test".to_owned(), protocol: PROTOCOL, role: Role::Admin };
    let _ = stream.write_all(&to_line(&greeting).unwrap());
    let mut lines = Lines::new(REQUEST_LINE_MAX);
    let mut joined = Vec::new();
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        lines.push(&buffer[..length]);
        while let Ok(Some(line)) = lines.next_line() {
            requests.fetch_add(1, Ordering::Relaxed);
            if hangs_up.swap(false, Ordering::Relaxed) {
                return;
            }
            let reply = match serde_json::from_str(&line) {
                Ok(request) => answer(request, model, &mut joined),
                Err(e) => Reply::Refused(Refusal::new(RefusalCode::BadRequest, e.to_string())),
            };
            if stream.write_all(&to_line(&reply).unwrap()).is_err() {
                return;
            }
        }
    }
}

fn answer(request: Request, model: &Mutex<Model>, joined: &mut Vec<Edit>) -> Reply {
    let done = || Reply::Done { message: "done".to_owned() };
    let mut model = lock(model);
    match request {
        Request::Table { service } => match model.table(service) {
            Some(table) => Reply::Table(Box::new(table)),
            None => Reply::Refused(Refusal::new(RefusalCode::Unknown, "there is no such service")),
        },
        Request::Edit { edits, more: true, .. } => {
            joined.extend(edits);
            done()
        }
        Request::Edit { edits, atomic, more: false } => {
            joined.extend(edits);
            let before = model.clone();
            for (index, edit) in std::mem::take(joined).into_iter().enumerate() {
                if let Err(failure) = model.edit(edit) {
                    if atomic {
                        *model = before;
                    }
                    let message = "it was refused".to_owned();
                    return Reply::NotEdited(EditError { index: u32::try_from(index).unwrap(), failure, message });
                }
            }
            done()
        }
        Request::Connections { .. } => Reply::Connections { connections: model.connections.clone(), last: true },
        other => Reply::Refused(Refusal::new(RefusalCode::Failed, format!("{} is not for this test", other.name()))),
    }
}

impl Model {
    fn find(&mut self, key: &Key) -> Result<&mut Service, EditFailure> {
        let place = self.places.get(key).ok_or(EditFailure::NoService)?;
        self.services.get_mut(*place).ok_or(EditFailure::NoService)
    }

    fn edit(&mut self, edit: Edit) -> Result<(), EditFailure> {
        match edit {
            Edit::AddService(key, entry) => {
                if self.find(&key).is_ok() {
                    return Err(EditFailure::ServiceExists);
                }
                known(&entry)?;
                self.places.insert(key, self.services.len());
                self.services.push(Service { key, entry, servers: Vec::new() });
            }
            Edit::EditService(key, entry) => {
                let service = self.find(&key)?;
                known(&entry)?;
                service.entry = entry;
            }
            Edit::RemoveService(key) => {
                self.find(&key)?;
                self.services.retain(|service| service.key != key);
                self.places = self.services.iter().enumerate().map(|(place, service)| (service.key, place)).collect();
            }
            Edit::Clear {} => {
                self.services.clear();
                self.places.clear();
            }
            Edit::AddServer(key, at, entry) => {
                let service = self.find(&key)?;
                thresholds(&entry)?;
                if service.servers.iter().any(|(other, _)| *other == at) {
                    return Err(EditFailure::ServerExists);
                }
                if !is_host(at.ip()) {
                    return Err(EditFailure::NotUnicast);
                }
                service.servers.push((at, entry));
            }
            Edit::EditServer(key, at, entry) => {
                let service = self.find(&key)?;
                thresholds(&entry)?;
                let server = service.servers.iter_mut().find(|(other, _)| *other == at);
                server.ok_or(EditFailure::NoServer)?.1 = entry;
            }
            Edit::RemoveServer(key, at) => {
                let service = self.find(&key)?;
                let place = service.servers.iter().position(|(other, _)| *other == at);
                service.servers.remove(place.ok_or(EditFailure::NoServer)?);
            }
            Edit::Zero(Some(key)) => drop(self.find(&key)?),
            Edit::Zero(None) => {}
            Edit::Timeouts { tcp, tcp_fin, udp } => {
                for (value, new) in self.timeouts.iter_mut().zip([tcp, tcp_fin, udp]) {
                    *value = if new == 0 { *value } else { new };
                }
            }
        }
        Ok(())
    }

    fn table(&self, one: Option<Key>) -> Option<Table> {
        let wanted = |service: &&Service| one.is_none_or(|key| key == service.key);
        let services: Vec<TableService> = self.services.iter().filter(wanted).map(shown).collect();
        if one.is_some() && services.is_empty() {
            return None;
        }
        Some(Table { services, connections: 1024, timeouts: self.timeouts })
    }
}

fn shown(service: &Service) -> TableService {
    let server = |(address, entry): &(SocketAddr, ServerEntry)| TableServer {
        address: *address,
        entry: entry.clone(),
        active: 0,
        inactive: 0,
        persistent: 0,
        traffic: Traffic::default(),
    };
    TableService {
        key: service.key,
        entry: service.entry.clone(),
        traffic: Traffic::default(),
        servers: service.servers.iter().rev().map(server).collect(),
    }
}

fn known(entry: &ServiceEntry) -> Result<(), EditFailure> {
    let scheduler = SCHEDULERS.contains(&entry.scheduler.as_str());
    let engine = entry.engine.as_deref().is_none_or(|name| name == "sip");
    if scheduler && engine { Ok(()) } else { Err(EditFailure::NoScheduler) }
}

fn thresholds(entry: &ServerEntry) -> Result<(), EditFailure> {
    if entry.lower > entry.upper { Err(EditFailure::Thresholds) } else { Ok(()) }
}

fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

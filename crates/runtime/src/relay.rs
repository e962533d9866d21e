//! FTP through address translation: control connections end here and go on to the real server, data connections are opened
//! in the table.
//!
//! The data plane schedules control connections as it does all others and then lets them pass to the stack
//! ([`Forwarding::Relay`](evenkeel_model::Forwarding::Relay)), where a listener on the virtual address takes them. Which real
//! server one has is asked of the table. Data connections meet at a port of the virtual address that is a service only one host
//! may use, for a minute at the most; their packets never come here. See docs/adr/0012.

mod session;

use evenkeel_dataplane::{Change, ConnectionFilter, Note, RealServer, ServiceOptions};
use evenkeel_ftp::Order;
use evenkeel_model::{Forwarding, Prefix, Protocol, Scheduler, ServiceKey, Sources, Weight};
use rustix::net::sockopt;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, sleep},
};

pub(crate) use session::{Line, carry, refuse};

/// Control connections at a time. Each has two files open, and one meeting point at the most.
const SESSIONS: usize = 4096;
/// Of them those of one client, so that nobody takes them all.
const OF_A_CLIENT: usize = 256;
/// Questions of sessions that wait for the core; the sessions wait with them.
const CALLS: usize = 256;
/// Where data connections meet: outside of what the host itself takes ports from, and of FullNAT's own (PP-44).
const PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_535;
/// How long nobody needs to come to a meeting point.
const UNUSED: Duration = Duration::from_secs(60);
/// Clients that may wait to be taken.
const BACKLOG: u32 = 1024;
/// After an accept that failed, as for want of files.
const AFTER_TROUBLE: Duration = Duration::from_millis(100);

/// To the core.
#[derive(Debug)]
pub(crate) enum Call {
    /// A client has connected.
    Accepted {
        /// Of this service.
        service: ServiceKey,
        /// The connection.
        stream: TcpStream,
        /// The client.
        client: SocketAddr,
    },
    /// A data connection is about to come.
    Open {
        /// Whose.
        session: u64,
        /// Which way.
        order: Order,
        /// The port it meets at; `None`: it cannot be.
        answer: oneshot::Sender<Option<u16>>,
    },
    /// The control connection is over.
    Ended {
        /// Whose.
        session: u64,
    },
}

/// The core's side.
pub(crate) struct Relay {
    calls: mpsc::Sender<Call>,
    listeners: BTreeMap<ServiceKey, AbortHandle>,
    /// Services that cannot be listened for, and why.
    refused: BTreeMap<ServiceKey, String>,
    sessions: BTreeMap<u64, Session>,
    numbers: u64,
    port: u16,
}

/// A control connection.
struct Session {
    service: ServiceKey,
    client: SocketAddr,
    real_server: SocketAddr,
    task: Option<AbortHandle>,
    meeting: Option<Meeting>,
    /// The way to the client is followed for its active data connections.
    follows_client: bool,
}

struct Meeting {
    key: ServiceKey,
    since: Instant,
}

/// A data connection to be let in: what is to be applied, in place of what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The meeting point.
    pub key: ServiceKey,
    /// Makes it.
    pub changes: [Change; 2],
    /// Whom it leads to.
    pub to: SocketAddr,
}

/// What is left of a session or of what it opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Meeting points that are over.
    pub meetings: Vec<ServiceKey>,
    /// Clients whose ways are of no interest any more.
    pub clients: Vec<IpAddr>,
}

impl Relay {
    /// One that relays nothing yet, and the calls that the core is to answer.
    pub(crate) fn new() -> (Relay, mpsc::Receiver<Call>) {
        let (calls, incoming) = mpsc::channel(CALLS);
        let (listeners, refused, sessions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        (Relay { calls, listeners, refused, sessions, numbers: 0, port: *PORTS.start() }, incoming)
    }

    /// Where sessions and listeners call.
    pub(crate) fn calls(&self) -> mpsc::Sender<Call> {
        self.calls.clone()
    }

    /// Listens for these services and no others. What cannot be listened for is tried again by the next call; returned are the
    /// services that can, if those are others than before, and sentences about what is newly in trouble.
    pub(crate) fn want(&mut self, wanted: &BTreeSet<ServiceKey>) -> (Option<BTreeSet<ServiceKey>>, Vec<String>) {
        let before: BTreeSet<ServiceKey> = self.listeners.keys().copied().collect();
        self.refused.retain(|key, _| wanted.contains(key));
        self.listeners.retain(|key, task| {
            wanted.contains(key) || {
                task.abort();
                false
            }
        });
        let mut trouble = Vec::new();
        for key in wanted.iter().filter(|key| !before.contains(key)) {
            match listen(key) {
                Ok(listener) => {
                    self.refused.remove(key);
                    let task = tokio::task::spawn_local(accept(listener, *key, self.calls.clone()));
                    self.listeners.insert(*key, task.abort_handle());
                }
                Err(e) => {
                    let why =
                        format!("FTP of {key} is not relayed, so that its data connections fail: cannot listen: {e}");
                    if self.refused.insert(*key, why.clone()).as_ref() != Some(&why) {
                        trouble.push(why);
                    }
                }
            }
        }
        let now: BTreeSet<ServiceKey> = self.listeners.keys().copied().collect();
        ((now != before).then_some(now), trouble)
    }

    /// What the operator should know.
    pub(crate) fn complaints(&self) -> impl Iterator<Item = String> + '_ {
        self.refused.values().cloned()
    }

    /// Makes a session for a client that has this real server; `None`: there are too many, or too many of this client.
    pub(crate) fn admit(&mut self, service: ServiceKey, client: SocketAddr, real_server: SocketAddr) -> Option<u64> {
        let of_client = self.sessions.values().filter(|session| session.client.ip() == client.ip());
        if self.sessions.len() >= SESSIONS || of_client.count() >= OF_A_CLIENT {
            return None;
        }
        self.numbers += 1;
        let session = Session { service, client, real_server, task: None, meeting: None, follows_client: false };
        self.sessions.insert(self.numbers, session);
        Some(self.numbers)
    }

    /// The task that carries a session.
    pub(crate) fn carried_by(&mut self, session: u64, task: AbortHandle) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.task = Some(task);
        }
    }

    /// What is to be applied for a data connection; `is_taken`: another service is there. `None`: there is no such session, or no
    /// port is free.
    pub(crate) fn opening(
        &mut self,
        session: u64,
        order: Order,
        is_taken: impl Fn(&ServiceKey) -> bool,
    ) -> Option<Opening> {
        let meetings: BTreeSet<ServiceKey> =
            self.sessions.values().filter_map(|session| Some(session.meeting.as_ref()?.key)).collect();
        let session = self.sessions.get(&session)?;
        let address = session.service.address()?;
        let key = |port| ServiceKey::new(address, Protocol::Tcp, port);
        // Round and round, so that a port is used again as late as can be.
        let after = self.port.checked_add(1).unwrap_or(*PORTS.start());
        let mut ports = (after..=*PORTS.end()).chain(*PORTS.start()..after);
        let port = ports.find(|port| !is_taken(&key(*port)) && !meetings.contains(&key(*port)))?;
        self.port = port;
        let (from, to) = match order {
            Order::Passive(port) => (session.client.ip(), SocketAddr::new(session.real_server.ip(), port)),
            Order::Active(port) => (session.real_server.ip(), SocketAddr::new(session.client.ip(), port)),
        };
        let options = ServiceOptions {
            sources: Sources {
                allow: vec![Prefix::new(from, if from.is_ipv4() { 32 } else { 128 }).ok()?],
                deny: Vec::new(),
            },
            note: Note { is_meeting: true, ..Note::default() },
            ..ServiceOptions::new(Scheduler::RoundRobin)
        };
        let server = RealServer::new(Weight::ONE, Forwarding::FullNat);
        let key = key(port);
        Some(Opening { key, changes: [Change::AddService(key, options), Change::AddRealServer(key, to, server)], to })
    }

    /// The meeting point is in force; the one before, which is over.
    pub(crate) fn opened(&mut self, now: Instant, session: u64, key: ServiceKey, order: Order) -> Option<ServiceKey> {
        let session = self.sessions.get_mut(&session)?;
        session.follows_client |= matches!(order, Order::Active(_));
        session.meeting.replace(Meeting { key, since: now }).map(|before| before.key)
    }

    /// A control connection is over. Data connections that are under way go on.
    pub(crate) fn ended(&mut self, session: u64) -> Rest {
        let Some(ended) = self.sessions.remove(&session) else { return Rest::default() };
        let client = ended.client.ip();
        let others = self.sessions.values().any(|other| other.follows_client && other.client.ip() == client);
        let clients = if ended.follows_client && !others { vec![client] } else { Vec::new() };
        Rest { meetings: ended.meeting.map(|meeting| meeting.key).into_iter().collect(), clients }
    }

    /// Ends control connections that `filter` means.
    pub(crate) fn cut(&mut self, filter: &ConnectionFilter) -> Rest {
        let is = |wanted: Option<SocketAddr>, end: SocketAddr| {
            wanted.is_none_or(|wanted| wanted.ip() == end.ip() && [0, end.port()].contains(&wanted.port()))
        };
        let meant = |session: &Session| {
            filter.service.is_none_or(|service| service == session.service)
                && is(filter.real_server, session.real_server)
                && is(filter.client, session.client)
        };
        let cut: Vec<u64> = self.sessions.iter().filter(|(_, session)| meant(session)).map(|(id, _)| *id).collect();
        let mut rest = Rest::default();
        for id in cut {
            if let Some(task) = self.sessions.get_mut(&id).and_then(|session| session.task.take()) {
                task.abort();
            }
            let Rest { meetings, clients } = self.ended(id);
            rest.meetings.extend(meetings);
            rest.clients.extend(clients);
        }
        rest
    }

    /// Meeting points that nobody needs any more: a connection that came goes on without.
    pub(crate) fn unused(&mut self, now: Instant) -> Vec<ServiceKey> {
        let over = |meeting: &mut Meeting| now - meeting.since >= UNUSED;
        self.sessions
            .values_mut()
            .filter_map(|session| session.meeting.take_if(over))
            .map(|meeting| meeting.key)
            .collect()
    }
}

/// Listens on the virtual address, whether the host has it already or not.
fn listen(key: &ServiceKey) -> io::Result<TcpListener> {
    let address = key.address().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = socket(address)?;
    // What an earlier run's connections leave behind is no reason to wait.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, key.port()))?;
    socket.listen(BACKLOG)
}

/// A socket that can have this address, whether it is the host's already or not.
fn socket(address: IpAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv4() {
        sockopt::set_ip_freebind(&socket, true)?;
    } else {
        sockopt::set_ipv6_freebind(&socket, true)?;
    }
    Ok(socket)
}

async fn accept(listener: TcpListener, service: ServiceKey, calls: mpsc::Sender<Call>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                if calls.send(Call::Accepted { service, stream, client }).await.is_err() {
                    return;
                }
            }
            Err(_) => sleep(AFTER_TROUBLE).await,
        }
    }
}

#[cfg(test)]
mod tests;

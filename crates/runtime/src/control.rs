//! The control socket: who may connect, how a conversation goes, and what one client may cost.
//!
//! The socket is 0600 in a directory of 0700 that was made before it. Requests and replies are lines of JSON, see
//! `evenkeel_api`. A client costs nothing while it is idle; one that sends half a request or does not read its reply is
//! closed after a while, and where the room for clients is used up the client that has been idle longest makes place for
//! the new one.

mod client;
mod clients;
mod peer;
#[cfg(test)]
mod tests;

use client::Client;
use clients::Clients;
use evenkeel_api::{
    JOINED_MAX, PROTOCOL, REQUEST_LINE_MAX, Refusal, Reply, Request, Role,
    table::{ConnectionEntry, ConnectionFilter},
};
use std::{
    cell::RefCell,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::UnixListener,
    sync::{broadcast, mpsc, oneshot},
};

/// What a client wants of the core.
#[derive(Debug)]
pub(crate) enum Call {
    /// One request, and where its reply goes.
    Request {
        /// What is asked; the caller's role allows it.
        request: Request,
        /// Who asks.
        role: Role,
        /// Takes the reply. Dropped: the client is closed.
        reply: oneshot::Sender<Reply>,
    },
    /// A part of the connections.
    Parts(Parts),
    /// All that were to be ended are.
    Ended {
        /// Which connections.
        filter: ConnectionFilter,
        /// How many.
        ended: u64,
        /// Takes the sentence that tells it.
        reply: oneshot::Sender<String>,
    },
}

/// Which part of the connections is wanted. A client asks for one part after the other, each when it has read the one
/// before: so nothing waits in memory for a slow reader, and a large table does not hold up anybody else.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Which connections.
    pub filter: ConnectionFilter,
    /// Where the part begins; 0 at first.
    pub from: u64,
    /// What is done with them.
    pub task: Task,
    /// Takes the part.
    pub reply: oneshot::Sender<Result<Part, Refusal>>,
}

/// What is done with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// They are listed.
    List,
    /// They are only counted.
    Count,
    /// They are ended, and counted.
    End,
}

/// A part of the connections.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The connections.
    pub entries: Vec<ConnectionEntry>,
    /// How many there are.
    pub count: u64,
    /// Where the next part begins; `None`: that was the last.
    pub next: Option<u64>,
}

/// What clients are served from.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// To the core.
    pub calls: mpsc::Sender<Call>,
    /// Events as they happen, rendered once for all who watch.
    pub events: broadcast::Sender<Arc<Vec<u8>>>,
    /// Version of the daemon, for the greeting.
    pub version: String,
    /// The user the daemon runs as.
    pub uid: u32,
    /// Groups whose members may operate.
    pub operators: Vec<u32>,
}

/// What all clients together and each of them may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Clients at the same time; at least 1.
    pub clients: usize,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// From the first byte of a request to its last.
    pub request_time: Duration,
    /// For a client to read on; each bit of progress starts it anew.
    pub reply_time: Duration,
    /// Bytes of edits that wait for the rest of them, over all clients.
    pub joined_bytes: usize,
    /// Bytes of replies that wait for their readers, over all clients.
    pub reply_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            clients: 12_000,
            request_bytes: REQUEST_LINE_MAX,
            request_time: Duration::from_secs(10),
            reply_time: Duration::from_secs(10),
            joined_bytes: JOINED_MAX,
            reply_bytes: 256 * 1024 * 1024,
        }
    }
}

/// The socket while it listens; removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, whose directory must be private already. A socket that a dead daemon left is replaced: the
    /// caller holds the instance's lock.
    pub(crate) fn bind(path: &Path) -> io::Result<ControlSocket> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(ControlSocket { listener, path: path.to_owned() })
    }

    /// Takes clients for ever.
    pub(crate) async fn serve(self, limits: Limits, service: Service) {
        let clients = Rc::new(RefCell::new(Clients::new(limits)));
        let service = Rc::new(service);
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors or memory: make room, and do not spin.
                clients.borrow_mut().evict_idle();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(peer) = stream.peer_cred() else { continue };
            let role = peer::role(peer.uid(), peer.gid(), service.uid, &service.operators);
            let id = clients.borrow_mut().admit();
            let client = Client { id, role, limits, clients: clients.clone(), service: service.clone() };
            let task = tokio::task::spawn_local(client.run(stream));
            clients.borrow_mut().started(id, task.abort_handle());
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Gone already when someone cleaned up behind our back.
        let _ = fs::remove_file(&self.path);
    }
}

fn greeting(service: &Service, role: Role) -> evenkeel_api::Greeting {
    evenkeel_api::Greeting { evenkeel: service.version.clone(), protocol: PROTOCOL, role }
}

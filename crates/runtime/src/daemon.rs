//! One run of the daemon: what it is told, and its first and last steps.

use crate::{
    configuration::{Configuration, Loader},
    dumps::DumpFiles,
    limits,
    path::{Door, PacketPath},
    running::Running,
};
use evenkeel_dataplane::{RealServer, Service, ServiceOptions, Table};
use evenkeel_model::{Cluster, Weight};
use evenkeel_os::{Lock, PidFile, RuntimeDir};
use std::{error, fmt, path::PathBuf};
use tokio::task::LocalSet;

/// What one run is told.
pub struct Options {
    /// Holds socket, pid and state of this instance.
    pub runtime_dir: PathBuf,
    /// Name of this node.
    pub node: String,
    /// Version of the program.
    pub version: String,
    /// What is to be run.
    pub first: Configuration,
    /// Reads it again.
    pub loader: Loader,
    /// Interfaces to attach to; empty: as the files say, or derived.
    pub interfaces: Vec<String>,
    /// How to attach; `None`: as the files say.
    pub door: Option<Door>,
    /// Capacity of the connection table; `None`: as the files say.
    pub connections: Option<u32>,
    /// Groups whose members may operate.
    pub operators: Vec<u32>,
    /// This program, for the instances of `execute=`.
    pub program: PathBuf,
    /// Pid files besides that of the runtime directory.
    pub pid_files: Vec<PathBuf>,
    /// Signals have files written about what runs, as those of keepalived have; `None`: they end the daemon.
    pub dumps: Option<DumpFiles>,
    /// Services that an earlier run left and that the files do not name are kept, whoever made them.
    pub keep_all: bool,
    /// Called when the daemon serves.
    pub ready: Box<dyn FnOnce()>,
}

/// What the packet path is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The instance's runtime directory.
    pub runtime_dir: PathBuf,
    /// Connections to hold; `None`: the default.
    pub connections: Option<u32>,
    /// The table when every real server is up, fallbacks included.
    pub table: Table,
    /// Clients will make most of it, so that there should be room for more than `table`.
    pub for_clients: bool,
    /// Data connections of FTP will need room beside.
    pub for_relays: bool,
}

/// An open packet path.
pub struct Opened {
    /// The path.
    pub path: Box<dyn PacketPath>,
    /// An earlier run had left it serving.
    pub adopted: bool,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Opens the packet path; the error is a sentence fragment.
pub type Opener = Box<dyn FnOnce(&Need) -> Result<Opened, String>>;

/// Why the daemon cannot serve, or did not end cleanly: one sentence fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Failure {}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure(why)
    }
}

/// Serves until told to end.
pub fn run(options: Options, open: Opener) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|e| format!("cannot start the loop: {e}"))?;
    let outcome = LocalSet::new().block_on(&runtime, serve(options, open));
    // A name that is being resolved must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn serve(mut options: Options, open: Opener) -> Result<(), Failure> {
    let _claim = Claim::make(&options)?;
    let limit = limits::raise();
    let services = std::mem::take(&mut options.first.cluster.services);
    let vrrp = std::mem::take(&mut options.first.cluster.vrrp);
    let notify = std::mem::take(&mut options.first.cluster.notify);
    let heartbeat = options.first.cluster.heartbeat.clone();
    let cluster = Cluster { settings: options.first.cluster.settings.clone(), services, vrrp, heartbeat, notify };
    let opened = open(&need(&options, &cluster)).map_err(|why| format!("cannot open the packet path: {why}"))?;
    let Opened { path, adopted, warnings } = opened;
    let warnings = limit.into_iter().chain(warnings).collect();
    let mut running = match Running::prepare(options, &cluster, path, warnings) {
        Ok(running) => running,
        Err((path, why)) => return Err(give_up(path, adopted, why)),
    };
    if let Err(why) = running.start(cluster).await {
        return Err(give_up(running.into_path(adopted), adopted, why));
    }
    running.until_the_end().await;
    running.end().await
}

/// What keeps other instances away. Let go from top to bottom: who waits for the last one to be gone can start at once.
struct Claim {
    _lock: Lock,
    _named: Vec<PidFile>,
    _pid: PidFile,
}

impl Claim {
    fn make(options: &Options) -> Result<Claim, Failure> {
        let directory = RuntimeDir::prepare(&options.runtime_dir).map_err(|e| e.to_string())?;
        let lock = directory.lock().map_err(|e| e.to_string())?;
        let pid_file = |path: PathBuf| PidFile::create(path).map_err(|e| Failure(e.to_string()));
        let pid = pid_file(directory.join("pid"))?;
        let named = options.pid_files.iter().cloned().map(pid_file).collect::<Result<_, _>>()?;
        Ok(Claim { _lock: lock, _named: named, _pid: pid })
    }
}

fn need(options: &Options, cluster: &Cluster) -> Need {
    let services = cluster.services.iter().map(|service| {
        let servers = service.real_servers.iter().map(|r| (r.address, r.forwarding, r.weight));
        let fallback = service.fallback.iter().map(|f| (f.address, f.forwarding, Weight::ONE));
        let real_servers = servers.chain(fallback);
        let real_servers =
            real_servers.map(|(address, forwarding, weight)| (address, RealServer::new(weight, forwarding)));
        let options = ServiceOptions::from(service);
        (service.key, Service { options, real_servers: real_servers.collect() })
    });
    Need {
        runtime_dir: options.runtime_dir.clone(),
        connections: options.connections.or(cluster.settings.connections),
        table: Table { services: services.collect() },
        for_clients: options.keep_all,
        for_relays: cluster.services.iter().any(|service| service.ftp),
    }
}

/// It cannot serve. What an earlier run had left serving goes on; what this one made is removed.
fn give_up(path: Box<dyn PacketPath>, adopted: bool, why: String) -> Failure {
    if adopted {
        path.leave();
        return Failure(format!("{why}; what an earlier run left goes on serving, `evenkeel stop` ends it"));
    }
    match path.remove() {
        Ok(()) => Failure(why),
        Err(e) => Failure(format!("{why}; and not all of what was added could be removed: {e}")),
    }
}

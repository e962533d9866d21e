//! What the engine is told.

use crate::{CheckId, Overrides, Token};
use evenkeel_api::{BfdStatus, ClusterStatus, DataplaneStatus, HaStatus, Request, Role, table::Edit};
use evenkeel_dataplane::{Counters, Order, Table};
use evenkeel_health::Verdict;
use evenkeel_model::{Cluster, Match, ServiceKey, heartbeat::Heartbeat, vrrp};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// What never changes while the engine lives.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Version of the daemon, as status and events tell it.
    pub version: String,
    /// Name of this node.
    pub node: String,
    /// Seed of all chance (jitter).
    pub seed: u64,
}

/// What the engine begins with.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// What is to be done.
    pub cluster: Cluster,
    /// What the data plane holds now; empty unless an earlier run left it. Real servers found there with a weight above
    /// 0 go on serving until their first verdict.
    pub observed: Table,
    /// The order in which that was made; what it does not name comes last, by address.
    pub order: Order,
    /// What [`crate::Effect::Persist`] gave last, aged by the time that has passed since.
    pub overrides: Overrides,
    /// Names of the files in the maintenance directory.
    pub maintenance: BTreeSet<String>,
    /// Services that are observed and not in `cluster` are kept, whoever made them. Else only those that clients made are.
    pub keep_all: bool,
    /// What the host's own rules give marks to; as [`Input::Marks`] later.
    pub marks: HostMarks,
}

/// What the host's own rules give firewall marks to, for the services by mark that say nothing themselves.
pub type HostMarks = BTreeMap<ServiceKey, Vec<Match>>;

/// Edits of the table, one client's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditOrder {
    /// Who asked.
    pub token: Token,
    /// In order.
    pub edits: Vec<Edit>,
    /// All or nothing.
    pub atomic: bool,
    /// Of the real servers' addresses those that are this host's own.
    pub own: BTreeSet<IpAddr>,
}

/// Something the engine is told.
#[derive(Debug)]
pub enum Input {
    /// Begin. Comes once, first.
    Start(Box<Start>),
    /// Another cluster is to be run. Answers `token` with what was changed once that is in force.
    Reload {
        /// What is to be done from now on.
        cluster: Box<Cluster>,
        /// Who asked; none for a signal or a file that changed.
        token: Option<Token>,
    },
    /// The files could not be read or resolved; the old cluster runs on.
    ReloadFailed {
        /// The first mistake, and how many more.
        why: String,
        /// Who asked.
        token: Option<Token>,
    },
    /// What would running this cluster change?
    Plan {
        /// The cluster the files hold now.
        cluster: Box<Cluster>,
        /// What is held beside the services.
        held: Box<Held>,
        /// Who asked.
        token: Token,
    },
    /// What the data plane truly holds, read now and while no [`crate::Effect::Program`] is open (a reading taken while
    /// one is open is ignored). What differs from what it should hold is repaired.
    Observed(Table),
    /// The attempt has got its turn.
    Begun {
        /// As ordered.
        check: CheckId,
        /// As ordered.
        attempt: u64,
    },
    /// The attempt has ended.
    Verdict {
        /// As ordered.
        check: CheckId,
        /// As ordered.
        attempt: u64,
        /// What it found.
        verdict: Verdict,
    },
    /// A BFD session has come up or gone down, or is told for the first time.
    Session {
        /// Its name.
        name: String,
        /// It is up.
        up: bool,
        /// What is known of it, where it is not.
        why: String,
    },
    /// The addresses this host has, where they have changed: checks of services that rest without theirs go by them.
    Held(BTreeSet<IpAddr>),
    /// A client edits the table; answered when that is in force.
    Edit(EditOrder),
    /// The outcome of the open [`crate::Effect::Program`] or [`crate::Effect::Operate`].
    Programmed {
        /// As ordered.
        batch: u64,
        /// `Err`: the data plane refused a change.
        outcome: Result<(), ProgramFailure>,
    },
    /// The outcome of a [`crate::Effect::Flush`].
    Flushed {
        /// As ordered.
        service: ServiceKey,
        /// As ordered.
        real_server: SocketAddr,
        /// How many connections were ended.
        outcome: Result<u64, String>,
    },
    /// The outcome of the open [`crate::Effect::Sample`].
    Sampled(Box<Sample>),
    /// A client asks. `Watch`, `Reload`, `Plan` and `Edit` are the runtime's to carry out ([`Input::Reload`],
    /// [`Input::Plan`], [`Input::Edit`]), and so is what only reads ([`crate::Balance::table`]) or flushes connections;
    /// they are refused here, but their role can be checked with [`evenkeel_api::Request::needs`].
    Request {
        /// Where the reply goes.
        token: Token,
        /// Who asks.
        role: Role,
        /// For what.
        request: Request,
    },
    /// The host's own rules were read again: what they give marks to now, all of it.
    Marks(HostMarks),
    /// The services whose connections are relayed from now on, all of them; also before [`Input::Start`].
    Relays(BTreeSet<ServiceKey>),
    /// The names of all files in the maintenance directory.
    Maintenance(BTreeSet<String>),
    /// Something the runtime has seen that is only told on: attachments, next hops, a full table, a failed command.
    Tell(evenkeel_api::Event),
    /// End: SIGTERM, or the files are gone. The first counts, others change nothing.
    Stop,
}

/// A change the data plane refused, as [`evenkeel_dataplane::ApplyError`] says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFailure {
    /// How many changes before it are in force.
    pub applied: usize,
    /// Why it was refused.
    pub why: String,
}

/// Numbers and facts that only the runtime has, for one status.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Counters of each service and of each real server in it.
    pub services: BTreeMap<ServiceKey, ServerSample>,
    /// Kind, attachments and drops of the data plane.
    pub dataplane: DataplaneStatus,
    /// How real servers are reached, where known: `52:54:00:aa:02:07 on eth1`.
    pub next_hops: BTreeMap<IpAddr, String>,
    /// Of these, the ones no way is known to.
    pub unreachable: BTreeSet<IpAddr>,
    /// What the operator should know, one sentence each (host firewall, crash not survived).
    pub warnings: Vec<String>,
    /// Failover groups and how they stand.
    pub ha: Vec<HaStatus>,
    /// BFD sessions.
    pub bfd: Vec<BfdStatus>,
    /// The heartbeat cluster.
    pub cluster: Option<ClusterStatus>,
}

/// Counters of one service.
#[derive(Clone, Debug, Default)]
pub struct ServerSample {
    /// Of the service.
    pub total: Counters,
    /// Of its real servers.
    pub real_servers: BTreeMap<SocketAddr, Counters>,
}

/// What this node takes part in beside its services, which is held elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Elections.
    pub vrrp: vrrp::Elections,
    /// A cluster.
    pub heartbeat: Option<Heartbeat>,
}

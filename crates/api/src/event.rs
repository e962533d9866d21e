//! Everything that can happen, as one closed type. Log line, monitor file, mail and API stream are made from it.
//!
//! The text of an event is one sentence or a few short ones: what, why, since when, effect, next step.

use serde::{Deserialize, Serialize};

mod text;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A change the operator would tell a colleague.
    Info,
    /// Something is less than it should be, and clients do not feel it yet.
    Warning,
    /// Worth waking someone.
    Error,
}

/// Something that happened. `server` is a real server's name, `address` its address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The daemon serves.
    Started {
        /// Version of the daemon.
        version: String,
        /// Virtual services.
        services: usize,
        /// Real servers over all services.
        real_servers: usize,
        /// Real servers found serving in a table that an earlier run had left.
        adopted: usize,
    },
    /// The daemon ends.
    Stopping {
        /// Services taken out of the table.
        removed: usize,
        /// Services left serving (`cleanstop=no`).
        left: usize,
    },
    /// A real server takes connections (again).
    ServerUp {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// Its address.
        address: String,
        /// The good verdict: `http 200 in 3 ms`.
        why: String,
        /// How long it was down; none before its first check.
        down_s: Option<u64>,
        /// The weight it has in the table now.
        weight: u32,
        /// It is drained: up, and takes no new connections.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        drained: bool,
        /// Real servers of the service that are up.
        up: usize,
        /// Real servers of the service.
        of: usize,
    },
    /// A real server takes no more connections.
    ServerDown {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// Its address.
        address: String,
        /// The bad verdict: `connect to 192.0.2.2:80 refused`.
        why: String,
        /// Attempts that failed in a row.
        failed: u32,
        /// How long it was up; none when it was never seen up.
        up_s: Option<u64>,
        /// It stays in the table with weight 0.
        quiesced: bool,
        /// Real servers of the service that are up.
        up: usize,
        /// Real servers of the service.
        of: usize,
        /// The sorry server that answers now.
        fallback: Option<String>,
    },
    /// No real server takes connections; the sorry server answers.
    FallbackInUse {
        /// Name of the service.
        service: String,
        /// Real servers that are up, all drained or with weight 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        idle: usize,
        /// The sorry server.
        fallback: String,
    },
    /// A real server is up again; the sorry server is out of the table.
    FallbackLeft {
        /// Name of the service.
        service: String,
        /// The sorry server.
        fallback: String,
        /// How long it answered.
        used_s: u64,
    },
    /// No real server takes connections and there is no sorry server.
    ServiceDown {
        /// Name of the service.
        service: String,
        /// Real servers that are up, all drained or with weight 0.
        #[serde(default, skip_serializing_if = "is_zero")]
        idle: usize,
    },
    /// A service without a sorry server has a real server again.
    ServiceUp {
        /// Name of the service.
        service: String,
        /// How long it had none.
        down_s: u64,
    },
    /// Less than the quorum of a service is up.
    QuorumLost {
        /// Name of the service.
        service: String,
        /// The weights of its real servers that are up.
        weight: u64,
        /// What was to be up at least.
        needed: u64,
        /// The sorry server that answers now.
        fallback: Option<String>,
    },
    /// The quorum is up again.
    QuorumReached {
        /// Name of the service.
        service: String,
        /// The weights of its real servers that are up.
        weight: u64,
        /// How long it was lost.
        lost_s: u64,
        /// The sorry server that answered.
        fallback: Option<String>,
    },
    /// A check has changed the weight of a real server.
    WeightFollowed {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// The weight now.
        weight: u32,
        /// What the check found.
        why: String,
    },
    /// So many real servers went down at once that the checks themselves are suspect.
    ChecksSuspect {
        /// Real servers that went down within the window.
        down: usize,
        /// Real servers that are watched.
        of: usize,
        /// Of the failures, those the director itself is to blame for (no route, no descriptors).
        own_fault: usize,
        /// One of the reasons.
        why: String,
    },
    /// A new configuration is in force.
    Reloaded {
        /// Changes made to the data plane's table.
        changes: usize,
        /// Virtual services.
        services: usize,
        /// Real servers over all services.
        real_servers: usize,
    },
    /// A new configuration was not taken.
    ReloadFailed {
        /// What is wrong with it.
        why: String,
    },
    /// The data plane refused a change.
    ProgramFailed {
        /// The change, in words.
        change: String,
        /// What the data plane said.
        why: String,
        /// Seconds to the next try; none when the last one was made.
        retry_s: Option<u64>,
    },
    /// The data plane is as it should be again.
    ProgramRecovered {
        /// How long it was not.
        after_s: u64,
    },
    /// Somebody else had changed the data plane's table; it is as it should be again.
    TableRepaired {
        /// Services that were not as they should be.
        services: usize,
    },
    /// A real server takes no new connections, as asked.
    Drained {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// Seconds until it takes connections again by itself.
        for_s: Option<u64>,
    },
    /// A drained real server has no active connections left, or as few as were to be waited for.
    DrainedIdle {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// How long that took.
        after_s: u64,
        /// How many are left.
        #[serde(default, skip_serializing_if = "is_none_left")]
        left: u64,
    },
    /// The connections that a drained real server had left were ended.
    DrainEnded {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// How long it had drained.
        after_s: u64,
        /// How many were ended.
        ended: u64,
        /// The deadline has passed: more were left than should be.
        late: bool,
    },
    /// Connections were ended, as asked.
    Flushed {
        /// Which ones: `of real server 192.0.2.2:80`.
        which: String,
        /// How many.
        ended: u64,
    },
    /// The table was edited by a client.
    Edited {
        /// The first edit: `added service 192.0.2.1:80/tcp`.
        first: String,
        /// How many more.
        more: usize,
    },
    /// A drained real server takes connections again.
    Undrained {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// The time given to `drain` is over.
        expired: bool,
    },
    /// A real server has another weight, as asked.
    WeightSet {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// The weight before.
        from: u32,
        /// The weight now.
        to: u32,
        /// It is the file's weight again.
        as_configured: bool,
    },
    /// Out of service, as asked.
    Disabled {
        /// Name of the service.
        service: String,
        /// Name of the real server; none: the whole service.
        server: Option<String>,
    },
    /// In service again, as asked.
    Enabled {
        /// Name of the service.
        service: String,
        /// Name of the real server; none: the whole service.
        server: Option<String>,
    },
    /// A maintenance file names this real server: it counts as down.
    MaintenanceBegan {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
        /// Name of the file.
        file: String,
    },
    /// No maintenance file names it any longer.
    MaintenanceEnded {
        /// Name of the service.
        service: String,
        /// Name of the real server.
        server: String,
    },
    /// The program takes packets in another way, or on another interface, or no longer.
    AttachmentChanged {
        /// Name of the interface.
        interface: String,
        /// `xdp`, `tcx`, `clsact` or `generic`; none: nothing is attached there.
        mode: Option<String>,
        /// What brought it about.
        why: String,
    },
    /// A real server's MAC address is not known: its packets go nowhere.
    NextHopLost {
        /// Address of the real server.
        address: String,
        /// What the kernel says: `no answer on eth1`, `no route`.
        why: String,
    },
    /// It is known (again), or it is another one.
    NextHopFound {
        /// Address of the real server.
        address: String,
        /// MAC address.
        mac: String,
        /// Name of the interface.
        interface: String,
    },
    /// New connections are dropped because the connection table is full of established ones.
    TableFull {
        /// Connections dropped since the last such event.
        dropped: u64,
        /// Its capacity.
        capacity: u64,
    },
    /// A rule of the host's firewall does not see the traffic of a service.
    FirewallBypassed {
        /// Name of the service.
        service: String,
        /// The rule, as the host prints it.
        rule: String,
    },
    /// A VRRP instance of this node has another part.
    RoleChanged {
        /// Name of the instance.
        instance: String,
        /// `init`, `backup`, `master` or `fault`: what it was.
        from: String,
        /// What it is.
        to: String,
        /// Why.
        why: String,
        /// The addresses it holds as master.
        addresses: Vec<String>,
    },
    /// A BFD session came up or went down.
    BfdChanged {
        /// Name of the session.
        session: String,
        /// Address of the other end.
        neighbour: String,
        /// It is up.
        up: bool,
        /// One of the ends was taken down on purpose, which is no failure.
        by_will: bool,
        /// Why.
        why: String,
    },
    /// A program that was to be told something failed.
    CommandFailed {
        /// The program and its arguments.
        command: String,
        /// How it failed.
        why: String,
    },
    /// A mail could not be sent.
    MailFailed {
        /// To whom.
        to: String,
        /// What the mail server said.
        why: String,
    },
    /// Mails were not sent, because too many changes came at once.
    MailsDropped {
        /// How many changes were told by no mail.
        changes: usize,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this form")]
fn is_none_left(number: &u64) -> bool {
    *number == 0
}

impl Event {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Event::Started { .. }
            | Event::Stopping { .. }
            | Event::ServerUp { .. }
            | Event::FallbackLeft { .. }
            | Event::ServiceUp { .. }
            | Event::QuorumReached { .. }
            | Event::WeightFollowed { .. }
            | Event::Reloaded { .. }
            | Event::ProgramRecovered { .. }
            | Event::Drained { .. }
            | Event::DrainedIdle { .. }
            | Event::Flushed { .. }
            | Event::Edited { .. }
            | Event::Undrained { .. }
            | Event::WeightSet { .. }
            | Event::Disabled { .. }
            | Event::Enabled { .. }
            | Event::MaintenanceBegan { .. }
            | Event::MaintenanceEnded { .. }
            | Event::NextHopFound { .. } => Severity::Info,
            Event::RoleChanged { to, .. } if to != "fault" => Severity::Info,
            Event::BfdChanged { up, by_will, .. } if *up || *by_will => Severity::Info,
            Event::DrainEnded { late: false, .. } => Severity::Info,
            Event::DrainEnded { late: true, .. }
            | Event::ServerDown { .. }
            | Event::TableRepaired { .. }
            | Event::AttachmentChanged { .. }
            | Event::NextHopLost { .. }
            | Event::RoleChanged { .. }
            | Event::BfdChanged { .. }
            | Event::FirewallBypassed { .. }
            | Event::CommandFailed { .. }
            | Event::MailFailed { .. }
            | Event::MailsDropped { .. } => Severity::Warning,
            Event::FallbackInUse { .. }
            | Event::ServiceDown { .. }
            | Event::QuorumLost { .. }
            | Event::ChecksSuspect { .. }
            | Event::ReloadFailed { .. }
            | Event::ProgramFailed { .. }
            | Event::TableFull { .. } => Severity::Error,
        }
    }
}

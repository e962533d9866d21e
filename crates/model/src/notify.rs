//! Who is told when a VRRP instance turns or a real server comes or goes, besides the log: scripts, FIFOs and mail, as
//! keepalived has them.

use crate::{Account, ServiceKey};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

/// Everybody who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// About VRRP instances, by their names.
    pub instances: BTreeMap<String, RoleNotify>,
    /// About sync groups, by their names.
    pub groups: BTreeMap<String, RoleNotify>,
    /// About virtual services and their real servers.
    pub services: BTreeMap<ServiceKey, ServiceNotify>,
    /// FIFOs that get a line for each change; at most one of a [`Subject`].
    pub fifos: Vec<Fifo>,
    /// One mail for each change, for what asks for mails.
    pub mail: Option<MailRoute>,
    /// No script runs as root that anybody else could change (`enable_script_security`).
    pub strict: bool,
    /// FIFOs are told how all instances stand after a reload (`fifo_write_vrrp_states_on_reload`).
    pub states_on_reload: bool,
    /// Run before anything is served (`startup_script`).
    pub startup: Option<Bracket>,
    /// Run after everything has ended (`shutdown_script`).
    pub shutdown: Option<Bracket>,
}

/// What an instance or a sync group may turn into, or hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// It has the addresses.
    Master,
    /// It waits.
    Backup,
    /// It may not be master.
    Fault,
    /// The daemon ends.
    Stop,
    /// A reload has removed it.
    Deleted,
    /// It is master and hears a lower one (`notify_master_rx_lower_pri`).
    LowerHeard,
}

impl Moment {
    /// Every one.
    pub const ALL: [Moment; 6] =
        [Moment::Master, Moment::Backup, Moment::Fault, Moment::Stop, Moment::Deleted, Moment::LowerHeard];

    /// As scripts and FIFOs are told it.
    pub fn word(self) -> &'static str {
        match self {
            Moment::Master => "MASTER",
            Moment::Backup => "BACKUP",
            Moment::Fault => "FAULT",
            Moment::Stop => "STOP",
            Moment::Deleted => "DELETED",
            Moment::LowerHeard => "MASTER_RX_LOWER_PRI",
        }
    }
}

/// Who is told about an instance or a sync group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleNotify {
    /// At one moment each, with no more arguments than their own.
    pub scripts: BTreeMap<Moment, NotifyScript>,
    /// At every turn, with four arguments more: `INSTANCE` or `GROUP`, name, state, priority.
    pub any: Option<NotifyScript>,
    /// FIFOs get a line when the priority changes.
    pub priorities: bool,
    /// What a reload removes is `DELETED` and not `FAULT` (`notify_deleted`).
    pub deleted: bool,
    /// Turns are mailed.
    pub mail: bool,
}

/// Who is told about a virtual service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceNotify {
    /// When the quorum is reached (`quorum_up`).
    pub up: Option<NotifyScript>,
    /// When it is lost (`quorum_down`).
    pub down: Option<NotifyScript>,
    /// Both are mailed.
    pub mail: bool,
    /// What is up goes down when the daemon ends (`omega`).
    pub omega: bool,
    /// About its real servers; nobody is told about the others.
    pub servers: BTreeMap<SocketAddr, ServerNotify>,
}

impl ServiceNotify {
    /// Says who is told about a real server.
    pub fn tell(&mut self, address: SocketAddr, told: ServerNotify) {
        if told != ServerNotify::default() {
            self.servers.insert(address, told);
        }
    }

    /// Whether it says nothing.
    pub fn is_silent(&self) -> bool {
        let ServiceNotify { up, down, mail, omega, servers } = self;
        let silent = servers.values().all(|server| *server == ServerNotify::default());
        silent && up.is_none() && down.is_none() && !mail && !omega
    }
}

/// Who is told about a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNotify {
    /// When it comes up (`notify_up`).
    pub up: Option<NotifyScript>,
    /// When it goes down (`notify_down`).
    pub down: Option<NotifyScript>,
    /// Both are mailed.
    pub mail: bool,
    /// That its first check was good is told (`rs_init_notifies`, `alpha`); else only what changes later is.
    pub first: bool,
}

/// A program that is told something. Without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyScript {
    /// The program, looked for as a shell does where it is no path.
    pub program: PathBuf,
    /// Its arguments before those that tell.
    pub arguments: Vec<String>,
    /// Who runs it; `None`: `keepalived_script` where there is such a user, else the daemon's own.
    pub user: Option<Account>,
}

/// A FIFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// What it is told of.
    pub about: Subject,
    /// Where it is; made with mode 0600 where it is not there, and then removed at the end.
    pub path: PathBuf,
    /// Whose it is; `None`: the daemon's.
    pub owner: Option<Account>,
    /// A program that runs as long as the daemon and reads it; its path is the program's last argument.
    pub script: Option<NotifyScript>,
}

/// What a FIFO is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Everything (`notify_fifo`).
    All,
    /// Instances and sync groups (`vrrp_notify_fifo`).
    Vrrp,
    /// Virtual services and real servers (`lvs_notify_fifo`).
    Services,
}

/// A script around the daemon's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The script.
    pub script: NotifyScript,
    /// What it may take.
    pub timeout: Duration,
}

/// Where mails of single changes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRoute {
    /// Recipients, at least one.
    pub to: Vec<String>,
    /// Sender; `None`: `keepalived` at this node.
    pub from: Option<String>,
    /// SMTP server and port.
    pub smtp: String,
    /// Name in HELO; `None`: that of the host.
    pub helo: Option<String>,
    /// What the server may take.
    pub timeout: Duration,
    /// How this node is called in subjects (`router_id`); `None`: as the host.
    pub node: Option<String>,
    /// Whether faults of instances are told (`no_email_faults` says no).
    pub faults: bool,
}

impl MailRoute {
    /// What a mail server may take where nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
}

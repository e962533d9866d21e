//! What elections follow besides packets: interfaces, scripts, files, processes and BFD sessions, whose state makes an
//! instance unfit or changes its priority.

use super::{Firewall, Fixed, Instance, Pause};
use crate::{Account, Script, ServiceKey, bfd};
use std::{fmt, path::PathBuf, time::Duration};

/// Everything a node's elections are held by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elections {
    /// The instances.
    pub instances: Vec<Instance>,
    /// Sync groups that have more to say than the instances that name them.
    pub groups: Vec<SyncGroup>,
    /// What can be tracked; each target once. Interfaces need no entry, unless with delays.
    pub trackers: Vec<Tracker>,
    /// BFD sessions; names, and neighbours with a source and a reach, are unique.
    pub bfd: Vec<bfd::Session>,
    /// From the start of the daemon until a backup begins to count the time without a master
    /// (`vrrp_startup_delay`).
    pub startup_delay: Duration,
    /// The same from the start of the host (`vrrp_delay_after_boot`).
    pub boot_delay: Duration,
    /// How slowly addresses are announced; an interface is in one at most.
    pub pauses: Vec<Pause>,
    /// The host tells no switch that it listens to 224.0.0.0/24 (`disable_local_igmp`).
    pub quiet_igmp: bool,
    /// Addresses, routes and rules that stay on the node, whoever is master.
    pub fixed: Fixed,
    /// How packets to addresses are kept away that are not accepted.
    pub firewall: Firewall,
    /// Services that this host answers itself, by address: packets to them are taken on every address.
    pub answered: Vec<ServiceKey>,
}

/// A sync group's own words. Its members are the instances that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// As the operator calls it.
    pub name: String,
    /// What each of its members follows besides its own tracks; a target once at most, and none that a member names
    /// itself.
    pub tracks: Vec<Track>,
}

/// Names what is tracked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An interface, by its name: up while it is there, up and has a carrier.
    Interface(String),
    /// A [`Tracker::Script`].
    Script(String),
    /// A [`Tracker::File`].
    File(String),
    /// A [`Tracker::Process`].
    Process(String),
    /// A BFD session: up while it is Up.
    Bfd(String),
}

impl fmt::Display for Target {
    /// `script chk_nginx`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Target::Interface(name) => ("interface", name),
            Target::Script(name) => ("script", name),
            Target::File(name) => ("file", name),
            Target::Process(name) => ("process", name),
            Target::Bfd(name) => ("BFD session", name),
        };
        write!(f, "{kind} {name}")
    }
}

/// That an instance, or each member of a group, follows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What.
    pub target: Target,
    /// What its state is worth, -254 to 254. 0: while it is down nobody may be master. Above 0: added to the priority
    /// while it is up. Below 0: taken while it is down. A file's number is multiplied by it.
    pub weight: i32,
    /// Turns the meaning round: with weight 0 up is unfit, else what would be added is taken.
    pub reverse: bool,
}

/// Something that can be tracked and has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracker {
    /// An interface whose changes count only after a while.
    Interface {
        /// Its name.
        name: String,
        /// How long a change must last.
        delays: LinkDelays,
    },
    /// A program that is run again and again; up while it ends with status 0.
    Script {
        /// As the operator calls it.
        name: String,
        /// What is run.
        script: Script,
        /// As whom; `None`: as the daemon.
        account: Option<Account>,
        /// When, and how its results count.
        rhythm: ScriptRhythm,
    },
    /// A file that holds a number.
    File(File),
    /// Processes that are counted.
    Process(Process),
}

impl Tracker {
    /// As tracks name it.
    pub fn target(&self) -> Target {
        match self {
            Tracker::Interface { name, .. } => Target::Interface(name.clone()),
            Tracker::Script { name, .. } => Target::Script(name.clone()),
            Tracker::File(file) => Target::File(file.name.clone()),
            Tracker::Process(process) => Target::Process(process.name.clone()),
        }
    }
}

/// How long an interface's change must last before it counts (`interface_up_down_delays`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkDelays {
    /// Before it counts as down.
    pub down: Duration,
    /// Before it counts as up.
    pub up: Duration,
}

/// When a script is run and how its results count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptRhythm {
    /// Between two starts; never while one still runs.
    pub interval: Duration,
    /// How long a run may take; longer is a failure.
    pub timeout: Duration,
    /// Good runs in a row that make it up, at least 1. The first run ever counts at once.
    pub rise: u32,
    /// Failed runs in a row that make it down, at least 1.
    pub fall: u32,
    /// What it is before its first run has ended.
    pub initially: Initial,
}

/// What a script is before its first run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    /// Nobody knows: an instance that is unfit without it waits, and weights do not count.
    Unknown,
    /// Down, and up after `rise` good runs (`init_fail`).
    Down,
}

/// A file with a number in it; 0 while it is not there or holds none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// As the operator calls it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Number it is made with at the start.
    pub initial: Option<i32>,
    /// Whether a file that is there is overwritten by it.
    pub overwrite: bool,
}

/// Processes that are counted; up while there are as many as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// As the operator calls it.
    pub name: String,
    /// Name of the program: as the kernel has it (15 bytes), or the first word of the command line with `whole_command`.
    pub program: String,
    /// Compare with the command line, not with the kernel's name.
    pub whole_command: bool,
    /// What its parameters must be; `None`: anything.
    pub parameters: Option<ParameterMatch>,
    /// How many there must be.
    pub quorum: Quorum,
    /// How long a quorum that a new process brings or breaks must last before it counts.
    pub fork_delay: Duration,
    /// The same for one that ends.
    pub terminate_delay: Duration,
}

/// What the parameters of a process must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterMatch {
    /// These and no more.
    Exact(Vec<String>),
    /// These, and perhaps more behind.
    Leading(Vec<String>),
    /// These, the last of which may go on, and perhaps more behind.
    Initial(Vec<String>),
}

/// A number of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// At least so many.
    pub least: u32,
    /// At most so many; `None`: any number.
    pub most: Option<u32>,
}

impl Quorum {
    /// Whether `count` processes are as many as wanted.
    pub fn holds(self, count: u32) -> bool {
        count >= self.least && self.most.is_none_or(|most| count <= most)
    }
}

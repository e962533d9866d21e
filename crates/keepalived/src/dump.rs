//! What the daemon knows, as keepalived's dump files show it.

mod check;
mod garp;
mod global;
mod instance;
mod json;
mod link;
mod routing;
mod stats;
mod tracked;

use evenkeel_config::keepalived::{
    GlobalWord,
    vrrp::{Vrrp, VrrpInstance, VrrpSyncGroup},
};
use evenkeel_model::{Notify, Service, vrrp::Instance};
use evenkeel_vrrp::Statistics;
use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub use link::Link;
pub use tracked::ScriptStanding;

/// Everything there is to show.
pub struct Dump<'a> {
    /// Name of this host.
    pub host: &'a str,
    /// `global_defs`, word for word.
    pub globals: &'a [GlobalWord],
    /// What the files say about VRRP.
    pub written: &'a Vrrp,
    /// The instances, in the order of the files.
    pub instances: &'a [Standing<'a>],
    /// How tracked scripts stand, by name; those that are not here count as not run yet.
    pub scripts: &'a [ScriptStanding],
    /// The numbers in tracked files, by the names of those.
    pub files: &'a [(String, i64)],
    /// How many tracked processes run, by name.
    pub processes: &'a [(String, i64)],
    /// The interfaces, by index.
    pub links: &'a [Link],
    /// The virtual services.
    pub services: &'a [Service],
    /// Who is told of changes.
    pub notify: &'a Notify,
    /// Whether this real server of this service takes traffic.
    pub alive: &'a dyn Fn(&Service, SocketAddr) -> bool,
    /// Who programs run as.
    pub programs: &'a dyn Programs,
    /// Time of day here of a time since 1970.
    pub local: &'a dyn Fn(Duration) -> Civil,
    /// Bits that files are not created with.
    pub umask: u32,
}

/// Who programs run as.
pub trait Programs {
    /// Numbers of user and group, as `script_user` and its like name them; with none, those that keepalived takes.
    fn ids(&self, user: &[String]) -> (u32, u32);
}

/// A point of time where this host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// How an instance stands.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    /// As it is carried out.
    pub instance: &'a Instance,
    /// Its part.
    pub state: State,
    /// The priority it has, tracking included.
    pub priority: u8,
    /// The address it sends from.
    pub source: Option<IpAddr>,
    /// Whether it has put its addresses there.
    pub holds: bool,
    /// What keeps it from being master: its interface, a missing address.
    pub faults: u32,
    /// Since 1970: when its part changed last.
    pub since: Duration,
    /// Since 1970: its next timer.
    pub due: Option<Duration>,
    /// What it sends and listens by.
    pub socket: Option<Socket>,
    /// What it has said, heard and dropped.
    pub statistics: Statistics,
}

/// A socket that instances share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// For what comes in.
    pub reads: i32,
    /// For what goes out.
    pub writes: i32,
}

/// A part in an election, in keepalived's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not begun, or ended.
    Init = 0,
    /// Waits for the master to fall silent.
    Backup = 1,
    /// Has the addresses.
    Master = 2,
    /// May not be master.
    Fault = 3,
}

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        })
    }
}

/// Text that a function writes.
struct By<F: Fn(&mut Formatter<'_>) -> fmt::Result>(F);

impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for By<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

impl Dump<'_> {
    /// `keepalived.data`
    pub fn data(&self) -> String {
        By(|f| {
            global::write(f, self, true)?;
            garp::write(f, self)?;
            self.fixed(f)?;
            self.topology(f)?;
            self.groups(f)?;
            tracked::write(f, self)?;
            link::write(f, self)
        })
        .to_string()
    }

    /// `keepalived_parent.data`
    pub fn parent(&self) -> String {
        By(|f| global::write(f, self, false)).to_string()
    }

    /// `keepalived_check.data`
    pub fn check(&self) -> String {
        By(|f| {
            global::write(f, self, false)?;
            check::write(f, self)
        })
        .to_string()
    }

    /// `keepalived.stats`
    pub fn stats(&self) -> String {
        stats::text(self.instances)
    }

    /// `keepalived.json`; without an instance there is none.
    pub fn json(&self) -> Option<String> {
        (!self.instances.is_empty()).then(|| json::text(self))
    }

    /// What stays on the node whoever is master.
    fn fixed(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let interface = global::text(self.globals, "default_interface").unwrap_or("eth0");
        let group = |line| routing::group(self.written.track_group(line));
        if !self.written.static_addresses.is_empty() {
            writeln!(f, "------< Static Addresses >------")?;
            for address in &self.written.static_addresses {
                writeln!(f, "     {}", instance::written_address(address, interface, true))?;
            }
        }
        if !self.written.static_routes.is_empty() {
            writeln!(f, "------< Static Routes >------")?;
        }
        self.written
            .static_routes
            .iter()
            .try_for_each(|it| writeln!(f, "     {}{}", routing::route(&it.value), group(it.span)))?;
        if !self.written.static_rules.is_empty() {
            writeln!(f, "------< Static Rules >------")?;
        }
        self.written
            .static_rules
            .iter()
            .try_for_each(|it| writeln!(f, "     {}{}", routing::rule(&it.value), group(it.span)))
    }

    fn topology(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.instances.is_empty() {
            writeln!(f, "------< VRRP Topology >------")?;
            self.instances.iter().try_for_each(|standing| instance::write(f, self, standing))?;
        }
        let mut sockets: Vec<Socket> = Vec::new();
        for socket in self.instances.iter().filter_map(|standing| standing.socket) {
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
        if !sockets.is_empty() {
            writeln!(f, "------< VRRP Sockpool >------")?;
        }
        sockets.iter().try_for_each(|socket| instance::write_socket(f, self, *socket))
    }

    fn groups(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let groups = &self.written.sync_groups;
        if !groups.is_empty() {
            writeln!(f, "------< VRRP Sync groups >------")?;
        }
        groups.iter().try_for_each(|group| instance::write_group(f, self, group))
    }

    fn ids(&self, user: &[String]) -> (u32, u32) {
        let usual: &[String] = global::word(self.globals, "script_user").map_or(&[], |word| &word.args);
        self.programs.ids(if user.is_empty() { usual } else { user })
    }

    /// What the file says of an instance.
    fn written(&self, name: &str) -> Option<&VrrpInstance> {
        self.written.instances.iter().find(|written| written.name.value == name)
    }

    /// The group that the file puts an instance into.
    fn group_of(&self, name: &str) -> Option<&VrrpSyncGroup> {
        self.written.sync_groups.iter().find(|group| group.members.iter().any(|member| member.value == name))
    }

    /// `1795203536.484791 (Fri Nov 20 19:38:56.484791 2026)`
    fn time(&self, since_1970: Duration) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let Civil { year, month, day, weekday, hour, minute, second } = (self.local)(since_1970);
        let weekday = DAYS.get(usize::from(weekday)).unwrap_or(&"???");
        let month = MONTHS.get(usize::from(month.wrapping_sub(1))).unwrap_or(&"???");
        let (seconds, micros) = (since_1970.as_secs(), since_1970.subsec_micros());
        format!(
            "{seconds}.{micros:06} ({weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02}.{micros:06} {year})"
        )
    }
}

/// A program and its arguments as keepalived shows them: each word in quotes.
fn command(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" ")
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn enabled(is: bool) -> &'static str {
    if is { "enabled" } else { "disabled" }
}

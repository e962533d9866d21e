//! Commands, options, and which go together.

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    AddService,
    EditService,
    DeleteService,
    Flush,
    List,
    AddServer,
    DeleteServer,
    EditServer,
    Set,
    StartDaemon,
    StopDaemon,
    Restore,
    Save,
    Zero,
    Help,
    Version,
}

/// An option as error messages name it; its number is its place in [`ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opt {
    Numeric,
    Connection,
    Service,
    Scheduler,
    Persistent,
    Netmask,
    Server,
    Forward,
    Weight,
    Upper,
    Lower,
    McastInterface,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    Nosort,
    Syncid,
    Exact,
    Ops,
    Engine,
    Flags,
    McastGroup,
    McastPort,
    McastTtl,
    SyncMaxlen,
    TunInfo,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
}

impl Opt {
    /// As error messages name it.
    pub(crate) fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name)| name)
    }
}

/// Options that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given(u64);

impl Given {
    /// False when it was given before.
    pub(crate) fn add(&mut self, option: Opt) -> bool {
        let bit = 1 << option as u8;
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first
    }

    pub(crate) fn has(self, option: Opt) -> bool {
        self.0 & (1 << option as u8) != 0
    }

    pub(crate) fn any(self, options: &[Opt]) -> bool {
        options.iter().any(|option| self.has(*option))
    }
}

/// What a command does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Needed,
    Illegal,
    /// Only one of all these.
    Exclusive,
    Optional,
}

use Opt::{
    Connection, Daemon, Engine, Exact, Flags, Forward, Lower, McastGroup, McastInterface, McastPort, McastTtl, Netmask,
    Nosort, Numeric, Ops, Persistent, PersistentConn, Rate, Scheduler, Server, Service, Stats, SyncMaxlen, Syncid,
    Thresholds, Timeout, TunCsum, TunInfo, TunNocsum, TunPort, TunRemcsum, TunType, Upper, Weight,
};

impl Command {
    /// As error messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Command::AddService => "add-service",
            Command::EditService => "edit-service",
            Command::DeleteService => "delete-service",
            Command::Flush => "flush",
            Command::List => "list",
            Command::AddServer => "add-server",
            Command::DeleteServer => "delete-server",
            Command::EditServer => "edit-server",
            Command::Set => "set",
            Command::StartDaemon => "start-daemon",
            Command::StopDaemon => "stop-daemon",
            Command::Restore => "restore",
            Command::Save => "save",
            Command::Zero => "zero",
            Command::Help => "help",
            Command::Version => "version",
        }
    }

    /// What it does with this option.
    pub(crate) fn rule(self, option: Opt) -> Rule {
        let (needed, exclusive, optional): (&[Opt], &[Opt], &[Opt]) = match self {
            Command::AddService | Command::EditService => {
                (&[Service], &[], &[Scheduler, Persistent, Netmask, Ops, Engine, Flags])
            }
            Command::DeleteService => (&[Service], &[], &[]),
            Command::List => (
                &[],
                &[Connection, Service, Timeout, Daemon],
                &[Numeric, Stats, Rate, Thresholds, PersistentConn, Nosort, Syncid, Exact, TunInfo],
            ),
            Command::AddServer | Command::EditServer => (
                &[Service, Server],
                &[],
                &[Forward, Weight, Upper, Lower, TunType, TunPort, TunNocsum, TunCsum, TunRemcsum],
            ),
            Command::DeleteServer => (&[Service, Server], &[], &[]),
            Command::StartDaemon => (&[], &[], &[McastInterface, Syncid, McastGroup, McastPort, McastTtl, SyncMaxlen]),
            Command::StopDaemon => (&[], &[], &[Syncid]),
            Command::Save => (&[], &[], &[Numeric]),
            Command::Zero => (&[], &[], &[Service]),
            Command::Flush | Command::Set | Command::Restore | Command::Help | Command::Version => (&[], &[], &[]),
        };
        if needed.contains(&option) {
            Rule::Needed
        } else if exclusive.contains(&option) {
            Rule::Exclusive
        } else if optional.contains(&option) {
            Rule::Optional
        } else {
            Rule::Illegal
        }
    }
}

/// All options in the order in which they are judged, and what error messages call them.
pub(crate) const ALL: [(Opt, &str); 34] = [
    (Numeric, "numeric"),
    (Connection, "connection"),
    (Service, "service-address"),
    (Scheduler, "scheduler"),
    (Persistent, "persistent"),
    (Netmask, "netmask"),
    (Server, "real-server"),
    (Forward, "forwarding-method"),
    (Weight, "weight"),
    (Upper, "u-threshold"),
    (Lower, "l-threshold"),
    (McastInterface, "mcast-interface"),
    (Timeout, "timeout"),
    (Daemon, "daemon"),
    (Stats, "stats"),
    (Rate, "rate"),
    (Thresholds, "thresholds"),
    (PersistentConn, "persistent-conn"),
    (Nosort, "nosort"),
    (Syncid, "syncid"),
    (Exact, "exact"),
    (Ops, "ops"),
    (Engine, "pe"),
    (Flags, "sched-flags"),
    (McastGroup, "mcast-group"),
    (McastPort, "mcast-port"),
    (McastTtl, "mcast-ttl"),
    (SyncMaxlen, "sync-maxlen"),
    (TunInfo, "tun-info"),
    (TunType, "tun-type"),
    (TunPort, "tun-port"),
    (TunNocsum, "tun-nocsum"),
    (TunCsum, "tun-csum"),
    (TunRemcsum, "tun-remcsum"),
];

/// What an option stands for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Command(Command),
    Tcp,
    Udp,
    Sctp,
    Mark,
    Ipv6,
    Masquerading,
    Gatewaying,
    Tunneling,
    /// Accepted and without meaning: it is the default.
    Sort,
    /// An option that is one word of [`Opt`].
    Opt(Opt),
    /// `-R --atomic`, which ipvsadm does not have.
    Atomic,
}

/// Whether a value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    Needed,
    /// Unless what follows begins with a dash.
    Optional,
}

/// A word of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) value: Value,
    pub(crate) tag: Tag,
}

const fn word(long: &'static str, short: char, value: Value, tag: Tag) -> Word {
    Word { long, short: Some(short), value, tag }
}

const fn long(long: &'static str, value: Value, tag: Tag) -> Word {
    Word { long, short: None, value, tag }
}

/// Every word there is.
pub(crate) const WORDS: &[Word] = &[
    word("add-service", 'A', Value::None, Tag::Command(Command::AddService)),
    word("edit-service", 'E', Value::None, Tag::Command(Command::EditService)),
    word("delete-service", 'D', Value::None, Tag::Command(Command::DeleteService)),
    word("clear", 'C', Value::None, Tag::Command(Command::Flush)),
    word("list", 'L', Value::None, Tag::Command(Command::List)),
    word("list", 'l', Value::None, Tag::Command(Command::List)),
    word("zero", 'Z', Value::None, Tag::Command(Command::Zero)),
    word("add-server", 'a', Value::None, Tag::Command(Command::AddServer)),
    word("edit-server", 'e', Value::None, Tag::Command(Command::EditServer)),
    word("delete-server", 'd', Value::None, Tag::Command(Command::DeleteServer)),
    long("set", Value::None, Tag::Command(Command::Set)),
    word("help", 'h', Value::None, Tag::Command(Command::Help)),
    word("version", 'v', Value::None, Tag::Command(Command::Version)),
    word("restore", 'R', Value::None, Tag::Command(Command::Restore)),
    word("save", 'S', Value::None, Tag::Command(Command::Save)),
    long("start-daemon", Value::Needed, Tag::Command(Command::StartDaemon)),
    long("stop-daemon", Value::Needed, Tag::Command(Command::StopDaemon)),
    word("tcp-service", 't', Value::Needed, Tag::Tcp),
    word("udp-service", 'u', Value::Needed, Tag::Udp),
    long("sctp-service", Value::Needed, Tag::Sctp),
    word("fwmark-service", 'f', Value::Needed, Tag::Mark),
    word("scheduler", 's', Value::Needed, Tag::Opt(Scheduler)),
    word("persistent", 'p', Value::Optional, Tag::Opt(Persistent)),
    word("netmask", 'M', Value::Needed, Tag::Opt(Netmask)),
    word("real-server", 'r', Value::Needed, Tag::Opt(Server)),
    word("masquerading", 'm', Value::None, Tag::Masquerading),
    word("ipip", 'i', Value::None, Tag::Tunneling),
    word("gatewaying", 'g', Value::None, Tag::Gatewaying),
    word("weight", 'w', Value::Needed, Tag::Opt(Weight)),
    word("u-threshold", 'x', Value::Needed, Tag::Opt(Upper)),
    word("l-threshold", 'y', Value::Needed, Tag::Opt(Lower)),
    word("numeric", 'n', Value::None, Tag::Opt(Numeric)),
    word("connection", 'c', Value::None, Tag::Opt(Connection)),
    long("mcast-interface", Value::Needed, Tag::Opt(McastInterface)),
    long("syncid", Value::Needed, Tag::Opt(Syncid)),
    long("timeout", Value::None, Tag::Opt(Timeout)),
    long("daemon", Value::None, Tag::Opt(Daemon)),
    long("stats", Value::None, Tag::Opt(Stats)),
    long("rate", Value::None, Tag::Opt(Rate)),
    long("thresholds", Value::None, Tag::Opt(Thresholds)),
    long("persistent-conn", Value::None, Tag::Opt(PersistentConn)),
    long("nosort", Value::None, Tag::Opt(Nosort)),
    long("sort", Value::None, Tag::Sort),
    word("exact", 'X', Value::None, Tag::Opt(Exact)),
    word("ipv6", '6', Value::None, Tag::Ipv6),
    word("ops", 'o', Value::None, Tag::Opt(Ops)),
    long("pe", Value::Needed, Tag::Opt(Engine)),
    word("sched-flags", 'b', Value::Needed, Tag::Opt(Flags)),
    long("mcast-group", Value::Needed, Tag::Opt(McastGroup)),
    long("mcast-port", Value::Needed, Tag::Opt(McastPort)),
    long("mcast-ttl", Value::Needed, Tag::Opt(McastTtl)),
    long("sync-maxlen", Value::Needed, Tag::Opt(SyncMaxlen)),
    long("tun-info", Value::None, Tag::Opt(TunInfo)),
    long("tun-type", Value::Needed, Tag::Opt(TunType)),
    long("tun-port", Value::Needed, Tag::Opt(TunPort)),
    long("tun-nocsum", Value::None, Tag::Opt(TunNocsum)),
    long("tun-csum", Value::None, Tag::Opt(TunCsum)),
    long("tun-remcsum", Value::None, Tag::Opt(TunRemcsum)),
    long("atomic", Value::None, Tag::Atomic),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_stands_where_its_number_says() {
        for (place, (option, _)) in ALL.iter().enumerate() {
            assert_eq!(*option as usize, place);
        }
        assert_eq!(Opt::TunRemcsum.name(), "tun-remcsum");
        assert_eq!(Opt::Service.name(), "service-address");
    }

    #[test]
    fn an_option_that_was_given_is_known() {
        let mut given = Given::default();
        assert!(given.add(Opt::Numeric));
        assert!(!given.add(Opt::Numeric));
        assert!(given.has(Opt::Numeric) && !given.has(Opt::TunRemcsum));
        assert!(given.any(&[Opt::Stats, Opt::Numeric]));
    }
}

//! Every directive of ha.cf (heartbeat 3.0.6), once: parser, diagnostics and docs/compat/heartbeat.md all come from
//! [`DIRECTIVES`].

use super::{ha::Reader, media, options::Options, other, words::Line};
use crate::status::Status;
use evenkeel_source::Spanned;
use std::{collections::HashMap, sync::LazyLock, time::Duration};

/// A field of [`Options`] that a directive fills.
pub(crate) type Slot<T> = fn(&mut Options) -> &mut Option<Spanned<T>>;

/// What stands behind the name, and where it goes.
#[derive(Clone, Copy)]
pub(crate) enum Argument {
    /// Seconds, or another unit with `ms` or `us`.
    Time(Slot<Duration>),
    /// A number in a range.
    Number { least: u32, most: u32, slot: Slot<u32> },
    /// true, on, yes, y, 1 or false, off, no, n, 0.
    YesNo(Slot<bool>),
    /// One of a few words.
    Choice(&'static [&'static str], Slot<String>),
    /// One word.
    Word(Slot<String>),
    /// An absolute path.
    Path(Slot<String>),
    /// What a function of its own reads; it needs `least` words.
    Own { least: usize, words: &'static str, read: fn(&mut Reader<'_, '_>, &Line<'_>) },
}

impl Argument {
    /// Words that must be there: with fewer, the next line may be the rest of this one.
    pub(crate) fn least(self) -> usize {
        match self {
            Argument::Own { least, .. } => least,
            Argument::Time(_)
            | Argument::Number { .. }
            | Argument::YesNo(_)
            | Argument::Choice(..)
            | Argument::Word(_)
            | Argument::Path(_) => 1,
        }
    }

    /// The kind, for the table in docs/compat.
    fn words(self) -> String {
        match self {
            Argument::Time(_) => "time".to_owned(),
            Argument::Number { least, most, .. } => format!("{least} to {most}"),
            Argument::YesNo(_) => "yes or no".to_owned(),
            Argument::Choice(words, _) => words.join(", "),
            Argument::Word(_) => "word".to_owned(),
            Argument::Path(_) => "path".to_owned(),
            Argument::Own { words, .. } => words.to_owned(),
        }
    }
}

/// What a directive means that stands there more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Each adds to the others.
    Adds,
    /// The last one counts.
    Last,
    /// Heartbeat refuses it.
    Refused,
}

/// One directive.
pub(crate) struct Directive {
    pub(crate) name: &'static str,
    pub(crate) argument: Argument,
    pub(crate) again: Again,
    pub(crate) status: Status,
    /// The value when the file says nothing, for people.
    default: &'static str,
    /// What it does, in one line.
    summary: &'static str,
    /// What becomes of it, in the words of the native file.
    becomes: &'static str,
}

use Again::{Adds, Last};
use Argument::{Choice, Number, Own, Path, Time, Word, YesNo};
use Status::{Ignored, Partly, Supported};

macro_rules! directives {
    ($($name:literal $argument:expr, $again:expr, $status:expr, $default:literal, $summary:literal => $becomes:literal;)*) => {
        &[$(Directive {
            name: $name, argument: $argument, again: $again, status: $status, default: $default, summary: $summary,
            becomes: $becomes,
        }),*]
    };
}

const OWN_LOG: Status = Ignored("evenkeel logs to standard error, and to the journal under systemd");
const NO_API: Status = Ignored("evenkeel has no socket of heartbeat's library");
const NO_CRM: Status = Ignored("it is about pacemaker");
const NO_NEED: Status = Ignored("evenkeel does not need it");

/// The whole grammar.
pub(crate) const DIRECTIVES: &[Directive] = directives! {
    "node" Own { least: 1, words: "name...", read: other::node }, Adds, Supported, "",
        "members of the cluster; one of them is this host's `uname -n`" => "[cluster.nodes]";
    "keepalive" Time(|o| &mut o.keepalive), Last, Supported, "1s", "time between two statuses" => "heartbeat.every";
    "deadtime" Time(|o| &mut o.deadtime), Last, Supported, "30s",
        "silence after which a node is dead; above twice keepalive" => "heartbeat.dead";
    "warntime" Time(|o| &mut o.warntime), Last, Supported, "half of deadtime",
        "silence after which a status is late" => "heartbeat.warn";
    "initdead" Time(|o| &mut o.initdead), Last, Supported, "deadtime above 10 s, 12 s below 6 s, else twice deadtime",
        "dead time at the start; at least deadtime" => "heartbeat.first";
    "deadping" Time(|o| &mut o.deadping), Last, Supported, "deadtime",
        "silence after which a ping node is dead; above twice keepalive" => "heartbeat.ping";
    "udpport" Number { least: 1, most: 65_535, slot: |o| &mut o.udpport }, Last, Supported,
        "ha-cluster of /etc/services, else 694", "port of the bcast and ucast lines behind it" => "heartbeat.port";
    "baud" Number { least: 9600, most: 460_800, slot: |o| &mut o.baud }, Again::Refused, Supported, "19200",
        "speed of the serial lines behind it" => "links";
    "serial" Own { least: 1, words: "device...", read: media::serial }, Adds, Supported, "",
        "a serial line as a heartbeat path" => "links";
    "bcast" Own { least: 1, words: "interface...", read: media::bcast }, Adds, Supported, "",
        "UDP broadcast as a heartbeat path" => "links";
    "udp" Own { least: 1, words: "interface...", read: media::bcast }, Adds, Supported, "",
        "old name of bcast" => "links";
    "ucast" Own { least: 2, words: "interface peer", read: media::ucast }, Adds, Supported, "",
        "UDP to one host as a heartbeat path" => "links";
    "ucast6" Own { least: 2, words: "interface peer", read: media::ucast6 }, Adds, Supported, "",
        "the same with IPv6" => "links";
    "mcast" Own { least: 5, words: "interface group port ttl loop", read: media::mcast }, Adds, Supported, "",
        "UDP multicast as a heartbeat path" => "links";
    "mcast6" Own { least: 5, words: "interface group port hops loop", read: media::mcast6 }, Adds, Supported, "",
        "the same with IPv6" => "links";
    "ping" Own { least: 1, words: "address...", read: media::ping }, Adds, Supported, "",
        "hosts that tell a node whether it is cut off" => "must_reach, ping";
    "ping_group" Own { least: 2, words: "name address...", read: media::ping_group }, Adds, Supported, "",
        "several hosts as one ping node, up while any answers" => "must_reach, ping";
    "hbaping" Own { least: 1, words: "card", read: media::hbaping }, Adds,
        Status::Refused("it is about Fibre Channel and needs a library"), "", "Fibre Channel ping" => "nothing";
    "auto_failback" Choice(&["on", "off", "legacy"], |o| &mut o.auto_failback), Last, Supported, "legacy",
        "whether a group goes back to the node it prefers" => "failback";
    "nice_failback" YesNo(|o| &mut o.nice_failback), Last, Supported, "",
        "given up by heartbeat; means auto_failback legacy" => "failback";
    "respawn" Own { least: 2, words: "user command...", read: other::respawn }, Adds,
        Partly("ipfail is built in; programs that need heartbeat's library are left out"), "",
        "a program kept running; not after it exits with 100" => "must_reach, children";
    "failfast" Own { least: 2, words: "user command...", read: other::failfast }, Adds,
        Partly("the groups go to the other node, and the watchdog restarts the host, where one is named"), "",
        "a program whose end restarts the host" => "children";
    "apiauth" Own { least: 2, words: "client uid=... gid=...", read: other::apiauth }, Adds, NO_API, "",
        "who may use heartbeat's library" => "nothing";
    "stonith" Own { least: 2, words: "type file", read: other::stonith }, Adds, Supported, "",
        "the fence device, described in a file" => "[fence.NODE]";
    "stonith_host" Own { least: 2, words: "node\\|* type parameters...", read: other::stonith_host }, Adds, Supported, "",
        "a fence device and the node that reaches it" => "[fence.NODE]";
    "watchdog" Path(|o| &mut o.watchdog), Again::Refused, Supported, "", "watchdog device" => "watchdog";
    "logfile" Path(|o| &mut o.logfile), Last, Supported, "", "file of the log" => "log_file";
    "logfacility" Word(|o| &mut o.logfacility), Last, Supported, "", "syslog facility of the log, or none" => "log_facility";
    "debugfile" Path(|o| &mut o.unused_text), Last, Ignored("there is one log; logfile says where"), "",
        "file of debugging messages" => "nothing";
    "use_logd" YesNo(|o| &mut o.unused_bool), Last, OWN_LOG, "", "log through ha_logd" => "nothing";
    "conn_logd_time" Time(|o| &mut o.unused_time), Last, OWN_LOG, "60s", "until ha_logd is tried again" => "nothing";
    "syslogmsgfmt" YesNo(|o| &mut o.unused_bool), Last, OWN_LOG, "yes", "form of the log file" => "nothing";
    "log_badpack" YesNo(|o| &mut o.unused_bool), Last,
        Ignored("packets that are dropped are counted by reason, and told now and then"), "yes",
        "log packets that cannot be read" => "nothing";
    "debug" Number { least: 0, most: 255, slot: |o| &mut o.unused_number }, Last, OWN_LOG, "0", "how much is logged" => "nothing";
    "hopfudge" Number { least: 0, most: 255, slot: |o| &mut o.hopfudge }, Last, Supported, "1",
        "added to the number of nodes: how often a message is forwarded" => "hop_fudge";
    "hbgenmethod" Choice(&["file", "time"], |o| &mut o.unused_text), Last,
        Ignored("the generation is kept in a file, and never below the time"), "file", "where generations come from" => "nothing";
    "uuidfrom" Choice(&["file", "nodename"], |o| &mut o.unused_text), Last,
        Ignored("the UUID is kept in a file"), "file", "where the node's UUID comes from" => "nothing";
    "realtime" YesNo(|o| &mut o.unused_bool), Last, Ignored("the thread of heartbeats is always one of real time"), "yes",
        "run with real-time priority" => "nothing";
    "rtprio" Number { least: 1, most: 99, slot: |o| &mut o.unused_number }, Last,
        Ignored("the thread of heartbeats has a priority of its own"), "50", "real-time priority" => "nothing";
    "memreserve" Number { least: 0, most: 1_048_576, slot: |o| &mut o.unused_number }, Last, NO_NEED, "6500",
        "KiB of memory held back" => "nothing";
    "msgfmt" Choice(&["classic", "netstring"], |o| &mut o.msgfmt), Last, Supported, "classic",
        "form of messages" => "form";
    "compression" Word(|o| &mut o.unused_text), Last, Ignored("messages of haresources clusters are small"), "zlib",
        "compression of large messages" => "nothing";
    "compression_threshold" Number { least: 0, most: 1_048_576, slot: |o| &mut o.unused_number }, Last,
        Ignored("messages of haresources clusters are small"), "2", "KiB from which messages are compressed" => "nothing";
    "traditional_compression" YesNo(|o| &mut o.unused_bool), Last,
        Ignored("messages of haresources clusters are small"), "no", "compress whole messages" => "nothing";
    "max_rexmit_delay" Number { least: 1, most: 60_000, slot: |o| &mut o.rexmit_delay }, Last, Supported, "250",
        "longest wait in ms before a lost message is asked for" => "rexmit_delay";
    "autojoin" Choice(&["none", "other", "any"], |o| &mut o.autojoin), Last, Partly("none"), "none",
        "let in nodes that no line names" => "nothing";
    "cluster" Word(|o| &mut o.cluster), Last, Supported, "linux-ha", "name of the cluster" => "name";
    "env" Own { least: 1, words: "NAME=value", read: other::env }, Adds, Supported, "",
        "sets HA_NAME for programs and scripts" => "environment";
    "coredumps" YesNo(|o| &mut o.unused_bool), Last, NO_NEED, "yes", "leave core dumps" => "nothing";
    "coreroot" Path(|o| &mut o.unused_text), Last, NO_NEED, "", "directory of core dumps" => "nothing";
    "use_apphbd" YesNo(|o| &mut o.unused_bool), Last, NO_API, "no", "let apphbd watch heartbeat" => "nothing";
    "quorum_server" Word(|o| &mut o.unused_text), Last, NO_CRM, "", "who breaks ties" => "nothing";
    "normalpoll" Number { least: 0, most: 65_535, slot: |o| &mut o.unused_number }, Last, NO_NEED, "", "of tests" => "nothing";
    "crm" Word(|o| &mut o.crm), Last, Partly("off"), "off", "let pacemaker manage resources" => "nothing";
    "pacemaker" Word(|o| &mut o.crm), Again::Refused, Partly("off"), "off", "new name of crm" => "nothing";
    "crm_daemon_dir" Path(|o| &mut o.unused_text), Last, NO_CRM, "", "where pacemaker's programs are" => "nothing";
    "crmd_spawns_pengine" YesNo(|o| &mut o.unused_bool), Last, NO_CRM, "", "who starts pengine" => "nothing";
    "record_config_changes" YesNo(|o| &mut o.unused_bool), Last, NO_CRM, "yes", "log changes of the CIB" => "nothing";
    "record_pengine_inputs" YesNo(|o| &mut o.unused_bool), Last, NO_CRM, "yes", "keep inputs of pengine" => "nothing";
    "enable_config_writes" YesNo(|o| &mut o.unused_bool), Last, NO_CRM, "yes", "write the CIB to disk" => "nothing";
};

/// The directive of this name.
pub(crate) fn find(name: &str) -> Option<&'static Directive> {
    static BY_NAME: LazyLock<HashMap<&str, &Directive>> =
        LazyLock::new(|| DIRECTIVES.iter().map(|directive| (directive.name, directive)).collect());
    BY_NAME.get(name).copied()
}

/// The text of docs/compat/heartbeat.md.
pub fn heartbeat_markdown() -> String {
    let mut text = String::from(
        "# ha.cf, authkeys and haresources\n\n\
         Every directive of heartbeat 3.0.6 and what evenkeel makes of it. Made from the table the parser itself uses;\n\
         `EVENKEEL_BLESS=1 cargo test -p evenkeel-config` writes it anew. `evenkeel check` says the same for files of yours,\n\
         with places and fixes.\n\n\
         ## ha.cf\n\n\
         | directive | value | default | what it does | again | status | native |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for d in DIRECTIVES {
        let again = match d.again {
            Adds => "adds",
            Last => "the last one counts",
            Again::Refused => "refused",
        };
        text += &format!(
            "| `{}` | {} | {} | {} | {again} | {} | {} |\n",
            d.name,
            d.argument.words(),
            d.default,
            d.summary,
            d.status.words(),
            d.becomes
        );
    }
    text += "\n## Resources of haresources\n\n\
             | written | what runs it | arguments | start, stop | looked at |\n\
             |---|---|---|---|---|\n";
    for row in super::agent::rows() {
        text += &row;
    }
    text + include_str!("compat_notes.md")
}

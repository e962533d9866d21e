//! Every directive of ldirectord.cf (ldirectord 4.12), once: parser, diagnostics and docs/compat/ldirectord.md all come
//! from [`DIRECTIVES`].

use super::options::Options;
use crate::status::Status;
use evenkeel_source::Spanned;
use std::{collections::HashMap, sync::LazyLock};

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Global,
    Virtual,
    Both,
}

impl Scope {
    pub(crate) fn is_global(self) -> bool {
        self != Scope::Virtual
    }

    pub(crate) fn is_virtual(self) -> bool {
        self != Scope::Global
    }
}

/// A field of [`Options`] that a directive fills.
type Slot<T> = fn(&mut Options) -> &mut Option<Spanned<T>>;

/// What stands behind the `=`, and where its value goes.
#[derive(Clone, Copy)]
pub(crate) enum Argument {
    /// `virtual`, `virtual6`: opens a section.
    Section,
    /// `real`, `real6`.
    RealServer,
    /// The first digits of the value.
    Number { least: u32, slot: Slot<u32> },
    /// `yes` or `no`, exactly.
    YesNo(Slot<bool>),
    /// The first word; what follows it is ignored.
    Word(Slot<String>),
    /// A text in double quotes.
    Quoted(Slot<String>),
    /// A text in double quotes or one word.
    QuotedOrWord(Slot<String>),
    /// A program and its arguments, in double quotes or not.
    Command(Slot<String>),
    /// A text in double quotes, or words up to a remark.
    Phrase(Slot<String>),
    /// The rest of the line.
    Text(Slot<String>),
    /// `address[:port] [gate|masq|ipip]`.
    Fallback(Slot<String>),
    /// The name of another file; may be given several times.
    File,
}

impl Argument {
    /// The kind, for the table in docs/compat.
    fn words(self) -> &'static str {
        match self {
            Argument::Section => "address:port or firewall mark",
            Argument::RealServer => "address[->address][:port] gate\\|masq\\|ipip [weight] [\"request\", \"receive\"]",
            Argument::Number { least: 0, .. } => "number",
            Argument::Number { .. } => "number, not 0",
            Argument::YesNo(_) => "yes or no",
            Argument::Word(_) => "word",
            Argument::Quoted(_) => "\"text\"",
            Argument::QuotedOrWord(_) => "\"text\" or word",
            Argument::Command(_) => "\"command\" or command",
            Argument::Phrase(_) => "\"text\" or text",
            Argument::Text(_) => "text",
            Argument::Fallback(_) => "address[:port] [gate\\|masq\\|ipip]",
            Argument::File => "file",
        }
    }
}

/// One directive.
pub(crate) struct Directive {
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) argument: Argument,
    pub(crate) status: Status,
    /// The value when the file says nothing, for people.
    pub(crate) default: &'static str,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
    /// What becomes of it, in the words of the native file.
    pub(crate) becomes: &'static str,
}

use Argument::{Command, Fallback, File, Number, Phrase, Quoted, QuotedOrWord, RealServer, Section, Text, Word, YesNo};
use Scope::{Both, Global, Virtual};
use Status::{Ignored, Partly, Refused, Supported};

macro_rules! directives {
    ($($name:literal $scope:ident, $argument:expr, $status:expr, $default:literal, $summary:literal => $becomes:literal;)*) => {
        &[$(Directive {
            name: $name, scope: $scope, argument: $argument, status: $status, default: $default, summary: $summary,
            becomes: $becomes,
        }),*]
    };
}

/// The whole grammar.
pub(crate) const DIRECTIVES: &[Directive] = directives! {
    "virtual" Virtual, Section, Supported, "",
        "opens an IPv4 virtual service, on an address or by firewall mark" => "[service] listen, [mark]";
    "virtual6" Virtual, Section, Supported, "",
        "opens an IPv6 virtual service, on an address or by firewall mark" => "[service] listen, [mark]";
    "real" Virtual, RealServer, Supported, "weight 1",
        "a real server, or a range of them" => "real_servers";
    "real6" Virtual, RealServer, Supported, "weight 1",
        "an IPv6 real server" => "real_servers";
    "checktimeout" Both, Number { least: 1, slot: |o| &mut o.checktimeout }, Supported, "negotiatetimeout, else 5",
        "seconds a connect, ping or external check may take" => "check.timeout";
    "negotiatetimeout" Both, Number { least: 1, slot: |o| &mut o.negotiatetimeout }, Supported, "checktimeout, else 30",
        "seconds a negotiate check may take" => "check.timeout";
    "checkinterval" Both, Number { least: 1, slot: |o| &mut o.checkinterval },
        Supported, "10", "seconds from one check to the next; per virtual service also without fork" => "check.every";
    "checkcount" Both, Number { least: 1, slot: |o| &mut o.checkcount }, Supported, "1",
        "pings of one attempt (deprecated by ldirectord)" => "check.echoes";
    "failurecount" Both, Number { least: 1, slot: |o| &mut o.failurecount }, Supported, "1",
        "failed checks in a row that take a real server out" => "check.fall";
    "autoreload" Global, YesNo(|o| &mut o.autoreload), Supported, "no",
        "read the file again when it changes; a broken one keeps the old state" => "[settings] autoreload";
    "callback" Global, Quoted(|o| &mut o.callback), Supported, "",
        "program run with the file's name after it has changed" => "[settings] callback";
    "fallback" Both, Fallback(|o| &mut o.fallback), Supported, "none",
        "where connections go while no real server is up (IPv4)" => "fallback";
    "fallback6" Both, Fallback(|o| &mut o.fallback6), Supported, "none",
        "where connections go while no real server is up (IPv6)" => "fallback";
    "fallbackcommand" Both, Command(|o| &mut o.fallbackcommand), Supported, "none",
        "program told start or stop, the service and its protocol; without a shell" => "fallback_command";
    "logfile" Global, Quoted(|o| &mut o.logfile), Supported, "/var/log/ldirectord.log",
        "log file, or syslog facility when it is no path" => "[settings] log_file, log_facility";
    "emailalert" Both, Phrase(|o| &mut o.emailalert), Supported, "none",
        "who gets a mail when a real server changes" => "alert.to";
    "emailalertfrom" Global, Phrase(|o| &mut o.emailalertfrom), Supported, "root at this host",
        "sender of these mails" => "alert.from";
    "emailalertfreq" Both, Number { least: 0, slot: |o| &mut o.emailalertfreq }, Supported, "0: once",
        "seconds until a mail about a real server that stays down is repeated" => "alert.repeat";
    "emailalertstatus" Both, Phrase(|o| &mut o.emailalertstatus), Supported, "all",
        "states of the daemon in which mails are sent" => "alert.on";
    "smtp" Both, QuotedOrWord(|o| &mut o.smtp), Supported, "the local mail server",
        "SMTP server for these mails" => "alert.server";
    "execute" Global, File, Supported, "", "another configuration, run in an instance of its own" => "[settings] execute";
    "supervised" Global, YesNo(|o| &mut o.supervised), Supported, "no",
        "stay in the foreground and log to standard output" => "[settings] supervised";
    "fork" Global, YesNo(|o| &mut o.fork), Ignored("all checks run at the same time anyway"), "no",
        "one process for each virtual service" => "nothing";
    "quiescent" Both, YesNo(|o| &mut o.quiescent), Supported, "no",
        "a failed real server keeps its place with weight 0 instead of being removed" => "on_fail";
    "readdquiescent" Global, YesNo(|o| &mut o.readdquiescent),
        Ignored("the table always holds what quiescent says; nothing has to be added again"), "no",
        "add quiescent real servers again when someone removed them" => "nothing";
    "cleanstop" Both, YesNo(|o| &mut o.cleanstop), Supported, "yes",
        "remove the virtual services at stop" => "clean_stop";
    "maintenancedir" Global, QuotedOrWord(|o| &mut o.maintenancedir), Supported, "none",
        "files in it named like a real server force that one down" => "[settings] maintenance_dir";
    "checktype" Virtual, Word(|o| &mut o.checktype), Supported, "negotiate",
        "negotiate, connect, ping, external, external-perl, on, off, or N connects for each negotiate" => "check";
    "service" Virtual, Word(|o| &mut o.service),
        Partly("http, https and none; the others only with a checktype other than negotiate"), "by port",
        "what a negotiate check speaks" => "check";
    "checkcommand" Virtual, Command(|o| &mut o.checkcommand), Supported, "/bin/true",
        "program of an external check, called with VIP, port, real server, port" => "check.script";
    "checkport" Virtual, Number { least: 1, slot: |o| &mut o.checkport }, Supported, "the real server's, else the service's",
        "port the check connects to" => "check.port";
    "request" Virtual, Quoted(|o| &mut o.request), Supported, "/", "what the check asks for" => "check.http, check.https";
    "receive" Virtual, Quoted(|o| &mut o.receive), Supported, "anything",
        "Perl regular expression that the answer must match" => "check.expect";
    "httpmethod" Virtual, Word(|o| &mut o.httpmethod), Supported, "GET", "GET or HEAD" => "check.method";
    "virtualhost" Virtual, QuotedOrWord(|o| &mut o.virtualhost), Supported, "the real server's address",
        "Host header of the check (and server name with https)" => "check.host, check.sni";
    "login" Virtual, Quoted(|o| &mut o.login), Ignored("only services without a probe use it"), "",
        "user name of a check" => "nothing";
    "passwd" Virtual, Quoted(|o| &mut o.passwd), Ignored("only services without a probe use it"), "",
        "password of a check" => "nothing";
    "database" Virtual, Quoted(|o| &mut o.database), Ignored("only services without a probe use it"), "",
        "database of a check" => "nothing";
    "secret" Virtual, Quoted(|o| &mut o.secret), Ignored("only services without a probe use it"), "",
        "RADIUS secret of a check" => "nothing";
    "load" Virtual, Quoted(|o| &mut o.load), Ignored("ldirectord ignores it too"), "", "load testing" => "nothing";
    "scheduler" Virtual, Word(|o| &mut o.scheduler), Supported, "wrr",
        "how connections are spread" => "schedule";
    "persistent" Virtual, Number { least: 1, slot: |o| &mut o.persistent },
        Supported, "off", "seconds for which a client stays with its real server" => "persist";
    "netmask" Virtual, Word(|o| &mut o.netmask), Supported, "the whole address",
        "how many bits of the client's address persistence looks at" => "persist";
    "schedflags" Virtual, QuotedOrWord(|o| &mut o.schedflags), Supported, "none",
        "flags of the scheduler" => "schedule_flags";
    "protocol" Virtual, Word(|o| &mut o.protocol), Supported,
        "tcp; udp for port 53; fwm for a mark", "tcp, udp or fwm" => "listen";
    "ops" Virtual, YesNo(|o| &mut o.ops), Supported, "no",
        "schedule every UDP packet by itself" => "one_packet";
    "monitorfile" Virtual, QuotedOrWord(|o| &mut o.monitorfile), Supported, "none",
        "gets a line when a real server changes" => "monitor_file";
    "servicename" Virtual, Text(|o| &mut o.servicename), Supported, "the address and port",
        "name of the service in mails and listings" => "[service.NAME]";
    "comment" Virtual, Text(|o| &mut o.comment), Ignored("mails carry no comment"), "", "text in mails" => "nothing";
    "timeout" Global, Text(|o| &mut o.refused), Refused("write checktimeout or negotiatetimeout"), "",
        "given up by ldirectord" => "nothing";
    "connecttimeout" Both, Text(|o| &mut o.refused), Refused("write negotiatetimeout"), "",
        "given up by ldirectord" => "nothing";
};

/// The directive of this name.
pub(crate) fn find(name: &str) -> Option<&'static Directive> {
    static BY_NAME: LazyLock<HashMap<&str, &Directive>> =
        LazyLock::new(|| DIRECTIVES.iter().map(|directive| (directive.name, directive)).collect());
    BY_NAME.get(name).copied()
}

/// The text of docs/compat/ldirectord.md.
pub fn compat_markdown() -> String {
    let mut text = String::from(
        "# ldirectord.cf\n\n\
         Every directive of ldirectord 4.12 and what evenkeel makes of it. Made from the table the parser itself uses;\n\
         `EVENKEEL_BLESS=1 cargo test -p evenkeel-config` writes it anew.\n\n\
         **G** global, **V** in a virtual service. `evenkeel check` says the same for a file of yours, with places and\n\
         fixes.\n\n\
         | directive | where | value | default | what it does | status | native |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for d in DIRECTIVES {
        let place = match d.scope {
            Scope::Global => "G",
            Scope::Virtual => "V",
            Scope::Both => "G V",
        };
        text += &format!(
            "| `{}` | {place} | {} | {} | {} | {} | {} |\n",
            d.name,
            d.argument.words(),
            d.default,
            d.summary,
            d.status.words(),
            d.becomes
        );
    }
    text + include_str!("compat_notes.md")
}

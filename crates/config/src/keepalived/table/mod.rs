//! Every keyword of keepalived.conf (2.2.7, and what later ones added), once: parser, diagnostics and
//! docs/compat/keepalived.md all come from here.

mod checkers;
mod compat;
mod entries;
mod globals;
mod servers;
mod top;
mod vrrp;

pub use compat::keepalived_markdown;
pub(crate) use entries::{ADDRESS_WORDS, ROUTE_WORDS, RULE_WORDS};

/// Microseconds of a second: decimals of keepalived.conf are read in microseconds.
pub(crate) const SECOND: i64 = 1_000_000;

/// The longest time that keepalived can count in microseconds.
const LONGEST: i64 = 4_294_967_295;

/// Of words about connections that both nodes know.
const SYNC: Status =
    Status::Later("connections are not shared between nodes yet: a take-over breaks those through NAT");

/// A kind of block; each has its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Top,
    Globals,
    SyncGroup,
    Instance,
    Authentication,
    Hmac,
    Script,
    Process,
    TrackFile,
    Bfd,
    Ssl,
    GarpGroup,
    TrackGroup,
    VirtualServer,
    RealServer,
    Tcp,
    Udp,
    Ping,
    Dns,
    Smtp,
    SmtpHost,
    Misc,
    BfdCheck,
    FileCheck,
    Http,
    SslGet,
    HttpUrl,
    SslUrl,
}

/// A block whose lines are no keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Mail addresses, names of instances, interfaces.
    Names,
    Addresses,
    Routes,
    Rules,
    Peers,
    /// Names with a weight.
    Tracked,
    /// Addresses, ranges and marks with ports.
    Servers,
    /// An interface and a word or numbers.
    Interfaces,
}

/// What stands behind a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    None,
    Text,
    /// At least and at most so many words; their meaning is judged where they are used.
    Words(usize, usize),
    Number(i64, i64),
    /// In microseconds; written in seconds (BFD: milliseconds).
    Decimal(i64, i64),
    /// `on`, `off`, `true`, `false`, `yes`, `no`; alone it means on.
    Bool,
    Address,
    Interface,
    OneOf(&'static [&'static str]),
    /// A program with arguments, then perhaps a user and a group.
    Script,
    /// A user and perhaps a group.
    User,
    /// A number up to this and down to its negative, then perhaps `reverse`.
    Weight(i64),
    /// A block.
    Block(Scope),
    /// A block with a name.
    Named(Scope),
    /// An address, perhaps a port, and a block.
    Server(Scope),
    /// What a virtual server answers for, and a block.
    Head,
    /// A list in braces.
    List(List),
    /// A list in braces, with a name.
    NamedList(List),
}

impl Argument {
    /// Whether braces follow.
    pub(crate) fn opens(self) -> bool {
        self.scope().is_some() || self.list().is_some()
    }

    pub(crate) fn scope(self) -> Option<Scope> {
        match self {
            Argument::Block(scope) | Argument::Named(scope) | Argument::Server(scope) => Some(scope),
            Argument::Head => Some(Scope::VirtualServer),
            _ => None,
        }
    }

    pub(crate) fn list(self) -> Option<List> {
        match self {
            Argument::List(list) | Argument::NamedList(list) => Some(list),
            _ => None,
        }
    }
}

/// What evenkeel makes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As keepalived does it.
    Done,
    /// Not all of it; the text says what.
    Partly(&'static str),
    /// Read and checked, and not carried out in this release; the text says why, and is told once for a file.
    Later(&'static str),
    /// Read and checked, and without effect; the text says why.
    Nothing(&'static str),
    /// An error; the text says what is missing.
    Refused(&'static str),
}

/// One keyword of one kind of block.
#[derive(Debug)]
pub(crate) struct Keyword {
    pub(crate) name: &'static str,
    pub(crate) argument: Argument,
    pub(crate) status: Status,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
}

/// Rows of a table: `"name" Argument, Status, "summary";`
macro_rules! keywords {
    ($($name:literal $argument:expr, $status:expr, $summary:literal;)*) => {
        &[$(Keyword { name: $name, argument: $argument, status: $status, summary: $summary }),*]
    };
}
pub(crate) use keywords;

impl Scope {
    /// The words of this kind of block; several tables where some are shared.
    pub(crate) fn tables(self) -> &'static [&'static [Keyword]] {
        use checkers as c;
        match self {
            Scope::Top => &[top::TOP],
            Scope::Globals => &[globals::GENERAL, globals::VRRP_WORDS, globals::PROCESSES],
            Scope::SyncGroup => &[vrrp::SYNC_GROUP],
            Scope::Instance => &[vrrp::INSTANCE, vrrp::INSTANCE_ARP],
            Scope::Authentication => &[vrrp::AUTHENTICATION],
            Scope::Hmac => &[vrrp::HMAC],
            Scope::Script => &[vrrp::SCRIPT],
            Scope::Process => &[vrrp::PROCESS],
            Scope::TrackFile => &[vrrp::TRACK_FILE],
            Scope::Bfd => &[vrrp::BFD],
            Scope::Ssl => &[top::SSL],
            Scope::GarpGroup => &[vrrp::GARP_GROUP],
            Scope::TrackGroup => &[vrrp::TRACK_GROUP],
            Scope::VirtualServer => &[servers::VIRTUAL_SERVER],
            Scope::RealServer => &[servers::REAL_SERVER],
            Scope::Tcp | Scope::Ping | Scope::SmtpHost => &[c::CONNECTION, c::RHYTHM],
            Scope::Udp => &[c::CONNECTION, c::RHYTHM, c::UDP],
            Scope::Dns => &[c::CONNECTION, c::RHYTHM, c::DNS],
            Scope::Smtp => &[c::CONNECTION, c::RHYTHM, c::SMTP],
            Scope::Misc => &[c::RHYTHM, c::MISC],
            Scope::BfdCheck => &[c::BFD],
            Scope::FileCheck => &[c::FILE],
            Scope::Http => &[c::CONNECTION, c::RHYTHM, c::HTTP, c::HTTP_ONLY],
            Scope::SslGet => &[c::CONNECTION, c::RHYTHM, c::HTTP, c::SSL_ONLY],
            Scope::HttpUrl => &[c::URL],
            Scope::SslUrl => &[c::URL, c::SSL_URL],
        }
    }

    /// All its words.
    pub(crate) fn keywords(self) -> impl Iterator<Item = &'static Keyword> {
        self.tables().iter().flat_map(|table| table.iter())
    }

    /// The word of this name.
    pub(crate) fn find(self, name: &str) -> Option<&'static Keyword> {
        self.keywords().find(|keyword| keyword.name == name)
    }

    /// How the block is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scope::Top => "keepalived.conf",
            Scope::Globals => "global_defs",
            Scope::SyncGroup => "vrrp_sync_group",
            Scope::Instance => "vrrp_instance",
            Scope::Authentication => "authentication",
            Scope::Hmac => "auth_hmac",
            Scope::Script => "vrrp_script",
            Scope::Process => "vrrp_track_process",
            Scope::TrackFile => "track_file",
            Scope::Bfd => "bfd_instance",
            Scope::Ssl => "SSL",
            Scope::GarpGroup => "garp_group",
            Scope::TrackGroup => "track_group",
            Scope::VirtualServer => "virtual_server",
            Scope::RealServer => "real_server",
            Scope::Tcp => "TCP_CHECK",
            Scope::Udp => "UDP_CHECK",
            Scope::Ping => "PING_CHECK",
            Scope::Dns => "DNS_CHECK",
            Scope::Smtp => "SMTP_CHECK",
            Scope::SmtpHost => "SMTP_CHECK host",
            Scope::Misc => "MISC_CHECK",
            Scope::BfdCheck => "BFD_CHECK",
            Scope::FileCheck => "FILE_CHECK",
            Scope::Http => "HTTP_GET",
            Scope::SslGet => "SSL_GET",
            Scope::HttpUrl => "HTTP_GET url",
            Scope::SslUrl => "SSL_GET url",
        }
    }

    /// Every kind of block, in the order of the documentation.
    pub(crate) const ALL: [Scope; 28] = [
        Scope::Top,
        Scope::Globals,
        Scope::VirtualServer,
        Scope::RealServer,
        Scope::Tcp,
        Scope::Http,
        Scope::HttpUrl,
        Scope::SslGet,
        Scope::SslUrl,
        Scope::Misc,
        Scope::Ping,
        Scope::Udp,
        Scope::Dns,
        Scope::Smtp,
        Scope::SmtpHost,
        Scope::BfdCheck,
        Scope::FileCheck,
        Scope::Ssl,
        Scope::Instance,
        Scope::Authentication,
        Scope::Hmac,
        Scope::SyncGroup,
        Scope::Script,
        Scope::TrackFile,
        Scope::Process,
        Scope::Bfd,
        Scope::GarpGroup,
        Scope::TrackGroup,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fuzzing,
        host::Host,
        keepalived::value::decimal_text,
        load::{Input, load_texts},
    };

    /// Blocks that have to be opened around a word of `scope`.
    fn around(scope: Scope) -> Vec<&'static str> {
        let in_real = |check: &'static str| vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.11 80", check];
        let within = |mut outer: Vec<&'static str>, inner| {
            outer.push(inner);
            outer
        };
        match scope {
            Scope::Top => Vec::new(),
            Scope::Globals => vec!["global_defs"],
            Scope::SyncGroup => vec!["vrrp_sync_group x"],
            Scope::Instance => vec!["vrrp_instance x"],
            Scope::Authentication => vec!["vrrp_instance x", "authentication"],
            Scope::Hmac => vec!["vrrp_instance x", "auth_hmac"],
            Scope::Script => vec!["vrrp_script x"],
            Scope::Process => vec!["vrrp_track_process x"],
            Scope::TrackFile => vec!["track_file x"],
            Scope::Bfd => vec!["bfd_instance x"],
            Scope::Ssl => vec!["SSL"],
            Scope::GarpGroup => vec!["garp_group"],
            Scope::TrackGroup => vec!["track_group x"],
            Scope::VirtualServer => vec!["virtual_server 192.0.2.1 80"],
            Scope::RealServer => vec!["virtual_server 192.0.2.1 80", "real_server 192.0.2.11 80"],
            Scope::SmtpHost => within(in_real("SMTP_CHECK"), "host"),
            Scope::HttpUrl => within(in_real("HTTP_GET"), "url"),
            Scope::SslUrl => within(in_real("SSL_GET"), "url"),
            check => in_real(check.name()),
        }
    }

    fn sample(argument: Argument) -> String {
        match argument {
            Argument::None | Argument::Words(0, _) => String::new(),
            Argument::Text => "x".to_owned(),
            Argument::Words(least, _) => "1 ".repeat(least),
            Argument::Number(least, _) => least.to_string(),
            Argument::Decimal(least, _) => decimal_text(least),
            Argument::Bool => "off".to_owned(),
            Argument::Address => "192.0.2.1".to_owned(),
            Argument::Interface => "eth0".to_owned(),
            Argument::OneOf(words) => (*words.last().unwrap_or(&"")).to_owned(),
            Argument::Script => "/bin/true".to_owned(),
            Argument::User => "root root".to_owned(),
            Argument::Weight(most) => format!("-{most} reverse"),
            Argument::Block(_) | Argument::List(_) => "{ }".to_owned(),
            Argument::Named(_) | Argument::NamedList(_) => "x { }".to_owned(),
            Argument::Server(_) | Argument::Head => "192.0.2.1 80 { }".to_owned(),
        }
    }

    #[test]
    fn every_keyword_is_read_in_its_block_with_the_values_it_can_have() {
        let mut seen = 0;
        for scope in Scope::ALL {
            for keyword in scope.keywords() {
                let blocks = around(scope);
                let open: String = blocks.iter().map(|block| format!("{block} {{\n")).collect();
                let close = "}\n".repeat(blocks.len());
                let text = format!("{open}{} {}\n{close}", keyword.name, sample(keyword.argument));
                let input = Input { path: "keepalived.conf".into(), bytes: text.clone().into_bytes() };
                let loaded = load_texts(vec![input], Some(crate::Format::Keepalived), &Host::NONE);
                let wrong = ["E0117", "E0118", "E0119", "E0120", "E0122", "E0129"];
                let told = loaded.diagnostics.iter().find(|d| wrong.contains(&d.code.0));
                assert!(told.is_none(), "{text}{told:#?}");
                fuzzing::keepalived(text.as_bytes());
                seen += 1;
            }
        }
        assert!(seen > 500, "{seen}");
    }

    #[test]
    fn no_word_is_twice_in_a_block_and_all_are_explained() {
        for scope in Scope::ALL {
            let names: Vec<&str> = scope.keywords().map(|keyword| keyword.name).collect();
            for (at, name) in names.iter().enumerate() {
                assert!(!names[..at].contains(name), "{}: {name} twice", scope.name());
            }
            for keyword in scope.keywords() {
                assert!(!keyword.summary.is_empty() && !keyword.summary.contains('|'), "{}", keyword.name);
            }
        }
    }
}

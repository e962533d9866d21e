//! How a real server is watched: the rhythm of a check and the probe it sends.

use crate::{Account, Dns, HttpRules, NumberFile, Origin, Udp};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// A probe and its rhythm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// What one attempt does.
    pub probe: Probe,
    /// ldirectord's `checktype=N`: after one `probe`, this many plain TCP connects before the next `probe`;
    /// a connect that fails makes the next attempt a `probe` again. 0: every attempt is a `probe`.
    pub connects_between: u32,
    /// When attempts are made and how many decide.
    pub rhythm: Rhythm,
    /// Where attempts come from; `None`: as the host's routes have it.
    pub origin: Option<Box<Origin>>,
}

/// The rhythm of a check whose parts have their own.
const OF_GROUPS: Rhythm = Rhythm {
    every: Duration::from_secs(60),
    timeout: Duration::from_secs(60),
    retry_after: None,
    rise: 1,
    fall: 1,
    jitter_percent: 0,
};

impl Check {
    /// One that sends `probe` in this rhythm from wherever the host's routes say.
    pub fn new(probe: Probe, rhythm: Rhythm) -> Check {
        Check { probe, connects_between: 0, rhythm, origin: None }
    }

    /// All of `checks` together, of which there is at least one.
    pub fn all(mut checks: Vec<Arc<Check>>) -> Option<Arc<Check>> {
        match checks.len() {
            0 | 1 => checks.pop(),
            _ => Some(Arc::new(Check::new(Probe::All(checks), OF_GROUPS))),
        }
    }

    /// The checks it is made of: itself, or those of a group.
    pub fn parts(&self) -> Box<dyn Iterator<Item = &Check> + '_> {
        match &self.probe {
            Probe::All(checks) => Box::new(checks.iter().map(|check| &**check)),
            _ => Box::new(std::iter::once(self)),
        }
    }
}

/// When attempts are made and how many of them decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rhythm {
    /// From the end of one attempt to the start of the next, while the real server's state is settled.
    pub every: Duration,
    /// Hard deadline of one attempt, connecting included.
    pub timeout: Duration,
    /// From a failed attempt of a real server that is up to the next one, when shorter than `every`.
    pub retry_after: Option<Duration>,
    /// Good attempts in a row that bring a real server up; at least 1.
    pub rise: u32,
    /// Failed attempts in a row that take it down; at least 1.
    pub fall: u32,
    /// Share of `every`, in percent (0 to 50), by which each wait is shortened at random.
    pub jitter_percent: u8,
}

/// What one attempt does. Always connected to the address given here, whatever names are sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Always up.
    AlwaysOn,
    /// Always down.
    AlwaysOff,
    /// A TCP connection that is established.
    Tcp {
        /// Where.
        target: SocketAddr,
    },
    /// An ICMP or ICMPv6 echo that is answered.
    Ping {
        /// Whom; the port has no meaning.
        target: std::net::IpAddr,
        /// How many echoes one attempt may send before it fails; at least 1.
        tries: u32,
    },
    /// An HTTP/1.1 request over TCP or TLS.
    Http(Http),
    /// A program whose exit status 0 means up.
    Script(Script),
    /// A datagram and perhaps its answer.
    Udp(Udp),
    /// A question to a DNS server.
    Dns(Dns),
    /// The greetings of a mail server: 220, HELO, 250, QUIT.
    Smtp {
        /// Where.
        target: SocketAddr,
        /// The name in HELO.
        helo: String,
    },
    /// A number in a file.
    File(NumberFile),
    /// A BFD session that is up. No attempts are made: who holds the sessions tells.
    Bfd {
        /// Its name.
        name: String,
    },
    /// Checks of their own, each with its rhythm: up while all of them are. At least two, none of them of this kind;
    /// nothing else of this check counts.
    All(Vec<Arc<Check>>),
}

/// An HTTP or HTTPS request and what its answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Http {
    /// Where to connect.
    pub target: SocketAddr,
    /// TLS; the certificate is verified only when `verify` says so.
    pub tls: bool,
    /// Verify the certificate against the host's roots and `server_name`.
    pub verify: bool,
    /// Name for SNI and verification; `None` sends no SNI.
    pub server_name: Option<String>,
    /// The Host header, as sent.
    pub host: String,
    /// GET or HEAD.
    pub method: HttpMethod,
    /// Path and query, starting with a slash.
    pub path: String,
    /// Which status codes are good.
    pub status: StatusSet,
    /// What the body must hold.
    pub body: Body,
    /// How many redirects are followed, on the same target only; 0: none.
    pub redirects: u32,
    /// Bytes of body read at the most; a pattern is looked for in these. A digest is made of the whole body.
    pub size_cap: usize,
    /// What few checks ask for.
    pub rules: HttpRules,
}

/// Request method of an HTTP probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpMethod {
    /// GET.
    Get,
    /// HEAD: no body comes back, so a body pattern never matches.
    Head,
}

/// Status codes as inclusive ranges, e.g. 200-299.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatusSet(pub Vec<(u16, u16)>);

impl StatusSet {
    /// Whether `status` is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(low, high)| (*low..=*high).contains(&status))
    }
}

/// What a body must hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Anything.
    Any,
    /// A match, anywhere, of this regular expression, read as Perl reads it.
    PerlRegex(String),
}

/// An external check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Script {
    /// The program.
    pub program: PathBuf,
    /// Its arguments, passed as they are.
    pub arguments: Vec<String>,
    /// Additional environment.
    pub environment: Vec<(String, String)>,
    /// Run as `/bin/sh -c program`, as ldirectord's `external-perl` never and its `external` always did for text with
    /// shell characters. Off unless the file asks for it.
    pub shell: bool,
    /// Whom it runs as; `None`: as evenkeel itself.
    pub account: Option<Account>,
    /// An exit status from 2 to 255 means up as well, and that the real server's weight is two less (`misc_dynamic`).
    pub weighs: bool,
}

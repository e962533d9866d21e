//! Probes that keepalived.conf words: UDP, DNS, SMTP, files and BFD, and what its HTTP checks ask for.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

/// Where an attempt comes from; what is not said is up to the host's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Source address.
    pub address: Option<IpAddr>,
    /// Source port.
    pub port: Option<u16>,
    /// Interface that packets leave by, whatever the routes say.
    pub interface: Option<String>,
    /// Firewall mark of the packets.
    pub mark: Option<NonZeroU32>,
}

impl Origin {
    /// Nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Origin::default()
    }
}

/// A datagram, and what may come back. An ICMP error is a failure; silence is one only where an answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Udp {
    /// Where to.
    pub target: SocketAddr,
    /// What is sent; `None`: some text that says who asks.
    pub payload: Option<Vec<u8>>,
    /// What must come back; `None`: nothing need.
    pub reply: Option<UdpReply>,
}

/// What must come back from a UDP port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UdpReply {
    /// How it begins: each byte and which bits of it do not count. An answer that is shorter has to fit as far as it goes.
    /// Without any, every answer is good, whatever its length.
    pub begins: Vec<(u8, u8)>,
    /// Least and most bytes.
    pub length: (u16, u16),
}

impl UdpReply {
    /// Most bytes of an answer where nothing is said.
    pub const USUAL_MOST: u16 = 255;
}

/// A question to a DNS server over UDP; any answer without an error code is good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dns {
    /// Where to.
    pub target: SocketAddr,
    /// The name that is asked for; `.` is the root.
    pub name: String,
    /// The type of record.
    pub record: Record,
}

/// Types of record that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Record {
    /// IPv4 address.
    A,
    /// Name server.
    Ns,
    /// Another name.
    Cname,
    /// Start of authority.
    #[default]
    Soa,
    /// Mail server.
    Mx,
    /// Text.
    Txt,
    /// IPv6 address.
    Aaaa,
}

impl Record {
    /// All of them, in the order of their numbers.
    pub const ALL: [Record; 7] =
        [Record::A, Record::Ns, Record::Cname, Record::Soa, Record::Mx, Record::Txt, Record::Aaaa];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Record::A => "A",
            Record::Ns => "NS",
            Record::Cname => "CNAME",
            Record::Soa => "SOA",
            Record::Mx => "MX",
            Record::Txt => "TXT",
            Record::Aaaa => "AAAA",
        }
    }

    /// The type of this name, in capitals or not.
    pub fn named(name: &str) -> Option<Record> {
        Record::ALL.into_iter().find(|record| record.name().eq_ignore_ascii_case(name))
    }
}

/// A number in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NumberFile {
    /// The file; one that cannot be read, or holds no number, counts as 0.
    pub path: PathBuf,
    /// What the number is multiplied by, which is added to the real server's weight. 0: the weight stays, and the real
    /// server is up while the number is 0.
    pub factor: i64,
    /// With a factor of 0: up while the number is not 0.
    pub reverse: bool,
}

/// What HTTP checks of keepalived.conf ask for beyond others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HttpRules {
    /// Version of the request.
    pub version: HttpVersion,
    /// MD5 of the body, as genhash prints it.
    pub digest: Option<[u8; 16]>,
    /// The pattern must not match.
    pub unwanted: bool,
    /// Bytes of the body in front of which no match is looked for.
    pub least_offset: usize,
    /// A match must begin in front of this byte of the body.
    pub most_offset: Option<usize>,
}

/// Version of a request, and what it says of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.1 with `Connection: close`.
    #[default]
    Http11,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.0 with `Connection: close`.
    Http10Close,
    /// HTTP/1.0 with `Connection: keep-alive`.
    Http10KeepAlive,
}

impl HttpVersion {
    /// All of them.
    pub const ALL: [HttpVersion; 4] =
        [HttpVersion::Http11, HttpVersion::Http10, HttpVersion::Http10Close, HttpVersion::Http10KeepAlive];

    /// As `http_protocol` has it.
    pub fn name(self) -> &'static str {
        match self {
            HttpVersion::Http11 => "1.1",
            HttpVersion::Http10 => "1.0",
            HttpVersion::Http10Close => "1.0C",
            HttpVersion::Http10KeepAlive => "1.0K",
        }
    }

    /// The version of this name.
    pub fn named(name: &str) -> Option<HttpVersion> {
        HttpVersion::ALL.into_iter().find(|version| version.name().eq_ignore_ascii_case(name))
    }
}

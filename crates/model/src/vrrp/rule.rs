//! Rules that choose a routing table, which move with an instance or stay on the node: the words of `ip rule`.

use super::route::{PROTOCOL, prefix_text, realms_text};
use crate::{Family, Prefix};
use std::{
    fmt::{self, Display, Formatter},
    ops::RangeInclusive,
};

/// What a rule does with the packets it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Looks into this table.
    Lookup(u32),
    /// Looks into the table of the packet's VRF.
    L3mdev,
    /// Goes on at the rule of this priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drops them without a word.
    Blackhole,
    /// Answers: network unreachable.
    Unreachable,
    /// Answers: communication prohibited.
    Prohibit,
}

/// A rule. Its text is a line of `ip rule`, with numbers for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of the packets it sees.
    pub family: Family,
    /// It is for all packets but those that match.
    pub not: bool,
    /// Where packets come from.
    pub from: Option<Prefix>,
    /// Where packets go.
    pub to: Option<Prefix>,
    /// Rules are tried from the lowest on.
    pub priority: u32,
    /// Type of service; 0: any.
    pub tos: u8,
    /// Firewall mark, and the bits of it that count; all where nothing is said.
    pub mark: Option<(u32, Option<u32>)>,
    /// The interface packets come in by; `lo`: this host's own.
    pub input: Option<String>,
    /// The interface sockets are bound to.
    pub output: Option<String>,
    /// Protocol number of IP.
    pub ip_protocol: Option<u8>,
    /// Source ports.
    pub source_ports: Option<RangeInclusive<u16>>,
    /// Destination ports.
    pub destination_ports: Option<RangeInclusive<u16>>,
    /// Users of this host's own packets.
    pub users: Option<RangeInclusive<u32>>,
    /// Identifier of the tunnel they came by; 0: any.
    pub tunnel: u64,
    /// Realms that matching packets get: the source's in the upper half.
    pub realms: Option<u32>,
    /// Routes with a prefix of at most so many bits do not count.
    pub suppress_prefix: Option<u32>,
    /// Routes by interfaces of this group do not count.
    pub suppress_group: Option<u32>,
    /// What is done.
    pub action: Action,
    /// Who made it; [`PROTOCOL`] where nothing is said.
    pub protocol: u8,
    /// The instance is at fault without its interfaces.
    pub tracked: bool,
}

impl Rule {
    /// A rule for all packets of a family.
    pub fn new(family: Family, priority: u32, action: Action) -> Rule {
        Rule {
            family,
            not: false,
            from: None,
            to: None,
            priority,
            tos: 0,
            mark: None,
            input: None,
            output: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            users: None,
            tunnel: 0,
            realms: None,
            suppress_prefix: None,
            suppress_group: None,
            action,
            protocol: PROTOCOL,
            tracked: true,
        }
    }

    /// The interfaces it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &String> {
        self.input.iter().chain(&self.output)
    }
}

fn said<T: Display>(f: &mut Formatter<'_>, word: &str, value: Option<T>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {word} {value}"))
}

fn range<T: Display + PartialEq>(range: &RangeInclusive<T>) -> String {
    format!("{}-{}", range.start(), range.end())
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A family that no address tells.
        if self.family == Family::V6 && self.from.or(self.to).is_none() {
            f.write_str("inet6 ")?;
        }
        if self.not {
            f.write_str("not ")?;
        }
        write!(f, "from {}", self.from.map_or_else(|| "all".to_owned(), prefix_text))?;
        said(f, "to", self.to.map(prefix_text))?;
        write!(f, " priority {}", self.priority)?;
        said(f, "tos", Some(self.tos).filter(|tos| *tos != 0).map(|tos| format!("0x{tos:x}")))?;
        if let Some((mark, mask)) = self.mark {
            write!(f, " fwmark 0x{mark:x}")?;
            mask.map_or(Ok(()), |mask| write!(f, "/0x{mask:x}"))?;
        }
        said(f, "iif", self.input.as_ref())?;
        said(f, "oif", self.output.as_ref())?;
        said(f, "ipproto", self.ip_protocol)?;
        said(f, "sport", self.source_ports.as_ref().map(range))?;
        said(f, "dport", self.destination_ports.as_ref().map(range))?;
        said(f, "uidrange", self.users.as_ref().map(range))?;
        said(f, "tunnel-id", Some(self.tunnel).filter(|tunnel| *tunnel != 0))?;
        said(f, "realms", self.realms.map(realms_text))?;
        said(f, "suppress_prefixlength", self.suppress_prefix)?;
        said(f, "suppress_ifgroup", self.suppress_group)?;
        match self.action {
            Action::Lookup(table) => write!(f, " lookup {table}")?,
            Action::L3mdev => f.write_str(" l3mdev")?,
            Action::Goto(priority) => write!(f, " goto {priority}")?,
            Action::Nop => f.write_str(" nop")?,
            Action::Blackhole => f.write_str(" blackhole")?,
            Action::Unreachable => f.write_str(" unreachable")?,
            Action::Prohibit => f.write_str(" prohibit")?,
        }
        said(f, "protocol", Some(self.protocol).filter(|protocol| *protocol != PROTOCOL))?;
        if self.tracked { Ok(()) } else { f.write_str(" no_track") }
    }
}

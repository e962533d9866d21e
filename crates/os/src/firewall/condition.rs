//! What a rule asks of a packet, and whether a packet is so.

use std::net::IpAddr;

use super::awaited::Cast;

/// First and last.
pub(super) type Range = (u128, u128);

pub(super) const ANY: Range = (0, u128::MAX);
pub(super) const ALL_PORTS: Range = (0, 0xffff);

/// A packet, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) ipv4: bool,
    /// `None` for any.
    pub(super) protocol: Option<u8>,
    /// From where and to where.
    pub(super) addresses: [Range; 2],
    pub(super) ports: [Range; 2],
    /// The first of a neighbour's messages, of which more is known.
    pub(super) message: Option<Arrival>,
}

/// How a neighbour's message comes in.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) interface: String,
    pub(super) cast: Cast,
}

/// The number of a connection's first packet.
pub(super) const NEW: u128 = 1;

impl Arrival {
    fn fit(&self, subject: &Subject) -> Fit {
        let is = |yes: bool| if yes { Fit::Yes } else { Fit::No };
        match subject {
            Subject::Interface(names) => is(names.iter().any(|name| match name.strip_suffix('*') {
                Some(beginning) => self.interface.starts_with(beginning),
                None => *name == self.interface,
            })),
            // What is accepted because it is established must have come in before.
            Subject::State(values) => values.fit((NEW, NEW)),
            Subject::Cast(values) => values.fit((self.cast as u128, self.cast as u128)),
            Subject::Astray => Fit::No,
            Subject::Address(..)
            | Subject::Protocol(_)
            | Subject::Port(..)
            | Subject::Ipv4(_)
            | Subject::FromLoopback
            | Subject::Unknown => Fit::Maybe,
        }
    }
}

/// The number of a state of the connection table.
pub(super) fn state(name: &str) -> Option<Range> {
    let number = match name.to_ascii_lowercase().as_str() {
        "new" => NEW,
        "invalid" => 2,
        "established" => 3,
        "related" => 4,
        "untracked" => 5,
        "snat" => 6,
        "dnat" => 7,
        _ => return None,
    };
    Some((number, number))
}

/// The number of a kind of destination, as the routing table and as the link layer call it.
pub(super) fn cast(name: &str) -> Option<Range> {
    /// Not for this host.
    const OTHER: u128 = 9;
    let number = match name.to_ascii_lowercase().as_str() {
        "host" | "local" => Cast::One as u128,
        "broadcast" => Cast::All as u128,
        "multicast" => Cast::Group as u128,
        "unspec" | "anycast" | "blackhole" | "unreachable" | "prohibit" | "other" | "otherhost" => OTHER,
        _ => return None,
    };
    Some((number, number))
}

/// What a rule asks of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) subject: Subject,
    pub(super) negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Address(End, Values),
    Protocol(Values),
    /// Of this transport protocol, or of any.
    Port(Option<u8>, End, Values),
    /// IPv4 (true) or IPv6.
    Ipv4(bool),
    FromLoopback,
    /// It came in by one of these; a `*` at the end stands for whatever follows.
    Interface(Vec<String>),
    /// What the connection table calls it: [`NEW`] or something else.
    State(Values),
    /// To whom it was sent: the numbers of [`Cast`].
    Cast(Values),
    /// No route leads back to its source, or its destination was translated: no neighbour's message is so.
    Astray,
    /// Anything else, of which a packet from outside may be one or not.
    Unknown,
}

/// Which end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

impl End {
    fn of(self, [source, destination]: [Range; 2]) -> Range {
        match self {
            End::Source => source,
            End::Destination => destination,
        }
    }
}

/// Ranges of numbers; addresses count as numbers of their family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) ranges: Vec<Range>,
    /// More may be meant than is listed.
    pub(super) open: bool,
    /// The family of addresses.
    pub(super) ipv4: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    Maybe,
    Yes,
}

impl Values {
    pub(super) fn fit(&self, (low, high): Range) -> Fit {
        if self.ranges.iter().any(|(a, b)| *a <= low && high <= *b) {
            Fit::Yes
        } else if self.open || self.ranges.iter().any(|(a, b)| *a <= high && low <= *b) {
            Fit::Maybe
        } else {
            Fit::No
        }
    }
}

impl Condition {
    pub(super) fn new(subject: Subject) -> Condition {
        Condition { subject, negated: false }
    }

    pub(super) fn fit(&self, packet: &Packet) -> Fit {
        let ipv4 = packet.ipv4;
        let number = packet.protocol.map(u128::from);
        let fit = match &self.subject {
            Subject::Unknown => return Fit::Maybe,
            // A header that the packet does not have fits in neither sense.
            Subject::Port(Some(protocol), ..) if number.is_some_and(|n| n != (*protocol).into()) => return Fit::No,
            Subject::Port(Some(_), ..) if number.is_none() => return Fit::Maybe,
            Subject::Address(_, values) if values.ipv4 != ipv4 => return Fit::No,
            Subject::Port(_, end, values) => values.fit(end.of(packet.ports)),
            Subject::Address(end, values) => match (end.of(packet.addresses), ipv4) {
                (ANY, true) => values.fit((0, u32::MAX.into())),
                (range, _) => values.fit(range),
            },
            Subject::Protocol(values) => values.fit(number.map_or((0, 255), |number| (number, number))),
            Subject::Ipv4(of) if *of == ipv4 => Fit::Yes,
            Subject::Ipv4(_) | Subject::FromLoopback => Fit::No,
            Subject::Interface(_) | Subject::State(_) | Subject::Cast(_) | Subject::Astray => match &packet.message {
                None => return Fit::Maybe,
                Some(arrival) => arrival.fit(&self.subject),
            },
        };
        match (self.negated, fit) {
            (true, Fit::Yes) => Fit::No,
            (true, Fit::No) => Fit::Yes,
            (_, fit) => fit,
        }
    }
}

pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => a.to_bits().into(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

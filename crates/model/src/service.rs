//! What names a virtual service.

use std::{error::Error, fmt, net::IpAddr, num::NonZeroU32, str::FromStr};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP: scheduled on a SYN, with connection states.
    Tcp,
    /// UDP: scheduled on the first datagram of an address and port pair.
    Udp,
    /// SCTP: scheduled on an INIT, with association states.
    Sctp,
}

impl Protocol {
    /// The IANA protocol number, as in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    /// The protocol of an IANA number.
    pub fn from_number(number: u8) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }

    /// `tcp`, `udp` or `sctp`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// Bits of an address: 32 or 128.
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The address of all zeros.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        }
    }
}

/// What a virtual service answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to an address.
    Address {
        /// The virtual address.
        address: IpAddr,
        /// The transport protocol.
        protocol: Protocol,
        /// The virtual port; 0 stands for every port that has no service of its own.
        port: u16,
    },
    /// Packets of one family with a firewall mark, whatever their destination and protocol.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// The family.
        family: Family,
    },
}

impl ServiceKey {
    /// The key of a service on an address.
    pub fn new(address: IpAddr, protocol: Protocol, port: u16) -> ServiceKey {
        ServiceKey::Address { address, protocol, port }
    }

    /// The virtual address; `None` for a mark.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            ServiceKey::Address { address, .. } => Some(*address),
            ServiceKey::Mark { .. } => None,
        }
    }

    /// The transport protocol; `None` for a mark, which takes all.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            ServiceKey::Address { protocol, .. } => Some(*protocol),
            ServiceKey::Mark { .. } => None,
        }
    }

    /// The virtual port; 0 for every port and for a mark.
    pub fn port(&self) -> u16 {
        match self {
            ServiceKey::Address { port, .. } => *port,
            ServiceKey::Mark { .. } => 0,
        }
    }

    /// The mark; `None` for an address.
    pub fn mark(&self) -> Option<NonZeroU32> {
        match self {
            ServiceKey::Address { .. } => None,
            ServiceKey::Mark { mark, .. } => Some(*mark),
        }
    }

    /// The family of the packets it answers for.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address { address, .. } => Family::of(*address),
            ServiceKey::Mark { family, .. } => *family,
        }
    }

    /// Whether it speaks FTP unless somebody says otherwise: TCP, port 21.
    pub fn is_ftp(&self) -> bool {
        self.protocol() == Some(Protocol::Tcp) && self.port() == 21
    }

    /// The word of the status contract: `tcp`, `udp`, `sctp` or `fwm`.
    pub fn protocol_name(&self) -> &'static str {
        self.protocol().map_or("fwm", Protocol::name)
    }
}

impl fmt::Display for ServiceKey {
    /// `192.0.2.1:80/tcp`, `[2001:db8::1]:80/tcp`, `mark 3` or `mark 3 (IPv6)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address { address, protocol, port } => {
                write!(f, "{}/{protocol}", std::net::SocketAddr::new(*address, *port))
            }
            ServiceKey::Mark { mark, family: Family::V4 } => write!(f, "mark {mark}"),
            ServiceKey::Mark { mark, family: Family::V6 } => write!(f, "mark {mark} (IPv6)"),
        }
    }
}

/// Weight of a real server: 0 takes no new connections (quiescent), 1 is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// Quiescent: connections stay, no new ones come.
    pub const ZERO: Weight = Weight(0);
    /// What a real server has when nothing is written.
    pub const ONE: Weight = Weight(1);
    /// The largest weight: IPVS takes an `i32`, ldirectord passes 65536 on (facts/heartbeat-ldirectord.md C2).
    pub const MAX: Weight = Weight(0x7fff_ffff);

    /// `None` above [`Weight::MAX`].
    pub fn new(raw: u32) -> Option<Weight> {
        (raw <= Weight::MAX.0).then_some(Weight(raw))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many connections a real server may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thresholds {
    /// With so many connections, active and inactive, it takes no new ones; 0: no limit.
    pub upper: u32,
    /// It takes new ones again below this; 0: below three quarters of `upper`. Never above `upper`.
    pub lower: u32,
}

/// Clients come back to the real server they had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persistence {
    /// Seconds since the client's last new connection, 1 to 2678400 (31 days).
    pub timeout: u32,
    /// Leading bits of the client's address that count; all of the family by default.
    pub prefix: u8,
    /// What a client is.
    pub engine: PersistenceEngine,
}

impl Persistence {
    /// What `-p` alone means.
    pub const DEFAULT_TIMEOUT: u32 = 360;
    /// The longest timeout, as `ipvsadm` has it.
    pub const LONGEST_TIMEOUT: u32 = 31 * 24 * 60 * 60;
}

/// What persistence goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersistenceEngine {
    /// The client's address.
    #[default]
    Address,
    /// The Call-ID of SIP messages over UDP.
    Sip,
}

/// What the data plane gives a mark to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Match {
    /// Where the packet goes.
    pub destination: crate::Prefix,
    /// Where it comes from; `None`: anywhere.
    pub source: Option<crate::Prefix>,
    /// IANA number of its protocol; `None`: any.
    pub protocol: Option<u8>,
    /// Destination ports, first and last; `None`: any. Only with TCP, UDP and SCTP.
    pub ports: Option<(u16, u16)>,
}

impl fmt::Display for Match {
    /// As the native file has it: `192.0.2.1/32 tcp 80-81 from 198.51.100.0/24`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(number) = self.protocol {
            match Protocol::from_number(number) {
                Some(protocol) => write!(f, " {protocol}")?,
                None => write!(f, " protocol {number}")?,
            }
        }
        match self.ports {
            Some((first, last)) if first == last => write!(f, " {first}")?,
            Some((first, last)) => write!(f, " {first}-{last}")?,
            None => {}
        }
        match self.source {
            Some(source) => write!(f, " from {source}"),
            None => Ok(()),
        }
    }
}

/// Why a text is no [`Match`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchError {
    /// The first word is no address or prefix.
    Destination(crate::PrefixError),
    /// What follows `from` is no address or prefix.
    Source(crate::PrefixError),
    /// Source and destination are of different families.
    Families,
    /// A word that is none of a protocol, ports and `from`.
    Word(String),
    /// Ports of a protocol that has none, or of any.
    Ports,
}

impl fmt::Display for MatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MatchError::Destination(why) => write!(f, "the destination is {why}"),
            MatchError::Source(why) => write!(f, "the source is {why}"),
            MatchError::Families => f.write_str("source and destination are of different families"),
            MatchError::Word(word) => write!(
                f,
                "{word:?} is not understood; a match is `ADDRESS[/BITS] [tcp|udp|sctp|protocol N] [PORT[-PORT]] [from ADDRESS[/BITS]]`"
            ),
            MatchError::Ports => f.write_str("ports need one of tcp, udp and sctp before them"),
        }
    }
}

impl Error for MatchError {}

impl FromStr for Match {
    type Err = MatchError;

    fn from_str(text: &str) -> Result<Match, MatchError> {
        let mut words = text.split_whitespace();
        let destination: crate::Prefix = words.next().unwrap_or("").parse().map_err(MatchError::Destination)?;
        let mut parsed = Match { destination, source: None, protocol: None, ports: None };
        while let Some(word) = words.next() {
            let unknown = || MatchError::Word(word.to_owned());
            match word {
                "tcp" => parsed.protocol = Some(Protocol::Tcp.number()),
                "udp" => parsed.protocol = Some(Protocol::Udp.number()),
                "sctp" => parsed.protocol = Some(Protocol::Sctp.number()),
                "protocol" => {
                    let number = words.next().ok_or_else(unknown)?;
                    parsed.protocol = Some(number.parse().map_err(|_| MatchError::Word(number.to_owned()))?);
                }
                "from" => {
                    let source: crate::Prefix = words.next().unwrap_or("").parse().map_err(MatchError::Source)?;
                    if source.address().is_ipv4() != destination.address().is_ipv4() {
                        return Err(MatchError::Families);
                    }
                    parsed.source = Some(source);
                }
                ports => {
                    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                    let range = (first.parse().map_err(|_| unknown())?, last.parse().map_err(|_| unknown())?);
                    if range.0 > range.1 {
                        return Err(unknown());
                    }
                    if parsed.protocol.and_then(Protocol::from_number).is_none() {
                        return Err(MatchError::Ports);
                    }
                    parsed.ports = Some(range);
                }
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_reads_what_it_writes() {
        for text in [
            "192.0.2.1/32",
            "192.0.2.1/32 tcp 80",
            "192.0.2.0/24 udp 5060-5061 from 198.51.100.0/24",
            "2001:db8::/32 protocol 50 from 2001:db8:1::/48",
        ] {
            assert_eq!(text.parse::<Match>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.1 tcp 80".parse::<Match>().unwrap().to_string(), "192.0.2.1/32 tcp 80");
    }

    #[test]
    fn what_is_no_match_says_why() {
        assert_eq!("192.0.2.1 80".parse::<Match>(), Err(MatchError::Ports));
        assert_eq!("192.0.2.1 tcp 81-80".parse::<Match>(), Err(MatchError::Word("81-80".into())));
        assert_eq!("192.0.2.1 tpc".parse::<Match>(), Err(MatchError::Word("tpc".into())));
        assert_eq!("192.0.2.1 from 2001:db8::1".parse::<Match>(), Err(MatchError::Families));
    }

    #[test]
    fn keys_are_written_as_operators_say_them() {
        let mark = NonZeroU32::new(3).unwrap();
        assert_eq!(ServiceKey::Mark { mark, family: Family::V6 }.to_string(), "mark 3 (IPv6)");
        assert_eq!(
            ServiceKey::new("2001:db8::1".parse().unwrap(), Protocol::Sctp, 80).to_string(),
            "[2001:db8::1]:80/sctp"
        );
    }
}

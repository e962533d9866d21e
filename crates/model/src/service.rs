//! What names a virtual service, and how its connections are spread and forwarded.

use std::{error::Error, fmt, net::IpAddr, str::FromStr};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP: scheduled on a SYN, with connection states.
    Tcp,
    /// UDP: scheduled on the first datagram of an address and port pair.
    Udp,
}

impl Protocol {
    /// The IANA protocol number, as in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// `tcp` or `udp`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a virtual service answers for: address, protocol and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// The virtual address.
    pub address: IpAddr,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The virtual port; 0 stands for every port that has no service of its own.
    pub port: u16,
}

impl fmt::Display for ServiceKey {
    /// `192.0.2.1:80/tcp` or `[2001:db8::1]:80/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", std::net::SocketAddr::new(self.address, self.port), self.protocol)
    }
}

/// How the next connection finds its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduler {
    /// `rr`: one after the other, whatever the weight (0 excepted).
    RoundRobin,
    /// `wrr`: one after the other, as often as the weight says, interleaved as the kernel does it.
    WeightedRoundRobin,
    /// `mh`: exactly the kernel's Maglev hash of 4093 slots on the source address.
    MaglevHash {
        /// `mh-port`: the source port counts as well.
        port: bool,
    },
    /// `maglev`: our own consistent hash of 65537 slots over addresses and ports, keyed, weighted.
    Maglev,
}

impl Scheduler {
    /// The name used in files and listings.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::RoundRobin => "rr",
            Scheduler::WeightedRoundRobin => "wrr",
            Scheduler::MaglevHash { .. } => "mh",
            Scheduler::Maglev => "maglev",
        }
    }

    /// Whether the weights of the real servers change anything but 0 and not 0.
    pub fn heeds_weight(self) -> bool {
        match self {
            Scheduler::RoundRobin => false,
            Scheduler::WeightedRoundRobin | Scheduler::MaglevHash { .. } | Scheduler::Maglev => true,
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a word is no scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerError {
    /// A scheduler of the kernel's IPVS that this release does not have.
    NotYet,
    /// No scheduler at all.
    Unknown,
}

impl fmt::Display for SchedulerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SchedulerError::NotYet => "a scheduler of IPVS that this release does not have; use rr, wrr, mh or maglev",
            SchedulerError::Unknown => "no such scheduler; use rr, wrr, mh or maglev",
        })
    }
}

impl Error for SchedulerError {}

impl FromStr for Scheduler {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Scheduler, SchedulerError> {
        match name {
            "rr" => Ok(Scheduler::RoundRobin),
            "wrr" => Ok(Scheduler::WeightedRoundRobin),
            "mh" => Ok(Scheduler::MaglevHash { port: false }),
            "maglev" => Ok(Scheduler::Maglev),
            "lc" | "wlc" | "lblc" | "lblcr" | "dh" | "sh" | "sed" | "nq" | "fo" | "ovf" | "twos" => {
                Err(SchedulerError::NotYet)
            }
            _ => Err(SchedulerError::Unknown),
        }
    }
}

/// How a packet reaches its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Direct routing: only the MAC address changes, the real server holds the VIP and answers the client itself.
    DirectRouting,
    /// The director itself is the real server: the packet is delivered to its own stack.
    Local,
}

impl Forwarding {
    /// The word of the status contract: `dr` or `local`.
    pub fn name(self) -> &'static str {
        match self {
            Forwarding::DirectRouting => "dr",
            Forwarding::Local => "local",
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

//! How connections are spread over real servers.

use std::{error::Error, fmt, str::FromStr};

/// How the next connection finds its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheduler {
    /// `rr`: one after the other, whatever the weight (0 excepted).
    RoundRobin,
    /// `wrr`: one after the other, as often as the weight says, interleaved as the kernel does it.
    WeightedRoundRobin,
    /// `lc`: the fewest connections.
    LeastConnections,
    /// `wlc`: the fewest connections for its weight.
    WeightedLeastConnections,
    /// `sed`: the shortest expected delay, which is active connections plus one for its weight.
    ShortestExpectedDelay,
    /// `nq`: an idle one if there is one, else as `sed`.
    NeverQueue,
    /// `lblc`: each destination address has its real server while that is not overloaded, else as `wlc`.
    LocalityLeastConnections,
    /// `lblcr`: as `lblc`, with a set of real servers for each destination address.
    LocalityLeastConnectionsReplicated,
    /// `dh`: a hash of the destination address.
    DestinationHash,
    /// `sh`: the kernel's hash of 256 buckets on the source address.
    SourceHash(HashFlags),
    /// `mh`: exactly the kernel's Maglev hash of 4093 slots on the source address.
    MaglevHash(HashFlags),
    /// `maglev`: our own consistent hash of 65537 slots over addresses and ports, keyed, weighted. Whoever is not usable
    /// has no slots.
    Maglev,
    /// `fo`: all to the largest weight that is usable.
    WeightedFailover,
    /// `ovf`: to the largest weight until it has as many active connections as its weight, then to the next.
    WeightedOverflow,
    /// `twos`: the better one of two that are chosen at random.
    PowerOfTwo,
}

/// What `sh` and `mh` can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashFlags {
    /// `sh-port`, `mh-port`: the source port counts as well.
    pub port: bool,
    /// `sh-fallback`, `mh-fallback`: a client whose real server is not usable gets another one; without it none.
    pub fallback: bool,
}

impl Scheduler {
    /// All of them, hashes without flags, as listings of what there is show them.
    pub const ALL: [Scheduler; 15] = [
        Scheduler::RoundRobin,
        Scheduler::WeightedRoundRobin,
        Scheduler::LeastConnections,
        Scheduler::WeightedLeastConnections,
        Scheduler::LocalityLeastConnections,
        Scheduler::LocalityLeastConnectionsReplicated,
        Scheduler::DestinationHash,
        Scheduler::SourceHash(HashFlags { port: false, fallback: false }),
        Scheduler::ShortestExpectedDelay,
        Scheduler::NeverQueue,
        Scheduler::WeightedFailover,
        Scheduler::WeightedOverflow,
        Scheduler::MaglevHash(HashFlags { port: false, fallback: false }),
        Scheduler::PowerOfTwo,
        Scheduler::Maglev,
    ];

    /// The name used in files and listings.
    pub fn name(self) -> &'static str {
        match self {
            Scheduler::RoundRobin => "rr",
            Scheduler::WeightedRoundRobin => "wrr",
            Scheduler::LeastConnections => "lc",
            Scheduler::WeightedLeastConnections => "wlc",
            Scheduler::ShortestExpectedDelay => "sed",
            Scheduler::NeverQueue => "nq",
            Scheduler::LocalityLeastConnections => "lblc",
            Scheduler::LocalityLeastConnectionsReplicated => "lblcr",
            Scheduler::DestinationHash => "dh",
            Scheduler::SourceHash(_) => "sh",
            Scheduler::MaglevHash(_) => "mh",
            Scheduler::Maglev => "maglev",
            Scheduler::WeightedFailover => "fo",
            Scheduler::WeightedOverflow => "ovf",
            Scheduler::PowerOfTwo => "twos",
        }
    }

    /// The flags of `sh` and `mh`; none for all others.
    pub fn flags(self) -> Option<HashFlags> {
        match self {
            Scheduler::SourceHash(flags) | Scheduler::MaglevHash(flags) => Some(flags),
            _ => None,
        }
    }

    /// The same with other flags; `None` where it takes none.
    pub fn with_flags(self, flags: HashFlags) -> Option<Scheduler> {
        match self {
            Scheduler::SourceHash(_) => Some(Scheduler::SourceHash(flags)),
            Scheduler::MaglevHash(_) => Some(Scheduler::MaglevHash(flags)),
            _ => None,
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
pub struct SchedulerError;

impl fmt::Display for SchedulerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such scheduler; there are ")?;
        for (place, scheduler) in Scheduler::ALL.iter().enumerate() {
            let before = match place {
                0 => "",
                place if place + 1 == Scheduler::ALL.len() => " and ",
                _ => ", ",
            };
            write!(f, "{before}{scheduler}")?;
        }
        Ok(())
    }
}

impl Error for SchedulerError {}

impl FromStr for Scheduler {
    type Err = SchedulerError;

    /// The name as in files and listings; `sh` and `mh` without flags.
    fn from_str(name: &str) -> Result<Scheduler, SchedulerError> {
        Scheduler::ALL.into_iter().find(|scheduler| scheduler.name() == name).ok_or(SchedulerError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheduler_is_read_by_its_name() {
        for scheduler in Scheduler::ALL {
            assert_eq!(scheduler.name().parse(), Ok(scheduler));
        }
        assert_eq!("rrr".parse::<Scheduler>(), Err(SchedulerError));
        assert!(SchedulerError.to_string().ends_with("twos and maglev"));
    }
}

//! What an instance is told, and what it says.

use crate::Heard;
use evenkeel_machine::Instant;
use std::{net::IpAddr, time::Duration};

/// What an instance is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin. `since_renewal` tells of addresses that a former run of this router left in place: how long ago it
    /// last renewed their lease.
    Start {
        /// `None` where the addresses are not there.
        since_renewal: Option<Duration>,
    },
    /// Leave: a master hands over first, for so long at most.
    Stop {
        /// 0: at once.
        patience: Duration,
    },
    /// An advertisement that counts.
    Heard(Heard),
    /// The address this router sends from; `None` while its interface has none.
    Address(Option<IpAddr>),
    /// Something tracked says that it must not be master, or no longer.
    Broken(bool),
    /// It was told to speak to peers and has none, or no longer.
    NoPeers(bool),
    /// Another member of its sync group is broken, or no longer.
    GroupBroken(bool),
    /// Of something tracked nothing was seen yet, or no longer: it does not begin before it is. One that plays its part
    /// already goes on.
    Unknown(bool),
    /// It begins no wait for a master's silence before this time.
    NotBefore(Instant),
    /// What is tracked adds or takes so much.
    Adjust(i32),
    /// Whether it may replace a working master: its services are loaded and checked.
    Ready(bool),
    /// The group becomes master.
    GroupElected,
    /// The group yields.
    GroupYields,
    /// This master is known to be unreachable, from BFD.
    Unreachable(IpAddr),
    /// The link may have forgotten where the addresses are: its carrier came back, or an operator asks.
    Announce,
}

/// What an instance wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advertisement of this priority.
    Advertise {
        /// 0: this master leaves.
        priority: u8,
    },
    /// Add the addresses, or renew them, for the length of a lease.
    Hold,
    /// Remove the addresses.
    Release,
    /// Send so many rounds of gratuitous ARP or neighbour advertisements for all addresses.
    Announce {
        /// Back to back.
        rounds: u8,
    },
    /// Its time has come: a group may elect it.
    Candidate,
    /// Its part has changed.
    Turned {
        /// What it was.
        from: Role,
        /// What it is.
        to: Role,
        /// Why.
        why: Why,
    },
    /// Something an operator should know.
    Noticed(Notice),
}

/// The part of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not begun, or ended.
    Stopped,
    /// Waits for the master to fall silent.
    Backup,
    /// Has the addresses.
    Master,
    /// Has them until its successor speaks.
    Leaving,
    /// May not be master.
    Fault,
}

/// Why a part has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was told to begin.
    Started,
    /// It owns the addresses.
    Owner,
    /// It found the addresses a former run had left, within their lease.
    Resumed,
    /// Nobody was heard for the master-down time.
    Silence,
    /// The master said it leaves.
    MasterLeft,
    /// BFD says the master is unreachable.
    MasterUnreachable,
    /// A router of higher priority, or of the same and a higher address, was heard.
    Better {
        /// Who.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Its sync group became master or yielded.
    Group,
    /// It did not run for longer than its peers wait.
    Frozen {
        /// For how long it did not.
        silent: Duration,
    },
    /// What it tracks is broken.
    Broken,
    /// Of something it tracks nothing was seen yet.
    Unknown,
    /// All it tracks was seen.
    Known,
    /// Another member of its sync group is broken.
    GroupBroken,
    /// Its interface has no address to send from.
    NoAddress,
    /// It was told to speak to peers and has none.
    NoPeers,
    /// What was broken is mended.
    Mended,
    /// It was told to leave.
    Stopped,
    /// It leaves, and its successor was heard.
    Succeeded {
        /// Who.
        by: IpAddr,
    },
    /// It leaves, and nobody was heard in time.
    NoSuccessor,
}

/// Something an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A master of lower priority spoke while this one is master.
    Lower {
        /// Who.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Another router says that it owns the addresses, as this one does.
    SecondOwner {
        /// Who.
        source: IpAddr,
    },
    /// Its own timer came so late that an election was put off.
    Late {
        /// By how much.
        by: Duration,
    },
}

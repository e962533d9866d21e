//! Why a packet is dropped.

use std::fmt;

/// The first thing that is wrong with a packet; each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is shorter or longer than it says, or than a control packet is.
    Length,
    /// Of another version of BFD.
    Version,
    /// Its detection multiplier is 0.
    Multiplier,
    /// It is for many, which nobody has specified.
    Multipoint,
    /// It does not say whose it is: its own discriminator is 0.
    Discriminator,
    /// It names no session though its sender says that it has one.
    Nameless,
    /// It asks and answers at once.
    PollAndFinal,
    /// It is authenticated, and sessions of this node are not.
    Authentication,
    /// Nobody here knows its sender, or has the discriminator it names.
    Unknown,
    /// It names the session of another neighbour.
    Source,
    /// It came over more routers than its session allows.
    Hops,
    /// Its session is taken down on purpose.
    AdminDown,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 12] = [
        Reason::Length,
        Reason::Version,
        Reason::Multiplier,
        Reason::Multipoint,
        Reason::Discriminator,
        Reason::Nameless,
        Reason::PollAndFinal,
        Reason::Authentication,
        Reason::Unknown,
        Reason::Source,
        Reason::Hops,
        Reason::AdminDown,
    ];
}

impl fmt::Display for Reason {
    /// A fragment that reads well after "a packet was dropped: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Length => "its length is not what it says",
            Reason::Version => "it is of another version of BFD",
            Reason::Multiplier => "its detection multiplier is 0",
            Reason::Multipoint => "it is for many",
            Reason::Discriminator => "its discriminator is 0",
            Reason::Nameless => "it names no session and its state is neither Down nor AdminDown",
            Reason::PollAndFinal => "it polls and answers a poll at once",
            Reason::Authentication => "it is authenticated, and this node is not set to",
            Reason::Unknown => "no session is its",
            Reason::Source => "it names the session of another neighbour",
            Reason::Hops => "it came over too many routers (its TTL or hop limit is too low)",
            Reason::AdminDown => "its session is taken down here",
        })
    }
}

/// How many packets were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; Reason::ALL.len()]);

impl Drops {
    /// Of this reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Of all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// One more.
    pub(crate) fn count(&mut self, reason: Reason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let mut drops = Drops::default();
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            drops.count(reason);
            assert_eq!((drops.of(reason), drops.total()), (1, at as u64 + 1));
        }
    }
}

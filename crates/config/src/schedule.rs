//! Schedulers as this release takes them.

use evenkeel_model::Scheduler;
use std::fmt;

/// Why a word is no scheduler here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// A scheduler of IPVS that this release does not have.
    NotYet,
    /// No scheduler at all.
    Unknown,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unusable::NotYet => "a scheduler of IPVS that this release does not have; use rr, wrr, mh or maglev",
            Unusable::Unknown => "no such scheduler; use rr, wrr, mh or maglev",
        })
    }
}

/// The scheduler of a name, without flags.
pub(crate) fn scheduler(name: &str) -> Result<Scheduler, Unusable> {
    match name.parse() {
        Ok(
            scheduler @ (Scheduler::RoundRobin
            | Scheduler::WeightedRoundRobin
            | Scheduler::MaglevHash(_)
            | Scheduler::Maglev),
        ) => Ok(scheduler),
        Ok(_) => Err(Unusable::NotYet),
        Err(_) => Err(Unusable::Unknown),
    }
}

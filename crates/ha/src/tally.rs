//! What happens often and is told now and then.

use evenkeel_machine::Instant;
use std::{collections::HashMap, hash::Hash, time::Duration};

/// How often one kind is told.
pub(crate) const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Kinds that are counted apart; what others there are is not told before one of these was silent for as long.
const KINDS: usize = 256;

/// Counts by kind.
#[derive(Debug)]
pub(crate) struct Tallies<K>(HashMap<K, Tally>);

#[derive(Debug)]
struct Tally {
    count: u64,
    told: Instant,
    last: Instant,
}

impl<K: Eq + Hash> Tallies<K> {
    pub(crate) fn new() -> Tallies<K> {
        Tallies(HashMap::new())
    }

    /// Counts one; gives how many there were since it was last told, when it is to be told.
    pub(crate) fn count(&mut self, now: Instant, kind: K) -> Option<u64> {
        if let Some(tally) = self.0.get_mut(&kind) {
            tally.count += 1;
            tally.last = now;
            if now - tally.told < TOLD_EVERY {
                return None;
            }
            tally.told = now;
            return Some(std::mem::take(&mut tally.count));
        }
        if self.0.len() >= KINDS {
            self.0.retain(|_, tally| now - tally.last < TOLD_EVERY);
            if self.0.len() >= KINDS {
                return None;
            }
        }
        self.0.insert(kind, Tally { count: 0, told: now, last: now });
        Some(1)
    }

    /// What is about something that is no more.
    pub(crate) fn forget(&mut self, gone: impl Fn(&K) -> bool) {
        self.0.retain(|kind, _| !gone(kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_is_told_and_then_how_many_there_were_in_a_minute() {
        let at = |seconds| Instant::at(Duration::from_secs(seconds));
        let mut tallies = Tallies::new();
        assert_eq!(tallies.count(at(0), "a"), Some(1));
        assert_eq!(tallies.count(at(1), "a"), None);
        assert_eq!(tallies.count(at(2), "b"), Some(1));
        assert_eq!(tallies.count(at(61), "a"), Some(2));
        assert_eq!(tallies.count(at(62), "a"), None);
    }

    #[test]
    fn a_flood_of_kinds_is_bounded_and_forgotten() {
        let at = |seconds| Instant::at(Duration::from_secs(seconds));
        let mut tallies = Tallies::new();
        let told = (0..10 * KINDS).filter(|kind| tallies.count(at(0), *kind).is_some()).count();
        assert_eq!((told, tallies.0.len()), (KINDS, KINDS));
        assert_eq!(tallies.count(at(60), 10 * KINDS), Some(1));
        assert_eq!(tallies.0.len(), 1);
    }
}

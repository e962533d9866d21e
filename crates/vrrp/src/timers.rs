//! The deadlines of many instances: a binary heap in which each has one place, so that a change costs a logarithm and
//! nothing is ever allocated after the instance was added.

use evenkeel_machine::Instant;

/// Deadlines by instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// Instances, the earliest deadline first; of those that have none, the last.
    heap: Vec<usize>,
    /// Where an instance stands in `heap`.
    stands: Vec<usize>,
    at: Vec<Option<Instant>>,
}

impl Timers {
    /// Makes room for instance `who`, which is the next number.
    pub(crate) fn grow(&mut self, who: usize) {
        debug_assert_eq!(who, self.at.len());
        self.at.push(None);
        self.stands.push(self.heap.len());
        self.heap.push(who);
    }

    pub(crate) fn set(&mut self, who: usize, at: Option<Instant>) {
        let (Some(place), Some(&stands)) = (self.at.get_mut(who), self.stands.get(who)) else { return };
        if std::mem::replace(place, at) != at {
            let stands = self.rise(stands);
            self.sink(stands);
        }
    }

    /// The earliest deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.at.get(*self.heap.first()?).copied().flatten()
    }

    /// Whose deadline is the earliest and has come.
    pub(crate) fn due(&self, now: Instant) -> Option<usize> {
        self.first().filter(|at| *at <= now)?;
        self.heap.first().copied()
    }

    /// Whether what stands at `a` comes before what stands at `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        let of = |stands: usize| self.heap.get(stands).and_then(|&who| self.at.get(who)).copied().flatten();
        match (of(a), of(b)) {
            (Some(a), Some(b)) => a < b,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for stands in [a, b] {
            if let Some(place) = self.heap.get(stands).and_then(|&who| self.stands.get_mut(who)) {
                *place = stands;
            }
        }
    }

    fn rise(&mut self, mut stands: usize) -> usize {
        while stands > 0 && self.before(stands, (stands - 1) / 2) {
            self.swap(stands, (stands - 1) / 2);
            stands = (stands - 1) / 2;
        }
        stands
    }

    fn sink(&mut self, mut stands: usize) {
        loop {
            let (left, right) = (2 * stands + 1, 2 * stands + 2);
            let mut least = stands;
            for child in [left, right] {
                if child < self.heap.len() && self.before(child, least) {
                    least = child;
                }
            }
            if least == stands {
                return;
            }
            self.swap(stands, least);
            stands = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_machine::Rng;
    use std::time::Duration;

    #[test]
    fn the_earliest_is_always_first() {
        let mut timers = Timers::default();
        let mut plain = vec![None; 50];
        (0..50).for_each(|who| timers.grow(who));
        let mut rng = Rng::new(7);
        for _ in 0..5000 {
            let who = usize::try_from(rng.below(50)).unwrap();
            let at = (!rng.chance(20)).then(|| Instant::at(Duration::from_millis(rng.below(1000))));
            plain[who] = at;
            timers.set(who, at);
            assert_eq!(timers.first(), plain.iter().flatten().min().copied());
            let due = timers.due(Instant::at(Duration::from_millis(500)));
            assert_eq!(due.is_some(), timers.first().is_some_and(|at| at.since_start() <= Duration::from_millis(500)));
        }
    }
}

//! Virtual time and the contract every sans-IO machine keeps.
//!
//! A machine holds no clock, socket, thread or random source. It takes a time and an input and pushes its outputs into
//! an [`Outbox`] of its caller: there is nothing to poll and so nothing to forget.

use std::{
    collections::VecDeque,
    ops::{Add, Sub},
    time::Duration,
};

/// Nanoseconds since the node started. Only the runtime and the simulator make these; it never goes backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the node.
    pub const START: Instant = Instant(0);

    /// The instant `since_start` after the start; saturates after 584 years.
    pub fn at(since_start: Duration) -> Instant {
        Instant(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long the node has run at this instant.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// Zero when `earlier` is the later one.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A deterministic machine.
pub trait Machine {
    /// What it is told.
    type Input;
    /// What it wants done.
    type Output;
    /// Takes one input at time `now`.
    fn handle(&mut self, now: Instant, input: Self::Input, out: &mut Outbox<Self::Output>);
    /// Does what has become due by `now`.
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Self::Output>);
    /// When [`Machine::handle_timeout`] next wants to be called; `None` while nothing is pending.
    fn deadline(&self) -> Option<Instant>;
}

/// What a machine pushes its outputs into, in order.
#[derive(Debug)]
pub struct Outbox<T> {
    items: VecDeque<T>,
}

impl<T> Default for Outbox<T> {
    fn default() -> Outbox<T> {
        Outbox { items: VecDeque::new() }
    }
}

impl<T> Outbox<T> {
    /// An empty one.
    pub fn new() -> Outbox<T> {
        Outbox::default()
    }

    /// Appends `item`.
    pub fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// Takes all items, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.items.drain(..)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// A small seeded generator (xorshift64*), for jitter and for simulations: the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Any seed will do.
    pub fn new(seed: u64) -> Rng {
        Rng((seed ^ 0x9e37_79b9_7f4a_7c15).max(1))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`; 0 when `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.bits() % limit }
    }

    /// True with a probability of `percent` in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

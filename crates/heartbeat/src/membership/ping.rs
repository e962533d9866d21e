//! One ping node as it answers.

use evenkeel_machine::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Pinged {
    up: Option<bool>,
    dead_at: Instant,
}

impl Pinged {
    pub(crate) fn new(dead_at: Instant) -> Pinged {
        Pinged { up: None, dead_at }
    }

    pub(crate) fn up(&self) -> Option<bool> {
        self.up
    }

    /// Says whether it has come up.
    pub(crate) fn hear(&mut self, dead_at: Instant) -> bool {
        self.dead_at = dead_at;
        self.up.replace(true) != Some(true)
    }

    /// Waits until then for an answer.
    pub(crate) fn expect(&mut self, dead_at: Instant) {
        self.dead_at = dead_at;
    }

    /// Says whether it has fallen.
    pub(crate) fn fall(&mut self, now: Instant) -> bool {
        let falls = self.deadline().is_some_and(|due| now >= due);
        if falls {
            self.up = Some(false);
        }
        falls
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.up != Some(false)).then_some(self.dead_at)
    }
}

//! Notices that everything went down at once, which says more about the director than about the real servers.
//!
//! What clients get is not changed by it (with all real servers down the sorry server answers, as in ldirectord); the
//! operator is told where to look first.

use evenkeel_machine::Instant;
use std::{collections::VecDeque, time::Duration};

/// Going down within this time is "at once": checks have different phases and timeouts.
const WINDOW: Duration = Duration::from_secs(30);
/// So many have to be watched before "all" means anything, unless the director knows it is to blame.
const ENOUGH: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    falls: VecDeque<(Instant, bool)>,
    told: bool,
}

impl Suspicion {
    /// A target came up: whatever it was is over.
    pub(crate) fn rose(&mut self) {
        self.told = false;
    }

    /// A target that was up went down; `own_fault`: for a reason of the director's own. `watched` of them there are,
    /// `up` of them are up. Returns how many fell at once, and how many of these by own fault, when it is time to tell.
    pub(crate) fn fell(&mut self, now: Instant, own_fault: bool, watched: usize, up: usize) -> Option<(usize, usize)> {
        self.falls.push_back((now, own_fault));
        // A target that falls twice within the window counts twice; the bound keeps the list as long as there are targets.
        while self.falls.len() > watched.max(1) || self.falls.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.falls.pop_front();
        }
        let own = self.falls.iter().filter(|(_, own_fault)| *own_fault).count();
        let all = up == 0 && self.falls.len() == watched;
        if self.told || !all || (watched < ENOUGH && own < watched) {
            return None;
        }
        self.told = true;
        Some((self.falls.len(), own))
    }
}

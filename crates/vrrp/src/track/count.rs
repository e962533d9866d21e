//! Runs of a script counted: `rise` good ones in a row make it up, `fall` failed ones down.

use super::Standing;
use evenkeel_model::vrrp::{Initial, ScriptRhythm};

/// How a script went lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    rhythm: ScriptRhythm,
    /// Runs in a row that speak against its state.
    against: u32,
}

impl Runs {
    pub(super) fn new(rhythm: ScriptRhythm) -> Runs {
        Runs { rhythm, against: 0 }
    }

    pub(super) fn at_first(self) -> Standing {
        match self.rhythm.initially {
            Initial::Unknown => Standing::Unknown,
            Initial::Down => Standing::Down,
        }
    }

    /// Goes on where `old` was.
    pub(super) fn inherit(&mut self, old: &Runs) {
        self.against = old.against;
    }

    /// Takes a run; gives the state it leads to where that is another one.
    pub(super) fn count(&mut self, before: Standing, good: bool) -> Option<Standing> {
        let (agrees, limit) = match before {
            Standing::Up => (good, self.rhythm.fall),
            Standing::Down => (!good, self.rhythm.rise),
            // The first run tells at once what is the case.
            Standing::Unknown | Standing::Number(_) => (false, 1),
        };
        self.against = if agrees { 0 } else { self.against + 1 };
        if agrees || self.against < limit {
            return None;
        }
        self.against = 0;
        Some(super::standing(good))
    }
}

//! Where the fragments of a packet go (PP-50, PP-51).

use super::{clock::Clock, parse::FragmentName, path::Way};
use evenkeel_abi::Reason;
use std::collections::BTreeMap;

/// How long a note lasts.
const SECONDS: u32 = 30;
/// Most notes.
const NOTES: usize = 16_384;

#[derive(Clone, Copy, Debug)]
struct Note {
    /// `None`: to the host's own stack, or nowhere.
    way: Option<Way>,
    seen: u64,
}

/// Notes of first fragments.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    notes: BTreeMap<FragmentName, Note>,
}

impl Notes {
    /// A first fragment is here; until it is known where it goes it goes to the stack.
    pub(super) fn arrived(&mut self, name: FragmentName, clock: Clock) {
        if self.find(&name, clock).is_none() {
            self.write(name, None, clock);
        }
    }

    /// It goes this way.
    pub(super) fn goes(&mut self, name: FragmentName, way: Way, clock: Clock) -> Result<(), Reason> {
        match self.find(&name, clock) {
            Some(Some(before)) if !before.is_along(&way) => return Err(Reason::BadFragment),
            Some(Some(_)) => {}
            Some(None) | None => self.write(name, Some(way), clock),
        }
        Ok(())
    }

    /// Where the first fragment went; `None`: it has not come yet.
    #[expect(clippy::option_option, reason = "a packet that has come may have gone no way of ours")]
    pub(super) fn find(&self, name: &FragmentName, clock: Clock) -> Option<Option<Way>> {
        self.notes.get(name).filter(|note| !clock.is_past(note.seen, SECONDS)).map(|note| note.way)
    }

    fn write(&mut self, name: FragmentName, way: Option<Way>, clock: Clock) {
        self.notes.insert(name, Note { way, seen: clock.now });
        if self.notes.len() > NOTES {
            let oldest = self.notes.iter().min_by_key(|(_, note)| note.seen).map(|(name, _)| *name);
            oldest.and_then(|name| self.notes.remove(&name));
        }
    }
}

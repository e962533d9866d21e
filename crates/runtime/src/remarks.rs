//! What an operator should know for as long as it goes on: said once a minute, shown by `status` until it is over.

use evenkeel_machine::Instant;
use std::{collections::BTreeMap, time::Duration};

/// How often the same is said.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// What was not noticed for so long is over. More than twice the time between two news of one kind.
const OVER_AFTER: Duration = Duration::from_secs(130);
/// What are kept; more are said and not shown.
const MOST: usize = 64;

/// Remarks by what they are about.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    known: BTreeMap<String, Remark>,
}

#[derive(Debug)]
struct Remark {
    text: String,
    first: Instant,
    last: Instant,
    said: Instant,
    /// It must have gone on for so long to be shown.
    patience: Duration,
}

impl Remarks {
    /// Takes one note of `about`, whose present words are `text`; says whether it is to be said. What takes less than
    /// `patience` is not shown.
    pub(crate) fn note(&mut self, about: String, text: &str, patience: Duration, now: Instant) -> bool {
        self.known.retain(|_, remark| now - remark.last < OVER_AFTER);
        if let Some(remark) = self.known.get_mut(&about) {
            remark.last = now;
            text.clone_into(&mut remark.text);
            let again = now - remark.said >= SAID_EVERY;
            if again {
                remark.said = now;
            }
            return again;
        }
        if self.known.len() < MOST {
            let remark = Remark { text: text.to_owned(), first: now, last: now, said: now, patience };
            self.known.insert(about, remark);
        }
        true
    }

    /// What goes on.
    pub(crate) fn shown(&self, now: Instant) -> impl Iterator<Item = String> {
        let goes_on =
            move |remark: &&Remark| now - remark.last < OVER_AFTER && remark.last - remark.first >= remark.patience;
        self.known.values().filter(goes_on).map(|remark| remark.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::at(Duration::from_secs(seconds))
    }

    fn shown(remarks: &Remarks, seconds: u64) -> Vec<String> {
        remarks.shown(at(seconds)).collect()
    }

    #[test]
    fn the_same_is_said_once_a_minute_and_shown_until_it_is_over() {
        let mut remarks = Remarks::default();
        let mut note = |seconds| remarks.note("a".to_owned(), "wrong", Duration::ZERO, at(seconds));
        assert_eq!([0, 1, 59, 60, 61, 119, 120].map(&mut note), [true, false, false, true, false, false, true]);
        assert_eq!(shown(&remarks, 121), ["wrong"]);
        assert_eq!(shown(&remarks, 250), [""; 0]);
    }

    #[test]
    fn what_passes_quickly_is_not_shown() {
        let mut remarks = Remarks::default();
        let patience = Duration::from_secs(3);
        assert!(remarks.note("a".to_owned(), "for a moment", patience, at(0)));
        assert_eq!(shown(&remarks, 1), [""; 0]);
        remarks.note("a".to_owned(), "for long", patience, at(3));
        assert_eq!(shown(&remarks, 4), ["for long"]);
    }

    #[test]
    fn many_are_said_and_some_are_kept() {
        let mut remarks = Remarks::default();
        for n in 0..100 {
            assert!(remarks.note(format!("{n}"), "one of many", Duration::ZERO, at(0)));
        }
        assert_eq!(shown(&remarks, 1).len(), MOST);
    }
}

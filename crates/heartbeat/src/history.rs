//! What this node has sent, for those who missed it (HB-9).

#[cfg(test)]
mod tests;

use crate::Message;
use evenkeel_machine::{Instant, Outbox};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Messages that are kept.
pub const KEPT: usize = 500;
/// The most that one request is answered with, so that a serial line is not flooded.
pub const BATCH: usize = 50;
/// A message is not sent again twice within this time, whoever asks.
pub const PAUSE: Duration = Duration::from_millis(240);

/// The last messages in the order of their numbers, which follow each other. Nodes are named by their place.
#[derive(Clone, Debug, Default)]
pub struct History {
    sent: VecDeque<Sent>,
    newest: u64,
    acknowledged: BTreeMap<usize, u64>,
}

#[derive(Clone, Debug)]
struct Sent {
    message: Arc<Message>,
    /// When it was sent again.
    again: Option<Instant>,
}

/// To a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Send this as it was.
    Again(Arc<Message>),
    /// It is not kept any more: say so by [`crate::control::refuse`].
    Refuse(u64),
}

impl History {
    /// Keeps the next message and gives its number; the oldest makes room. `complete` makes the message once it knows
    /// its number.
    pub fn keep(&mut self, complete: impl FnOnce(u64) -> Message) -> Arc<Message> {
        self.newest += 1;
        let message = Arc::new(complete(self.newest));
        if self.sent.len() == KEPT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { message: message.clone(), again: None });
        message
    }

    /// Node `from` has all up to `sequence`.
    pub fn acknowledged(&mut self, from: usize, sequence: u64) {
        if sequence <= self.newest {
            let known = self.acknowledged.entry(from).or_default();
            *known = sequence.max(*known);
        }
    }

    /// Node `from` has restarted: it has heard nothing.
    pub fn restarted(&mut self, from: usize) {
        self.acknowledged.remove(&from);
    }

    /// Node `from` missed messages `first` to `last`.
    pub fn answer(&mut self, now: Instant, from: usize, first: u64, last: u64, out: &mut Outbox<Answer>) {
        let has = self.acknowledged.get(&from).copied().unwrap_or(0);
        let oldest = self.newest + 1 - self.sent.len() as u64;
        // What was never sent belongs to an earlier run of this node.
        let wanted = first.max(has + 1)..=last.min(self.newest);
        let mut answers = 0;
        for sequence in wanted {
            if answers == BATCH {
                return;
            }
            let place = sequence.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
            match place.and_then(|place| self.sent.get_mut(place)) {
                Some(sent) if sent.again.is_some_and(|again| now < again + PAUSE) => continue,
                Some(sent) => {
                    sent.again = Some(now);
                    out.push(Answer::Again(sent.message.clone()));
                }
                None => out.push(Answer::Refuse(sequence)),
            }
            answers += 1;
        }
    }
}

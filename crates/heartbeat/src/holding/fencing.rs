//! Before anything of a dead node is taken (HB-32), it is fenced, where a device covers it.

use super::{Holding, Moment};
use crate::{News, NodeState, Output, Refusal, holding::Deed};
use evenkeel_machine::Instant;
use std::time::Duration;

/// Between a failed attempt and the next.
const RETRY: Duration = Duration::from_secs(5);

/// After so many failed attempts, an hour's worth, only an operator's word helps.
const ATTEMPTS: u32 = 720;

/// By how much the second of two nodes that both have groups begins later, beside a `keepalive`: so long a device has to
/// do its work before they fence each other.
const STAGGER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// There is no need.
    Not,
    /// At that time.
    Due(Instant, u32),
    /// Now.
    Running(u32),
    /// Nobody tries any more.
    GaveUp(u32),
    /// It is certain that it touches nothing.
    Done,
}

impl Fence {
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Fence::Due(at, _) => Some(at),
            Fence::Not | Fence::Running(_) | Fence::GaveUp(_) | Fence::Done => None,
        }
    }

    pub(crate) fn is_done(self) -> bool {
        self == Fence::Done
    }

    fn attempts(self) -> Option<u32> {
        match self {
            Fence::Due(_, attempts) | Fence::Running(attempts) | Fence::GaveUp(attempts) => Some(attempts),
            Fence::Not | Fence::Done => None,
        }
    }
}

impl Holding {
    /// A node has died.
    pub(crate) fn need_fence(&mut self, at: Moment, node: usize, held: bool, before: NodeState) {
        let covered = self.plan.fenced.get(node).copied().unwrap_or_default();
        // What this node does not have, the silent one may have taken since it was heard last.
        let takes = self.plan.is_many() || (0..self.own.len()).any(|group| !self.wants(group));
        if covered && (held || takes) {
            // The other one fences this node only for something it does not have itself.
            let raced = self.plan.me > node && self.own.iter().any(|own| own.wanted || own.failed);
            let wait = if self.plan.is_many() {
                // Of those that fell silent together all are missed by then, and each knows what the others miss.
                self.plan.timing.keepalive
            } else if raced {
                STAGGER + self.plan.timing.keepalive
            } else {
                Duration::ZERO
            };
            if let Some(peer) = self.peers.get_mut(node) {
                peer.fence = Fence::Due(at.now + wait, 0);
            }
        } else if before != NodeState::Unknown {
            self.say_fenced(node, if held { "n_stnth" } else { "unneeded" });
        }
    }

    /// Whether something waits for a node to be fenced.
    pub(crate) fn is_fencing(&self) -> bool {
        self.fencing().is_some()
    }

    /// The node, with the attempts so far.
    pub(crate) fn fencing(&self) -> Option<(usize, u32)> {
        self.peers.iter().enumerate().find_map(|(node, peer)| peer.fence.attempts().map(|attempts| (node, attempts)))
    }

    pub(crate) fn fence_due(&mut self, at: Moment) {
        for node in self.plan.others() {
            if self.plan.is_many() && self.leaves_fencing(at, node) {
                continue;
            }
            let Some(peer) = self.peers.get_mut(node) else { continue };
            if let Fence::Due(due, attempts) = peer.fence
                && at.now >= due
                && self.devices.begin(at.now, node)
            {
                peer.fence = Fence::Running(attempts + 1);
                self.deeds.push(Deed::Do(Output::Fence { node }));
                self.tell(News::Fencing { node, attempt: attempts + 1 });
            }
        }
    }

    /// Of more than two nodes exactly one fences: the first of those that miss the dead one, and not while somebody hears
    /// it. The others take its word.
    fn leaves_fencing(&mut self, at: Moment, node: usize) -> bool {
        let heard = self.is_heard_elsewhere(node);
        let (off, stagger, first) = (self.is_off_elsewhere(node), self.stagger(), self.fences_first());
        let others = self.words().any(|(_, told)| told.fencing.contains(&node));
        let due_after = self.plan.timing.keepalive;
        let Some(peer) = self.peers.get_mut(node) else { return true };
        match peer.fence {
            Fence::Due(due, attempts) => {
                if heard {
                    // From when it is missed by all the wait counts.
                    peer.fence = Fence::Due(due.max(at.now + due_after), attempts);
                } else if off {
                    peer.fence = Fence::Done;
                }
                let stagger = if attempts == 0 { stagger } else { Duration::ZERO };
                off || heard || others || !first || at.now < due + stagger
            }
            // It was said to be off, and is not.
            Fence::Done if heard => {
                peer.fence = Fence::Due(at.now + due_after, 0);
                self.tell(News::FencedButHeard { node });
                true
            }
            Fence::Not | Fence::Running(_) | Fence::GaveUp(_) | Fence::Done => false,
        }
    }

    /// Where the network is split, the part with fewer nodes, or without the first one, begins later.
    fn stagger(&self) -> Duration {
        let missed = |node: &usize| {
            !self.lives(*node) && self.peers.get(*node).is_some_and(|peer| peer.fence.attempts().is_some())
        };
        let there: Vec<usize> = self.plan.others().filter(missed).collect();
        let here: Vec<usize> = self.plan.others().filter(|node| self.lives(*node)).chain([self.plan.me]).collect();
        let leads = here.len() == there.len() && here.iter().min() < there.iter().min();
        let place = u32::try_from(self.plan.me).unwrap_or(u32::MAX);
        let each = STAGGER + self.plan.timing.keepalive;
        if here.len() > there.len() || leads { Duration::ZERO } else { each.saturating_mul(place.saturating_add(1)) }
    }

    /// Whether no node before this one takes part.
    fn fences_first(&self) -> bool {
        let takes_part = |node: usize| self.peers.get(node).is_some_and(|peer| peer.is_stable() && peer.is_evenkeel());
        !(0..self.plan.me).any(takes_part)
    }

    pub(crate) fn has_begun_to_fence(&self, node: usize) -> bool {
        self.peers.get(node).and_then(|peer| peer.fence.attempts()).is_some_and(|attempts| attempts > 0)
    }

    /// When a node may be fenced that others would have fenced before.
    pub(crate) fn fences_due(&self) -> impl Iterator<Item = Instant> {
        let stagger = self.stagger();
        let many = self.peers.iter().filter(|_| self.plan.is_many());
        many.filter_map(|peer| peer.fence.deadline()).map(move |due| due + stagger)
    }

    /// An attempt has ended. Where this node has been heard meanwhile, it says nothing of now.
    pub(crate) fn fenced(&mut self, at: Moment, node: usize, ok: bool) {
        self.devices.end(node);
        let Some(peer) = self.peers.get_mut(node) else { return };
        let Fence::Running(attempt) = peer.fence else { return };
        if ok {
            peer.fence = Fence::Done;
            self.say_fenced(node, "OK");
            return;
        }
        let last = attempt >= ATTEMPTS;
        peer.fence = if last { Fence::GaveUp(attempt) } else { Fence::Due(at.now + RETRY, attempt) };
        self.say_fenced(node, "bad");
        self.tell(News::FenceFailed { node, attempt, last });
    }

    /// An operator knows that it is off.
    pub(crate) fn confirm(&mut self, node: usize) -> Result<(), Refusal> {
        let waits = |peer: &&mut super::Peer| peer.fence.attempts().is_some();
        let peer = self.peers.get_mut(node).filter(waits).ok_or(Refusal::NothingToConfirm)?;
        peer.fence = Fence::Done;
        self.say_fenced(node, "OK");
        Ok(())
    }

    /// It lives: nothing of it may be taken.
    pub(crate) fn heard_again(&mut self, node: usize) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let was = std::mem::replace(&mut peer.fence, Fence::Not);
        if was == Fence::Done && peer.returned.is_some() {
            self.tell(News::FencedButHeard { node });
        }
    }
}

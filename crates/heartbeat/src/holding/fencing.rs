//! Before anything of a dead node is taken (HB-32), it is fenced, where a device covers it.

use super::{Holding, Moment};
use crate::{News, NodeState, Output, Refusal, extension::Many, holding::Deed};
use evenkeel_machine::Instant;
use std::time::Duration;

/// Between a failed attempt and the next.
const RETRY: Duration = Duration::from_secs(5);

/// After so many failed attempts, an hour's worth, only an operator's word helps.
const ATTEMPTS: u32 = 720;

/// So many attempts fail on one of more than two nodes before another one tries its own device (HB-69).
const TURN: u32 = 3;

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

    /// Nothing of it may be taken yet.
    pub(crate) fn is_awaited(self) -> bool {
        self.attempts().is_some()
    }

    fn attempts(self) -> Option<u32> {
        match self {
            Fence::Due(_, attempts) | Fence::Running(attempts) | Fence::GaveUp(attempts) => Some(attempts),
            Fence::Not | Fence::Done => None,
        }
    }

    fn failures(self) -> u32 {
        match self {
            Fence::Due(_, attempts) | Fence::GaveUp(attempts) => attempts,
            Fence::Running(attempt) => attempt.saturating_sub(1),
            Fence::Not | Fence::Done => 0,
        }
    }
}

impl Holding {
    /// A node has died.
    pub(crate) fn need_fence(&mut self, at: Moment, node: usize, held: bool, before: NodeState) {
        let covered = self.is_covered(node);
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
                self.tell(News::Fencing { node, by: self.plan.me, attempt: attempts + 1 });
            }
        }
    }

    /// Of more than two nodes one fences at a time, and not while somebody hears the dead one. The others take its word.
    fn leaves_fencing(&mut self, at: Moment, node: usize) -> bool {
        let (heard, off) = (self.is_heard_elsewhere(node), self.is_off_elsewhere(node));
        let at_work = self.fences_elsewhere(node);
        let turn = at_work.is_none() && self.fencer(node) == Some(self.plan.me);
        let (stagger, wait) = (self.stagger(), self.plan.timing.keepalive);
        let Some(peer) = self.peers.get_mut(node) else { return true };
        let leaves = match peer.fence {
            Fence::Due(..) | Fence::GaveUp(_) if off => {
                peer.fence = Fence::Done;
                true
            }
            Fence::Due(due, attempts) if heard || !turn => {
                // From when it is missed by all, and nobody else is to fence it, the wait counts.
                peer.fence = Fence::Due(due.max(at.now + wait), attempts);
                true
            }
            Fence::Due(due, 0) => at.now < due + stagger,
            // It was said to be off, and is not.
            Fence::Done if heard => {
                peer.fence = Fence::Due(at.now + wait, 0);
                self.tell(News::FencedButHeard { node });
                true
            }
            Fence::Due(..) | Fence::Not | Fence::Running(_) | Fence::GaveUp(_) | Fence::Done => false,
        };
        self.tell_fencer(node, at_work);
        leaves
    }

    /// Whose turn it is (HB-69).
    fn fencer(&self, node: usize) -> Option<usize> {
        let here = self.has_device(node).then(|| (self.failures(node), self.plan.me));
        let able = |by: usize, told: &Many| {
            told.fences.contains(&node) && self.peers.get(by).is_some_and(super::Peer::is_stable)
        };
        let there = self.words().filter(|(by, told)| able(*by, told)).map(|(by, told)| (told.failures(node), by));
        let able = here.into_iter().chain(there).filter(|(failed, _)| *failed < ATTEMPTS);
        able.min_by_key(|(failed, by)| (failed / TURN, *by)).map(|(_, by)| by)
    }

    /// The other node whose device is at work on one, with the number of the attempt.
    fn fences_elsewhere(&self, node: usize) -> Option<(usize, u32)> {
        let at_work = |(_, told): &(usize, &Many)| told.fencing.contains(&node);
        self.words().find(at_work).map(|(by, told)| (by, told.failures(node).saturating_add(1)))
    }

    fn tell_fencer(&mut self, node: usize, at_work: Option<(usize, u32)>) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let before = std::mem::replace(&mut peer.fencer, at_work);
        if let Some((by, attempt)) = at_work.filter(|_| before != at_work) {
            self.tell(News::Fencing { node, by, attempt });
        }
    }

    /// Whether a device can fence a node: one of this node, or where there are more than two of any that lives.
    pub(crate) fn is_covered(&self, node: usize) -> bool {
        self.has_device(node) || self.words().any(|(_, told)| told.fences.contains(&node))
    }

    pub(crate) fn has_device(&self, node: usize) -> bool {
        self.plan.fenced.get(node).copied().unwrap_or_default()
    }

    /// Whether a device of this node is fencing one.
    pub(crate) fn is_at_work(&self, node: usize) -> bool {
        self.peers.get(node).is_some_and(|peer| matches!(peer.fence, Fence::Running(_)))
    }

    /// How often this node has failed to fence one.
    pub(crate) fn failures(&self, node: usize) -> u32 {
        self.peers.get(node).map_or(0, |peer| peer.fence.failures())
    }

    /// Where the network is split, the part with fewer nodes, or without the first one, begins later.
    fn stagger(&self) -> Duration {
        let missed = |node: &usize| {
            // One that was fenced may have begun anew in the other part.
            !self.lives(*node) && self.peers.get(*node).is_some_and(|peer| peer.fence != Fence::Not)
        };
        let there: Vec<usize> = self.plan.others().filter(missed).collect();
        let here: Vec<usize> = self.plan.others().filter(|node| self.lives(*node)).chain([self.plan.me]).collect();
        let leads = here.len() == there.len() && here.iter().min() < there.iter().min();
        let place = u32::try_from(self.plan.me).unwrap_or(u32::MAX);
        let each = STAGGER + self.plan.timing.keepalive;
        if here.len() > there.len() || leads { Duration::ZERO } else { each.saturating_mul(place.saturating_add(1)) }
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

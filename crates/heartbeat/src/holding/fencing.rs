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
        let takes = (0..self.own.len()).any(|group| !self.wants(group));
        if covered && (held || takes) {
            // The other one fences this node only for something it does not have itself.
            let raced = self.plan.me > node && self.own.iter().any(|own| own.wanted || own.failed);
            let wait = if raced { STAGGER + self.plan.timing.keepalive } else { Duration::ZERO };
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

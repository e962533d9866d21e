//! Of two that both have a group and both keep it (HB-36), one gives way after all: the other one does not hear this node, or
//! its files say otherwise who keeps it.
//!
//! One that hears would have said by now that it gives up. The older owner yields after `deadtime`, the younger one only after
//! twice that: where both hear each other, one is left at once, and where only one does, it yields in any case.

use super::{Holding, Moment};
use crate::{News, NodeState, Why};
use evenkeel_machine::Instant;

/// A group that another node has too, and since when both are known to keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contest {
    node: usize,
    group: usize,
    since: Instant,
}

impl Holding {
    /// Yields what another node goes on to have. What it tells is what brings the moment.
    pub(crate) fn outlast(&mut self, at: Moment) {
        let before = std::mem::take(&mut self.contests);
        for node in self.plan.others() {
            for group in 0..self.own.len() {
                let Some(theirs) = self.contested(node, group) else { continue };
                let known = before.iter().find(|contest| (contest.node, contest.group) == (node, group));
                let contest = known.copied().unwrap_or(Contest { node, group, since: at.now });
                let older = self.own.get(group).is_some_and(|own| (own.since, self.plan.me) < (theirs, node));
                let patience = self.plan.timing.deadtime * if older { 1 } else { 2 };
                if at.now >= contest.since + patience {
                    self.tell(News::Both { group, node, keeps: false });
                    self.release(group, Why::Both);
                } else {
                    self.contests.push(contest);
                }
            }
        }
    }

    /// When the other node took what both have and this one has decided to keep.
    fn contested(&self, node: usize, group: usize) -> Option<u64> {
        let kept = |peer: &&super::Peer| peer.state == NodeState::Active && peer.rivals.contains(&group);
        let peer = self.peers.get(node).filter(kept)?;
        let theirs = peer.extension.as_ref()?.since(group)?;
        let moves = self.handover.as_ref().is_some_and(|handover| handover.concerns(group));
        (self.wants(group) && !moves).then_some(theirs)
    }
}

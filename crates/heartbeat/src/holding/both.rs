//! A group that two nodes have (HB-36), after a partition or a mistake: exactly one of them yields, at once, and the other one
//! announces the addresses again when it has.
//!
//! Between evenkeels both know when each took it, by the wall clock of that moment, and decide alike: the preferred node
//! keeps it where `auto_failback` is on, else who took it first, else the lower place. Of two that do not hear each other a third one tells
//! both. A heartbeat that notices gives
//! everything up by itself, and this node keeps what it has; one that does not notice is asked, and keeps what it says.

use super::{Deed, Holding, Moment};
use crate::{News, NodeState, Output, Share, Why};
use evenkeel_model::heartbeat::Failback;

impl Holding {
    /// Compares what this node has with what the other evenkeels tell.
    pub(crate) fn judge_both(&mut self) {
        for node in self.plan.others() {
            for group in 0..self.own.len() {
                self.judge(node, group);
            }
            self.announce_unrivalled(node);
        }
    }

    fn judge(&mut self, node: usize, group: usize) {
        let Some(peer) = self.peers.get(node) else { return };
        let told = peer.extension.as_ref().filter(|_| peer.state == NodeState::Active);
        let relayed = || self.relayed(node, group).flatten();
        let Some(theirs) = told.map_or_else(relayed, |told| told.since(group)) else { return };
        let Some(own) = self.own.get(group).filter(|own| own.wanted) else { return };
        if own.given.is_some_and(|(from, until)| from == node && self.settled < until) {
            return;
        }
        if self.handover.as_ref().is_some_and(|handover| handover.concerns(group)) || peer.rivals.contains(&group) {
            return;
        }
        let keeps = self.keeps(node, group, own.since, theirs);
        self.tell(News::Both { group, node, keeps });
        if keeps {
            if let Some(peer) = self.peers.get_mut(node) {
                peer.rivals.push(group);
                peer.doubted.insert(group);
            }
        } else {
            self.release(group, Why::Both);
        }
    }

    /// The same on both sides.
    fn keeps(&self, node: usize, group: usize, ours: u64, theirs: u64) -> bool {
        let me = self.plan.me;
        let rank = |node| match self.plan.failback {
            Failback::On | Failback::Legacy => self.plan.rank(group, node),
            Failback::Off => 0,
        };
        (rank(me), ours, me) < (rank(node), theirs, node)
    }

    /// The other one has let go, perhaps before it was heard: the network shall hear who has it.
    fn announce_unrivalled(&mut self, node: usize) {
        let Some(peer) = self.peers.get(node).filter(|peer| !peer.doubted.is_empty()) else { return };
        let over: Vec<usize> = peer.doubted.iter().copied().filter(|group| !self.has(node, *group)).collect();
        let Some(peer) = self.peers.get_mut(node) else { return };
        peer.doubted.retain(|group| !over.contains(group));
        peer.rivals.retain(|group| !over.contains(group));
        for group in over.into_iter().filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            self.deeds.push(Deed::Do(Output::Announce { group }));
        }
    }

    /// A heartbeat says that it has a share, and means it: it has not just come back from a partition.
    pub(crate) fn yield_to(&mut self, node: usize, share: Share) {
        if self.handover.is_some() {
            return;
        }
        for group in self.plan.share(share, node).into_iter().filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            self.tell(News::Both { group, node, keeps: false });
            self.release(group, Why::Both);
        }
        match share.swapped() {
            Share::Local => self.local = false,
            Share::Foreign => self.foreign = false,
            Share::All => (self.local, self.foreign) = (false, false),
            Share::None => {}
        }
    }

    /// A heartbeat that came back did not give up what it had: perhaps it never missed this node. It is asked, as a
    /// node that starts asks.
    pub(crate) fn ask_returned(&mut self, at: Moment) {
        for node in self.plan.others() {
            let Some(peer) = self.peers.get_mut(node) else { continue };
            if peer.state == NodeState::Active && peer.returned.is_some_and(|due| at.now >= due) {
                peer.returned = None;
                self.say_starting();
            }
        }
    }
}

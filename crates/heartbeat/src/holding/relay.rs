//! What nodes tell of each other, where there are more than two (HB-62): a node that one does not hear and another does has not
//! died, and keeps what it has.

use super::{Holding, Peer};
use crate::{NodeState, extension::Many};
use evenkeel_machine::Instant;

impl Holding {
    /// What this node tells of others, and of what it does.
    pub(crate) fn many(&self) -> Many {
        if !self.plan.is_many() {
            return Many::default();
        }
        let hears: Vec<usize> = self.plan.others().filter(|node| self.lives(*node)).collect();
        let mut sees = Vec::new();
        for &node in &hears {
            let told = self.peers.get(node).and_then(|peer| peer.extension.as_ref());
            sees.extend(told.into_iter().flat_map(|told| &told.holds).map(|(group, since)| (node, *group, *since)));
        }
        let aside = self.own.iter().enumerate().filter_map(|(group, own)| own.aside.then_some(group));
        Many {
            hears,
            sees,
            gives: self.gifts(),
            aside: aside.collect(),
            off: self.plan.others().filter_map(|node| self.off(node)).collect(),
            fences: self.plan.others().filter(|node| self.has_device(*node)).collect(),
            fencing: self.plan.others().filter(|node| self.is_at_work(*node)).collect(),
            failing: self
                .plan
                .others()
                .map(|node| (node, self.failures(node)))
                .filter(|(_, failed)| *failed > 0)
                .collect(),
        }
    }

    pub(crate) fn lives(&self, node: usize) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.state.lives())
    }

    /// Whether a node hears this one.
    pub(crate) fn is_heard_by(&self, node: usize) -> bool {
        let told = self.peers.get(node).and_then(|peer| peer.extension.as_ref());
        told.is_some_and(|told| told.many.hears.contains(&self.plan.me))
    }

    /// What the nodes tell that live.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &Many)> {
        let living = self.peers.iter().enumerate().filter(|(_, peer)| peer.state.lives());
        living.filter_map(|(node, peer)| peer.extension.as_ref().map(|told| (node, &told.many)))
    }

    /// Whether another node hears one that this node does not.
    pub(crate) fn is_heard_elsewhere(&self, node: usize) -> bool {
        self.words().any(|(_, told)| told.hears.contains(&node))
    }

    /// Whether a node that was not heard here yet is gone, as those know that live (HB-68).
    pub(crate) fn is_gone_elsewhere(&self, now: Instant, node: usize) -> bool {
        let since = |peer: &Peer| peer.since + self.plan.timing.keepalive * 2;
        let settled = |by: usize| self.peers.get(by).is_some_and(|peer| peer.is_stable() && now >= since(peer));
        let knows = |told: &Many| told.hears.contains(&self.plan.me) && self.tells_off(told, node);
        !self.is_heard_elsewhere(node) && self.words().any(|(by, told)| settled(by) && knows(told))
    }

    /// That a node which is not heard here has a group, and since when where it keeps it, as another one tells.
    pub(crate) fn relayed(&self, node: usize, group: usize) -> Option<Option<u64>> {
        if self.lives(node) || node == self.plan.me {
            return None;
        }
        let of = |seen: &&(usize, usize, Option<u64>)| (seen.0, seen.1) == (node, group);
        self.words().find_map(|(_, told)| told.sees.iter().find(of)).map(|(_, _, since)| *since)
    }

    /// A node that has nothing any more, with its generation.
    fn off(&self, node: usize) -> Option<(usize, u64)> {
        let peer = self.peers.get(node)?;
        let off = peer.state == NodeState::Left || peer.state == NodeState::Dead && !peer.fence.is_awaited();
        off.then_some((node, peer.generation))
    }

    /// Whether another node knows that one has nothing any more, and of a run that is not older than the one heard here.
    pub(crate) fn is_off_elsewhere(&self, node: usize) -> bool {
        self.words().any(|(_, told)| self.tells_off(told, node))
    }

    fn tells_off(&self, told: &Many, node: usize) -> bool {
        let heard = self.peers.get(node).map_or(0, |peer| peer.generation);
        told.off.iter().any(|(off, generation)| *off == node && *generation >= heard)
    }

    /// Whether a node takes and gives, and a group can be given to it.
    pub(crate) fn is_able(&self, node: usize, group: usize) -> bool {
        let able = |peer: &Peer| {
            let ready = peer.extension.as_ref().is_some_and(|told| told.ready);
            peer.is_stable() && peer.returned.is_none() && ready && !peer.has_failed(group)
        };
        node != self.plan.me && self.peers.get(node).is_some_and(able)
    }

    /// Whether an operator took a group from a node.
    pub(crate) fn stands_aside(&self, node: usize, group: usize) -> bool {
        if node == self.plan.me {
            return self.own.get(group).is_some_and(|own| own.aside);
        }
        let told = self.peers.get(node).and_then(|peer| peer.extension.as_ref());
        told.is_some_and(|told| told.many.aside.contains(&group))
    }

    /// How many ping nodes a node reaches, where that counts.
    pub(crate) fn reach(&self, node: usize) -> usize {
        match self.peers.get(node) {
            _ if !self.plan.ipfail => 0,
            _ if node == self.plan.me => self.reached,
            Some(peer) => peer.pings.unwrap_or(0),
            None => 0,
        }
    }
}

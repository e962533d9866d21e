//! What is known of another node's groups.

use super::{Holding, PATIENCE, fencing::Fence};
use crate::{NodeState, Share, extension::Extension};
use evenkeel_machine::Instant;
use std::{collections::BTreeSet, time::Duration};

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) state: NodeState,
    /// Of its run that was heard last.
    pub(crate) generation: u64,
    /// Since when it lives, or is active.
    pub(crate) since: Instant,
    /// What it tells as an evenkeel.
    pub(crate) extension: Option<Extension>,
    /// When it told that last.
    pub(crate) told: Option<Instant>,
    /// What it says as a heartbeat (`resource`).
    pub(crate) hold: Share,
    pub(crate) stable: bool,
    /// It has said `resource` since it came.
    pub(crate) spoke: bool,
    /// It has said `starting` since it came.
    pub(crate) starting: bool,
    /// The share it wants to give, which this node has said it takes.
    pub(crate) offered: Option<Share>,
    /// It has said that it leaves.
    pub(crate) leaving: bool,
    /// It began anew while this node thought it had something: until it is active, something of it may run.
    pub(crate) restarted: bool,
    /// It was dead and came back without restarting: when to ask what it has.
    pub(crate) returned: Option<Instant>,
    /// It has come, and groups that prefer it may go back to it.
    pub(crate) owed: bool,
    /// How often that was tried.
    pub(crate) tries: u8,
    /// How many ping nodes it reaches.
    pub(crate) pings: Option<usize>,
    /// Groups that both had and this node keeps.
    pub(crate) rivals: Vec<usize>,
    /// Groups that the network may look for there once it has let go: these, and all when it came back.
    pub(crate) doubted: BTreeSet<usize>,
    pub(crate) fence: Fence,
    /// The other node that is fencing it, as was told, with the number of the attempt.
    pub(crate) fencer: Option<(usize, u32)>,
}

impl Peer {
    pub(crate) fn new(now: Instant) -> Peer {
        Peer {
            state: NodeState::Unknown,
            generation: 0,
            since: now,
            extension: None,
            told: None,
            hold: Share::None,
            stable: false,
            spoke: false,
            starting: false,
            offered: None,
            leaving: false,
            restarted: false,
            returned: None,
            owed: true,
            tries: 0,
            pings: None,
            rivals: Vec::new(),
            doubted: BTreeSet::new(),
            fence: Fence::Not,
            fencer: None,
        }
    }

    /// It is heard.
    pub(crate) fn appear(&mut self, now: Instant) {
        let (state, returned, restarted, fence) = (self.state, self.returned, self.restarted, self.fence);
        *self = Peer { state, returned, restarted, fence, ..Peer::new(now) };
    }

    /// It is gone, with all it had.
    pub(crate) fn vanish(&mut self) {
        let (state, since, generation) = (self.state, self.since, self.generation);
        *self = Peer { state, generation, ..Peer::new(since) };
    }

    /// Whether it may have a group.
    pub(crate) fn may_hold(&self) -> bool {
        self.extension
            .as_ref()
            .map_or(self.hold != Share::None || !self.spoke, |told| !(told.holds.is_empty() && told.others.is_empty()))
    }

    /// Whether it is known what it has.
    fn is_known(&self, now: Instant, keepalive: Duration) -> bool {
        match self.state {
            NodeState::Dead | NodeState::Left => true,
            NodeState::Unknown => false,
            // It hears who took what its run before has left with the next status, or the one after.
            NodeState::Up => !self.restarted || now >= self.since + PATIENCE.max(keepalive * 3),
            NodeState::Active => {
                self.extension.is_some() || self.spoke || self.starting || now >= self.since + PATIENCE
            }
        }
    }

    /// Whether it takes and gives.
    pub(crate) fn is_stable(&self) -> bool {
        let busy = self.extension.as_ref().is_some_and(|told| told.busy);
        self.state == NodeState::Active && !self.leaving && !busy && (self.stable || self.extension.is_some())
    }

    pub(crate) fn has_failed(&self, group: usize) -> bool {
        self.extension.as_ref().is_some_and(|told| told.failed.contains(&group))
    }

    pub(crate) fn is_evenkeel(&self) -> bool {
        self.extension.is_some()
    }

    pub(crate) fn deadline(&self, keepalive: Duration) -> Option<Instant> {
        let patience = if self.state == NodeState::Up { PATIENCE.max(keepalive * 3) } else { PATIENCE };
        let known = self.state.lives().then_some(self.since + patience);
        [self.returned, self.fence.deadline(), known].into_iter().flatten().min()
    }
}

impl Holding {
    /// Whether a living node has a group, as far as it tells, or others do that hear it.
    pub(crate) fn has(&self, node: usize, group: usize) -> bool {
        let Some(peer) = self.peers.get(node) else { return false };
        let heard = peer.state == NodeState::Active || self.plan.is_many() && peer.state.lives();
        match &peer.extension {
            _ if !heard => self.relayed(node, group).is_some(),
            Some(told) => told.holds(group),
            None if self.is_silent(node) => self.plan.prefers(group, node),
            None => self.plan.is_of(group, peer.hold, node),
        }
    }

    /// Whether it is known what a node has.
    pub(crate) fn knows(&self, now: Instant, node: usize) -> bool {
        self.peers.get(node).is_none_or(|peer| peer.is_known(now, self.plan.timing.keepalive)) || self.is_silent(node)
    }

    /// Who has a group.
    pub(crate) fn holder(&self, group: usize) -> Option<usize> {
        if self.wants(group) {
            return Some(self.plan.me);
        }
        self.plan.others().find(|node| self.has(*node, group))
    }
}

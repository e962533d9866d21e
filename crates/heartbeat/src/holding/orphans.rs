//! Groups that nobody has (HB-37): each goes to the first node of its order that can take it.

use super::{Holding, Moment, PATIENCE, RESERVE, Stage};
use crate::{News, NodeState, Share, Why};
use evenkeel_machine::Instant;
use std::cmp::Reverse;

/// How soon a node takes a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chance {
    /// It cannot.
    No,
    /// It may be able to in a moment.
    Soon,
    /// It can.
    Now,
}

impl Holding {
    /// From `Starting` to `Stable`, as soon as it is known what the others have.
    pub(crate) fn join(&mut self, at: Moment, since: Instant, listen: Instant) {
        if at.now < listen {
            return;
        }
        let patient = at.now < since + PATIENCE;
        let known = |node: usize| {
            let judged = |peer: &super::Peer| !patient && peer.state != NodeState::Unknown;
            self.knows(at.now, node) || self.peers.get(node).is_some_and(judged)
        };
        // A heartbeat gives at once what prefers a node that calls itself stable.
        let premature = |node: usize| {
            let foreign = self.peers.get(node).is_some_and(|peer| !peer.is_evenkeel());
            foreign && (0..self.own.len()).any(|group| self.plan.prefers(group, self.plan.me) && self.has(node, group))
        };
        if !self.plan.others().all(known) || !self.ready && self.plan.others().any(premature) {
            return;
        }
        self.stage = Stage::Stable;
        self.joined = true;
        self.local = true;
        if self.is_accompanied() {
            self.say_held(Share::None, false, None);
        }
        self.spread();
        self.owed.held = true;
        self.take_orphans(at);
        self.owed.ours |= self.hold().local();
        self.drop_strays();
        self.tell(News::Stable { node: self.plan.me, stable: true });
    }

    /// Takes what nobody has.
    pub(crate) fn take_orphans(&mut self, at: Moment) {
        if self.handover.is_some() {
            return;
        }
        for group in 0..self.own.len() {
            self.take_orphan(at, group);
        }
    }

    fn take_orphan(&mut self, at: Moment, group: usize) {
        let held = self.holder(group).is_some();
        let unclear = self.plan.others().any(|node| !self.knows(at.now, node));
        let Some(own) = self.own.get_mut(group) else { return };
        if held {
            own.orphan = None;
            return;
        }
        if let Some(node) = self.promised(group) {
            let Some(own) = self.own.get_mut(group) else { return };
            own.orphan = None;
            // Where it failed it is not tried again for a word that is older: the giver names another one when it knows.
            if node == self.plan.me && self.ready && !own.failed {
                self.owe_better(group);
                self.claim(at.wall, group, Why::Given);
                self.owed.held = true;
            }
            return;
        }
        if unclear || self.is_fencing() || self.was_given(at.now, group) {
            return;
        }
        let Some(own) = self.own.get_mut(group) else { return };
        let since = *own.orphan.get_or_insert(at.now);
        let patient = at.now < since + RESERVE;
        let Some(place) = self.plan.groups.get(group) else { return };
        let mut order = place.prefer.clone();
        if self.plan.is_many() {
            // Nodes that start together do not know yet what the others reach. The order stays of those that are alike.
            let seen = self.own.get(group).is_some_and(|own| own.seen);
            let unfit =
                |node| if seen { self.unfit(node, group) } else { (self.stands_aside(node, group), Reverse(0)) };
            order.sort_by_key(|node| unfit(*node));
        }
        if self.is_unheard(at.now, &order, since) {
            return;
        }
        for node in order {
            match (node == self.plan.me, self.chance(at.now, node, group)) {
                (true, Chance::Now) if self.asks_first(at, group) => return,
                (true, Chance::Now) => {
                    let why = self.why_nobody(group);
                    self.claim(at.wall, group, why);
                    self.owed.held = true;
                    return;
                }
                (false, Chance::Now | Chance::Soon) if patient => return,
                (true | false, Chance::No | Chance::Soon | Chance::Now) => {}
            }
        }
    }

    /// Whether an evenkeel that counts as alive may have taken a group unheard: one that comes before this node has told
    /// nothing since nobody has it, or any other one nothing for long.
    fn is_unheard(&self, now: Instant, order: &[usize], since: Instant) -> bool {
        let place = order.iter().position(|node| *node == self.plan.me);
        let recent = self.plan.timing.keepalive * 2;
        order.iter().enumerate().any(|(at, node)| {
            let Some(peer) = self.peers.get(*node).filter(|peer| peer.state.lives() && !peer.leaving) else {
                return false;
            };
            let first = Some(at) < place && now >= since + RESERVE;
            peer.told.is_some_and(|told| first && told < since || told + recent < now)
        })
    }

    /// Whether another node has said that it took it, and its status that tells so may still be on the way.
    fn was_given(&self, now: Instant, group: usize) -> bool {
        let given = self.own.get(group).and_then(|own| own.given).filter(|(_, until)| now < *until);
        let took = |(node, _): (usize, Instant)| {
            self.peers.get(node).is_some_and(|peer| peer.state == NodeState::Active && !peer.has_failed(group))
        };
        given.is_some_and(took)
    }

    fn why_nobody(&self, group: usize) -> Why {
        let state = |node: usize| self.peers.get(node).map(|peer| peer.state);
        let alone = !self.is_accompanied();
        if let Some(last) = self.own.get(group).and_then(|own| own.holder).filter(|_| self.plan.is_many()) {
            return match state(last) {
                Some(NodeState::Dead) => Why::Dead,
                Some(NodeState::Left) => Why::Left,
                Some(NodeState::Unknown | NodeState::Up | NodeState::Active) | None => Why::Nobody,
            };
        }
        match self.plan.others().find_map(state) {
            Some(NodeState::Dead) if alone && self.joined && self.own.get(group).is_some() => Why::Dead,
            Some(NodeState::Left) if alone => Why::Left,
            _ => Why::Nobody,
        }
    }

    fn chance(&self, now: Instant, node: usize, group: usize) -> Chance {
        if node == self.plan.me {
            let can = self.stage == Stage::Stable && self.own.get(group).is_some_and(|own| !own.failed);
            return if can { Chance::Now } else { Chance::No };
        }
        let Some(peer) = self.peers.get(node) else { return Chance::No };
        if peer.leaving || peer.has_failed(group) {
            return Chance::No;
        }
        match peer.state {
            NodeState::Active if peer.is_stable() => Chance::Now,
            NodeState::Active => Chance::Soon,
            NodeState::Up if now < peer.since + PATIENCE => Chance::Soon,
            NodeState::Up | NodeState::Unknown | NodeState::Dead | NodeState::Left => Chance::No,
        }
    }

    /// Who would take a group that failed here.
    pub(crate) fn successor(&self, group: usize) -> Option<usize> {
        if self.plan.is_many() {
            return self.heir(group);
        }
        let place = self.plan.groups.get(group)?;
        let can = |node: &usize| {
            self.peers.get(*node).is_some_and(|peer| peer.is_stable() && !peer.has_failed(group))
                && *node != self.plan.me
        };
        place.prefer.iter().copied().find(can)
    }
}

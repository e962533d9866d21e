//! Moves between more than two evenkeels (HB-62). Nothing is handed over in words that could be lost: whoever gives a group up
//! names in every status the node that is to take it, which does as soon as nobody has it; the others leave it.

use super::{Deed, Holding, Moment, PATIENCE, RESERVE, Stage};
use crate::{Message, News, Output, Refusal, Request, Why, extension};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Failback;
use std::{cmp::Reverse, time::Duration};

/// Between two wishes for the same group.
const REPEAT: Duration = Duration::from_secs(2);

/// How long a wish waits for the status that says a failure is forgiven: messages may change places.
const LATER: Duration = Duration::from_millis(100);

/// How long a move may take that an operator waits for.
const LONGEST: Duration = Duration::from_secs(3600);

/// The most requests that are carried out at a time.
const MOST_ASKS: usize = 16;

/// A group on its way to a node that was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gift {
    to: usize,
    /// It has it: others shall hear that from it before this node says no more.
    taken: bool,
    /// Once it is stopped here: for how long it is left to that node.
    until: Option<Instant>,
}

impl Gift {
    pub(crate) fn until(self) -> Option<Instant> {
        self.until
    }
}

/// What is under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moves {
    asks: Vec<Ask>,
    /// Since when another node reaches more ping nodes.
    cut_off: Option<Instant>,
}

/// What an operator waits for.
#[derive(Clone, Debug)]
struct Ask {
    id: u64,
    groups: Vec<usize>,
    /// Where they are to be; `None`: on any other node.
    to: Option<usize>,
    begun: Instant,
    /// When the nodes that have them are asked again.
    again: Instant,
}

impl Holding {
    /// Gives a group up for a node. `aside`: it stays away until an operator wants it here.
    fn bestow(&mut self, group: usize, to: usize, aside: bool) {
        self.release(group, Why::Given);
        if let Some(own) = self.own.get_mut(group) {
            own.gift = Some(Gift { to, taken: false, until: None });
            own.aside = aside;
        }
    }

    /// Whether an operator who moves a group to a node means that this one shall not get it back: the other suits it no better.
    fn is_worse(&self, to: usize, group: usize) -> bool {
        self.plan.rank(group, to) >= self.plan.rank(group, self.plan.me)
    }

    /// The node, with the group.
    pub(crate) fn gifts(&self) -> Vec<(usize, usize)> {
        let gift = |(group, own): (usize, &super::Own)| own.gift.map(|gift| (gift.to, group));
        self.own.iter().enumerate().filter_map(gift).collect()
    }

    /// The node that is to take a group, as the one tells that gives it.
    pub(crate) fn promised(&self, group: usize) -> Option<usize> {
        if let Some(gift) = self.own.get(group).and_then(|own| own.gift) {
            return Some(gift.to);
        }
        let me = self.plan.me;
        let fit = |node: usize| node == me || self.is_able(node, group);
        let given = |(_, told): (usize, &extension::Many)| {
            told.gives.iter().find_map(|(node, given)| (*given == group && fit(*node)).then_some(*node))
        };
        let promised: Vec<usize> = self.words().filter_map(given).collect();
        promised.iter().copied().find(|node| *node == me).or(promised.first().copied())
    }

    /// How unfit a node is for a group, beside its place in the order: the least goes first.
    pub(crate) fn unfit(&self, node: usize, group: usize) -> (bool, Reverse<usize>) {
        (self.stands_aside(node, group), Reverse(self.reach(node)))
    }

    /// The node that a group of this one is given to.
    pub(crate) fn heir(&self, group: usize) -> Option<usize> {
        let order = self.plan.groups.get(group).map(|place| place.prefer.clone()).unwrap_or_default();
        let able = |node: &usize| self.is_able(*node, group) && self.is_heard_by(*node);
        order.into_iter().filter(able).min_by_key(|node| self.unfit(*node, group))
    }

    /// Ends what was given: it was taken, or is nobody's again.
    pub(crate) fn follow_gifts(&mut self, at: Moment) {
        for group in 0..self.own.len() {
            let Some(gift) = self.own.get(group).and_then(|own| own.gift) else { continue };
            let next = self.follow_gift(at.now, group, gift);
            if let Some(own) = self.own.get_mut(group) {
                own.gift = next;
            }
        }
    }

    fn follow_gift(&self, now: Instant, group: usize, mut gift: Gift) -> Option<Gift> {
        let stopping = self.own.get(group).is_some_and(super::Own::runs);
        let has = self.has(gift.to, group);
        if !self.is_able(gift.to, group) && !has {
            // One that has taken it had its chance; before that another one is named.
            return self.heir(group).filter(|_| !gift.taken).map(|to| Gift { to, ..gift });
        }
        if stopping {
            return Some(gift);
        }
        if gift.taken && !has {
            return None;
        }
        if has && !gift.taken {
            (gift.taken, gift.until) = (true, Some(now + self.plan.timing.keepalive * 2));
        }
        // The status that names it may be lost: the next one comes a `keepalive` later.
        let until = *gift.until.get_or_insert(now + RESERVE.max(self.plan.timing.keepalive * 3));
        (now < until).then_some(gift)
    }

    /// What an operator asks for; true where nothing is to be done.
    pub(crate) fn ask(&mut self, at: Moment, id: u64, what: &Request) -> Result<bool, Refusal> {
        match self.stage {
            Stage::Leaving | Stage::Left(_) | Stage::Over => return Err(Refusal::Leaving),
            Stage::Waiting | Stage::Starting { .. } => return Err(Refusal::NotStable),
            Stage::Stable if self.moves.asks.len() >= MOST_ASKS => return Err(Refusal::NotStable),
            Stage::Stable => {}
        }
        match *what {
            Request::Standby(share) => self.stand_by(at, id, self.plan.share(share, self.plan.me)),
            Request::Takeover(share) => Ok(self.wish(at, id, self.plan.share(share, self.plan.me))),
            Request::Move { group, .. } if group >= self.own.len() => Err(Refusal::Unknown),
            Request::Move { group, to: None } if self.wants(group) => self.stand_by(at, id, vec![group]),
            Request::Move { to: None, .. } => Err(Refusal::NotStable),
            Request::Move { group, to: Some(to) } => self.send(at, id, vec![group], to),
            Request::MoveAll { to } => self.send(at, id, (0..self.own.len()).collect(), to),
            Request::Confirm { node } => self.confirm(node).map(|()| true),
        }
    }

    /// Gives each of these that this node has to who is best for it.
    fn stand_by(&mut self, at: Moment, id: u64, mut groups: Vec<usize>) -> Result<bool, Refusal> {
        groups.retain(|group| self.wants(*group));
        let heirs: Vec<(usize, Option<usize>)> = groups.iter().map(|group| (*group, self.heir(*group))).collect();
        for (group, heir) in &heirs {
            if let Some(heir) = heir {
                self.bestow(*group, *heir, true);
            }
        }
        match heirs.iter().any(|(_, heir)| heir.is_none()) {
            true if !self.is_accompanied() => Err(Refusal::NoPeer),
            true => Err(Refusal::PeerRefused),
            false => Ok(self.await_groups(at.now, at.now, id, groups, None)),
        }
    }

    /// Asks whoever has these for them.
    fn wish(&mut self, at: Moment, id: u64, mut groups: Vec<usize>) -> bool {
        groups.retain(|group| !self.wants(*group));
        let mut first = at.now;
        for group in &groups {
            let Some(own) = self.own.get_mut(*group) else { continue };
            if own.failed {
                first = at.now + LATER;
            }
            (own.failed, own.failures, own.aside, own.gift) = (false, 0, false, None);
        }
        self.await_groups(at.now, first, id, groups, Some(self.plan.me))
    }

    /// Gives what this node has of these to a node, and asks the nodes that have the others to.
    fn send(&mut self, at: Moment, id: u64, groups: Vec<usize>, to: usize) -> Result<bool, Refusal> {
        if to == self.plan.me {
            return Ok(self.wish(at, id, groups));
        }
        let hears = |group: &usize| !self.wants(*group) || self.is_heard_by(to);
        let able = |group: &usize| self.has(to, *group) || self.is_able(to, *group) && hears(group);
        if to >= self.peers.len() {
            return Err(Refusal::Unknown);
        } else if !self.lives(to) {
            return Err(Refusal::NoPeer);
        } else if !groups.iter().all(able) {
            return Err(Refusal::PeerRefused);
        }
        for group in groups.iter().copied().filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            self.bestow(group, to, self.is_worse(to, group));
        }
        Ok(self.await_groups(at.now, at.now, id, groups, Some(to)))
    }

    fn await_groups(&mut self, begun: Instant, again: Instant, id: u64, groups: Vec<usize>, to: Option<usize>) -> bool {
        let nothing = groups.iter().all(|group| self.has_arrived(*group, to));
        if !nothing {
            self.moves.asks.push(Ask { id, groups, to, begun, again });
        }
        nothing
    }

    fn has_arrived(&self, group: usize, to: Option<usize>) -> bool {
        let holder = self.holder(group).filter(|node| self.keeps_it(*node, group));
        let up = holder != Some(self.plan.me) || self.are_up(&[group]);
        up && match to {
            Some(to) => holder == Some(to),
            None => holder.is_some_and(|holder| holder != self.plan.me),
        }
    }

    /// Whether a node that has a group does not give it up.
    pub(crate) fn keeps_it(&self, node: usize, group: usize) -> bool {
        let told = self.peers.get(node).and_then(|peer| peer.extension.as_ref());
        let keeps = told.is_some_and(|told| told.since(group).is_some());
        if node == self.plan.me { self.wants(group) } else { keeps }
    }

    /// A node asks for groups, for itself or another one.
    pub(crate) fn hear_wish(&mut self, node: usize, message: &Message) {
        let groups = message.text("ekgroups").map(|keys| extension::groups(&self.plan, keys)).unwrap_or_default();
        let to = message.text("ekto").map_or(Some(node), |name| self.plan.node(name));
        let Some(to) = to.filter(|_| self.stage == Stage::Stable) else { return };
        for group in groups.into_iter().filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            if self.is_able(to, group) && self.is_heard_by(to) {
                self.bestow(group, to, self.is_worse(to, group));
            } else {
                self.tell(News::Ignored { node, why: Refusal::PeerRefused });
            }
        }
    }

    /// Everything that moves by itself or is awaited.
    pub(crate) fn move_groups(&mut self, at: Moment) {
        self.give_what_others_reach(at.now);
        self.give_back();
        for ask in std::mem::take(&mut self.moves.asks) {
            match self.follow_ask(at.now, &ask) {
                None => {
                    let again = self.wish_again(at.now, &ask);
                    self.moves.asks.push(Ask { again, ..ask });
                }
                Some(result) => self.deeds.push(Deed::Do(Output::Answer { id: ask.id, result })),
            }
        }
    }

    /// What became of it; `None`: nothing yet.
    fn follow_ask(&self, now: Instant, ask: &Ask) -> Option<Result<(), Refusal>> {
        let left: Vec<usize> = ask.groups.iter().copied().filter(|group| !self.has_arrived(*group, ask.to)).collect();
        let waited = |time: Duration| now >= ask.begun + time;
        let me = self.plan.me;
        let failed = |group: &usize| match ask.to {
            Some(to) if to == me => self.own.get(*group).is_some_and(|own| own.failed),
            Some(to) => self.peers.get(to).is_some_and(|peer| peer.has_failed(*group)),
            None => self.wants(*group),
        };
        // Its node goes on with it as if nothing had been asked.
        let keeps = |node: usize, group: usize| node != me && (self.keeps_it(node, group) || !self.lives(node));
        let kept = |group: &usize| self.holder(*group).is_some_and(|node| keeps(node, *group));
        if left.is_empty() {
            Some(Ok(()))
        } else if left.iter().any(failed) {
            Some(Err(Refusal::PeerRefused))
        } else if ask.to.is_some_and(|to| to != me && !self.lives(to)) {
            Some(Err(Refusal::PeerGone))
        } else if waited(PATIENCE) && left.iter().any(kept) {
            Some(Err(Refusal::NoAnswer))
        } else {
            waited(LONGEST).then_some(Err(Refusal::TooLong))
        }
    }

    /// Asks the nodes that have what is wished for; gives when to do so again.
    fn wish_again(&mut self, now: Instant, ask: &Ask) -> Instant {
        let Some(to) = ask.to.filter(|_| now >= ask.again) else { return ask.again };
        for node in self.plan.others().filter(|node| *node != to && self.lives(*node)).collect::<Vec<_>>() {
            let of = |group: &usize| self.has(node, *group) && self.keeps_it(node, *group);
            let groups: Vec<usize> = ask.groups.iter().copied().filter(of).collect();
            if !groups.is_empty() {
                self.say_wish(node, &groups, to);
            }
        }
        now + REPEAT
    }

    /// Of nodes that reach different numbers of ping nodes, those that reach fewer give up what they have (HB-50).
    fn give_what_others_reach(&mut self, now: Instant) {
        let here = self.reach(self.plan.me);
        for node in self.plan.others() {
            let fewer = self.plan.ipfail && self.reach(node) < here;
            if let Some(peer) = self.peers.get_mut(node) {
                // When they are even again, what prefers it may go back to it.
                peer.owed |= fewer;
            }
        }
        let better = |group: &usize| {
            let heir = self.heir(*group).filter(|node| self.reach(*node) > here && !self.stands_aside(*node, *group));
            heir.filter(|_| self.weighed && self.wants(*group)).map(|node| (*group, node))
        };
        let due: Vec<(usize, usize)> = (0..self.own.len()).filter_map(|group| better(&group)).collect();
        let Some((_, first)) = due.first() else {
            self.moves.cut_off = None;
            return;
        };
        // The others may be about to lose the same ping node.
        if now < *self.moves.cut_off.get_or_insert(now) + self.plan.timing.keepalive * 2 {
            return;
        }
        self.tell(News::CutOff { here, there: Some(self.reach(*first)) });
        for (group, to) in due {
            self.bestow(group, to, false);
        }
    }

    /// A node that has come gets what prefers it to this one (HB-34), once.
    fn give_back(&mut self) {
        let here = self.reach(self.plan.me);
        let come = |node: &usize| {
            let owed =
                self.peers.get(*node).is_some_and(|peer| peer.owed && peer.is_stable() && peer.returned.is_none());
            let ready = self.peers.get(*node).and_then(|peer| peer.extension.as_ref()).is_some_and(|told| told.ready);
            // One that does not hear this node would not know what it is given.
            owed && ready && self.reach(*node) >= here && self.is_heard_by(*node)
        };
        let come: Vec<usize> = self.plan.others().filter(come).collect();
        if come.is_empty() {
            return;
        }
        for group in (0..self.own.len()).filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            let better = |node: &usize| {
                let prefers = self.plan.rank(group, *node) < self.plan.rank(group, self.plan.me);
                prefers && self.is_able(*node, group) && !self.stands_aside(*node, group)
            };
            let best = come.iter().copied().filter(better).min_by_key(|node| self.plan.rank(group, *node));
            if let Some(best) = best.filter(|_| self.plan.failback != Failback::Off) {
                self.bestow(group, best, false);
            }
        }
        for node in come {
            if let Some(peer) = self.peers.get_mut(node) {
                peer.owed = false;
            }
        }
    }

    /// A better node may have come while a group was on its way here. What an operator moves stays.
    pub(crate) fn owe_better(&mut self, group: usize) {
        let gives = |told: &extension::Many| told.gives.contains(&(self.plan.me, group));
        let operator = self.words().any(|(node, told)| gives(told) && self.stands_aside(node, group));
        for node in self.plan.others() {
            let better = self.plan.rank(group, node) < self.plan.rank(group, self.plan.me);
            if let Some(peer) = self.peers.get_mut(node).filter(|_| better && !operator) {
                peer.owed = true;
            }
        }
    }

    /// Nothing that was under way goes on.
    pub(crate) fn drop_moves(&mut self, why: Refusal) {
        for ask in std::mem::take(&mut self.moves).asks {
            self.deeds.push(Deed::Do(Output::Answer { id: ask.id, result: Err(why) }));
        }
        for own in &mut self.own {
            own.gift = None;
        }
    }

    /// The groups have other places now.
    pub(crate) fn regroup_asks(&mut self, now: impl Fn(usize) -> Option<usize>) {
        for ask in &mut self.moves.asks {
            ask.groups = ask.groups.iter().filter_map(|group| now(*group)).collect();
        }
    }

    /// When something of it is due.
    pub(crate) fn moves_due(&self) -> impl Iterator<Item = Instant> {
        let asks = self.moves.asks.iter().flat_map(|ask| [ask.again, ask.begun + PATIENCE, ask.begun + LONGEST]);
        asks.chain(self.moves.cut_off.map(|since| since + self.plan.timing.keepalive * 2))
    }
}

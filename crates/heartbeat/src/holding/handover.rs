//! Giving and taking between two living nodes, in three words (HB-33):
//!
//! ```text
//!  the one that gives                              the one that takes
//!  ask_resources SHARE me   ─────────────────────►
//!                           ◄─────────────────────  ask_resources SHARE other
//!  resource REST isstable=0 standby ─────────────►
//!  (stops)
//!  ask_resources SHARE done ─────────────────────►  (starts)
//!                           ◄─────────────────────  ask_resources SHARE done, resource isstable=1
//!  resource REST isstable=1 ─────────────────────►
//! ```
//!
//! The share is always as the giver sees it. The first answer has 10 s, the whole an hour. To an evenkeel `ekgroups` says
//! which groups of the share are meant.

use super::{Deed, Holding, Moment, PATIENCE, Stage, words::Info};
use crate::{Message, News, NodeState, Output, Refusal, Share, Why, extension};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Failback;
use std::time::Duration;

/// How long a hand-over may take.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often a node that has come is offered what prefers it, where it does not answer.
const FAILBACKS: u8 = 3;

/// How often a group that failed here is given to a heartbeat, which gives it back when it fails there.
const FAILURES: u8 = 3;

/// How late a message may be that was lost at first.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Who wants a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// An operator of this node.
    Request(u64),
    /// The other node.
    Peer,
    /// The preferred node is back.
    Failback,
    /// Fewer ping nodes are reached here, or as many as there again.
    Ipfail,
    /// A group failed here.
    Failure,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This node wants it: the other one is to ask.
    Wanted,
    /// Gives: asked, not answered yet.
    Asked,
    /// Gives: stops its groups.
    Stopping,
    /// Gives: has stopped them; the other one starts them.
    Given,
    /// Takes: the other one stops them.
    Awaiting,
    /// Takes: starts them.
    Taking,
}

#[derive(Clone, Debug)]
pub(crate) struct Handover {
    pub(crate) peer: usize,
    step: Step,
    share: Share,
    groups: Vec<usize>,
    /// `ekgroups` was said.
    named: bool,
    /// The first answer is due.
    answer: Instant,
    end: Instant,
    by: By,
}

/// What a hand-over is about: the share as the giver sees it, the groups of it, and whether they were named.
type Part = (Share, Vec<usize>, bool);

impl Handover {
    pub(crate) fn until(&self) -> Instant {
        match self.step {
            Step::Wanted | Step::Asked => self.answer,
            Step::Stopping | Step::Given | Step::Awaiting | Step::Taking => self.end,
        }
    }

    /// Whether a group is on its way. One that is only offered is this node's as before.
    pub(crate) fn concerns(&self, group: usize) -> bool {
        self.step != Step::Asked && self.groups.contains(&group)
    }

    /// Groups have other places, or none any more.
    pub(crate) fn regroup(&mut self, now: impl FnMut(usize) -> Option<usize>) {
        self.groups = std::mem::take(&mut self.groups).into_iter().filter_map(now).collect();
    }

    fn named(&self) -> Option<&[usize]> {
        self.named.then_some(self.groups.as_slice())
    }
}

impl Holding {
    /// The node that gives to this one or takes from it: not in the midst of something else.
    fn partner(&self) -> Result<usize, Refusal> {
        let node = self.counterpart()?;
        let stable = self.peers.get(node).is_some_and(super::Peer::is_stable);
        if stable { Ok(node) } else { Err(Refusal::PeerNotStable) }
    }

    /// The other node, where this one may begin a hand-over.
    fn counterpart(&self) -> Result<usize, Refusal> {
        let lives =
            |node: &usize| self.peers.get(*node).is_some_and(|peer| peer.state == NodeState::Active && !peer.leaving);
        let node = self.plan.others().find(lives).ok_or(Refusal::NoPeer)?;
        match self.stage {
            Stage::Leaving | Stage::Left(_) | Stage::Over => return Err(Refusal::Leaving),
            Stage::Stable if self.handover.is_none() => {}
            Stage::Waiting | Stage::Starting { .. } | Stage::Stable => return Err(Refusal::NotStable),
        }
        if self.plan.failback == Failback::Legacy {
            return Err(Refusal::Legacy);
        }
        Ok(node)
    }

    fn open(&mut self, at: Moment, peer: usize, step: Step, (share, groups, named): Part, by: By) {
        let (answer, end) = (at.now + PATIENCE, at.now + LONGEST);
        self.handover = Some(Handover { peer, step, share, groups, named, answer, end, by });
        self.tell(News::Stable { node: self.plan.me, stable: false });
    }

    /// Begins to give a share, or some groups of it.
    pub(crate) fn give(&mut self, at: Moment, share: Share, only: Option<Vec<usize>>, by: By) -> Result<(), Refusal> {
        let peer = self.partner()?;
        let evenkeel = self.peers.get(peer).is_some_and(super::Peer::is_evenkeel);
        if only.is_some() && !evenkeel {
            return Err(Refusal::NotEvenkeel);
        }
        let mut groups = only.clone().unwrap_or_else(|| self.plan.share(share, self.plan.me));
        groups.retain(|group| self.wants(*group));
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.owed = false;
        }
        self.say_ask(share, Info::Me, only.is_some().then_some(groups.as_slice()), by == By::Ipfail);
        self.open(at, peer, Step::Asked, (share, groups, only.is_some()), by);
        Ok(())
    }

    /// Asks the other node to give; true where there is nothing to ask for.
    pub(crate) fn want(&mut self, at: Moment, share: Share, only: Option<usize>, id: u64) -> Result<bool, Refusal> {
        for own in &mut self.own {
            (own.failed, own.failures) = (false, 0);
        }
        let peer = match self.partner() {
            Err(Refusal::NoPeer) if self.stage == Stage::Stable => return Ok(true),
            other => other?,
        };
        if only.is_some() && !self.peers.get(peer).is_some_and(super::Peer::is_evenkeel) {
            return Err(Refusal::NotEvenkeel);
        }
        let mut groups = only.map_or_else(|| self.plan.share(share, self.plan.me), |group| vec![group]);
        groups.retain(|group| !self.wants(*group));
        let halves = share.local() && !self.hold().local() || share.foreign() && !self.hold().foreign();
        if groups.is_empty() && (only.is_some() || !halves) {
            return Ok(true);
        }
        self.say_takeover(share, only.is_some().then_some(groups.as_slice()));
        self.open(at, peer, Step::Wanted, (share, groups, only.is_some()), By::Request(id));
        Ok(false)
    }

    /// The other node wants a share of this one's, as it sees it.
    pub(crate) fn hear_takeover(&mut self, at: Moment, node: usize, message: &Message) {
        let Some(share) = message.text("rsc_hold").and_then(Share::parse) else { return };
        let only = message.text("ekgroups").map(|keys| extension::groups(&self.plan, keys));
        if let Err(why) = self.give(at, share.swapped(), only, By::Peer) {
            self.tell(News::Ignored { node, why });
        }
    }

    /// A word of a hand-over.
    pub(crate) fn hear_ask(&mut self, at: Moment, node: usize, message: &Message) {
        let Some(share) = message.text("rsc_hold").and_then(Share::parse) else { return };
        match message.text("info").and_then(Info::parse) {
            Some(Info::Me) => {
                if let Err(why) = self.accept(at, node, share, message) {
                    self.tell(News::Ignored { node, why });
                }
            }
            Some(Info::Other) => self.begin_giving(node),
            Some(Info::Done) => self.hear_done(at, node, share),
            None => {}
        }
    }

    /// Says that it takes, where it can.
    fn accept(&mut self, at: Moment, node: usize, share: Share, message: &Message) -> Result<(), Refusal> {
        if !self.ready {
            return Err(Refusal::NotStable);
        }
        let mine = self.handover.clone();
        let by = self.make_room(node)?;
        // It may have told already that it is busy: with this.
        if let Err(refusal) = self.counterpart() {
            self.handover = mine;
            return Err(refusal);
        }
        let evenkeel = self.peers.get(node).is_some_and(super::Peer::is_evenkeel);
        let named = message.text("ekgroups").filter(|_| evenkeel);
        let groups = match named {
            Some(keys) => extension::groups(&self.plan, keys),
            None => self.plan.share(share, node),
        };
        let groups: Vec<usize> = groups.into_iter().filter(|group| !self.wants(*group)).collect();
        // What an evenkeel gives and nobody has is taken in any case.
        if let Some(peer) = self.peers.get_mut(node) {
            peer.offered = (!evenkeel).then_some(share);
        }
        self.say_ask(share, Info::Other, named.is_some().then_some(groups.as_slice()), false);
        self.open(at, node, Step::Awaiting, (share, groups, named.is_some()), by);
        Ok(())
    }

    /// What this node wants itself gives way to the other one's giving; of two that want to give, the one of the lower
    /// place does.
    fn make_room(&mut self, node: usize) -> Result<By, Refusal> {
        let Some(mine) = &self.handover else { return Ok(By::Peer) };
        match (mine.step, mine.by) {
            (Step::Wanted, by) => {
                self.handover = None;
                Ok(by)
            }
            (Step::Asked, _) if node < self.plan.me => {
                self.cancel(Refusal::PeerNotStable);
                Ok(By::Peer)
            }
            (Step::Asked | Step::Stopping | Step::Given | Step::Awaiting | Step::Taking, _) => Err(Refusal::NotStable),
        }
    }

    fn begin_giving(&mut self, node: usize) {
        let Some(handover) = self.handover.as_mut().filter(|it| it.peer == node && it.step == Step::Asked) else {
            return;
        };
        handover.step = Step::Stopping;
        let (share, groups, named) = (handover.share, handover.groups.clone(), handover.named);
        if !named {
            self.local &= !share.local();
            self.foreign &= !share.foreign();
        }
        for group in groups {
            self.release(group, Why::Given);
        }
        self.say_held(self.hold(), false, Some("standby"));
    }

    fn hear_done(&mut self, at: Moment, node: usize, share: Share) {
        self.resume_taking(at, node, share);
        let of = |handover: &&mut Handover| handover.peer == node && handover.share == share;
        let Some(handover) = self.handover.as_mut().filter(of) else { return };
        match handover.step {
            Step::Awaiting => {
                handover.step = Step::Taking;
                let (share, groups, named) = (handover.share.swapped(), handover.groups.clone(), handover.named);
                if !named {
                    self.local |= share.local();
                    self.foreign |= share.foreign();
                }
                self.lose(node, share.swapped());
                for group in groups {
                    self.claim(at.wall, group, Why::Given);
                }
                self.trust_move(node);
            }
            Step::Stopping | Step::Given => {
                let share = handover.share;
                self.gain(node, share.swapped());
                self.trust_move(node);
                self.finish(Ok(()));
            }
            Step::Wanted | Step::Asked | Step::Taking => {}
        }
    }

    /// It has given what this node had stopped waiting for: words came in another order than they were said.
    fn resume_taking(&mut self, at: Moment, node: usize, share: Share) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let offered = peer.offered.take_if(|offered| *offered == share).is_some();
        if offered && self.counterpart() == Ok(node) {
            let groups = self.plan.share(share, node).into_iter().filter(|group| !self.wants(*group)).collect();
            self.open(at, node, Step::Awaiting, (share, groups, false), By::Peer);
        }
    }

    /// The other node says that it does not hand over any more: its last word was lost, or it has given up.
    pub(crate) fn hear_idle(&mut self, node: usize) {
        let Some(handover) = self.handover.as_ref().filter(|handover| handover.peer == node) else { return };
        match handover.step {
            Step::Awaiting => self.cancel(Refusal::PeerGone),
            Step::Given => {
                let share = handover.share;
                self.gain(node, share.swapped());
                self.trust_move(node);
                self.finish(Ok(()));
            }
            Step::Wanted | Step::Asked | Step::Stopping | Step::Taking => {}
        }
    }

    /// What has moved between the two: a status on its way may say otherwise.
    fn trust_move(&mut self, node: usize) {
        let groups = self.handover.as_ref().map(|handover| handover.groups.clone()).unwrap_or_default();
        for group in groups {
            self.trust(node, group);
        }
    }

    /// One group has moved.
    pub(crate) fn trust(&mut self, node: usize, group: usize) {
        let until = self.settled + self.plan.timing.keepalive * 2 + ON_ITS_WAY;
        if let Some(own) = self.own.get_mut(group) {
            own.given = Some((node, until));
        }
    }

    /// A heartbeat has less now: the halves of this node's view.
    fn lose(&mut self, node: usize, share: Share) {
        if let Some(peer) = self.peers.get_mut(node) {
            let left = |has: bool, gave: bool| has && !gave;
            peer.hold = Share::of(left(peer.hold.local(), share.local()), left(peer.hold.foreign(), share.foreign()));
        }
    }

    /// A heartbeat has more now.
    fn gain(&mut self, node: usize, share: Share) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.hold = Share::of(peer.hold.local() || share.local(), peer.hold.foreign() || share.foreign());
        }
    }

    /// Goes on with a hand-over.
    pub(crate) fn hand_over(&mut self, at: Moment) {
        let Some(handover) = self.handover.clone() else { return };
        if at.now >= handover.until() {
            let early = matches!(handover.step, Step::Wanted | Step::Asked);
            return self.cancel(if early { Refusal::NoAnswer } else { Refusal::TooLong });
        }
        match handover.step {
            Step::Stopping if self.are_down(&handover.groups) => {
                self.say_ask(handover.share, Info::Done, handover.named(), false);
                if let Some(handover) = &mut self.handover {
                    handover.step = Step::Given;
                }
            }
            Step::Taking if self.are_up(&handover.groups) => {
                self.say_ask(handover.share, Info::Done, handover.named(), false);
                self.finish(Ok(()));
            }
            Step::Wanted | Step::Asked | Step::Stopping | Step::Given | Step::Awaiting | Step::Taking => {}
        }
    }

    fn finish(&mut self, result: Result<(), Refusal>) {
        let Some(handover) = self.handover.take() else { return };
        self.say_held(self.hold(), true, None);
        self.tell(News::Stable { node: self.plan.me, stable: true });
        if let By::Request(id) = handover.by {
            self.deeds.push(Deed::Do(Output::Answer { id, result }));
        }
    }

    /// Breaks a hand-over off; what nobody has then is taken again.
    pub(crate) fn cancel(&mut self, why: Refusal) {
        let Some(handover) = &self.handover else { return };
        if let (By::Failback, Some(peer)) = (handover.by, self.peers.get_mut(handover.peer)) {
            peer.tries = peer.tries.saturating_add(1);
            peer.owed = peer.tries < FAILBACKS;
        }
        self.tell(News::Cancelled { why });
        self.finish(Err(why));
    }

    /// Gives what prefers a node that has come, or what failed here and only a whole share can move.
    pub(crate) fn fail_back(&mut self, at: Moment) {
        let Ok(node) = self.partner() else { return };
        let Some(peer) = self.peers.get(node) else { return };
        let evenkeel = peer.is_evenkeel();
        let ready = peer.extension.as_ref().is_none_or(|told| told.ready);
        let reaches = peer.pings.is_none_or(|there| there >= self.reached);
        let whole = peer.returned.is_none();
        if self.plan.failback == Failback::On && peer.owed && ready && reaches && whole {
            let due = |group: &usize| self.wants(*group) && self.plan.prefers(*group, node);
            let groups: Vec<usize> = (0..self.own.len()).filter(due).collect();
            let Some(peer) = self.peers.get_mut(node) else { return };
            peer.owed = false;
            let able: Vec<usize> = groups.iter().copied().filter(|group| !peer.has_failed(*group)).collect();
            let some = able.len() < groups.len();
            if self.hold().foreign() && !(some && able.is_empty()) {
                // It cannot be refused: a partner was found just before.
                let _ = self.give(at, Share::Foreign, some.then_some(able), By::Failback);
                return;
            }
        }
        // An evenkeel takes by itself what nobody has.
        let due = |own: &super::Own| own.failed && own.failures <= FAILURES;
        if !evenkeel && let Some(group) = self.own.iter().position(due) {
            if let Some(own) = self.own.get_mut(group) {
                own.failed = false;
            }
            let local = self.plan.prefers(group, self.plan.me);
            let _ = self.give(at, if local { Share::Local } else { Share::Foreign }, None, By::Failure);
        }
    }
}

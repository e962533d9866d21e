//! The groups of this node.

use super::{Deed, Holding, PATIENCE, RESERVE, moves::Gift};
use crate::{News, Output, Share, Standing, Why};
use evenkeel_machine::Instant;

/// One group as this node has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// It shall run here.
    pub(crate) wanted: bool,
    /// When it was taken, wall clock in ms.
    pub(crate) since: u64,
    pub(crate) standing: Standing,
    /// It failed here, and is not tried again before the other node is gone or an operator asks.
    pub(crate) failed: bool,
    /// How often it failed here since an operator asked.
    pub(crate) failures: u8,
    /// Since when nobody has it.
    pub(crate) orphan: Option<Instant>,
    /// The node that took it from this one, or gave it, and until when a status of that node may be older than its word.
    pub(crate) given: Option<(usize, Instant)>,
    /// When it was asked for by the old protocol.
    pub(crate) asked: Option<Instant>,
    /// The node that asked for it by the old protocol.
    pub(crate) asker: Option<usize>,
    /// The node that is to take it from this one.
    pub(crate) gift: Option<Gift>,
    /// An operator took it from this node.
    pub(crate) aside: bool,
    /// Somebody has had it since this node knows of it.
    pub(crate) seen: bool,
    /// Who had it when that was looked at last.
    pub(crate) holder: Option<usize>,
}

impl Own {
    /// Something of it runs.
    pub(crate) fn runs(&self) -> bool {
        match self.standing {
            Standing::Stopped | Standing::Failed => false,
            Standing::Starting | Standing::Running | Standing::Stopping => true,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let orphan = self.orphan.map(|since| since + RESERVE);
        let asked = self.asked.filter(|_| !self.wanted).map(|since| since + PATIENCE);
        let gift = self.gift.and_then(Gift::until);
        let given = self.given.map(|(_, until)| until);
        [orphan, asked, given, gift].into_iter().flatten().min()
    }
}

impl Holding {
    /// What this node says it has: the halves.
    pub(crate) fn hold(&self) -> Share {
        let half = |local: bool, called: bool| {
            let mut of =
                (0..self.own.len()).filter(|group| self.plan.prefers(*group, self.plan.me) == local).peekable();
            if of.peek().is_none() { called } else { of.any(|group| self.wants(group)) }
        };
        Share::of(half(true, self.local), half(false, self.foreign))
    }

    pub(crate) fn wants(&self, group: usize) -> bool {
        self.own.get(group).is_some_and(|own| own.wanted)
    }

    /// Each group that this node has or still stops, with the time it was taken where it is kept. Of more than two nodes one
    /// that joins also tells what its run before has left.
    pub(crate) fn told(&self) -> Vec<(usize, Option<u64>)> {
        let told = |(group, own): (usize, &Own)| {
            let since = own.wanted.then_some(own.since);
            (own.wanted || own.runs() && (self.joined || self.plan.is_many())).then_some((group, since))
        };
        self.own.iter().enumerate().filter_map(told).collect()
    }

    /// The groups that failed here.
    pub(crate) fn failed(&self) -> Vec<usize> {
        self.own.iter().enumerate().filter_map(|(group, own)| own.failed.then_some(group)).collect()
    }

    /// Takes a group.
    pub(crate) fn claim(&mut self, wall: u64, group: usize, why: Why) {
        let Some(own) = self.own.get_mut(group).filter(|own| !own.wanted) else { return };
        own.wanted = true;
        own.since = wall;
        own.failed = false;
        own.aside = false;
        own.gift = None;
        own.orphan = None;
        own.given = None;
        own.asked = None;
        self.deeds.push(Deed::Do(Output::Acquire { group }));
        self.tell(News::Holder { group, node: Some(self.plan.me), why: Some(why) });
    }

    /// Gives a group up.
    pub(crate) fn release(&mut self, group: usize, why: Why) {
        let Some(own) = self.own.get_mut(group).filter(|own| own.wanted) else { return };
        own.wanted = false;
        self.deeds.push(Deed::Do(Output::Yield { group }));
        self.tell(News::Holder { group, node: None, why: Some(why) });
    }

    /// Tells which groups others have gained or lost; what this node takes and gives was told with its reason.
    pub(crate) fn tell_holders(&mut self) {
        for group in 0..self.own.len() {
            let node = self.holder(group);
            let me = Some(self.plan.me);
            let Some(own) = self.own.get_mut(group) else { return };
            own.seen |= node.is_some();
            let before = std::mem::replace(&mut own.holder, node);
            if before != node && node != me && (before != me || node.is_some()) {
                self.tell(News::Holder { group, node, why: None });
            }
        }
    }

    /// What runs here and is not this node's is stopped.
    pub(crate) fn drop_strays(&mut self) {
        for (group, own) in self.own.iter().enumerate() {
            if !own.wanted && matches!(own.standing, Standing::Running | Standing::Starting) {
                self.deeds.push(Deed::Do(Output::Yield { group }));
            }
        }
    }

    /// What a former run left here while this node joins, and another one has taken, is stopped at once.
    pub(crate) fn drop_taken(&mut self) {
        for group in 0..self.own.len() {
            let taken = self.plan.others().any(|node| self.keeps_it(node, group));
            let Some(own) = self.own.get_mut(group).filter(|own| taken && !own.wanted) else { continue };
            if matches!(own.standing, Standing::Running | Standing::Starting) {
                own.standing = Standing::Stopping;
                self.deeds.push(Deed::Do(Output::Yield { group }));
            }
        }
    }

    pub(crate) fn announce_all(&mut self) {
        for group in (0..self.own.len()).filter(|group| self.wants(*group)).collect::<Vec<_>>() {
            self.deeds.push(Deed::Do(Output::Announce { group }));
        }
    }

    /// Whether all these run, or failed.
    pub(crate) fn are_up(&self, groups: &[usize]) -> bool {
        groups
            .iter()
            .filter_map(|group| self.own.get(*group))
            .all(|own| !own.wanted || own.standing == Standing::Running)
    }

    /// Whether nothing of these runs.
    pub(crate) fn are_down(&self, groups: &[usize]) -> bool {
        groups.iter().filter_map(|group| self.own.get(*group)).all(|own| !own.runs())
    }
}

//! Another configuration while it runs (HB-38): each group that goes on keeps its place in the cluster.
//!
//! Two nodes never read their files again at the same moment. What this node had before under a key that its files do
//! not name any more it goes on telling, so that a node with the old files does not take it: under its former key where the
//! group goes on under another, as one being given up where it is gone. It does so until the others have these files too.

use super::{Deed, Holding};
use crate::{Output, plan::Plan};
use evenkeel_model::heartbeat::{Change, Failback};
use std::sync::Arc;

/// A key that is told although no group has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Former {
    key: String,
    /// The group that goes on under another.
    group: Option<usize>,
}

/// The most of them.
const MOST: usize = 64;

impl Holding {
    /// Goes on with `plan`.
    pub(crate) fn configure(&mut self, plan: &Arc<Plan>, change: &Change) {
        let before = std::mem::replace(&mut self.plan, Arc::clone(plan));
        self.remember(&before, change);
        self.devices.configure(plan.fences_within.clone());
        let own = std::mem::take(&mut self.own);
        // What is split off a group is where that group is.
        let of = |place: usize| own.get(place).cloned().unwrap_or_default();
        self.own =
            change.groups.iter().map(|origin| origin.map(|origin| of(origin.place)).unwrap_or_default()).collect();
        let turned_on = before.failback != Failback::On && plan.failback == Failback::On;
        for peer in &mut self.peers {
            if let Some(told) = &mut peer.extension {
                told.replace(&before, plan);
                peer.pings = peer.pings.filter(|_| told.asks == plan.asks());
            }
            peer.rivals = peer.rivals.iter().filter_map(|group| change.group_now(*group)).collect();
            peer.doubted = peer.doubted.iter().filter_map(|group| change.group_now(*group)).collect();
            // What is elsewhere stays there until its node comes anew.
            peer.owed &= !turned_on;
        }
        if let Some(handover) = &mut self.handover {
            handover.regroup(|group| change.group_now(group));
        }
        self.regroup_asks(|group| change.group_now(group));
        for (group, own) in self.own.iter().enumerate() {
            if own.wanted {
                self.deeds.push(Deed::Do(Output::Acquire { group }));
            }
        }
        self.owed.held = true;
    }

    /// Keeps the keys under which others know what this node has.
    fn remember(&mut self, before: &Plan, change: &Change) {
        for former in &mut self.former {
            former.group = former.group.and_then(|group| change.group_now(group));
        }
        let had = self.own.iter().zip(&before.groups).enumerate().filter(|(_, (own, _))| own.wanted || own.runs());
        self.former.extend(had.map(|(at, (_, place))| Former { key: place.key.clone(), group: change.group_now(at) }));
        let plan = Arc::clone(&self.plan);
        self.former.retain(|former| plan.groups.iter().all(|place| place.key != former.key));
        let over = self.former.len().saturating_sub(MOST);
        self.former.drain(..over);
    }

    /// Every other node has the files of this one.
    pub(crate) fn forget_former(&mut self) {
        self.former.clear();
    }

    /// Former keys, with the time what goes on under another was taken.
    pub(crate) fn told_former(&self) -> Vec<(String, Option<u64>)> {
        let told = |former: &Former| match former.group.map(|group| self.own.get(group)) {
            None => Some((former.key.clone(), None)),
            Some(own) => own.filter(|own| own.wanted).map(|own| (former.key.clone(), Some(own.since))),
        };
        self.former.iter().filter_map(told).collect()
    }
}

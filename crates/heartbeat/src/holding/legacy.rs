//! `auto_failback legacy` (HB-35): a node that comes up asks for each of its own groups by name, and whoever has it gives it.
//! Nobody says what it has, and there is no standby.

use super::{Holding, Moment, PATIENCE};
use crate::{Message, NodeState, Share, Why};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Failback;

impl Holding {
    /// Whether a group has to be asked for before it is taken; asks.
    pub(crate) fn asks_first(&mut self, at: Moment, group: usize) -> bool {
        let heartbeat = |node: usize| {
            self.peers.get(node).is_some_and(|peer| peer.state == NodeState::Active && !peer.is_evenkeel())
        };
        if self.plan.failback != Failback::Legacy || !self.plan.others().any(heartbeat) {
            return false;
        }
        self.ask_for(at.now, group)
    }

    /// Asks once; true while the answer may still come.
    fn ask_for(&mut self, now: Instant, group: usize) -> bool {
        let Some(own) = self.own.get_mut(group) else { return false };
        let asked = own.asked.is_some();
        let since = *own.asked.get_or_insert(now);
        if !asked {
            self.say_request(group);
        }
        now < since + PATIENCE
    }

    /// By the old protocol this node wants its own groups from an evenkeel too.
    pub(crate) fn claim_own(&mut self, at: Moment) {
        if self.plan.failback != Failback::Legacy || !self.ready {
            return;
        }
        for group in 0..self.own.len() {
            let failed = self.own.get(group).is_none_or(|own| own.failed);
            let other = self.plan.others().find(|node| self.has(*node, group));
            if other.is_some() && !failed && !self.wants(group) && self.plan.prefers(group, self.plan.me) {
                self.ask_for(at.now, group);
            }
        }
    }

    /// Another node wants this group.
    pub(crate) fn hear_request(&mut self, node: usize, message: &Message) {
        let Some(group) = message.text("ipaddr").and_then(|key| self.plan.group(key)) else { return };
        if self.plan.failback != Failback::Legacy {
            return;
        }
        let Some(own) = self.own.get_mut(group) else { return };
        own.asker = Some(node);
        if !own.wanted && !own.runs() {
            own.asker = None;
            return self.say_response(group, node, false);
        }
        self.release(group, Why::Given);
    }

    /// Says that a group is given, once it is stopped.
    pub(crate) fn answer_legacy(&mut self) {
        for group in 0..self.own.len() {
            let Some(own) = self.own.get_mut(group).filter(|own| !own.wanted && !own.runs()) else { continue };
            if let Some(node) = own.asker.take() {
                self.say_response(group, node, true);
            }
        }
    }

    /// A node has given it.
    pub(crate) fn hear_response(&mut self, at: Moment, node: usize, message: &Message) {
        let Some(group) = message.text("ipaddr").and_then(|key| self.plan.group(key)) else { return };
        let me = self.plan.name(self.plan.me);
        let asked = self.own.get(group).is_some_and(|own| own.asked.is_some());
        if message.text("dest") == Some(me) && message.text("ok") == Some("OK") && asked && self.joined {
            if let Some(peer) = self.peers.get_mut(node) {
                peer.hold = Share::Local;
            }
            self.claim(at.wall, group, Why::Given);
        }
    }
}

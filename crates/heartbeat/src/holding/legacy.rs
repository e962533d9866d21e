//! `auto_failback legacy` (HB-35): a node that comes up asks for each of its own groups by name, and whoever has it gives it.
//! Nobody says what it has, and there is no standby.

use super::{Holding, Moment, PATIENCE, Peer};
use crate::{Message, NodeState, Why};
use evenkeel_machine::Instant;

impl Holding {
    /// Whether a node goes by the old protocol as a heartbeat, which never says what it has: as long as it is active, what
    /// prefers it.
    pub(crate) fn is_silent(&self, node: usize) -> bool {
        let silent = |peer: &Peer| peer.state == NodeState::Active && !peer.is_evenkeel();
        !self.is_nice() && self.peers.get(node).is_some_and(silent)
    }

    /// Whether a group has to be asked for before it is taken; asks.
    pub(crate) fn asks_first(&mut self, at: Moment, group: usize) -> bool {
        let silent = self.plan.others().any(|node| self.is_silent(node));
        if silent && self.ready {
            self.ask_for(at.now, group);
        }
        silent
    }

    /// Asks, and again when no answer has come. Nothing is taken without one: to stop may take that node long.
    fn ask_for(&mut self, now: Instant, group: usize) {
        let Some(own) = self.own.get_mut(group) else { return };
        if own.asked.is_none_or(|asked| now >= asked + PATIENCE) {
            own.asked = Some(now);
            self.say_request(group);
        }
    }

    /// By the old protocol this node wants its own groups from an evenkeel too.
    pub(crate) fn claim_own(&mut self, at: Moment) {
        if self.is_nice() || !self.ready {
            return;
        }
        for group in 0..self.own.len() {
            // One that began anew does not always ask: it has its own, or takes it now.
            if self.plan.others().any(|node| self.is_silent(node) && self.plan.prefers(group, node)) {
                self.release(group, Why::Given);
            }
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
        if self.is_nice() {
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
                self.trust(node, group);
                self.say_response(group, node, true);
            }
        }
    }

    /// A node has given it.
    pub(crate) fn hear_response(&mut self, at: Moment, message: &Message) {
        let Some(group) = message.text("ipaddr").and_then(|key| self.plan.group(key)) else { return };
        let me = self.plan.name(self.plan.me);
        let asked = self.own.get(group).is_some_and(|own| own.asked.is_some());
        if message.text("dest") == Some(me) && message.text("ok") == Some("OK") && asked && self.joined {
            self.claim(at.wall, group, Why::Given);
        }
    }
}

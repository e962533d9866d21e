//! What others say of their groups.

use super::{Holding, Moment, Stage};
use crate::{Message, News, NodeState, Share, extension::Extension};
use evenkeel_machine::Instant;

impl Holding {
    /// A message about groups.
    pub(crate) fn hear(&mut self, at: Moment, node: usize, message: &Message) {
        match message.kind() {
            "starting" => self.hear_starting(node),
            "resource" => self.hear_resource(node, message),
            // More than two hand nothing over in words.
            "ask_resources" if self.plan.is_many() => {}
            "ask_resources" => self.hear_ask(at, node, message),
            "hb_takeover" if self.plan.is_many() => self.hear_wish(node, message),
            "hb_takeover" => self.hear_takeover(at, node, message),
            "ip-request" => self.hear_request(node, message),
            "ip-request-resp" => self.hear_response(at, message),
            _ => {}
        }
    }

    /// It wants to know what this node has.
    fn hear_starting(&mut self, node: usize) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.starting = true;
            peer.offered = None;
            peer.spoke = false;
            peer.stable = false;
            peer.leaving = false;
            peer.hold = Share::None;
        }
        match self.stage {
            Stage::Starting { .. } => self.say_held(Share::None, false, None),
            Stage::Stable => self.say_held(self.hold(), self.handover.is_none(), None),
            Stage::Waiting | Stage::Leaving | Stage::Left(_) | Stage::Over => {}
        }
    }

    /// It says what it has. Without `rtype=full` it only tells that a script has ended.
    fn hear_resource(&mut self, node: usize, message: &Message) {
        let Some(hold) = message.text("rsc_hold").and_then(Share::parse) else { return };
        if message.text("rtype") != Some("full") {
            return;
        }
        let stable = message.text("isstable") == Some("1");
        let Some(peer) = self.peers.get_mut(node) else { return };
        let news = stable && !peer.stable;
        peer.stable = stable;
        match message.text("info") {
            Some("shutdown") => peer.leaving = true,
            // It still stops what it gives.
            Some("standby") => {}
            Some(_) | None => peer.hold = hold,
        }
        if !stable {
            return;
        }
        self.hear_idle(node);
        let Some(peer) = self.peers.get_mut(node) else { return };
        // After a partition old words may come late; it is asked before it is believed. Before its first status it is not
        // known what it is.
        let believed = peer.state == NodeState::Active && peer.returned.is_none() && !peer.is_evenkeel();
        peer.spoke = true;
        if believed && self.stage == Stage::Stable {
            self.yield_to(node, hold);
        }
        if news && self.is_stable() {
            self.say_held(self.hold(), true, None);
        }
        if news {
            self.tell(News::Stable { node, stable });
        }
    }

    /// What an evenkeel tells in a status; `None`: it is a heartbeat.
    pub(crate) fn hear_extension(&mut self, now: Instant, node: usize, generation: u64, told: Option<Extension>) {
        let asks = self.plan.asks();
        let Some(peer) = self.peers.get_mut(node) else { return };
        peer.generation = generation;
        if let Some(told) = &told {
            if peer.returned.take().is_some() {
                peer.doubted.extend(0..self.own.len());
            }
            peer.pings = (told.asks == asks).then_some(told.pings);
        }
        let idle = told.as_ref().is_some_and(|told| !told.busy);
        peer.told = told.is_some().then_some(now);
        peer.extension = told;
        if idle {
            self.hear_idle(node);
        }
    }

    /// How many ping nodes a heartbeat with ipfail says it reaches.
    pub(crate) fn hear_pings(&mut self, node: usize, count: usize) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.pings = Some(count);
        }
    }
}

//! Who is alive (HB-20 to HB-23): nodes by their statuses and their own dead time, links by whatever is heard on them, ping nodes by their
//! answers.

mod peer;
mod ping;

use crate::{NodeState, plan::Plan};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Change;
use peer::Peer;
use ping::Pinged;
use std::{sync::Arc, time::Duration};

/// The least lateness of this node's own timer that is not the machine's everyday noise.
pub(crate) const LATE: Duration = Duration::from_millis(5);

/// How often a death is put off in a row because this node itself was late.
const LATE_BOUND: u8 = 3;

/// What has happened to a node, a link or a ping node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// Its state has changed.
    State { node: usize, state: NodeState },
    /// It was dead, has not restarted, and is heard.
    Returned { node: usize },
    /// It began anew.
    Restarted { node: usize },
    /// A status was late.
    Late { node: usize, silent: Duration },
    /// A death was put off.
    SelfLate { by: Duration },
    /// A link turned.
    Link { node: usize, medium: usize, up: bool },
    /// A ping node turned, or this is the first that is known of it.
    Ping { ping: usize, up: bool, first: bool },
}

/// All nodes and ping nodes as this one hears them.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    plan: Arc<Plan>,
    peers: Vec<Peer>,
    pings: Vec<Pinged>,
}

impl Membership {
    /// Nobody was heard yet.
    pub(crate) fn new(plan: &Arc<Plan>, now: Instant) -> Membership {
        let timing = plan.timing;
        let peer = Peer::new(now + timing.initdead, timing.deadtime, plan.serial.len());
        Membership {
            plan: Arc::clone(plan),
            peers: vec![peer; plan.names.len()],
            pings: vec![Pinged::new(now + timing.deadping); plan.pings.len()],
        }
    }

    /// Goes on with another plan.
    pub(crate) fn configure(&mut self, now: Instant, plan: &Arc<Plan>, change: &Change) {
        self.plan = Arc::clone(plan);
        for peer in &mut self.peers {
            peer.rewire(&change.media);
        }
        let before = std::mem::take(&mut self.pings);
        let known = |place: &Option<usize>| place.and_then(|place| before.get(place)).cloned();
        let new = || Pinged::new(now + plan.timing.deadping);
        self.pings = change.pings.iter().map(|place| known(place).unwrap_or_else(new)).collect();
    }

    /// The state of a node.
    pub(crate) fn state(&self, node: usize) -> NodeState {
        self.peers.get(node).map_or(NodeState::Unknown, Peer::state)
    }

    /// When a node was heard last.
    pub(crate) fn heard_at(&self, node: usize) -> Option<Instant> {
        self.peers.get(node).and_then(Peer::heard_at)
    }

    /// On which media a node is heard.
    pub(crate) fn links(&self, node: usize) -> Vec<bool> {
        self.peers.get(node).map(Peer::links).unwrap_or_default()
    }

    /// Whether each ping node answers; `None` where that is not known yet.
    pub(crate) fn pings(&self) -> Vec<Option<bool>> {
        self.pings.iter().map(Pinged::up).collect()
    }

    /// How many ping nodes answer.
    pub(crate) fn reached(&self) -> usize {
        self.pings.iter().filter(|ping| ping.up() == Some(true)).count()
    }

    /// Whether of every other node it is known whether it lives.
    pub(crate) fn is_complete(&self) -> bool {
        self.plan.others().all(|node| self.state(node) != NodeState::Unknown)
    }

    /// The first other node that lives.
    pub(crate) fn first_alive(&self) -> Option<usize> {
        self.plan.others().find(|node| self.state(*node).lives())
    }

    /// Something authentic came in on a medium.
    pub(crate) fn heard(&mut self, now: Instant, node: usize, medium: usize, told: &mut Vec<Happened>) {
        if self.peers.get_mut(node).is_some_and(|peer| peer.hear_link(now, medium)) {
            told.push(Happened::Link { node, medium, up: true });
        }
    }

    /// A node began anew.
    pub(crate) fn restarted(&mut self, now: Instant, node: usize, told: &mut Vec<Happened>) {
        let dead_at = now + self.plan.timing.initdead;
        if let Some(peer) = self.peers.get_mut(node) {
            peer.restart(dead_at);
            told.push(Happened::Restarted { node });
        }
    }

    /// A status that is new.
    pub(crate) fn status(
        &mut self,
        now: Instant,
        node: usize,
        state: NodeState,
        dead_after: Option<Duration>,
        told: &mut Vec<Happened>,
    ) {
        let warntime = self.plan.timing.warntime;
        let Some(peer) = self.peers.get_mut(node) else { return };
        // One that has left goes on for a while as if nothing were.
        if peer.state() == NodeState::Left {
            return;
        }
        let silent = peer.heard_at().filter(|_| peer.state().lives()).map(|heard| now - heard);
        if let Some(silent) = silent.filter(|silent| *silent > warntime) {
            told.push(Happened::Late { node, silent });
        }
        if peer.state() == NodeState::Dead {
            told.push(Happened::Returned { node });
        }
        if peer.hear_status(now, state, dead_after) {
            told.push(Happened::State { node, state });
        }
    }

    /// Others know that a node is gone which was not heard here.
    pub(crate) fn give_up(&mut self, node: usize, told: &mut Vec<Happened>) {
        let unheard = |peer: &&mut Peer| peer.state() == NodeState::Unknown && !peer.links().contains(&true);
        if let Some(peer) = self.peers.get_mut(node).filter(unheard) {
            peer.turn(NodeState::Dead);
            told.push(Happened::State { node, state: NodeState::Dead });
        }
    }

    /// A node says that it has left.
    pub(crate) fn left(&mut self, node: usize, told: &mut Vec<Happened>) {
        let Some(peer) = self.peers.get_mut(node).filter(|peer| peer.state() != NodeState::Left) else { return };
        peer.turn(NodeState::Left);
        told.push(Happened::State { node, state: NodeState::Left });
    }

    /// A ping node has answered.
    pub(crate) fn answered(&mut self, now: Instant, ping: usize, told: &mut Vec<Happened>) {
        let deadping = self.plan.timing.deadping;
        let Some(pinged) = self.pings.get_mut(ping) else { return };
        let first = pinged.up().is_none();
        if pinged.hear(now + deadping) {
            told.push(Happened::Ping { ping, up: true, first });
        }
    }

    /// This node did not run for so long that nothing it knows of others is true any more. Each is listened for anew.
    pub(crate) fn forget(&mut self, now: Instant) {
        let timing = self.plan.timing;
        for peer in &mut self.peers {
            peer.forget(now + timing.deadtime);
        }
        for ping in &mut self.pings {
            ping.expect(now + timing.deadping);
        }
    }

    /// What has become due.
    pub(crate) fn tick(&mut self, now: Instant, told: &mut Vec<Happened>) {
        let noise = LATE.max(self.plan.timing.keepalive / 2);
        for node in self.plan.others() {
            let Some(peer) = self.peers.get_mut(node) else { continue };
            if let Some(due) = peer.dead_at().filter(|due| now >= *due) {
                // Packets may wait behind whatever kept this node: it listens a little longer.
                if now - due > noise && peer.put_off(now + self.plan.timing.keepalive, LATE_BOUND) {
                    told.push(Happened::SelfLate { by: now - due });
                } else {
                    peer.turn(NodeState::Dead);
                    told.push(Happened::State { node, state: NodeState::Dead });
                }
            }
            for medium in peer.silent_links(now) {
                told.push(Happened::Link { node, medium, up: false });
            }
        }
        for (ping, pinged) in self.pings.iter_mut().enumerate() {
            let first = pinged.up().is_none();
            if pinged.fall(now) {
                told.push(Happened::Ping { ping, up: false, first });
            }
        }
    }

    /// When [`Membership::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let nodes = self.plan.others().filter_map(|node| self.peers.get(node)).filter_map(Peer::deadline);
        nodes.chain(self.pings.iter().filter_map(Pinged::deadline)).min()
    }
}

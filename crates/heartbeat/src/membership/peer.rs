//! One node as it is heard.

use crate::NodeState;
use evenkeel_machine::Instant;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    state: NodeState,
    heard: Option<Instant>,
    /// When it is dead unless it is heard.
    dead_at: Instant,
    /// After how much silence, as it says itself.
    dead_after: Duration,
    put_off: u8,
    /// When it was last heard on each medium, while the link is up.
    links: Vec<Option<Instant>>,
}

impl Peer {
    pub(crate) fn new(dead_at: Instant, dead_after: Duration, media: usize) -> Peer {
        Peer { state: NodeState::Unknown, heard: None, dead_at, dead_after, put_off: 0, links: vec![None; media] }
    }

    pub(crate) fn state(&self) -> NodeState {
        self.state
    }

    pub(crate) fn heard_at(&self) -> Option<Instant> {
        self.heard
    }

    pub(crate) fn links(&self) -> Vec<bool> {
        self.links.iter().map(Option::is_some).collect()
    }

    /// It began anew.
    pub(crate) fn restart(&mut self, dead_at: Instant) {
        self.state = NodeState::Unknown;
        self.heard = None;
        self.dead_at = dead_at;
        self.put_off = 0;
    }

    /// Media have other places; `before` is where each was.
    pub(crate) fn rewire(&mut self, before: &[Option<usize>]) {
        let link = |place: &Option<usize>| place.and_then(|place| self.links.get(place).copied().flatten());
        self.links = before.iter().map(link).collect();
    }

    /// Says whether the link has come up.
    pub(crate) fn hear_link(&mut self, now: Instant, medium: usize) -> bool {
        self.links.get_mut(medium).is_some_and(|link| link.replace(now).is_none())
    }

    /// Says whether its state has changed.
    pub(crate) fn hear_status(&mut self, now: Instant, state: NodeState, dead_after: Option<Duration>) -> bool {
        self.dead_after = dead_after.unwrap_or(self.dead_after);
        self.heard = Some(now);
        self.dead_at = now + self.dead_after;
        self.put_off = 0;
        std::mem::replace(&mut self.state, state) != state
    }

    pub(crate) fn turn(&mut self, state: NodeState) {
        self.state = state;
        self.put_off = 0;
    }

    /// Says whether it may be put off once more.
    pub(crate) fn put_off(&mut self, until: Instant, bound: u8) -> bool {
        let may = self.put_off < bound;
        if may {
            self.put_off += 1;
            self.dead_at = until;
        }
        may
    }

    pub(crate) fn forget(&mut self, dead_at: Instant) {
        self.state = NodeState::Unknown;
        self.dead_at = dead_at;
        self.put_off = 0;
    }

    /// When it is dead unless it is heard.
    pub(crate) fn dead_at(&self) -> Option<Instant> {
        match self.state {
            NodeState::Unknown | NodeState::Up | NodeState::Active => Some(self.dead_at),
            NodeState::Dead | NodeState::Left => None,
        }
    }

    /// The links that fall, which are down from now on.
    pub(crate) fn silent_links(&mut self, now: Instant) -> Vec<usize> {
        let after = self.dead_after;
        let gone = |link: &mut Option<Instant>| link.take_if(|heard| now >= *heard + after).is_some();
        self.links.iter_mut().enumerate().filter_map(|(medium, link)| gone(link).then_some(medium)).collect()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let links = self.links.iter().flatten().map(|heard| *heard + self.dead_after);
        links.chain(self.dead_at()).min()
    }
}

//! `lblc` and `lblcr` (PP-31): what comes for one destination address stays together as long as the load allows it.

use super::{
    Loaded,
    least::{is_less, wlc},
};
use evenkeel_abi::locality::SET;

/// Whether a real server has more active connections than its weight while another usable one has fewer than half of its own.
pub fn is_crowded(servers: &[Loaded], place: usize) -> bool {
    let half_idle = |server: &Loaded| server.is_usable() && u64::from(server.active) * 2 < u64::from(server.weight);
    let Some(server) = servers.get(place) else { return false };
    server.active > server.weight && servers.iter().any(half_idle)
}

/// `lblc`: the real server of a destination, which is remembered; `remembered` is the one it has, if that is there still.
pub fn lblc(servers: &[Loaded], remembered: Option<usize>) -> Option<usize> {
    let stays = |place: &usize| servers.get(*place).is_some_and(Loaded::is_usable) && !is_crowded(servers, *place);
    remembered.filter(stays).or_else(|| wlc(servers))
}

/// The real servers of one destination of `lblcr`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set<T> {
    /// Who joined last is last.
    pub members: Vec<T>,
    /// When somebody joined or left last.
    pub changed: u64,
}

impl<T: Copy + PartialEq> Set<T> {
    /// Who serves the next connection; the set follows. `servers` are the service's, newest first; members that are not
    /// among them are gone.
    pub fn choose(&mut self, servers: &[(T, Loaded)], now: u64, timeout: u64) -> Option<T> {
        let loads: Vec<Loaded> = servers.iter().map(|(_, loaded)| *loaded).collect();
        let of = |member: &T| servers.iter().position(|(server, _)| server == member);
        let liked = self.liked(servers);
        if self.members.len() > 1 && now.saturating_sub(self.changed) > timeout {
            self.shed(servers);
            self.changed = now;
        }
        if let Some(liked) = liked
            && of(&liked).is_some_and(|place| !is_crowded(&loads, place))
        {
            return Some(liked);
        }
        let chosen = servers[wlc(&loads)?].0;
        if !self.members.contains(&chosen) {
            if self.members.len() == SET {
                self.members.remove(0);
            }
            self.members.push(chosen);
            self.changed = now;
        }
        Some(chosen)
    }

    /// The members that are there still, the last that joined first.
    fn walk(&self, servers: &[(T, Loaded)]) -> impl Iterator<Item = (usize, Option<Loaded>)> {
        let loaded = |member: &T| servers.iter().find(|(server, _)| server == member).map(|(_, loaded)| *loaded);
        self.members.iter().enumerate().rev().map(move |(place, member)| (place, loaded(member)))
    }

    /// The usable member that wlc's rule likes best.
    fn liked(&self, servers: &[(T, Loaded)]) -> Option<T> {
        let mut best: Option<(usize, Loaded)> = None;
        let present = self.walk(servers).filter_map(|(place, loaded)| Some((place, loaded?)));
        for (place, loaded) in present.filter(|(_, loaded)| loaded.is_usable()) {
            let less = |b: Loaded| is_less(loaded.overhead(), loaded.weight, b.overhead(), b.weight);
            if best.is_none_or(|(_, b)| less(b)) {
                best = Some((place, loaded));
            }
        }
        best.map(|(place, _)| self.members[place])
    }

    /// Takes out the first member that takes no new connections or, where there is none, the one that wlc's rule likes least.
    fn shed(&mut self, servers: &[(T, Loaded)]) {
        let idle = self.walk(servers).find(|(_, loaded)| loaded.is_none_or(|loaded| loaded.weight == 0));
        let mut worst: Option<(usize, Loaded)> = None;
        for (place, loaded) in self.walk(servers).filter_map(|(place, loaded)| Some((place, loaded?))) {
            let more = |w: Loaded| is_less(w.overhead(), w.weight, loaded.overhead(), loaded.weight);
            if worst.is_none_or(|(_, w)| more(w)) {
                worst = Some((place, loaded));
            }
        }
        let leaves = idle.map(|(place, _)| place).or(worst.map(|(place, _)| place));
        if let Some(place) = leaves {
            self.members.remove(place);
        }
    }
}

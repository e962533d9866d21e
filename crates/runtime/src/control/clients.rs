//! Who is connected, who has been idle longest, and how much waits to be read.

use super::Limits;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::AbortHandle;

/// Names a client for as long as the daemon runs.
pub(super) type ClientId = u64;

/// All clients. Small enough to be asked at every step of every client.
pub(super) struct Clients {
    limits: Limits,
    next: u64,
    clients: BTreeMap<ClientId, Entry>,
    /// By when they became idle, longest first.
    idle: BTreeSet<(u64, ClientId)>,
    /// By when their reply was handed out, oldest first.
    reading: BTreeSet<(u64, ClientId)>,
    owed: usize,
    joined: usize,
}

#[derive(Default)]
struct Entry {
    task: Option<AbortHandle>,
    idle_since: Option<u64>,
    owed: usize,
    /// Bytes of edits it has sent and will go on with.
    joined: usize,
    reading_since: Option<u64>,
}

impl Clients {
    pub(super) fn new(limits: Limits) -> Clients {
        Clients {
            limits,
            next: 0,
            clients: BTreeMap::new(),
            idle: BTreeSet::new(),
            reading: BTreeSet::new(),
            owed: 0,
            joined: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A new client. Where there is no room, the one that has been idle longest goes; where none is idle, the one that
    /// has been reading longest.
    pub(super) fn admit(&mut self) -> ClientId {
        if self.clients.len() >= self.limits.clients && !self.evict_idle() {
            self.evict_reader(None);
        }
        let id = self.tick();
        self.clients.insert(id, Entry::default());
        id
    }

    pub(super) fn started(&mut self, id: ClientId, task: AbortHandle) {
        match self.clients.get_mut(&id) {
            Some(entry) => entry.task = Some(task),
            // Evicted before it was told of.
            None => task.abort(),
        }
    }

    pub(super) fn idle(&mut self, id: ClientId) {
        let now = self.tick();
        if let Some(entry) = self.clients.get_mut(&id) {
            entry.idle_since = Some(now);
            self.idle.insert((now, id));
        }
    }

    pub(super) fn busy(&mut self, id: ClientId) {
        if let Some(entry) = self.clients.get_mut(&id)
            && let Some(since) = entry.idle_since.take()
        {
            self.idle.remove(&(since, id));
        }
    }

    /// `bytes` wait for this client to read them. When all replies together are above the limit, clients that have been
    /// reading longest are closed.
    pub(super) fn owes(&mut self, id: ClientId, bytes: usize) {
        let now = self.tick();
        let Some(entry) = self.clients.get_mut(&id) else { return };
        self.owed = self.owed - entry.owed + bytes;
        entry.owed = bytes;
        if let Some(since) = entry.reading_since.take() {
            self.reading.remove(&(since, id));
        }
        if bytes > 0 {
            entry.reading_since = Some(now);
            self.reading.insert((now, id));
        }
        while self.owed > self.limits.reply_bytes && self.evict_reader(Some(id)) {}
    }

    /// A client has sent `bytes` more of edits that it will go on with; false where there is no room for them.
    pub(super) fn joins(&mut self, id: ClientId, bytes: usize) -> bool {
        let Some(entry) = self.clients.get_mut(&id).filter(|_| self.joined + bytes <= self.limits.joined_bytes) else {
            return false;
        };
        entry.joined += bytes;
        self.joined += bytes;
        true
    }

    /// Its edits wait no more.
    pub(super) fn parts(&mut self, id: ClientId) {
        if let Some(entry) = self.clients.get_mut(&id) {
            self.joined -= std::mem::take(&mut entry.joined);
        }
    }

    /// Forgets a client that has gone.
    pub(super) fn left(&mut self, id: ClientId) {
        self.remove(id);
    }

    /// Closes the client that has been idle longest; false when none is idle.
    pub(super) fn evict_idle(&mut self) -> bool {
        let Some((_, id)) = self.idle.first().copied() else { return false };
        self.close(id);
        true
    }

    fn evict_reader(&mut self, spare: Option<ClientId>) -> bool {
        let Some((_, id)) = self.reading.iter().find(|(_, id)| Some(*id) != spare).copied() else { return false };
        self.close(id);
        true
    }

    fn close(&mut self, id: ClientId) {
        if let Some(task) = self.remove(id) {
            task.abort();
        }
    }

    fn remove(&mut self, id: ClientId) -> Option<AbortHandle> {
        let entry = self.clients.remove(&id)?;
        self.owed -= entry.owed;
        self.joined -= entry.joined;
        if let Some(since) = entry.idle_since {
            self.idle.remove(&(since, id));
        }
        if let Some(since) = entry.reading_since {
            self.reading.remove(&(since, id));
        }
        entry.task
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(limit: usize, bytes: usize) -> Clients {
        Clients::new(Limits { clients: limit, reply_bytes: bytes, ..Limits::default() })
    }

    #[test]
    fn the_client_idle_longest_makes_place() {
        let mut all = clients(2, 100);
        let (a, b) = (all.admit(), all.admit());
        all.idle(a);
        all.idle(b);
        all.busy(a);
        all.idle(a);
        let c = all.admit();
        assert!(all.clients.contains_key(&a) && all.clients.contains_key(&c));
        assert!(!all.clients.contains_key(&b));
    }

    #[test]
    fn the_client_reading_longest_goes_when_replies_take_too_much() {
        let mut all = clients(10, 100);
        let (a, b) = (all.admit(), all.admit());
        all.owes(a, 60);
        all.owes(b, 60);
        assert!(!all.clients.contains_key(&a));
        assert!(all.clients.contains_key(&b));
        assert_eq!(all.owed, 60);
        all.owes(b, 0);
        assert_eq!(all.owed, 0);
    }

    #[test]
    fn edits_that_wait_for_the_rest_have_a_bound_over_all_clients() {
        let mut all = Clients::new(Limits { joined_bytes: 100, ..Limits::default() });
        let (a, b) = (all.admit(), all.admit());
        assert!(all.joins(a, 60));
        assert!(!all.joins(b, 60));
        assert!(all.joins(b, 40));
        all.parts(a);
        assert!(all.joins(b, 60));
        all.left(b);
        assert_eq!(all.joined, 0);
    }

    #[test]
    fn one_reply_above_the_limit_is_still_sent() {
        let mut all = clients(10, 100);
        let a = all.admit();
        all.owes(a, 500);
        assert!(all.clients.contains_key(&a));
    }
}

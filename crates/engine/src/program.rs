//! The way to the data plane: what is in force there, the batch that is open, what was refused, and the effects that
//! wait until what they tell is true.

use crate::{Effect, ProgramFailure};
use evenkeel_api::{Event, Refusal, RefusalCode, Reply};
use evenkeel_dataplane::{self as dataplane, Change, ServiceOptions, Table};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::{ServiceKey, Weight};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// Tries for one service before it waits for the next cause (a reload, a change of its real servers).
pub(crate) const TRIES: u32 = 12;

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Refusals in a row after which the data plane as a whole is taken to be at fault, and all wait.
const REFUSALS_IN_A_ROW: u32 = 16;

/// Effects that wait for a refused service at the most; the oldest events beyond it are forgotten.
const HELD: usize = 10_000;

/// What an effect waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The first try, whatever came of it.
    Try,
    /// The changes to one service.
    Service(ServiceKey),
    /// All changes.
    All,
}

/// What a service should be in the table: options, and real servers in the order to add them.
pub(crate) type Wanted = Option<(ServiceOptions, Vec<(SocketAddr, dataplane::RealServer)>)>;

#[derive(Debug)]
struct Held {
    number: u64,
    after: After,
    effect: Effect,
}

#[derive(Debug)]
struct Open {
    batch: u64,
    changes: Vec<Change>,
    /// Effects with smaller numbers wait for this batch, later ones for another.
    held_below: u64,
}

#[derive(Clone, Debug)]
struct Stuck {
    tries: u32,
    since: Instant,
    /// `None`: not again by itself.
    again_at: Option<Instant>,
    why: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Program {
    in_force: Table,
    dirty: BTreeSet<ServiceKey>,
    stuck: BTreeMap<ServiceKey, Stuck>,
    refused_in_a_row: u32,
    open: Option<Open>,
    batches: u64,
    held: VecDeque<Held>,
    numbers: u64,
    released: Vec<(After, Effect)>,
    /// The node ends, and only these services still matter.
    limit: Option<BTreeSet<ServiceKey>>,
}

impl Program {
    /// What the data plane holds, as far as is known.
    pub(crate) fn in_force(&self) -> &Table {
        &self.in_force
    }

    /// Whether a batch is on its way.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes what was read from the data plane as the truth. All that differs from what was believed, and all that
    /// `wanted` does not hold, is looked at again. Returns how many services differ.
    pub(crate) fn observed(&mut self, table: Table) -> usize {
        let differs = |key: &&ServiceKey| self.in_force.services.get(*key) != table.services.get(*key);
        let keys = self.in_force.services.keys().chain(table.services.keys());
        let differing: BTreeSet<ServiceKey> = keys.filter(differs).copied().collect();
        let count = differing.len();
        self.dirty.extend(differing);
        self.in_force = table;
        count
    }

    /// The service may have to be changed.
    pub(crate) fn touch(&mut self, key: ServiceKey) {
        self.dirty.insert(key);
    }

    /// Everything refused before may be tried again now.
    pub(crate) fn forgive(&mut self) {
        self.dirty.extend(self.stuck.keys().copied());
        for stuck in self.stuck.values_mut() {
            stuck.again_at = None;
            stuck.tries = 0;
        }
        self.refused_in_a_row = 0;
    }

    /// Keeps `effect` until what it tells is true.
    pub(crate) fn hold(&mut self, after: After, effect: Effect) {
        self.held.push_back(Held { number: self.numbers, after, effect });
        self.numbers += 1;
    }

    /// Sends the next batch if there is something to change and none is open; returns how many changes it has. With
    /// nothing to change, what was held and is true is let go.
    pub(crate) fn flush(
        &mut self,
        now: Instant,
        wanted: impl Fn(&ServiceKey) -> Wanted,
        out: &mut Outbox<Effect>,
    ) -> usize {
        if self.open.is_some() {
            return 0;
        }
        let waits = |key: &ServiceKey, stuck: &BTreeMap<ServiceKey, Stuck>| {
            stuck.get(key).is_some_and(|stuck| stuck.again_at.is_some_and(|at| at > now))
        };
        let (mut changes, mut removals) = (Vec::new(), Vec::new());
        let since = self.stuck.values().map(|stuck| stuck.since).min();
        for key in std::mem::take(&mut self.dirty) {
            let beyond = self.limit.as_ref().is_some_and(|limit| !limit.contains(&key));
            if beyond || waits(&key, &self.stuck) {
                continue;
            }
            let before = changes.len() + removals.len();
            difference(key, self.in_force.services.get(&key), wanted(&key), &mut changes, &mut removals);
            if changes.len() + removals.len() == before {
                self.stuck.remove(&key);
            }
        }
        changes.append(&mut removals);
        self.tell_recovered(now, since, out);
        if changes.is_empty() {
            self.let_go(self.numbers);
            return 0;
        }
        self.batches += 1;
        let count = changes.len();
        out.push(Effect::Program { batch: self.batches, changes: changes.clone() });
        self.open = Some(Open { batch: self.batches, changes, held_below: self.numbers });
        count
    }

    /// Sends a batch that is not what `flush` would send; its outcome is for [`Program::sent`].
    pub(crate) fn send(&mut self, changes: &[Change], out: &mut Outbox<Effect>) -> u64 {
        let batch = self.open_other();
        out.push(Effect::Program { batch, changes: changes.to_vec() });
        batch
    }

    /// Keeps other batches from being sent until [`Program::sent`].
    pub(crate) fn open_other(&mut self) -> u64 {
        self.batches += 1;
        self.open = Some(Open { batch: self.batches, changes: Vec::new(), held_below: 0 });
        self.batches
    }

    /// These changes of the other batch are in force.
    pub(crate) fn sent(&mut self, applied: impl Iterator<Item = Change>) {
        self.open = None;
        applied.for_each(|change| enforce(&mut self.in_force, change));
    }

    /// Why the data plane refuses this service at present.
    pub(crate) fn complaint(&self, key: &ServiceKey) -> Option<&str> {
        self.stuck.get(key).map(|stuck| stuck.why.as_str())
    }

    /// Takes the outcome of the open batch. What came after a refused change is to be done again by the next flush.
    pub(crate) fn outcome(
        &mut self,
        now: Instant,
        batch: u64,
        outcome: Result<(), ProgramFailure>,
        out: &mut Outbox<Effect>,
    ) {
        let Some(open) = self.open.take_if(|open| open.batch == batch) else { return };
        let applied = outcome.as_ref().err().map_or(open.changes.len(), |failure| failure.applied);
        let mut changes = open.changes.into_iter();
        let mut done = BTreeSet::new();
        for change in changes.by_ref().take(applied) {
            done.insert(*change.service());
            enforce(&mut self.in_force, change);
        }
        let refused = changes.next();
        for key in changes.map(|change| *change.service()) {
            done.remove(&key);
            self.dirty.insert(key);
        }
        match (outcome, refused) {
            (Err(failure), Some(change)) => {
                done.remove(change.service());
                self.dirty.remove(change.service());
                self.refused(now, &change, failure.why, out);
                self.recover(now, &done, out);
            }
            (Err(_), None) | (Ok(()), _) => {
                self.refused_in_a_row = 0;
                self.recover(now, &done, out);
                self.let_go(open.held_below);
            }
        }
    }

    fn refused(&mut self, now: Instant, change: &Change, why: String, out: &mut Outbox<Effect>) {
        self.refused_in_a_row += 1;
        let key = *change.service();
        let again = self.stick(now, key, &why);
        if self.refused_in_a_row >= REFUSALS_IN_A_ROW {
            for key in std::mem::take(&mut self.dirty) {
                self.stick(now, key, &why);
            }
            self.refused_in_a_row = 0;
        }
        let change = crate::words::change(change);
        let retry_s = again.map(|wait| wait.as_secs());
        out.push(Effect::Event(Event::ProgramFailed { change: change.clone(), why: why.clone(), retry_s }));
        let held = std::mem::take(&mut self.held);
        for item in held {
            let concerned = item.after == After::All || item.after == After::Service(key);
            match (item.effect, concerned) {
                (Effect::Reply { token, .. }, true) => {
                    out.push(Effect::Reply { token, reply: sorry(&change, &why, retry_s) })
                }
                (effect, true | false) => self.held.push_back(Held { effect, ..item }),
            }
        }
    }

    fn stick(&mut self, now: Instant, key: ServiceKey, why: &str) -> Option<Duration> {
        let fresh = Stuck { tries: 0, since: now, again_at: None, why: String::new() };
        let stuck = self.stuck.entry(key).or_insert(fresh);
        stuck.tries += 1;
        why.clone_into(&mut stuck.why);
        let wait = Duration::from_secs(1 << (stuck.tries - 1).min(6)).min(LONGEST_WAIT);
        let again = (stuck.tries < TRIES).then_some(wait);
        stuck.again_at = again.map(|wait| now + wait);
        again
    }

    fn recover(&mut self, now: Instant, done: &BTreeSet<ServiceKey>, out: &mut Outbox<Effect>) {
        let Some(since) = self.stuck.values().map(|stuck| stuck.since).min() else { return };
        self.stuck.retain(|key, _| !done.contains(key));
        self.tell_recovered(now, Some(since), out);
    }

    fn tell_recovered(&self, now: Instant, since: Option<Instant>, out: &mut Outbox<Effect>) {
        if let Some(since) = since.filter(|_| self.stuck.is_empty()) {
            out.push(Effect::Event(Event::ProgramRecovered { after_s: (now - since).as_secs() }));
        }
    }

    fn let_go(&mut self, below: u64) {
        if self.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        for item in held {
            let waits = match item.after {
                After::Try => false,
                After::Service(key) => self.stuck.get(&key).is_some_and(|stuck| stuck.again_at.is_some()),
                After::All => self.stuck.values().any(|stuck| stuck.again_at.is_some()),
            };
            if waits || item.number >= below {
                self.held.push_back(item);
            } else {
                self.released.push((item.after, item.effect));
            }
        }
        while self.held.len() > HELD && self.open.is_none() {
            self.held.pop_front();
        }
    }

    /// Keeps `effect` until the open batch is in force.
    pub(crate) fn hold_for_open(&mut self, after: After, effect: Effect) {
        self.hold(after, effect);
        if let Some(open) = &mut self.open {
            open.held_below = self.numbers;
        }
    }

    /// What was held and now is true.
    pub(crate) fn released(&mut self) -> Vec<(After, Effect)> {
        std::mem::take(&mut self.released)
    }

    /// From now on only these services matter; the node ends.
    pub(crate) fn only(&mut self, keys: BTreeSet<ServiceKey>) {
        self.stuck.clear();
        self.dirty.clone_from(&keys);
        self.limit = Some(keys);
    }

    /// Lets everything go that is held, whatever became of it; true when something was refused.
    pub(crate) fn give_up(&mut self) -> bool {
        self.stuck.values_mut().for_each(|stuck| stuck.again_at = None);
        self.let_go(self.numbers);
        !self.stuck.is_empty()
    }

    /// When a refused service is to be tried again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.open.is_some() {
            return None;
        }
        self.stuck.values().filter_map(|stuck| stuck.again_at).min()
    }

    /// Marks what is to be tried again by `now`.
    pub(crate) fn due(&mut self, now: Instant) {
        if self.open.is_some() {
            return;
        }
        let due = |stuck: &Stuck| stuck.again_at.is_some_and(|at| at <= now);
        self.dirty.extend(self.stuck.iter().filter(|(_, stuck)| due(stuck)).map(|(key, _)| *key));
    }

    /// What the data plane refuses at present, in sentences.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let text = |(key, stuck): (&ServiceKey, &Stuck)| {
            format!("service {key} is not in the data plane as it should be: {} ({} tries)", stuck.why, stuck.tries)
        };
        self.stuck.iter().take(16).map(text).collect()
    }
}

fn sorry(change: &str, why: &str, retry_s: Option<u64>) -> Reply {
    let refusal = Refusal::new(RefusalCode::Failed, format!("the data plane refused to {change}: {why}"));
    Reply::Refused(match retry_s {
        Some(retry_s) => refusal.hint(format!("it is wanted still and tried again in {retry_s} s")),
        None => refusal.hint("it is wanted still and tried again at the next reload"),
    })
}

/// The changes to one service. Additions and raised weights come before lowered ones, removals last of all, so that no
/// service is empty on the way.
pub(crate) fn difference(
    key: ServiceKey,
    have: Option<&dataplane::Service>,
    wanted: Wanted,
    changes: &mut Vec<Change>,
    removals: &mut Vec<Change>,
) {
    let Some((options, servers)) = wanted else {
        removals.extend(have.map(|_| Change::RemoveService(key)));
        return;
    };
    let Some(have) = have else {
        changes.push(Change::AddService(key, options));
        changes.extend(servers.into_iter().map(|(address, server)| Change::AddRealServer(key, address, server)));
        return;
    };
    let mut lowered = Vec::new();
    for (address, server) in &servers {
        match have.real_servers.get(address) {
            None => changes.push(Change::AddRealServer(key, *address, *server)),
            Some(old) if old == server => {}
            Some(old) if server.weight >= old.weight => changes.push(Change::EditRealServer(key, *address, *server)),
            Some(_) => lowered.push(Change::EditRealServer(key, *address, *server)),
        }
    }
    if have.options != options {
        changes.push(Change::EditService(key, options));
    }
    changes.append(&mut lowered);
    // Linear for the usual handful, sorted for the rare long list.
    let wanted: BTreeSet<&SocketAddr> = servers.iter().map(|(address, _)| address).collect();
    let gone = have.real_servers.keys().filter(|address| !wanted.contains(address));
    removals.extend(gone.map(|address| Change::RemoveRealServer(key, *address)));
}

/// Makes one change true in a table.
pub(crate) fn enforce(table: &mut Table, change: Change) {
    match change {
        Change::AddService(key, options) => {
            table.services.insert(key, dataplane::Service { options, real_servers: BTreeMap::new() });
        }
        Change::EditService(key, options) => {
            if let Some(service) = table.services.get_mut(&key) {
                service.options = options;
            }
        }
        Change::RemoveService(key) => {
            table.services.remove(&key);
        }
        Change::AddRealServer(key, address, server) | Change::EditRealServer(key, address, server) => {
            if let Some(service) = table.services.get_mut(&key) {
                service.real_servers.insert(address, server);
            }
        }
        Change::RemoveRealServer(key, address) => {
            if let Some(service) = table.services.get_mut(&key) {
                service.real_servers.remove(&address);
            }
        }
    }
}

/// The weight a real server has in the table; `None`: it is not there.
pub(crate) fn weight_in(table: &Table, key: &ServiceKey, address: &SocketAddr) -> Option<Weight> {
    table.services.get(key)?.real_servers.get(address).map(|server| server.weight)
}

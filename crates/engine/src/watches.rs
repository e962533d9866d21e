//! All check machines of the node, found by number and by deadline. Equal checks are one watch with several users.

mod group;

use crate::{CheckId, Effect, ProbeOrder};
use evenkeel_health as health;
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::{Check, Probe, ServiceKey};
use group::Groups;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

/// So many new watches begin at once, and so many more in each [`STEP`] after.
pub(crate) const AT_ONCE: usize = 1000;
const STEP: Duration = Duration::from_millis(100);

/// A real server of a service.
pub(crate) type User = (ServiceKey, SocketAddr);

/// Where a watch lies; valid while it has a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    /// No watch at all: a real server that a client added, which is up.
    pub(crate) const NONE: Slot = Slot(u32::MAX);

    /// Set in the slots of groups.
    const GROUP: u32 = 1 << 31;

    fn group(index: u32) -> Slot {
        Slot(index | Slot::GROUP)
    }

    /// Whether it is one of several checks together.
    pub(crate) fn is_group(self) -> bool {
        self.as_group().is_some()
    }

    fn as_group(self) -> Option<u32> {
        (self != Slot::NONE && self.0 & Slot::GROUP != 0).then_some(self.0 & !Slot::GROUP)
    }
}

/// A watch that has come up or gone down, or, where its state is the one before, that weighs something else.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Which.
    pub(crate) slot: Slot,
    /// Its state before, and since when.
    pub(crate) before: (health::State, Instant),
}

#[derive(Debug)]
struct Entry {
    id: CheckId,
    check: Arc<Check>,
    watch: health::Watch,
    users: Vec<User>,
    /// Groups it is a member of.
    groups: Vec<u32>,
    /// As in `timers`.
    timer: Option<Instant>,
    /// Not begun yet.
    start_at: Option<Instant>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Watches {
    seed: u64,
    generations: u32,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_check: HashMap<Arc<Check>, u32>,
    timers: BTreeSet<(Instant, u32)>,
    fresh: Vec<u32>,
    up: usize,
    groups: Groups,
    /// What is known of BFD sessions: up or not, and why.
    sessions: BTreeMap<String, (bool, String)>,
    /// Some watches may rest.
    some_rest: bool,
}

impl Watches {
    pub(crate) fn new(seed: u64) -> Watches {
        Watches {
            seed,
            generations: 0,
            entries: Vec::new(),
            free: Vec::new(),
            by_check: HashMap::new(),
            timers: BTreeSet::new(),
            fresh: Vec::new(),
            up: 0,
            groups: Groups::default(),
            sessions: BTreeMap::new(),
            some_rest: false,
        }
    }

    /// How many there are, and how many of them are up.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.by_check.len(), self.up)
    }

    /// The watch of `check`, made when there is none yet; `user` is one more of its users. A watch that knows nothing
    /// yet takes `known` as its state: true when it did.
    pub(crate) fn acquire(
        &mut self,
        now: Instant,
        check: Arc<Check>,
        user: User,
        known: health::State,
    ) -> (Slot, bool) {
        if let Some(parts) = Watches::parts(&check) {
            return self.acquire_group(now, &check, parts, user, known);
        }
        let index = self.find_or_insert(check);
        let Some(entry) = self.entry_mut(Slot(index)) else { return (Slot(index), false) };
        entry.users.push(user);
        let taught = self.teach(now, Slot(index), known);
        (Slot(index), taught)
    }

    fn acquire_member(&mut self, check: &Arc<Check>, group: u32) -> Slot {
        let index = self.find_or_insert(check.clone());
        if let Some(entry) = self.entry_mut(Slot(index)) {
            entry.groups.push(group);
        }
        Slot(index)
    }

    /// A watch that knows nothing takes `known` as its state: true when it did.
    fn teach(&mut self, now: Instant, slot: Slot, known: health::State) -> bool {
        let Some(entry) = self.entry_mut(slot) else { return false };
        let taught = entry.watch.status().state == health::State::Unknown && known != health::State::Unknown;
        if taught {
            entry.watch.assume(now, known);
            self.up += usize::from(known == health::State::Up);
        }
        taught
    }

    fn find_or_insert(&mut self, check: Arc<Check>) -> u32 {
        match self.by_check.get(&check) {
            Some(index) => *index,
            None => self.insert(check),
        }
    }

    fn insert(&mut self, check: Arc<Check>) -> u32 {
        self.generations = self.generations.wrapping_add(1);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.entries.push(None);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let id = CheckId(u64::from(self.generations) << 32 | u64::from(index));
        let watch = health::Watch::new(&check, Rng::new(self.seed ^ id.0));
        self.by_check.insert(Arc::clone(&check), index);
        self.fresh.push(index);
        if let Some(place) = self.entries.get_mut(index as usize) {
            let users = Vec::with_capacity(1);
            *place = Some(Entry { id, check, watch, users, groups: Vec::new(), timer: None, start_at: None });
        }
        index
    }

    /// Gives the watch another rhythm in place when `user` is its only user; else there is nothing done and false.
    pub(crate) fn change_rhythm(&mut self, slot: Slot, user: &User, check: &Arc<Check>) -> bool {
        if self.by_check.contains_key(check) {
            return false;
        }
        let Some(entry) = self.entry_mut(slot) else { return false };
        let same = entry.check.probe == check.probe && entry.check.connects_between == check.connects_between;
        let same = same && entry.check.origin == check.origin && entry.groups.is_empty();
        if !same || entry.users.as_slice() != [*user] {
            return false;
        }
        let old = std::mem::replace(&mut entry.check, Arc::clone(check));
        entry.watch.reconfigure(check.rhythm);
        let key = Arc::clone(&entry.check);
        self.by_check.remove(&old);
        self.by_check.insert(key, slot.0);
        self.arm(slot);
        true
    }

    /// Ends the watches without users, after `keeps` has said which users still are.
    pub(crate) fn release(
        &mut self,
        now: Instant,
        slots: &BTreeSet<Slot>,
        keeps: impl Fn(Slot, &User) -> bool,
        out: &mut Outbox<Effect>,
    ) {
        for slot in slots {
            if let Some(index) = slot.as_group() {
                for member in self.release_group(index, |user| keeps(*slot, user)) {
                    let Some(entry) = self.entry_mut(member) else { continue };
                    entry.groups.retain(|group| *group != index);
                    self.end_unused(now, member, out);
                }
                continue;
            }
            let Some(entry) = self.entry_mut(*slot) else { continue };
            entry.users.retain(|user| keeps(*slot, user));
            self.end_unused(now, *slot, out);
        }
    }

    fn end_unused(&mut self, now: Instant, slot: Slot, out: &mut Outbox<Effect>) {
        if self.entry(slot).is_some_and(|entry| entry.users.is_empty() && entry.groups.is_empty()) {
            self.end(now, slot, out);
        }
    }

    fn end(&mut self, now: Instant, slot: Slot, out: &mut Outbox<Effect>) {
        let Some(mut entry) = self.entries.get_mut(slot.0 as usize).and_then(Option::take) else { return };
        if let Some(timer) = entry.timer {
            self.timers.remove(&(timer, slot.0));
        }
        self.up -= usize::from(entry.watch.status().state == health::State::Up);
        self.by_check.remove(&entry.check);
        self.free.push(slot.0);
        let mut told = Outbox::new();
        entry.watch.handle(now, health::Input::Stop, &mut told);
        for output in told.drain() {
            order(&entry, output, out);
        }
    }

    /// Ends all of them.
    pub(crate) fn end_all(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        for index in 0..self.entries.len() {
            self.end(now, Slot(u32::try_from(index).unwrap_or(u32::MAX)), out);
        }
        self.groups.clear();
    }

    /// Begins the watches made since the last call: a small set at once, a large one spread.
    pub(crate) fn begin(&mut self, now: Instant, out: &mut Outbox<Effect>) -> Vec<Turn> {
        let fresh = std::mem::take(&mut self.fresh);
        let mut turns = Vec::new();
        for (place, index) in fresh.into_iter().enumerate() {
            let slot = Slot(index);
            let steps = u32::try_from(place / AT_ONCE).unwrap_or(u32::MAX);
            if steps == 0 || self.is_told(slot) {
                turns.extend(self.drive(now, slot, health::Input::Start, out));
            } else if let Some(entry) = self.entry_mut(slot) {
                entry.start_at = Some(now + STEP * steps);
                self.arm(slot);
            }
        }
        turns
    }

    /// Hands an input to the watch `id`, if there is one.
    pub(crate) fn tell(
        &mut self,
        now: Instant,
        id: CheckId,
        input: health::Input,
        out: &mut Outbox<Effect>,
    ) -> Vec<Turn> {
        let slot = Slot((id.0 & u64::from(u32::MAX)) as u32);
        let known = self.entry(slot).is_some_and(|entry| entry.id == id);
        if known { self.drive(now, slot, input, out) } else { Vec::new() }
    }

    /// Lets the watches rest whose every user is of these services, and wakes the others.
    pub(crate) fn rest(
        &mut self,
        now: Instant,
        services: &BTreeSet<ServiceKey>,
        out: &mut Outbox<Effect>,
    ) -> Vec<Turn> {
        if services.is_empty() && !self.some_rest {
            return Vec::new();
        }
        self.some_rest = !services.is_empty();
        let mut turns = Vec::new();
        for index in 0..self.entries.len() {
            let slot = Slot(u32::try_from(index).unwrap_or(u32::MAX));
            let Some(entry) = self.entry(slot) else { continue };
            let groups = entry.groups.iter().filter_map(|index| self.groups.get(*index));
            let mut users = entry.users.iter().chain(groups.flat_map(|group| &group.users));
            let rests = users.all(|(key, _)| services.contains(key));
            if rests != entry.watch.is_resting() {
                let input = if rests { health::Input::Rest } else { health::Input::Wake };
                turns.extend(self.drive(now, slot, input, out));
            }
        }
        turns
    }

    /// Who holds BFD sessions tells of one.
    pub(crate) fn session(
        &mut self,
        now: Instant,
        name: String,
        up: bool,
        why: String,
        out: &mut Outbox<Effect>,
    ) -> Vec<Turn> {
        let is_it = |check: &Check| matches!(&check.probe, Probe::Bfd { name: known } if *known == name);
        let slots: Vec<Slot> =
            self.by_check.iter().filter(|(check, _)| is_it(check)).map(|(_, index)| Slot(*index)).collect();
        self.sessions.insert(name, (up, why));
        slots.into_iter().flat_map(|slot| self.drive(now, slot, health::Input::Recheck, out)).collect()
    }

    fn is_told(&self, slot: Slot) -> bool {
        self.entry(slot).is_some_and(|entry| matches!(entry.check.probe, Probe::Bfd { .. }))
    }

    /// What is to be told to a watch that makes no attempts itself.
    fn news(&self, slot: Slot) -> Option<health::Verdict> {
        let Probe::Bfd { name } = &self.entry(slot)?.check.probe else { return None };
        let (up, why) = self.sessions.get(name)?;
        Some(if *up {
            health::Verdict::good(format!("BFD session {name} is up"), Duration::ZERO)
        } else {
            let reason = health::Reason::SessionDown { name: name.clone(), why: why.clone() };
            health::Verdict::bad(reason, Duration::ZERO)
        })
    }

    /// Does what one watch has to do by `now`; `None` when none has.
    pub(crate) fn due(&mut self, now: Instant, out: &mut Outbox<Effect>) -> Option<Vec<Turn>> {
        let (at, index) = *self.timers.first()?;
        if at > now {
            return None;
        }
        let slot = Slot(index);
        let start = self.entry_mut(slot).and_then(|entry| entry.start_at.take()).is_some();
        if start {
            return Some(self.drive(now, slot, health::Input::Start, out));
        }
        let mut told = Outbox::new();
        let before = self.before(slot)?;
        let weighed = self.watch(slot).map(health::Watch::weighing);
        if let Some(entry) = self.entry_mut(slot) {
            entry.watch.handle_timeout(now, &mut told);
        }
        Some(self.settle(slot, before, weighed, told, out))
    }

    /// When [`Watches::due`] next has something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn drive(&mut self, now: Instant, slot: Slot, input: health::Input, out: &mut Outbox<Effect>) -> Vec<Turn> {
        let mut told = Outbox::new();
        let Some(before) = self.before(slot) else { return Vec::new() };
        let news = self.news(slot);
        let weighed = self.watch(slot).map(health::Watch::weighing);
        if let Some(entry) = self.entry_mut(slot) {
            entry.watch.handle(now, input, &mut told);
            if let Some(verdict) = news {
                entry.watch.handle(now, health::Input::News { verdict }, &mut told);
            }
        }
        self.settle(slot, before, weighed, told, out)
    }

    fn before(&self, slot: Slot) -> Option<(health::State, Instant)> {
        self.entry(slot).map(|entry| (entry.watch.status().state, entry.watch.status().since))
    }

    fn settle(
        &mut self,
        slot: Slot,
        before: (health::State, Instant),
        weighed: Option<health::Weighing>,
        mut told: Outbox<health::Output>,
        out: &mut Outbox<Effect>,
    ) -> Vec<Turn> {
        let Some(entry) = self.entry(slot) else { return Vec::new() };
        for output in told.drain() {
            order(entry, output, out);
        }
        let state = entry.watch.status().state;
        let reweighed = weighed.is_some_and(|weighed| weighed != entry.watch.weighing());
        self.arm(slot);
        if state == before.0 && !reweighed {
            return Vec::new();
        }
        self.up += usize::from(state == health::State::Up);
        self.up -= usize::from(before.0 == health::State::Up);
        let mut turns = vec![Turn { slot, before }];
        let groups = self.entry(slot).map(|entry| entry.groups.clone()).unwrap_or_default();
        self.turn_groups(&groups, &mut turns, reweighed);
        turns
    }

    fn arm(&mut self, slot: Slot) {
        let Some(entry) = self.entries.get_mut(slot.0 as usize).and_then(Option::as_mut) else { return };
        let deadline = entry.start_at.or_else(|| entry.watch.deadline());
        if deadline != entry.timer {
            if let Some(timer) = entry.timer {
                self.timers.remove(&(timer, slot.0));
            }
            if let Some(deadline) = deadline {
                self.timers.insert((deadline, slot.0));
            }
            entry.timer = deadline;
        }
    }

    fn entry(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0 as usize).and_then(Option::as_ref)
    }

    fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0 as usize).and_then(Option::as_mut)
    }

    /// The check and its watch; of a group, those that decide.
    pub(crate) fn get(&self, slot: Slot) -> Option<(&Check, &health::Watch)> {
        let slot = match slot.as_group() {
            Some(index) => self.decisive(index)?,
            None => slot,
        };
        self.entry(slot).map(|entry| (&*entry.check, &entry.watch))
    }

    /// The whole check.
    pub(crate) fn check(&self, slot: Slot) -> Option<&Check> {
        match slot.as_group() {
            Some(index) => self.groups.get(index).map(|group| &*group.check),
            None => self.entry(slot).map(|entry| &*entry.check),
        }
    }

    fn watch(&self, slot: Slot) -> Option<&health::Watch> {
        self.entry(slot).map(|entry| &entry.watch)
    }

    /// Whether the watch found its target up, down, or has not decided yet.
    pub(crate) fn state(&self, slot: Slot) -> health::State {
        if slot == Slot::NONE {
            return health::State::Up;
        }
        if let Some(index) = slot.as_group() {
            return self.state_of_group(index);
        }
        self.entry(slot).map_or(health::State::Unknown, |entry| entry.watch.status().state)
    }

    /// Who depends on it.
    pub(crate) fn users(&self, slot: Slot) -> &[User] {
        if let Some(index) = slot.as_group() {
            return self.groups.get(index).map_or(&[], |group| &group.users);
        }
        self.entry(slot).map_or(&[], |entry| &entry.users)
    }

    /// Who depends on it, or on a watch that is part of it, or on a group that it is part of.
    pub(crate) fn concerned(&self, slot: Slot) -> Vec<User> {
        let parts = match slot.as_group() {
            Some(index) => self.groups.get(index).map(|group| group.members.clone()).unwrap_or_default(),
            None => vec![slot],
        };
        let mut users = self.users(slot).to_vec();
        for entry in parts.iter().filter_map(|part| self.entry(*part)) {
            users.extend(&entry.users);
            let groups = entry.groups.iter().filter_map(|index| self.groups.get(*index));
            users.extend(groups.flat_map(|group| &group.users));
        }
        users
    }
}

/// Turns what a watch wants done into effects; changes of its state are read off its status.
fn order(entry: &Entry, output: health::Output, out: &mut Outbox<Effect>) {
    match output {
        health::Output::Probe { attempt, which } => out.push(Effect::Probe(ProbeOrder {
            check: entry.id,
            attempt,
            probe: which.probe(&entry.check),
            origin: entry.check.origin.as_deref().cloned().unwrap_or_default(),
            timeout: entry.watch.timeout(),
        })),
        health::Output::Cancel { attempt } => out.push(Effect::CancelProbe { check: entry.id, attempt }),
        health::Output::Up | health::Output::Down { .. } | health::Output::Failed { .. } => {}
    }
}

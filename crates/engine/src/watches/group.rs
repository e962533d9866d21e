//! Several checks of one real server: a group of watches that is up while all of them are.
//!
//! A group makes no attempts. Its members are watches like any others, which it shares with whoever has the same check.

use super::{Slot, Turn, User, Watches};
use evenkeel_health::{self as health, State, Weighing};
use evenkeel_machine::Instant;
use evenkeel_model::{Check, Probe, Weight};
use std::{collections::HashMap, sync::Arc};

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    entries: Vec<Option<Group>>,
    free: Vec<u32>,
    by_check: HashMap<Arc<Check>, u32>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) check: Arc<Check>,
    pub(super) members: Vec<Slot>,
    pub(super) users: Vec<User>,
    state: State,
    since: Instant,
}

impl Groups {
    pub(super) fn get(&self, index: u32) -> Option<&Group> {
        self.entries.get(index as usize).and_then(Option::as_ref)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Group> {
        self.entries.get_mut(index as usize).and_then(Option::as_mut)
    }

    pub(super) fn find(&self, check: &Arc<Check>) -> Option<u32> {
        self.by_check.get(check).copied()
    }

    pub(super) fn clear(&mut self) {
        *self = Groups::default();
    }
}

/// All up: up. One down: down. Else it is not known.
fn together(states: impl Iterator<Item = State>) -> State {
    let mut found = State::Up;
    for state in states {
        match state {
            State::Down => return State::Down,
            State::Unknown => found = State::Unknown,
            State::Up => {}
        }
    }
    found
}

impl Watches {
    /// As [`Watches::acquire`], of a group.
    pub(super) fn acquire_group(
        &mut self,
        now: Instant,
        check: &Arc<Check>,
        parts: &[Arc<Check>],
        user: User,
        known: State,
    ) -> (Slot, bool) {
        let index = match self.groups.find(check) {
            Some(index) => index,
            None => self.insert_group(now, check, parts),
        };
        let members = match self.groups.get_mut(index) {
            Some(group) => {
                group.users.push(user);
                group.members.clone()
            }
            None => Vec::new(),
        };
        let mut taught = false;
        for member in members {
            taught |= self.teach(now, member, known);
        }
        if let Some(state) = self.state_of_members(index)
            && let Some(group) = self.groups.get_mut(index)
        {
            group.state = state;
        }
        (Slot::group(index), taught)
    }

    fn insert_group(&mut self, now: Instant, check: &Arc<Check>, parts: &[Arc<Check>]) -> u32 {
        let index = self.groups.free.pop().unwrap_or_else(|| {
            self.groups.entries.push(None);
            u32::try_from(self.groups.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let members: Vec<Slot> = parts.iter().map(|part| self.acquire_member(part, index)).collect();
        let group = Group { check: check.clone(), members, users: Vec::new(), state: State::Unknown, since: now };
        if let Some(place) = self.groups.entries.get_mut(index as usize) {
            *place = Some(group);
        }
        self.groups.by_check.insert(check.clone(), index);
        index
    }

    /// Takes out users of a group; what is left of it, or nothing, and then its members are given up.
    pub(super) fn release_group(&mut self, index: u32, keeps: impl Fn(&User) -> bool) -> Vec<Slot> {
        let Some(group) = self.groups.get_mut(index) else { return Vec::new() };
        group.users.retain(|user| keeps(user));
        if !group.users.is_empty() {
            return Vec::new();
        }
        let Some(group) = self.groups.entries.get_mut(index as usize).and_then(Option::take) else { return Vec::new() };
        self.groups.by_check.remove(&group.check);
        self.groups.free.push(index);
        group.members
    }

    /// What follows for the groups of a watch that has turned or weighs something else.
    pub(super) fn turn_groups(&mut self, groups: &[u32], turns: &mut Vec<Turn>, reweighed: bool) {
        for index in groups {
            let Some(state) = self.state_of_members(*index) else { continue };
            let since = self.since_of_members(*index);
            let Some(group) = self.groups.get_mut(*index) else { continue };
            let before = (group.state, group.since);
            let turned = state != group.state;
            if turned {
                (group.state, group.since) = (state, since.unwrap_or(group.since));
            }
            if turned || reweighed {
                turns.push(Turn { slot: Slot::group(*index), before });
            }
        }
    }

    fn state_of_members(&self, index: u32) -> Option<State> {
        let group = self.groups.get(index)?;
        Some(together(group.members.iter().map(|member| self.state(*member))))
    }

    fn since_of_members(&self, index: u32) -> Option<Instant> {
        let group = self.groups.get(index)?;
        group.members.iter().filter_map(|member| self.watch(*member)).map(|watch| watch.status().since).max()
    }

    pub(super) fn state_of_group(&self, index: u32) -> State {
        self.groups.get(index).map_or(State::Unknown, |group| group.state)
    }

    /// The member that decides: the first that is down, else the first that is not known, else the last to come up.
    pub(super) fn decisive(&self, index: u32) -> Option<Slot> {
        let members = &self.groups.get(index)?.members;
        let first = |state| members.iter().copied().find(|member| self.state(*member) == state);
        let last =
            || members.iter().copied().max_by_key(|member| self.watch(*member).map(|watch| watch.status().since));
        first(State::Down).or_else(|| first(State::Unknown)).or_else(last)
    }

    /// What the checks make of the weight that a file says.
    pub(crate) fn weigh(&self, slot: Slot, weight: Weight) -> Weight {
        let own = i64::from(weight.get());
        let change = |slot: Slot| match self.watch(slot).map(health::Watch::weighing) {
            Some(Weighing::Set(number)) => i64::from(number) - own,
            Some(Weighing::Add(change)) => change,
            Some(Weighing::None) | None => 0,
        };
        let changes = match slot.as_group().and_then(|index| self.groups.get(index)) {
            Some(group) => group.members.iter().map(|member| change(*member)).fold(0, i64::saturating_add),
            None => change(slot),
        };
        let sum = own.saturating_add(changes).clamp(0, i64::from(Weight::MAX.get()));
        u32::try_from(sum).ok().and_then(Weight::new).unwrap_or(weight)
    }

    /// The checks a check is made of, if it is a group.
    pub(super) fn parts(check: &Check) -> Option<&[Arc<Check>]> {
        match &check.probe {
            Probe::All(parts) => Some(parts),
            _ => None,
        }
    }
}

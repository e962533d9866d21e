//! All instances of one node: their timers in one place, and their sync groups.
//!
//! A sync group becomes master only when each of its members would, and yields when one of them has to; a broken member
//! keeps all of them out.

use crate::{Input, Instance, Output, Role, Settings, timers::Timers};
use evenkeel_machine::{Instant, Machine, Outbox};

/// Names an instance of a [`Router`]: its place, 0 and up.
pub type Place = usize;

/// The instances of one node.
#[derive(Debug, Default)]
pub struct Router {
    members: Vec<Member>,
    groups: Vec<Vec<Place>>,
    /// Places of removed instances.
    free: Vec<Place>,
    timers: Timers,
    /// Of one instance at a time; kept so that nothing is allocated.
    said: Outbox<Output>,
}

#[derive(Clone, Debug)]
struct Member {
    instance: Instance,
    group: Option<usize>,
    candidate: bool,
    /// Its place is free.
    removed: bool,
}

impl Router {
    /// One without instances.
    pub fn new() -> Router {
        Router::default()
    }

    /// Adds an instance; the place may be one that was removed.
    pub fn add(&mut self, settings: Settings) -> Place {
        let member = Member { instance: Instance::new(settings), group: None, candidate: false, removed: false };
        if let Some(place) = self.free.pop() {
            self.members[place] = member;
            return place;
        }
        let place = self.members.len();
        self.members.push(member);
        self.timers.grow(place);
        place
    }

    /// Takes one away that has stopped and is in no group; says whether it was so.
    pub fn remove(&mut self, place: Place) -> bool {
        let Some(member) = self.members.get_mut(place) else { return false };
        let goes = member.instance.role() == Role::Stopped && member.group.is_none() && !member.removed;
        if goes {
            member.removed = true;
            self.free.push(place);
        }
        goes
    }

    /// Whether the instance at `place` was removed.
    pub fn is_free(&self, place: Place) -> bool {
        self.members.get(place).is_none_or(|member| member.removed)
    }

    /// The instance at `place`.
    pub fn instance(&self, place: Place) -> Option<&Instance> {
        self.members.get(place).map(|member| &member.instance)
    }

    /// The instance at `place` goes on by other settings.
    pub fn change(&mut self, now: Instant, place: Place, settings: Settings, out: &mut Outbox<(Place, Output)>) {
        self.touch(now, place, |instance, said| instance.change(now, settings, said), out);
    }

    /// From now on these are the sync groups, by their members. A member that joins a group of masters becomes one
    /// unless somebody else is; else the masters yield.
    pub fn group(&mut self, now: Instant, groups: Vec<Vec<Place>>, out: &mut Outbox<(Place, Output)>) {
        let mut group_of = vec![None; self.members.len()];
        for (number, places) in groups.iter().enumerate() {
            for &place in places {
                if let Some(group) = group_of.get_mut(place) {
                    *group = Some(number);
                }
            }
        }
        self.groups = groups;
        for (place, group) in group_of.into_iter().enumerate() {
            let Some(member) = self.members.get_mut(place) else { continue };
            let had = std::mem::replace(&mut member.group, group).is_some();
            if had && group.is_none() {
                self.tell(now, place, Some(Input::GroupBroken(false)), out);
            }
            if had != group.is_some() {
                self.touch(now, place, |instance, said| instance.join(now, group.is_some(), said), out);
            }
        }
        for group in 0..self.groups.len() {
            self.unite(now, group, out);
        }
    }

    /// Makes a group whose members have changed one again.
    fn unite(&mut self, now: Instant, group: usize, out: &mut Outbox<(Place, Output)>) {
        let places = self.groups.get(group).cloned().unwrap_or_default();
        for &place in &places {
            self.spread_fault(now, place, out);
        }
        let is_master = |place: &Place| self.instance(*place).is_some_and(|one| one.role() == Role::Master);
        let (masters, others): (Vec<_>, Vec<_>) = places.iter().partition(|place| is_master(place));
        if masters.is_empty() || others.is_empty() {
            return self.elect(now, group, out);
        }
        let waits = |instance: &Instance| instance.role() == Role::Backup && instance.master().is_none();
        let follow = others.iter().all(|&place| self.instance(place).is_some_and(waits));
        let (told, input) = if follow { (others, Input::GroupElected) } else { (masters, Input::GroupYields) };
        for place in told {
            self.tell(now, place, Some(input), out);
        }
    }

    /// Tells one instance something, or that its time has come.
    fn tell(&mut self, now: Instant, place: Place, input: Option<Input>, out: &mut Outbox<(Place, Output)>) {
        self.touch(
            now,
            place,
            |instance, said| match input {
                Some(input) => instance.handle(now, input, said),
                None => instance.handle_timeout(now, said),
            },
            out,
        );
    }

    /// Does something with one instance and carries what it says to `out` and to its group.
    fn touch(
        &mut self,
        now: Instant,
        place: Place,
        work: impl FnOnce(&mut Instance, &mut Outbox<Output>),
        out: &mut Outbox<(Place, Output)>,
    ) {
        let Some(member) = self.members.get_mut(place) else { return };
        work(&mut member.instance, &mut self.said);
        self.timers.set(place, member.instance.deadline());
        let mut turned = None;
        while let Some(output) = self.said.pop() {
            match output {
                Output::Candidate => member.candidate = true,
                Output::Turned { to, .. } => {
                    member.candidate = false;
                    turned = Some(to);
                    out.push((place, output));
                }
                Output::Advertise { .. }
                | Output::Hold
                | Output::Release
                | Output::Announce { .. }
                | Output::Noticed(_) => out.push((place, output)),
            }
        }
        // A candidate that hears a better router waits again.
        member.candidate &= member.instance.is_candidate();
        let Some(group) = member.group else { return };
        match turned {
            Some(Role::Backup) => self.follow(now, group, place, out),
            // The others are at fault with it, without being backups first.
            Some(Role::Fault) => self.spread_fault(now, place, out),
            // One that leaves does so with its group, each member when its own successor speaks; one that is removed
            // leaves the rest as it is.
            Some(Role::Master | Role::Leaving | Role::Stopped) | None => {}
        }
        self.elect(now, group, out);
    }

    /// After the member at `place` has turned from being master.
    fn follow(&mut self, now: Instant, group: usize, place: Place, out: &mut Outbox<(Place, Output)>) {
        for at in 0..self.groups.get(group).map_or(0, Vec::len) {
            let Some(&other) = self.groups.get(group).and_then(|places| places.get(at)) else { continue };
            let masters = self.members.get(other).is_some_and(|member| member.instance.role() == Role::Master);
            if other != place && masters {
                self.tell(now, other, Some(Input::GroupYields), out);
            }
        }
    }

    /// Makes the group master when all its members are candidates.
    fn elect(&mut self, now: Instant, group: usize, out: &mut Outbox<(Place, Output)>) {
        let Some(places) = self.groups.get(group) else { return };
        let all = places.iter().all(|&place| self.members.get(place).is_some_and(|member| member.candidate));
        if !all {
            return;
        }
        for at in 0..places.len() {
            let Some(&place) = self.groups.get(group).and_then(|places| places.get(at)) else { continue };
            if let Some(member) = self.members.get_mut(place) {
                member.candidate = false;
            }
            self.tell(now, place, Some(Input::GroupElected), out);
        }
    }

    /// Tells the other members of a group whether one of them is broken.
    fn spread_fault(&mut self, now: Instant, place: Place, out: &mut Outbox<(Place, Output)>) {
        let Some(group) = self.members.get(place).and_then(|member| member.group) else { return };
        let places = self.groups.get(group).map_or(&[][..], Vec::as_slice);
        let broken = |place: Place| self.instance(place).is_some_and(Instance::is_broken);
        let count = places.iter().filter(|place| broken(**place)).count();
        for at in 0..places.len() {
            let Some(&other) = self.groups.get(group).and_then(|places| places.get(at)) else { continue };
            let Some(instance) = self.instance(other).filter(|_| other != place) else { continue };
            let others_broken = count > usize::from(instance.is_broken());
            if instance.is_group_broken() != others_broken {
                self.tell(now, other, Some(Input::GroupBroken(others_broken)), out);
            }
        }
    }
}

impl Machine for Router {
    type Input = (Place, Input);
    type Output = (Place, Output);

    fn handle(&mut self, now: Instant, (place, input): (Place, Input), out: &mut Outbox<(Place, Output)>) {
        self.tell(now, place, Some(input), out);
        match input {
            Input::Broken(_) | Input::NoPeers(_) | Input::Address(_) => self.spread_fault(now, place, out),
            Input::Start { .. }
            | Input::Stop { .. }
            | Input::Heard(_)
            | Input::GroupBroken(_)
            | Input::Unknown(_)
            | Input::NotBefore(_)
            | Input::Adjust(_)
            | Input::Ready(_)
            | Input::GroupElected
            | Input::GroupYields
            | Input::Unreachable(_)
            | Input::Announce => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<(Place, Output)>) {
        // Each instance once: one that is due again at once is not waited for.
        for _ in 0..self.members.len() {
            let Some(place) = self.timers.due(now) else { return };
            self.tell(now, place, None, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.timers.first()
    }
}

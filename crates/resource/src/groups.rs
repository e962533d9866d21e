//! All groups of a node.

use crate::{
    group::Group,
    member::Member,
    order::{Order, Outcome, Task},
    remark::{Remark, Trouble},
    report::{GroupReport, Standing},
};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat;
use std::sync::Arc;

/// What [`Groups`] is told. Groups are named by their place in the configuration; places that are not there are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Hold this group. While it is being stopped it turns round; while it is stopped because it failed it does not.
    Acquire(usize),
    /// Do not hold it. A start that is under way is waited for. Said of a group that is stuck, it is tried once more.
    Yield(usize),
    /// An action has ended. Those that were cancelled, or counted as timed out, are ignored.
    Done {
        /// Which.
        task: Task,
        /// How.
        outcome: Outcome,
    },
    /// These are the groups now. What did not change is not touched; what is gone is stopped.
    Configure(Vec<heartbeat::Group>),
    /// An operator says that what could not be stopped of this group has stopped.
    Confirm(Arc<str>),
    /// Give up everything, and say when that is done; nothing is acquired any more.
    Stop,
}

/// What [`Groups`] wants done or has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Carry this out.
    Run(Order),
    /// Break this off: kill it.
    Cancel(Task),
    /// A group stands otherwise. After [`Input::Configure`] this is told of every group.
    Turned {
        /// Its place.
        group: usize,
        /// How it stands now.
        standing: Standing,
        /// Why it is being stopped, has failed or is stuck, if nobody asked for that.
        why: Option<Trouble>,
    },
    /// Something an operator should know.
    Remark {
        /// Key of the group.
        group: Arc<str>,
        /// What.
        remark: Remark,
    },
    /// After [`Input::Stop`]: nothing runs any more but what is stuck.
    Stopped,
}

/// The resource groups of one node.
#[derive(Debug, Default)]
pub struct Groups {
    /// Those that are configured in their order, then those that are on their way out.
    groups: Vec<Group>,
    /// As they are configured.
    configured: Vec<heartbeat::Group>,
    /// Actions ordered so far.
    tasks: u64,
    life: Life,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    On,
    Stopping,
    Over,
}

/// Whether `group` is to have what `member` is.
pub(crate) fn has(group: &heartbeat::Group, member: &Member) -> bool {
    group.resources.iter().any(|resource| resource.agent == member.resource.agent)
}

/// What a group works with.
pub(crate) struct Hand<'a> {
    pub(crate) now: Instant,
    tasks: u64,
    pub(crate) out: &'a mut Outbox<Output>,
}

impl Hand<'_> {
    pub(crate) fn task(&mut self) -> Task {
        self.tasks += 1;
        Task(self.tasks)
    }

    pub(crate) fn remark(&mut self, group: &Arc<str>, remark: Remark) {
        self.out.push(Output::Remark { group: Arc::clone(group), remark });
    }
}

impl Groups {
    /// None yet.
    pub fn new() -> Groups {
        Groups::default()
    }

    /// How every group stands, those on their way out last.
    pub fn report(&self) -> Vec<GroupReport> {
        self.groups.iter().map(Group::report).collect()
    }

    /// How the group of this place stands.
    pub fn standing(&self, group: usize) -> Option<Standing> {
        self.groups.iter().find(|known| known.place == Some(group)).map(Group::standing)
    }

    /// Whether something of a group cannot be stopped.
    pub fn is_stuck(&self) -> bool {
        self.groups.iter().any(|group| group.standing() == Standing::Stuck)
    }

    /// Has `what` done with the group of that place.
    fn with(&mut self, place: usize, hand: &mut Hand<'_>, what: impl FnOnce(&mut Group, &mut Hand<'_>)) {
        if let Some(group) = self.groups.iter_mut().find(|known| known.place == Some(place)) {
            what(group, hand);
        }
    }

    fn configure(&mut self, wanted: Vec<heartbeat::Group>, hand: &mut Hand<'_>) {
        let origins = heartbeat::origins(&self.configured, &wanted);
        let mut before = std::mem::take(&mut self.groups);
        let mut groups: Vec<Option<Group>> = Vec::new();
        // What has a group already, or is on its way out under that key, is that group.
        for (group, origin) in wanted.iter().zip(&origins) {
            let same = origin.filter(|origin| origin.same).map(|origin| origin.place);
            let at = before.iter().position(|known| match same {
                Some(place) => known.place == Some(place),
                None => known.place.is_none() && **known.key() == *group.key,
            });
            groups.push(at.map(|at| before.remove(at)));
        }
        // A resource that another group has now goes there as it is: no address is stopped after it was started.
        let mut moved = Vec::new();
        for (known, stays) in groups.iter_mut().zip(&wanted) {
            known.iter_mut().for_each(|known| known.part_with(Some(stays), &wanted, &mut moved));
        }
        before.iter_mut().for_each(|gone| gone.part_with(None, &wanted, &mut moved));
        for (place, (group, known)) in wanted.iter().zip(groups).enumerate() {
            let comes = |(member, _): &mut (Member, bool)| has(group, member);
            let (come, going_up): (Vec<Member>, Vec<bool>) = moved.extract_if(.., comes).unzip();
            let going_up = going_up.contains(&true);
            let mut known = known.unwrap_or_else(|| Group::new(group.key.as_str().into(), going_up, hand.now));
            known.change(group.clone(), place, come, hand);
            self.groups.push(known);
        }
        for mut gone in before {
            gone.place = None;
            gone.give_up(hand);
            if gone.standing().may_run() {
                self.groups.push(gone);
            }
        }
        self.configured = wanted;
    }

    /// Tells what has changed, and forgets groups that are gone.
    fn settle(&mut self, again: bool, hand: &mut Hand<'_>) {
        for group in &mut self.groups {
            group.tell(again, hand);
            if group.place.is_none() && !group.standing().may_run() {
                hand.remark(&Arc::clone(group.key()), Remark::Gone);
            }
        }
        self.groups.retain(|group| group.place.is_some() || group.standing().may_run());
        let at_rest = |group: &Group| !group.standing().may_run() || group.standing() == Standing::Stuck;
        if self.life == Life::Stopping && self.groups.iter().all(at_rest) {
            self.life = Life::Over;
            hand.out.push(Output::Stopped);
        }
    }
}

impl Machine for Groups {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        let mut hand = Hand { now, tasks: self.tasks, out };
        let mut again = false;
        match input {
            Input::Acquire(place) if self.life == Life::On => self.with(place, &mut hand, Group::acquire),
            Input::Acquire(_) => {}
            Input::Yield(place) => self.with(place, &mut hand, Group::give_up),
            Input::Done { task, outcome } => {
                if let Some(group) = self.groups.iter_mut().find(|group| group.is_doing(task)) {
                    group.finish(task, outcome, &mut hand);
                }
            }
            Input::Configure(wanted) => {
                self.configure(wanted, &mut hand);
                again = true;
            }
            Input::Confirm(key) => {
                if let Some(group) = self.groups.iter_mut().find(|group| *group.key() == key) {
                    group.confirm(&mut hand);
                }
            }
            Input::Stop => {
                self.groups.iter_mut().for_each(|group| group.give_up(&mut hand));
                if self.life == Life::On {
                    self.life = Life::Stopping;
                }
            }
        }
        self.settle(again, &mut hand);
        self.tasks = hand.tasks;
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let mut hand = Hand { now, tasks: self.tasks, out };
        self.groups.iter_mut().for_each(|group| group.tick(&mut hand));
        self.settle(false, &mut hand);
        self.tasks = hand.tasks;
    }

    fn deadline(&self) -> Option<Instant> {
        self.groups.iter().filter_map(Group::deadline).min()
    }
}

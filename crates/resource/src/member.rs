//! One resource of a group: whether it runs, and what is being done with it.

use crate::{
    groups::{Hand, Output},
    order::{ASK_WITHIN, Action, FIRST_LOOK, GRACE, Order, Outcome, Task},
    remark::Trouble,
    report::{ResourceReport, Running},
};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Agent, Resource};
use std::{sync::Arc, time::Duration};

/// Whether a resource runs, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does not, or nothing was done with it yet.
    Down,
    /// It was asked and does not run: it may be started.
    Asked,
    /// A start of it has begun, or a stop has not worked.
    Touched,
    /// The same, and it was asked in vain: it may be started.
    Unsure,
    /// It does.
    Up,
}

/// What is being done.
#[derive(Clone, Copy, Debug)]
struct Job {
    task: Task,
    action: Action,
    within: Duration,
    /// When nothing more is expected to be heard of it.
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) resource: Arc<Resource>,
    pub(crate) name: Arc<str>,
    pub(crate) state: State,
    /// It is to be stopped before anything is started.
    pub(crate) renew: bool,
    /// It is no longer configured: as `renew`, and then it goes.
    pub(crate) leaving: bool,
    /// Failures of its monitoring in a row.
    pub(crate) failures: u32,
    /// It has said once that it runs: now it counts when it says that it does not.
    pub(crate) trusted: bool,
    /// How often it did not say so until then.
    pub(crate) unsaid: u32,
    /// How its last stop failed, while it is asked whether it runs all the same.
    pub(crate) doubt: Option<Trouble>,
    job: Option<Job>,
    /// When it is looked at next; only while it is up.
    look_at: Option<Instant>,
}

impl Member {
    pub(crate) fn new(resource: Resource) -> Member {
        Member {
            name: resource.name.as_str().into(),
            resource: Arc::new(resource),
            state: State::Down,
            renew: false,
            leaving: false,
            failures: 0,
            trusted: false,
            unsaid: 0,
            doubt: None,
            job: None,
            look_at: None,
        }
    }

    pub(crate) fn may_run(&self) -> bool {
        match self.state {
            State::Down | State::Asked => false,
            State::Touched | State::Unsure | State::Up => true,
        }
    }

    pub(crate) fn must_stop_first(&self) -> bool {
        (self.renew || self.leaving) && self.may_run()
    }

    /// Whether an action is under way that its group waits for.
    pub(crate) fn is_stepping(&self) -> bool {
        self.job.is_some_and(|job| job.action != Action::Monitor)
    }

    /// An address is put where it belongs whether or not it is there, in one step of the kernel.
    pub(crate) fn is_address(&self) -> bool {
        matches!(self.resource.agent, Agent::Ip(_))
    }

    /// There are scripts that were never asked for their status while they run, and whose answer to that means nothing.
    pub(crate) fn may_not_know(&self) -> bool {
        matches!(self.resource.agent, Agent::Script { .. }) && !self.trusted
    }

    /// Services of evenkeel run everywhere by themselves.
    fn needs_nothing(&self) -> bool {
        matches!(self.resource.agent, Agent::Services { .. })
    }

    /// Has the name, deadlines and monitoring of `fresh`, which is the same resource as it is configured now.
    pub(crate) fn take_on(&mut self, fresh: Member) {
        self.name = fresh.name;
        self.resource = fresh.resource;
        self.look_at = None;
    }

    /// Takes its next step upwards.
    pub(crate) fn raise(&mut self, group: &Arc<str>, hand: &mut Hand<'_>) {
        if self.needs_nothing() {
            self.state = State::Up;
        } else if matches!(self.state, State::Asked | State::Unsure) || self.is_address() {
            self.state = State::Touched;
            self.begin(Action::Start, group, hand);
        } else {
            self.ask(group, hand);
        }
    }

    /// Asks it whether it runs.
    pub(crate) fn ask(&mut self, group: &Arc<str>, hand: &mut Hand<'_>) {
        self.begin(Action::Status, group, hand);
    }

    /// It does not run any more.
    pub(crate) fn stopped(&mut self) {
        self.state = State::Down;
        self.renew = false;
    }

    /// Has it stop.
    pub(crate) fn lower(&mut self, group: &Arc<str>, hand: &mut Hand<'_>) {
        self.hush(hand);
        if self.needs_nothing() {
            self.stopped();
        } else {
            self.begin(Action::Stop, group, hand);
        }
    }

    /// Breaks off what only asks, and looks at it no more.
    pub(crate) fn hush(&mut self, hand: &mut Hand<'_>) {
        self.look_at = None;
        self.doubt = None;
        if let Some(job) = self.job.take_if(|job| job.action.only_asks()) {
            hand.out.push(Output::Cancel(job.task));
        }
    }

    /// Sees to it that it is looked at while it is up.
    pub(crate) fn watch(&mut self, now: Instant) {
        if let Some(monitor) = self.resource.monitor
            && self.state == State::Up
            && self.job.is_none()
            && self.look_at.is_none()
            && !self.must_stop_first()
        {
            let first = self.may_not_know() && self.unsaid == 0;
            self.look_at = Some(now + if first { monitor.every.min(FIRST_LOOK) } else { monitor.every });
        }
    }

    /// Looks at it if it is time.
    pub(crate) fn look(&mut self, group: &Arc<str>, hand: &mut Hand<'_>) {
        if self.job.is_none() && self.look_at.take_if(|at| *at <= hand.now).is_some() {
            self.begin(Action::Monitor, group, hand);
        }
    }

    fn begin(&mut self, action: Action, group: &Arc<str>, hand: &mut Hand<'_>) {
        let within = match (action, self.resource.monitor) {
            (Action::Start, _) => self.resource.start_within,
            (Action::Stop, _) => self.resource.stop_within,
            (Action::Status | Action::Monitor, Some(monitor)) => monitor.within,
            (Action::Status | Action::Monitor, None) => ASK_WITHIN,
        };
        let task = hand.task();
        self.job = Some(Job { task, action, within, until: hand.now + within + GRACE });
        let (group, resource) = (Arc::clone(group), Arc::clone(&self.resource));
        hand.out.push(Output::Run(Order { task, group, resource, action, within }));
    }

    pub(crate) fn is_doing(&self, task: Task) -> bool {
        self.job.is_some_and(|job| job.task == task)
    }

    /// What was being done has ended so; `None`: nothing was.
    pub(crate) fn finish(&mut self, outcome: Outcome) -> Option<Trouble> {
        let job = self.job.take()?;
        Some(Trouble { resource: Arc::clone(&self.name), action: job.action, within: job.within, outcome })
    }

    /// The task of which should have been heard by now.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Task> {
        self.job.filter(|job| job.until <= now).map(|job| job.task)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        // While something is being done it is not looked at.
        self.job.map(|job| job.until).or(self.look_at)
    }

    pub(crate) fn report(&self) -> ResourceReport {
        let running = match (self.job.map(|job| job.action), self.state) {
            (Some(Action::Start), _) => Running::Starting,
            (Some(Action::Stop), _) => Running::Stopping,
            (Some(Action::Status), _) => Running::Asked,
            (_, State::Up) => Running::Yes,
            (_, State::Touched | State::Unsure) => Running::Unknown,
            (_, State::Down | State::Asked) => Running::No,
        };
        ResourceReport { name: Arc::clone(&self.name), running, failures: self.failures }
    }
}

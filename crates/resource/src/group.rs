//! One group: which step comes next, and what becomes of it when a step does not work.

use crate::{
    groups::{Hand, Output, has},
    member::{Member, State},
    order::{Action, Outcome, RETRY_STOP, STOP_TRIES, Task, UNSAID},
    remark::{Remark, Trouble},
    report::{GroupReport, Standing},
};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat;
use std::sync::Arc;

/// Where a group is going.
#[derive(Debug)]
enum Phase {
    Stopped,
    Failed(Trouble),
    Stuck(Trouble),
    /// Upwards, for the first time since it was acquired.
    Starting,
    /// It was up; what is not now is started again.
    Running,
    /// Downwards, and why if that was not asked for.
    Stopping(Option<Trouble>),
}

#[derive(Debug)]
pub(crate) struct Group {
    key: Arc<str>,
    /// Its place in the configuration; `None`: it is in none any more.
    pub(crate) place: Option<usize>,
    /// In the order of starting; behind them those that leave.
    members: Vec<Member>,
    phase: Phase,
    /// Stops in a row that did not work.
    tries: u32,
    /// When the next attempt of a stop begins.
    again_at: Option<Instant>,
    told: Standing,
    since: Instant,
}

impl Group {
    /// One without resources yet. `going_up`: those that it gets run, and it goes on with them.
    pub(crate) fn new(key: Arc<str>, going_up: bool, now: Instant) -> Group {
        Group {
            key,
            place: None,
            members: Vec::new(),
            phase: if going_up { Phase::Starting } else { Phase::Stopped },
            tries: 0,
            again_at: None,
            told: Standing::Stopped,
            since: now,
        }
    }

    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    pub(crate) fn acquire(&mut self, hand: &mut Hand<'_>) {
        match self.phase {
            Phase::Stopped | Phase::Failed(_) => self.members.iter_mut().for_each(|member| member.failures = 0),
            // What could not be stopped is asked for its status, and taken over if it runs.
            Phase::Stuck(_) => self.members.iter_mut().for_each(|member| member.renew = false),
            Phase::Stopping(None) => {}
            // It is about to be told that it has failed; whoever still wants it here can say so then.
            Phase::Stopping(Some(_)) | Phase::Starting | Phase::Running => return,
        }
        self.turn(Phase::Starting);
        self.advance(hand);
    }

    pub(crate) fn give_up(&mut self, hand: &mut Hand<'_>) {
        match self.phase {
            Phase::Stopped | Phase::Stopping(_) => return,
            Phase::Failed(_) => self.turn(Phase::Stopped),
            Phase::Stuck(_) | Phase::Starting | Phase::Running => {
                self.members.iter_mut().for_each(|member| member.hush(hand));
                self.turn(Phase::Stopping(None));
            }
        }
        self.advance(hand);
    }

    /// An operator says that what could not be stopped has stopped.
    pub(crate) fn confirm(&mut self, hand: &mut Hand<'_>) {
        if let Phase::Stuck(_) = self.phase {
            self.rest();
            self.turn(Phase::Stopped);
            self.advance(hand);
        }
    }

    /// Nothing of it runs: what was to go is gone.
    fn rest(&mut self) {
        self.members.retain(|member| !member.leaving);
        self.members.iter_mut().for_each(Member::stopped);
    }

    /// Lets go of what it is not to have any more and another group of `all` is; with each whether it was going up.
    pub(crate) fn part_with(
        &mut self,
        stays: Option<&heartbeat::Group>,
        all: &[heartbeat::Group],
        moved: &mut Vec<(Member, bool)>,
    ) {
        let going_up = matches!(self.phase, Phase::Starting | Phase::Running);
        let goes = |member: &mut Member| {
            !stays.is_some_and(|group| has(group, member)) && all.iter().any(|group| has(group, member))
        };
        moved.extend(self.members.extract_if(.., goes).map(|member| (member, going_up)));
    }

    /// Takes on what is configured now; `come` are resources that another group had. A resource whose agent is the same
    /// goes on as it is.
    pub(crate) fn change(&mut self, group: heartbeat::Group, place: usize, come: Vec<Member>, hand: &mut Hand<'_>) {
        self.key = group.key.into();
        self.place = Some(place);
        let mut before = std::mem::take(&mut self.members);
        let same = before.iter().map(|member| &*member.resource).eq(&group.resources);
        before.extend(come);
        for resource in group.resources {
            let same = before.iter().position(|member| member.resource.agent == resource.agent);
            let mut member = Member::new(resource);
            if let Some(at) = same {
                let fresh = std::mem::replace(&mut member, before.remove(at));
                member.leaving = false;
                if *member.resource != *fresh.resource {
                    member.take_on(fresh);
                }
            }
            self.members.push(member);
        }
        for mut member in before {
            member.hush(hand);
            if member.may_run() {
                member.leaving = true;
                self.members.push(member);
            }
        }
        if !same && matches!(self.phase, Phase::Failed(_)) {
            self.turn(Phase::Stopped);
        }
        // It came from a group that runs here to one that does not.
        let stray = matches!(self.phase, Phase::Stopped | Phase::Failed(_)) && self.members.iter().any(Member::may_run);
        if stray {
            self.turn(Phase::Stopping(None));
        }
        self.advance(hand);
    }

    fn turn(&mut self, phase: Phase) {
        self.phase = phase;
        self.tries = 0;
        self.again_at = None;
        self.members.iter_mut().for_each(|member| member.doubt = None);
    }

    /// Takes the steps that are possible now: at most one that somebody has to carry out.
    fn advance(&mut self, hand: &mut Hand<'_>) {
        // Each turn lowers or raises a member for good, or ends it.
        while self.again_at.is_none() && !self.members.iter().any(Member::is_stepping) {
            let going = match self.phase {
                Phase::Stopped | Phase::Failed(_) | Phase::Stuck(_) => false,
                Phase::Starting | Phase::Running => self.step_up(hand),
                Phase::Stopping(_) => self.step_down(hand),
            };
            if !going {
                break;
            }
        }
        if let Phase::Starting | Phase::Running = self.phase {
            self.members.iter_mut().for_each(|member| member.watch(hand.now));
        }
    }

    fn step_up(&mut self, hand: &mut Hand<'_>) -> bool {
        if let Some(member) = self.members.iter_mut().rev().find(|member| member.must_stop_first()) {
            member.lower(&self.key, hand);
            return true;
        }
        self.members.retain(|member| !member.leaving);
        match self.members.iter_mut().find(|member| member.state != State::Up) {
            Some(member) => member.raise(&self.key, hand),
            None => {
                self.phase = Phase::Running;
                return false;
            }
        }
        true
    }

    fn step_down(&mut self, hand: &mut Hand<'_>) -> bool {
        if let Some(member) = self.members.iter_mut().rev().find(|member| member.may_run()) {
            member.lower(&self.key, hand);
            return true;
        }
        self.rest();
        let failed = match &mut self.phase {
            Phase::Stopping(failed) => failed.take(),
            Phase::Stopped | Phase::Failed(_) | Phase::Stuck(_) | Phase::Starting | Phase::Running => None,
        };
        self.turn(failed.map_or(Phase::Stopped, Phase::Failed));
        false
    }

    pub(crate) fn is_doing(&self, task: Task) -> bool {
        self.members.iter().any(|member| member.is_doing(task))
    }

    /// Takes the outcome of `task`.
    pub(crate) fn finish(&mut self, task: Task, outcome: Outcome, hand: &mut Hand<'_>) {
        let Some(at) = self.members.iter().position(|member| member.is_doing(task)) else { return };
        if let Some(ended) = self.members.get_mut(at).and_then(|member| member.finish(outcome)) {
            match ended.action {
                Action::Status => self.asked(at, ended, hand),
                Action::Start => self.started(at, ended, hand),
                Action::Stop => self.stopped(at, ended, hand),
                Action::Monitor => self.monitored(at, ended, hand),
            }
        }
        self.advance(hand);
    }

    fn asked(&mut self, at: usize, ended: Trouble, hand: &mut Hand<'_>) {
        let Some(member) = self.members.get_mut(at) else { return };
        if let Some(doubt) = member.doubt.take() {
            // One whose answer may mean nothing is tried as often as heartbeat does first.
            let believed = !member.may_not_know() || self.tries >= STOP_TRIES;
            if ended.outcome == Outcome::NotRunning && believed {
                member.stopped();
                self.tries = 0;
                hand.remark(&self.key, Remark::StoppedAnyway(doubt));
            } else {
                self.stop_again(doubt, hand);
            }
            return;
        }
        let may_run = member.may_run();
        member.state = State::Asked;
        match ended.outcome {
            Outcome::Done => {
                member.state = State::Up;
                member.trusted = true;
                hand.remark(&self.key, Remark::TakenOver(ended.resource));
            }
            Outcome::NotRunning => {}
            Outcome::Failed { .. } | Outcome::TimedOut => {
                if may_run {
                    member.state = State::Unsure;
                }
                hand.remark(&self.key, Remark::Unsure(ended));
            }
        }
    }

    fn started(&mut self, at: usize, ended: Trouble, hand: &mut Hand<'_>) {
        match ended.outcome {
            Outcome::Done => {
                if let Some(member) = self.members.get_mut(at) {
                    member.state = State::Up;
                }
            }
            Outcome::NotRunning | Outcome::Failed { .. } | Outcome::TimedOut => self.fail(ended, hand),
        }
    }

    fn stopped(&mut self, at: usize, ended: Trouble, hand: &mut Hand<'_>) {
        let Some(member) = self.members.get_mut(at) else { return };
        let still_wanted = matches!(self.phase, Phase::Stopping(_)) || member.must_stop_first();
        match ended.outcome {
            Outcome::Done | Outcome::NotRunning => {
                member.stopped();
                self.tries = 0;
            }
            Outcome::Failed { .. } | Outcome::TimedOut => {
                member.state = State::Touched;
                // Turned round in the meantime, the resource is asked whether it runs anyway. Else it is asked because there
                // are scripts that fail to stop what does not run: heartbeat asks them as well before it restarts the host.
                if still_wanted {
                    self.tries += 1;
                    member.doubt = Some(ended);
                    member.ask(&self.key, hand);
                }
            }
        }
    }

    fn stop_again(&mut self, trouble: Trouble, hand: &mut Hand<'_>) {
        if self.tries < STOP_TRIES {
            self.again_at = Some(hand.now + RETRY_STOP);
            hand.remark(&self.key, Remark::StopAgain { trouble, attempt: self.tries });
            return;
        }
        self.members.iter_mut().for_each(|member| member.hush(hand));
        if self.place.is_none() {
            hand.remark(&self.key, Remark::GoneStuck(trouble.clone()));
        }
        self.turn(Phase::Stuck(trouble));
    }

    fn monitored(&mut self, at: usize, ended: Trouble, hand: &mut Hand<'_>) {
        let Some(member) = self.members.get_mut(at) else { return };
        if ended.outcome == Outcome::Done {
            member.trusted = true;
            member.failures = 0;
            return;
        }
        if member.may_not_know() {
            member.unsaid = member.unsaid.saturating_add(1);
            if member.unsaid == UNSAID {
                hand.remark(&self.key, Remark::Unwatched(ended.resource));
            }
            return;
        }
        member.failures = member.failures.saturating_add(1);
        let (failures, of) = (member.failures, member.resource.monitor.map_or(0, |monitor| monitor.restarts));
        if failures > of {
            self.fail(ended, hand);
            return;
        }
        hand.remark(&self.key, Remark::Restarted { trouble: ended, failures, of });
        // An address is put back beneath what uses it; anything else takes down with it what was started after it.
        if member.is_address() {
            member.state = State::Touched;
            return;
        }
        for member in self.members.iter_mut().skip(at).filter(|member| member.may_run()) {
            member.hush(hand);
            member.renew = true;
        }
    }

    /// It cannot run here: what was started is stopped.
    fn fail(&mut self, trouble: Trouble, hand: &mut Hand<'_>) {
        if let Phase::Starting | Phase::Running = self.phase {
            self.members.iter_mut().for_each(|member| member.hush(hand));
            self.turn(Phase::Stopping(Some(trouble)));
        }
    }

    /// Does what has become due.
    pub(crate) fn tick(&mut self, hand: &mut Hand<'_>) {
        while let Some(task) = self.members.iter().find_map(|member| member.overdue(hand.now)) {
            hand.out.push(Output::Cancel(task));
            self.finish(task, Outcome::TimedOut, hand);
        }
        if self.again_at.take_if(|at| *at <= hand.now).is_some() {
            self.advance(hand);
        }
        self.members.iter_mut().for_each(|member| member.look(&self.key, hand));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.members.iter().filter_map(Member::deadline).chain(self.again_at).min()
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.phase {
            Phase::Stopped => Standing::Stopped,
            Phase::Failed(_) => Standing::Failed,
            Phase::Stuck(_) => Standing::Stuck,
            Phase::Starting => Standing::Starting,
            Phase::Running => Standing::Running,
            Phase::Stopping(_) => Standing::Stopping,
        }
    }

    fn why(&self) -> Option<&Trouble> {
        match &self.phase {
            Phase::Failed(why) | Phase::Stuck(why) | Phase::Stopping(Some(why)) => Some(why),
            Phase::Stopped | Phase::Starting | Phase::Running | Phase::Stopping(None) => None,
        }
    }

    /// Tells how it stands, if that has changed or `again` says so.
    pub(crate) fn tell(&mut self, again: bool, hand: &mut Hand<'_>) {
        let standing = self.standing();
        if standing != self.told {
            self.told = standing;
            self.since = hand.now;
        } else if !again {
            return;
        }
        if let Some(group) = self.place {
            hand.out.push(Output::Turned { group, standing, why: self.why().cloned() });
        }
    }

    pub(crate) fn report(&self) -> GroupReport {
        GroupReport {
            key: Arc::clone(&self.key),
            configured: self.place.is_some(),
            standing: self.standing(),
            since: self.since,
            why: self.why().cloned(),
            resources: self.members.iter().map(Member::report).collect(),
        }
    }
}

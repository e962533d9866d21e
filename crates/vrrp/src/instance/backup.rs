//! The part of a backup (RFC 9568 6.4.2): it waits for the silence of a master.

use super::{Instance, Output, Pending, State, Waiting, Why};
use crate::Heard;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::vrrp::Preempt;
use std::time::Duration;

impl Instance {
    /// RFC 9568 6.1: the higher the priority, the sooner; never 0, so that equal routers do not tie.
    pub(super) fn skew(&self, interval: Duration) -> Duration {
        interval * (256 - u32::from(self.priority().get())) / 256
    }

    pub(super) fn due(&self, waiting: &Waiting) -> Option<Instant> {
        match waiting.pending {
            Pending::Silence { intervals } => {
                Some(waiting.since + waiting.interval * u32::from(intervals) + self.skew(waiting.interval))
            }
            Pending::MasterLeft => Some(waiting.since + self.skew(waiting.interval)),
            Pending::Late(at) => Some(at),
            Pending::Group => None,
        }
    }

    /// Begins to wait for `intervals` of `interval`.
    pub(super) fn wait(&mut self, now: Instant, intervals: u8, interval: Duration, why: Why, out: &mut Outbox<Output>) {
        let pending = Pending::Silence { intervals };
        let waiting = Waiting {
            interval,
            since: now.max(self.not_before),
            pending,
            late: 0,
            master: None,
            preempt_at: None,
            owes_word: false,
        };
        self.turn(State::Backup(waiting), why, out);
    }

    /// The time of a backup has come.
    pub(super) fn stand(&mut self, now: Instant, why: Why, out: &mut Outbox<Output>) {
        let grouped = self.grouped;
        match &mut self.state {
            State::Backup(waiting) if grouped => {
                waiting.pending = Pending::Group;
                out.push(Output::Candidate);
            }
            State::Backup(_) => self.rule(now, why, out),
            State::Stopped | State::Fault | State::Master(_) | State::Leaving { .. } => {}
        }
    }

    /// A silent loser: the winner does not know that there was another.
    pub(super) fn owe_word(&mut self) {
        if let State::Backup(waiting) = &mut self.state {
            waiting.owes_word = true;
        }
    }

    pub(super) fn heard_as_backup(
        &mut self,
        now: Instant,
        mut waiting: Waiting,
        heard: Heard,
        out: &mut Outbox<Output>,
    ) {
        let own = self.priority().get();
        if waiting.owes_word && (heard.priority, Some(heard.source)) > (own, self.address) {
            out.push(Output::Advertise { priority: own });
            waiting.owes_word = false;
        }
        if heard.priority == 0 {
            // RFC 9568 6.4.2 (425). Only the master's own last word counts.
            if waiting.master.is_none_or(|master| master == heard.source) {
                waiting.since = now;
                waiting.pending = Pending::MasterLeft;
            }
        } else {
            let lower = heard.priority < own;
            let bears = match self.settings.preempt {
                Preempt::No => true,
                Preempt::After(delay) if lower => {
                    let until = *waiting.preempt_at.get_or_insert(now + delay);
                    now < until || !self.ready
                }
                Preempt::After(_) => {
                    waiting.preempt_at = None;
                    true
                }
            };
            waiting.master = Some(heard.source);
            if bears || !lower {
                waiting.interval = heard.interval;
                waiting.since = now;
                waiting.pending = Pending::Silence { intervals: self.settings.down_adverts };
                waiting.late = 0;
            }
        }
        self.state = State::Backup(waiting);
    }
}

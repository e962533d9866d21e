//! A new configuration for an instance that runs: its part stays what it is.

use super::{Instance, Pending, Settings, State, Waiting};
use crate::{Output, Why};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::vrrp::Priority;

impl Instance {
    /// Goes on by other settings. A master says its new interval and priority at once, so that no peer waits for what
    /// the old ones promised.
    pub(crate) fn change(&mut self, now: Instant, settings: Settings, out: &mut Outbox<Output>) {
        if self.settings == settings {
            return;
        }
        self.thaw(now, out);
        let before = std::mem::replace(&mut self.settings, settings);
        match self.state {
            State::Backup(mut waiting) => {
                // Without a master it waits for its own time.
                if waiting.master.is_none() {
                    waiting.interval = self.settings.interval;
                }
                if let Pending::Silence { intervals } = &mut waiting.pending
                    && *intervals == before.down_adverts
                {
                    *intervals = self.settings.down_adverts;
                }
                waiting.preempt_at = None;
                self.state = State::Backup(waiting);
                if self.priority() == Priority::OWNER && before.priority != Priority::OWNER {
                    self.stand(now, Why::Owner, out);
                }
            }
            State::Master(mut mastery) => {
                self.advertise(now, &mut mastery, out);
                self.state = State::Master(mastery);
            }
            State::Stopped | State::Fault | State::Leaving { .. } => {}
        }
    }

    /// Becomes a member of a sync group, or leaves it: one that waits for its group need not any more.
    pub(crate) fn join(&mut self, now: Instant, grouped: bool, out: &mut Outbox<Output>) {
        self.grouped = grouped;
        if !grouped && matches!(self.state, State::Backup(Waiting { pending: Pending::Group, .. })) {
            self.rule(now, Why::Silence, out);
        }
    }
}

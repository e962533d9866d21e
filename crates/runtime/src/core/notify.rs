//! Telling scripts, FIFOs and mailboxes of what happens.

use super::Core;
use crate::{commands, notify::Errand};
use evenkeel_api::{Event, Severity};
use evenkeel_engine::Input;
use evenkeel_ha::News;
use evenkeel_model::notify::{Bracket, Moment};
use evenkeel_vrrp::{Notice, Role};

impl Core {
    /// Does what telling of a change takes; failures come as events behind the effects at hand.
    pub(crate) fn run_errands(&mut self, errands: Vec<Errand>) {
        for errand in errands {
            match errand {
                Errand::Run(order) => self.order(order),
                Errand::Refused(command, why) => self.report(Input::Tell(Event::CommandFailed { command, why })),
                Errand::Send(letter) => self.post(letter),
                Errand::Say(text) => self.say(Severity::Warning, &text),
            }
        }
    }

    /// What news of elections ask for.
    pub(super) fn notify_election(&mut self, news: &News) -> Vec<Errand> {
        match news {
            News::Turned { instance, to, priority, .. } => {
                let moment = match to {
                    Role::Master => Moment::Master,
                    Role::Backup => Moment::Backup,
                    Role::Fault => Moment::Fault,
                    Role::Stopped => Moment::Stop,
                    // It has the addresses still.
                    Role::Leaving => return Vec::new(),
                };
                self.notifier.turned(instance, moment, *priority)
            }
            News::Noticed { instance, notice: Notice::Lower { .. } } => self.notifier.lower_heard(instance),
            News::Priority { instance, priority, .. } => self.notifier.priority_changed(instance, *priority),
            News::Tracked { .. }
            | News::Noticed { .. }
            | News::Wrong { .. }
            | News::Bfd { .. }
            | News::BfdDropped { .. }
            | News::Report(_)
            | News::Trouble(_) => Vec::new(),
        }
    }

    /// Runs the startup script and waits for it.
    pub(crate) async fn run_bracket(&mut self, bracket: &Bracket) {
        let failed = match self.notifier.bracket(bracket) {
            Ok(order) => commands::run(&order).await.err().map(|why| (order.to_string(), why)),
            Err(refused) => Some(refused),
        };
        if let Some((program, why)) = failed {
            self.say(Severity::Warning, &format!("the startup script `{program}` failed: {why}"));
        }
    }
}

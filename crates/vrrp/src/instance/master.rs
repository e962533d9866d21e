//! The part of a master (RFC 9568 6.4.3): it speaks, holds the addresses and yields to a better one.

use super::{Instance, Mastery, Notice, Output, Pending, State, Why};
use crate::{Heard, announce::Announcements, lease};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::vrrp::Priority;

impl Instance {
    /// Becomes master: the word first, then the addresses, then their announcement. Whoever replaces a master that still
    /// serves has the addresses before it says so: its word makes the other one let them go.
    pub(super) fn rule(&mut self, now: Instant, why: Why, out: &mut Outbox<Output>) {
        let lease = lease::Lease::new(now);
        let (announcements, rounds) = Announcements::begin(now, &self.settings.rounds);
        let advertise_at = now + self.settings.interval;
        let word = Output::Advertise { priority: self.priority().get() };
        for output in if self.is_served() { [Output::Hold, word] } else { [word, Output::Hold] } {
            out.push(output);
        }
        out.push(Output::Announce { rounds });
        self.turn(State::Master(Mastery { advertise_at, advertised: now, lease, announcements }), why, out);
    }

    /// Whether somebody may have the addresses still: a lower master, or one that leaves.
    pub(super) fn is_served(&self) -> bool {
        match self.state {
            State::Backup(waiting) => waiting.preempt_at.is_some() || waiting.pending == Pending::MasterLeft,
            State::Stopped | State::Fault | State::Master(_) | State::Leaving { .. } => false,
        }
    }

    pub(super) fn advertise(&self, now: Instant, mastery: &mut Mastery, out: &mut Outbox<Output>) {
        out.push(Output::Advertise { priority: self.priority().get() });
        mastery.advertised = now;
        mastery.advertise_at = now + self.settings.interval;
    }

    pub(super) fn heard_as_master(
        &mut self,
        now: Instant,
        mut mastery: Mastery,
        heard: Heard,
        out: &mut Outbox<Output>,
    ) {
        let own = self.priority();
        if own == Priority::OWNER {
            // RFC 9568 7.1: an owner listens to nobody; a second owner is a mistake of configuration.
            if heard.priority == own.get() {
                out.push(Output::Noticed(Notice::SecondOwner { source: heard.source }));
            }
            return;
        }
        if heard.priority == 0 {
            // RFC 9568 6.4.3 (705).
            self.advertise(now, &mut mastery, out);
            self.state = State::Master(mastery);
            return;
        }
        let better = (heard.priority, Some(heard.source)) > (own.get(), self.address);
        if better {
            let why = Why::Better { source: heard.source, priority: heard.priority };
            // The last word: the winner hears a lower master and announces the addresses again.
            out.push(Output::Advertise { priority: own.get() });
            out.push(Output::Release);
            self.wait(now, self.settings.down_adverts, heard.interval, why, out);
            if let State::Backup(waiting) = &mut self.state {
                waiting.master = Some(heard.source);
            }
            return;
        }
        out.push(Output::Noticed(Notice::Lower { source: heard.source, priority: heard.priority }));
        if self.settings.answer_lower {
            // RFC 9568 6.4.3 (745): for the other master and for bridges that learn.
            self.advertise(now, &mut mastery, out);
        }
        if let Some(rounds) = mastery.announcements.contested(now, &self.settings.rounds) {
            out.push(Output::Announce { rounds });
        }
        self.state = State::Master(mastery);
    }

    /// A master that did not run for so long that a peer may have the addresses is none any more, whatever it is told
    /// first. Whoever has them speaks within an interval.
    pub(super) fn thaw(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if let State::Master(mastery) = self.state {
            let silent = now - mastery.advertised;
            if silent >= self.settings.interval * u32::from(self.settings.down_adverts) {
                out.push(Output::Release);
                self.wait(now, 1, self.settings.interval, Why::Frozen { silent }, out);
                self.owe_word();
            }
        }
    }

    /// What a master does in its time.
    pub(super) fn serve(&mut self, now: Instant, mut mastery: Mastery, out: &mut Outbox<Output>) {
        if now >= mastery.advertise_at {
            out.push(Output::Advertise { priority: self.priority().get() });
            mastery.advertised = now;
            // The beat does not drift; what was missed is not made up for.
            let next = mastery.advertise_at + self.settings.interval;
            mastery.advertise_at = if next > now { next } else { now + self.settings.interval };
        }
        let due = mastery.lease.due(now);
        if due != lease::Due::Later {
            mastery.lease = lease::Lease::new(now);
            out.push(Output::Hold);
        }
        if due == lease::Due::Lapsed {
            out.push(Output::Announce { rounds: self.settings.rounds.burst });
        }
        if let Some(rounds) = mastery.announcements.due(now, &self.settings.rounds) {
            out.push(Output::Announce { rounds });
        }
        self.state = State::Master(mastery);
    }

    /// Leaves mastery, if it has it, with a word that it does.
    pub(super) fn yield_addresses(&self, out: &mut Outbox<Output>) {
        match self.state {
            State::Master(_) => {
                if self.address.is_some() {
                    out.push(Output::Advertise { priority: 0 });
                }
                out.push(Output::Release);
            }
            State::Leaving { .. } => out.push(Output::Release),
            State::Stopped | State::Fault | State::Backup(_) => {}
        }
    }
}

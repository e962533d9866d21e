//! When a master tells the link where its addresses are: gratuitous ARP (RFC 5227 3) and unsolicited neighbour
//! advertisements (RFC 4861 7.2.6), on the schedule of keepalived's `garp_master_*` words.

use evenkeel_machine::Instant;
use evenkeel_model::vrrp::Rounds;
use std::time::Duration;

/// What is still to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcements {
    again: Option<(Instant, u8)>,
    refresh_at: Option<Instant>,
    /// Since when contested bursts are counted, and how many there were.
    contested: (Instant, u8),
}

/// Bursts a second that other masters can cause.
pub(crate) const CONTESTED_BOUND: u8 = 4;

/// `None` for no time at all.
fn after(now: Instant, wait: Duration) -> Option<Instant> {
    (!wait.is_zero()).then(|| now + wait)
}

impl Announcements {
    /// Of a new master, and the rounds to send now.
    pub(crate) fn begin(now: Instant, rounds: &Rounds) -> (Announcements, u8) {
        let again = after(now, rounds.again_after).map(|at| (at, rounds.burst));
        (Announcements { again, refresh_at: after(now, rounds.refresh), contested: (now, 0) }, rounds.burst)
    }

    /// After another master was heard: the rounds to send now, [`CONTESTED_BOUND`] times a second at most, so that a
    /// noisy neighbour does not set the pace.
    pub(crate) fn contested(&mut self, now: Instant, rounds: &Rounds) -> Option<u8> {
        let (since, bursts) = &mut self.contested;
        if now - *since >= Duration::from_secs(1) {
            (*since, *bursts) = (now, 0);
        }
        if rounds.contested_burst == 0 || *bursts >= CONTESTED_BOUND {
            return None;
        }
        *bursts += 1;
        self.again = after(now, rounds.contested_again_after).map(|at| (at, rounds.contested_burst));
        Some(rounds.contested_burst)
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        match (self.again, self.refresh_at) {
            (Some((again, _)), Some(refresh)) => Some(again.min(refresh)),
            (again, refresh) => again.map(|(at, _)| at).or(refresh),
        }
    }

    /// The rounds that are due.
    pub(crate) fn due(&mut self, now: Instant, rounds: &Rounds) -> Option<u8> {
        let again = self.again.take_if(|(at, _)| *at <= now).map(|(_, rounds)| rounds);
        let refresh = self.refresh_at.filter(|at| *at <= now).map(|_| rounds.refresh_burst);
        if refresh.is_some() {
            self.refresh_at = after(now, rounds.refresh);
        }
        again.max(refresh)
    }
}

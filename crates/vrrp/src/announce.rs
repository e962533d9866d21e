//! When a master tells the link where its addresses are: gratuitous ARP (RFC 5227 3) and unsolicited neighbour
//! advertisements (RFC 4861 7.2.6), on the schedule of keepalived's `garp_master_*` words.

use evenkeel_machine::Instant;
use std::time::Duration;

/// How often and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// Back to back on becoming master (`garp_master_repeat`).
    pub burst: u8,
    /// Until the same once more (`garp_master_delay`); 0: not again.
    pub again_after: Duration,
    /// Between refreshes for as long as it is master (`garp_master_refresh`); 0: none. They repair what nobody noticed:
    /// a master that died while the link was split, a switch that forgot.
    pub refresh: Duration,
    /// Rounds of a refresh (`garp_master_refresh_repeat`).
    pub refresh_burst: u8,
    /// After a lower master was heard (`garp_lower_prio_repeat`).
    pub contested_burst: u8,
    /// Until the same once more (`garp_lower_prio_delay`); 0: not again.
    pub contested_again_after: Duration,
}

impl Default for Rounds {
    /// As keepalived has them, but for the refresh, which it leaves out.
    fn default() -> Rounds {
        Rounds {
            burst: 5,
            again_after: Duration::from_secs(5),
            refresh: Duration::from_secs(60),
            refresh_burst: 1,
            contested_burst: 5,
            contested_again_after: Duration::from_secs(5),
        }
    }
}

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

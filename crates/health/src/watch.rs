//! The check machine of one target.

use crate::{Counts, Last, Phase, Reason, State, Status, Verdict, Weighing};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::{Check, Probe, Rhythm};
use std::time::Duration;

/// What an attempt may take beyond its timeout before the watch stops waiting for its verdict.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long an ordered attempt may wait for its turn; after [`Input::Begun`] it no longer counts.
pub const QUEUE_ALLOWANCE: Duration = Duration::from_secs(30);

/// The least time between two attempts, whatever the rhythm says.
pub const MIN_WAIT: Duration = Duration::from_millis(10);

/// What a watch is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin to watch; the first attempt is made at once.
    Start,
    /// Cease; an attempt in flight is cancelled and the state becomes unknown.
    Stop,
    /// The attempt got its turn: from now on its timeout runs.
    Begun {
        /// As given in [`Output::Probe`].
        attempt: u64,
    },
    /// The attempt has ended.
    Verdict {
        /// As given in [`Output::Probe`]; a verdict of any other attempt is ignored.
        attempt: u64,
        /// What it found.
        verdict: Verdict,
    },
    /// Make an attempt now, or at once after the one in flight.
    Recheck,
    /// What a watch that makes no attempts is told instead.
    News {
        /// What was found.
        verdict: Verdict,
    },
    /// Make no attempts until [`Input::Wake`]; what is known stays.
    Rest,
    /// Go on, with an attempt at once.
    Wake,
}

/// What a watch wants done or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make an attempt with the rhythm's timeout and report with its number.
    Probe {
        /// Names the attempt; grows by one each time.
        attempt: u64,
        /// The check's probe or the plain connect between two of them.
        which: Which,
    },
    /// Give up this attempt; its verdict is no longer wanted.
    Cancel {
        /// As given in [`Output::Probe`].
        attempt: u64,
    },
    /// The real server has come up.
    Up,
    /// The real server has gone down, or is found to be down at the start.
    Down {
        /// Why the last attempt failed.
        why: Reason,
    },
    /// An attempt failed and the state stays: it was down already, or too few have failed in a row.
    Failed {
        /// Why.
        why: Reason,
    },
}

/// Which probe an attempt sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The check's own.
    Main,
    /// A TCP connect to the same target, as ldirectord's `checktype=N` makes them between two of its own.
    Connect,
}

impl Which {
    /// The probe to send for `check`.
    pub fn probe(self, check: &Check) -> Probe {
        match (self, connect_target(&check.probe)) {
            (Which::Connect, Some(target)) => Probe::Tcp { target },
            (Which::Connect, None) | (Which::Main, _) => check.probe.clone(),
        }
    }
}

/// Watches one target.
#[derive(Clone, Debug)]
pub struct Watch {
    rhythm: Rhythm,
    connects_between: u32,
    /// The verdict of a check that needs no attempts.
    fixed: Option<Verdict>,
    /// It is told and makes no attempts.
    told: bool,
    resting: bool,
    rng: Rng,
    phase: Activity,
    attempts: u64,
    connects_left: u32,
    status: Status,
}

#[derive(Clone, Copy, Debug)]
enum Activity {
    Stopped,
    /// `checkinterval` and friends run from the end of the last attempt.
    Waiting {
        since: Instant,
        share: u32,
    },
    Probing {
        attempt: u64,
        begun: bool,
        given_up_at: Instant,
        again: bool,
    },
    /// Of a check that needs no attempts.
    Fixed,
    /// No attempts are made for now.
    Resting,
}

/// Denominator of the random share of a wait.
const SHARES: u32 = 1000;

impl Watch {
    /// A watch for `check`, stopped. `rng` spreads the attempts of many watches in time.
    pub fn new(check: &Check, rng: Rng) -> Watch {
        let fixed = match &check.probe {
            Probe::AlwaysOn => Some(Verdict::good("check is set to always on", Duration::ZERO)),
            Probe::AlwaysOff => Some(Verdict::bad(Reason::AlwaysOff, Duration::ZERO)),
            Probe::Tcp { .. }
            | Probe::Ping { .. }
            | Probe::Http(_)
            | Probe::Script(_)
            | Probe::Udp(_)
            | Probe::Dns(_)
            | Probe::Smtp { .. }
            | Probe::File(_)
            | Probe::Bfd { .. }
            | Probe::All(_) => None,
        };
        let connects_between = if connect_target(&check.probe).is_some() { check.connects_between } else { 0 };
        Watch {
            rhythm: check.rhythm,
            connects_between,
            fixed,
            told: matches!(check.probe, Probe::Bfd { .. }),
            resting: false,
            rng,
            phase: Activity::Stopped,
            attempts: 0,
            connects_left: 0,
            status: Status {
                state: State::Unknown,
                since: Instant::START,
                last: None,
                last_good: None,
                counts: Counts::default(),
                streak: 0,
                weighing: Weighing::None,
            },
        }
    }

    /// What the check makes of the real server's weight.
    pub fn weighing(&self) -> Weighing {
        self.status.weighing
    }

    /// Whether it makes no attempts until it is woken.
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    /// What is known.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The timeout to give to the next attempt.
    pub fn timeout(&self) -> Duration {
        self.rhythm.timeout
    }

    /// When the next attempt is made; `None` while one is in flight or the watch is stopped.
    pub fn next_attempt(&self) -> Option<Instant> {
        match self.phase {
            Activity::Waiting { since, share } => Some(since + self.wait(share)),
            Activity::Stopped | Activity::Probing { .. } | Activity::Fixed | Activity::Resting => None,
        }
    }

    /// Takes a new rhythm. Neither the state nor the count of attempts in a row changes, so no real server flaps; a
    /// wait under way is measured anew, an attempt in flight keeps its deadline.
    pub fn reconfigure(&mut self, rhythm: Rhythm) {
        self.rhythm = rhythm;
    }

    /// Begins from a state known from elsewhere (the table a daemon before this one left, the watch of an older form
    /// of the check) instead of from unknown. It takes a full run of attempts to leave it.
    pub fn assume(&mut self, now: Instant, state: State) {
        self.status.state = state;
        self.status.since = now;
        self.status.counts = Counts::default();
        self.status.streak = 0;
    }

    fn start(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if !matches!(self.phase, Activity::Stopped) {
            return;
        }
        if self.status.state == State::Unknown {
            self.status.since = now;
        }
        match self.fixed.clone() {
            Some(verdict) => {
                self.phase = Activity::Fixed;
                self.settle_fixed(now, verdict, out);
            }
            None if self.told => self.phase = Activity::Fixed,
            None if self.resting => self.phase = Activity::Resting,
            None => self.probe(now, out),
        }
    }

    fn rest(&mut self, out: &mut Outbox<Output>) {
        self.resting = true;
        match self.phase {
            Activity::Probing { attempt, .. } => {
                out.push(Output::Cancel { attempt });
                self.phase = Activity::Resting;
            }
            Activity::Waiting { .. } => self.phase = Activity::Resting,
            Activity::Stopped | Activity::Fixed | Activity::Resting => {}
        }
    }

    fn wake(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.resting = false;
        if matches!(self.phase, Activity::Resting) {
            self.probe(now, out);
        }
    }

    fn stop(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if let Activity::Probing { attempt, .. } = self.phase {
            out.push(Output::Cancel { attempt });
        }
        self.phase = Activity::Stopped;
        self.connects_left = 0;
        self.assume(now, State::Unknown);
    }

    fn settle_fixed(&mut self, now: Instant, verdict: Verdict, out: &mut Outbox<Output>) {
        let state = if verdict.is_good() { State::Up } else { State::Down };
        let changed = self.status.state != state;
        if changed {
            out.push(match verdict.reason() {
                None => Output::Up,
                Some(why) => Output::Down { why: why.clone() },
            });
            self.assume(now, state);
        }
        self.status.last = Some(Last { at: now, verdict });
    }

    fn probe(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.attempts += 1;
        // A connect proves less than the probe, so it may keep a real server up but never bring one up.
        let which = match self.status.state {
            State::Up if self.connects_left > 0 => {
                self.connects_left -= 1;
                Which::Connect
            }
            State::Unknown | State::Up | State::Down => {
                self.connects_left = self.connects_between;
                Which::Main
            }
        };
        self.phase = Activity::Probing {
            attempt: self.attempts,
            begun: false,
            given_up_at: now + QUEUE_ALLOWANCE + self.rhythm.timeout + GRACE,
            again: false,
        };
        out.push(Output::Probe { attempt: self.attempts, which });
    }

    fn begun(&mut self, now: Instant, number: u64) {
        if let Activity::Probing { attempt, begun, given_up_at, .. } = &mut self.phase
            && *attempt == number
            && !*begun
        {
            *begun = true;
            *given_up_at = now + self.rhythm.timeout + GRACE;
        }
    }

    fn ended(&mut self, now: Instant, number: u64, verdict: Verdict, out: &mut Outbox<Output>) {
        let Activity::Probing { attempt, again, .. } = self.phase else { return };
        if attempt != number {
            return;
        }
        let first = self.status.last.is_none();
        self.judge(now, verdict, out);
        if again {
            self.probe(now, out);
        } else {
            self.phase = Activity::Waiting { since: now, share: self.share(first) };
        }
    }

    /// Counts the verdict and changes the state when enough agree.
    fn judge(&mut self, now: Instant, verdict: Verdict, out: &mut Outbox<Output>) {
        let good = verdict.is_good();
        let status = &mut self.status;
        let same = status.last.as_ref().is_some_and(|last| last.verdict.is_good() == good) && status.streak > 0;
        status.streak = if same { status.streak.saturating_add(1) } else { 1 };
        status.counts.made += 1;
        status.counts.failed += u64::from(!good);
        if good {
            status.last_good = Some(now);
        } else {
            self.connects_left = 0;
        }
        let reached = if good { State::Up } else { State::Down };
        let needed = if good { self.rhythm.rise } else { self.rhythm.fall };
        let changes = status.state != reached && status.streak >= needed;
        if changes {
            status.state = reached;
            status.since = now;
            let streak = u64::from(status.streak);
            status.counts = Counts { made: streak, failed: if good { 0 } else { streak } };
        }
        if good {
            status.weighing = verdict.weighing;
        } else if status.state == State::Down {
            status.weighing = Weighing::None;
        }
        match verdict.reason() {
            None if changes => out.push(Output::Up),
            None => {}
            Some(why) if changes => out.push(Output::Down { why: why.clone() }),
            Some(why) => out.push(Output::Failed { why: why.clone() }),
        }
        status.last = Some(Last { at: now, verdict });
    }

    /// How much of the next wait is waited, in [`SHARES`].
    fn share(&mut self, first: bool) -> u32 {
        // Checks that are started together would otherwise stay together and come in bursts for ever.
        let spread = if first { SHARES } else { u32::from(self.rhythm.jitter_percent.min(50)) * SHARES / 100 };
        let shortened = u32::try_from(self.rng.below(u64::from(spread) + 1)).unwrap_or(spread);
        SHARES.saturating_sub(shortened)
    }

    fn wait(&self, share: u32) -> Duration {
        let failed = self.status.last.as_ref().is_some_and(|last| !last.verdict.is_good());
        let undecided = failed && self.status.state != State::Down;
        let full = match self.rhythm.retry_after {
            Some(retry_after) if undecided => retry_after.min(self.rhythm.every),
            Some(_) | None => self.rhythm.every,
        };
        let shortened = full / SHARES * (SHARES - share);
        (full - shortened).max(MIN_WAIT)
    }
}

impl Machine for Watch {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        match input {
            Input::Start => self.start(now, out),
            Input::Stop => self.stop(now, out),
            Input::Begun { attempt } => self.begun(now, attempt),
            Input::Verdict { attempt, verdict } => self.ended(now, attempt, verdict, out),
            Input::Recheck => match &mut self.phase {
                Activity::Waiting { .. } => self.probe(now, out),
                Activity::Probing { again, .. } => *again = true,
                Activity::Stopped | Activity::Fixed | Activity::Resting => {}
            },
            Input::News { verdict } => {
                if self.told && matches!(self.phase, Activity::Fixed) {
                    self.judge(now, verdict, out);
                }
            }
            Input::Rest => self.rest(out),
            Input::Wake => self.wake(now, out),
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Activity::Waiting { .. } => self.probe(now, out),
            Activity::Probing { attempt, begun, .. } => {
                out.push(Output::Cancel { attempt });
                let after = self.rhythm.timeout + if begun { GRACE } else { GRACE + QUEUE_ALLOWANCE };
                let why = Reason::Timeout { phase: Phase::Report, after };
                self.ended(now, attempt, Verdict::bad(why, after), out);
            }
            Activity::Stopped | Activity::Fixed | Activity::Resting => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Activity::Waiting { since, share } => Some(since + self.wait(share)),
            Activity::Probing { given_up_at, .. } => Some(given_up_at),
            Activity::Stopped | Activity::Fixed | Activity::Resting => None,
        }
    }
}

/// Where a plain TCP connect to the probe's target goes; `None` for a probe without a TCP target.
fn connect_target(probe: &Probe) -> Option<std::net::SocketAddr> {
    match probe {
        Probe::Tcp { target } => Some(*target),
        Probe::Http(http) => Some(http.target),
        Probe::AlwaysOn
        | Probe::AlwaysOff
        | Probe::Ping { .. }
        | Probe::Script(_)
        | Probe::Udp(_)
        | Probe::Dns(_)
        | Probe::Smtp { .. }
        | Probe::File(_)
        | Probe::Bfd { .. }
        | Probe::All(_) => None,
    }
}

#[cfg(test)]
mod tests;

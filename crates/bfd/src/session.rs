//! One session in asynchronous mode (RFC 5880 6.8).
//!
//! ```text
//!            Down heard             Init or Up heard
//!   Down ───────────────► Init ───────────────────────► Up
//!    ▲ │     Init heard                                 ▲ │
//!    │ └────────────────────────────────────────────────┘ │
//!    └─────── AdminDown heard, silence; Up: Down heard ◄──┘
//! ```
//!
//! Beyond the RFC: a detection time that ends late by this node's own fault is no silence of the neighbour's, who may
//! have spoken meanwhile; it is waited for once more.

use crate::{Control, Diagnostic, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd;
use std::{
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

/// How often in a row the end of a detection time is put off because this node itself was late.
pub const LATE_BOUND: u8 = 3;

/// The least lateness of a timer that is not the machine's everyday noise.
pub const LATE: Duration = Duration::from_millis(5);

/// How a session is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least time between packets while it is up (bfd.DesiredMinTxInterval).
    pub transmit: Duration,
    /// The least time between packets that this node can bear (bfd.RequiredMinRxInterval).
    pub receive: Duration,
    /// The least time between packets while it is not up; at least 1 s.
    pub idle: Duration,
    /// Packets that the neighbour may miss (bfd.DetectMult).
    pub multiplier: NonZeroU8,
    /// Wait until the neighbour speaks.
    pub passive: bool,
}

impl From<&bfd::Session> for Settings {
    fn from(session: &bfd::Session) -> Settings {
        Settings {
            transmit: session.transmit.get(),
            receive: session.receive.get(),
            idle: session.idle.max(bfd::Interval::LEAST_IDLE).get(),
            multiplier: session.multiplier,
            passive: session.passive,
        }
    }
}

/// What a session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin.
    Start,
    /// End, and say so: the neighbour is not to take it for a failure.
    Stop,
    /// A packet of the neighbour.
    Received(Control),
    /// Be held in another way, without going down.
    Change(Settings),
}

/// What a session wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the neighbour.
    Send(Control),
    /// Its state has changed.
    Turned {
        /// What it was.
        from: State,
        /// What it is.
        to: State,
        /// Why it is not up.
        diagnostic: Diagnostic,
    },
    /// Something else of its [`Standing`] has changed.
    Agreed,
    /// Its own timer came so late that the neighbour was given more time.
    Late {
        /// By how much.
        by: Duration,
    },
}

/// How a session stands, for those who look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of this end.
    pub state: State,
    /// Why this end was last not up.
    pub diagnostic: Diagnostic,
    /// Of the other end, as it last said.
    pub remote_state: State,
    /// Why the other end was last not up, as it last said.
    pub remote_diagnostic: Diagnostic,
    /// Between packets to the neighbour, before jitter takes up to a quarter of it.
    pub transmit: Duration,
    /// The most between packets from the neighbour.
    pub receive: Duration,
    /// Silence after which the neighbour counts as gone.
    pub detection: Duration,
}

/// What the other end said last.
#[derive(Clone, Copy, Debug)]
struct Remote {
    state: State,
    diagnostic: Diagnostic,
    transmit: Duration,
    receive: Duration,
    demand: bool,
    multiplier: NonZeroU8,
}

/// A change of intervals that the other end is to confirm (RFC 5880 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    None,
    Asked,
    /// Something changed since: one at a time, so it is asked once more.
    AskAgain,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    settings: Settings,
    /// While it is up: what the other end is sure to know, of both intervals.
    used: (Duration, Duration),
    mine: NonZeroU32,
    /// 0: not known.
    yours: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    poll: Poll,
    sent: Option<Instant>,
    send_at: Option<Instant>,
    /// The interval that `send_at` was made of.
    paced: Duration,
    expire_at: Option<Instant>,
    late: u8,
    rng: Rng,
}

impl Session {
    /// One that is not begun. `mine` is no other session's of this node; `rng` is for the jitter.
    pub fn new(settings: Settings, mine: NonZeroU32, rng: Rng) -> Session {
        // RFC 5880 6.8.1: the other end is taken to bear a packet a microsecond until it says otherwise.
        let remote = Remote {
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            transmit: Duration::ZERO,
            receive: Duration::from_micros(1),
            demand: false,
            multiplier: NonZeroU8::MIN,
        };
        Session {
            settings,
            used: (settings.transmit, settings.receive),
            mine,
            yours: 0,
            state: State::AdminDown,
            diagnostic: Diagnostic::NONE,
            remote,
            poll: Poll::None,
            sent: None,
            send_at: None,
            paced: settings.idle,
            expire_at: None,
            late: 0,
            rng,
        }
    }

    /// Its number on this node (bfd.LocalDiscr).
    pub fn discriminator(&self) -> NonZeroU32 {
        self.mine
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its state and what goes with it.
    pub fn standing(&self) -> Standing {
        Standing {
            state: self.state,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            transmit: self.interval(),
            receive: self.expected(),
            detection: self.detection(),
        }
    }

    /// RFC 5880 6.8.3: not less than a second while it is not up.
    fn desired(&self) -> Duration {
        match self.state {
            State::Up => self.settings.transmit,
            State::AdminDown | State::Down | State::Init => self.settings.idle.max(self.settings.transmit),
        }
    }

    /// Between its packets (RFC 5880 6.8.7).
    fn interval(&self) -> Duration {
        let own = if self.state == State::Up { self.used.0 } else { self.desired() };
        own.max(self.remote.receive)
    }

    /// Between packets of the other end.
    fn expected(&self) -> Duration {
        let own = if self.state == State::Up { self.used.1 } else { self.settings.receive };
        own.max(self.remote.transmit)
    }

    /// RFC 5880 6.8.4.
    fn detection(&self) -> Duration {
        self.expected() * u32::from(self.remote.multiplier.get())
    }

    /// RFC 5880 6.8.7: whether packets go out in their time.
    fn speaks(&self) -> bool {
        let waits = self.settings.passive && self.yours == 0;
        let both_up = self.state == State::Up && self.remote.state == State::Up;
        let unwanted = self.remote.demand && both_up && self.poll == Poll::None;
        self.state != State::AdminDown && !waits && !unwanted && !self.remote.receive.is_zero()
    }

    /// RFC 5880 6.8.7: a random part of up to a quarter less, and with a multiplier of 1 at least a tenth.
    fn jittered(&mut self, interval: Duration) -> Duration {
        let nanoseconds = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let least = if self.settings.multiplier == NonZeroU8::MIN { nanoseconds.div_ceil(10) } else { 0 };
        let less = least + self.rng.below((nanoseconds / 4).saturating_sub(least) + 1);
        Duration::from_nanos(nanoseconds.saturating_sub(less))
    }

    /// When the next packet goes, after something has changed; a longer interval counts from the next packet on.
    fn pace(&mut self, now: Instant) {
        let interval = self.interval();
        if !self.speaks() {
            self.send_at = None;
        } else if self.send_at.is_none() || interval < self.paced {
            let jittered = self.jittered(interval);
            self.send_at = Some(self.sent.map_or(now, |sent| (sent + jittered).max(now)));
        }
        self.paced = interval;
    }

    fn send(&mut self, now: Instant, is_final: bool, out: &mut Outbox<Output>) {
        out.push(Output::Send(Control {
            state: self.state,
            diagnostic: self.diagnostic,
            // One packet does not ask and answer; what is to be confirmed stands in the next one.
            poll: self.poll != Poll::None && !is_final,
            is_final,
            demand: false,
            multiplier: self.settings.multiplier,
            mine: self.mine,
            yours: self.yours,
            transmit: self.desired(),
            receive: self.settings.receive,
        }));
        self.sent = Some(now);
        self.paced = self.interval();
        let jittered = self.jittered(self.paced);
        self.send_at = self.speaks().then(|| now + jittered);
    }

    fn turn(&mut self, to: State, diagnostic: Diagnostic, out: &mut Outbox<Output>) {
        let from = std::mem::replace(&mut self.state, to);
        self.diagnostic = diagnostic;
        self.used = (self.settings.transmit, self.settings.receive);
        // RFC 5880 6.8.3: the interval of a session that comes up is another than before.
        let other = self.settings.idle.max(self.settings.transmit) != self.settings.transmit;
        self.poll = if to == State::Up && other { Poll::Asked } else { Poll::None };
        out.push(Output::Turned { from, to, diagnostic });
    }

    /// RFC 5880 6.8.6, from where the session is known.
    fn receive(&mut self, now: Instant, heard: &Control, out: &mut Outbox<Output>) {
        let before = self.standing();
        self.yours = heard.mine.get();
        self.remote = Remote {
            state: heard.state,
            diagnostic: heard.diagnostic,
            transmit: heard.transmit,
            receive: heard.receive,
            demand: heard.demand,
            multiplier: heard.multiplier,
        };
        if heard.is_final {
            self.confirmed();
        }
        match (self.state, heard.state) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.turn(State::Down, Diagnostic::NEIGHBOUR_DOWN, out);
            }
            (State::Down, State::Down) => self.turn(State::Init, Diagnostic::NONE, out),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.turn(State::Up, Diagnostic::NONE, out);
            }
            (State::AdminDown, _)
            | (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
        self.late = 0;
        self.expire_at = Some(now + self.detection());
        if self.state == before.state && self.standing() != before {
            out.push(Output::Agreed);
        }
        if heard.poll || self.state != before.state {
            // An answer does not wait, and neither does a change of state (RFC 5880 6.8.7).
            self.send(now, heard.poll, out);
        } else {
            self.pace(now);
        }
    }

    /// The other end knows the intervals that were asked about.
    fn confirmed(&mut self) {
        match self.poll {
            Poll::None => {}
            Poll::Asked => {
                self.poll = Poll::None;
                self.used = (self.settings.transmit, self.settings.receive);
            }
            Poll::AskAgain => self.poll = Poll::Asked,
        }
    }

    /// RFC 5880 6.8.3: until the other end knows, the faster one of two intervals to it, and the slower one from it.
    fn change(&mut self, now: Instant, settings: Settings, out: &mut Outbox<Output>) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before == settings {
            return;
        }
        if self.state == State::Up && (before.transmit, before.receive) != (settings.transmit, settings.receive) {
            self.used = (self.used.0.min(settings.transmit), self.used.1.max(settings.receive));
            self.poll = if self.poll == Poll::None { Poll::Asked } else { Poll::AskAgain };
        }
        self.pace(now);
        out.push(Output::Agreed);
    }

    /// The detection time is over.
    fn expire(&mut self, now: Instant, due: Instant, out: &mut Outbox<Output>) {
        let late = now - due;
        let counts = matches!(self.state, State::Init | State::Up);
        if counts && late > LATE.max(self.expected() / 2) && self.late < LATE_BOUND {
            self.late += 1;
            self.expire_at = Some(now + self.expected());
            out.push(Output::Late { by: late });
            return;
        }
        self.expire_at = None;
        self.late = 0;
        // RFC 5880 6.8.1: whoever speaks next may be another.
        self.yours = 0;
        self.remote.state = State::Down;
        self.remote.demand = false;
        if counts {
            self.turn(State::Down, Diagnostic::EXPIRED, out);
            if self.settings.passive {
                self.send_at = None;
            } else {
                self.send(now, false, out);
            }
        }
        self.pace(now);
    }
}

impl Machine for Session {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        match input {
            Input::Start => {
                if self.state == State::AdminDown {
                    self.turn(State::Down, Diagnostic::NONE, out);
                    self.pace(now);
                }
            }
            Input::Stop => {
                if self.state != State::AdminDown {
                    self.turn(State::AdminDown, Diagnostic::ADMIN_DOWN, out);
                    if self.yours != 0 {
                        self.send(now, false, out);
                    }
                    (self.send_at, self.expire_at) = (None, None);
                }
            }
            Input::Received(control) => {
                if self.state != State::AdminDown {
                    self.receive(now, &control, out);
                }
            }
            Input::Change(settings) => self.change(now, settings, out),
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if let Some(due) = self.expire_at.filter(|due| *due <= now) {
            self.expire(now, due, out);
        }
        if self.send_at.is_some_and(|due| due <= now) {
            self.send(now, false, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.send_at, self.expire_at].into_iter().flatten().min()
    }
}

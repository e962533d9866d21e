//! The election of one VRRP instance (RFC 9568 6.4).
//!
//! ```text
//!                    Start                  nobody heard for the master-down time
//!  Stopped ───────────────────► Backup ─────────────────────────────────────────► Master
//!     ▲                          ▲  ▲ a better one heard, a lease lost              │ │
//!     │                          │  └───────────────────────────────────────────────┘ │
//!     │  another master heard    │ mended         broken                              │ Stop
//!     │  or time is over         └────── Fault ◄────────── Backup, Master             │
//!     └────────────────────────────────── Leaving ◄──────────────────────────────────┘
//! ```
//!
//! Beyond the RFC, and unseen by peers that do not know it: a master that leaves keeps the addresses until its
//! successor speaks; one that loses an election says a last word, so that the winner announces the addresses anew; the
//! addresses carry a lease that ends before a peer may claim them; a timer that comes late starts no election.

mod backup;
mod change;
mod dialog;
mod master;

pub use dialog::{Input, Notice, Output, Role, Why};

use crate::{Heard, announce::Announcements, lease};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{Preempt, Priority, Rounds};
use std::{net::IpAddr, time::Duration};

/// How often an election is put off in a row because this router itself was late.
pub const LATE_BOUND: u8 = 3;

/// The least lateness of a timer that is not the machine's everyday noise.
pub const LATE: Duration = Duration::from_millis(5);

/// How an instance plays its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Before what is tracked changes it.
    pub priority: Priority,
    /// Between two advertisements of this router when it is master.
    pub interval: Duration,
    /// Intervals without an advertisement after which a master counts as gone; 3 by the RFC.
    pub down_adverts: u8,
    /// Whether a lower master is replaced.
    pub preempt: Preempt,
    /// Answer a lower master by an advertisement at once.
    pub answer_lower: bool,
    /// When gratuitous ARP and neighbour advertisements are sent.
    pub rounds: Rounds,
}

/// One VRRP instance.
#[derive(Clone, Debug)]
pub struct Instance {
    settings: Settings,
    /// In a sync group a timer only makes it a candidate; the group decides.
    grouped: bool,
    adjustment: i32,
    address: Option<IpAddr>,
    broken: bool,
    no_peers: bool,
    unknown: bool,
    group_broken: bool,
    not_before: Instant,
    ready: bool,
    /// The master that was last heard at a fault.
    overheard: Option<IpAddr>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Stopped,
    Fault,
    Backup(Waiting),
    Master(Mastery),
    /// A master until `until`.
    Leaving {
        lease: lease::Lease,
        until: Instant,
    },
}

/// A backup's patience.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Of the last master heard, else this router's own.
    interval: Duration,
    /// When the wait began: with an advertisement, or the state itself.
    since: Instant,
    /// What ends it.
    pending: Pending,
    /// Elections put off in a row.
    late: u8,
    /// The last master heard.
    master: Option<IpAddr>,
    /// While a lower master is borne: until when.
    preempt_at: Option<Instant>,
    /// The link may take this router for the master: a better one is to be told so, that it announces itself.
    owes_word: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// So many intervals and the skew time without an advertisement.
    Silence { intervals: u8 },
    /// The skew time after a master's last word.
    MasterLeft,
    /// Put off until then, for this router was late.
    Late(Instant),
    /// The group's decision.
    Group,
}

/// A master's duties.
#[derive(Clone, Copy, Debug)]
struct Mastery {
    advertise_at: Instant,
    advertised: Instant,
    lease: lease::Lease,
    announcements: Announcements,
}

impl Instance {
    /// One that is stopped, has no address yet and is ready.
    pub fn new(settings: Settings) -> Instance {
        Instance {
            settings,
            grouped: false,
            adjustment: 0,
            address: None,
            broken: false,
            no_peers: false,
            unknown: false,
            group_broken: false,
            not_before: Instant::START,
            ready: true,
            overheard: None,
            state: State::Stopped,
        }
    }

    /// The priority it advertises as master.
    pub fn priority(&self) -> Priority {
        self.settings.priority.adjusted(self.adjustment)
    }

    /// Its part.
    pub fn role(&self) -> Role {
        match self.state {
            State::Stopped => Role::Stopped,
            State::Fault => Role::Fault,
            State::Backup(_) => Role::Backup,
            State::Master(_) => Role::Master,
            State::Leaving { .. } => Role::Leaving,
        }
    }

    /// The master it hears, while it is backup.
    pub fn master(&self) -> Option<IpAddr> {
        match self.state {
            State::Backup(waiting) => waiting.master,
            State::Stopped | State::Fault | State::Master(_) | State::Leaving { .. } => None,
        }
    }

    /// Whether it waits for its group to elect it.
    pub(crate) fn is_candidate(&self) -> bool {
        matches!(self.state, State::Backup(Waiting { pending: Pending::Group, .. }))
    }

    /// Whether something of its own keeps it from being master.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken || self.no_peers || self.address.is_none()
    }

    /// Whether another member of its group keeps it from being master.
    pub(crate) fn is_group_broken(&self) -> bool {
        self.group_broken
    }

    fn turn(&mut self, state: State, why: Why, out: &mut Outbox<Output>) {
        let from = self.role();
        self.state = state;
        let to = self.role();
        if from != to {
            out.push(Output::Turned { from, to, why });
        }
    }

    /// Where it stands when nothing is known of others.
    fn begin(&mut self, now: Instant, why: Why, out: &mut Outbox<Output>) {
        match self.obstacle().or(self.unknown.then_some(Why::Unknown)) {
            Some(obstacle) => self.turn(State::Fault, obstacle, out),
            None if self.priority() == Priority::OWNER && !self.grouped && now >= self.not_before => {
                self.rule(now, Why::Owner, out)
            }
            None => {
                self.wait(now, self.settings.down_adverts, self.settings.interval, why, out);
                if self.priority() == Priority::OWNER {
                    self.claim(now, out);
                }
            }
        }
    }

    /// An owner waits for nobody, but perhaps for its node.
    fn claim(&mut self, now: Instant, out: &mut Outbox<Output>) {
        match &mut self.state {
            State::Backup(waiting) if now < self.not_before => waiting.pending = Pending::Late(self.not_before),
            State::Backup(_) | State::Stopped | State::Fault | State::Master(_) | State::Leaving { .. } => {
                self.stand(now, Why::Owner, out);
            }
        }
    }

    fn obstacle(&self) -> Option<Why> {
        let of = |wrong, why| if wrong { Some(why) } else { None };
        of(self.address.is_none(), Why::NoAddress)
            .or(of(self.no_peers, Why::NoPeers))
            .or(of(self.broken, Why::Broken))
            .or(of(self.group_broken, Why::GroupBroken))
    }

    /// After a change of what makes it unfit.
    fn judge_fitness(&mut self, now: Instant, out: &mut Outbox<Output>) {
        match (self.obstacle(), self.state) {
            (Some(why), State::Backup(_) | State::Master(_)) => {
                self.yield_addresses(out);
                self.turn(State::Fault, why, out);
            }
            (None, State::Fault) => {
                self.begin(now, Why::Mended, out);
                if let State::Backup(waiting) = &mut self.state {
                    waiting.master = self.overheard.take();
                }
            }
            (Some(_), State::Stopped | State::Fault | State::Leaving { .. })
            | (None, State::Stopped | State::Backup(_) | State::Master(_) | State::Leaving { .. }) => {}
        }
    }

    fn start(&mut self, now: Instant, since_renewal: Option<Duration>, out: &mut Outbox<Output>) {
        let waited_for = self.settings.interval * u32::from(self.settings.down_adverts);
        match since_renewal {
            // Nobody can have claimed the addresses yet: this is the master that a crash interrupted.
            Some(since) if since < waited_for && self.obstacle().is_none() => self.rule(now, Why::Resumed, out),
            Some(_) => {
                out.push(Output::Release);
                self.begin(now, Why::Started, out);
                self.owe_word();
            }
            None => self.begin(now, Why::Started, out),
        }
    }

    fn stop(&mut self, now: Instant, patience: Duration, out: &mut Outbox<Output>) {
        match self.state {
            State::Master(mastery) if !patience.is_zero() && self.address.is_some() => {
                out.push(Output::Advertise { priority: 0 });
                let state = State::Leaving { lease: mastery.lease, until: now + patience };
                self.turn(state, Why::Stopped, out);
            }
            State::Master(_) | State::Backup(_) | State::Fault | State::Leaving { .. } => {
                self.yield_addresses(out);
                self.turn(State::Stopped, Why::Stopped, out);
            }
            State::Stopped => {}
        }
    }

    fn hear(&mut self, now: Instant, heard: Heard, out: &mut Outbox<Output>) {
        match self.state {
            State::Backup(waiting) => self.heard_as_backup(now, waiting, heard, out),
            State::Master(mastery) => self.heard_as_master(now, mastery, heard, out),
            State::Leaving { .. } if heard.priority > 0 => {
                out.push(Output::Release);
                self.turn(State::Stopped, Why::Succeeded { by: heard.source }, out);
            }
            State::Fault => self.overheard = Some(heard.source).filter(|_| heard.priority > 0),
            State::Leaving { .. } | State::Stopped => {}
        }
    }
}

impl Machine for Instance {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        self.thaw(now, out);
        match input {
            Input::Start { since_renewal } => {
                if matches!(self.state, State::Stopped) {
                    self.start(now, since_renewal, out);
                }
            }
            Input::Stop { patience } => self.stop(now, patience, out),
            Input::Heard(heard) => self.hear(now, heard, out),
            Input::Address(address) => {
                self.address = address;
                self.judge_fitness(now, out);
            }
            Input::Broken(broken) => {
                self.broken = broken;
                self.judge_fitness(now, out);
            }
            Input::NoPeers(none) => {
                self.no_peers = none;
                self.judge_fitness(now, out);
            }
            Input::GroupBroken(broken) => {
                self.group_broken = broken;
                self.judge_fitness(now, out);
            }
            Input::Unknown(unknown) => {
                let known = std::mem::replace(&mut self.unknown, unknown) && !unknown;
                if known && matches!(self.state, State::Fault) && self.obstacle().is_none() {
                    self.begin(now, Why::Known, out);
                }
            }
            Input::NotBefore(at) => self.not_before = at,
            Input::Adjust(by) => self.adjustment = by,
            Input::Ready(ready) => self.ready = ready,
            Input::GroupElected => {
                if matches!(self.state, State::Backup(_)) {
                    self.rule(now, Why::Group, out);
                }
            }
            Input::GroupYields => {
                if matches!(self.state, State::Master(_)) {
                    self.yield_addresses(out);
                    self.wait(now, self.settings.down_adverts, self.settings.interval, Why::Group, out);
                }
            }
            Input::Unreachable(source) => {
                if self.master() == Some(source) {
                    self.stand(now, Why::MasterUnreachable, out);
                }
            }
            Input::Announce => {
                if let State::Master(_) = self.state {
                    out.push(Output::Announce { rounds: self.settings.rounds.burst });
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.thaw(now, out);
        match self.state {
            State::Backup(mut waiting) => {
                let Some(due) = self.due(&waiting).filter(|due| now >= *due) else { return };
                let late = now - due;
                // Packets may wait behind whatever kept this router: it listens for one more interval.
                if late > LATE.max(waiting.interval / 2) && waiting.late < LATE_BOUND {
                    waiting.late += 1;
                    waiting.pending = Pending::Late(now + waiting.interval);
                    out.push(Output::Noticed(Notice::Late { by: late }));
                    self.state = State::Backup(waiting);
                    return;
                }
                let why = if waiting.pending == Pending::MasterLeft { Why::MasterLeft } else { Why::Silence };
                self.stand(now, why, out);
            }
            State::Master(mastery) => self.serve(now, mastery, out),
            State::Leaving { until, .. } if now >= until => {
                // Once more, in case the first word was lost.
                out.push(Output::Advertise { priority: 0 });
                out.push(Output::Release);
                self.turn(State::Stopped, Why::NoSuccessor, out);
            }
            State::Leaving { mut lease, until } => {
                if lease.due(now) != lease::Due::Later {
                    lease = lease::Lease::new(now);
                    out.push(Output::Hold);
                }
                self.state = State::Leaving { lease, until };
            }
            State::Stopped | State::Fault => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Stopped | State::Fault => None,
            State::Backup(waiting) => self.due(waiting),
            State::Master(mastery) => {
                let mut first = mastery.advertise_at.min(mastery.lease.renew_at());
                if let Some(at) = mastery.announcements.next() {
                    first = first.min(at);
                }
                Some(first)
            }
            State::Leaving { lease, until } => Some(lease.renew_at().min(*until)),
        }
    }
}

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

mod change;

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

/// What an instance is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Begin. `since_renewal` tells of addresses that a former run of this router left in place: how long ago it
    /// last renewed their lease.
    Start {
        /// `None` where the addresses are not there.
        since_renewal: Option<Duration>,
    },
    /// Leave: a master hands over first, for so long at most.
    Stop {
        /// 0: at once.
        patience: Duration,
    },
    /// An advertisement that counts.
    Heard(Heard),
    /// The address this router sends from; `None` while its interface has none.
    Address(Option<IpAddr>),
    /// Something tracked says that it must not be master, or no longer.
    Broken(bool),
    /// It was told to speak to peers and has none, or no longer.
    NoPeers(bool),
    /// Another member of its sync group is broken, or no longer.
    GroupBroken(bool),
    /// Of something tracked nothing was seen yet, or no longer: it does not begin before it is. One that plays its part
    /// already goes on.
    Unknown(bool),
    /// It begins no wait for a master's silence before this time.
    NotBefore(Instant),
    /// What is tracked adds or takes so much.
    Adjust(i32),
    /// Whether it may replace a working master: its services are loaded and checked.
    Ready(bool),
    /// The group becomes master.
    GroupElected,
    /// The group yields.
    GroupYields,
    /// This master is known to be unreachable, from BFD.
    Unreachable(IpAddr),
    /// The link may have forgotten where the addresses are: its carrier came back, or an operator asks.
    Announce,
}

/// What an instance wants done or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advertisement of this priority.
    Advertise {
        /// 0: this master leaves.
        priority: u8,
    },
    /// Add the addresses, or renew them, for the length of a lease.
    Hold,
    /// Remove the addresses.
    Release,
    /// Send so many rounds of gratuitous ARP or neighbour advertisements for all addresses.
    Announce {
        /// Back to back.
        rounds: u8,
    },
    /// Its time has come: a group may elect it.
    Candidate,
    /// Its part has changed.
    Turned {
        /// What it was.
        from: Role,
        /// What it is.
        to: Role,
        /// Why.
        why: Why,
    },
    /// Something an operator should know.
    Noticed(Notice),
}

/// The part of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not begun, or ended.
    Stopped,
    /// Waits for the master to fall silent.
    Backup,
    /// Has the addresses.
    Master,
    /// Has them until its successor speaks.
    Leaving,
    /// May not be master.
    Fault,
}

/// Why a part has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was told to begin.
    Started,
    /// It owns the addresses.
    Owner,
    /// It found the addresses a former run had left, within their lease.
    Resumed,
    /// Nobody was heard for the master-down time.
    Silence,
    /// The master said it leaves.
    MasterLeft,
    /// BFD says the master is unreachable.
    MasterUnreachable,
    /// A router of higher priority, or of the same and a higher address, was heard.
    Better {
        /// Who.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Its sync group became master or yielded.
    Group,
    /// It did not run for longer than its peers wait.
    Frozen {
        /// For how long it did not.
        silent: Duration,
    },
    /// What it tracks is broken.
    Broken,
    /// Of something it tracks nothing was seen yet.
    Unknown,
    /// All it tracks was seen.
    Known,
    /// Another member of its sync group is broken.
    GroupBroken,
    /// Its interface has no address to send from.
    NoAddress,
    /// It was told to speak to peers and has none.
    NoPeers,
    /// What was broken is mended.
    Mended,
    /// It was told to leave.
    Stopped,
    /// It leaves, and its successor was heard.
    Succeeded {
        /// Who.
        by: IpAddr,
    },
    /// It leaves, and nobody was heard in time.
    NoSuccessor,
}

/// Something an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A master of lower priority spoke while this one is master.
    Lower {
        /// Who.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// Another router says that it owns the addresses, as this one does.
    SecondOwner {
        /// Who.
        source: IpAddr,
    },
    /// Its own timer came so late that an election was put off.
    Late {
        /// By how much.
        by: Duration,
    },
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

    /// RFC 9568 6.1: the higher the priority, the sooner; never 0, so that equal routers do not tie.
    fn skew(&self, interval: Duration) -> Duration {
        interval * (256 - u32::from(self.priority().get())) / 256
    }

    fn due(&self, waiting: &Waiting) -> Option<Instant> {
        match waiting.pending {
            Pending::Silence { intervals } => {
                Some(waiting.since + waiting.interval * u32::from(intervals) + self.skew(waiting.interval))
            }
            Pending::MasterLeft => Some(waiting.since + self.skew(waiting.interval)),
            Pending::Late(at) => Some(at),
            Pending::Group => None,
        }
    }

    fn turn(&mut self, state: State, why: Why, out: &mut Outbox<Output>) {
        let from = self.role();
        self.state = state;
        let to = self.role();
        if from != to {
            out.push(Output::Turned { from, to, why });
        }
    }

    /// Begins to wait for `intervals` of `interval`.
    fn wait(&mut self, now: Instant, intervals: u8, interval: Duration, why: Why, out: &mut Outbox<Output>) {
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

    /// Becomes master: the word first, then the addresses, then their announcement. Whoever replaces a master that still
    /// serves has the addresses before it says so: its word makes the other one let them go.
    fn rule(&mut self, now: Instant, why: Why, out: &mut Outbox<Output>) {
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
    fn is_served(&self) -> bool {
        match self.state {
            State::Backup(waiting) => waiting.preempt_at.is_some() || waiting.pending == Pending::MasterLeft,
            State::Stopped | State::Fault | State::Master(_) | State::Leaving { .. } => false,
        }
    }

    /// The time of a backup has come.
    fn stand(&mut self, now: Instant, why: Why, out: &mut Outbox<Output>) {
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
    fn owe_word(&mut self) {
        if let State::Backup(waiting) = &mut self.state {
            waiting.owes_word = true;
        }
    }

    fn heard_as_backup(&mut self, now: Instant, mut waiting: Waiting, heard: Heard, out: &mut Outbox<Output>) {
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

    fn heard_as_master(&mut self, now: Instant, mut mastery: Mastery, heard: Heard, out: &mut Outbox<Output>) {
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

    fn advertise(&self, now: Instant, mastery: &mut Mastery, out: &mut Outbox<Output>) {
        out.push(Output::Advertise { priority: self.priority().get() });
        mastery.advertised = now;
        mastery.advertise_at = now + self.settings.interval;
    }

    /// A master that did not run for so long that a peer may have the addresses is none any more, whatever it is told
    /// first. Whoever has them speaks within an interval.
    fn thaw(&mut self, now: Instant, out: &mut Outbox<Output>) {
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
    fn serve(&mut self, now: Instant, mut mastery: Mastery, out: &mut Outbox<Output>) {
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
    fn yield_addresses(&self, out: &mut Outbox<Output>) {
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

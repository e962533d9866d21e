//! The machine: which input goes where, and what is done at the end of each.

use crate::{
    EditOrder, Effect, Exit, HostMarks, Input, Overrides, Setup, Start, Token,
    alerts::{Mailer, News, Topic},
    book::Book,
    edit::Edits,
    program::{After, Program, Wanted},
    service::Service,
    suspicion::Suspicion,
    watches::Watches,
};
use evenkeel_api::{Event, Refusal, RefusalCode, Reply};
use evenkeel_dataplane::Table;
use evenkeel_health as health;
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::{Cluster, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Services, health and data plane of one node. See the crate's page.
#[derive(Debug)]
pub struct Balance {
    pub(crate) setup: Setup,
    pub(crate) phase: Phase,
    pub(crate) began: Instant,
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    /// As in the files.
    pub(crate) order: Vec<ServiceKey>,
    /// The services that clients made, oldest first.
    pub(crate) edited: BTreeMap<u64, ServiceKey>,
    pub(crate) edits: Edits,
    pub(crate) watches: Watches,
    pub(crate) program: Program,
    pub(crate) book: Book,
    pub(crate) maintenance: BTreeSet<String>,
    /// What the host's own rules give marks to.
    pub(crate) marks: HostMarks,
    /// The services whose connections the runtime relays.
    pub(crate) relays: BTreeSet<ServiceKey>,
    /// The addresses this host has, once that is told.
    pub(crate) held: Option<BTreeSet<IpAddr>>,
    pub(crate) mailer: Mailer,
    pub(crate) suspicion: Suspicion,
    pub(crate) config: Config,
    pub(crate) sampling: Sampling,
    /// Came while a batch was open; only the last counts.
    next_cluster: Option<(Box<Cluster>, Option<Token>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    New,
    Running,
    Stopping { removed: usize, left: usize },
    Ended,
}

/// The configuration that runs, and what became of the last one offered.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) since: Instant,
    pub(crate) error: Option<String>,
}

/// Who waits for numbers.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    pub(crate) open: bool,
    /// Status requests, for one service or for all.
    pub(crate) statuses: Vec<(Token, Option<ServiceKey>)>,
    /// Drains that end when no connection is left.
    pub(crate) drains: Vec<IdleDrain>,
    /// Drains whose last connections are being ended, and whether that is because of their deadline.
    pub(crate) flushing: Vec<(IdleDrain, bool)>,
    pub(crate) again_at: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct IdleDrain {
    /// Who is told; `None`: one that has gone on over a restart.
    pub(crate) token: Option<Token>,
    pub(crate) service: ServiceKey,
    pub(crate) address: SocketAddr,
    pub(crate) since: Instant,
    /// How long it had drained already at `since`.
    pub(crate) before: Duration,
    /// Active connections that need not be waited for.
    pub(crate) keep: u32,
    /// Then, or when enough are gone, the others are ended.
    pub(crate) deadline: Option<Instant>,
}

impl Balance {
    /// One that waits for [`Input::Start`].
    pub fn new(setup: Setup) -> Balance {
        let watches = Watches::new(setup.seed);
        let mailer = Mailer::new(setup.node.clone());
        Balance {
            setup,
            phase: Phase::New,
            began: Instant::START,
            services: BTreeMap::new(),
            order: Vec::new(),
            edited: BTreeMap::new(),
            edits: Edits::default(),
            watches,
            program: Program::default(),
            book: Book::default(),
            maintenance: BTreeSet::new(),
            marks: HostMarks::new(),
            relays: BTreeSet::new(),
            held: None,
            mailer,
            suspicion: Suspicion::default(),
            config: Config { since: Instant::START, error: None },
            sampling: Sampling::default(),
            next_cluster: None,
        }
    }

    /// What the data plane holds, as far as is known.
    pub fn in_force(&self) -> &Table {
        self.program.in_force()
    }

    /// What the data plane should hold.
    pub fn wanted(&self) -> Table {
        let mut table = Table::default();
        for key in self.services.keys() {
            if let Some((options, servers)) = wanted(&self.services, &self.watches, &self.marks, key) {
                let real_servers = servers.into_iter().collect();
                table.services.insert(*key, evenkeel_dataplane::Service { options, real_servers });
            }
        }
        table
    }

    /// Whether it has to be told which addresses this host holds.
    pub fn goes_by_addresses(&self) -> bool {
        self.services.values().any(|service| service.suspend)
    }

    /// What operators asked for over what the files say.
    pub fn overrides(&self, now: Instant) -> Overrides {
        self.book.store(now)
    }

    /// Whether every real server that is checked has been checked once.
    pub fn is_checked(&self) -> bool {
        let unchecked = |server: &crate::service::Server| server.state == evenkeel_api::ServerState::Unchecked;
        // What rests is not waited for.
        let counts = |service: &&Service| !self.is_elsewhere(service);
        !self.services.values().filter(counts).any(|service| service.servers.iter().any(unchecked))
    }

    /// Whether a service takes its packets from the host's own MARK rules.
    pub fn asks_the_host(&self) -> bool {
        self.services.values().any(Service::asks_the_host)
    }

    /// The services that a relay would have something to do for.
    pub fn wanted_relays(&self) -> impl Iterator<Item = ServiceKey> + '_ {
        self.services.values().filter(|service| service.wants_relay()).map(|service| service.key)
    }

    /// Other services than before are relayed.
    fn relay(&mut self, relays: BTreeSet<ServiceKey>) {
        let before = std::mem::replace(&mut self.relays, relays);
        for key in before.symmetric_difference(&self.relays) {
            if let Some(service) = self.services.get_mut(key) {
                service.relayed = self.relays.contains(key);
                self.program.touch(*key);
            }
        }
    }

    /// The host's rules give marks to other packets now.
    fn learn(&mut self, marks: HostMarks) {
        let before = std::mem::replace(&mut self.marks, marks);
        let changed = self.services.iter().filter(|(key, _)| before.get(key) != self.marks.get(key));
        for (key, _) in changed.filter(|(_, service)| service.asks_the_host()) {
            self.program.touch(*key);
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    fn start(&mut self, now: Instant, start: Start, out: &mut Outbox<Effect>) {
        let Start { cluster, observed, order, overrides, maintenance, keep_all, marks } = start;
        if self.phase != Phase::New {
            return;
        }
        self.marks = marks;
        self.phase = Phase::Running;
        (self.began, self.config.since) = (now, now);
        self.book = Book::restore(now, overrides);
        self.maintenance = maintenance;
        let adopted = self.configure(now, cluster, &observed, out) + self.take_over(now, &observed, &order, keep_all);
        self.program.observed(observed);
        self.resume_drains(now);
        let (services, real_servers) = self.sizes();
        let version = self.setup.version.clone();
        self.program.hold(After::Try, Effect::Event(Event::Started { version, services, real_servers, adopted }));
        self.mail_all(now, Topic::Starting, &format!("{} starts on {}", self.setup.version, self.setup.node), out);
    }

    fn reload(&mut self, now: Instant, cluster: Box<Cluster>, token: Option<Token>, out: &mut Outbox<Effect>) {
        if self.program.is_open() {
            if let Some((_, Some(token))) = self.next_cluster.replace((cluster, token)) {
                let refusal = Refusal::new(RefusalCode::Busy, "another reload came before this one was carried out");
                out.push(Effect::Reply { token, reply: Reply::Refused(refusal) });
            }
            return;
        }
        self.config = Config { since: now, error: None };
        self.program.forgive();
        self.configure(now, *cluster, &Table::default(), out);
        let changes = self.flush(now, out);
        let (services, real_servers) = self.sizes();
        let event = Event::Reloaded { changes, services, real_servers };
        self.mail_all(now, Topic::Reloading, &event.to_string(), out);
        if let Some(token) = token {
            let reply = Reply::Done { message: event.to_string() };
            self.program.hold_for_open(After::All, Effect::Reply { token, reply });
        }
        self.program.hold_for_open(After::All, Effect::Event(event));
    }

    fn reload_failed(&mut self, why: String, token: Option<Token>, out: &mut Outbox<Effect>) {
        self.config.error = Some(why.clone());
        if let Some(token) = token {
            let refusal = Refusal::new(RefusalCode::BadConfig, why.clone());
            let refusal = refusal.hint("the old configuration runs on; `evenkeel check` shows every mistake");
            out.push(Effect::Reply { token, reply: Reply::Refused(refusal) });
        }
        out.push(Effect::Event(Event::ReloadFailed { why }));
    }

    pub(crate) fn stop(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        match self.phase {
            Phase::New => self.end(Exit { left: 0, failed: false }, out),
            Phase::Stopping { .. } | Phase::Ended => {}
            Phase::Running => {
                self.refuse_waiting(out);
                let clean = |service: &&Service| service.clean_stop;
                let mut keys: BTreeSet<ServiceKey> = self.services.values().filter(clean).map(|s| s.key).collect();
                let in_force = self.program.in_force().services.keys();
                keys.extend(in_force.filter(|key| !self.services.contains_key(key)));
                let left = self.services.values().filter(|s| !s.clean_stop && !s.disabled).count();
                let removed = self.services.values().filter(|s| s.clean_stop && !s.disabled).count();
                for key in keys.iter().copied() {
                    self.end_fallback(key);
                }
                self.phase = Phase::Stopping { removed, left };
                self.program.hold(After::All, Effect::Event(Event::Stopping { removed, left }));
                self.mail_all(now, Topic::Stopping, &Event::Stopping { removed, left }.to_string(), out);
                self.watches.end_all(now, out);
                self.program.only(keys);
            }
        }
    }

    fn refuse_waiting(&mut self, out: &mut Outbox<Effect>) {
        let statuses = std::mem::take(&mut self.sampling.statuses).into_iter().map(|(token, _)| token);
        let drains = std::mem::take(&mut self.sampling.drains).into_iter().filter_map(|drain| drain.token);
        let flushing = std::mem::take(&mut self.sampling.flushing).into_iter().filter_map(|(drain, _)| drain.token);
        let drains = drains.chain(flushing);
        let reload = self.next_cluster.take().and_then(|(_, token)| token);
        let edits: Vec<Token> = self.edits.give_up();
        for token in statuses.chain(drains).chain(reload).chain(edits) {
            out.push(Effect::Reply { token, reply: Reply::Refused(ending()) });
        }
        self.sampling.again_at = None;
    }

    fn end(&mut self, exit: Exit, out: &mut Outbox<Effect>) {
        self.phase = Phase::Ended;
        out.push(Effect::Exit(exit));
    }

    /// Sends the next batch; what is true by now is told.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut Outbox<Effect>) -> usize {
        let (services, watches, marks) = (&self.services, &self.watches, &self.marks);
        let stopping = !matches!(self.phase, Phase::Running);
        let changes = match stopping {
            false => self.program.flush(now, |key| wanted(services, watches, marks, key), out),
            true => self.program.flush(now, |_| None, out),
        };
        self.tell_released(now, out);
        changes
    }

    fn tell_released(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        for (after, effect) in self.program.released() {
            let news = match (&after, &effect) {
                (After::Service(key), Effect::Event(event)) => Some((*key, News::of_event(event), is_down(event))),
                _ => None,
            };
            out.push(effect);
            let Some((key, news, down)) = news else { continue };
            let Some(alerts) = self.services.get(&key).and_then(|service| service.alerts.as_deref()) else { continue };
            self.mailer.tell(now, alerts, Topic::Running, news, out);
            if down {
                self.mailer.remind(now, alerts);
            }
        }
    }

    /// One mail to each group of recipients that asked for the topic.
    fn mail_all(&mut self, now: Instant, topic: Topic, line: &str, out: &mut Outbox<Effect>) {
        let mut told = BTreeSet::new();
        for alerts in self.services.values().filter_map(|service| service.alerts.as_deref()) {
            if told.insert((&alerts.to, &alerts.from, &alerts.smtp, &alerts.status)) {
                self.mailer.tell(now, alerts, topic, News::of_daemon(line), out);
            }
        }
    }

    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.services.len(), self.services.values().map(|service| service.servers.len()).sum())
    }

    /// What every input and every timeout ends with.
    fn finish(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        self.flush(now, out);
        if self.program.is_open() {
            return;
        }
        if let Some((cluster, token)) = self.next_cluster.take() {
            self.reload(now, cluster, token, out);
            self.flush(now, out);
        }
        self.next_edits(now, out);
        if self.program.is_open() {
            return;
        }
        if let Phase::Stopping { left, .. } = self.phase {
            let failed = self.program.give_up();
            self.tell_released(now, out);
            self.mailer.flush(now, out);
            self.end(Exit { left, failed }, out);
        }
    }
}

/// What the table should hold of a service.
pub(crate) fn wanted(
    services: &BTreeMap<ServiceKey, Service>,
    watches: &Watches,
    marks: &HostMarks,
    key: &ServiceKey,
) -> Wanted {
    let service = services.get(key)?;
    let mut options = service.options.clone();
    if service.asks_the_host() {
        options.matches = marks.get(key).cloned().unwrap_or_default();
    }
    service.wanted(watches).map(|servers| (options, servers))
}

pub(crate) fn ending() -> Refusal {
    Refusal::new(RefusalCode::Busy, "the daemon is ending")
}

fn is_down(event: &Event) -> bool {
    matches!(event, Event::ServerDown { .. } | Event::MaintenanceBegan { .. })
}

impl Machine for Balance {
    type Input = Input;
    type Output = Effect;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Effect>) {
        let running = self.phase == Phase::Running;
        match input {
            Input::Start(start) => self.start(now, *start, out),
            Input::Reload { cluster, token } if running => self.reload(now, cluster, token, out),
            Input::ReloadFailed { why, token } if running => self.reload_failed(why, token, out),
            Input::Plan { cluster, held, token } if running => {
                let lines = crate::plan::against(self, &held, &cluster);
                out.push(Effect::Reply { token, reply: Reply::Plan { lines } });
            }
            Input::Reload { token, .. } | Input::ReloadFailed { token, .. } => {
                let reply = |token| Effect::Reply { token, reply: Reply::Refused(ending()) };
                token.into_iter().map(reply).for_each(|effect| out.push(effect));
            }
            Input::Plan { token, .. } => out.push(Effect::Reply { token, reply: Reply::Refused(ending()) }),
            Input::Observed(table) if running && !self.program.is_open() => {
                let services = self.program.observed(table);
                if services > 0 {
                    self.program.hold(After::All, Effect::Event(Event::TableRepaired { services }));
                }
            }
            Input::Observed(_) => {}
            Input::Begun { check, attempt } => self.told(now, check, health::Input::Begun { attempt }, out),
            Input::Verdict { check, attempt, verdict } => {
                self.told(now, check, health::Input::Verdict { attempt, verdict }, out);
            }
            Input::Programmed { batch, outcome } if self.edits.is_open(batch) => self.edited(now, outcome, out),
            Input::Programmed { batch, outcome } => {
                self.program.outcome(now, batch, outcome, out);
                self.tell_released(now, out);
            }
            Input::Edit(order) if running => self.edit(order, out),
            Input::Edit(EditOrder { token, .. }) => {
                out.push(Effect::Reply { token, reply: Reply::Refused(ending()) });
            }
            Input::Flushed { service, real_server, outcome } => {
                self.flushed(now, (service, real_server), outcome, out);
            }
            Input::Sampled(sample) => self.sampled(now, &sample, out),
            Input::Request { token, role, request } => self.request(now, token, role, request, out),
            Input::Marks(marks) => self.learn(marks),
            Input::Relays(relays) => self.relay(relays),
            Input::Maintenance(names) if running => self.maintain(now, names),
            Input::Maintenance(_) => {}
            Input::Tell(event) => out.push(Effect::Event(event)),
            Input::Session { name, up, why } => self.session(now, name, up, why, out),
            Input::Held(addresses) => {
                self.held = Some(addresses);
                self.rest(now, out);
            }
            Input::Stop => self.stop(now, out),
        }
        self.finish(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        while let Some(turns) = self.watches.due(now, out) {
            for turn in turns {
                self.turned(now, &turn);
            }
        }
        self.program.due(now);
        self.expire_drains(now, out);
        let (services, watches) = (&self.services, &self.watches);
        let down = |alerts: &evenkeel_model::Alerts| crate::report::inaccessible(now, services, watches, alerts);
        self.mailer.due(now, down, out);
        self.sample_again(now, out);
        self.finish(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.phase == Phase::Ended {
            return None;
        }
        let deadlines = [
            self.watches.deadline(),
            self.program.deadline(),
            self.book.deadline(),
            self.mailer.deadline(),
            self.sampling.again_at,
        ];
        deadlines.into_iter().flatten().min()
    }
}

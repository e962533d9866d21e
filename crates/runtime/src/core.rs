//! The one owner of engine and data plane: tells the engine what happens, carries out its effects and reports back.

use crate::{
    clock::{self, Clock},
    commands::{self, Commands},
    configuration::{Configuration, Purpose, Reader},
    control::Call,
    doors::Doors,
    firewall,
    instances::Instances,
    mail::{Letter, Post},
    network::{Network, localise},
    path::PacketPath,
    probes::{Report, ToProbes},
    sinks::{self, Sinks},
    state::StateFile,
    watch::{Seen, SourceFile, Watched},
};
use evenkeel_api::{Event, Refusal, RefusalCode, Reply, Request, Severity, Stamped, to_line};
use evenkeel_dataplane::Capabilities;
use evenkeel_engine::{Balance, Effect, Exit, Input, Mail, ProgramFailure, Sample, ScriptOrder, Token};
use evenkeel_machine::{Machine, Outbox};
use evenkeel_model::{Cluster, Probe, Settings};
use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Seconds between two audits of the data plane's table.
const AUDIT: u64 = 60;
/// Seconds between two tries to attach where it failed.
const RETRY: u64 = 10;
/// Seconds between two complaints about a full table.
const COMPLAINT: u64 = 10;
/// Callers whose answers may be open at the same time; there are fewer clients.
const CALLERS: usize = 65_536;

/// Everything that is done goes through here.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) engine: Balance,
    pub(crate) out: Outbox<Effect>,
    pub(crate) path: Box<dyn PacketPath>,
    pub(crate) network: Network,
    pub(crate) doors: Doors,
    pub(crate) probes: mpsc::UnboundedSender<ToProbes>,
    pub(crate) commands: Commands,
    pub(crate) post: Post,
    pub(crate) instances: Instances,
    pub(crate) sinks: Sinks,
    pub(crate) events: broadcast::Sender<Arc<Vec<u8>>>,
    pub(crate) reader: Reader,
    pub(crate) watched: watch::Sender<Watched>,
    pub(crate) state: StateFile,
    pub(crate) settings: Settings,
    pub(crate) warnings: Warnings,
    pub(crate) callers: Callers,
    /// The command line decides on the size of the connection table, so the files do not.
    pub(crate) connections_overridden: bool,
    /// Seconds served.
    pub(crate) beats: u64,
    /// Connections dropped because of a full table, up to the last complaint, and when that was.
    pub(crate) dropped_full: u64,
    pub(crate) full_told: u64,
    pub(crate) exit: Option<Exit>,
}

/// Sentences that `status` shows until they no longer hold.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    /// Of this run.
    pub(crate) standing: Vec<String>,
    /// Of the running configuration: rules of the firewall that are bypassed, what only a restart changes.
    pub(crate) configuration: Vec<String>,
}

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// Those who asked for the end: answered when it has come.
    stopping: Vec<u64>,
    /// Their answers.
    parting: Vec<(oneshot::Sender<Reply>, Reply)>,
}

impl Callers {
    fn admit(&mut self, reply: oneshot::Sender<Reply>, stops: bool) -> Option<Token> {
        self.waiting.retain(|_, reply| !reply.is_closed() || stops);
        if self.waiting.len() >= CALLERS {
            return None;
        }
        self.next += 1;
        self.waiting.insert(self.next, reply);
        if stops {
            self.stopping.push(self.next);
        }
        Some(Token(self.next))
    }

    fn answer(&mut self, token: Token, reply: Reply) {
        // Gone when the caller has hung up.
        let Some(caller) = self.waiting.remove(&token.0) else { return };
        if self.stopping.contains(&token.0) {
            self.parting.push((caller, reply));
        } else {
            let _ = caller.send(reply);
        }
    }

    /// Answers those who asked for the end: it has come, or `trouble` kept it from being complete.
    pub(crate) fn part(&mut self, trouble: Option<&str>) {
        for (caller, reply) in self.parting.drain(..) {
            let reply = match trouble {
                None => reply,
                Some(why) => Reply::Refused(Refusal::new(RefusalCode::Failed, why)),
            };
            let _ = caller.send(reply);
        }
    }
}

impl Core {
    /// When [`Core::due`] next wants to be called.
    pub(crate) fn due_at(&self) -> Option<tokio::time::Instant> {
        let deadlines = [self.engine.deadline(), self.network.deadline()];
        deadlines.into_iter().flatten().min().map(|at| self.clock.timer(at))
    }

    /// Something's time may have come.
    pub(crate) fn due(&mut self) {
        let now = self.clock.now();
        if self.network.deadline().is_some_and(|at| at <= now) {
            self.network.due();
            self.resolve();
        }
        if self.engine.deadline().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now, &mut self.out);
            self.carry_out();
        }
    }

    /// Tells the engine something, and does what it wants done.
    pub(crate) fn tell(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input, &mut self.out);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.out.pop() {
            match effect {
                Effect::Program { batch, changes } => {
                    let outcome = self.path.apply(&changes);
                    let outcome = outcome.map_err(|e| ProgramFailure { applied: e.applied, why: e.cause.to_string() });
                    self.report(Input::Programmed { batch, outcome });
                }
                // Only at the very end is there nobody who takes orders.
                Effect::Probe(order) => {
                    let source = target(&order.probe).and_then(|target| self.network.source(target));
                    drop(self.probes.send(ToProbes::Order(order, source)));
                }
                Effect::CancelProbe { check, attempt } => drop(self.probes.send(ToProbes::Cancel(check, attempt))),
                Effect::Run(order) => self.run(order),
                Effect::Mail(mail) => self.mail(mail),
                Effect::MonitorLine { file, line } => self.monitor(&file, &line),
                Effect::Event(event) => self.publish(event),
                Effect::Sample => {
                    let sample = self.sample();
                    self.report(Input::Sampled(Box::new(sample)));
                }
                Effect::Reply { token, reply } => self.callers.answer(token, reply),
                Effect::Persist(overrides) => {
                    if let Err(e) = self.state.write(overrides) {
                        self.say(Severity::Error, &format!("what was asked for will not outlive a restart: {e}"));
                    }
                }
                Effect::Exit(exit) => self.exit = Some(exit),
            }
        }
    }

    /// As `tell`, from within an effect: what comes of it is done after the effects before it.
    fn report(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input, &mut self.out);
    }

    fn run(&mut self, order: ScriptOrder) {
        let ScriptOrder { program, arguments } = order;
        // `start` and `stop` of one service differ in one argument, so the others tell the subject.
        let subject = arguments.iter().filter(|a| *a != "start" && *a != "stop");
        let subject = subject.fold(program.display().to_string(), |all, one| format!("{all} {one}"));
        self.order(commands::Order { subject, program, arguments });
    }

    /// Has a program run; the operator is told when that is refused.
    fn order(&mut self, order: commands::Order) {
        let command = order.to_string();
        if let Err(why) = self.commands.run(order) {
            self.report(Input::Tell(Event::CommandFailed { command, why }));
        }
    }

    fn mail(&mut self, mail: Mail) {
        let Mail { to, from, smtp, subject, body } = mail;
        if let Err(unsent) = self.post.send(Letter { to, from, smtp, subject, body }) {
            self.report(Input::Tell(Event::MailFailed { to: unsent.to, why: unsent.why }));
        }
    }

    fn monitor(&mut self, file: &Path, line: &str) {
        if let Err(e) = sinks::monitor(file, clock::wall(), line) {
            self.say(Severity::Warning, &format!("cannot write the monitor file {}: {e}", file.display()));
        }
    }

    fn publish(&mut self, event: Event) {
        self.sinks.tell(&event);
        let at_ms = u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX);
        if let Ok(line) = to_line(&Reply::Event(Stamped { at_ms, event })) {
            // An error says that nobody watches.
            let _ = self.events.send(Arc::new(line));
        }
    }

    /// Tells what is no event of its own.
    pub(crate) fn say(&mut self, severity: Severity, text: &str) {
        self.sinks.line(severity, text);
    }

    fn sample(&mut self) -> Sample {
        let mut sample = Sample::default();
        let counters = self.path.counters(&mut |key, real_server, counters| {
            let service = sample.services.entry(key).or_default();
            match real_server {
                None => service.total = counters,
                Some(address) => drop(service.real_servers.insert(address, counters)),
            }
        });
        let drops = self.path.drops(&mut |reason, count| {
            if count > 0 {
                sample.dataplane.drops.insert(reason.to_owned(), count);
            }
        });
        sample.dataplane.kind = self.path.kind().to_owned();
        sample.dataplane.attachments = self.path.attachments();
        sample.next_hops = self.network.next_hops();
        sample.warnings = self.warnings.standing.iter().chain(&self.warnings.configuration).cloned().collect();
        sample.warnings.extend(self.doors.complaints());
        sample.warnings.extend(self.path.frailty());
        for trouble in [counters.err(), drops.err()].into_iter().flatten() {
            sample.warnings.push(format!("the counters could not be read: {trouble}"));
        }
        sample
    }

    /// A client asks.
    pub(crate) fn call(&mut self, call: Call) {
        let Call { request, role, reply } = call;
        let Some(token) = self.callers.admit(reply, matches!(request, Request::Stop {})) else { return };
        match request {
            Request::Reload {} => self.read(Purpose::Asked(token)),
            Request::Plan {} => self.read(Purpose::Plan(token)),
            Request::Status { .. }
            | Request::Watch { .. }
            | Request::Stop {}
            | Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::Weight { .. }
            | Request::Disable { .. }
            | Request::Enable { .. } => self.tell(Input::Request { token, role, request }),
        }
    }

    /// Reads the files for someone.
    pub(crate) fn read(&mut self, purpose: Purpose) {
        if let Err(Purpose::Asked(token) | Purpose::Plan(token)) = self.reader.read(purpose) {
            let busy = Refusal::new(RefusalCode::Busy, "too many others have asked for the files to be read");
            self.callers.answer(token, Reply::Refused(busy));
        }
    }

    /// The files have been read.
    pub(crate) fn read_is_done(&mut self, purpose: Purpose, result: Result<Configuration, String>) {
        self.reader.received();
        let capabilities = self.path.capabilities();
        let result = result.and_then(|read| fits(&capabilities, &read.cluster).map(|()| read));
        match (purpose, result) {
            (Purpose::Plan(token), Ok(mut read)) => {
                localise(&mut read.cluster, &self.network.own_addresses());
                self.tell(Input::Plan { cluster: Box::new(read.cluster), token });
            }
            (Purpose::Plan(token), Err(why)) => {
                let refusal = Refusal::new(RefusalCode::BadConfig, why);
                self.callers.answer(token, Reply::Refused(refusal));
            }
            (Purpose::Asked(token), Ok(read)) => self.reload(read, Some(token)),
            (Purpose::Signal, Ok(read)) => self.reload(read, None),
            (Purpose::Changed(file), Ok(read)) => {
                self.reload(read, None);
                self.call_back(&file);
            }
            (Purpose::Asked(token), Err(why)) => self.tell(Input::ReloadFailed { why, token: Some(token) }),
            (Purpose::Signal | Purpose::Changed(_), Err(why)) => self.tell(Input::ReloadFailed { why, token: None }),
        }
    }

    fn reload(&mut self, read: Configuration, token: Option<Token>) {
        let Configuration { mut cluster, files, warnings } = read;
        localise(&mut cluster, &self.network.own_addresses());
        self.take_settings(&cluster, files);
        for warning in &warnings {
            self.say(Severity::Warning, warning);
        }
        self.follow(&cluster);
        self.follow_instances(&cluster.settings.execute);
        self.tell(Input::Reload { cluster: Box::new(cluster), token });
    }

    /// Makes the node-wide settings true: where to log, what to look at, where to attach.
    pub(crate) fn take_settings(&mut self, cluster: &Cluster, files: Vec<SourceFile>) {
        self.sinks = Sinks::open(&cluster.settings);
        let maintenance = cluster.settings.maintenance_dir.clone();
        let sources = if cluster.settings.autoreload { files } else { Vec::new() };
        self.watched.send_replace(Watched { sources, maintenance });
        self.settings = cluster.settings.clone();
    }

    fn follow(&mut self, cluster: &Cluster) {
        self.warn_of_firewall(cluster);
        self.network.follow(cluster);
        self.resolve();
        self.doors.want(cluster);
        self.settle(true);
    }

    /// Tells which rules of the host's firewall the services' traffic goes past.
    pub(crate) fn warn_of_firewall(&mut self, cluster: &Cluster) {
        let bypassed = firewall::bypassed(cluster);
        self.warnings.configuration = bypassed.iter().map(ToString::to_string).collect();
        self.warnings.configuration.extend(self.only_a_restart_changes(cluster));
        for event in bypassed {
            self.tell(Input::Tell(event));
        }
    }

    fn only_a_restart_changes(&self, cluster: &Cluster) -> Option<String> {
        let (have, want) = (self.path.capabilities().connections, cluster.settings.connections?);
        (have != want && !self.connections_overridden)
            .then(|| format!("the connection table keeps its size of {have} until a restart; the files say {want}"))
    }

    /// Tells the data plane how the real servers are reached, as far as that is new.
    pub(crate) fn resolve(&mut self) {
        for hop in self.network.settle() {
            if let Err(e) = self.path.next_hop(hop.real_server, hop.next) {
                self.say(
                    Severity::Error,
                    &format!("cannot tell the data plane how {} is reached: {e}", hop.real_server),
                );
            }
            if let Some(event) = hop.event {
                self.tell(Input::Tell(event));
            }
        }
    }

    /// Attaches to the interfaces the virtual addresses' traffic arrives on; with `leave`, to no others.
    pub(crate) fn settle(&mut self, leave: bool) {
        let host = match self.network.interfaces(self.doors.vips()) {
            Ok(host) => host,
            Err(why) => return self.say(Severity::Error, &why),
        };
        for event in self.doors.settle(self.path.as_mut(), &host, leave) {
            self.tell(Input::Tell(event));
        }
    }

    /// The host's network has changed.
    pub(crate) fn network_news(&mut self) {
        if self.network_read() {
            self.settle(false);
        }
    }

    /// Takes the news of next hops; says whether there are news of interfaces.
    pub(crate) fn network_read(&mut self) -> bool {
        let interfaces = self.network.read();
        self.resolve();
        interfaces
    }

    /// Once a second: old connections go, a full table is told, attachments that failed or were taken away are made again.
    pub(crate) fn beat(&mut self) {
        self.beats += 1;
        if let Err(e) = self.path.sweep() {
            self.say(Severity::Error, &format!("old connections could not be removed: {e}"));
        }
        self.tell_of_full_table();
        if self.beats.is_multiple_of(RETRY) {
            self.settle(false);
        }
        if self.beats.is_multiple_of(AUDIT) {
            match self.path.observe() {
                Ok(table) => self.tell(Input::Observed(table)),
                Err(e) => self.say(Severity::Error, &format!("the data plane's table could not be read: {e}")),
            }
        }
    }

    fn tell_of_full_table(&mut self) {
        let mut full = 0;
        let read = self.path.drops(&mut |reason, count| {
            if reason == "table_full" {
                full = count;
            }
        });
        if read.is_err() || full <= self.dropped_full || self.beats < self.full_told + COMPLAINT {
            return;
        }
        let capacity = u64::from(self.path.capabilities().connections);
        let event = Event::TableFull { dropped: full - self.dropped_full, capacity };
        (self.dropped_full, self.full_told) = (full, self.beats);
        self.tell(Input::Tell(event));
    }

    /// Starts, reloads and stops the instances of `execute=`.
    pub(crate) fn follow_instances(&mut self, files: &[String]) {
        for why in self.instances.follow(files, &self.commands) {
            self.say(Severity::Error, &why);
        }
    }

    fn call_back(&mut self, file: &Path) {
        if let Some(program) = self.settings.callback.clone() {
            let arguments = vec![file.display().to_string()];
            self.order(commands::Order { subject: "callback".to_owned(), program, arguments });
            self.carry_out();
        }
    }

    /// A probe reports.
    pub(crate) fn probed(&mut self, report: Report) {
        self.tell(match report {
            Report::Begun(check, attempt) => Input::Begun { check, attempt },
            Report::Ended(check, attempt, verdict) => Input::Verdict { check, attempt, verdict },
        });
    }

    /// A file was seen to have changed.
    pub(crate) fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::SourceChanged(path) => self.read(Purpose::Changed(path)),
            Seen::SourceUnreadable(path, why) => {
                let why = format!("{} cannot be read any more: {why}", path.display());
                self.tell(Input::ReloadFailed { why, token: None });
            }
            Seen::Maintenance(names) => self.tell(Input::Maintenance(names)),
        }
    }
}

/// Whom a probe talks to.
fn target(probe: &Probe) -> Option<IpAddr> {
    match probe {
        Probe::Tcp { target } => Some(target.ip()),
        Probe::Http(http) => Some(http.target.ip()),
        Probe::Ping { target, .. } => Some(*target),
        Probe::AlwaysOn | Probe::AlwaysOff | Probe::Script(_) => None,
    }
}

/// Whether the data plane can hold this.
pub(crate) fn fits(capabilities: &Capabilities, cluster: &Cluster) -> Result<(), String> {
    let servers = cluster.services.iter().map(|s| s.real_servers.len() + usize::from(s.fallback.is_some())).sum();
    let over = |have: usize, limit: u32, noun: &str| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if have > limit {
            Err(format!("{have} {noun} are more than the {limit} the data plane can hold"))
        } else {
            Ok(())
        }
    };
    over(cluster.services.len(), capabilities.services, "services")?;
    over(servers, capabilities.real_servers, "real servers")
}

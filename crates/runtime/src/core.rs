//! The one owner of engine and data plane: tells the engine what happens, carries out its effects and reports back.

mod bfd;
mod cluster;
mod dumps;
mod files;
mod host;
mod notify;
mod relay;
mod table;

pub(crate) use relay::relayed;

use crate::{
    callers::Callers,
    clock::{self, Clock},
    cluster::Cluster as Membership,
    commands::{self, Commands},
    configuration::Reader,
    doors::{Doors, Numbered},
    dumps::Dumps,
    elections::Elections,
    firewall,
    follows::Follows,
    forwarding::KernelForwarding,
    instances::Instances,
    mail::{Letter, Post},
    marks::Learned,
    network::Network,
    notify::Notifier,
    path::PacketPath,
    probes::{Report, ToProbes},
    relay::Relay,
    sinks::{self, Sinks},
    state::StateFile,
    watch::Watched,
};
use evenkeel_api::{Event, Reply, Severity, Stamped, to_line};
use evenkeel_dataplane::{Capabilities, ConnectionFilter};
use evenkeel_engine::{Balance, Effect, Exit, Input, Mail, ProgramFailure, Rates, Sample, ScriptOrder, ServerSample};
use evenkeel_machine::{Machine, Outbox};
use evenkeel_model::{Cluster, Probe, ServiceKey, Settings};
use evenkeel_probe::Strictness;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio::sync::{broadcast, mpsc, watch};

/// Everything that is done goes through here.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) engine: Balance,
    pub(crate) out: Outbox<Effect>,
    pub(crate) path: Box<dyn PacketPath>,
    pub(crate) network: Network,
    pub(crate) doors: Doors,
    /// What files and clients name.
    pub(crate) follows: Follows,
    /// VRRP.
    pub(crate) elections: Elections,
    /// Heartbeat.
    pub(crate) cluster: Membership,
    /// Where it keeps what names this node.
    pub(crate) cluster_files: std::path::PathBuf,
    pub(crate) version: String,
    pub(crate) seed: u64,
    /// Who is told of changes.
    pub(crate) notifier: Notifier,
    /// The interfaces as they were last looked at.
    pub(crate) host: Vec<Numbered>,
    pub(crate) rates: Rates,
    pub(crate) forwarding: KernelForwarding,
    pub(crate) probes: mpsc::UnboundedSender<ToProbes>,
    /// Of the probes with programs.
    pub(crate) strictness: Strictness,
    pub(crate) commands: Commands,
    pub(crate) post: Post,
    pub(crate) instances: Instances,
    /// The addresses of this host, as the engine was told them last.
    pub(crate) held: Option<std::collections::BTreeSet<IpAddr>>,
    pub(crate) sinks: Sinks,
    pub(crate) events: broadcast::Sender<Arc<Vec<u8>>>,
    pub(crate) reader: Reader,
    pub(crate) watched: watch::Sender<Watched>,
    pub(crate) state: StateFile,
    pub(crate) settings: Settings,
    pub(crate) warnings: Warnings,
    pub(crate) firewall: mpsc::Sender<firewall::Found>,
    pub(crate) concerns: Arc<firewall::Concerns>,
    /// What the host's rules give marks to, once that was asked for.
    pub(crate) learned: Option<Learned>,
    pub(crate) marks: mpsc::Sender<Learned>,
    pub(crate) callers: Callers,
    /// Connections that are being ended, a part of the table at a time; no more than the engine's drains.
    pub(crate) flushes: VecDeque<Flush>,
    pub(crate) relay: Relay,
    /// The command line decides on the size of the connection table, so the files do not.
    pub(crate) connections_overridden: bool,
    /// The start is over.
    pub(crate) serving: bool,
    /// Much memory has been used and freed since the last beat.
    pub(crate) untidy: bool,
    /// Seconds served.
    pub(crate) beats: u64,
    /// Connections dropped because of a full table, up to the last complaint, and when that was.
    pub(crate) dropped_full: u64,
    pub(crate) full_told: u64,
    /// What ends it, once other directors have the addresses.
    pub(crate) stop: Option<Input>,
    pub(crate) exit: Option<Exit>,
    /// Files that signals ask for.
    pub(crate) dumps: Option<Dumps>,
}

/// Ends the connections of a real server, see [`Core::flush_part`].
#[derive(Debug)]
pub(crate) struct Flush {
    service: ServiceKey,
    real_server: SocketAddr,
    /// Where it goes on.
    from: u64,
    /// How many it has ended.
    ended: u64,
}

/// Sentences that `status` shows until they no longer hold.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    /// Of this run.
    pub(crate) standing: Vec<String>,
    /// Rules of the firewall that are bypassed.
    pub(crate) firewall: Vec<String>,
    /// Rules that keep out what this node has to hear; shown while nothing was heard.
    pub(crate) deaf: Vec<firewall::Deaf>,
    /// Rules that set marks and are not followed.
    pub(crate) marks: Vec<String>,
    /// What only a restart changes.
    pub(crate) restart: Option<String>,
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

    pub(crate) fn carry_out(&mut self) {
        while let Some(effect) = self.out.pop() {
            match effect {
                Effect::Program { batch, changes } => {
                    let outcome = self.path.apply(&changes);
                    let outcome = outcome.map_err(|e| ProgramFailure { applied: e.applied, why: e.cause.to_string() });
                    self.report(Input::Programmed { batch, outcome });
                }
                Effect::Operate { batch, operation } => {
                    let outcome = self.operate(&operation);
                    let outcome = outcome.map_err(|e| ProgramFailure { applied: 0, why: e.to_string() });
                    self.report(Input::Programmed { batch, outcome });
                }
                Effect::Flush { service, real_server } => {
                    let filter =
                        ConnectionFilter { service: Some(service), real_server: Some(real_server), client: None };
                    self.cut_relayed(&filter);
                    self.flushes.push_back(Flush { service, real_server, from: 0, ended: 0 });
                }
                Effect::Follow { more, less } => self.follow_edits(&more, &less),
                // Only at the very end is there nobody who takes orders.
                Effect::Probe(order) => {
                    let mut order = order;
                    if order.origin.address.is_none() {
                        order.origin.address = target(&order.probe).and_then(|target| self.network.source(target));
                    }
                    drop(self.probes.send(ToProbes::Order(Box::new(order))));
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

    /// Ends connections in a part of the table, so that nothing else waits longer than for that.
    pub(crate) fn flush_part(&mut self) {
        let Some(flush) = self.flushes.front_mut() else { return };
        let (service, real_server) = (flush.service, flush.real_server);
        let filter = ConnectionFilter { service: Some(service), real_server: Some(real_server), client: None };
        let outcome = match self.path.flush_part(&filter, flush.from) {
            Ok((ended, Some(from))) => {
                (flush.from, flush.ended) = (from, flush.ended + ended);
                return;
            }
            Ok((ended, None)) => Ok(flush.ended + ended),
            Err(e) => Err(e.to_string()),
        };
        self.flushes.pop_front();
        self.tell(Input::Flushed { service, real_server, outcome });
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
        self.order(commands::Order::new(subject, program, arguments));
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
        self.post(Letter { to, from, smtp, helo: None, timeout: None, subject, body });
    }

    fn post(&mut self, letter: Letter) {
        if let Err(unsent) = self.post.send(letter) {
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
        let errands = self.notifier.hear(&event);
        self.run_errands(errands);
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
        let counters = count(self.path.as_mut(), None, &mut sample.services);
        let drops = self.path.drops(&mut |reason, count| {
            if count > 0 {
                sample.dataplane.drops.insert(reason.to_owned(), count);
            }
        });
        sample.dataplane.kind = self.path.kind().to_owned();
        sample.dataplane.attachments = self.path.attachments();
        sample.ha = self.elections.status(self.clock.now());
        sample.ha.extend(self.cluster.groups(self.clock.now()));
        sample.bfd = self.elections.bfd.status(self.clock.now());
        sample.cluster = self.cluster.status(self.clock.now());
        sample.next_hops = self.network.next_hops();
        sample.unreachable = self.network.unreachable();
        let Warnings { standing, firewall, deaf, marks, restart } = &self.warnings;
        let standing = standing.iter().chain(firewall).chain(marks).chain(restart);
        sample.warnings = standing.cloned().collect();
        let unheard = deaf.iter().filter(|deaf| deaf.listeners.iter().any(|one| !self.has_heard(one, &sample.ha)));
        sample.warnings.extend(unheard.map(ToString::to_string));
        sample.warnings.extend(self.doors.complaints().chain(self.doors.doubts()));
        sample.warnings.extend(self.path.frailty());
        sample.warnings.extend(self.forwarding.trouble().map(str::to_owned));
        sample.warnings.extend(self.relay.complaints());
        sample.warnings.extend(self.elections.warnings(self.clock.now()));
        sample.warnings.extend(self.cluster.warnings(self.clock.now()));
        for trouble in [counters.err(), drops.err()].into_iter().flatten() {
            sample.warnings.push(format!("the counters could not be read: {trouble}"));
        }
        sample
    }

    /// A probe reports.
    pub(crate) fn probed(&mut self, report: Report) {
        self.tell(match report {
            Report::Begun(check, attempt) => Input::Begun { check, attempt },
            Report::Ended(check, attempt, verdict) => Input::Verdict { check, attempt, verdict },
        });
    }
}

/// Reads the counters of a service, or of all.
fn count(
    path: &mut dyn PacketPath,
    only: Option<&ServiceKey>,
    into: &mut BTreeMap<ServiceKey, ServerSample>,
) -> io::Result<()> {
    let mut sink = |key, real_server, counters| {
        let service = into.entry(key).or_default();
        match real_server {
            None => service.total = counters,
            Some(address) => drop(service.real_servers.insert(address, counters)),
        }
    };
    match only {
        Some(key) => path.counters_of(key, &mut sink),
        None => path.counters(&mut sink),
    }
}

/// Whom a probe talks to.
fn target(probe: &Probe) -> Option<IpAddr> {
    match probe {
        Probe::Tcp { target } => Some(target.ip()),
        Probe::Http(http) => Some(http.target.ip()),
        Probe::Ping { target, .. } => Some(*target),
        Probe::Udp(udp) => Some(udp.target.ip()),
        Probe::Dns(dns) => Some(dns.target.ip()),
        Probe::Smtp { target, .. } => Some(target.ip()),
        Probe::AlwaysOn | Probe::AlwaysOff | Probe::Script(_) | Probe::File(_) | Probe::Bfd { .. } | Probe::All(_) => {
            None
        }
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

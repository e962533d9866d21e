//! The daemon while it runs: how it starts, the loop, how it ends.

mod leaving;

use crate::{
    answered::answered,
    callers::Callers,
    clock::Clock,
    cluster::{Cluster as Membership, Deed},
    commands::{self, Commands},
    configuration::{Purpose, Reader, Reading},
    control::{Call, ControlSocket, Limits, Service},
    core::{self, Core, Warnings, fits},
    daemon::{Failure, Options},
    doors::{Doors, Look},
    dumps::Dumps,
    elections::Elections,
    firewall::Found,
    follows::Follows,
    forwarding::KernelForwarding,
    instances::Instances,
    limits,
    mail::Post,
    marks::{self, Learned},
    network::{Network, localise},
    notify::Notifier,
    path::PacketPath,
    probes::{Probes, Report},
    relay::{self, Relay},
    service_manager,
    sinks::Sinks,
    state::StateFile,
    tracking::drop_untrusted,
    watch::{self, Seen, SourceFile, Watched},
};
use evenkeel_api::{Event, Severity};
use evenkeel_dataplane::{ConnectionFilter, RealServer};
use evenkeel_engine::{Balance, Exit, Input, Rates, Setup, Start, kept};
use evenkeel_ha::{News, heartbeat};
use evenkeel_keepalived::Asked;
use evenkeel_machine::Outbox;
use evenkeel_model::Cluster;
use evenkeel_probe::Prober;
use sd_notify::NotifyState;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    sync::{broadcast, mpsc},
    task::{JoinHandle, yield_now},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout},
};

/// How long the start waits for next hops before it attaches: a real server that is down never answers.
const RESOLVE: Duration = Duration::from_millis(500);
/// Events a watching client may lag behind.
const FEED: usize = 1024;
/// Requests that wait for the core; the clients wait with them.
const CALLS: usize = 256;
/// Failures of programs and mails that wait for the core; more are only logged.
const TOLD: usize = 1024;
/// Reports of probes taken in one turn of the loop.
const TURN: usize = 256;
/// What programs and mails may take at the end.
const FAREWELL: Duration = Duration::from_secs(10);

/// Core, and what it hears from.
pub(crate) struct Running {
    core: Core,
    reports: mpsc::Receiver<Report>,
    calls: mpsc::Receiver<Call>,
    readings: mpsc::Receiver<Reading>,
    seen: mpsc::Receiver<Seen>,
    told: mpsc::Receiver<Event>,
    firewall: mpsc::Receiver<Found>,
    marks: mpsc::Receiver<Learned>,
    news: mpsc::Receiver<News>,
    cluster_news: mpsc::Receiver<heartbeat::News>,
    cluster_deeds: mpsc::UnboundedReceiver<Deed>,
    relayed: mpsc::Receiver<relay::Call>,
    signals: Signals,
    /// Readable when fragments have come before their first one.
    early: Option<AsyncFd<OwnedFd>>,
    beat: Interval,
    watchdog: Option<Interval>,
    /// Tasks that end when the core is gone: programs and mails.
    workers: Vec<JoinHandle<()>>,
    control: Option<(Service, PathBuf, usize)>,
    /// The task that takes clients.
    clients: Option<JoinHandle<()>>,
    ready: Option<Box<dyn FnOnce()>>,
    files: Vec<SourceFile>,
    notices: Vec<String>,
    keep_all: bool,
}

impl Running {
    /// Makes everything that needs no packet path yet; hands the path back when something is missing.
    pub(crate) fn prepare(
        options: Options,
        cluster: &Cluster,
        path: Box<dyn PacketPath>,
        standing: Vec<String>,
    ) -> Result<Running, (Box<dyn PacketPath>, String)> {
        let clock = Clock::start();
        let parts = fits(&path.capabilities(), cluster)
            .and_then(|()| Network::open(clock))
            .and_then(|network| Signals::listen(options.dumps.is_some()).map(|signals| (network, signals)));
        match parts {
            Ok((network, signals)) => Ok(Running::assemble(options, path, standing, network, signals, clock)),
            Err(why) => Err((path, why)),
        }
    }

    fn assemble(
        options: Options,
        path: Box<dyn PacketPath>,
        standing: Vec<String>,
        network: Network,
        signals: Signals,
        clock: Clock,
    ) -> Running {
        let (tell, told) = mpsc::channel(TOLD);
        let (commands, programs) =
            Commands::start(report(tell.clone(), |(command, why)| Event::CommandFailed { command, why }));
        let (post, mails) = Post::start(
            options.node.clone(),
            report(tell, |unsent: crate::mail::Unsent| Event::MailFailed { to: unsent.to, why: unsent.why }),
        );
        let (clients, at_a_time) = limits::share();
        let prober = Prober::new();
        let strictness = prober.strictness();
        let probes = Probes::start(prober, at_a_time);
        let (reader, readings) = Reader::new(options.loader);
        let (events, _) = broadcast::channel(FEED);
        let (calls_in, calls) = mpsc::channel(CALLS);
        let (look, firewall) = mpsc::channel(4);
        let (learn, marks) = mpsc::channel(4);
        let (relay, relayed) = Relay::new();
        let (elections, news) = Elections::new();
        let (membership, cluster_news, cluster_deeds) = Membership::new();
        let seed = seed();
        let (watched, looked_at) = tokio::sync::watch::channel(Watched::default());
        let (seen_in, seen) = mpsc::channel(16);
        tokio::task::spawn_local(watch::watch(looked_at, seen_in));
        let service = Service {
            calls: calls_in,
            events: events.clone(),
            version: options.version.clone(),
            uid: rustix::process::geteuid().as_raw(),
            operators: options.operators,
        };
        let node = options.node.clone();
        let setup = Setup { version: options.version.clone(), node: options.node, seed };
        let core = Core {
            clock,
            engine: Balance::new(setup),
            out: Outbox::new(),
            path,
            network,
            doors: Doors::new(options.interfaces, options.door),
            follows: Follows::default(),
            elections,
            cluster: membership,
            cluster_files: cluster_files(&options.runtime_dir),
            version: options.version,
            seed,
            notifier: Notifier::new(node),
            host: Vec::new(),
            rates: Rates::default(),
            forwarding: KernelForwarding::in_directory(&options.runtime_dir),
            probes: probes.orders,
            strictness,
            commands,
            post,
            instances: Instances::new(options.program),
            held: None,
            sinks: Sinks::default(),
            events,
            reader,
            watched,
            state: StateFile::in_directory(&options.runtime_dir),
            settings: options.first.cluster.settings,
            warnings: Warnings { standing, ..Warnings::default() },
            firewall: look,
            concerns: std::sync::Arc::default(),
            learned: None,
            marks: learn,
            callers: Callers::default(),
            flushes: VecDeque::new(),
            relay,
            connections_overridden: options.connections.is_some(),
            serving: false,
            untidy: true,
            beats: 0,
            dropped_full: 0,
            full_told: 0,
            stop: None,
            exit: None,
            dumps: options.dumps.map(|files| Dumps::new(files, options.first.written)),
        };
        Running {
            core,
            reports: probes.reports,
            calls,
            readings,
            seen,
            told,
            firewall,
            marks,
            news,
            cluster_news,
            cluster_deeds,
            relayed,
            signals,
            early: None,
            beat: every(Duration::from_secs(1)),
            watchdog: sd_notify::watchdog_enabled().map(|limit| every(limit / 2)),
            workers: vec![programs, mails],
            control: Some((service, options.runtime_dir.join("control.sock"), clients)),
            clients: None,
            ready: Some(options.ready),
            files: options.first.files,
            notices: options.first.warnings,
            keep_all: options.keep_all,
        }
    }

    /// Fills the table, then resolves next hops, then attaches, then says that it serves.
    pub(crate) async fn start(&mut self, mut cluster: Cluster) -> Result<(), String> {
        let core = &mut self.core;
        if let Some(dumps) = &mut core.dumps {
            dumps.serve(&cluster);
        }
        localise(&mut cluster, &core.network.own_addresses());
        core.warnings.standing.extend(core.network.trouble().map(str::to_owned));
        core.take_settings(&cluster, std::mem::take(&mut self.files));
        for text in std::mem::take(&mut self.notices).iter().chain(&core.warnings.standing.clone()) {
            core.say(Severity::Warning, text);
        }
        if let Some(why) = core.path.frailty() {
            core.say(Severity::Warning, &why);
        }
        core.strictness.set(cluster.notify.strict);
        let errands = core.notifier.configure(&cluster);
        core.run_errands(errands);
        if let Some(bracket) = cluster.notify.startup.clone() {
            core.run_bracket(&bracket).await;
        }
        let observed = core.forget_meetings().and_then(|()| core.observe());
        let observed = observed.map_err(|e| format!("cannot read the data plane's table: {e}"))?;
        let order = core.path.order().map_err(|e| format!("cannot read the order of the data plane's table: {e}"))?;
        let overrides = core.state.read().unwrap_or_else(|why| {
            core.say(Severity::Warning, &why);
            evenkeel_engine::Overrides::default()
        });
        let maintenance = cluster.settings.maintenance_dir.as_deref().map(watch::names).unwrap_or_default();
        let keep_all = self.keep_all;
        let made = kept(&observed, &cluster, keep_all);
        let made = made.map(|(key, service)| {
            let server = |(address, server): (&_, &RealServer)| (*address, server.forwarding.unrelayed());
            (*key, service.real_servers.iter().map(server).collect())
        });
        core.follows = Follows::of(&cluster, made);
        let learned = marks::are_asked_for(&cluster, &observed).then(marks::look);
        if let Some(learned) = &learned {
            core.follows.mark(learned.destinations());
            core.warnings.marks.clone_from(&learned.unfollowed);
            learned.unfollowed.iter().for_each(|text| core.say(Severity::Warning, text));
        }
        let marks = learned.as_ref().map(|learned| learned.marks.clone()).unwrap_or_default();
        core.learned = learned;
        core.network.follow(&core.follows);
        core.resolve();
        core.doors.want(&cluster.settings, &core.follows);
        core.forward();
        core.look_at_firewall(&cluster);
        core.relay_for(&core::relayed(&cluster, &observed, keep_all));
        let (is_empty, execute) = (cluster.services.is_empty(), cluster.settings.execute.clone());
        let mut vrrp = cluster.vrrp.clone();
        vrrp.answered = answered(&cluster);
        let heartbeat = cluster.heartbeat.clone();
        for told in drop_untrusted(&mut vrrp, cluster.notify.strict) {
            core.say(Severity::Warning, &told);
        }
        core.tell(Input::Start(Box::new(Start { cluster, observed, order, overrides, maintenance, keep_all, marks })));
        self.await_next_hops().await;
        let core = &mut self.core;
        core.settle(Look::Anew);
        if !core.doors.is_open() && !is_empty {
            let why: Vec<String> = core.doors.complaints().collect();
            return Err(match why.as_slice() {
                [] => "no interface is up that the virtual addresses' traffic could arrive on".to_owned(),
                _ => why.join("; "),
            });
        }
        let complaints: Vec<String> = core.doors.complaints().collect();
        for complaint in complaints {
            core.say(Severity::Warning, &complaint);
        }
        let early = core.path.early_fragments().map(watched).transpose();
        self.early = early.map_err(|e| format!("cannot wait for fragments: {e}"))?;
        self.listen()?;
        self.core.follow_instances(&execute);
        self.core.serving = true;
        self.core.elections.hold(&vrrp, self.core.clock.now())?;
        self.core.join_cluster(heartbeat)?;
        service_manager::tell(&[NotifyState::Ready]);
        if let Some(ready) = self.ready.take() {
            ready();
        }
        Ok(())
    }

    async fn await_next_hops(&mut self) {
        let until = Instant::now() + RESOLVE;
        while self.core.network.is_waiting() {
            let due = self.core.due_at().map_or(until, |at| at.min(until));
            tokio::select! {
                () = self.core.network.changed() => drop(self.core.network_read()),
                () = sleep_until(due) => self.core.due(),
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    fn listen(&mut self) -> Result<(), String> {
        let Some((service, path, clients)) = self.control.take() else { return Ok(()) };
        let socket = ControlSocket::bind(&path)
            .map_err(|e| format!("cannot make the control socket {}: {e}", path.display()))?;
        let serve = socket.serve(Limits { clients, ..Limits::default() }, service);
        self.clients = Some(tokio::task::spawn_local(serve));
        Ok(())
    }

    /// The loop.
    pub(crate) async fn until_the_end(&mut self) {
        // An earlier daemon may have left some: nothing tells of those.
        let mut settle_at = Some(Instant::now());
        while self.core.exit.is_none() {
            if let Some(stop) = self.core.stop.take() {
                self.hand_over().await;
                self.core.tell(stop);
                continue;
            }
            let core = &mut self.core;
            let (due, flushes) = (core.due_at(), !core.flushes.is_empty());
            tokio::select! {
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => core.due(),
                // Whatever else is ready comes first.
                () = yield_now(), if flushes => core.flush_part(),
                Some(report) = self.reports.recv() => {
                    core.probed(report);
                    for _ in 0..TURN {
                        let Ok(report) = self.reports.try_recv() else { break };
                        core.probed(report);
                    }
                }
                Some(call) = self.calls.recv() => core.call(call),
                Some((purpose, result)) = self.readings.recv() => core.read_is_done(purpose, result),
                Some(seen) = self.seen.recv() => core.seen(seen),
                Some(found) = self.firewall.recv() => core.firewall_seen(found),
                Some(learned) = self.marks.recv() => core.marks_learned(learned),
                Some(news) = self.news.recv() => core.hear_election(news),
                Some(news) = self.cluster_news.recv() => core.hear_cluster(news),
                Some(deed) = self.cluster_deeds.recv() => core.cluster_deed(deed),
                Some(call) = self.relayed.recv() => core.relay_call(call),
                Some(event) = self.told.recv() => core.tell(Input::Tell(event)),
                () = core.network.changed() => core.network_news(),
                () = come(self.early.as_ref()), if settle_at.is_none() => settle_at = core.settle_fragments(),
                () = sleep_until(settle_at.unwrap_or_else(Instant::now)), if settle_at.is_some() => {
                    settle_at = core.settle_fragments();
                }
                _ = self.beat.tick() => core.beat(),
                () = tick(&mut self.watchdog) => service_manager::tell(&[NotifyState::Watchdog]),
                word = self.signals.next() => match word {
                    Word::Reload => {
                        service_manager::reloading();
                        core.read(Purpose::Signal);
                    }
                    Word::Dump(asked) => core.dump(asked),
                    Word::Stop => {
                        service_manager::tell(&[NotifyState::Stopping]);
                        core.stop = Some(Input::Stop);
                    }
                },
            }
        }
    }

    /// Gives all addresses up. Services go later: traffic comes here until a successor has the addresses.
    async fn hand_over(&mut self) {
        self.core.elections.stop().await;
        self.leave_cluster().await;
        while let Ok(one) = self.news.try_recv() {
            self.core.hear_election(one);
        }
    }

    /// Removes what was added, lets programs and mails end, and answers those who asked for the end.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        service_manager::tell(&[NotifyState::Stopping]);
        self.hand_over().await;
        let Running { mut core, workers, clients, .. } = self;
        let errands = core.notifier.end();
        core.run_errands(errands);
        let dropped = core.notifier.close();
        if dropped > 0 {
            core.say(Severity::Warning, &format!("{dropped} lines of FIFOs that nobody read were dropped"));
        }
        let shutdown = core.notifier.shutdown();
        let stuck = core.cluster.stuck();
        let Exit { left, failed } = core.exit.unwrap_or(Exit { left: 0, failed: false });
        let refused = core.instances.stop(&core.commands);
        for why in &refused {
            core.say(Severity::Error, why);
        }
        core.cut_relayed(&ConnectionFilter::default());
        let Core { path, commands, post, mut callers, mut forwarding, .. } = core;
        let removed = if left > 0 {
            path.leave();
            Ok(())
        } else {
            path.remove().map_err(|e| format!("not all of what was added could be removed: {e}"))
        };
        let removed = match removed {
            Ok(()) if left == 0 => forwarding.undo(),
            other => other,
        };
        let removed = match removed {
            Ok(()) if failed => Err("the data plane refused to let go of services".to_owned()),
            Ok(()) if !stuck.is_empty() => Err(stuck.join("; ")),
            other => other,
        };
        // The tasks end once nobody can order from them any more.
        drop((commands, post));
        for worker in workers {
            let _ = timeout(FAREWELL, worker).await;
        }
        if let Some(order) = shutdown
            && let Err(why) = commands::run(&order).await
        {
            tracing::warn!("the shutdown script `{order}` failed: {why}");
        }
        callers.part(removed.as_ref().err().map(String::as_str));
        // Each client's task writes its reply in one step.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        // The socket goes while the runtime directory is still ours: another instance may make its own right after.
        if let Some(clients) = clients {
            clients.abort();
            let _ = clients.await;
        }
        removed.map_err(Failure)
    }

    /// Gives the path back when the start has failed.
    pub(crate) fn into_path(self, adopted: bool) -> Box<dyn PacketPath> {
        let mut core = self.core;
        if !adopted && let Err(why) = core.forwarding.undo() {
            core.say(Severity::Error, &why);
        }
        core.path
    }
}

/// Hands failures to the core; where too many wait they are only logged.
fn report<T>(tell: mpsc::Sender<Event>, event: impl Fn(T) -> Event) -> impl Fn(T) {
    move |failure| {
        if let Err(e) = tell.try_send(event(failure)) {
            tracing::warn!("{}", e.into_inner());
        }
    }
}

/// Where a cluster keeps what names this node: where heartbeat does, so that either can go on where the other has ended; an
/// instance in a runtime directory of its own has them there.
fn cluster_files(runtime_dir: &Path) -> PathBuf {
    if runtime_dir == Path::new("/run/evenkeel") {
        PathBuf::from("/var/lib/heartbeat")
    } else {
        runtime_dir.join("heartbeat")
    }
}

/// Differs from start to start.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[expect(deprecated, reason = "its successor is unsafe to call, and what it asks for, an OwnedFd keeps")]
fn watched(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd.try_clone_to_owned()?, Interest::READABLE)
}

/// Waits until fragments have come.
async fn come(early: Option<&AsyncFd<OwnedFd>>) {
    match early {
        Some(early) => match early.readable().await {
            // What comes from now on is told anew.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// What a signal asks for.
enum Word {
    Reload,
    Stop,
    Dump(Asked),
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Those that ask for files; none where nobody does.
    dumps: Vec<(Asked, Signal)>,
}

impl Signals {
    fn listen(for_dumps: bool) -> Result<Signals, String> {
        let listen = |kind| signal(kind).map_err(|e| format!("cannot listen to signals: {e}"));
        Ok(Signals {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            dumps: Asked::ALL
                .into_iter()
                .filter(|_| for_dumps)
                .map(|asked| Ok((asked, listen(SignalKind::from_raw(asked.signal()))?)))
                .collect::<Result<_, String>>()?,
        })
    }

    async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.hangup.recv() => Word::Reload,
            _ = self.terminate.recv() => Word::Stop,
            _ = self.interrupt.recv() => Word::Stop,
            _ = self.quit.recv() => Word::Stop,
            asked = asked(&mut self.dumps) => Word::Dump(asked),
        }
    }
}

/// The next signal that asks for a file.
async fn asked(signals: &mut [(Asked, Signal)]) -> Asked {
    poll_fn(|context| {
        for (asked, signal) in signals.iter_mut() {
            if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                return Poll::Ready(*asked);
            }
        }
        Poll::Pending
    })
    .await
}

//! A bed for the engine: a data plane in memory that is strict about every change, and probes answered by the test.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of the bed")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use evenkeel_api::{Event, RefusalCode, Reply, Request, Role, Status, table::Edit};
use evenkeel_dataplane::{self as dataplane, Change, Table};
use evenkeel_engine::{
    Balance, CheckId, EditOrder, Effect, Exit, Followed, HostMarks, Input, Operation, Overrides, ProbeOrder,
    ProgramFailure, Sample, Setup, Start, Token,
};
use evenkeel_health::{Reason, Verdict};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::{
    Behaviour, Body, Check, Cluster, Fallback, Forwarding, Http, HttpMethod, HttpRules, OnFail, Probe, Protocol,
    Quorum, RealServer, Rhythm, Scheduler, Service, ServiceKey, Sources, StartState, StatusSet, Thresholds, Weight,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// Which changes are refused, and how many of them.
pub type Refusal = (fn(&Change) -> bool, usize);

pub struct Bed {
    pub engine: Balance,
    pub now: Instant,
    /// What the data plane truly holds.
    pub table: Table,
    /// Services that have a fallback: they may not be empty on the way from one table to the next.
    pub covered: BTreeSet<ServiceKey>,
    /// Attempts under way.
    pub probes: BTreeMap<CheckId, ProbeOrder>,
    /// Targets whose attempts were given up, by the engine itself.
    pub cancelled: Vec<SocketAddr>,
    /// Effects since the last look, `Probe` and `Program` included.
    pub log: Vec<Effect>,
    /// Changes made since the last look.
    pub changes: Vec<Change>,
    /// What is refused, and how often still.
    pub refuse: Option<Refusal>,
    pub stored: Overrides,
    pub sample: Sample,
    pub exit: Option<Exit>,
    /// Batches wait until `program` is called.
    pub slow: bool,
    waiting: Option<(u64, Vec<Change>)>,
    /// What was done beside the table, and whether the next one is refused.
    pub operations: Vec<Operation>,
    pub refuse_operation: bool,
    /// How many connections a flush ends.
    pub connections: u64,
    /// What is followed, and how often it is named; of those clients added only.
    pub followed: Vec<Followed>,
    /// What an instance without files does.
    pub keep_all: bool,
    /// What the host's rules give marks to at the next start.
    pub marks: HostMarks,
    /// What is relayed before the next start.
    pub relays: std::collections::BTreeSet<ServiceKey>,
    tokens: u64,
}

impl Bed {
    pub fn new(seed: u64) -> Bed {
        Bed {
            engine: engine(seed),
            now: Instant::at(Duration::from_secs(1)),
            table: Table::default(),
            covered: BTreeSet::new(),
            probes: BTreeMap::new(),
            cancelled: Vec::new(),
            log: Vec::new(),
            changes: Vec::new(),
            refuse: None,
            stored: Overrides::default(),
            sample: Sample::default(),
            exit: None,
            slow: false,
            waiting: None,
            operations: Vec::new(),
            refuse_operation: false,
            connections: 0,
            followed: Vec::new(),
            keep_all: false,
            marks: HostMarks::new(),
            relays: Default::default(),
            tokens: 0,
        }
    }

    /// A bed that runs `cluster` on an empty data plane.
    pub fn running(cluster: &Cluster) -> Bed {
        let mut bed = Bed::new(1);
        bed.start(cluster);
        bed
    }

    pub fn start(&mut self, cluster: &Cluster) {
        self.cover(cluster);
        let start = Start {
            cluster: cluster.clone(),
            observed: self.table.clone(),
            order: Vec::new(),
            overrides: self.stored.clone(),
            maintenance: BTreeSet::new(),
            keep_all: self.keep_all,
            marks: self.marks.clone(),
        };
        self.handle(Input::Start(Box::new(start)));
    }

    /// `kill -9` and the next start: what is in the data plane stays, all else is lost.
    pub fn restart(&mut self, seed: u64, cluster: &Cluster) {
        self.engine = engine(seed);
        self.probes.clear();
        self.waiting = None;
        self.handle(Input::Relays(self.relays.clone()));
        self.start(cluster);
    }

    pub fn reload(&mut self, cluster: &Cluster) {
        self.cover(cluster);
        self.handle(Input::Reload { cluster: Box::new(cluster.clone()), token: None });
    }

    /// From now on the services of `cluster` that have a fallback may not be empty. With a slow data plane the cluster
    /// before counts as well, since its changes may be on their way still.
    pub fn cover(&mut self, cluster: &Cluster) {
        let covered = cluster.services.iter().filter(|service| service.fallback.is_some());
        let covered = covered.map(|service| service.key);
        let before = std::mem::take(&mut self.covered);
        self.covered = covered.filter(|key| !self.slow || before.contains(key)).collect();
    }

    pub fn handle(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.engine.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    /// Lets time pass, deadline by deadline.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..100_000 {
            let Some(at) = self.engine.deadline().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            let mut out = Outbox::new();
            self.engine.handle_timeout(self.now, &mut out);
            self.carry_out(out);
        }
        panic!("the engine never comes to rest: deadline {:?} at {:?}", self.engine.deadline(), self.now);
    }

    fn carry_out(&mut self, mut out: Outbox<Effect>) {
        while let Some(effect) = out.pop() {
            assert!(self.exit.is_none(), "{effect:?} came after the exit");
            self.log.push(effect.clone());
            let report = match effect {
                Effect::Program { batch, changes } => {
                    assert!(self.waiting.is_none(), "two batches at a time");
                    assert!(!changes.is_empty(), "an empty batch");
                    self.waiting = Some((batch, changes));
                    if self.slow { None } else { self.programmed() }
                }
                Effect::Probe(order) => {
                    assert!(self.probes.insert(order.check, order).is_none(), "two attempts of one check");
                    None
                }
                Effect::CancelProbe { check, attempt } => {
                    let order = self.probes.remove(&check).expect("an attempt that was not there was cancelled");
                    assert_eq!(order.attempt, attempt);
                    self.cancelled.extend(target_of(&order.probe));
                    None
                }
                Effect::Sample => Some(Input::Sampled(Box::new(self.sample.clone()))),
                Effect::Persist(overrides) => {
                    self.stored = overrides;
                    None
                }
                Effect::Exit(exit) => {
                    self.exit = Some(exit);
                    None
                }
                Effect::Operate { batch, operation } => {
                    assert!(self.waiting.is_none(), "an operation while a batch is open");
                    let refused = std::mem::take(&mut self.refuse_operation);
                    let failure = ProgramFailure { applied: 0, why: "not now".into() };
                    self.operations.extend((!refused).then_some(operation));
                    let outcome = if refused { Err(failure) } else { Ok(()) };
                    Some(Input::Programmed { batch, outcome })
                }
                Effect::Flush { service, real_server } => {
                    Some(Input::Flushed { service, real_server, outcome: Ok(self.connections) })
                }
                Effect::Follow { more, less } => {
                    self.followed.extend(more);
                    for gone in less {
                        let place = self.followed.iter().position(|one| *one == gone);
                        // Those of files are followed by other means.
                        let _ = place.map(|place| self.followed.remove(place));
                    }
                    None
                }
                Effect::Run(_)
                | Effect::Mail(_)
                | Effect::MonitorLine { .. }
                | Effect::Event(_)
                | Effect::Reply { .. } => None,
            };
            if let Some(input) = report {
                let mut more = Outbox::new();
                self.engine.handle(self.now, input, &mut more);
                more.drain().for_each(|effect| out.push(effect));
            }
        }
    }

    /// The waiting batch is carried out.
    pub fn program(&mut self) {
        if let Some(input) = self.programmed() {
            self.handle(input);
        }
    }

    fn programmed(&mut self) -> Option<Input> {
        let (batch, changes) = self.waiting.take()?;
        for (applied, change) in changes.into_iter().enumerate() {
            if let Some((refuse, left)) = &mut self.refuse
                && *left > 0
                && refuse(&change)
            {
                *left -= 1;
                let failure = ProgramFailure { applied, why: "no space left in the map".into() };
                return Some(Input::Programmed { batch, outcome: Err(failure) });
            }
            self.apply(change);
        }
        Some(Input::Programmed { batch, outcome: Ok(()) })
    }

    /// Makes one change; what makes no sense in this table is a fault of the engine.
    fn apply(&mut self, change: Change) {
        let key = *change.service();
        let was_served = self.table.services.get(&key).is_some_and(is_served);
        let services = &mut self.table.services;
        match change.clone() {
            Change::AddService(key, options) => {
                let service = dataplane::Service { options, real_servers: BTreeMap::new() };
                assert!(services.insert(key, service).is_none(), "{change:?} twice");
            }
            Change::EditService(key, options) => {
                let service = services.get_mut(&key).expect("edits a service that is not there");
                assert_ne!(service.options, options, "an edit that changes nothing");
                service.options = options;
            }
            Change::RemoveService(key) => {
                services.remove(&key).expect("removes a service that is not there");
            }
            Change::AddRealServer(key, address, server) => {
                let service = services.get_mut(&key).expect("adds to a service that is not there");
                assert!(service.real_servers.insert(address, server).is_none(), "{change:?} twice");
            }
            Change::EditRealServer(key, address, server) => {
                let service = services.get_mut(&key).expect("edits in a service that is not there");
                let before = service.real_servers.insert(address, server).expect("edits what is not there");
                assert_ne!(before, server, "an edit that changes nothing");
            }
            Change::RemoveRealServer(key, address) => {
                let service = services.get_mut(&key).expect("removes from a service that is not there");
                service.real_servers.remove(&address).expect("removes what is not there");
            }
        }
        if let Some(service) = services.get(&key).filter(|_| was_served && self.covered.contains(&key)) {
            assert!(is_served(service), "{key} is empty after {change:?}, though it has a fallback");
        }
        self.changes.push(change);
    }

    /// The attempt under way at `target` ends; whether there was one.
    pub fn answer(&mut self, target: SocketAddr, good: bool) -> bool {
        let found = self.probes.values().find(|order| target_of(&order.probe) == Some(target)).map(|order| order.check);
        let Some(check) = found else { return false };
        self.answer_check(check, good);
        true
    }

    pub fn answer_check(&mut self, check: CheckId, good: bool) {
        let order = self.probes.remove(&check).expect("an attempt under way");
        let took = Duration::from_millis(3);
        let verdict = match (good, target_of(&order.probe)) {
            (true, _) => Verdict::good("connected", took),
            (false, Some(target)) => Verdict::bad(Reason::Refused { target }, took),
            (false, None) => Verdict::bad(Reason::ExitStatus(1), took),
        };
        self.handle(Input::Verdict { check, attempt: order.attempt, verdict });
    }

    /// Waits until an attempt at `target` is under way, then ends it.
    pub fn next_answer(&mut self, target: SocketAddr, good: bool) {
        for _ in 0..1000 {
            if self.answer(target, good) {
                return;
            }
            let at = self.engine.deadline().expect("a watched target has a next attempt");
            self.pass(at - self.now);
        }
        panic!("no attempt at {target}");
    }

    pub fn request(&mut self, request: Request) -> Option<Reply> {
        self.request_as(Role::Admin, request)
    }

    /// Edits of one request; the reply, if it came at once.
    pub fn edit(&mut self, atomic: bool, edits: Vec<Edit>) -> Option<Reply> {
        self.tokens += 1;
        let token = Token(self.tokens);
        let own = BTreeSet::from([address(OWN).ip()]);
        self.handle(Input::Edit(EditOrder { token, edits, atomic, own }));
        self.reply(token)
    }

    /// The reply, if it came at once.
    pub fn request_as(&mut self, role: Role, request: Request) -> Option<Reply> {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.handle(Input::Request { token, role, request });
        self.reply(token)
    }

    pub fn last_token(&self) -> Token {
        Token(self.tokens)
    }

    pub fn reply(&self, wanted: Token) -> Option<Reply> {
        let reply = |effect: &Effect| match effect {
            Effect::Reply { token, reply } if *token == wanted => Some(reply.clone()),
            _ => None,
        };
        self.log.iter().find_map(reply)
    }

    /// The message of a request that is done.
    pub fn done(&mut self, request: Request) -> String {
        match self.request(request) {
            Some(Reply::Done { message }) => message,
            other => panic!("not done: {other:?}"),
        }
    }

    /// Code and message of a request that is refused.
    pub fn refused(&mut self, request: Request) -> (RefusalCode, String) {
        match self.request(request) {
            Some(Reply::Refused(refusal)) => (refusal.code, refusal.to_string()),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub fn status(&mut self) -> Status {
        match self.request(Request::Status { service: None }) {
            Some(Reply::Status(status)) => *status,
            other => panic!("no status: {other:?}"),
        }
    }

    /// Events since the last look; forgets the log.
    pub fn events(&mut self) -> Vec<Event> {
        let event = |effect| match effect {
            Effect::Event(event) => Some(event),
            _ => None,
        };
        self.changes.clear();
        self.log.drain(..).filter_map(event).collect()
    }

    /// The changes since the last look; forgets them.
    pub fn changed(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub fn weight(&self, key: ServiceKey, address: SocketAddr) -> Option<u32> {
        Some(self.table.services.get(&key)?.real_servers.get(&address)?.weight.get())
    }
}

pub fn engine(seed: u64) -> Balance {
    Balance::new(Setup { version: "0.1.0".into(), node: "node1".into(), seed })
}

pub fn is_served(service: &dataplane::Service) -> bool {
    service.real_servers.values().any(|server| server.weight > Weight::ZERO)
}

pub fn target_of(probe: &Probe) -> Option<SocketAddr> {
    match probe {
        Probe::Tcp { target } => Some(*target),
        Probe::Http(http) => Some(http.target),
        _ => None,
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn key(text: &str) -> ServiceKey {
    let address = address(text);
    ServiceKey::Address { address: address.ip(), protocol: Protocol::Tcp, port: address.port() }
}

pub fn rhythm() -> Rhythm {
    Rhythm {
        every: Duration::from_secs(1),
        timeout: Duration::from_secs(3),
        retry_after: None,
        rise: 1,
        fall: 1,
        jitter_percent: 0,
    }
}

pub fn tcp(target: &str) -> Check {
    Check::new(Probe::Tcp { target: address(target) }, rhythm())
}

pub fn http(target: &str, path: &str) -> Check {
    let probe = Probe::Http(Http {
        target: address(target),
        tls: false,
        verify: false,
        server_name: None,
        host: "www".into(),
        method: HttpMethod::Get,
        path: path.into(),
        status: StatusSet(vec![(200, 299)]),
        body: Body::PerlRegex("ok".into()),
        redirects: 0,
        size_cap: 65536,
        rules: HttpRules::default(),
    });
    Check::new(probe, rhythm())
}

pub fn real_server(name: &str, target: &str, weight: u32) -> RealServer {
    RealServer {
        name: name.into(),
        aliases: Vec::new(),
        address: address(target),
        forwarding: Forwarding::DirectRouting,
        weight: Weight::new(weight).unwrap(),
        thresholds: Thresholds::default(),
        on_fail: None,
        check: tcp(target).into(),
    }
}

pub fn service(name: &str, vip: &str, real_servers: Vec<RealServer>) -> Service {
    Service {
        name: name.into(),
        key: key(vip),
        scheduler: Scheduler::RoundRobin,
        real_servers,
        fallback: Some(Fallback { address: address("127.0.0.1:80"), forwarding: Forwarding::Local, quiesce: false }),
        fallback_command: None,
        on_fail: OnFail::Remove,
        quorum: Quorum::default(),
        suspend: false,
        start: StartState::Down,
        sources: Sources::default(),
        persistence: None,
        one_packet: false,
        behaviour: Behaviour::default(),
        matches: Vec::new(),
        ftp: key(vip).is_ftp(),
        clean_stop: true,
        monitor_file: None,
        alerts: None,
    }
}

pub fn cluster(services: Vec<Service>) -> Cluster {
    Cluster { services, ..Cluster::default() }
}

/// An address of the host itself.
pub const OWN: &str = "192.168.214.1:80";
pub const VIP: &str = "192.168.214.140:80";
pub const ONE: &str = "192.168.214.143:80";
pub const TWO: &str = "192.168.214.145:80";

/// One service of two real servers with a fallback, as set-up 001 has it.
pub fn pair() -> Cluster {
    cluster(vec![service("web", VIP, vec![real_server("real-1", ONE, 1), real_server("real-2", TWO, 1)])])
}

/// That, with both real servers found good.
pub fn serving() -> Bed {
    let mut bed = Bed::running(&pair());
    assert!(bed.answer(address(ONE), true));
    assert!(bed.answer(address(TWO), true));
    bed.events();
    bed
}

//! The engine against a random world: verdicts, reloads, operators, crashes, refused changes, foreign hands. After every
//! step the table is what the states say, and never empty where there is a fallback.
//!
//! `EVENKEEL_SEED=n cargo test -p evenkeel-engine --test simulation` runs one seed again.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod bed;

use bed::*;
use evenkeel_api::{
    Reply, Request, ServerState,
    table::{Edit, EditFailure, Forward, Key, ServerEntry},
};
use evenkeel_dataplane::Change;
use evenkeel_engine::{Effect, Input, key_of, model_key};
use evenkeel_machine::Rng;
use evenkeel_model::{Check, Cluster, OnFail, Probe, Scheduler, ServiceKey, StartState, Weight};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

const SEEDS: u64 = 300;
const STEPS: usize = 200;

/// What a step may change, for the rule "no change without cause".
#[derive(Debug, PartialEq)]
enum Cause {
    /// Anything.
    Any,
    /// Only a verdict other than the one before, of this target.
    Verdict { news: bool },
    /// Nothing.
    None,
}

struct World {
    rng: Rng,
    bed: Bed,
    cluster: Cluster,
    /// The last verdict of each check since the daemon started, as the test gave it; none after its check changed.
    verdicts: BTreeMap<SocketAddr, bool>,
    /// Real servers that may have a weight: a good verdict once, or found serving at a start.
    proved: BTreeSet<SocketAddr>,
    /// What clients have made, by their own account: services and the weights of their real servers.
    made: Made,
}

type Made = BTreeMap<ServiceKey, BTreeMap<SocketAddr, u32>>;

/// What an edit makes of the services of clients; false: it cannot be made.
fn edited(made: &mut Made, edit: &Edit) -> bool {
    let found = |key: &Key| model_key(key).unwrap();
    match edit {
        Edit::AddService(key, _) => made.insert(found(key), BTreeMap::new()).is_none(),
        Edit::RemoveService(key) => made.remove(&found(key)).is_some(),
        Edit::AddServer(key, address, entry) => {
            made.get_mut(&found(key)).is_some_and(|servers| servers.insert(*address, entry.weight).is_none())
        }
        Edit::EditServer(key, address, entry) => {
            let server = made.get_mut(&found(key)).and_then(|servers| servers.get_mut(address));
            server.map(|weight| *weight = entry.weight).is_some()
        }
        Edit::RemoveServer(key, address) => {
            made.get_mut(&found(key)).is_some_and(|servers| servers.remove(address).is_some())
        }
        Edit::EditService(..) | Edit::Clear {} | Edit::Zero(_) | Edit::Timeouts { .. } => unreachable!("not made here"),
    }
}

fn vip(number: u64) -> String {
    format!("10.0.0.{}:80", number + 1)
}

fn random_cluster(rng: &mut Rng) -> Cluster {
    let mut services = Vec::new();
    for number in 0..3 {
        if rng.chance(15) {
            continue;
        }
        let mut real_servers = Vec::new();
        for server in 0..4 {
            if rng.chance(30) {
                continue;
            }
            // Real servers 0 and 1 are shared by all services, so their checks are too.
            let net = if server < 2 { 9 } else { number };
            let target = format!("10.1.{net}.{server}:80");
            let mut real = real_server(&format!("real-{server}"), &target, 1 + rng.below(3) as u32);
            if rng.chance(10) {
                real.check = http(&target, "/health").into();
            }
            if rng.chance(5) {
                Arc::make_mut(&mut real.check).rhythm.every = Duration::from_secs(2);
            }
            if rng.chance(3) {
                Arc::make_mut(&mut real.check).probe = if rng.chance(50) { Probe::AlwaysOn } else { Probe::AlwaysOff };
            }
            real_servers.push(real);
        }
        let mut service = service(&format!("web-{number}"), &vip(number), real_servers);
        if rng.chance(30) {
            service.fallback = None;
        }
        if rng.chance(40) {
            service.on_fail = OnFail::Quiesce;
        }
        if rng.chance(20) {
            service.start = StartState::Up;
        }
        if rng.chance(20) {
            service.scheduler = Scheduler::WeightedRoundRobin;
        }
        service.clean_stop = rng.chance(80);
        services.push(service);
    }
    if rng.chance(30) {
        services.reverse();
    }
    cluster(services)
}

/// The same with one thing changed.
fn nudged(rng: &mut Rng, cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    let services = cluster.services.len() as u64;
    if let Some(service) = cluster.services.get_mut(rng.below(services) as usize) {
        let servers = service.real_servers.len() as u64;
        match service.real_servers.get_mut(rng.below(servers) as usize) {
            Some(server) if rng.chance(70) => server.weight = Weight::new(rng.below(4) as u32).unwrap(),
            Some(server) if rng.chance(50) => {
                Arc::make_mut(&mut server.check).rhythm.every = Duration::from_secs(1 + rng.below(3));
            }
            _ => service.scheduler = Scheduler::Maglev,
        }
    }
    cluster
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let cluster = random_cluster(&mut rng);
        let mut bed = Bed::new(seed);
        bed.start(&cluster);
        bed.events();
        World { rng, bed, cluster, verdicts: BTreeMap::new(), proved: BTreeSet::new(), made: Made::new() }
    }

    fn step(&mut self) -> (String, Cause) {
        match self.rng.below(100) {
            0..45 => self.verdict(),
            45..60 => {
                let passed = Duration::from_millis(self.rng.below(2500));
                self.bed.pass(passed);
                (format!("{passed:?} pass"), Cause::Any)
            }
            60..64 => {
                let cluster = random_cluster(&mut self.rng);
                self.reload(cluster, "another cluster")
            }
            64..70 => {
                let cluster = nudged(&mut self.rng, &self.cluster);
                self.reload(cluster, "one thing changed")
            }
            70..75 => {
                let cluster = self.cluster.clone();
                self.bed.reload(&cluster);
                ("reload of the same".into(), Cause::None)
            }
            75..83 => self.operator(),
            83..87 => self.client(),
            87..91 => {
                let names: BTreeSet<String> =
                    (0..self.rng.below(3)).map(|_| self.random_server().ip().to_string()).collect();
                self.bed.handle(Input::Maintenance(names.clone()));
                (format!("maintenance {names:?}"), Cause::Any)
            }
            91..95 => {
                let seed = self.rng.bits();
                let serving = self.bed.table.services.values().flat_map(|service| &service.real_servers);
                let serving = serving.filter(|(_, server)| server.weight > Weight::ZERO);
                self.proved.extend(serving.map(|(address, _)| *address));
                self.verdicts.clear();
                self.bed.restart(seed, &self.cluster);
                ("kill -9 and start".into(), Cause::Any)
            }
            95..98 => {
                let left = self.rng.below(20) as usize + 1;
                self.bed.refuse =
                    Some((|change| matches!(change, Change::AddRealServer(..) | Change::EditRealServer(..)), left));
                let cluster = random_cluster(&mut self.rng);
                let (what, cause) = self.reload(cluster, "another cluster");
                (format!("{what}, {left} changes refused"), cause)
            }
            _ => self.foreign_hand(),
        }
    }

    fn verdict(&mut self) -> (String, Cause) {
        let open = self.bed.probes.len() as u64;
        let Some(order) = self.bed.probes.values().nth(self.rng.below(open) as usize).cloned() else {
            return ("no attempt under way".into(), Cause::None);
        };
        let target = target_of(&order.probe).expect("only probes with a target are sent here");
        let good = self.rng.chance(60);
        let news = self.verdicts.insert(target, good) != Some(good) || !self.has_one_check(&target);
        if good {
            self.proved.insert(target);
        }
        self.bed.answer_check(order.check, good);
        (format!("{target} is {}", if good { "good" } else { "bad" }), Cause::Verdict { news })
    }

    fn reload(&mut self, cluster: Cluster, what: &str) -> (String, Cause) {
        // Whose check is another one now, or new: the verdicts so far say nothing about it.
        let checks = |cluster: &Cluster| -> BTreeMap<(ServiceKey, SocketAddr), Arc<Check>> {
            let servers = cluster.services.iter().flat_map(|s| s.real_servers.iter().map(|r| (s.key, r)));
            servers.map(|(key, server)| ((key, server.address), server.check.clone())).collect()
        };
        let (before, after) = (checks(&self.cluster), checks(&cluster));
        for (user, check) in &after {
            if before.get(user) != Some(check) {
                self.verdicts.remove(&user.1);
            }
        }
        for user in before.keys().filter(|user| !after.contains_key(user)) {
            self.verdicts.remove(&user.1);
        }
        // One that is always on needs no verdict, and a reload that gives it another check takes none out.
        let servers = self.cluster.services.iter().chain(&cluster.services).flat_map(|service| &service.real_servers);
        let always_on = servers.filter(|server| server.check.probe == Probe::AlwaysOn);
        self.proved.extend(always_on.map(|server| server.address));
        self.cluster = cluster;
        self.bed.reload(&self.cluster);
        (what.into(), Cause::Any)
    }

    fn random_server(&mut self) -> SocketAddr {
        let servers: Vec<SocketAddr> =
            self.cluster.services.iter().flat_map(|s| s.real_servers.iter().map(|r| r.address)).collect();
        let place = self.rng.below(servers.len() as u64) as usize;
        servers.get(place).copied().unwrap_or_else(|| address("10.1.9.0:80"))
    }

    fn operator(&mut self) -> (String, Cause) {
        let (service, server) = (self.rng.below(3), self.random_server());
        let server = format!("web-{service}/{server}");
        let force = self.rng.chance(50);
        let request = match self.rng.below(7) {
            0 => Request::Drain {
                server,
                for_s: self.rng.chance(30).then_some(5),
                until_idle: false,
                deadline_s: None,
                keep: 0,
                force,
            },
            1 => Request::Undrain { server },
            2 => Request::Weight { server, weight: self.rng.chance(70).then(|| self.rng.below(5) as u32), force },
            3 => Request::Disable { target: server, force },
            4 => Request::Enable { target: server },
            5 if self.rng.chance(30) => Request::Disable { target: format!("web-{service}"), force },
            _ => Request::Enable { target: format!("web-{service}") },
        };
        let text = format!("{request:?}");
        self.bed.request(request);
        (text, Cause::Any)
    }

    /// A client edits the table, and the data plane may refuse that.
    fn client(&mut self) -> (String, Cause) {
        if self.bed.slow {
            return ("nothing".into(), Cause::None);
        }
        let (atomic, count) = (self.rng.chance(50), 1 + self.rng.below(6));
        let edits: Vec<Edit> = (0..count).map(|_| self.random_edit()).collect();
        if self.rng.chance(30) {
            let left = 1 + self.rng.below(2) as usize;
            self.bed.refuse = Some((|change| matches!(change, Change::AddRealServer(..)), left));
        }
        let text = format!("{edits:?}, atomic: {atomic}");
        let done = match self.bed.edit(atomic, edits.clone()) {
            Some(Reply::Done { .. }) => edits.len(),
            Some(Reply::NotEdited(error)) => {
                let mut made = self.made.clone();
                let index = error.index as usize;
                let before = edits.iter().take(index).all(|edit| edited(&mut made, edit));
                assert!(before, "an edit before the one that is told was wrong");
                let refused = error.failure == EditFailure::Refused;
                assert!(refused || !edited(&mut made, &edits[index]), "{error:?}");
                if atomic { 0 } else { index }
            }
            other => panic!("{text}: {other:?}"),
        };
        for edit in &edits[..done] {
            assert!(edited(&mut self.made, edit), "{edit:?} was made and cannot be");
        }
        (text, Cause::Any)
    }

    fn random_edit(&mut self) -> Edit {
        let key = key_of(&key(&format!("10.0.9.{}:80", self.rng.below(3))));
        let server = address(&format!("10.1.9.{}:80", self.rng.below(4)));
        let entry = ServerEntry { forward: Forward::Dr, weight: self.rng.below(3) as u32, upper: 0, lower: 0 };
        let service = serde_json::from_str(r#"{"scheduler":"wrr"}"#).unwrap();
        match self.rng.below(10) {
            0..3 => Edit::AddService(key, service),
            3..4 => Edit::RemoveService(key),
            4..7 => Edit::AddServer(key, server, entry),
            7..9 => Edit::EditServer(key, server, entry),
            _ => Edit::RemoveServer(key, server),
        }
    }

    /// What clients made is exactly there, whatever files, crashes and refusals do.
    fn check_made(&self) {
        let table = &self.bed.table;
        let by_client = table.services.iter().filter(|(_, service)| service.options.note.by_edit);
        let weights = |service: &evenkeel_dataplane::Service| {
            service.real_servers.iter().map(|(address, server)| (*address, server.weight.get())).collect()
        };
        let there: Made = by_client.map(|(key, service)| (*key, weights(service))).collect();
        assert_eq!(there, self.made);
    }

    /// Somebody else changes the table, and an audit finds it.
    fn foreign_hand(&mut self) -> (String, Cause) {
        if self.bed.slow {
            return ("nothing".into(), Cause::None);
        }
        let count = self.bed.table.services.len() as u64;
        let at = self.rng.below(count) as usize;
        if let Some(service) = self.bed.table.services.values_mut().nth(at) {
            let first = service.real_servers.keys().next().copied();
            if let Some(first) = first {
                service.real_servers.remove(&first);
            }
        }
        let observed = self.bed.table.clone();
        // The damage is not of the engine's making: nothing is demanded of the way back.
        let covered = std::mem::take(&mut self.bed.covered);
        self.bed.handle(Input::Observed(observed));
        self.bed.covered = covered;
        ("a foreign hand".into(), Cause::Any)
    }

    fn check(&mut self, cause: &Cause) {
        assert_eq!(*self.bed.engine.in_force(), self.bed.table, "what is believed is not what is there");
        let refused = self.bed.engine.wanted() != self.bed.table;
        if refused {
            assert_ne!(self.bed.status().warnings, Vec::<String>::new(), "a refused change is in the status");
            self.bed.refuse = None;
            self.bed.pass(Duration::from_secs(61));
        }
        assert_eq!(self.bed.engine.wanted(), self.bed.table, "the table is not what the states say");
        self.bed.refuse = None;
        match cause {
            Cause::Any | Cause::Verdict { news: true } => {}
            Cause::Verdict { news: false } | Cause::None if refused => {}
            Cause::Verdict { news: false } => assert_eq!(self.bed.changes, vec![], "a change without news"),
            Cause::None => {
                assert_eq!(self.bed.changes, vec![], "a change without cause");
                let idle = |effect: &Effect| !matches!(effect, Effect::Probe(_) | Effect::CancelProbe { .. });
                assert!(self.bed.log.iter().all(idle), "watches were disturbed: {:?}", self.bed.log);
            }
        }
        self.check_states();
        self.check_made();
        self.bed.log.clear();
        self.bed.changes.clear();
    }

    /// Two services may watch one address in two ways; then its last verdict says nothing about either.
    fn has_one_check(&self, address: &SocketAddr) -> bool {
        let servers = self.cluster.services.iter().flat_map(|service| &service.real_servers);
        let mut checks = servers.filter(|server| server.address == *address).map(|server| &server.check);
        let first = checks.next();
        checks.all(|check| Some(check) == first)
    }

    fn check_states(&mut self) {
        // An attempt nobody reported on counts as failed, by the watch's own decision.
        for target in std::mem::take(&mut self.bed.cancelled) {
            self.verdicts.remove(&target);
        }
        let status = self.bed.status();
        assert_eq!(status.services.len(), self.cluster.services.len() + self.made.len());
        for (service, told) in self.cluster.services.iter().zip(&status.services) {
            let in_table = self.bed.table.services.get(&service.key);
            assert_eq!(in_table.is_none(), told.disabled, "{} is there unless it is disabled", service.name);
            if let Some(table) = in_table.filter(|_| service.fallback.is_some()) {
                assert!(is_served(table), "{} is empty though it has a fallback", service.name);
            }
            for (server, told) in service.real_servers.iter().zip(&told.real_servers) {
                let weight = in_table.and_then(|table| table.real_servers.get(&server.address)).map(|s| s.weight.get());
                assert_eq!(told.weight, weight.unwrap_or(0));
                assert_eq!(told.in_table, weight.is_some());
                let watched = matches!(server.check.probe, Probe::Tcp { .. } | Probe::Http(_));
                if weight > Some(0) && watched && service.start == StartState::Down {
                    assert!(self.proved.contains(&server.address), "{} got traffic unproved", server.address);
                }
                let verdict = self.verdicts.get(&server.address).filter(|_| self.has_one_check(&server.address));
                match (told.state, verdict) {
                    (ServerState::Up, Some(false)) if watched => panic!("{} is up after a bad verdict", server.address),
                    (ServerState::Up, _) => assert_eq!(weight, Some(told.full_weight), "{} is up", server.address),
                    (ServerState::Down, Some(true)) if watched && told.reason != "a maintenance file names it" => {
                        panic!("{} is down after a good verdict: {}", server.address, told.reason)
                    }
                    (ServerState::Down | ServerState::Drained, _) => assert_eq!(weight.unwrap_or(0), 0),
                    (ServerState::Disabled, _) => assert_eq!(weight, None),
                    (ServerState::Unchecked, _) if service.start == StartState::Down => {
                        assert_eq!(weight.unwrap_or(0), 0)
                    }
                    (ServerState::Unchecked, _) => {}
                }
            }
        }
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut history = Vec::new();
    // In every fourth world the data plane is slow: verdicts and orders come while it works.
    let slow = seed % 4 == 3;
    world.bed.slow = slow;
    for step in 0..STEPS {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let (what, cause) = world.step();
            history.push(what);
            if !slow {
                world.check(&cause);
            } else if step % 5 == 4 {
                world.bed.slow = false;
                world.bed.program();
                world.bed.cover(&world.cluster);
                world.check(&Cause::Any);
                world.bed.slow = true;
            } else if world.rng.chance(50) {
                world.bed.program();
            }
        }));
        if result.is_err() {
            let last = history.len().saturating_sub(12);
            panic!("seed {seed} failed at step {}; the last steps: {:#?}", history.len(), &history[last..]);
        }
    }
    world.bed.slow = false;
    world.bed.program();
    world.bed.changed();
    world.bed.handle(Input::Stop);
    let exit = world.bed.exit.expect("a stop ends the engine");
    assert_eq!(exit.left, world.bed.table.services.len(), "seed {seed}: only what is to stay is left");
    let removed = |change: &Change| matches!(change, Change::RemoveService(_));
    assert!(world.bed.changes.iter().all(removed), "seed {seed}: an end only removes services");
}

#[test]
fn the_table_is_what_the_states_say_whatever_happens() {
    match std::env::var("EVENKEEL_SEED") {
        Ok(seed) => run(seed.parse().expect("EVENKEEL_SEED is a number")),
        Err(_) => (0..SEEDS).for_each(run),
    }
}

//! Three nodes through random faults.
//!
//! Held at all times: nodes that hear each other, or of which a third one hears both, do not both have a group for longer
//! than it takes to say so; no group is without an owner for longer than it takes to be sure that its node is gone; where
//! nodes are fenced nothing has two owners, one survivor fences at a time, and not all are fenced. When all is quiet there is
//! one owner, all know it, and it is the right one.

use crate::pair::{self, MILLI, SECOND, World, fence, timing};
use evenkeel_heartbeat::{Input, News, Request, Share};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Failback, Heartbeat, Medium};
use std::time::Duration;

/// Seeds of runs that failed once.
pub(crate) const KEPT: [u64; 4] = [19, 24, 44, 94];

/// The least time between what a run goes through and its end.
const QUIET: u32 = 60;

/// `ha1`, `ha2`, `ha3`, and a group for each list of those that it prefers.
pub(crate) fn three(keepalive: Duration, failback: Failback, prefer: &[&[&str]]) -> Heartbeat {
    let first: Vec<&str> = prefer.iter().map(|nodes| nodes[0]).collect();
    let mut cluster = pair::cluster(timing(keepalive, keepalive * 8), failback, &first);
    cluster.timing.initdead = keepalive * 12;
    cluster.nodes.push(pair::name("ha3"));
    for (group, nodes) in cluster.groups.iter_mut().zip(prefer) {
        group.prefer = nodes.iter().map(|node| pair::name(node)).collect();
    }
    cluster
}

/// How often a group was taken by a node.
pub(crate) fn claims(world: &World, group: usize) -> usize {
    let took = |host: usize| {
        let news = &world.hosts[host].news;
        let taken = |news: &&News| matches!(news, News::Holder { group: it, node: Some(node), why: Some(_) } if (*it, *node) == (group, host));
        news.iter().filter(taken).count()
    };
    (0..3).map(took).sum()
}

/// What undoes a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mend {
    Start(usize),
    Thaw(usize),
    Network,
    Ping(usize),
    Resource(usize),
}

pub(crate) struct Chaos {
    world: World,
    seed: u64,
    /// What is broken and until when.
    broken: Vec<(Instant, Mend)>,
    next: Instant,
    /// When a fault last began or ended.
    calm_since: Instant,
    none_since: Vec<Option<Instant>>,
    two_since: Vec<Option<Instant>>,
    shared_since: Vec<Option<Instant>>,
    /// An operator moved something, or it failed: it may be anywhere.
    moved: bool,
    /// Something failed: it may be nowhere.
    failed: bool,
    /// Fenced, and not switched on again.
    off: Vec<usize>,
    owner: Vec<Option<usize>>,
    judged: u64,
    pub(crate) faults: u64,
    pub(crate) moves: u64,
    log: Vec<String>,
}

impl Chaos {
    pub(crate) fn new(seed: u64) -> Chaos {
        let keepalive = SECOND * [10, 2, 60][usize::try_from(seed % 3).unwrap()];
        let failback = if seed % 4 < 3 { Failback::On } else { Failback::Off };
        let prefer: &[&[&str]] = &[&["ha1", "ha2", "ha3"], &["ha2"], &["ha3", "ha1"]];
        let mut cluster = three(keepalive, failback, &prefer[..1 + usize::try_from(seed % 2).unwrap() * 2]);
        if seed % 3 == 1 {
            cluster.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
        }
        if seed % 5 == 4 {
            cluster.fences.push(fence());
        }
        let mut world = World::new(seed, &cluster, &[false; 3]);
        if seed % 7 >= 5 {
            (world.loss, world.delay) = (10, MILLI * 200);
        }
        for host in 0..3 {
            world.start(host);
            world.run(MILLI * 700);
        }
        let groups = cluster.groups.len();
        Chaos {
            seed,
            broken: Vec::new(),
            next: Instant::START + cluster.timing.initdead * 4,
            calm_since: Instant::START,
            none_since: vec![None; groups],
            two_since: vec![None; groups],
            shared_since: vec![None; groups],
            moved: false,
            failed: false,
            off: Vec::new(),
            owner: vec![None; groups],
            judged: 0,
            faults: 0,
            moves: 0,
            log: Vec::new(),
            world,
        }
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.world.rng.below(limit)).unwrap()
    }

    fn cut(&mut self, from: usize, to: usize) {
        for medium in 0..self.world.hosts[0].view.media.len() {
            self.world.open.insert((from, to, medium), false);
        }
    }

    fn fault(&mut self) {
        let now = self.world.now;
        let timing = self.world.hosts[0].view.timing;
        let (host, other) = (self.below(3), self.below(2));
        let other = (host + 1 + other) % 3;
        let length = timing.keepalive * u32::try_from(self.world.rng.below(40)).unwrap() + MILLI * 13;
        let runs = self.world.runs(host);
        let busy = self.seed % 2 == 1;
        self.faults += 1;
        let kind = self.world.rng.below(12);
        self.log.push(format!("{:?}: fault {kind} of {host} and {other} for {length:?}", now.since_start()));
        match kind {
            0 if runs => {
                let power = self.world.rng.chance(50);
                self.world.kill(host, power);
                self.broken.push((now + length, Mend::Start(host)));
            }
            1 if runs => {
                self.world.tell(host, Input::Stop);
                self.broken.push((now + length + timing.keepalive * 4, Mend::Start(host)));
            }
            2 => {
                for medium in 0..self.world.hosts[0].view.media.len() {
                    self.world.plug(host, medium, false);
                }
                self.broken.push((now + length, Mend::Network));
            }
            3 => {
                for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
                    self.cut(from, to);
                }
                self.broken.push((now + length, Mend::Network));
            }
            4 => {
                self.cut(host, other);
                self.broken.push((now + length, Mend::Network));
            }
            5 => {
                self.cut(host, other);
                self.cut(other, host);
                self.broken.push((now + length, Mend::Network));
            }
            6 if runs => {
                self.world.freeze(host);
                self.broken.push((now + length, Mend::Thaw(host)));
            }
            7 => {
                self.world.hosts[host].reaches = false;
                self.broken.push((now + length, Mend::Ping(host)));
            }
            8 => self.world.hosts[host].clock += 3_600_000 - 7_200_000 * i64::try_from(self.below(2)).unwrap(),
            9 if self.seed % 4 == 3 => {
                let group = self.below(self.owner.len() as u64);
                self.world.hosts[host].pace[group].fails = true;
                self.broken.push((now + length, Mend::Resource(host)));
                if self.world.holders(group) == [host] && self.world.runs(host) {
                    self.world.fail(host, group);
                }
                (self.moved, self.failed) = (true, true);
            }
            10 if runs && busy => {
                let share = [Share::All, Share::Local, Share::Foreign][self.below(3)];
                let what = if self.below(2) == 0 { Request::Standby(share) } else { Request::Takeover(share) };
                self.moved = true;
                self.world.ask(host, 1, what);
            }
            11 if runs && busy => {
                let (group, to) = (self.below(self.owner.len() as u64), self.below(3));
                self.moved = true;
                self.world.ask(host, 2, Request::Move { group, to: Some(to) });
            }
            _ => self.faults -= 1,
        }
        // Most come while the one before still lasts; now and then all becomes quiet.
        let pause = if self.world.rng.chance(15) { QUIET * 4 } else { 30 };
        let most = u64::try_from((timing.keepalive * pause).as_millis()).unwrap();
        let least = if pause > 30 { timing.keepalive * QUIET * 2 + SECOND * 120 } else { timing.keepalive };
        self.next = now + least + Duration::from_millis(self.world.rng.below(most));
    }

    fn mend(&mut self, mend: Mend) {
        self.log.push(format!("{:?}: {mend:?}", self.world.now.since_start()));
        match mend {
            Mend::Start(host) => {
                self.off.retain(|off| *off != host);
                if !self.world.runs(host) || self.world.hosts[host].stopped {
                    self.world.start(host);
                }
            }
            Mend::Thaw(host) => self.world.thaw(host),
            Mend::Network => self.world.open.clear(),
            Mend::Ping(host) => self.world.hosts[host].reaches = true,
            Mend::Resource(host) => self.world.hosts[host].pace.iter_mut().for_each(|pace| pace.fails = false),
        }
    }

    fn is_fit(&self, host: usize) -> bool {
        self.world.runs(host) && !self.world.hosts[host].stopped
    }

    fn hears(&self, host: usize, other: usize) -> bool {
        let mut media = 0..self.world.hosts[0].view.media.len();
        media.any(|medium| self.world.open.get(&(other, host, medium)).copied().unwrap_or(true))
    }

    /// Whether two fit nodes hear each other, or a fit third one both, and both it.
    fn connected(&self, host: usize, other: usize) -> bool {
        let both = |one: usize, two: usize| {
            self.is_fit(one) && self.is_fit(two) && self.hears(one, two) && self.hears(two, one)
        };
        both(host, other) || both(host, 3 - host - other) && both(3 - host - other, other)
    }

    /// Where all stand, and what came before.
    fn state(&self) -> String {
        let last = self.log.len().saturating_sub(8);
        format!("{}\n{}", self.world.state(), self.log[last..].join("\n"))
    }

    fn judge(&mut self) {
        self.judged += 1;
        let now = self.world.now;
        let timing = self.world.hosts[0].view.timing;
        let calm = now - self.calm_since;
        let fit: Vec<usize> = (0..3).filter(|host| self.is_fit(*host)).collect();
        let fences = !self.world.hosts[0].view.fences.is_empty();
        // To be sure of a death, or to start alone; then what is left to another node, and fencing in turn.
        let none = timing.initdead
            + timing.deadtime
            + timing.keepalive * 3
            + SECOND * 20
            + if fences { timing.keepalive * 3 + SECOND * 40 } else { Duration::ZERO };
        let two = timing.keepalive * if self.world.loss > 0 { 6 } else { 2 } + SECOND * 2;
        // What a third one tells of a node counts once that one is missed.
        let cut = fit.iter().any(|one| fit.iter().any(|two| one != two && !self.hears(*one, *two)));
        let two = two + if cut { timing.deadtime + timing.keepalive * 3 } else { Duration::ZERO };
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            let since = |since: &mut Option<Instant>, calm: Instant, so: bool| match so {
                true => now - (*since.get_or_insert(now)).max(calm),
                false => {
                    *since = None;
                    Duration::ZERO
                }
            };
            let lacks = owners.is_empty() && !fit.is_empty() && !self.failed;
            let without = since(&mut self.none_since[group], self.calm_since, lacks);
            assert!(without <= none, "seed {}: {group} nowhere for {without:?}: {}", self.seed, self.state());
            let pairs = [(0, 1), (0, 2), (1, 2)];
            let doubled = pairs
                .iter()
                .any(|(one, two)| owners.contains(one) && owners.contains(two) && self.connected(*one, *two));
            let both = since(&mut self.two_since[group], self.calm_since, doubled);
            assert!(both <= two, "seed {}: {group} twice for {both:?}: {}", self.seed, self.state());
            let shared = since(&mut self.shared_since[group], Instant::START, owners.len() > 1 && fences);
            assert!(shared <= timing.keepalive, "seed {}: {group} twice, {shared:?}: {}", self.seed, self.state());
            if let [owner] = owners[..] {
                self.moves += u64::from(self.owner[group].replace(owner) != Some(owner));
            }
        }
        self.judge_fences();
        if calm > none + timing.deadtime + SECOND * 30 && self.broken.is_empty() && fit.len() == 3 {
            self.judge_calm();
        }
    }

    /// Nobody fences what another one is fencing whom it hears, and somebody is left.
    fn judge_fences(&mut self) {
        let recent: Vec<_> =
            self.world.attempts.iter().filter(|(at, ..)| self.world.now - *at <= SECOND).copied().collect();
        for (place, (_, by, node)) in recent.iter().enumerate() {
            let another = recent[..place].iter().find(|(_, other, of)| of == node && other != by);
            let together = another.is_some_and(|(_, other, _)| self.hears(*by, *other) && self.hears(*other, *by));
            assert!(
                !together || self.calm_since + SECOND * 5 > self.world.now,
                "seed {}: {recent:?}: {}",
                self.seed,
                self.state()
            );
        }
        assert!(self.off.len() < 3, "seed {}: all were fenced: {:?}: {}", self.seed, self.world.attempts, self.state());
        self.world.attempts.retain(|(at, ..)| self.world.now - *at <= SECOND * 100);
    }

    fn judge_calm(&mut self) {
        let state = || format!("seed {}: {}", self.seed, self.state());
        assert!(self.world.both_stable(), "{}", state());
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            if (0..3).all(|host| self.world.node(host).view().failed.contains(&group)) {
                continue;
            }
            assert_eq!(owners.len(), 1, "group {group}, {}", state());
            for host in 0..3 {
                assert_eq!(self.world.node(host).view().holders[group], Some(owners[0]), "host {host}, {}", state());
            }
            let view = &self.world.hosts[0].view;
            let right = view.nodes.iter().position(|node| *node == view.groups[group].prefer[0]).unwrap();
            let moved = self.moved || view.failback != Failback::On;
            assert!(moved || owners[0] == right, "group {group}, {}", state());
        }
    }

    /// For 3000 `keepalive`, and until all is quiet.
    pub(crate) fn run(&mut self) {
        let keepalive = self.world.hosts[0].view.timing.keepalive;
        let end = self.world.now + keepalive * 3000;
        while self.world.now < end {
            self.turn(end);
        }
        // Everything is mended, and nothing breaks any more.
        self.next = end + keepalive * 1_000_000;
        let quiet = end + keepalive * QUIET * 3 + SECOND * 900;
        while self.world.now < quiet {
            self.turn(quiet);
        }
        assert!(self.broken.is_empty());
        self.judge_calm();
    }

    fn turn(&mut self, end: Instant) {
        let mend = self.broken.iter().map(|(when, _)| *when).min();
        let next = mend.into_iter().chain([self.next, end]).min().unwrap();
        if self.world.step(next) {
            self.judge();
        } else if mend == Some(next) {
            let place = self.broken.iter().position(|(when, _)| *when == next).unwrap();
            let (_, mend) = self.broken.swap_remove(place);
            self.mend(mend);
            self.calm_since = self.world.now;
        } else if self.next == next {
            self.fault();
            self.calm_since = self.world.now;
        }
        // A fenced host is switched on again by somebody.
        for host in std::mem::take(&mut self.world.fenced) {
            self.off.retain(|off| *off != host);
            self.off.push(host);
            self.log.push(format!("{:?}: {host} was fenced", self.world.now.since_start()));
            self.broken.push((self.world.now + SECOND * 300, Mend::Start(host)));
            self.calm_since = self.world.now;
        }
        for host in &mut self.world.hosts {
            host.said.clear();
            host.news.clear();
            host.announced.clear();
            host.answers.clear();
        }
    }
}

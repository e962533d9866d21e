//! Nodes through random faults, replayed by their seed.
//!
//! Held at all times: evenkeels that hear each other, or of which a third one hears both, do not both have a group for longer
//! than it takes to say so; while a node is fit, no group is without an owner for longer than it takes to be sure that its
//! node is gone; where nodes are fenced nothing has two owners, one survivor fences at a time, and not all are fenced. When
//! all is quiet there is one owner, all know it, and it is the right one.

#![allow(dead_code, reason = "pairs and triples meet different faults")]

mod fault;

pub(crate) use fault::Fault;

use crate::pair::{MILLI, SECOND, World};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Failback, Heartbeat, Timing};
use fault::Mend;
use std::time::Duration;

/// What a run is like.
pub(crate) struct Plan<'a> {
    pub(crate) seed: u64,
    pub(crate) cluster: &'a Heartbeat,
    /// Which nodes run a heartbeat.
    pub(crate) real: &'a [bool],
    /// What happens. Operators ask for something in odd worlds only, and resources fail in every second one of these.
    pub(crate) faults: &'static [Fault],
    /// Most faults come while the one before lasts; now and then all becomes quiet.
    pub(crate) dense: bool,
    /// Messages are lost and late.
    pub(crate) lossy: bool,
}

pub(crate) struct Chaos {
    world: World,
    seed: u64,
    /// One of them runs a heartbeat.
    real: bool,
    kinds: &'static [Fault],
    dense: bool,
    /// What is broken and until when.
    broken: Vec<(Instant, Mend)>,
    /// When the next fault comes.
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
    log: Vec<String>,
    pub(crate) faults: u64,
    pub(crate) moves: u64,
}

impl Chaos {
    pub(crate) fn new(plan: &Plan<'_>) -> Chaos {
        let mut world = World::new(plan.seed, plan.cluster, plan.real);
        if plan.lossy {
            (world.loss, world.delay) = (10, MILLI * 200);
        }
        for host in 0..world.hosts.len() {
            world.start(host);
            world.run(MILLI * 700);
        }
        let groups = plan.cluster.groups.len();
        Chaos {
            world,
            seed: plan.seed,
            real: plan.real.contains(&true),
            kinds: plan.faults,
            dense: plan.dense,
            broken: Vec::new(),
            next: Instant::START + plan.cluster.timing.initdead * 4,
            calm_since: Instant::START,
            none_since: vec![None; groups],
            two_since: vec![None; groups],
            shared_since: vec![None; groups],
            moved: false,
            failed: false,
            off: Vec::new(),
            owner: vec![None; groups],
            log: Vec::new(),
            faults: 0,
            moves: 0,
        }
    }

    /// The fence device of a host never works.
    pub(crate) fn break_device(&mut self, host: usize) {
        self.world.hosts[host].fences = false;
    }

    /// Lets things break for so long.
    pub(crate) fn run(&mut self, time: Duration) {
        self.turn_until(self.world.now + time);
    }

    /// Mends everything, and lets nothing break any more until all is quiet.
    pub(crate) fn settle(&mut self) {
        let keepalive = self.timing().keepalive;
        self.next = self.world.now + keepalive * 1_000_000;
        self.turn_until(self.world.now + keepalive * 180 + SECOND * 900);
        assert!(self.broken.is_empty());
        self.judge_calm();
    }

    fn turn_until(&mut self, end: Instant) {
        while self.world.now < end {
            self.turn(end);
        }
    }

    /// What comes next: an event of the world, the end of a fault, or a fault.
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
            self.next = self.world.now + self.pause();
            self.calm_since = self.world.now;
        }
        // A fenced host is switched on again by somebody.
        for host in std::mem::take(&mut self.world.fenced) {
            self.world.hosts[host].frozen = false;
            self.off.retain(|off| *off != host);
            self.off.push(host);
            self.note(format!("{host} was fenced"));
            self.broken.push((self.world.now + SECOND * 300, Mend::Start(host)));
            self.calm_since = self.world.now;
        }
        self.world.forget();
    }

    /// The time to the next fault.
    fn pause(&mut self) -> Duration {
        let keepalive = self.timing().keepalive;
        let quiet = !self.dense || self.world.rng.chance(15);
        let most = keepalive * if quiet { 240 } else { 30 };
        let least = if self.dense && quiet { keepalive * 120 + SECOND * 120 } else { keepalive };
        least + Duration::from_millis(self.world.rng.below(u64::try_from(most.as_millis()).unwrap()))
    }

    fn judge(&mut self) {
        let calm = self.world.now - self.calm_since;
        let fit: Vec<usize> = self.hosts().filter(|host| self.is_fit(*host)).collect();
        let (none, two) = (self.longest_without(), self.longest_twice(&fit));
        let fences = !self.world.hosts[0].view.fences.is_empty();
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            let now = self.world.now;
            let since = |since: &mut Option<Instant>, calm: Instant, so: bool| match so {
                true => now - (*since.get_or_insert(now)).max(calm),
                false => {
                    *since = None;
                    Duration::ZERO
                }
            };
            let rests = self.failed || self.real && self.moved;
            let able = fit.iter().any(|host| self.world.hosts[*host].fences);
            let lacks = owners.is_empty() && able && !rests;
            let without = since(&mut self.none_since[group], self.calm_since, lacks);
            assert!(without <= none, "{group} nowhere for {without:?}: {}", self.state());
            let both = |one: &usize| owners.iter().any(|two| two > one && self.connected(*one, *two));
            let doubled = !self.real && owners.iter().any(both);
            let both = since(&mut self.two_since[group], self.calm_since, doubled);
            assert!(both <= two, "{group} twice for {both:?}: {}", self.state());
            // Where nodes are fenced, nothing but a start after a crash finds an address of the run before.
            let shared = since(&mut self.shared_since[group], Instant::START, owners.len() > 1 && fences);
            assert!(shared <= self.timing().keepalive, "{group} twice, {shared:?}: {}", self.state());
            if let [owner] = owners[..] {
                self.moves += u64::from(self.owner[group].replace(owner) != Some(owner));
            }
        }
        self.judge_fences();
        let long = none + self.timing().deadtime + SECOND * 30;
        if calm > long && self.broken.is_empty() && fit.len() == self.world.hosts.len() {
            self.judge_calm();
        }
    }

    /// To be sure of a death, or to start alone, and what a word is waited for; of three nodes also what is left to another
    /// one, and fencing in turn.
    fn longest_without(&self) -> Duration {
        let Timing { keepalive, deadtime, initdead, .. } = self.timing();
        let mut longest = initdead + deadtime + SECOND * 14;
        if self.world.hosts.len() > 2 {
            longest += keepalive * 3 + SECOND * 6;
            if !self.world.hosts[0].view.fences.is_empty() {
                longest += keepalive * 3 + SECOND * 40;
            }
            if !self.world.hosts.iter().all(|host| host.fences) {
                // For each of two that died: three attempts with their pauses, and the wait of a turn.
                longest += (keepalive * 2 + SECOND * 15) * 2;
            }
        }
        longest
    }

    /// To say it, and what a third one tells of a node: it counts once that one is missed.
    fn longest_twice(&self, fit: &[usize]) -> Duration {
        let Timing { keepalive, deadtime, .. } = self.timing();
        let said = keepalive * if self.world.loss > 0 { 6 } else { 2 } + SECOND * 2;
        let cut = fit.iter().any(|one| fit.iter().any(|two| one != two && !self.hears(*one, *two)));
        said + if cut { deadtime + keepalive * 3 } else { Duration::ZERO }
    }

    /// Nobody fences what another one is fencing whom it hears, and somebody is left.
    fn judge_fences(&mut self) {
        let now = self.world.now;
        let recent: Vec<_> = self.world.attempts.iter().filter(|(at, ..)| now - *at <= SECOND).copied().collect();
        for (place, (_, by, node)) in recent.iter().enumerate() {
            let another = recent[..place].iter().find(|(_, other, of)| of == node && other != by);
            let together = another.is_some_and(|(_, other, _)| self.hears(*by, *other) && self.hears(*other, *by));
            assert!(!together || self.calm_since + SECOND * 5 > now, "{recent:?}: {}", self.state());
        }
        assert!(self.off.len() < self.world.hosts.len(), "all were fenced: {}", self.state());
        self.world.attempts.retain(|(at, ..)| now - *at <= SECOND * 100);
    }

    fn judge_calm(&self) {
        assert!(self.world.both_stable(), "{}", self.state());
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            let failed = !self.real && self.hosts().all(|host| self.world.node(host).view().failed.contains(&group));
            // What an operator took from both nodes of a heartbeat pair is nowhere until he asks again.
            if failed || self.moved && self.real && owners.is_empty() {
                continue;
            }
            assert_eq!(owners.len(), 1, "group {group}, {}", self.state());
            if self.real {
                continue;
            }
            for host in self.hosts() {
                let holder = self.world.node(host).view().holders[group];
                assert_eq!(holder, Some(owners[0]), "group {group} to {host}, {}", self.state());
            }
            let view = &self.world.hosts[0].view;
            let right = view.nodes.iter().position(|node| *node == view.groups[group].prefer[0]).unwrap();
            let moved = self.moved || view.failback != Failback::On;
            assert!(moved || owners[0] == right, "group {group}, {}", self.state());
        }
    }

    fn timing(&self) -> Timing {
        self.world.hosts[0].view.timing
    }

    fn hosts(&self) -> std::ops::Range<usize> {
        0..self.world.hosts.len()
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
        let third = |third: usize| both(host, third) && both(third, other);
        both(host, other) || self.hosts().filter(|node| *node != host && *node != other).any(third)
    }

    fn note(&mut self, what: String) {
        self.log.push(format!("{:?}: {what}", self.world.now.since_start()));
    }

    /// Where all stand, and what came before.
    fn state(&self) -> String {
        let last = self.log.len().saturating_sub(8);
        format!("seed {}: {}\n{}", self.seed, self.world.state(), self.log[last..].join("\n"))
    }
}

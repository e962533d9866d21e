//! Pairs through random faults, replayed by their seed.
//!
//! Held at all times: two nodes that hear each other do not both have a group for longer than it takes to say so; while a
//! node is fit, no group is without an owner for longer than it takes to be sure that the other one is gone; and when all
//! is quiet there is one owner, both nodes know it, and it is the right one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod pair;

use evenkeel_heartbeat::{Input, Request, Share};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Failback, Medium};
use pair::{MILLI, SECOND, World, cluster, fence, is_dead, timing};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What undoes a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mend {
    Start(usize),
    Thaw(usize),
    Plug(usize),
    Ping(usize),
    Resource(usize),
}

struct Chaos {
    world: World,
    seed: u64,
    real: bool,
    /// What is broken and until when.
    broken: Vec<(Instant, Mend)>,
    next: Instant,
    /// When a fault last began or ended.
    calm_since: Instant,
    none_since: Vec<Option<Instant>>,
    two_since: Vec<Option<Instant>>,
    shared_since: Vec<Option<Instant>>,
    /// An operator moved something, or it failed: it may be anywhere. In even worlds this does not happen.
    moved: bool,
    /// Something failed: it may be nowhere.
    failed: bool,
    faults: u64,
    owner: Vec<Option<usize>>,
    moves: u64,
}

impl Chaos {
    fn new(seed: u64, keepalive: Duration, failback: Failback, real: &[bool]) -> Chaos {
        let prefer: &[&str] = if seed.is_multiple_of(2) { &["ha1"] } else { &["ha1", "ha2", "ha1"] };
        let mut cluster = cluster(timing(keepalive, keepalive * 8), failback, prefer);
        cluster.timing.initdead = keepalive * 12;
        cluster.ipfail = !real.contains(&true);
        if seed.is_multiple_of(3) {
            cluster.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
        }
        if seed % 11 == 10 && !real.contains(&true) {
            cluster.fences.push(fence());
        }
        let mut world = World::new(seed, &cluster, real);
        // What is lost is missed with the next status: a heartbeat that waits for a word longer than ten seconds is stuck.
        if seed % 7 == 6 && (keepalive < SECOND * 5 || !real.contains(&true)) {
            (world.loss, world.delay) = (10, MILLI * 200);
        }
        world.start(0);
        world.run(MILLI * 700);
        world.start(1);
        let groups = prefer.len();
        let next = Instant::START + cluster.timing.initdead * 4;
        Chaos {
            world,
            seed,
            real: real.contains(&true),
            broken: Vec::new(),
            next,
            calm_since: Instant::START,
            none_since: vec![None; groups],
            two_since: vec![None; groups],
            shared_since: vec![None; groups],
            moved: false,
            failed: false,
            faults: 0,
            owner: vec![None; groups],
            moves: 0,
        }
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.world.rng.below(limit)).unwrap()
    }

    fn fault(&mut self) {
        let now = self.world.now;
        let timing = self.world.hosts[0].view.timing;
        let host = self.below(2);
        let length = timing.keepalive * u32::try_from(self.world.rng.below(40)).unwrap() + MILLI * 13;
        let runs = self.world.runs(host);
        let kinds = if self.real { 5 } else { 11 };
        self.faults += 1;
        match self.world.rng.below(kinds) {
            0 if runs => {
                let power = self.world.rng.chance(50) || self.world.hosts[host].real;
                self.world.kill(host, power);
                self.broken.push((now + length, Mend::Start(host)));
            }
            1 if runs => {
                self.world.tell(host, Input::Stop);
                self.broken.push((now + length + timing.keepalive * 4, Mend::Start(host)));
            }
            2 => {
                for medium in 0..self.world.hosts[0].view.media.len() {
                    self.world.plug(0, medium, false);
                }
                self.broken.push((now + length, Mend::Plug(0)));
            }
            3 => {
                let medium = self.below(self.world.hosts[0].view.media.len() as u64);
                self.world.plug(0, medium, false);
                self.broken.push((now + length, Mend::Plug(medium)));
            }
            4 if runs && self.seed % 4 % 2 == 1 => {
                let share = [Share::All, Share::Local, Share::Foreign][self.below(3)];
                let what = if self.below(2) == 0 { Request::Standby(share) } else { Request::Takeover(share) };
                self.moved = true;
                self.world.ask(host, 1, what);
            }
            5 if runs => {
                self.world.freeze(host);
                self.broken.push((now + length, Mend::Thaw(host)));
            }
            6 => {
                for medium in 0..self.world.hosts[0].view.media.len() {
                    self.world.open.insert((host, 1 - host, medium), false);
                }
                self.broken.push((now + length, Mend::Plug(0)));
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
                if self.world.holders(group) == [host] {
                    self.world.fail(host, group);
                }
                (self.moved, self.failed) = (true, true);
            }
            10 if runs && self.seed % 4 % 2 == 1 => {
                let (group, to) = (self.below(self.owner.len() as u64), self.below(2));
                self.moved = true;
                self.world.ask(host, 2, Request::Move { group, to: Some(to) });
            }
            _ => self.faults -= 1,
        }
        let most = u64::try_from((timing.initdead * 20).as_millis()).unwrap();
        self.next = now + timing.keepalive + Duration::from_millis(self.world.rng.below(most));
    }

    fn mend(&mut self, mend: Mend) {
        match mend {
            Mend::Start(host) if !self.world.runs(host) || self.world.hosts[host].stopped => {
                // A heartbeat that is gone has taken its addresses along, or a reboot has.
                if self.world.hosts[host].real {
                    self.world.kill(host, true);
                }
                self.world.start(host);
            }
            Mend::Start(_) => {}
            Mend::Thaw(host) => self.world.thaw(host),
            Mend::Plug(_) => self.world.open.clear(),
            Mend::Ping(host) => self.world.hosts[host].reaches = true,
            Mend::Resource(host) => self.world.hosts[host].pace.iter_mut().for_each(|pace| pace.fails = false),
        }
    }

    /// Whether two hosts hear each other.
    fn connected(&self) -> bool {
        let media = 0..self.world.hosts[0].view.media.len();
        let open = |from, to, medium| self.world.open.get(&(from, to, medium)).copied().unwrap_or(true);
        media.clone().any(|medium| open(0, 1, medium)) && media.clone().any(|medium| open(1, 0, medium))
    }

    fn judge(&mut self) {
        let now = self.world.now;
        let timing = self.world.hosts[0].view.timing;
        let calm = now - self.calm_since;
        let fit = (0..2).filter(|host| self.world.runs(*host) && !self.world.hosts[*host].stopped).count();
        // To be sure of a death, or to start alone; then what a word is waited for.
        let none = timing.initdead + timing.deadtime + SECOND * 14;
        let two = timing.keepalive * if self.world.loss > 0 { 6 } else { 2 } + SECOND * 2;
        let fences = !self.world.hosts[0].view.fences.is_empty();
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            let since = |since: &mut Option<Instant>, calm: Instant, so: bool| match so {
                true => now - (*since.get_or_insert(now)).max(calm),
                false => {
                    *since = None;
                    Duration::ZERO
                }
            };
            let lacks = owners.is_empty() && fit > 0 && !self.failed && !(self.real && self.moved);
            let without = since(&mut self.none_since[group], self.calm_since, lacks);
            assert!(without <= none, "seed {}: {group} nowhere for {without:?}: {}", self.seed, self.world.state());
            let doubled = owners.len() > 1 && fit == 2 && self.connected() && !self.real;
            let both = since(&mut self.two_since[group], self.calm_since, doubled);
            assert!(both <= two, "seed {}: {group} twice for {both:?}: {}", self.seed, self.world.state());
            // Where nodes are fenced, nothing but a start after a crash finds an address of the run before.
            let shared = since(&mut self.shared_since[group], Instant::START, owners.len() > 1 && fences);
            assert!(
                shared <= timing.keepalive,
                "seed {}: {group} twice, {shared:?}: {}",
                self.seed,
                self.world.state()
            );
            if let [owner] = owners[..] {
                self.moves += u64::from(self.owner[group].replace(owner) != Some(owner));
            }
        }
        let long = none + timing.deadtime * 2 + SECOND * 60;
        if calm > long && self.broken.is_empty() && fit == 2 {
            self.judge_calm();
        }
    }

    fn judge_calm(&mut self) {
        let state = || format!("seed {}: {}", self.seed, self.world.state());
        assert!(self.world.both_stable(), "{}", state());
        for group in 0..self.owner.len() {
            let owners = self.world.holders(group);
            let failed = !self.real && (0..2).all(|host| self.world.node(host).view().failed.contains(&group));
            // What an operator took from both nodes of a heartbeat pair is nowhere until he asks again.
            if failed || self.moved && self.real && owners.is_empty() {
                continue;
            }
            assert_eq!(owners.len(), 1, "group {group}, {}", state());
            if !self.real {
                for host in 0..2 {
                    assert_eq!(self.world.node(host).view().holders[group], Some(owners[0]), "{}", state());
                }
                let right = usize::from(self.world.hosts[0].view.groups[group].prefer[0].as_str() == "ha2");
                let moved = self.moved || self.world.hosts[0].view.failback != Failback::On;
                assert!(moved || owners[0] == right, "group {group}, {}", state());
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            let mend = self.broken.iter().map(|(when, _)| *when).min();
            let next = mend.into_iter().chain([self.next, end]).min().unwrap();
            if self.world.step(next) {
                self.judge();
                if self.world.fenced.is_empty() {
                    continue;
                }
            }
            if !self.world.fenced.is_empty() {
                // Below.
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
                self.world.hosts[host].frozen = false;
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
}

#[test]
fn a_virtual_year_of_faults_leaves_no_hole_and_no_second_owner() {
    // Slow settings for most of it: what matters is how many faults there are.
    let (mut faults, mut moves, mut virtual_time) = (0, 0, Duration::ZERO);
    for seed in 0..100 {
        let keepalive = SECOND * [300, 120, 600, 2, 120][seed % 5];
        let failback = [Failback::On, Failback::On, Failback::Off, Failback::Legacy][seed % 4];
        let mut chaos = Chaos::new(seed as u64, keepalive, failback, &[false, false]);
        let time = if keepalive < SECOND * 10 { DAY / 24 } else { DAY * 92 / 20 };
        chaos.run(time);
        virtual_time += time;
        faults += chaos.faults;
        moves += chaos.moves;
    }
    assert!(virtual_time > DAY * 365, "{virtual_time:?}");
    assert!(faults > 1000 && moves > 500, "{faults} faults, {moves} moves");
}

#[test]
fn a_fifth_of_all_messages_may_be_lost() {
    for seed in 0..4 {
        let mut cluster = cluster(timing(SECOND, SECOND * 15), Failback::On, &["ha1"]);
        cluster.timing.initdead = SECOND * 30;
        let mut world = World::new(seed, &cluster, &[false, false]);
        world.loss = 20;
        world.delay = MILLI * 60;
        world.start(0);
        world.start(1);
        world.run(SECOND * 60);
        let until = world.now + DAY / 12;
        while world.step(until) {
            assert_eq!(world.holders(0), [0], "seed {seed}: {}", world.state());
        }
        assert!(!world.hosts.iter().any(|host| host.news.iter().any(is_dead)), "seed {seed}");
    }
}

#[test]
fn a_pair_with_a_heartbeat_settles_after_every_fault() {
    for seed in 0..24 {
        let keepalive = SECOND * [10, 2, 20][seed % 3];
        let failback = [Failback::On, Failback::Off][seed % 2];
        let real = [seed % 4 < 2, seed % 4 >= 2];
        let mut chaos = Chaos::new(seed as u64, keepalive, failback, &real);
        chaos.run(keepalive * 5000);
        assert!(chaos.faults > 8, "seed {seed}: {}", chaos.faults);
    }
}

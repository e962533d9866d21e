//! Routers on a virtual wire with loss, delay, partitions, crashes, freezes and late timers. A seed replays a run.
//!
//! Held at all times: nobody keeps an address it may not have for longer than the bounds below; while a router is fit
//! and the wire is whole, the address is not without an owner for longer than an election takes; and when all is quiet
//! the link knows the owner.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::vrrp::{Preempt, Priority, Rounds};
use evenkeel_vrrp::{Heard, Input, Instance, Output, Role, Settings, lease};
use std::{cmp::Reverse, collections::BinaryHeap, net::IpAddr, time::Duration};

const MILLI: Duration = Duration::from_millis(1);

/// What happens on the wire and to its routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A router's timer; stale ones are told by their number.
    Timer { node: usize, number: u64 },
    /// An advertisement arrives.
    Arrive { node: usize, from: usize, priority: u8 },
    /// A frozen router runs again.
    Thaw { node: usize },
    /// A daemon that died is started again.
    Restart { node: usize },
    /// The wire is whole again.
    Heal,
    /// The next fault.
    Fault,
}

struct Node {
    instance: Instance,
    settings: Settings,
    address: IpAddr,
    alive: bool,
    frozen: bool,
    /// What came while it was frozen, as a socket keeps it.
    backlog: Vec<Input>,
    number: u64,
    /// Until when the kernel holds the address.
    held_until: Option<Instant>,
    renewed: Instant,
}

struct World {
    now: Instant,
    nodes: Vec<Node>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    count: u64,
    rng: Rng,
    loss: u64,
    /// The side of each router; routers of different sides do not hear each other.
    side: Vec<usize>,
    /// Who told the link last that it has the address.
    learnt: Option<usize>,
    /// When a fault last began or ended.
    calm_since: Instant,
    /// Since when the address has been without an owner, and with two.
    none_since: Option<Instant>,
    two_since: Option<Instant>,
    /// A takeover has happened.
    claims: u64,
    faults: bool,
    interval: Duration,
}

impl World {
    fn new(seed: u64, priorities: &[u8], interval: Duration, preempt: Preempt, loss: u64) -> World {
        let nodes = (1..).zip(priorities).map(|(last, &priority)| {
            let settings = Settings {
                priority: Priority::new(priority).unwrap(),
                interval,
                down_adverts: 3,
                preempt,
                answer_lower: true,
                rounds: Rounds::default(),
            };
            Node {
                instance: Instance::new(settings.clone()),
                settings,
                address: IpAddr::from([10, 0, 0, last]),
                alive: true,
                frozen: false,
                backlog: Vec::new(),
                number: 0,
                held_until: None,
                renewed: Instant::START,
            }
        });
        let nodes: Vec<Node> = nodes.collect();
        let mut world = World {
            now: Instant::START,
            side: vec![0; nodes.len()],
            nodes,
            events: BinaryHeap::new(),
            count: 0,
            rng: Rng::new(seed),
            loss,
            learnt: None,
            calm_since: Instant::START,
            none_since: Some(Instant::START),
            two_since: None,
            claims: 0,
            faults: false,
            interval,
        };
        for node in 0..world.nodes.len() {
            world.start(node, None);
        }
        world
    }

    fn at(&mut self, when: Instant, event: Event) {
        self.count += 1;
        self.events.push(Reverse((when, self.count, event)));
    }

    fn start(&mut self, node: usize, since_renewal: Option<Duration>) {
        let fresh = Instance::new(self.nodes[node].settings.clone());
        self.nodes[node].instance = fresh;
        self.nodes[node].alive = true;
        let address = Some(self.nodes[node].address);
        self.tell(node, Input::Address(address));
        self.tell(node, Input::Start { since_renewal });
    }

    fn tell(&mut self, node: usize, input: Input) {
        let mut out = Outbox::new();
        self.nodes[node].instance.handle(self.now, input, &mut out);
        self.carry_out(node, out);
    }

    fn carry_out(&mut self, node: usize, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            match output {
                Output::Advertise { priority } => self.send(node, priority),
                Output::Hold => {
                    let late = Duration::from_millis(self.rng.below(400));
                    self.nodes[node].held_until = Some(self.now + lease::LENGTH + late);
                    self.nodes[node].renewed = self.now;
                }
                Output::Release => self.nodes[node].held_until = None,
                Output::Announce { .. } => self.learnt = Some(node),
                Output::Turned { to: Role::Master, .. } => self.claims += 1,
                Output::Turned { .. } | Output::Candidate | Output::Noticed(_) => {}
            }
        }
        self.nodes[node].number += 1;
        let number = self.nodes[node].number;
        if let Some(deadline) = self.nodes[node].instance.deadline() {
            let late = if self.rng.chance(1) { 3 * self.rng.below(2) } else { 0 };
            self.at(
                deadline.max(self.now) + MILLI / 20 + MILLI * u32::try_from(late).unwrap(),
                Event::Timer { node, number },
            );
        }
    }

    fn send(&mut self, from: usize, priority: u8) {
        for node in 0..self.nodes.len() {
            let apart = self.side[node] != self.side[from];
            if node == from || apart || self.rng.chance(self.loss) {
                continue;
            }
            let delay = MILLI / 10 + Duration::from_micros(self.rng.below(400));
            self.at(self.now + delay, Event::Arrive { node, from, priority });
        }
    }

    fn owners(&self) -> Vec<usize> {
        let holds = |node: &Node| node.held_until.is_some_and(|until| until > self.now);
        (0..self.nodes.len()).filter(|&at| holds(&self.nodes[at])).collect()
    }

    /// What must be so at this moment.
    fn judge(&mut self, seed: u64) {
        let calm = self.now - self.calm_since;
        let owners = self.owners();
        let down = self.interval * 4;
        // An election, put off once for a late timer, and what lost advertisements add.
        let slack = self.interval * if self.loss > 0 { 6 } else { 2 };
        let fit = self.nodes.iter().any(|node| node.alive && !node.frozen && node.instance.role() != Role::Stopped);
        if owners.is_empty() && fit {
            let without = self.now - (*self.none_since.get_or_insert(self.now)).max(self.calm_since);
            assert!(without <= down + slack, "seed {seed}: nobody for {without:?} at {:?}", self.now);
        } else {
            self.none_since = None;
        }
        // Two that do not hear each other, or one that does not run, are another matter: a lease ends that.
        let dead = |node: &Node| !node.alive || node.frozen;
        let apart = owners.iter().any(|&owner| self.side[owner] != self.side[owners[0]] || dead(&self.nodes[owner]));
        if owners.len() > 1 && !apart {
            let both = self.now - (*self.two_since.get_or_insert(self.now)).max(self.calm_since);
            assert!(both <= down + slack, "seed {seed}: {owners:?} for {both:?} at {:?}", self.now);
        } else {
            self.two_since = None;
        }
        for &owner in owners.iter().filter(|&&owner| dead(&self.nodes[owner])) {
            let longest = lease::LENGTH + lease::KERNEL_LATE;
            assert!(calm <= longest, "seed {seed}: {owner} outlives its daemon by {calm:?} at {:?}", self.now);
        }
        // Nothing has happened for long: one master, the right one, and the link knows it.
        if calm > down * 4 + Duration::from_secs(72) && self.loss == 0 && self.whole() {
            assert_eq!(owners.len(), 1, "seed {seed} at {:?}", self.now);
            assert_eq!(self.learnt, Some(owners[0]), "seed {seed} at {:?}: the link knows another", self.now);
            if self.nodes[0].settings.preempt == Preempt::After(Duration::ZERO) {
                // Between equals the first stays.
                let best = self.nodes.iter().map(|node| node.settings.priority).max();
                assert_eq!(best, Some(self.nodes[owners[0]].settings.priority), "seed {seed} at {:?}", self.now);
            }
        }
    }

    fn whole(&self) -> bool {
        let runs =
            |node: &Node| node.alive && !node.frozen && !matches!(node.instance.role(), Role::Stopped | Role::Leaving);
        self.side.iter().all(|side| *side == 0) && self.nodes.iter().all(runs)
    }

    fn fault(&mut self) {
        let node = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap();
        let length = Duration::from_millis(self.rng.below(20_000));
        match self.rng.below(4) {
            // kill -9; it is started again later.
            0 if self.nodes[node].alive => {
                self.nodes[node].alive = false;
                self.nodes[node].frozen = false;
                self.at(self.now + length, Event::Restart { node });
            }
            1 if self.nodes[node].alive && !self.nodes[node].frozen => {
                self.nodes[node].frozen = true;
                self.at(self.now + length, Event::Thaw { node });
            }
            2 => {
                self.side[node] = 1;
                self.at(self.now + length, Event::Heal);
            }
            // An orderly end and a new start.
            3 if self.nodes[node].alive && !self.nodes[node].frozen => {
                self.tell(node, Input::Stop { patience: self.interval + MILLI * 100 });
                self.at(self.now + length + self.interval * 2, Event::Restart { node });
            }
            _ => {}
        }
        let next = Duration::from_secs(5) + Duration::from_millis(self.rng.below(300_000));
        self.at(self.now + next, Event::Fault);
    }

    fn run(&mut self, seed: u64, until: Instant) {
        if self.faults {
            self.at(self.now + Duration::from_secs(60), Event::Fault);
        }
        while self.events.peek().is_some_and(|Reverse((when, ..))| *when <= until) {
            let Some(Reverse((when, _, event))) = self.events.pop() else { break };
            self.now = when;
            match event {
                Event::Timer { node, number } => {
                    let it = &mut self.nodes[node];
                    if it.alive && !it.frozen && it.number == number {
                        let mut out = Outbox::new();
                        it.instance.handle_timeout(when, &mut out);
                        self.carry_out(node, out);
                    }
                }
                Event::Arrive { node, from, priority } => {
                    let source = self.nodes[from].address;
                    let input =
                        Input::Heard(Heard { source, priority, interval: self.interval, other_addresses: false });
                    let it = &mut self.nodes[node];
                    if it.frozen {
                        it.backlog.push(input);
                    } else if it.alive {
                        self.tell(node, input);
                    }
                }
                Event::Thaw { node } => {
                    self.nodes[node].frozen = false;
                    self.calm_since = when;
                    // Packets first, as the loop of the daemon does it.
                    for input in std::mem::take(&mut self.nodes[node].backlog) {
                        self.tell(node, input);
                    }
                    if self.nodes[node].alive {
                        let mut out = Outbox::new();
                        self.nodes[node].instance.handle_timeout(when, &mut out);
                        self.carry_out(node, out);
                    }
                }
                Event::Restart { node } => {
                    self.nodes[node].backlog.clear();
                    let held = self.nodes[node].held_until.is_some_and(|until| until > when);
                    let since = when - self.nodes[node].renewed;
                    self.calm_since = when;
                    self.start(node, held.then_some(since));
                }
                Event::Heal => {
                    self.side.fill(0);
                    self.calm_since = when;
                }
                Event::Fault => {
                    self.calm_since = when;
                    self.fault();
                }
            }
            self.judge(seed);
        }
        self.now = until;
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_virtual_year_of_faults_leaves_no_hole_and_no_second_owner() {
    // 100 worlds of 3.65 days each.
    for seed in 0..100 {
        let interval = MILLI
            * match seed % 20 {
                7 => 100,
                1..4 => 2500,
                _ => 1000,
            };
        let priorities: &[u8] = if seed % 3 == 0 { &[100, 150, 150] } else { &[100, 90] };
        let preempt = if seed % 5 == 0 { Preempt::No } else { Preempt::After(Duration::ZERO) };
        let mut world = World::new(seed, priorities, interval, preempt, 0);
        world.faults = true;
        world.run(seed, Instant::START + HOUR * 876 / 10);
        assert!(world.claims > 50, "seed {seed}: the faults must have moved the address, {}", world.claims);
    }
}

#[test]
fn a_fifth_of_all_advertisements_may_be_lost() {
    for seed in 0..20 {
        let mut world = World::new(seed, &[100, 90], MILLI * 1000, Preempt::After(Duration::ZERO), 20);
        world.run(seed, Instant::START + HOUR * 24);
        // Three in a row are lost once in 125 advertisements: the backup claims then, and yields at once.
        let days = 24 * 3600 / 125;
        assert!(world.claims < 2 * days, "seed {seed}: {} claims", world.claims);
    }
}

#[test]
fn quiet_neighbours_elect_once() {
    let mut world = World::new(1, &[100, 90, 80], MILLI * 1000, Preempt::After(Duration::ZERO), 0);
    world.run(1, Instant::START + HOUR * 24);
    assert_eq!(world.claims, 1);
}

#[test]
fn a_dead_daemons_address_is_gone_before_a_peer_claims_it_where_a_second_allows_it() {
    for seed in 0..200 {
        let interval = MILLI * if seed % 2 == 0 { 1000 } else { 2500 };
        let mut world = World::new(seed, &[100, 90], interval, Preempt::After(Duration::ZERO), 0);
        world.run(seed, Instant::START + Duration::from_secs(20) + MILLI * u32::try_from(seed).unwrap() * 7);
        assert_eq!(world.owners(), [0]);
        world.nodes[0].alive = false;
        world.calm_since = world.now;
        let gone = world.nodes[0].held_until.unwrap();
        world.run(seed, gone);
        assert_eq!(world.owners(), [], "seed {seed}: the peer was early");
        world.run(seed, gone + interval * 4 + lease::KERNEL_LATE);
        assert_eq!(world.owners(), [1]);
    }
}

#[test]
fn an_orderly_end_hands_over_without_a_hole() {
    for seed in 0..50 {
        let mut world = World::new(seed, &[100, 90], MILLI * 1000, Preempt::After(Duration::ZERO), 0);
        world.run(seed, Instant::START + Duration::from_secs(30));
        assert_eq!(world.owners(), [0]);
        world.calm_since = world.now;
        world.tell(0, Input::Stop { patience: MILLI * 1100 });
        assert_eq!(world.nodes[0].instance.role(), Role::Leaving);
        while world.nodes[0].instance.role() == Role::Leaving {
            let next = world.events.peek().map(|Reverse((when, ..))| *when).unwrap();
            world.run(seed, next);
            assert!(!world.owners().is_empty(), "seed {seed}: a hole at {:?}", world.now);
        }
        assert_eq!(world.owners(), [1]);
        assert_eq!(world.learnt, Some(1));
    }
}

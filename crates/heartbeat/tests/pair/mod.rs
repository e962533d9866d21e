//! Nodes on virtual media: loss, delay, reordering, cuts of one direction or both, crashes, freezes, restarts, clocks that
//! step. A seed replays a run.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part; a test that cannot go on has failed"
)]

pub(crate) mod heartbeat;

use evenkeel_heartbeat::{Identity, Input, Message, News, Node, NodeState, Output, Path, Refusal, Request, Standing};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::heartbeat::{
    Agent, Failback, Fence, FenceAgent, Group, Heartbeat, Key, Keys, Medium, Method, NodeName, PingNode, Resource,
    Timing,
};
use heartbeat::Real;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// 2026-11-20, when every host's clock starts.
const EPOCH: Duration = Duration::from_secs(1_795_000_000);

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// Timing as ha.cf has it: keepalive and deadtime, the rest as usual.
pub(crate) fn timing(keepalive: Duration, deadtime: Duration) -> Timing {
    Timing { keepalive, deadtime, warntime: deadtime / 3, initdead: deadtime * 2, deadping: deadtime }
}

/// A cluster of `ha1` and `ha2` as document 003 has it: one group that prefers `ha1`, one ping node, ipfail.
pub(crate) fn cluster(timing: Timing, failback: Failback, prefer: &[&str]) -> Heartbeat {
    let key = Key { method: Method::Md5, secret: b"hello!".to_vec() };
    let groups = prefer.iter().enumerate().map(|(place, node)| Group {
        key: format!("10.168.0.16{place}/24/eth0"),
        prefer: vec![name(node)],
        resources: vec![Resource {
            name: "nginx".to_owned(),
            agent: Agent::Script { name: "nginx".to_owned(), arguments: Vec::new() },
            start_within: SECOND * 20,
            stop_within: SECOND * 20,
            monitor: None,
        }],
    });
    let gateway = IpAddr::V4(Ipv4Addr::new(10, 168, 0, 1));
    let keys = Keys::new(3, BTreeMap::from([(3, key)])).unwrap();
    Heartbeat {
        media: vec![Medium::Broadcast { interface: "eth1".to_owned(), port: 694 }],
        pings: vec![PingNode { name: name("10.168.0.1"), addresses: vec![gateway] }],
        failback,
        ipfail: true,
        groups: groups.collect(),
        ..Heartbeat::new(name("ha1"), vec![name("ha1"), name("ha2")], timing, keys)
    }
}

/// Adds a serial line to the media.
pub(crate) fn serial() -> Medium {
    Medium::Serial { device: PathBuf::from("/dev/ttyS0"), baud: NonZeroU32::new(19_200).unwrap() }
}

/// A device that can fence everybody.
pub(crate) fn fence() -> Fence {
    let agent = FenceAgent::Stonith { kind: "ssh".to_owned(), parameters: Vec::new(), file: None };
    Fence { nodes: Vec::new(), agent, within: SECOND * 10 }
}

/// What runs on a host.
pub(crate) enum Player {
    Evenkeel(Box<Node>),
    Heartbeat(Box<Real>),
    Off,
}

/// How fast resources are, and what becomes of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
    pub(crate) fails: bool,
}

pub(crate) struct Host {
    pub(crate) player: Player,
    pub(crate) view: Heartbeat,
    pub(crate) real: bool,
    pub(crate) frozen: bool,
    pub(crate) generation: u64,
    /// The generations it heard of others, on its disk.
    remembered: Vec<u64>,
    /// By how much its clock is wrong, ms.
    pub(crate) clock: i64,
    backlog: Vec<Input>,
    timer: u64,
    /// Of each group: until when its address is there. An action that has begun since makes an older one void.
    pub(crate) held_until: Vec<Option<Instant>>,
    action: Vec<u64>,
    /// Started in this run.
    wanted: Vec<bool>,
    pub(crate) pace: Vec<Pace>,
    /// The ping nodes it reaches.
    pub(crate) reaches: bool,
    pub(crate) fences: bool,
    pub(crate) news: Vec<News>,
    pub(crate) said: Vec<(Instant, Arc<Message>)>,
    pub(crate) answers: Vec<(u64, Result<(), Refusal>)>,
    pub(crate) announced: Vec<(Instant, usize)>,
    /// Messages that scripts are told of.
    pub(crate) noticed: Vec<Arc<Message>>,
    pub(crate) stopped: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Timer { host: usize, number: u64 },
    Arrive { host: usize, path: Path, message: Arc<Message> },
    Acted { host: usize, group: usize, number: u64, standing: Standing },
    Fenced { host: usize, node: usize },
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    /// What is to happen, in order.
    events: BTreeMap<(Instant, u64), Event>,
    count: u64,
    pub(crate) rng: Rng,
    /// Percent of messages that are lost.
    pub(crate) loss: u64,
    /// The most that a message takes.
    pub(crate) delay: Duration,
    /// Whether messages go from one host to another on a medium.
    pub(crate) open: BTreeMap<(usize, usize, usize), bool>,
    /// Why hosts are said to be off: fenced.
    pub(crate) fenced: Vec<usize>,
    /// Who tried to fence whom, and when.
    pub(crate) attempts: Vec<(Instant, usize, usize)>,
    /// Events at this very moment.
    busy: u32,
}

impl World {
    /// Hosts that are off. `real` says which run a heartbeat.
    pub(crate) fn new(seed: u64, cluster: &Heartbeat, real: &[bool]) -> World {
        let hosts = cluster.nodes.iter().zip(real).map(|(node, real)| Host {
            player: Player::Off,
            view: Heartbeat { node: node.clone(), ..cluster.clone() },
            real: *real,
            frozen: false,
            generation: 0x6b00_0331,
            remembered: vec![0; cluster.nodes.len()],
            clock: 0,
            backlog: Vec::new(),
            timer: 0,
            held_until: vec![None; cluster.groups.len()],
            action: vec![0; cluster.groups.len()],
            wanted: vec![false; cluster.groups.len()],
            pace: vec![Pace { start: MILLI * 40, stop: MILLI * 40, fails: false }; cluster.groups.len()],
            reaches: true,
            fences: true,
            news: Vec::new(),
            said: Vec::new(),
            answers: Vec::new(),
            announced: Vec::new(),
            noticed: Vec::new(),
            stopped: false,
        });
        World {
            now: Instant::START,
            hosts: hosts.collect(),
            events: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
            loss: 0,
            delay: MILLI,
            open: BTreeMap::new(),
            fenced: Vec::new(),
            attempts: Vec::new(),
            busy: 0,
        }
    }

    fn at(&mut self, when: Instant, event: Event) {
        self.count += 1;
        self.events.insert((when, self.count), event);
    }

    /// Starts the daemon of a host.
    pub(crate) fn start(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        // The model counts up by itself when it begins anew.
        it.generation += 1000;
        it.frozen = false;
        it.stopped = false;
        it.backlog.clear();
        let uuid = [u8::try_from(host).unwrap() + 1; 16];
        let seed = self.rng.bits();
        let identity = Identity {
            uuid,
            generation: it.generation,
            version: "0.1.0".to_owned(),
            configuration: 1,
            seed,
            heard: it.remembered.clone(),
        };
        it.player = match it.real {
            false => Player::Evenkeel(Box::new(Node::new(&it.view, identity))),
            true => Player::Heartbeat(Box::new(Real::new(&it.view, &identity))),
        };
        let now = self.now;
        let held = |group: &usize| it.held_until[*group].is_some_and(|until| until > now);
        let left: Vec<usize> = (0..it.held_until.len()).filter(held).collect();
        for group in left {
            self.tell(host, Input::Group { group, standing: Standing::Running });
        }
        self.tell(host, Input::Start);
    }

    /// The daemon dies. What it held stays until its lease ends, or goes with the host.
    pub(crate) fn kill(&mut self, host: usize, power: bool) {
        let it = &mut self.hosts[host];
        it.player = Player::Off;
        it.frozen = false;
        for group in 0..it.held_until.len() {
            it.action[group] += 1;
            it.wanted[group] = false;
            if power {
                it.held_until[group] = None;
            }
        }
    }

    pub(crate) fn freeze(&mut self, host: usize) {
        self.hosts[host].frozen = true;
    }

    /// It runs again: what waits is read first, as the loop of the daemon does it.
    pub(crate) fn thaw(&mut self, host: usize) {
        if !std::mem::take(&mut self.hosts[host].frozen) {
            return;
        }
        for input in std::mem::take(&mut self.hosts[host].backlog) {
            self.tell(host, input);
        }
        self.wake(host);
    }

    /// It runs again, and its timer comes before it has read anything.
    pub(crate) fn thaw_by_timer(&mut self, host: usize) {
        self.hosts[host].frozen = false;
        self.wake(host);
        for input in std::mem::take(&mut self.hosts[host].backlog) {
            self.tell(host, input);
        }
    }

    pub(crate) fn ask(&mut self, host: usize, id: u64, what: Request) {
        self.tell(host, Input::Request { id, what });
    }

    pub(crate) fn tell(&mut self, host: usize, input: Input) {
        let now = self.now;
        let it = &mut self.hosts[host];
        if it.frozen {
            if it.backlog.len() < 2000 {
                it.backlog.push(input);
            }
            return;
        }
        let mut out = Outbox::new();
        let unix = wall(now, it.clock);
        match &mut it.player {
            Player::Evenkeel(node) => {
                node.clock(now, unix, "5.32 4.11 2.09 11/238 16");
                node.handle(now, input, &mut out);
            }
            Player::Heartbeat(real) => real.handle(now, input, &mut out),
            Player::Off => return,
        }
        self.carry_out(host, out);
    }

    fn wake(&mut self, host: usize) {
        let now = self.now;
        let mut out = Outbox::new();
        let unix = wall(now, self.hosts[host].clock);
        match &mut self.hosts[host].player {
            Player::Evenkeel(node) => {
                node.clock(now, unix, "5.32 4.11 2.09 11/238 16");
                node.handle_timeout(now, &mut out);
            }
            Player::Heartbeat(real) => real.handle_timeout(now, &mut out),
            Player::Off => return,
        }
        self.carry_out(host, out);
    }

    fn carry_out(&mut self, host: usize, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            match output {
                Output::Transmit { medium, message } => self.transmit(host, medium, &message),
                Output::Ping { ping, message } => {
                    if self.hosts[host].reaches {
                        let event = Event::Arrive { host, path: Path::Ping(ping), message };
                        self.at(self.now + MILLI, event);
                    }
                }
                Output::Acquire { group } => self.act(host, group, true),
                Output::Yield { group } => self.act(host, group, false),
                Output::Announce { group } => self.hosts[host].announced.push((self.now, group)),
                Output::Fence { node } => {
                    self.attempts.push((self.now, host, node));
                    self.at(self.now + SECOND, Event::Fenced { host, node });
                }
                Output::Answer { id, result } => self.hosts[host].answers.push((id, result)),
                Output::Tell(news) => {
                    if let News::Generation { node, generation } = news {
                        self.hosts[host].remembered[node] = generation;
                    }
                    self.hosts[host].news.push(news);
                }
                Output::Stopped => {
                    self.hosts[host].stopped = true;
                    let real = matches!(self.hosts[host].player, Player::Heartbeat(_));
                    if !real {
                        self.hosts[host].player = Player::Off;
                    }
                }
                Output::Pet { .. } => self.renew(host),
                Output::Notify { message } => self.hosts[host].noticed.push(message),
            }
        }
        let it = &mut self.hosts[host];
        it.timer += 1;
        let number = it.timer;
        let deadline = match &self.hosts[host].player {
            Player::Evenkeel(node) => node.deadline(),
            Player::Heartbeat(real) => real.deadline(),
            Player::Off => None,
        };
        if let Some(deadline) = deadline {
            self.at(deadline.max(self.now), Event::Timer { host, number });
        }
    }

    /// A lease of the dead time, in whole seconds, less what the kernel may be late.
    fn renew(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        let lease = it.view.timing.deadtime.saturating_sub(MILLI * 900);
        // What a former run left and has ended is not begun again by a renewal.
        for (held, wanted) in it.held_until.iter_mut().zip(&it.wanted) {
            if let Some(held) = held.as_mut().filter(|held| *wanted || **held > self.now) {
                *held = self.now + lease;
            }
        }
    }

    fn transmit(&mut self, host: usize, only: Option<usize>, message: &Arc<Message>) {
        self.hosts[host].said.push((self.now, message.clone()));
        for to in (0..self.hosts.len()).filter(|to| *to != host) {
            for medium in 0..self.hosts[host].view.media.len() {
                let open = self.open.get(&(host, to, medium)).copied().unwrap_or(true);
                if only.is_some_and(|only| only != medium) || !open || self.rng.chance(self.loss) {
                    continue;
                }
                let most = u64::try_from(self.delay.as_micros()).unwrap();
                let late = MILLI / 10 + Duration::from_micros(self.rng.below(most));
                let event = Event::Arrive { host: to, path: Path::Medium(medium), message: message.clone() };
                self.at(self.now + late, event);
            }
        }
    }

    fn act(&mut self, host: usize, group: usize, start: bool) {
        let now = self.now;
        let it = &mut self.hosts[host];
        it.action[group] += 1;
        it.wanted[group] = start && !it.pace[group].fails;
        let number = it.action[group];
        let pace = it.pace[group];
        let (takes, standing, begins) = match start {
            true if pace.fails => (pace.start, Standing::Failed, Standing::Starting),
            true => (pace.start, Standing::Running, Standing::Starting),
            false => (pace.stop, Standing::Stopped, Standing::Stopping),
        };
        if start && !pace.fails {
            // A heartbeat's address has no lease.
            let lease = it.view.timing.deadtime.saturating_sub(MILLI * 900);
            it.held_until[group] = Some(if it.real { Instant::at(Duration::MAX) } else { now + lease });
        }
        // What is told at once is told in the node's own turn.
        self.at(now, Event::Acted { host, group, number, standing: begins });
        self.at(now + takes, Event::Acted { host, group, number, standing });
    }

    /// A running group falls.
    pub(crate) fn fail(&mut self, host: usize, group: usize) {
        self.hosts[host].action[group] += 1;
        self.hosts[host].held_until[group] = None;
        self.tell(host, Input::Group { group, standing: Standing::Failed });
    }

    /// Lets time pass up to the next event, which happens.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= until) else {
            self.now = until;
            return false;
        };
        let ((when, _), event) = next.remove_entry();
        self.busy = if when > self.now { 0 } else { self.busy + 1 };
        assert!(self.busy < 10_000, "it spins: {}", self.state());
        self.now = self.now.max(when);
        match event {
            Event::Timer { host, number } => {
                if self.hosts[host].timer == number && !self.hosts[host].frozen {
                    self.wake(host);
                }
            }
            Event::Arrive { host, path, message } => {
                self.tell(host, Input::Heard { path, message: Message::clone(&message) });
            }
            Event::Acted { host, group, number, standing } => {
                if self.hosts[host].action[group] == number {
                    if matches!(standing, Standing::Stopped | Standing::Failed) {
                        self.hosts[host].held_until[group] = None;
                    }
                    self.tell(host, Input::Group { group, standing });
                }
            }
            Event::Fenced { host, node } => {
                let ok = self.hosts[host].fences;
                if ok {
                    self.kill(node, true);
                    self.fenced.push(node);
                }
                self.tell(host, Input::Fenced { node, ok });
            }
        }
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// Lets time pass until `done`, for so long at most; gives how long it took.
    pub(crate) fn wait(&mut self, most: Duration, mut done: impl FnMut(&World) -> bool) -> Duration {
        let (begun, until) = (self.now, self.now + most);
        while !done(self) {
            assert!(self.step(until), "not within {most:?}: {:?}", self.state());
        }
        self.now - begun
    }

    /// Who has a group's address.
    pub(crate) fn holders(&self, group: usize) -> Vec<usize> {
        let holds = |host: &Host| host.held_until[group].is_some_and(|until| until > self.now);
        (0..self.hosts.len()).filter(|host| holds(&self.hosts[*host])).collect()
    }

    /// Whether it runs.
    pub(crate) fn runs(&self, host: usize) -> bool {
        !matches!(self.hosts[host].player, Player::Off) && !self.hosts[host].frozen
    }

    /// Opens or cuts a medium for a host: both directions.
    pub(crate) fn plug(&mut self, host: usize, medium: usize, open: bool) {
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.open.insert((host, other, medium), open);
            self.open.insert((other, host, medium), open);
        }
    }

    pub(crate) fn node(&self, host: usize) -> &Node {
        match &self.hosts[host].player {
            Player::Evenkeel(node) => node,
            Player::Heartbeat(_) | Player::Off => panic!("host {host} runs no evenkeel"),
        }
    }

    pub(crate) fn is_stable(&self, host: usize) -> bool {
        match &self.hosts[host].player {
            Player::Evenkeel(node) => node.view().stable,
            Player::Heartbeat(real) => real.is_stable(),
            Player::Off => false,
        }
    }

    pub(crate) fn both_stable(&self) -> bool {
        (0..self.hosts.len()).all(|host| self.is_stable(host))
    }

    /// A line of what a host said: type and the fields that matter.
    pub(crate) fn lines(&self, host: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (_, message) in &self.hosts[host].said {
            let line = line(message);
            let again = message.kind() == "status" && lines.last() == Some(&line);
            if message.is_sequenced() && !again {
                lines.push(line);
            }
        }
        lines
    }

    pub(crate) fn forget(&mut self) {
        for host in &mut self.hosts {
            host.said.clear();
            host.news.clear();
            host.answers.clear();
            host.announced.clear();
            host.noticed.clear();
        }
    }

    pub(crate) fn state(&self) -> String {
        let one = |host: usize| match &self.hosts[host].player {
            Player::Evenkeel(node) => format!("{:?}", node.view()),
            Player::Heartbeat(real) => real.brief(),
            Player::Off => "off".to_owned(),
        };
        let all: Vec<String> = (0..self.hosts.len()).map(one).collect();
        format!("at {:?} {}", self.now.since_start(), all.join(" | "))
    }
}

fn wall(now: Instant, wrong: i64) -> Duration {
    let millis = i64::try_from((EPOCH + now.since_start()).as_millis()).unwrap() + wrong;
    Duration::from_millis(u64::try_from(millis).unwrap())
}

/// Type and the fields that matter.
pub(crate) fn line(message: &Message) -> String {
    let mut line = message.kind().to_owned();
    let fields = [
        "st", "dest", "rsc_hold", "rtype", "isstable", "info", "nodelist", "node", "result", "num_ping", "from_id",
        "ipaddr", "weown", "ok",
    ];
    for field in fields {
        if let Some(value) = message.text(field) {
            line += &format!(" {field}={value}");
        }
    }
    line.trim_end().to_owned()
}

pub(crate) fn is_dead(news: &News) -> bool {
    matches!(news, News::Node { state: NodeState::Dead, .. })
}

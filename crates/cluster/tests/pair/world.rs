//! Nodes with resources that start, stop, fail and hang, on virtual media. A seed replays a run.

use evenkeel_cluster::{Input, Node, Output};
use evenkeel_heartbeat::{Identity, Message, News, Path, Refusal, Request};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::heartbeat::{
    Agent, Failback, Fence, FenceAgent, Group, Heartbeat, IpResource, Key, Keys, Medium, Method, Monitor, NodeName,
    Resource, Timing,
};
use evenkeel_resource::{Action, Order, Outcome, Standing, Task};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// What a script takes.
const SCRIPT: Duration = Duration::from_millis(40);
const EPOCH: Duration = Duration::from_secs(1_795_000_000);

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// `10.0.0.1` is an address, `nginx!` a script that is monitored.
fn resource(text: &str) -> Resource {
    let name = text.trim_end_matches('!');
    let agent = match name.parse() {
        Ok(address) => Agent::Ip(IpResource { address, prefix: None, interface: None, label: None, broadcast: None }),
        Err(_) => Agent::Script { name: name.into(), arguments: vec![] },
    };
    let monitor = Monitor { every: SECOND * 10, within: SECOND * 5, restarts: 2 };
    Resource {
        name: name.into(),
        agent,
        start_within: SECOND * 20,
        stop_within: SECOND * 20,
        monitor: text.ends_with('!').then_some(monitor),
    }
}

/// The same with a third node.
pub(crate) fn with_third(cluster: Heartbeat) -> Heartbeat {
    Heartbeat { nodes: [cluster.nodes, vec![name("ha3")]].concat(), ..cluster }
}

/// Keepalive 1 s, deadtime 5 s, two nodes on a network, and groups as `ha1 10.0.0.1 nginx!`.
pub(crate) fn cluster(failback: Failback, groups: &[&str], fenced: bool) -> Heartbeat {
    let groups = groups.iter().map(|line| {
        let (node, resources) = line.split_once(' ').unwrap();
        let resources: Vec<Resource> = resources.split(' ').map(resource).collect();
        Group { key: resources[0].name.clone(), prefer: vec![name(node)], resources }
    });
    let agent = FenceAgent::Stonith { kind: "ssh".into(), parameters: vec![], file: None };
    let fence = Fence { nodes: vec![], agent, within: SECOND * 10 };
    let timing = Timing { warntime: SECOND * 2, initdead: SECOND * 10, ..Timing::usual(SECOND, SECOND * 5) };
    let keys = Keys::one(Key { method: Method::Sha1, secret: b"HI!".to_vec() });
    Heartbeat {
        media: vec![Medium::Broadcast { interface: "eth1".into(), port: 694 }],
        failback,
        groups: groups.collect(),
        fences: if fenced { vec![fence] } else { vec![] },
        ..Heartbeat::new(name("ha1"), vec![name("ha1"), name("ha2")], timing, keys)
    }
}

pub(crate) struct Host {
    node: Option<Box<Node>>,
    pub(crate) view: Heartbeat,
    generation: u64,
    timer: u64,
    cancelled: BTreeSet<Task>,
    /// What runs, whoever started it.
    pub(crate) running: BTreeSet<String>,
    /// What has said so to this run of the node.
    told: BTreeSet<String>,
    /// What fails to start, and to stop.
    pub(crate) broken: BTreeSet<String>,
    pub(crate) wedged: BTreeSet<String>,
    /// Whether its fence device works.
    pub(crate) fences: bool,
    /// What was done, in order: `start nginx`.
    pub(crate) did: Vec<String>,
    pub(crate) turned: Vec<(usize, Standing, String)>,
    pub(crate) news: Vec<News>,
    pub(crate) answers: Vec<(u64, Result<(), Refusal>)>,
    pub(crate) petted: Option<Instant>,
    pub(crate) attempts: u32,
}

enum Event {
    Timer { host: usize, number: u64 },
    Arrive { host: usize, message: Arc<Message> },
    Acted { host: usize, generation: u64, order: Order },
    Fenced { host: usize, generation: u64, node: usize },
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    /// What is to happen, in order.
    events: BTreeMap<(Instant, u64), Event>,
    count: u64,
    pub(crate) rng: Rng,
    pub(crate) cut: bool,
    /// What never may run on two hosts; else nothing is checked.
    pub(crate) exclusive: bool,
}

impl World {
    pub(crate) fn new(seed: u64, cluster: &Heartbeat) -> World {
        let hosts = cluster.nodes.iter().map(|node| Host {
            node: None,
            view: Heartbeat { node: node.clone(), ..cluster.clone() },
            generation: 7,
            timer: 0,
            cancelled: BTreeSet::new(),
            running: BTreeSet::new(),
            told: BTreeSet::new(),
            broken: BTreeSet::new(),
            wedged: BTreeSet::new(),
            fences: true,
            did: vec![],
            turned: vec![],
            news: vec![],
            answers: vec![],
            petted: None,
            attempts: 0,
        });
        World {
            now: Instant::START,
            hosts: hosts.collect(),
            events: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
            cut: false,
            exclusive: true,
        }
    }

    /// All run, and `ha1` has what prefers it.
    pub(crate) fn settled(cluster: &Heartbeat) -> World {
        let mut world = World::new(1, cluster);
        for host in 0..world.hosts.len() {
            world.start(host);
        }
        world.run(SECOND * 30);
        world.hosts.iter_mut().for_each(Host::forget);
        world
    }

    fn at(&mut self, when: Instant, event: Event) {
        self.count += 1;
        self.events.insert((when, self.count), event);
    }

    pub(crate) fn lives(&self, host: usize) -> bool {
        self.hosts[host].node.is_some()
    }

    pub(crate) fn start(&mut self, host: usize) {
        let seed = self.rng.bits();
        let it = &mut self.hosts[host];
        it.generation += 1;
        it.cancelled.clear();
        it.told.clear();
        let uuid = [u8::try_from(host).unwrap() + 1; 16];
        let (generation, version) = (it.generation, "0.1.0".to_owned());
        let identity = Identity { uuid, generation, version, configuration: 1, seed, heard: Vec::new() };
        it.node = Some(Box::new(Node::new(&it.view, identity, self.now)));
        self.tell(host, Input::Start);
    }

    /// The power of a host fails.
    pub(crate) fn power_off(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        it.node = None;
        it.running.clear();
        it.generation += 1;
    }

    pub(crate) fn tell(&mut self, host: usize, input: Input) {
        self.with(host, |node, now, out| node.handle(now, input, out));
    }

    /// The files of a host are read again, with these groups.
    pub(crate) fn reload(&mut self, host: usize, groups: &[&str]) {
        let groups = cluster(Failback::Off, groups, false).groups;
        let wanted = Heartbeat { groups, ..self.hosts[host].view.clone() };
        self.hosts[host].view = wanted.clone();
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?}", wanted.groups, wanted.timing).hash(&mut hasher);
        let configuration = hasher.finish();
        self.tell(host, Input::Configure { wanted: Box::new(wanted), configuration });
    }

    pub(crate) fn ask(&mut self, host: usize, id: u64, what: Request) {
        self.tell(host, Input::Request { id, what });
    }

    fn with(&mut self, host: usize, what: impl FnOnce(&mut Node, Instant, &mut Outbox<Output>)) {
        let now = self.now;
        let mut out = Outbox::new();
        let Some(node) = &mut self.hosts[host].node else { return };
        node.clock(now, EPOCH + now.since_start(), "0.1 0.1 0.1 1/100 1");
        what(node, now, &mut out);
        for output in out.drain() {
            self.carry_out(host, output);
        }
        let it = &mut self.hosts[host];
        it.timer += 1;
        let (number, due) = (it.timer, it.node.as_ref().and_then(|node| node.deadline()));
        if let Some(due) = due {
            self.at(due.max(now), Event::Timer { host, number });
        }
    }

    fn carry_out(&mut self, host: usize, output: Output) {
        let (now, generation) = (self.now, self.hosts[host].generation);
        match output {
            Output::Transmit { message, .. } => {
                for to in (0..self.hosts.len()).filter(|to| *to != host) {
                    let late = MILLI / 10 + Duration::from_micros(self.rng.below(900));
                    // The first is cut off from the others.
                    if !self.cut || host != 0 && to != 0 {
                        self.at(now + late, Event::Arrive { host: to, message: Arc::clone(&message) });
                    }
                }
            }
            Output::Run(order) => {
                let takes = if matches!(order.resource.agent, Agent::Ip(_)) { Duration::ZERO } else { SCRIPT };
                self.at(now + takes, Event::Acted { host, generation, order });
            }
            Output::Cancel(task) => {
                self.hosts[host].cancelled.insert(task);
            }
            Output::Fence { node } => {
                self.hosts[host].attempts += 1;
                self.at(now + SECOND, Event::Fenced { host, generation, node });
            }
            Output::Pet { watchdog: true, .. } => self.hosts[host].petted = Some(now),
            Output::Pet { watchdog: false, .. } => {}
            Output::Answer { id, result } => self.hosts[host].answers.push((id, result)),
            Output::Tell(news) => self.hosts[host].news.push(news),
            Output::Turned { group, standing, why } => {
                let why = why.map_or_else(String::new, |why| why.to_string());
                self.hosts[host].turned.push((group, standing, why));
            }
            Output::Stopped => self.hosts[host].node = None,
            Output::Ping { .. } | Output::Announce { .. } | Output::Notify { .. } | Output::Remark { .. } => {}
        }
    }

    fn act(&mut self, host: usize, order: &Order) -> Outcome {
        let it = &mut self.hosts[host];
        let name = order.resource.name.clone();
        let failed = || Outcome::Failed { why: "it is broken".into() };
        if matches!(order.action, Action::Start | Action::Stop) {
            it.did.push(format!("{} {name}", order.action));
        }
        match order.action {
            Action::Start if it.broken.contains(&name) => failed(),
            Action::Start => {
                it.running.insert(name.clone());
                let running = self.hosts.iter().filter(|host| host.running.contains(&name)).count();
                let both = self.exclusive && running > 1;
                assert!(!both, "{name} runs twice at {:?}", self.now.since_start());
                Outcome::Done
            }
            Action::Stop if it.wedged.contains(&name) && it.running.contains(&name) => failed(),
            Action::Stop => {
                it.running.remove(&name);
                Outcome::Done
            }
            Action::Status | Action::Monitor if it.running.contains(&name) => {
                it.told.insert(name);
                Outcome::Done
            }
            Action::Status | Action::Monitor => Outcome::NotRunning,
        }
    }

    fn step(&mut self, until: Instant) -> bool {
        let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= until) else {
            self.now = until;
            return false;
        };
        let ((when, _), event) = next.remove_entry();
        self.now = self.now.max(when);
        match event {
            Event::Timer { host, number } => {
                if self.hosts[host].timer == number {
                    self.with(host, |node, now, out| node.handle_timeout(now, out));
                }
            }
            Event::Arrive { host, message } => {
                let message = Message::clone(&message);
                self.tell(host, Input::Heard { path: Path::Medium(0), message });
            }
            Event::Acted { host, generation, order } => {
                let current = self.hosts[host].generation == generation;
                if current && !self.hosts[host].cancelled.remove(&order.task) {
                    let outcome = self.act(host, &order);
                    self.tell(host, Input::Done { task: order.task, outcome });
                }
            }
            Event::Fenced { host, generation, node } => {
                if self.hosts[host].generation == generation {
                    let ok = self.hosts[host].fences;
                    if ok {
                        self.power_off(node);
                    }
                    self.tell(host, Input::Fenced { node, ok });
                }
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
            assert!(self.step(until), "not within {most:?}: {}", self.state());
        }
        self.now - begun
    }

    /// Where a resource runs.
    pub(crate) fn on(&self, resource: &str) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].running.contains(resource)).collect()
    }

    pub(crate) fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().unwrap()
    }

    pub(crate) fn state(&self) -> String {
        let one = |host: &Host| {
            let node = host.node.as_ref().map(|node| node.report());
            format!("{:?} did {:?} running {:?}", node, host.did, host.running)
        };
        let all: Vec<String> = self.hosts.iter().map(one).collect();
        format!("at {:?}: {}", self.now.since_start(), all.join(" | "))
    }
}

impl Host {
    /// A resource that is looked at, and said that it runs, dies.
    pub(crate) fn die(&mut self, resource: &str) {
        if self.told.contains(resource) {
            self.running.remove(resource);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.did.clear();
        self.turned.clear();
        self.news.clear();
        self.answers.clear();
    }
}

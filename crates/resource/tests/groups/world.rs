//! Groups under test, with what they said by now.

use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Agent, Group, IpResource, Monitor, NodeName, Resource};
use evenkeel_resource::{Action, Groups, Input, Order, Outcome, Output, Standing};
use std::{path::PathBuf, time::Duration};

pub(crate) const MONITOR: Monitor =
    Monitor { every: Duration::from_secs(10), within: Duration::from_secs(5), restarts: 2 };

/// `10.0.0.1` is an address, `*.cf` services, a name with `!` is monitored; the rest are scripts.
pub(crate) fn resource(text: &str) -> Resource {
    let name = text.trim_end_matches('!');
    let agent = match name.parse() {
        Ok(address) => Agent::Ip(IpResource { address, prefix: None, interface: None, label: None, broadcast: None }),
        Err(_) if name.ends_with(".cf") => Agent::Services { file: PathBuf::from(name) },
        Err(_) => Agent::Script { name: name.into(), arguments: vec![] },
    };
    Resource {
        name: name.into(),
        agent,
        start_within: Duration::from_secs(60),
        stop_within: Duration::from_secs(30),
        monitor: text.ends_with('!').then_some(MONITOR),
    }
}

/// `web: 10.0.0.1 nginx!`
pub(crate) fn group(text: &str) -> Group {
    let (key, resources) = text.split_once(": ").unwrap();
    Group {
        key: key.into(),
        prefer: vec![NodeName::new("ha1").unwrap()],
        resources: resources.split(' ').map(resource).collect(),
    }
}

pub(crate) struct World {
    pub(crate) groups: Groups,
    pub(crate) now: Instant,
    /// Ordered and not ended.
    pub(crate) orders: Vec<Order>,
    pub(crate) turned: Vec<(usize, Standing, String)>,
    pub(crate) remarks: Vec<String>,
    pub(crate) cancelled: Vec<String>,
    pub(crate) stopped: bool,
}

impl World {
    pub(crate) fn new(groups: &[&str]) -> World {
        let mut world = World {
            groups: Groups::new(),
            now: Instant::START,
            orders: vec![],
            turned: vec![],
            remarks: vec![],
            cancelled: vec![],
            stopped: false,
        };
        world.tell(Input::Configure(groups.iter().map(|text| group(text)).collect()));
        world.turned.clear();
        world
    }

    pub(crate) fn tell(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.groups.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, mut out: Outbox<Output>) {
        for output in out.drain() {
            match output {
                Output::Run(order) => self.orders.push(order),
                Output::Cancel(task) => {
                    let at = self.orders.iter().position(|order| order.task == task).expect("it was ordered");
                    self.cancelled.push(words(&self.orders.remove(at)));
                }
                Output::Turned { group, standing, why } => {
                    self.turned.push((group, standing, why.map_or_else(String::new, |why| why.to_string())));
                }
                Output::Remark { group, remark } => self.remarks.push(format!("{group}: {remark}")),
                Output::Stopped => self.stopped = true,
            }
        }
    }

    /// The actions under way.
    pub(crate) fn doing(&self) -> Vec<String> {
        self.orders.iter().map(words).collect()
    }

    /// The one action of that text ends so.
    pub(crate) fn ends(&mut self, what: &str, outcome: Outcome) {
        let at = self.orders.iter().position(|order| words(order) == what);
        let at = at.unwrap_or_else(|| panic!("{what} is not being done, but {:?}", self.doing()));
        let task = self.orders.remove(at).task;
        self.tell(Input::Done { task, outcome });
    }

    pub(crate) fn done(&mut self, what: &str) {
        self.ends(what, Outcome::Done);
    }

    pub(crate) fn fails(&mut self, what: &str, why: &str) {
        self.ends(what, Outcome::Failed { why: why.into() });
    }

    /// Every action ends well, and asked for their status resources do not run, until nothing is under way; says what
    /// was done.
    pub(crate) fn all_done(&mut self) -> Vec<String> {
        let mut did = vec![];
        while let Some(order) = self.orders.first().cloned() {
            self.orders.remove(0);
            did.push(words(&order));
            let outcome = if order.action == Action::Status { Outcome::NotRunning } else { Outcome::Done };
            self.tell(Input::Done { task: order.task, outcome });
            assert!(did.len() < 1000, "it never ends: {did:?}");
        }
        did
    }

    /// Time passes until the next deadline.
    pub(crate) fn wait(&mut self) -> Duration {
        let at = self.groups.deadline().expect("something is due");
        let passed = at - self.now;
        self.now = self.now.max(at);
        let mut out = Outbox::new();
        self.groups.handle_timeout(self.now, &mut out);
        self.take(out);
        passed
    }

    pub(crate) fn standing(&self, group: usize) -> Standing {
        self.groups.standing(group).unwrap()
    }

    /// With nothing having happened before.
    pub(crate) fn told(&mut self) -> Vec<(usize, Standing)> {
        self.turned.drain(..).map(|(group, standing, _)| (group, standing)).collect()
    }

    pub(crate) fn remark(&mut self) -> String {
        assert_eq!(self.remarks.len(), 1, "{:?}", self.remarks);
        self.remarks.remove(0)
    }
}

pub(crate) fn words(order: &Order) -> String {
    format!("{} {}", order.action, order.resource.name)
}

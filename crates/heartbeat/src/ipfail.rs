//! ipfail: of two nodes that hear each other, the one that reaches fewer ping nodes gives its groups up (HB-50).
//!
//! When what a node reaches changes it tells the other one (`num_ping_nodes`). That one answers that they are even
//! (`abort_giveup`), that the asker reaches less (`you_are_dead`), or finds that it reaches less itself. Who reaches less
//! waits twice `keepalive`, for the other one may be about to lose the same ping node, and then gives all.

use crate::{Message, plan::Plan};
use evenkeel_machine::Instant;
use std::sync::Arc;

/// How often giving is tried, a `keepalive` apart, while a hand-over is under way.
const TRIES: u8 = 60;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This node gives everything; the other one reaches so many, where it said so.
    GiveUp { there: Option<usize> },
    /// They are even: what prefers that node may go back to it.
    Even { node: usize },
}

/// ipfail on this node.
#[derive(Clone, Debug)]
pub(crate) struct Ipfail {
    plan: Arc<Plan>,
    begun: bool,
    /// How many ping nodes answer here, and of how many this is known.
    here: usize,
    settled: bool,
    /// What was told last.
    told: Option<usize>,
    /// The other nodes' ipfail runs, by node; with how many they reach.
    there: Vec<Option<Option<usize>>>,
    /// Which nodes have other ping nodes, so that counts cannot be compared.
    other: Vec<bool>,
    give_up: Option<(Instant, u8)>,
    even: Option<(Instant, usize)>,
    said: Vec<Message>,
}

impl Ipfail {
    pub(crate) fn new(plan: &Arc<Plan>) -> Ipfail {
        Ipfail {
            plan: Arc::clone(plan),
            begun: false,
            here: 0,
            settled: false,
            told: None,
            there: vec![None; plan.names.len()],
            other: vec![false; plan.names.len()],
            give_up: None,
            even: None,
            said: Vec::new(),
        }
    }

    /// What is to be said since the last call.
    pub(crate) fn said(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.said)
    }

    /// Goes on with another plan; `active` says whether this node has joined.
    pub(crate) fn configure(&mut self, plan: &Arc<Plan>, active: bool) {
        let asks_anew = self.plan.pings != plan.pings;
        self.plan = Arc::clone(plan);
        if asks_anew {
            (self.give_up, self.even, self.told) = (None, None, None);
        }
        match plan.ipfail {
            true if active => self.begin(),
            true => {}
            false => self.end(),
        }
    }

    /// An evenkeel tells which ping nodes it has. While two nodes have others, as between the reloads of one and of the
    /// other, neither gives anything up for them.
    pub(crate) fn alike(&mut self, node: usize, asks: Option<u64>) {
        let other = asks.is_some_and(|asks| asks != self.plan.asks());
        if let Some(was) = self.other.get_mut(node)
            && std::mem::replace(was, other) != other
        {
            (self.give_up, self.even, self.told) = (None, None, None);
        }
    }

    /// This node has joined.
    pub(crate) fn begin(&mut self) {
        // Of more than two each tells in its statuses what it reaches.
        if self.plan.ipfail && !self.plan.is_many() && !self.begun {
            self.begun = true;
            self.said.push(self.client("join", "signon"));
        }
    }

    /// This node leaves.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.begun) {
            self.said.push(self.client("leave", "signoff"));
        }
        self.give_up = None;
        self.even = None;
    }

    /// What this node reaches; `settled` when every ping node has answered or been silent for long enough.
    pub(crate) fn reach(&mut self, here: usize, settled: bool) {
        self.here = here;
        self.settled = settled;
        if settled && self.told != Some(here) {
            self.told = None;
        }
    }

    /// A node is gone, and its ipfail.
    pub(crate) fn lose(&mut self, node: usize) {
        if let Some(there) = self.there.get_mut(node) {
            *there = None;
        }
        self.give_up = None;
        self.even = None;
        self.told = None;
    }

    /// Something ipfail says. Gives how many ping nodes the other one reaches, where it is told.
    pub(crate) fn hear(&mut self, now: Instant, node: usize, message: &Message) -> Option<usize> {
        if !self.begun || message.text("to_id").is_some_and(|id| id != "ipfail") {
            return None;
        }
        let soon = now + self.plan.timing.keepalive * 2;
        match message.kind() {
            "hbapi-clstat" if message.text("from_id") == Some("ipfail") => {
                let joins = message.text("st") == Some("join");
                if let Some(there) = self.there.get_mut(node) {
                    *there = joins.then_some(None);
                }
                self.told = None;
            }
            "num_ping_nodes" => {
                let count = message.text("num_ping").and_then(|count| count.parse::<usize>().ok())?;
                if let Some(there) = self.there.get_mut(node) {
                    *there = Some(Some(count));
                }
                self.compare(soon, node, count);
                return Some(count);
            }
            "abort_giveup" => {
                self.give_up = None;
                if let Some(there) = self.there.get_mut(node) {
                    *there = Some(Some(self.here));
                }
                return Some(self.here);
            }
            "you_are_dead" if self.other.get(node) == Some(&true) => {}
            "you_are_dead" => self.give_up = self.give_up.or(Some((soon, 0))),
            _ => {}
        }
        None
    }

    fn compare(&mut self, soon: Instant, node: usize, there: usize) {
        if !self.settled || self.other.get(node) == Some(&true) {
            return;
        }
        match self.here.cmp(&there) {
            std::cmp::Ordering::Less => self.give_up = self.give_up.or(Some((soon, 0))),
            std::cmp::Ordering::Greater => self.said.push(self.word("you_are_dead", node, None)),
            std::cmp::Ordering::Equal => {
                self.give_up = None;
                self.even = Some((soon, node));
                self.said.push(self.word("abort_giveup", node, None));
            }
        }
    }

    /// What has become due. A verdict that could not be carried out comes again.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Verdict> {
        if self.begun && self.settled && self.told.is_none() {
            let listening = |node: &usize| {
                self.there.get(*node).is_some_and(Option::is_some) && self.other.get(*node) == Some(&false)
            };
            for node in self.plan.others().filter(listening).collect::<Vec<_>>() {
                self.told = Some(self.here);
                self.said.push(self.word("num_ping_nodes", node, Some(self.here)));
            }
        }
        if let Some((due, tries)) = self.give_up
            && now >= due
        {
            let next = now + self.plan.timing.keepalive;
            self.give_up = (tries < TRIES).then_some((next, tries + 1));
            let there = self.plan.others().find_map(|node| self.there.get(node).copied().flatten().flatten());
            return Some(Verdict::GiveUp { there });
        }
        if let Some((due, node)) = self.even
            && now >= due
        {
            self.even = None;
            return Some(Verdict::Even { node });
        }
        None
    }

    /// It gives: that is enough.
    pub(crate) fn given(&mut self) {
        self.give_up = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.give_up.map(|(due, _)| due), self.even.map(|(due, _)| due)].into_iter().flatten().min()
    }

    fn client(&self, state: &str, info: &str) -> Message {
        Message::new("hbapi-clstat")
            .with("st", state)
            .with("from_id", "ipfail")
            .with("to_id", "ipfail")
            .with("src", self.plan.name(self.plan.me))
            .with("info", info)
            .with("client_gen", 0)
    }

    fn word(&self, kind: &str, to: usize, count: Option<usize>) -> Message {
        let message = Message::new(kind).with("src", self.plan.name(self.plan.me));
        let message = match count {
            Some(count) => message.with("num_ping", count),
            None => message,
        };
        let message = message.with("dest", self.plan.name(to));
        message.with("from_id", "ipfail").with("to_id", "ipfail").with("client_gen", 0)
    }
}

//! One node of a cluster.
//!
//! ```text
//!            ┌─► membership ──► holding ──► Acquire, Yield, Announce, Fence
//!  Heard ────┤        │            ▲
//!            └────────┴─► ipfail ──┘            everything said ──► Sender ──► Transmit
//! ```
//!
//! It sends messages, not bytes: encoding and signing them is [`crate::encode`]'s, so that keys may change without it.
//! Wall clock and load are told by [`Node::clock`].

mod change;
mod heard;
mod joining;
mod notices;
mod sender;
mod view;

use crate::{
    Identity, Input, Message, News, NodeState, Output,
    extension::Extension,
    holding::{By, Deed, Holding, Moment},
    ipfail::{Ipfail, Verdict},
    membership::{Happened, Membership},
    plan::Plan,
};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Heartbeat, NodeName};
use heard::Heard;
use joining::Joining;
use sender::Sender;
use std::{sync::Arc, time::Duration};

/// For so long after its start a node asks for more patience.
const GRACE: Duration = Duration::from_secs(5);

/// How much more.
const GRACE_MORE: Duration = Duration::from_secs(2);

/// A status that is hurried leaves this part of a keepalive after the last one, so that a cable that comes and goes makes few.
const HASTE: u32 = 4;

/// Where this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not begun.
    Idle,
    /// It finds out who lives.
    Joining(Joining),
    /// It is active.
    Active,
    /// It is over.
    Stopped,
}

/// The machine of one node.
#[derive(Clone, Debug)]
pub struct Node {
    plan: Arc<Plan>,
    identity: Identity,
    stage: Stage,
    begun: Instant,
    membership: Membership,
    holding: Holding,
    ipfail: Ipfail,
    sender: Sender,
    heard: Vec<Heard>,
    names: Vec<NodeName>,
    media: Vec<bool>,
    paths: Vec<String>,
    happened: Vec<Happened>,
    /// When a status is due.
    status_at: Instant,
    /// When the last one was sent, and the dead time it told.
    status_sent: Instant,
    dead_time: Duration,
    /// What the last one told of groups.
    told: Extension,
    /// Until then statuses come so often, where that is more often. After a change as before it: the others may not know yet
    /// how long to wait.
    brisk: (Instant, Duration),
}

impl Node {
    /// One that has not begun.
    pub fn new(cluster: &Heartbeat, identity: Identity) -> Node {
        let plan = Arc::new(Plan::new(cluster));
        let now = Instant::START;
        Node {
            membership: Membership::new(&plan, now),
            holding: Holding::new(&plan, now, &identity.heard),
            ipfail: Ipfail::new(&plan),
            sender: Sender::new(cluster, &plan, &identity),
            heard: (0..plan.names.len()).map(|node| Heard::new(&identity, node, cluster.rexmit_delay)).collect(),
            names: cluster.nodes.clone(),
            media: vec![true; plan.serial.len()],
            paths: Vec::new(),
            happened: Vec::new(),
            stage: Stage::Idle,
            begun: now,
            status_at: now,
            status_sent: now,
            dead_time: plan.timing.deadtime,
            told: Extension::default(),
            brisk: (now, Duration::MAX),
            plan,
            identity,
        }
    }

    /// Wall clock, since 1970, and load averages as `/proc/loadavg` has them, at `now`.
    pub fn clock(&mut self, now: Instant, unix: Duration, load: &str) {
        self.sender.set_clock(now, unix, load);
    }

    fn moment(&self, now: Instant) -> Moment {
        Moment { now, wall: u64::try_from(self.sender.unix(now).as_millis()).unwrap_or(u64::MAX) }
    }

    /// Begins.
    fn start(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if self.stage != Stage::Idle {
            return;
        }
        self.begun = now;
        self.membership = Membership::new(&self.plan, now);
        self.stage = Stage::Joining(Joining::new());
        self.dead_time = self.plan.timing.deadtime + GRACE_MORE;
        self.send_status(now, "init", out);
        self.send_status(now, "up", out);
        out.push(Output::Tell(News::Node { node: self.plan.me, state: NodeState::Up }));
    }

    /// Notices that it did not run for longer than the others wait for it.
    fn thaw(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let silent = now - self.status_sent;
        let runs = matches!(self.stage, Stage::Active | Stage::Joining(_));
        if runs && silent >= self.dead_time {
            out.push(Output::Tell(News::Frozen { silent }));
            self.membership.forget(now);
            for node in 0..self.heard.len() {
                self.fell_silent(now, node, out);
            }
            self.holding.rejoin(self.moment(now));
            self.status_at = now;
        }
    }

    fn word(&self) -> &'static str {
        match self.stage {
            Stage::Idle | Stage::Joining(_) => "up",
            Stage::Active | Stage::Stopped => "active",
        }
    }

    fn extension(&self) -> Extension {
        Extension {
            version: self.identity.version.clone(),
            configuration: self.identity.configuration,
            holds: self.holding.told(),
            failed: self.holding.failed(),
            pings: self.membership.reached(),
            ready: self.holding.is_ready(),
            busy: !self.holding.is_stable(),
            paths: self.paths.clone(),
            asks: self.plan.asks(),
            others: self.holding.told_former(),
            many: self.holding.many(),
        }
    }

    /// Sends a status, and an echo to each ping node with it.
    fn send_status(&mut self, now: Instant, word: &str, out: &mut Outbox<Output>) {
        self.told = self.extension();
        let message = Message::new("status")
            .with("st", word)
            .with("dt", format_args!("{:x}", self.dead_time.as_millis()))
            .with("protocol", 1);
        // A lease is renewed before the others begin to count.
        out.push(Output::Pet { dead_time: self.dead_time });
        self.say(now, self.told.write(&self.plan, message), out);
        self.status_sent = now;
        self.status_at = now + self.keepalive(now);
        for node in self.plan.others() {
            let active = self.membership.state(node) == NodeState::Active;
            if active && self.heard.get_mut(node).is_some_and(Heard::sent) {
                out.push(Output::Tell(News::Deaf { node, deaf: true }));
            }
        }
        for ping in 0..self.plan.pings.len() {
            let message = Arc::new(self.sender.echo(now, self.plan.pings.get(ping).map_or("", String::as_str)));
            out.push(Output::Ping { ping, message });
        }
    }

    /// Stamps a message and sends it on all media.
    fn say(&mut self, now: Instant, message: Message, out: &mut Outbox<Output>) {
        let message = self.sender.complete(now, message);
        self.notify_own(&message, out);
        out.push(Output::Transmit { medium: None, message });
    }

    /// Has the next status come soon: somebody may hear this node again who had given it up. Until he does both may own what
    /// one of them is to give up.
    fn hurry(&mut self, now: Instant) {
        let soon = (self.status_sent + self.keepalive(now) / HASTE).max(now);
        self.status_at = self.status_at.min(soon);
    }

    /// Sends what is due by the clock.
    fn status_due(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if self.stage != Stage::Idle && now >= self.status_at {
            self.send_status(now, self.word(), out);
        }
        let dead_time = self.patience(now);
        if self.stage != Stage::Idle && self.dead_time != dead_time {
            self.dead_time = dead_time;
            self.send_status(now, self.word(), out);
        }
    }

    /// How long the others shall wait for this node.
    fn patience(&self, now: Instant) -> Duration {
        let graced = now - self.begun < GRACE;
        self.plan.timing.deadtime + if graced { GRACE_MORE } else { Duration::ZERO }
    }

    /// Lets everything that was told take effect.
    fn settle(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if matches!(self.stage, Stage::Idle | Stage::Stopped) {
            return;
        }
        self.spread(now, out);
        self.give_up(now, out);
        self.join(now, out);
        self.weigh_pings(now, out);
        self.holding.settle(self.moment(now));
        self.flush(now, out);
        // Another evenkeel acts on it at once.
        let changed = self.told != self.extension();
        if changed && self.plan.others().any(|node| self.membership.state(node).lives()) {
            self.send_status(now, self.word(), out);
        }
        if self.holding.is_over() {
            self.stage = Stage::Stopped;
            out.push(Output::Stopped);
        }
    }

    /// Who others know to be gone is not waited for (HB-68).
    fn give_up(&mut self, now: Instant, out: &mut Outbox<Output>) {
        if !self.plan.is_many() || self.membership.is_complete() {
            return;
        }
        for node in self.plan.others().filter(|node| self.holding.is_gone_elsewhere(now, *node)) {
            self.membership.give_up(node, &mut self.happened);
        }
        self.spread(now, out);
    }

    /// Does and says what the groups ask for.
    fn flush(&mut self, now: Instant, out: &mut Outbox<Output>) {
        for deed in self.holding.deeds() {
            match deed {
                Deed::Say(message) => self.say(now, message, out),
                Deed::Do(output) => out.push(output),
            }
        }
        for message in self.ipfail.said() {
            self.say(now, message, out);
        }
    }

    /// Tells everyone inside what has happened to nodes, links and ping nodes.
    fn spread(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let at = self.moment(now);
        for happened in std::mem::take(&mut self.happened) {
            let news = match happened {
                Happened::State { node, state } => {
                    self.holding.node(at, node, state);
                    if !state.lives() {
                        self.notify_death(now, node, out);
                        self.ipfail.lose(node);
                        self.fell_silent(now, node, out);
                    }
                    News::Node { node, state }
                }
                Happened::Returned { node } => {
                    self.holding.returned(at, node);
                    News::Returned { node }
                }
                Happened::Restarted { node } => {
                    self.holding.restarted(at, node);
                    if let Some(heard) = self.heard.get_mut(node) {
                        heard.forget();
                    }
                    self.ipfail.lose(node);
                    News::Restarted { node }
                }
                Happened::Late { node, silent } => News::Late { node, silent },
                Happened::SelfLate { by } => News::SelfLate { by },
                Happened::Link { node, medium, up } => {
                    let link = self.plan.links.get(medium).map_or("", String::as_str);
                    self.notify_link(self.plan.name(node), link, up, out);
                    News::Link { node, medium, up }
                }
                Happened::Ping { ping, up, first } => {
                    self.notify_ping(now, ping, up, first, out);
                    News::Ping { ping, up }
                }
            };
            out.push(Output::Tell(news));
        }
    }

    /// What a node sends until it is heard again is not asked for.
    fn fell_silent(&mut self, now: Instant, node: usize, out: &mut Outbox<Output>) {
        let mut told = Outbox::new();
        if let Some(heard) = self.heard.get_mut(node) {
            heard.answered();
            heard.stream().fell_silent(&mut told);
        }
        self.follow(now, node, told, out);
    }

    fn weigh_pings(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let here = self.membership.reached();
        let settled = self.membership.pings().iter().all(Option::is_some);
        self.holding.set_reached(here, settled);
        self.ipfail.reach(here, settled);
        match self.ipfail.tick(now) {
            // It was an answer to an older number: a node that was frozen reads and answers all that waited.
            Some(Verdict::GiveUp { .. }) if self.holding.is_no_worse() => self.ipfail.given(),
            Some(Verdict::GiveUp { there }) => {
                let at = self.moment(now);
                let nothing = self.holding.hold() == crate::Share::None;
                if nothing || self.holding.give(at, crate::Share::All, None, By::Ipfail).is_ok() {
                    self.ipfail.given();
                    if !nothing {
                        out.push(Output::Tell(News::CutOff { here, there }));
                    }
                }
            }
            Some(Verdict::Even { node }) => self.holding.owe(node),
            None => {}
        }
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        self.thaw(now, out);
        match input {
            Input::Start => self.start(now, out),
            Input::Heard { .. } if matches!(self.stage, Stage::Idle | Stage::Stopped) => {}
            Input::Heard { path, message } => self.hear(now, path, message, out),
            Input::Medium { medium, up } => {
                let before = self.media.get_mut(medium).map(|state| std::mem::replace(state, up));
                if up && before == Some(false) {
                    self.repeat(now);
                    self.hurry(now);
                }
            }
            Input::Group { group, standing } => self.holding.group(group, standing),
            Input::Fenced { node, ok } => self.holding.fenced(self.moment(now), node, ok),
            Input::Request { id, what } => self.holding.request(self.moment(now), id, &what),
            Input::Ready(ready) => self.holding.set_ready(ready),
            Input::Paths(paths) => self.paths = paths,
            Input::Configure { wanted, change, configuration } => {
                self.configure(now, &wanted, &change, configuration, out);
            }
            Input::Stop => {
                self.ipfail.end();
                self.holding.stop(self.moment(now));
            }
        }
        self.settle(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.thaw(now, out);
        if matches!(self.stage, Stage::Idle | Stage::Stopped) {
            return;
        }
        self.status_due(now, out);
        self.membership.tick(now, &mut self.happened);
        for node in 0..self.heard.len() {
            let mut told = Outbox::new();
            if let Some(heard) = self.heard.get_mut(node) {
                heard.stream().handle_timeout(now, &mut told);
            }
            self.follow(now, node, told, out);
        }
        self.settle(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let grace = Some(self.begun + GRACE).filter(|_| self.dead_time > self.plan.timing.deadtime);
        let joining = match self.stage {
            Stage::Idle | Stage::Stopped => return None,
            Stage::Joining(joining) => joining.deadline(),
            Stage::Active => None,
        };
        let parts = [self.membership.deadline(), self.holding.deadline(), self.ipfail.deadline(), joining, grace];
        let streams = self.heard.iter().filter_map(Heard::deadline);
        parts.into_iter().flatten().chain(streams).chain([self.status_at]).min()
    }
}

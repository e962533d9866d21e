//! A model of heartbeat 3.0.6 with haresources, by what recordings of it do: it waits ten seconds at a cold start, tells
//! its groups by halves, and drops everything when a node comes back that it thought dead.

use evenkeel_heartbeat::{
    Identity, Input, Message, News, NodeState, Output, Path, Share, Standing, Transmitter,
    control::{self, Control},
    history::Answer,
    stream::{self, Stream},
};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::heartbeat::{Failback, Heartbeat};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Until the other node is known.
    Up {
        asked: Option<Instant>,
    },
    /// `starting` was said; the timer of a cold start of both.
    Starting {
        timer: Option<Instant>,
    },
    Stable,
    /// Its groups are being stopped, for ever or to begin anew.
    Stopping {
        again: bool,
    },
    Asleep {
        until: Instant,
    },
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handover {
    No,
    Asked(Share),
    Stopping(Share),
    Given,
    Awaiting(Share),
    Taking(Share),
}

pub(crate) struct Real {
    view: Heartbeat,
    generation: u64,
    uuid: [u8; 16],
    me: usize,
    stage: Stage,
    sender: Transmitter,
    stream: Stream,
    status_at: Instant,
    heard: Option<Instant>,
    dead_at: Instant,
    dead_after: Duration,
    peer: NodeState,
    hold: Share,
    other: Share,
    other_stable: bool,
    handover: Handover,
    standing: Vec<Standing>,
    wanted: Vec<bool>,
    drop_at: Option<Instant>,
    mach_down: bool,
    ours: bool,
    /// The other node has come: what prefers it goes back to it, once.
    owed: bool,
}

fn halves(share: Share, add: Share, remove: Share) -> Share {
    let half = |has: bool, adds: bool, removes: bool| (has || adds) && !removes;
    Share::of(half(share.local(), add.local(), remove.local()), half(share.foreign(), add.foreign(), remove.foreign()))
}

impl Real {
    pub(crate) fn new(view: &Heartbeat, identity: &Identity) -> Real {
        let me = view.nodes.iter().position(|node| *node == view.node).unwrap();
        Real {
            generation: identity.generation,
            uuid: identity.uuid,
            me,
            stage: Stage::Over,
            sender: Transmitter::new(view.node.clone(), identity.uuid, identity.generation, 4),
            stream: Stream::new(0, view.rexmit_delay, identity.seed),
            status_at: Instant::START,
            heard: None,
            dead_at: Instant::START,
            dead_after: view.timing.deadtime,
            peer: NodeState::Unknown,
            hold: Share::None,
            other: Share::None,
            other_stable: false,
            handover: Handover::No,
            standing: vec![Standing::Stopped; view.groups.len()],
            wanted: vec![false; view.groups.len()],
            drop_at: None,
            mach_down: false,
            ours: false,
            owed: false,
            view: view.clone(),
        }
    }

    pub(crate) fn is_stable(&self) -> bool {
        self.stage == Stage::Stable && self.handover == Handover::No && self.drop_at.is_none()
    }

    pub(crate) fn brief(&self) -> String {
        let (stage, hold, other, handover) = (self.stage, self.hold, self.other, self.handover);
        format!("{stage:?} {hold:?} other {other:?} {handover:?} peer {:?} wants {:?}", self.peer, self.wanted)
    }

    fn other_name(&self) -> &evenkeel_model::heartbeat::NodeName {
        &self.view.nodes[1 - self.me]
    }

    fn say(&mut self, message: Message, out: &mut Outbox<Output>) {
        let message = self.sender.complete(message);
        out.push(Output::Transmit { medium: None, message });
    }

    fn status(&mut self, now: Instant, word: &str, out: &mut Outbox<Output>) {
        let dead = format!("{:x}", self.view.timing.deadtime.as_millis());
        self.say(Message::new("status").with("st", word).with("dt", dead).with("protocol", 1), out);
        self.status_at = now + self.view.timing.keepalive;
    }

    fn resource(&mut self, hold: Share, stable: u8, info: Option<&str>, out: &mut Outbox<Output>) {
        let message = Message::new("resource").with("rsc_hold", hold).with("rtype", "full").with("isstable", stable);
        self.say(
            match info {
                Some(info) => message.with("info", info),
                None => message,
            },
            out,
        );
    }

    fn ask(&mut self, share: Share, info: &str, out: &mut Outbox<Output>) {
        self.say(Message::new("ask_resources").with("rsc_hold", share).with("info", info), out);
    }

    fn begin(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.stage = Stage::Up { asked: None };
        self.stream = Stream::new(0, self.view.rexmit_delay, now.since_start().subsec_nanos().into());
        (self.peer, self.heard, self.dead_at) = (NodeState::Unknown, None, now + self.view.timing.initdead);
        (self.hold, self.other, self.other_stable) = (Share::None, Share::None, false);
        (self.handover, self.drop_at) = (Handover::No, None);
        self.status(now, "init", out);
        self.status(now, "up", out);
    }

    fn groups(&self, share: Share) -> Vec<usize> {
        let local = |group: &usize| self.view.groups[*group].prefer[0] == self.view.node;
        (0..self.wanted.len()).filter(|group| if local(group) { share.local() } else { share.foreign() }).collect()
    }

    fn take(&mut self, share: Share, out: &mut Outbox<Output>) {
        self.hold = halves(self.hold, share, Share::None);
        for group in self.groups(share) {
            if !std::mem::replace(&mut self.wanted[group], true) {
                out.push(Output::Acquire { group });
            }
        }
    }

    fn drop(&mut self, share: Share, out: &mut Outbox<Output>) {
        self.hold = halves(self.hold, Share::None, share);
        for group in self.groups(share) {
            if std::mem::replace(&mut self.wanted[group], false) {
                out.push(Output::Yield { group });
            }
        }
    }

    fn stop(&mut self, again: bool, out: &mut Outbox<Output>) {
        self.resource(Share::None, 0, Some("shutdown"), out);
        self.drop(Share::All, out);
        (self.handover, self.drop_at) = (Handover::No, None);
        self.stage = Stage::Stopping { again };
    }

    fn gone(&mut self, left: bool, out: &mut Outbox<Output>) {
        (self.handover, self.other, self.other_stable) = (Handover::No, Share::None, false);
        if self.stage != Stage::Stable {
            return;
        }
        if left {
            self.ask(Share::All, "done", out);
        } else {
            self.say(Message::new("stonith").with("node", self.other_name().clone()).with("result", "n_stnth"), out);
        }
        self.take(Share::All, out);
        self.resource(Share::All, 1, None, out);
        (self.mach_down, self.ours) = (true, true);
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        if let (Stage::Asleep { .. } | Stage::Over, Input::Heard { .. }) = (self.stage, &input) {
            return;
        }
        match input {
            Input::Start => self.begin(now, out),
            Input::Heard { path: Path::Medium(_), message } => {
                let mut told = Outbox::new();
                self.stream.take(now, message, &mut told);
                self.follow(now, told, out);
            }
            Input::Group { group, standing } => self.standing[group] = standing,
            Input::Stop => self.stop(false, out),
            Input::Request { what: evenkeel_heartbeat::Request::Standby(share), .. } if self.is_stable() => {
                self.ask(share, "me", out);
                self.handover = Handover::Asked(share);
            }
            Input::Request { what: evenkeel_heartbeat::Request::Takeover(share), .. } => {
                self.say(Message::new("hb_takeover").with("rsc_hold", share), out);
            }
            _ => {}
        }
        self.settle(now, out);
    }

    fn follow(&mut self, now: Instant, mut told: Outbox<stream::Output>, out: &mut Outbox<Output>) {
        let other = self.other_name().clone();
        while let Some(output) = told.pop() {
            match output {
                stream::Output::Restarted => {
                    (self.peer, self.other, self.other_stable) = (NodeState::Unknown, Share::None, false);
                    (self.handover, self.heard) = (Handover::No, None);
                }
                stream::Output::Deliver(message) => {
                    if message.text("dest").is_none_or(|dest| dest == self.view.node.as_str()) {
                        self.hear(now, &message, out);
                    }
                }
                stream::Output::Ask { first, last } => self.say(control::ask(&other, first, last), out),
                stream::Output::Acknowledge(number) => self.say(control::acknowledge(&other, number), out),
                stream::Output::Lost { .. } => {}
            }
        }
    }

    fn hear(&mut self, now: Instant, message: &Message, out: &mut Outbox<Output>) {
        let share = message.text("rsc_hold").and_then(Share::parse).unwrap_or_default();
        match (message.kind(), message.text("info")) {
            ("status", _) => self.hear_status(now, message, out),
            ("reqnodes", _) => {
                let other = self.other_name().clone();
                self.say(
                    Message::default().with("dest", other).with("t", "repnodes").with("nodelist", "ha1 ha2 "),
                    out,
                );
            }
            ("repnodes", _) if matches!(self.stage, Stage::Up { .. }) => {
                self.stage = Stage::Starting { timer: None };
                self.status(now, "active", out);
                self.say(Message::new("starting"), out);
            }
            ("starting", _) => {
                (self.other, self.other_stable, self.owed) = (Share::None, false, true);
                match self.stage {
                    Stage::Stable => self.resource(self.hold, 1, None, out),
                    Stage::Starting { .. } => {
                        self.resource(Share::None, 0, None, out);
                        self.stage = Stage::Starting { timer: Some(now + SECOND * 10) };
                    }
                    _ => {}
                }
            }
            ("resource", info) if message.text("rtype") == Some("full") => {
                let stable = message.text("isstable") == Some("1");
                let news = stable && !self.other_stable;
                self.other_stable = stable;
                if info != Some("standby") && info != Some("shutdown") {
                    self.other = share;
                }
                self.hear_resource(news, out);
            }
            ("ask_resources", Some(info)) => self.hear_ask(share, info, out),
            ("hb_takeover", _) if self.is_stable() => {
                self.ask(share.swapped(), "me", out);
                self.handover = Handover::Asked(share.swapped());
            }
            ("shutdone", _) if self.peer != NodeState::Left => {
                self.peer = NodeState::Left;
                self.gone(true, out);
            }
            _ => self.hear_control(now, message, out),
        }
    }

    fn hear_control(&mut self, now: Instant, message: &Message, out: &mut Outbox<Output>) {
        let mut answers = Outbox::new();
        match Control::read(message) {
            Some(Control::Acknowledged(number)) => self.sender.history().acknowledged(0, number),
            Some(Control::Asked { first, last }) => self.sender.history().answer(now, 0, first, last, &mut answers),
            Some(Control::Refused(_)) | None => {}
        }
        while let Some(answer) = answers.pop() {
            if let Answer::Again(message) = answer {
                out.push(Output::Transmit { medium: None, message });
            }
        }
    }

    fn hear_status(&mut self, now: Instant, message: &Message, out: &mut Outbox<Output>) {
        if self.peer == NodeState::Left {
            return;
        }
        if self.peer == NodeState::Dead && self.hold != Share::None && self.drop_at.is_none() {
            out.push(Output::Tell(News::Returned { node: 1 - self.me }));
            self.drop_at = Some(now + SECOND * 2);
        }
        self.dead_after = Duration::from_millis(message.hex("dt").unwrap());
        (self.heard, self.dead_at) = (Some(now), now + self.dead_after);
        self.peer = if message.text("st") == Some("active") { NodeState::Active } else { NodeState::Up };
    }

    fn hear_resource(&mut self, news: bool, out: &mut Outbox<Output>) {
        match self.stage {
            Stage::Starting { .. } if self.other_stable => {
                self.resource(Share::None, 0, None, out);
                (self.stage, self.owed) = (Stage::Stable, false);
                if !self.other.foreign() {
                    self.take(Share::Local, out);
                    self.ours = true;
                }
                self.resource(self.hold, 1, None, out);
            }
            Stage::Stable if news && self.handover == Handover::No => {
                self.resource(self.hold, 1, None, out);
                let returns = self.hold.foreign() && !self.other.local();
                if std::mem::take(&mut self.owed)
                    && returns
                    && self.view.failback == Failback::On
                    && self.drop_at.is_none()
                {
                    self.ask(Share::Foreign, "me", out);
                    self.handover = Handover::Asked(Share::Foreign);
                }
            }
            _ => {}
        }
    }

    fn hear_ask(&mut self, share: Share, info: &str, out: &mut Outbox<Output>) {
        match (info, self.handover) {
            ("me", Handover::No) if self.is_stable() && self.other_stable => {
                self.ask(share, "other", out);
                self.handover = Handover::Awaiting(share);
            }
            ("other", Handover::Asked(share)) => {
                self.drop(share, out);
                self.resource(self.hold, 0, Some("standby"), out);
                self.handover = Handover::Stopping(share);
            }
            ("done", Handover::Awaiting(share)) => {
                self.take(share.swapped(), out);
                self.handover = Handover::Taking(share);
            }
            ("done", Handover::Given | Handover::Stopping(_)) => {
                self.handover = Handover::No;
                self.resource(self.hold, 1, None, out);
            }
            _ => {}
        }
    }

    fn settle(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let down = self.standing.iter().all(|standing| matches!(standing, Standing::Stopped | Standing::Failed));
        let up = (0..self.wanted.len()).all(|group| !self.wanted[group] || self.standing[group] == Standing::Running);
        let given = (0..self.wanted.len()).all(|group| self.wanted[group] || self.standing[group] == Standing::Stopped);
        match self.handover {
            Handover::Stopping(share) if given => {
                self.ask(share, "done", out);
                self.handover = Handover::Given;
            }
            Handover::Taking(share) if up => {
                self.ask(share, "done", out);
                self.resource(self.hold, 1, None, out);
                self.handover = Handover::No;
            }
            _ => {}
        }
        if self.stage == Stage::Stable && up {
            if std::mem::take(&mut self.ours) {
                self.resource(self.hold, 1, Some("req_our_resources()"), out);
            }
            if std::mem::take(&mut self.mach_down) {
                self.say(Message::new("resource").with("rsc_hold", "foreign").with("info", "mach_down"), out);
            }
        }
        match self.stage {
            Stage::Stopping { again } if down => {
                self.say(Message::new("shutdone").with("st", "dead"), out);
                let until = now + self.view.timing.deadtime + SECOND;
                self.stage = if again { Stage::Asleep { until } } else { Stage::Over };
                if !again {
                    out.push(Output::Stopped);
                }
            }
            Stage::Up { asked } if self.peer.lives() && asked.is_none_or(|asked| now >= asked + SECOND) => {
                self.stage = Stage::Up { asked: Some(now) };
                let other = self.other_name().clone();
                self.say(Message::new("reqnodes").with("dest", other), out);
            }
            Stage::Up { .. } if matches!(self.peer, NodeState::Dead | NodeState::Left) => {
                self.stage = Stage::Stable;
                self.status(now, "active", out);
                self.say(Message::new("starting"), out);
                self.gone(false, out);
            }
            _ => {}
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        match self.stage {
            Stage::Asleep { until } if now >= until => {
                self.generation += 1;
                let (uuid, generation) = (self.uuid, self.generation);
                self.sender = Transmitter::new(self.view.node.clone(), uuid, generation, 4);
                return self.begin(now, out);
            }
            Stage::Asleep { .. } | Stage::Over => return,
            Stage::Starting { timer: Some(at) } if now >= at => {
                self.stage = Stage::Stable;
                self.take(Share::Local, out);
                self.ours = true;
                self.resource(self.hold, 1, None, out);
            }
            _ => {}
        }
        if now >= self.status_at {
            let word = if matches!(self.stage, Stage::Up { .. }) { "up" } else { "active" };
            self.status(now, word, out);
        }
        if !matches!(self.peer, NodeState::Dead | NodeState::Left) && now >= self.dead_at {
            self.peer = NodeState::Dead;
            let mut told = Outbox::new();
            self.stream.fell_silent(&mut told);
            self.follow(now, told, out);
            self.gone(false, out);
        }
        if self.drop_at.is_some_and(|at| now >= at) {
            self.stop(true, out);
        }
        let mut told = Outbox::new();
        self.stream.handle_timeout(now, &mut told);
        self.follow(now, told, out);
        self.settle(now, out);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timer = match self.stage {
            Stage::Asleep { until } => return Some(until),
            Stage::Over => return None,
            Stage::Starting { timer } => timer,
            Stage::Up { asked } => asked.map(|asked| asked + SECOND),
            Stage::Stable | Stage::Stopping { .. } => None,
        };
        let dead = (!matches!(self.peer, NodeState::Dead | NodeState::Left)).then_some(self.dead_at);
        [timer, dead, self.drop_at, self.stream.deadline(), Some(self.status_at)].into_iter().flatten().min()
    }
}

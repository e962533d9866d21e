//! What is heard: sorted by who says it, and told to whom it concerns.

use super::Node;
use crate::{
    Identity, Message, News, NodeState, Output, Path, Unheard,
    control::{self, Control},
    extension::Extension,
    history::Answer,
    stream::{self, Stream, Taken},
};
use evenkeel_machine::{Instant, Outbox};
use std::{sync::Arc, time::Duration};

/// Clocks that are nearer are the same, in seconds: that is what `ts` counts, and messages travel.
const CLOCKS_APART: u64 = 5;

/// A node that hears this one acknowledges one message in ten; after so many statuses without it does not seem to.
const UNANSWERED: u32 = 30;

/// What is remembered of one node's messages.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    stream: Stream,
    /// The configuration it tells, and whether that is another.
    configuration: Option<u64>,
    differs: bool,
    /// Seconds that its clock is ahead, as was told; 0 while it is near.
    ahead: i64,
    /// The one it had when this node's files were read again.
    outlived: Option<u64>,
    version: Option<String>,
    paths: Vec<String>,
    /// Statuses sent since it acknowledged one, as long as it is heard itself.
    unanswered: u32,
    /// It was heard since the last of them.
    spoke: bool,
}

impl Heard {
    /// Nothing yet from a node.
    pub(crate) fn new(identity: &Identity, node: usize, longest_delay: Duration) -> Heard {
        let seed = identity.seed ^ identity.generation ^ (node as u64) << 32;
        let generation = identity.heard.get(node).copied().unwrap_or(0);
        let stream = Stream::new(generation, longest_delay, seed);
        Heard {
            stream,
            configuration: None,
            differs: false,
            outlived: None,
            ahead: 0,
            version: None,
            paths: Vec::new(),
            unanswered: 0,
            spoke: false,
        }
    }

    /// This node's files were read again, and say `configuration`; those of that node are the old ones if they say another.
    pub(crate) fn outlive(&mut self, configuration: u64) {
        self.outlived = self.configuration.filter(|told| *told != configuration);
    }

    /// The configuration it told last, as an evenkeel.
    pub(crate) fn configuration(&self) -> Option<u64> {
        self.configuration
    }

    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Its new run tells all anew.
    pub(crate) fn forget(&mut self) {
        self.version = None;
        self.configuration = None;
        self.paths.clear();
    }

    /// A status was sent while it lives; whether it does not seem to hear this node, which is said once.
    pub(crate) fn sent(&mut self) -> bool {
        let counts = std::mem::take(&mut self.spoke) && self.stream.wants_acknowledgements();
        self.unanswered = self.unanswered.saturating_add(u32::from(counts));
        counts && self.unanswered == UNANSWERED
    }

    /// It acknowledges, or is gone; whether it did not seem to hear this node.
    pub(crate) fn answered(&mut self) -> bool {
        std::mem::take(&mut self.unanswered) >= UNANSWERED
    }

    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.stream.deadline()
    }
}

impl Node {
    pub(crate) fn hear(&mut self, now: Instant, path: Path, message: Message, out: &mut Outbox<Output>) {
        match path {
            Path::Ping(ping) => {
                if message.kind() == "NS_st" {
                    self.membership.answered(now, ping, &mut self.happened);
                }
            }
            Path::Medium(medium) => self.hear_node(now, medium, message, out),
        }
    }

    fn hear_node(&mut self, now: Instant, medium: usize, message: Message, out: &mut Outbox<Output>) {
        let Some(node) = message.text("src").and_then(|name| self.plan.node(name)) else { return };
        if node == self.plan.me {
            return;
        }
        self.pass_on(medium, &message, out);
        let begins = self.heard.get(node).is_some_and(|heard| heard.stream.begins_with(&message));
        if begins && !self.holding.is_nice() {
            // HB-35: whatever it hears first of this node, it goes on as if it had heard its status.
            self.send_status(now, self.word(), out);
        }
        let Some(heard) = self.heard.get_mut(node) else { return };
        heard.spoke = true;
        if let Some(uuid) = message.binary("srcuuid").and_then(|uuid| uuid.try_into().ok())
            && let Some(name) = self.names.get(node)
        {
            self.sender.transmitter().know(name, uuid);
        }
        let mut told = Outbox::new();
        let drop = |reason| Output::Tell(News::Dropped { node, reason });
        let before = heard.stream.generation();
        match heard.stream.take(now, message, &mut told) {
            Taken::Replay => out.push(drop(Unheard::OldGeneration)),
            Taken::Old => out.push(drop(Unheard::Again)),
            Taken::InOrder | Taken::Early | Taken::Late | Taken::Unnumbered | Taken::Duplicate => {
                self.membership.heard(now, node, medium, &mut self.happened);
            }
        }
        let generation = self.heard.get(node).map_or(before, |heard| heard.stream.generation());
        if generation != before {
            out.push(Output::Tell(News::Generation { node, generation }));
        }
        self.follow(now, node, told, out);
    }

    /// Does what the order of a node's messages asks for.
    pub(crate) fn follow(
        &mut self,
        now: Instant,
        node: usize,
        mut told: Outbox<stream::Output>,
        out: &mut Outbox<Output>,
    ) {
        let Some(name) = self.names.get(node).cloned() else { return };
        while let Some(output) = told.pop() {
            match output {
                stream::Output::Restarted => {
                    self.sender.transmitter().history().restarted(node);
                    self.membership.restarted(now, node, &mut self.happened);
                }
                stream::Output::Deliver(message) => self.deliver(now, node, message, out),
                stream::Output::Ask { first, last } => self.say(now, control::ask(&name, first, last), out),
                stream::Output::Acknowledge(sequence) => self.say(now, control::acknowledge(&name, sequence), out),
                stream::Output::Lost { first, last } => out.push(Output::Tell(News::Lost { node, first, last })),
            }
        }
    }

    /// What another node says of this one's messages.
    fn hear_control(&mut self, now: Instant, node: usize, control: Control, out: &mut Outbox<Output>) {
        match control {
            Control::Acknowledged(sequence) => {
                self.sender.transmitter().history().acknowledged(node, sequence);
                if self.heard.get_mut(node).is_some_and(Heard::answered) {
                    out.push(Output::Tell(News::Deaf { node, deaf: false }));
                }
            }
            Control::Asked { first, last } => {
                let mut answers = Outbox::new();
                self.sender.transmitter().history().answer(now, node, first, last, &mut answers);
                while let Some(answer) = answers.pop() {
                    match answer {
                        Answer::Again(message) => out.push(Output::Transmit { medium: None, message }),
                        Answer::Refuse(sequence) => {
                            let Some(name) = self.names.get(node).cloned() else { return };
                            self.say(now, control::refuse(&name, sequence), out);
                        }
                    }
                }
            }
            Control::Refused(_) => {}
        }
    }

    /// On serial lines each node passes on what is not its own.
    fn pass_on(&self, from: usize, message: &Message, out: &mut Outbox<Output>) {
        let left = message.text("ttl").and_then(|ttl| ttl.parse::<u32>().ok()).unwrap_or_default();
        if left <= 1 || !self.plan.serial.get(from).copied().unwrap_or_default() {
            return;
        }
        let mut passed = Message::default();
        for (name, value) in message.fields() {
            match name {
                "ttl" => passed = passed.with("ttl", left - 1),
                _ => passed.push(name, value.clone()),
            }
        }
        let passed = Arc::new(passed);
        for medium in (0..self.plan.serial.len()).filter(|medium| *medium != from && self.plan.serial[*medium]) {
            out.push(Output::Transmit { medium: Some(medium), message: Arc::clone(&passed) });
        }
    }

    /// A message in its turn.
    fn deliver(&mut self, now: Instant, node: usize, message: Message, out: &mut Outbox<Output>) {
        let me = self.plan.name(self.plan.me);
        if message.text("dest").is_some_and(|dest| dest != me) {
            return;
        }
        if let Some(control) = Control::read(&message) {
            return self.hear_control(now, node, control, out);
        }
        // What was told before comes first.
        self.spread(now, out);
        match message.kind() {
            "status" => return self.hear_status(now, node, message, out),
            "reqnodes" => self.list_nodes(now, node, out),
            "repnodes" => self.listed(),
            "shutdone" => self.membership.left(node, &mut self.happened),
            "hbapi-clstat" | "num_ping_nodes" | "abort_giveup" | "you_are_dead" => {
                if let Some(count) = self.ipfail.hear(now, node, &message) {
                    self.holding.hear_pings(node, count);
                }
            }
            _ => self.holding.hear(self.moment(now), node, &message),
        }
        self.notify(message, out);
    }

    fn hear_status(&mut self, now: Instant, node: usize, message: Message, out: &mut Outbox<Output>) {
        let state = match message.text("st") {
            Some("init" | "up") => NodeState::Up,
            Some("active") => NodeState::Active,
            Some(_) | None => return out.push(Output::Tell(News::Dropped { node, reason: Unheard::Malformed })),
        };
        if self.membership.state(node) == NodeState::Left {
            return;
        }
        let before = self.membership.state(node);
        let dead_after = message.hex("dt").map(Duration::from_millis);
        self.membership.status(now, node, state, dead_after, &mut self.happened);
        if before == NodeState::Dead {
            self.hurry(now);
        }
        self.spread(now, out);
        let mut told = Extension::read(&self.plan, &message);
        let outlived = self.heard.get(node).and_then(|heard| heard.outlived);
        if let Some(told) = told.as_mut().filter(|told| Some(told.configuration) == outlived) {
            told.divide(&self.plan);
        }
        self.compare(now, node, told.as_ref(), &message, out);
        self.ipfail.alike(node, told.as_ref().map(|told| told.asks));
        let generation = self.heard.get(node).map_or(0, |heard| heard.stream.generation());
        self.holding.hear_extension(now, node, generation, told);
        if before != state {
            self.notify(message, out);
        }
    }

    /// Two nodes should have one configuration and one time.
    fn compare(
        &mut self,
        now: Instant,
        node: usize,
        told: Option<&Extension>,
        message: &Message,
        out: &mut Outbox<Output>,
    ) {
        let here = self.sender.unix(now).as_secs();
        let Some(heard) = self.heard.get_mut(node) else { return };
        if let Some(there) = message.hex("ts") {
            let ahead = i64::try_from(there).unwrap_or(i64::MAX).saturating_sub_unsigned(here);
            let ahead = if ahead.unsigned_abs() > CLOCKS_APART { ahead } else { 0 };
            // One that drifts is told again when it has gone as far once more.
            if (ahead == 0) != (heard.ahead == 0) || ahead.abs_diff(heard.ahead) > CLOCKS_APART {
                heard.ahead = ahead;
                out.push(Output::Tell(News::Clock { node, ahead }));
            }
        }
        let Some(told) = told else { return };
        heard.configuration = Some(told.configuration);
        let differs = told.configuration != self.identity.configuration;
        if heard.differs != differs {
            heard.differs = differs;
            out.push(Output::Tell(News::Configuration { node, differs }));
        }
        if heard.version.as_deref() != Some(&told.version) || heard.paths != told.paths {
            heard.version = Some(told.version.clone());
            heard.paths.clone_from(&told.paths);
            let (version, paths) = (told.version.clone(), told.paths.clone());
            out.push(Output::Tell(News::Evenkeel { node, version, paths }));
        }
        if self.plan.others().all(|node| self.is_alike(node)) {
            self.holding.forget_former();
        }
    }
}

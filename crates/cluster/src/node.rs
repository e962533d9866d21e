//! The two machines, and what each tells the other.

use crate::{Input, Output, Report};
use evenkeel_heartbeat::{self as heartbeat, Identity};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Change, Heartbeat};
use evenkeel_resource::{self as resource, Groups, Standing};
use std::time::Duration;

/// A node of a cluster.
#[derive(Debug)]
pub struct Node {
    heartbeat: heartbeat::Node,
    groups: Groups,
    configured: Heartbeat,
    /// What the one machine wants that the other does.
    words: Outbox<heartbeat::Output>,
    deeds: Outbox<resource::Output>,
    stopping: bool,
    leaving: bool,
    /// An operator has said it twice.
    insisted: bool,
    stopped: bool,
}

impl Node {
    /// The node that `configured` names as its own.
    pub fn new(configured: &Heartbeat, identity: Identity, now: Instant) -> Node {
        let mut groups = Groups::new();
        let mut deeds = Outbox::new();
        groups.handle(now, resource::Input::Configure(configured.groups.clone()), &mut deeds);
        Node {
            heartbeat: heartbeat::Node::new(configured, identity),
            groups,
            configured: configured.clone(),
            words: Outbox::new(),
            deeds,
            stopping: false,
            leaving: false,
            insisted: false,
            stopped: false,
        }
    }

    /// The time since 1970 and the load as /proc/loadavg has it, at `now`; messages carry both.
    pub fn clock(&mut self, now: Instant, unix: Duration, load: &str) {
        self.heartbeat.clock(now, unix, load);
    }

    /// How everything stands that is not told as it changes.
    pub fn report(&self) -> Report {
        Report { view: self.heartbeat.view(), groups: self.groups.report() }
    }

    fn tell_groups(&mut self, now: Instant, input: resource::Input) {
        self.groups.handle(now, input, &mut self.deeds);
    }

    fn tell_heartbeat(&mut self, now: Instant, input: heartbeat::Input) {
        self.heartbeat.handle(now, input, &mut self.words);
    }

    /// Until neither has anything to say to the other. Each group turns a bounded number of times at one instant.
    fn settle(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.talk(now, out);
        if self.stopping && !self.leaving && !self.is_clearing_out() {
            self.leaving = true;
            self.tell_heartbeat(now, heartbeat::Input::Stop);
            self.talk(now, out);
        }
        // While it lives nobody takes what cannot be stopped here. Silent, it is fenced first, or it is the operator's word.
        if self.stopping && !self.stopped && (self.insisted || self.is_fenced()) && self.only_stuck_is_left() {
            self.stop(out);
        }
    }

    /// Whether the others have a device that makes this node harmless.
    fn is_fenced(&self) -> bool {
        let Heartbeat { node, fences, .. } = &self.configured;
        fences.iter().any(|fence| fence.nodes.is_empty() || fence.nodes.contains(node))
    }

    fn talk(&mut self, now: Instant, out: &mut Outbox<Output>) {
        loop {
            if let Some(word) = self.words.pop() {
                self.take_word(now, word, out);
            } else if let Some(deed) = self.deeds.pop() {
                self.take_deed(now, deed, out);
            } else {
                break;
            }
        }
    }

    /// What the files do not name any more is being stopped. The others do not know of it: they hear that this node leaves
    /// when that is done.
    fn is_clearing_out(&self) -> bool {
        let going = |standing: Standing| standing.may_run() && standing != Standing::Stuck;
        self.groups.report().iter().any(|group| !group.configured && going(group.standing))
    }

    fn take_word(&mut self, now: Instant, word: heartbeat::Output, out: &mut Outbox<Output>) {
        out.push(match word {
            heartbeat::Output::Acquire { group } => return self.tell_groups(now, resource::Input::Acquire(group)),
            heartbeat::Output::Yield { group } => return self.tell_groups(now, resource::Input::Yield(group)),
            heartbeat::Output::Stopped => return self.stop(out),
            heartbeat::Output::Transmit { medium, message } => Output::Transmit { medium, message },
            heartbeat::Output::Ping { ping, message } => Output::Ping { ping, message },
            heartbeat::Output::Announce { group } => Output::Announce { group },
            heartbeat::Output::Fence { node } => Output::Fence { node },
            heartbeat::Output::Pet { dead_time } => {
                // What cannot be stopped ends with the host: the watchdog restarts it, as heartbeat would.
                let watchdog = !(self.groups.is_stuck() && self.is_accompanied());
                Output::Pet { dead_time, watchdog }
            }
            heartbeat::Output::Notify { message } => Output::Notify { message },
            heartbeat::Output::Answer { id, result } => Output::Answer { id, result },
            heartbeat::Output::Tell(news) => Output::Tell(news),
        });
    }

    fn take_deed(&mut self, now: Instant, deed: resource::Output, out: &mut Outbox<Output>) {
        out.push(match deed {
            resource::Output::Run(order) => Output::Run(order),
            resource::Output::Cancel(task) => Output::Cancel(task),
            resource::Output::Turned { group, standing, why } => {
                out.push(Output::Turned { group, standing, why });
                return self.tell_heartbeat(now, heartbeat::Input::Group { group, standing: told(standing) });
            }
            resource::Output::Remark { group, remark } => Output::Remark { group, remark },
            resource::Output::Stopped => return,
        });
    }

    fn configure(&mut self, now: Instant, wanted: Box<Heartbeat>, configuration: u64) {
        let change = Change::between(&self.configured, &wanted);
        self.configured = (*wanted).clone();
        let groups = wanted.groups.clone();
        // Places are those of the new one in whatever either says from now on.
        self.tell_heartbeat(now, heartbeat::Input::Configure { wanted, change, configuration });
        self.tell_groups(now, resource::Input::Configure(groups));
    }

    /// Another node is there to take over. Of this node itself no hearing is told.
    fn is_accompanied(&self) -> bool {
        self.heartbeat.view().nodes.iter().any(|node| node.heard.is_some() && node.state.lives())
    }

    /// A group that cannot be stopped keeps this node from telling the others that it has left.
    fn only_stuck_is_left(&self) -> bool {
        let groups = self.groups.report();
        let stuck = |standing: Standing| standing == Standing::Stuck;
        groups.iter().any(|group| stuck(group.standing))
            && groups.iter().all(|group| stuck(group.standing) || !group.standing.may_run())
    }

    fn stop(&mut self, out: &mut Outbox<Output>) {
        if !std::mem::replace(&mut self.stopped, true) {
            out.push(Output::Stopped);
        }
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox<Output>) {
        match input {
            Input::Start => self.tell_heartbeat(now, heartbeat::Input::Start),
            Input::Heard { path, message } => self.tell_heartbeat(now, heartbeat::Input::Heard { path, message }),
            Input::Medium { medium, up } => self.tell_heartbeat(now, heartbeat::Input::Medium { medium, up }),
            Input::Fenced { node, ok } => self.tell_heartbeat(now, heartbeat::Input::Fenced { node, ok }),
            Input::Request { id, what } => self.tell_heartbeat(now, heartbeat::Input::Request { id, what }),
            Input::Ready(ready) => self.tell_heartbeat(now, heartbeat::Input::Ready(ready)),
            Input::Paths(paths) => self.tell_heartbeat(now, heartbeat::Input::Paths(paths)),
            Input::Done { task, outcome } => self.tell_groups(now, resource::Input::Done { task, outcome }),
            Input::ConfirmStopped(group) => self.tell_groups(now, resource::Input::Confirm(group)),
            Input::Configure { wanted, configuration } => self.configure(now, wanted, configuration),
            Input::Stop => self.insisted = std::mem::replace(&mut self.stopping, true),
        }
        self.settle(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.groups.handle_timeout(now, &mut self.deeds);
        self.settle(now, out);
        self.heartbeat.handle_timeout(now, &mut self.words);
        self.settle(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.heartbeat.deadline(), self.groups.deadline()];
        deadlines.into_iter().flatten().min()
    }
}

/// As other nodes see it: what cannot be stopped is still being stopped.
fn told(standing: Standing) -> heartbeat::Standing {
    match standing {
        Standing::Stopped => heartbeat::Standing::Stopped,
        Standing::Starting => heartbeat::Standing::Starting,
        Standing::Running => heartbeat::Standing::Running,
        Standing::Stopping | Standing::Stuck => heartbeat::Standing::Stopping,
        Standing::Failed => heartbeat::Standing::Failed,
    }
}

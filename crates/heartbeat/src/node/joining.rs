//! From the first status to `active` (HB-22): every other node is heard or given up, then one that lives is asked for its list of
//! nodes, as heartbeat does.

use super::{Node, Stage};
use crate::{Message, News, NodeState, Output};
use evenkeel_machine::{Instant, Outbox};
use std::time::Duration;

/// Between two questions.
const RETRY: Duration = Duration::from_secs(1);

/// How often it asks before it goes on without an answer.
const TRIES: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joining {
    asked: Option<Instant>,
    tries: u8,
    answered: bool,
}

impl Joining {
    pub(crate) fn new() -> Joining {
        Joining { asked: None, tries: 0, answered: false }
    }

    pub(crate) fn deadline(self) -> Option<Instant> {
        self.asked.map(|asked| asked + RETRY)
    }
}

impl Node {
    /// Goes on with joining.
    pub(crate) fn join(&mut self, now: Instant, out: &mut Outbox<Output>) {
        let Stage::Joining(mut joining) = self.stage else { return };
        if !self.membership.is_complete() || self.holding.is_leaving() {
            // Whom it asked has begun anew, or it leaves itself: no answer is awaited.
            self.stage = Stage::Joining(Joining::new());
            return;
        }
        let alive = self.membership.first_alive().filter(|_| !joining.answered && joining.tries < TRIES);
        match alive {
            Some(node) if joining.asked.is_none_or(|asked| now >= asked + RETRY) => {
                joining.asked = Some(now);
                joining.tries += 1;
                self.stage = Stage::Joining(joining);
                self.say(now, Message::new("reqnodes").with("dest", self.plan.name(node)), out);
            }
            Some(_) => {}
            None => self.activate(now, out),
        }
    }

    fn activate(&mut self, now: Instant, out: &mut Outbox<Output>) {
        self.stage = Stage::Active;
        self.holding.begin(self.moment(now));
        self.ipfail.begin();
        self.send_status(now, "active", out);
        out.push(Output::Tell(News::Node { node: self.plan.me, state: NodeState::Active }));
        self.flush(now, out);
    }

    /// Another node asks for the list of nodes.
    pub(crate) fn list_nodes(&mut self, now: Instant, to: usize, out: &mut Outbox<Output>) {
        let list: String = self.plan.names.iter().map(|name| format!("{name} ")).collect();
        let message = Message::default()
            .with("dest", self.plan.name(to))
            .with("t", "repnodes")
            .with("nodelist", list)
            .with("delnodelist", " ");
        self.say(now, message, out);
    }

    /// The list has come.
    pub(crate) fn listed(&mut self) {
        if let Stage::Joining(joining) = &mut self.stage {
            joining.answered = true;
        }
    }
}

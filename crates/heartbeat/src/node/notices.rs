//! What scripts of `rc.d` are told of: what heartbeat 3.0.6 ran them for, recorded with a script for each type.

use super::Node;
use crate::{Message, Output};
use evenkeel_machine::{Instant, Outbox};
use std::sync::Arc;

/// The types that heartbeat deals with itself: it never runs a script for one, and runs one for any other.
const KEPT: [&str; 11] = [
    "starting",
    "resource",
    "ask_resources",
    "shutdone",
    "reqnodes",
    "repnodes",
    "query-cstatus",
    "setweight",
    "setsite",
    "addnode",
    "delnode",
];

/// Types that a node that says them is told of as well.
const OF_OWN: [&str; 2] = ["hb_takeover", "stonith"];

impl Node {
    /// Tells of a message that was heard.
    pub(crate) fn notify(&self, message: Message, out: &mut Outbox<Output>) {
        let kind = message.kind();
        if KEPT.contains(&kind) || kind.starts_with("NS_") {
            return;
        }
        // It is called the old status, and is always this node's own.
        out.push(Output::Notify { message: Arc::new(message.with("OSTATUS", self.word())) });
    }

    /// Tells of a message that was said.
    pub(crate) fn notify_own(&self, message: &Message, out: &mut Outbox<Output>) {
        if OF_OWN.contains(&message.kind()) {
            self.notify(message.clone(), out);
        }
    }

    /// A node is dead, or has left: a status that nobody sends.
    pub(crate) fn notify_death(&self, now: Instant, node: usize, out: &mut Outbox<Output>) {
        let message = Message::new("status").with("st", "dead").with("src", self.plan.name(node)).with("seq", 1);
        self.notify(self.stamp(now, message), out);
    }

    /// A ping node has turned: its status, unless it is the first, and that of the link to it.
    pub(crate) fn notify_ping(&self, now: Instant, ping: usize, up: bool, first: bool, out: &mut Outbox<Output>) {
        let name = self.plan.pings.get(ping).map_or("", String::as_str);
        let word = if up { "ping" } else { "dead" };
        if !(up && first) {
            let message = Message::new("status").with("st", word).with("info", "ping").with("src", name).with("seq", 1);
            self.notify(self.stamp(now, message), out);
        }
        self.notify_link(name, name, up, out);
    }

    /// A link to a node has turned.
    pub(crate) fn notify_link(&self, node: &str, link: &str, up: bool, out: &mut Outbox<Output>) {
        let word = if up { "up" } else { "dead" };
        self.notify(Message::new("ifstat").with("node", node).with("ifname", link).with("st", word), out);
    }

    fn stamp(&self, now: Instant, message: Message) -> Message {
        message.with("ts", format_args!("{:x}", self.sender.unix(now).as_secs()))
    }
}

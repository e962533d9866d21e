//! What every message of a node says besides what it is about: who sent it, when, and which it is (HB-6, HB-7).

use crate::{Message, history::History};
use evenkeel_model::heartbeat::NodeName;
use std::{collections::BTreeMap, sync::Arc};

/// Completes messages, and keeps those that can be asked for.
#[derive(Clone, Debug)]
pub struct Transmitter {
    own: NodeName,
    uuid: [u8; 16],
    generation: u64,
    /// How often a message may be forwarded.
    hops: usize,
    seconds: u64,
    load: String,
    /// Of other nodes.
    uuids: BTreeMap<String, [u8; 16]>,
    history: History,
}

impl Transmitter {
    /// Of node `own` in its run `generation`; `hops` is the number of nodes, ping nodes too, and `hopfudge`.
    pub fn new(own: NodeName, uuid: [u8; 16], generation: u64, hops: usize) -> Transmitter {
        let (uuids, history) = (BTreeMap::new(), History::default());
        Transmitter { own, uuid, generation, hops, seconds: 0, load: String::new(), uuids, history }
    }

    /// Tells it the wall clock, in seconds since 1970, and `/proc/loadavg`.
    pub fn clock(&mut self, seconds: u64, load: &str) {
        self.seconds = seconds;
        self.load.clear();
        self.load.push_str(load);
    }

    /// How often a message may be forwarded from now on.
    pub fn reach(&mut self, hops: usize) {
        self.hops = hops;
    }

    /// Tells it the uuid of another node, which goes with messages to it.
    pub fn know(&mut self, node: &NodeName, uuid: [u8; 16]) {
        self.uuids.insert(node.as_str().to_owned(), uuid);
    }

    /// What was sent.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Completes a message. One with a number is kept.
    pub fn complete(&mut self, message: Message) -> Arc<Message> {
        let named = message.text("src").is_some();
        let addressee = message.text("dest").and_then(|dest| self.uuids.get(dest));
        let message = match addressee.copied() {
            Some(uuid) => message.with_binary("destuuid", &uuid),
            None => message,
        };
        let message = if named { message } else { message.with("src", &self.own) };
        let message = message.with_binary("srcuuid", &self.uuid);
        let (generation, seconds) = (self.generation, self.seconds);
        let stamp = |message: Message| {
            message.with("hg", format_args!("{generation:x}")).with("ts", format_args!("{seconds:x}"))
        };
        if !message.is_sequenced() {
            return Arc::new(stamp(message).with("ttl", self.hops));
        }
        let (load, hops) = (&self.load, self.hops);
        self.history
            .keep(|number| stamp(message.with("seq", format_args!("{number:x}"))).with("ld", load).with("ttl", hops))
    }
}

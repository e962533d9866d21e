//! The wall clock and load that messages carry, and their completion.

use crate::{Identity, Message, Transmitter, plan::Plan};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Heartbeat;
use std::{sync::Arc, time::Duration};

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    transmitter: Transmitter,
    /// The wall clock at a moment.
    clock: (Instant, Duration),
    load: String,
}

impl Sender {
    pub(crate) fn new(cluster: &Heartbeat, plan: &Plan, identity: &Identity) -> Sender {
        let transmitter = Transmitter::new(cluster.node.clone(), identity.uuid, identity.generation, plan.ttl);
        Sender { transmitter, clock: (Instant::START, Duration::ZERO), load: "0.00 0.00 0.00 1/1 1".to_owned() }
    }

    pub(crate) fn set_clock(&mut self, now: Instant, unix: Duration, load: &str) {
        self.clock = (now, unix);
        load.clone_into(&mut self.load);
    }

    /// The wall clock.
    pub(crate) fn unix(&self, now: Instant) -> Duration {
        let (then, unix) = self.clock;
        unix + (now - then)
    }

    /// Completes a message.
    pub(crate) fn complete(&mut self, now: Instant, message: Message) -> Arc<Message> {
        let seconds = self.unix(now).as_secs();
        self.transmitter.clock(seconds, &self.load);
        self.transmitter.complete(message)
    }

    pub(crate) fn transmitter(&mut self) -> &mut Transmitter {
        &mut self.transmitter
    }

    /// What a ping node sends back: its own status.
    pub(crate) fn echo(&self, now: Instant, name: &str) -> Message {
        let message = Message::new("NS_st").with("st", "ping").with("info", "ping").with("src", name);
        message.with("ts", format_args!("{:x}", self.unix(now).as_secs()))
    }
}

//! The heartbeat cluster: what its thread has to say, and what it leaves to others.

use super::Core;
use crate::{
    clock,
    cluster::{Deed, Told, identity::identity},
};
use evenkeel_api::Request;
use evenkeel_engine::Token;
use evenkeel_ha::heartbeat::News;
use evenkeel_model::heartbeat::Heartbeat;

impl Core {
    /// Takes part in `wanted` from now on.
    pub(crate) fn join_cluster(&mut self, wanted: Option<Heartbeat>) -> Result<(), String> {
        if self.engine.is_checked() {
            self.cluster.ready();
        }
        let (directory, version, seed) = (&self.cluster_files, &self.version, self.seed);
        let who = |wanted: &Heartbeat| identity(wanted, directory, version, clock::wall(), seed);
        self.cluster.hold(wanted, who, self.clock.now())
    }

    /// The thread has news.
    pub(crate) fn hear_cluster(&mut self, news: News) {
        let told = self.cluster.take(news, self.clock.now());
        self.told_of_cluster(told);
    }

    /// Something that the thread had left to the daemon is done.
    pub(crate) fn cluster_deed(&mut self, deed: Deed) {
        let told = self.cluster.take_deed(deed, self.clock.now());
        self.told_of_cluster(told);
    }

    fn told_of_cluster(&mut self, told: Option<Told>) {
        match told {
            Some(Told::Event(event)) => self.publish(event),
            Some(Told::Line(severity, text)) => self.say(severity, &text),
            Some(Told::Answer(token, reply)) => self.callers.answer(token, reply),
            None => {}
        }
        self.carry_out();
    }

    /// A client asks.
    pub(crate) fn ask_cluster(&mut self, token: Token, request: &Request) {
        if let Some(reply) = self.cluster.request(token, request) {
            self.callers.answer(token, reply);
        }
    }
}

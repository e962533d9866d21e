//! The heartbeat cluster: what its thread has to say, and what it leaves to others.

use super::Core;
use crate::{
    clock,
    cluster::{Deed, Told, identity::identity},
};
use evenkeel_api::{Request, Severity};
use evenkeel_engine::Token;
use evenkeel_ha::heartbeat::News;
use evenkeel_model::heartbeat::Heartbeat;
use tokio::sync::mpsc;

impl Core {
    /// Takes part in `wanted` from now on; what only a restart changes is warned of.
    pub(crate) fn join_cluster(&mut self, wanted: Option<Heartbeat>) -> Result<(), String> {
        let (directory, version, seed) = (&self.cluster_files, &self.version, self.seed);
        let who = |wanted: &Heartbeat| identity(wanted, directory, version, clock::wall(), seed);
        self.warnings.cluster = self.cluster.hold(wanted, who, self.clock.now())?;
        if let Some(text) = self.warnings.cluster.clone() {
            self.say(Severity::Warning, &text);
        }
        Ok(())
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

    /// Gives everything up; what that takes is carried out meanwhile.
    pub(crate) async fn leave_cluster(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        deeds: &mut mpsc::UnboundedReceiver<Deed>,
    ) {
        let Some(mut left) = self.cluster.stop() else { return };
        loop {
            tokio::select! {
                _ = &mut left => break,
                Some(one) = news.recv() => self.hear_cluster(one),
                Some(deed) = deeds.recv() => self.cluster_deed(deed),
            }
        }
        self.cluster.rest().await;
        while let Ok(one) = news.try_recv() {
            self.hear_cluster(one);
        }
    }

    /// A client asks.
    pub(crate) fn ask_cluster(&mut self, token: Token, request: &Request) {
        if let Some(reply) = self.cluster.request(token, request) {
            self.callers.answer(token, reply);
        }
    }
}

//! The end of this node's part in a heartbeat cluster.

use super::{Running, Word, tick};
use crate::service_manager;
use evenkeel_api::Severity;
use sd_notify::NotifyState;

impl Running {
    /// Gives everything up. What that takes is carried out meanwhile, and clients are answered: what cannot be stopped keeps
    /// this node here until an operator confirms that it has ended, or asks for the end a second time.
    pub(super) async fn leave_cluster(&mut self) {
        let Some(mut left) = self.core.cluster.stop() else { return };
        let mut told = Vec::new();
        loop {
            let core = &mut self.core;
            tokio::select! {
                _ = &mut left => break,
                Some(one) = self.cluster_news.recv() => core.hear_cluster(one),
                Some(deed) = self.cluster_deeds.recv() => core.cluster_deed(deed),
                Some(call) = self.calls.recv() => {
                    core.call(call);
                    if core.stop.is_some() {
                        core.cluster.insist();
                    }
                }
                word = self.signals.next() => {
                    if matches!(word, Word::Stop) {
                        core.cluster.insist();
                    }
                }
                _ = self.beat.tick() => core.beat(),
                () = tick(&mut self.watchdog) => service_manager::tell(&[NotifyState::Watchdog]),
            }
            let stuck = self.core.cluster.stuck();
            for text in stuck.iter().filter(|text| !told.contains(*text)) {
                let text = format!("{text}, or end this node without: `evenkeel stop` once more");
                self.core.say(Severity::Error, &text);
            }
            told = stuck;
        }
        self.core.cluster.rest().await;
        while let Ok(one) = self.cluster_news.try_recv() {
            self.core.hear_cluster(one);
        }
    }
}

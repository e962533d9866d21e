//! Another configuration of a cluster that goes on (HB-38).

use super::{Node, Stage};
use crate::{Output, plan::Plan};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::heartbeat::{Change, Heartbeat};
use std::{sync::Arc, time::Duration};

/// For so long after a cable is back, and so often, statuses come.
const BACK: Duration = Duration::from_secs(2);
const BACK_EVERY: Duration = Duration::from_millis(100);

impl Node {
    /// Takes part as `wanted` has it from now on.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        wanted: &Heartbeat,
        change: &Change,
        configuration: u64,
        out: &mut Outbox<Output>,
    ) {
        let settled = self.plan.others().all(|node| self.is_alike(node));
        let plan = Arc::new(Plan::after(wanted, &self.plan, change, settled));
        self.brisk = (now + self.plan.timing.deadtime, self.plan.timing.keepalive);
        self.identity.configuration = configuration;
        self.membership.configure(now, &plan, change);
        self.holding.configure(&plan, change);
        self.ipfail.configure(&plan, self.stage == Stage::Active);
        self.sender.transmitter().reach(plan.ttl);
        for heard in &mut self.heard {
            heard.stream().ask_within(wanted.rexmit_delay);
            heard.outlive(configuration);
        }
        let up = |place: &Option<usize>| place.is_none_or(|place| self.media.get(place).copied().unwrap_or(true));
        self.media = change.media.iter().map(up).collect();
        self.plan = plan;
        if matches!(self.stage, Stage::Idle | Stage::Stopped) {
            return;
        }
        self.dead_time = self.patience(now);
        // The others learn at once how long to wait from now on.
        self.send_status(now, self.word(), out);
    }

    /// A cable is back: more than one status hurries, since a switch may take a moment before it forwards anything.
    pub(super) fn repeat(&mut self, now: Instant) {
        let (until, before) = self.brisk;
        // What a change wants holds on.
        let before = if now < until { before.min(BACK_EVERY) } else { BACK_EVERY };
        self.brisk = (until.max(now + BACK), before);
    }

    /// Between two statuses.
    pub(crate) fn keepalive(&self, now: Instant) -> Duration {
        let (until, before) = self.brisk;
        let keepalive = self.plan.timing.keepalive;
        if now < until { keepalive.min(before) } else { keepalive }
    }

    /// Whether a node has the configuration of this one, as far as it counts.
    pub(crate) fn is_alike(&self, node: usize) -> bool {
        let told = self.heard.get(node).and_then(|heard| heard.configuration());
        told == Some(self.identity.configuration)
    }
}

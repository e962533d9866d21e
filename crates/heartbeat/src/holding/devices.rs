//! What fence devices are at work, so that no answer is taken for another one's, and none is waited for in vain.

use super::Holding;
use evenkeel_machine::Instant;
use std::time::Duration;

/// Until when the device of each node is to have answered.
#[derive(Clone, Debug)]
pub(crate) struct Devices {
    /// How long those of each node may take together.
    within: Vec<Duration>,
    until: Vec<Option<Instant>>,
}

impl Devices {
    pub(crate) fn new(within: Vec<Duration>) -> Devices {
        Devices { until: vec![None; within.len()], within }
    }

    /// They may take that long from now on.
    pub(crate) fn configure(&mut self, within: Vec<Duration>) {
        self.within = within;
    }

    /// It is to begin; false while an older attempt has not ended.
    pub(crate) fn begin(&mut self, now: Instant, node: usize) -> bool {
        let within = self.within.get(node).copied().unwrap_or_default();
        let Some(until) = self.until.get_mut(node).filter(|until| until.is_none()) else { return false };
        *until = Some(now + within);
        true
    }

    /// It has answered.
    pub(crate) fn end(&mut self, node: usize) {
        if let Some(until) = self.until.get_mut(node) {
            *until = None;
        }
    }

    /// When nothing more is expected to be heard of one.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until.iter().copied().flatten().min()
    }
}

impl Holding {
    /// What should have been answered by now has failed.
    pub(crate) fn miss_answers(&mut self, at: super::Moment) {
        for node in self.plan.others() {
            if self.devices.until.get(node).copied().flatten().is_some_and(|until| at.now >= until) {
                self.fenced(at, node, false);
            }
        }
    }
}

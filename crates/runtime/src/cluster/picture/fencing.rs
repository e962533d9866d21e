//! Where fencing has come to, by node and by device.

use super::{Picture, Since};
use evenkeel_api::FenceStatus;
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{FenceAgent, Heartbeat, NodeName};

/// Where fencing a node has come to.
#[derive(Clone, Debug)]
pub(super) struct Fencing {
    pub(super) state: Since<Fence>,
    /// Whose device does it, or did last.
    pub(super) by: Option<usize>,
    /// What a device last said.
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fence {
    Ready,
    Fencing,
    Failed,
    Waits,
}

impl Picture {
    pub(super) fn fence(&mut self, node: usize, state: Fence, now: Instant) {
        if let Some(fence) = self.fences.get_mut(node) {
            fence.state.turn(state, now);
        }
    }

    /// A device of a node is at work on another one.
    pub(super) fn begin_fencing(&mut self, node: usize, by: usize, now: Instant) {
        if let Some(fence) = self.fences.get_mut(node) {
            fence.by = Some(by);
            // What failed here goes on to have failed here.
            if Some(by) == self.own || fence.state.state == Fence::Ready {
                fence.state.turn(Fence::Fencing, now);
            }
        }
    }

    /// An attempt to fence a node has ended: by what, or why not.
    pub(in crate::cluster) fn fenced(&mut self, node: usize, result: &Result<String, String>, now: Instant) {
        if result.is_ok() {
            self.fence(node, Fence::Ready, now);
        }
        if let Some(fence) = self.fences.get_mut(node) {
            fence.why = match result {
                Ok(by) => format!("fenced by {by}"),
                Err(why) => why.clone(),
            };
        }
    }

    pub(super) fn fencing(&self, wanted: &Heartbeat, now: Instant) -> Vec<FenceStatus> {
        let of = |fence: &evenkeel_model::heartbeat::Fence| {
            let covered = |(name, _): &(&NodeName, &Fencing)| fence.nodes.is_empty() || fence.nodes.contains(name);
            // The worst of the nodes that it can fence.
            let worst =
                self.names.iter().zip(&self.fences).filter(covered).max_by_key(|(_, fencing)| fencing.state.state);
            let state = worst.map_or(Fence::Ready, |(_, fencing)| fencing.state.state);
            let told = worst.filter(|(_, fencing)| !fencing.why.is_empty());
            FenceStatus {
                device: match &fence.agent {
                    FenceAgent::Stonith { kind, .. } => format!("stonith:{kind}"),
                    FenceAgent::Agent { program, .. } => program.clone(),
                },
                nodes: fence.nodes.iter().map(NodeName::to_string).collect(),
                state: match state {
                    Fence::Ready => "ready",
                    Fence::Fencing => "fencing",
                    Fence::Failed => "failed",
                    Fence::Waits => "waits",
                }
                .to_owned(),
                by: worst
                    .filter(|_| !matches!(state, Fence::Ready | Fence::Waits))
                    .and_then(|(_, fencing)| self.names.get(fencing.by?))
                    .map(NodeName::to_string),
                since_s: worst.map_or(0, |(_, fencing)| fencing.state.seconds(now)),
                reason: told.map(|(name, fencing)| format!("{name}: {}", fencing.why)).unwrap_or_default(),
            }
        };
        wanted.fences.iter().map(of).collect()
    }
}

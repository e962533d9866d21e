//! What people ask a node.

use super::{Node, Stage};
use crate::{NodeState, NodeView, View};

impl Node {
    /// What it knows now.
    pub fn view(&self) -> View {
        let nodes = (0..self.plan.names.len()).map(|node| self.node_view(node));
        View {
            nodes: nodes.collect(),
            pings: self.membership.pings(),
            holders: (0..self.plan.groups.len()).map(|group| self.holding.holder(group)).collect(),
            failed: self.holding.failed(),
            stable: self.holding.is_stable(),
            hold: self.holding.hold(),
            fencing: self.holding.fencing(),
        }
    }

    fn node_view(&self, node: usize) -> NodeView {
        let own = match self.stage {
            Stage::Idle => NodeState::Unknown,
            Stage::Joining(_) => NodeState::Up,
            Stage::Active if self.holding.is_leaving() => NodeState::Left,
            Stage::Active => NodeState::Active,
            Stage::Stopped => NodeState::Left,
        };
        if node == self.plan.me {
            let version = Some(self.identity.version.clone());
            return NodeView { state: own, links: self.media.clone(), version, heard: None };
        }
        NodeView {
            state: self.membership.state(node),
            links: self.membership.links(node),
            version: self.heard.get(node).and_then(|heard| heard.version()).map(str::to_owned),
            heard: self.membership.heard_at(node),
        }
    }
}

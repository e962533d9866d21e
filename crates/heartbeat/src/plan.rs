//! A configuration with names turned into places.

use crate::Share;
use evenkeel_model::heartbeat::{Change, Failback, Heartbeat, Medium, Timing};
use std::time::Duration;

/// The most calls of a fence device for one attempt: its parameters, its nodes, the reset.
const CALLS: u32 = 3;

/// How much later than its time a device is given up by whoever runs it.
const DYING: Duration = Duration::from_secs(5);

/// What a node knows of its cluster before it hears anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) me: usize,
    pub(crate) names: Vec<String>,
    pub(crate) pings: Vec<String>,
    /// What heartbeat calls each medium.
    pub(crate) links: Vec<String>,
    /// Which media are lines whose messages are passed on.
    pub(crate) serial: Vec<bool>,
    pub(crate) groups: Vec<Place>,
    pub(crate) timing: Timing,
    pub(crate) failback: Failback,
    pub(crate) ipfail: bool,
    /// Which nodes a fence device covers.
    pub(crate) fenced: Vec<bool>,
    /// How long the devices of each node may take together.
    pub(crate) fences_within: Vec<Duration>,
    /// How often a message may be passed on.
    pub(crate) ttl: usize,
}

/// A group: what it is called by, and all nodes, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: String,
    pub(crate) prefer: Vec<usize>,
    /// What it was called by before, for nodes whose files still say so; the latest last.
    former: Vec<String>,
    /// The group it was a part of before, for the same.
    part_of: Option<String>,
    /// How many of them are better than the rest: those that are named, or the first.
    named: usize,
}

/// The most former keys of a group.
const FORMER: usize = 4;

impl Plan {
    pub(crate) fn new(cluster: &Heartbeat) -> Plan {
        let at = |name| cluster.nodes.iter().position(|node| node == name);
        let groups = cluster.groups.iter().map(|group| {
            let mut prefer: Vec<usize> = group.prefer.iter().filter_map(at).collect();
            let rest = (0..cluster.nodes.len()).filter(|node| !prefer.contains(node)).collect::<Vec<_>>();
            let named = prefer.len().max(1);
            prefer.extend(rest);
            Place { key: group.key.clone(), prefer, former: Vec::new(), part_of: None, named }
        });
        let fenced = |node| cluster.fences.iter().any(|fence| fence.nodes.is_empty() || fence.nodes.contains(node));
        let takes = |node| {
            let fences = cluster.fences.iter().filter(|fence| fence.nodes.is_empty() || fence.nodes.contains(node));
            fences.map(|fence| (fence.within + DYING) * CALLS).sum::<Duration>() + DYING
        };
        Plan {
            me: at(&cluster.node).unwrap_or_default(),
            names: cluster.nodes.iter().map(ToString::to_string).collect(),
            pings: cluster.pings.iter().map(|ping| ping.name.to_string()).collect(),
            links: cluster.media.iter().map(Medium::link).collect(),
            serial: cluster.media.iter().map(|medium| matches!(medium, Medium::Serial { .. })).collect(),
            groups: groups.collect(),
            timing: cluster.timing,
            failback: cluster.failback,
            ipfail: cluster.ipfail,
            fenced: cluster.nodes.iter().map(fenced).collect(),
            fences_within: cluster.nodes.iter().map(takes).collect(),
            ttl: cluster.nodes.len() + cluster.pings.len() + usize::from(cluster.hop_fudge),
        }
    }

    /// A hash of the ping nodes (FNV-1a), whatever their order.
    pub(crate) fn asks(&self) -> u64 {
        let mut names: Vec<&str> = self.pings.iter().map(String::as_str).collect();
        names.sort_unstable();
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        names.join(" ").bytes().fold(0xcbf2_9ce4_8422_2325, fold)
    }

    /// The place of a node by its name on the wire.
    pub(crate) fn node(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The name of a node.
    pub(crate) fn name(&self, node: usize) -> &str {
        self.names.get(node).map_or("", String::as_str)
    }

    /// All nodes but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.names.len()).filter(move |node| *node != me)
    }

    /// Whether there are more than two nodes, all evenkeels: each group moves by itself (HB-62).
    pub(crate) fn is_many(&self) -> bool {
        self.names.len() > 2
    }

    /// How well a node suits a group, 0 best; all that are not named are alike.
    pub(crate) fn rank(&self, group: usize, node: usize) -> usize {
        let Some(place) = self.groups.get(group) else { return 0 };
        place.prefer.iter().position(|known| *known == node).unwrap_or(place.named).min(place.named)
    }

    /// Whether a group is of those that prefer `node`.
    pub(crate) fn prefers(&self, group: usize, node: usize) -> bool {
        self.groups.get(group).and_then(|place| place.prefer.first()) == Some(&node)
    }

    /// Whether a group is of a share as `node` sees it.
    pub(crate) fn is_of(&self, group: usize, share: Share, node: usize) -> bool {
        match share {
            Share::None => false,
            Share::Local => self.prefers(group, node),
            Share::Foreign => !self.prefers(group, node),
            Share::All => true,
        }
    }

    /// The groups of a share as `node` sees it.
    pub(crate) fn share(&self, share: Share, node: usize) -> Vec<usize> {
        (0..self.groups.len()).filter(|group| self.is_of(*group, share, node)).collect()
    }

    /// The group of that key, or of that former key.
    pub(crate) fn group(&self, key: &str) -> Option<usize> {
        let now = self.groups.iter().position(|place| place.key == key);
        now.or_else(|| self.groups.iter().position(|place| place.former.iter().any(|former| former == key)))
    }

    /// The groups that were a part of the group of that key.
    pub(crate) fn parts_of(&self, key: &str) -> impl Iterator<Item = usize> {
        self.groups.iter().enumerate().filter(move |(_, place)| place.part_of.as_deref() == Some(key)).map(|(at, _)| at)
    }

    /// One that comes after `before`; `settled` says that all others knew that one.
    pub(crate) fn after(cluster: &Heartbeat, before: &Plan, change: &Change, settled: bool) -> Plan {
        let mut plan = Plan::new(cluster);
        for (place, origin) in plan.groups.iter_mut().zip(&change.groups) {
            let Some((old, same)) = origin.and_then(|origin| Some((before.groups.get(origin.place)?, origin.same)))
            else {
                continue;
            };
            if !same {
                place.part_of = Some(old.key.clone());
                continue;
            }
            if !settled {
                place.part_of.clone_from(&old.part_of);
                place.former.clone_from(&old.former);
            }
            if old.key != place.key {
                place.former.push(old.key.clone());
            }
            let over = place.former.len().saturating_sub(FORMER);
            place.former.drain(..over);
        }
        plan
    }
}

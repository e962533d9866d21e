//! What only the whole can tell of a heartbeat cluster: names that must be there, and one owner for each address.

use super::VrrpDraft;
use crate::{codes, host::shown};
use evenkeel_model::heartbeat::{Fence, GROUP_BYTES, Group, Heartbeat, MOST_GROUP_BYTES, MOST_GROUPS, NodeName};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{collections::HashMap, net::IpAddr};

/// What the files say about a heartbeat cluster.
#[derive(Default)]
pub(crate) struct HeartbeatDraft {
    pub(crate) cluster: Option<ClusterDraft>,
    pub(crate) groups: Vec<GroupDraft>,
    pub(crate) fences: Vec<FenceDraft>,
}

/// The cluster without its groups.
pub(crate) struct ClusterDraft {
    /// `None`: something of it could not be read, which is reported already.
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) nodes: Vec<Spanned<NodeName>>,
    /// Where a group goes that prefers nobody, best first; empty: as the nodes are.
    pub(crate) order: Vec<NodeName>,
    pub(crate) place: Span,
}

/// A group and where its parts were written.
pub(crate) struct GroupDraft {
    pub(crate) group: Group,
    pub(crate) key: Span,
    /// Nodes as written.
    pub(crate) prefer: Vec<Spanned<NodeName>>,
    pub(crate) addresses: Vec<Spanned<IpAddr>>,
    /// Something of it could not be read, which is reported already.
    pub(crate) broken: bool,
}

/// A fence device and where its nodes were written.
pub(crate) struct FenceDraft {
    pub(crate) fence: Fence,
    pub(crate) nodes: Vec<Spanned<NodeName>>,
}

impl HeartbeatDraft {
    /// A second cluster is an error.
    pub(crate) fn add_cluster(&mut self, cluster: ClusterDraft, out: &mut Vec<Diagnostic>) {
        match &self.cluster {
            Some(first) => {
                let d = Diagnostic::error(codes::SETTING_TWICE, cluster.place, "a second cluster");
                out.push(d.label(first.place, "the first").help("a node is in one cluster"));
            }
            None => self.cluster = Some(cluster),
        }
    }

    pub(super) fn merge(&mut self, other: HeartbeatDraft, out: &mut Vec<Diagnostic>) {
        if let Some(cluster) = other.cluster {
            self.add_cluster(cluster, out);
        }
        self.groups.extend(other.groups);
        self.fences.extend(other.fences);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.groups.is_empty() && self.fences.is_empty()
    }
}

/// The cluster, where there is one and nothing is wrong with it.
pub(super) fn resolve(draft: HeartbeatDraft, elections: &[VrrpDraft], out: &mut Vec<Diagnostic>) -> Option<Heartbeat> {
    let HeartbeatDraft { cluster, groups, fences } = draft;
    report_claims(&groups, elections, out);
    report_keys(&groups, out);
    report_size(&groups, out);
    let Some(cluster) = cluster else {
        let lost =
            groups.first().map(|group| group.key).or(fences.first().and_then(|f| f.nodes.first()).map(|n| n.span));
        if let Some(place) = lost {
            let d = Diagnostic::error(codes::NODE, place, "there is no cluster for it");
            out.push(d.help("write [cluster] with the nodes, and how they hear each other"));
        }
        return None;
    };
    let known: Vec<&NodeName> = cluster.nodes.iter().map(|node| &node.value).collect();
    for node in groups.iter().flat_map(|group| &group.prefer).chain(fences.iter().flat_map(|fence| &fence.nodes)) {
        if !known.contains(&&node.value) {
            let names: Vec<&str> = known.iter().map(|node| node.as_str()).collect();
            let d = Diagnostic::error(codes::NODE, node.span, format!("`{}` is no node of the cluster", node.value));
            out.push(d.help(format!("the nodes are {}", names.join(", "))));
        }
    }
    let order = if cluster.order.is_empty() { known.into_iter().cloned().collect() } else { cluster.order };
    let mut heartbeat = cluster.heartbeat?;
    for GroupDraft { mut group, broken, .. } in groups {
        if broken {
            continue;
        }
        if group.prefer.is_empty() {
            group.prefer.clone_from(&order);
        }
        heartbeat.groups.push(group);
    }
    heartbeat.fences.extend(fences.into_iter().map(|fence| fence.fence));
    Some(heartbeat)
}

/// Two groups with one name.
fn report_keys(groups: &[GroupDraft], out: &mut Vec<Diagnostic>) {
    let mut keys: HashMap<&str, Span> = HashMap::new();
    for GroupDraft { group, key, .. } in groups {
        if let Some(first) = keys.insert(&group.key, *key) {
            let d = Diagnostic::error(codes::GROUP_TWICE, *key, format!("two groups are `{}`", shown(&group.key)));
            let d = d
                .label(first, "the other one")
                .note("a group goes by its first resource; nodes could not tell them apart");
            out.push(d.help("make one line of both, or begin one of them with another resource"));
        }
    }
}

/// More groups than a status can name.
fn report_size(groups: &[GroupDraft], out: &mut Vec<Diagnostic>) {
    let sizes = groups.iter().scan(0, |told, GroupDraft { group, .. }| {
        *told += group.key.len() + GROUP_BYTES;
        Some(*told)
    });
    let over = |(count, told): (usize, usize)| count >= MOST_GROUPS || told > MOST_GROUP_BYTES;
    if let Some(first) = groups.iter().zip(sizes.enumerate()).find_map(|(group, size)| over(size).then_some(group)) {
        let message = format!("{} resource groups are more than nodes can tell each other of", groups.len());
        let d = Diagnostic::error(codes::MANY_GROUPS, first.key, message);
        let d = d.note(format!(
            "the first that has no room; their names may have {MOST_GROUP_BYTES} bytes, {GROUP_BYTES} added to each"
        ));
        out.push(d.help("put what moves together into one group: in haresources on one line"));
    }
}

/// One ledger: an address belongs to one group, or to one VRRP instance.
fn report_claims(groups: &[GroupDraft], elections: &[VrrpDraft], out: &mut Vec<Diagnostic>) {
    let mut claims: HashMap<IpAddr, (Span, String)> = HashMap::new();
    for VrrpDraft { instance, addresses, name, .. } in elections {
        for (vip, span) in instance.addresses.iter().zip(addresses) {
            claims.insert(vip.address, (*span, format!("VRRP instance `{}`", shown(&instance.name))));
        }
        for vip in &instance.excluded {
            claims.insert(vip.address, (*name, format!("VRRP instance `{}`", shown(&instance.name))));
        }
    }
    for GroupDraft { group, addresses, .. } in groups {
        for address in addresses {
            let owner = format!("group `{}`", shown(&group.key));
            if let Some((first, by)) = claims.insert(address.value, (address.span, owner)) {
                let d = Diagnostic::error(
                    codes::CLAIMED_TWICE,
                    address.span,
                    format!("{} is claimed twice", address.value),
                );
                let d =
                    d.label(first, format!("by {by}")).note("two nodes could hold it at the same time, each rightly");
                out.push(d.help("let one of them have it"));
            }
        }
    }
}

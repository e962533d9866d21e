//! How the cluster stands, as this node was told.

mod fencing;

use super::words;
use evenkeel_api::{ClusterStatus, Event, GroupStatus, HaStatus, LinkStatus, NodeStatus, Request, ResourceStatus};
use evenkeel_cluster::Report;
use evenkeel_heartbeat::{Drops, News, NodeState, Reason, Share, Unheard};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::{Agent, Change, Group, Heartbeat, Medium, NodeName, Origin, Resource};
use evenkeel_resource::{GroupReport, ResourceReport, Running, Standing, Trouble};
use fencing::{Fence, Fencing};

/// Something in a state for a while.
#[derive(Clone, Debug)]
struct Since<T> {
    state: T,
    at: Instant,
}

impl<T: PartialEq> Since<T> {
    fn turn(&mut self, state: T, now: Instant) {
        if self.state != state {
            *self = Since { state, at: now };
        }
    }

    fn seconds(&self, now: Instant) -> u64 {
        (now - self.at).as_secs()
    }
}

/// Everything that was told.
#[derive(Debug)]
pub(super) struct Picture {
    names: Vec<NodeName>,
    /// Which of them this node is.
    own: Option<usize>,
    nodes: Vec<Node>,
    pings: Vec<Since<bool>>,
    groups: Vec<Seen>,
    /// By node.
    fences: Vec<Fencing>,
    /// How the thread stood, when that was by its clock, and by this one.
    report: Option<(Report, Instant, Instant)>,
    dropped: Drops,
}

#[derive(Debug)]
struct Node {
    state: Since<NodeState>,
    stable: bool,
    version: Option<String>,
    /// Its files say something else.
    differs: bool,
    /// Seconds that its clock is ahead; 0 while it is near.
    ahead: i64,
    /// It is heard although it was fenced, and has not restarted.
    unfenced: bool,
    /// By medium; `None`: never heard there.
    links: Vec<Option<Since<bool>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    owner: Since<Option<usize>>,
    /// On this node.
    standing: Since<Standing>,
    why: String,
}

impl Picture {
    pub(super) fn new(wanted: &Heartbeat, now: Instant) -> Picture {
        let node = |_: &NodeName| Node {
            state: Since { state: NodeState::Unknown, at: now },
            stable: false,
            version: None,
            differs: false,
            ahead: 0,
            unfenced: false,
            links: vec![None; wanted.media.len()],
        };
        let seen = |_: &Group| Seen {
            owner: Since { state: None, at: now },
            standing: Since { state: Standing::Stopped, at: now },
            why: "this node has begun".to_owned(),
        };
        Picture {
            names: wanted.nodes.clone(),
            own: wanted.nodes.iter().position(|node| *node == wanted.node),
            nodes: wanted.nodes.iter().map(node).collect(),
            pings: vec![Since { state: false, at: now }; wanted.pings.len()],
            groups: wanted.groups.iter().map(seen).collect(),
            fences: vec![
                Fencing { state: Since { state: Fence::Ready, at: now }, by: None, why: String::new() };
                wanted.nodes.len()
            ],
            report: None,
            dropped: Drops::default(),
        }
    }

    /// The cluster is configured otherwise: everything has other places.
    pub(super) fn configure(&mut self, before: &Heartbeat, wanted: &Heartbeat, now: Instant) {
        let change = Change::between(before, wanted);
        let fresh = Picture::new(wanted, now);
        let group = |(origin, fresh): (&Option<Origin>, Seen)| {
            let known = origin.and_then(|origin| self.groups.get(origin.place)).cloned();
            known.unwrap_or(Seen { why: "the files name it since".to_owned(), ..fresh })
        };
        self.groups = change.groups.iter().zip(fresh.groups).map(group).collect();
        let ping = |(place, fresh): (&Option<usize>, Since<bool>)| {
            place.and_then(|place| self.pings.get(place)).cloned().unwrap_or(fresh)
        };
        self.pings = change.pings.iter().zip(fresh.pings).map(ping).collect();
        for node in &mut self.nodes {
            let link = |place: &Option<usize>| place.and_then(|place| node.links.get(place).cloned().flatten());
            node.links = change.media.iter().map(link).collect();
        }
        // Its links are those of before.
        self.report = None;
    }

    /// Groups that cannot be stopped, with why and what to do.
    pub(super) fn stuck(&self, wanted: &Heartbeat) -> Vec<String> {
        let stays = wanted.groups.iter().zip(&self.groups).filter(|(_, seen)| seen.standing.state == Standing::Stuck);
        let stays = stays.map(|(group, seen)| format!("group {} cannot be stopped: {}", group.key, seen.why));
        let goes = self.leavers().filter(|group| group.standing == Standing::Stuck);
        let goes = goes.map(|group| format!("group {} cannot be stopped: {}", group.key, leaver(wanted, group).reason));
        stays.chain(goes).collect()
    }

    /// Whether the group of that place cannot be stopped here.
    pub(super) fn is_stuck(&self, place: usize) -> bool {
        self.groups.get(place).is_some_and(|seen| seen.standing.state == Standing::Stuck)
    }

    /// Nodes that live and are no evenkeels.
    pub(super) fn real(&self, wanted: &Heartbeat) -> Vec<NodeName> {
        let real = |(name, node): &(&NodeName, &Node)| {
            **name != wanted.node && node.version.is_none() && node.state.state.lives()
        };
        wanted.nodes.iter().zip(&self.nodes).filter(real).map(|(name, _)| name.clone()).collect()
    }

    /// The key of a group that the files do not name any more, of which a client speaks.
    pub(super) fn leaving<'a>(&'a self, request: &Request) -> Option<&'a str> {
        let Request::Confirm { node } = request else { return None };
        let mut leaving = self.leavers().filter(|group| *group.key == **node);
        leaving.next().map(|group| &*group.key)
    }

    fn leavers(&self) -> impl Iterator<Item = &GroupReport> {
        let groups = self.report.iter().flat_map(|(report, ..)| &report.groups);
        groups.filter(|group| !group.configured)
    }

    /// Takes what was told of the cluster.
    pub(super) fn take(&mut self, news: &News, now: Instant) {
        match news {
            News::Node { node, state } => self.node(*node, |node| {
                node.state.turn(*state, now);
                node.unfenced &= state.lives();
            }),
            News::FencedButHeard { node } => self.node(*node, |node| node.unfenced = true),
            News::Stable { node, stable } => self.node(*node, |node| node.stable = *stable),
            News::Evenkeel { node, version, .. } => self.node(*node, |node| node.version = Some(version.clone())),
            News::Configuration { node, differs } => self.node(*node, |node| node.differs = *differs),
            News::Clock { node, ahead } => self.node(*node, |node| node.ahead = *ahead),
            News::Link { node, medium, up } => self.node(*node, |node| {
                if let Some(link) = node.links.get_mut(*medium) {
                    link.get_or_insert(Since { state: *up, at: now }).turn(*up, now);
                }
            }),
            News::Ping { ping, up } => {
                if let Some(ping) = self.pings.get_mut(*ping) {
                    ping.turn(*up, now);
                }
            }
            News::Holder { group, node, why } => {
                if let Some(group) = self.groups.get_mut(*group) {
                    group.owner.turn(*node, now);
                    let other = node.filter(|node| Some(*node) != self.own);
                    match (why, other.and_then(|other| self.names.get(other))) {
                        (Some(why), _) => words::why(*why).clone_into(&mut group.why),
                        (None, Some(other)) => group.why = format!("{other} has it"),
                        (None, None) => {}
                    }
                }
            }
            News::Fencing { node, by, .. } => self.begin_fencing(*node, *by, now),
            News::FenceFailed { node, last, .. } => {
                self.fence(*node, if *last { Fence::Waits } else { Fence::Failed }, now);
            }
            News::Restarted { node } => {
                self.fence(*node, Fence::Ready, now);
                self.node(*node, |node| node.unfenced = false);
            }
            News::Dropped { reason: Unheard::OldGeneration, .. } => self.count(Reason::Replay, 1),
            _ => {}
        }
    }

    fn node(&mut self, node: usize, what: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.get_mut(node) {
            what(node);
        }
    }

    /// What goes on and should not.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for ((name, node), fence) in self.names.iter().zip(&self.nodes).zip(&self.fences) {
            let lives = node.state.state.lives();
            if node.differs && lives {
                warnings.push(words::differs(name.as_str()));
            }
            if node.ahead != 0 && lives {
                warnings.push(words::clock(name.as_str(), node.ahead));
            }
            if node.unfenced {
                warnings.push(words::fenced_but_heard(name.as_str()));
            }
            if fence.state.state == Fence::Waits {
                warnings.push(words::unfenced(name.as_str()));
            }
        }
        warnings
    }

    /// A group stands otherwise on this node; gives the event where its part in the cluster is another one.
    pub(super) fn turn(
        &mut self,
        wanted: &Heartbeat,
        group: usize,
        standing: Standing,
        why: Option<&Trouble>,
        now: Instant,
    ) -> Option<Event> {
        let (configured, seen) = (wanted.groups.get(group)?, self.groups.get_mut(group)?);
        let from = part(seen.standing.state);
        seen.standing.turn(standing, now);
        match (why, standing) {
            (Some(why), Standing::Stuck) => seen.why = words::stuck(wanted, &configured.key, why),
            (Some(why), _) => seen.why = why.to_string(),
            (None, _) => {}
        }
        let to = part(standing);
        (from != to).then(|| Event::RoleChanged {
            instance: configured.key.clone(),
            from: from.to_owned(),
            to: to.to_owned(),
            why: seen.why.clone(),
            addresses: addresses(configured),
        })
    }

    /// So many messages were not heard.
    pub(super) fn count(&mut self, reason: Reason, more: u64) {
        self.dropped.count(reason, more);
    }

    pub(super) fn report(&mut self, report: Report, at: Instant, now: Instant) {
        if report.view.fencing.is_none() {
            // Done, confirmed by an operator, or heard again.
            self.fences.iter_mut().for_each(|fence| fence.state.turn(Fence::Ready, now));
        }
        let own = self.own.and_then(|own| Some((self.nodes.get_mut(own)?, report.view.nodes.get(own)?)));
        if let Some((node, view)) = own {
            for (link, up) in node.links.iter_mut().zip(&view.links) {
                link.get_or_insert(Since { state: *up, at: now }).turn(*up, now);
            }
        }
        self.report = Some((report, at, now));
    }

    /// Whether another node was ever heard by a medium.
    pub(super) fn has_heard(&self, wanted: &Heartbeat, medium: usize) -> bool {
        let others = wanted.nodes.iter().zip(&self.nodes).filter(|(name, _)| **name != wanted.node);
        others.filter_map(|(_, node)| node.links.get(medium)).any(Option::is_some)
    }

    /// For clients.
    pub(super) fn status(&self, wanted: &Heartbeat, now: Instant) -> ClusterStatus {
        let own = self.own;
        ClusterStatus {
            name: wanted.cluster.clone(),
            holds: self.holds(wanted, own).to_owned(),
            parameters: words::parameters(wanted),
            ipfail: wanted.ipfail,
            stable: own.and_then(|own| self.nodes.get(own)).is_some_and(|own| own.stable),
            nodes: wanted
                .nodes
                .iter()
                .zip(&self.nodes)
                .enumerate()
                .map(|(place, (name, node))| self.node_status(wanted, (place, name, node), now))
                .collect(),
            pings: self.pings(wanted, now),
            groups: (0..wanted.groups.len())
                .filter_map(|group| self.group_status(wanted, group, now))
                .chain(self.leavers().map(|group| leaver(wanted, group)))
                .collect(),
            fencing: self.fencing(wanted, now),
            dropped: self.dropped.iter().map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
        }
    }

    /// The groups as `ha` has them: `master` where this node has one.
    pub(super) fn groups(&self, wanted: &Heartbeat, now: Instant) -> Vec<HaStatus> {
        let of = |(group, seen): (&Group, &Seen)| HaStatus {
            name: group.key.clone(),
            protocol: "heartbeat".to_owned(),
            state: part(seen.standing.state).to_owned(),
            priority: 0,
            addresses: addresses(group),
            since_s: seen.standing.seconds(now),
            reason: seen.why.clone(),
            base_priority: None,
            faults: Vec::new(),
            counters: None,
        };
        wanted.groups.iter().zip(&self.groups).map(of).collect()
    }

    fn node_status(
        &self,
        wanted: &Heartbeat,
        (place, name, node): (usize, &NodeName, &Node),
        now: Instant,
    ) -> NodeStatus {
        let heard = |(place, link): (usize, &Option<Since<bool>>)| {
            let link = link.as_ref()?;
            Some(link_status(medium(wanted, place), link.state, link.seconds(now)))
        };
        let view =
            self.report.as_ref().and_then(|(report, at, came)| Some((report.view.nodes.get(place)?, *at, *came)));
        // Of this node: what it can send by.
        let links = node.links.iter().enumerate().filter_map(heard).collect();
        let ago = view.and_then(|(view, at, came)| Some((at - view.heard?) + (now - came)));
        NodeStatus {
            name: name.to_string(),
            state: match node.state.state {
                NodeState::Unknown => "init",
                NodeState::Up => "up",
                NodeState::Active => "active",
                NodeState::Dead | NodeState::Left => "dead",
            }
            .to_owned(),
            since_s: node.state.seconds(now),
            reason: words::state(node.state.state).to_owned(),
            version: node.version.clone(),
            other_configuration: node.differs,
            clock_s: Some(node.ahead).filter(|ahead| *ahead != 0),
            heard_ms: ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            links,
        }
    }

    fn holds(&self, wanted: &Heartbeat, own: Option<usize>) -> &'static str {
        let held = |local: bool| {
            wanted.groups.iter().zip(&self.groups).any(|(group, seen)| {
                (group.prefer.first() == Some(&wanted.node)) == local && own.is_some() && seen.owner.state == own
            })
        };
        Share::of(held(true), held(false)).name()
    }

    fn pings(&self, wanted: &Heartbeat, now: Instant) -> Vec<NodeStatus> {
        let of = |(ping, seen): (&evenkeel_model::heartbeat::PingNode, &Since<bool>)| NodeStatus {
            name: ping.name.to_string(),
            state: if seen.state { "ping" } else { "dead" }.to_owned(),
            since_s: seen.seconds(now),
            reason: if seen.state { "it answers" } else { "it does not answer" }.to_owned(),
            ..NodeStatus::default()
        };
        wanted.pings.iter().zip(&self.pings).map(of).collect()
    }

    fn group_status(&self, wanted: &Heartbeat, place: usize, now: Instant) -> Option<GroupStatus> {
        let (group, seen) = (wanted.groups.get(place)?, self.groups.get(place)?);
        let report =
            self.report.as_ref().and_then(|(report, ..)| report.groups.iter().find(|known| *known.key == *group.key));
        let owner = seen.owner.state.and_then(|owner| wanted.nodes.get(owner));
        Some(GroupStatus {
            name: group.key.clone(),
            owner: owner.map(NodeName::to_string),
            owner_since_s: seen.owner.seconds(now),
            prefer: group.prefer.iter().map(NodeName::to_string).collect(),
            state: standing(seen.standing.state).to_owned(),
            since_s: seen.standing.seconds(now),
            reason: seen.why.clone(),
            resources: group.resources.iter().enumerate().map(|(at, one)| resource(one, at, report)).collect(),
        })
    }
}

/// A group that the files do not name any more, while it is being stopped.
fn leaver(wanted: &Heartbeat, group: &GroupReport) -> GroupStatus {
    let why = match (group.standing, &group.why) {
        (Standing::Stuck, Some(why)) => words::stuck(wanted, &group.key, why),
        _ => "the files do not name it any more".to_owned(),
    };
    let of = |resource: &ResourceReport| ResourceStatus {
        name: resource.name.to_string(),
        state: running(Some(resource.running)).to_owned(),
        ..ResourceStatus::default()
    };
    GroupStatus {
        name: group.key.to_string(),
        owner: Some(wanted.node.to_string()),
        state: standing(group.standing).to_owned(),
        reason: why,
        resources: group.resources.iter().map(of).collect(),
        ..GroupStatus::default()
    }
}

fn link_status(name: String, up: bool, since_s: u64) -> LinkStatus {
    LinkStatus { name, state: if up { "up" } else { "dead" }.to_owned(), since_s }
}

/// A medium as it was written.
pub(super) fn medium(wanted: &Heartbeat, place: usize) -> String {
    wanted.media.get(place).map_or_else(|| "?".to_owned(), Medium::link)
}

fn addresses(group: &Group) -> Vec<String> {
    let of = |resource: &Resource| match &resource.agent {
        Agent::Ip(ip) => Some(ip.prefix.map_or(ip.address.to_string(), |prefix| format!("{}/{prefix}", ip.address))),
        Agent::Script { .. } | Agent::Ocf { .. } | Agent::Systemd { .. } | Agent::Services { .. } => None,
    };
    group.resources.iter().filter_map(of).collect()
}

/// What a group is called in `ha`.
fn part(standing: Standing) -> &'static str {
    match standing {
        Standing::Running => "master",
        Standing::Stopped | Standing::Starting | Standing::Stopping => "backup",
        Standing::Failed | Standing::Stuck => "fault",
    }
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Stopped => "stopped",
        Standing::Starting => "starting",
        Standing::Running => "running",
        Standing::Stopping => "stopping",
        Standing::Failed | Standing::Stuck => "failed",
    }
}

fn running(running: Option<Running>) -> &'static str {
    match running {
        None | Some(Running::No | Running::Asked) => "stopped",
        Some(Running::Starting) => "starting",
        Some(Running::Yes) => "running",
        Some(Running::Stopping) => "stopping",
        Some(Running::Unknown) => "failed",
    }
}

fn resource(resource: &Resource, place: usize, report: Option<&GroupReport>) -> ResourceStatus {
    let running = report.and_then(|report| report.resources.get(place)).map(|resource| resource.running);
    let trouble = report.and_then(|report| report.why.as_ref()).filter(|why| *why.resource == *resource.name);
    ResourceStatus {
        name: resource.name.clone(),
        agent: match &resource.agent {
            Agent::Ip(_) => "ocf::heartbeat:IPaddr2".to_owned(),
            Agent::Script { name, .. } => format!("lsb:{}", name.rsplit('/').next().unwrap_or(name)),
            Agent::Ocf { provider, name, .. } => format!("ocf::{provider}:{name}"),
            Agent::Systemd { unit } => format!("systemd:{}", unit.trim_end_matches(".service")),
            Agent::Services { .. } => "evenkeel:services".to_owned(),
        },
        state: self::running(running).to_owned(),
        reason: trouble.map(ToString::to_string).unwrap_or_default(),
    }
}

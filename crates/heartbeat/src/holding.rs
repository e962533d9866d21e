//! Who has which group (HB-30 to HB-37): what is said of it, what is taken, what is given.
//!
//! ```text
//!  Waiting ──all nodes known──► Starting ──the others' groups known──► Stable ──Stop──► Leaving ──► Left
//!                                  ▲                                     │
//!                                  └───────── it did not run for too long┘
//! ```
//!
//! What nobody has is taken by the first node of the group's order that can ([`orphans`]); everything else is a reason
//! to give: a hand-over in three words ([`handover`]), a group both have ([`both`]), a group that failed. A heartbeat tells
//! its groups by two halves, `local` and `foreign`, and only when something changes; an evenkeel tells each group in
//! every status. Where there are more than two nodes, all evenkeels, that is what groups move by ([`moves`]).

mod both;
mod change;
mod devices;
mod fencing;
mod handover;
mod hear;
mod leaving;
mod legacy;
mod moves;
mod orphans;
mod outlast;
mod own;
mod peer;
mod relay;
mod words;

use crate::{Message, News, NodeState, Output, Refusal, Request, Share, Standing, Why, plan::Plan};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::Failback;
pub(crate) use handover::By;
use handover::Handover;
use own::Own;
use peer::Peer;
use std::{sync::Arc, time::Duration};

/// How long a node waits for a word of another one before it goes on without (`RQSTDELAY`), and for the first answer in
/// a hand-over.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be said or done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    Say(Message),
    Do(Output),
}

/// How long a group that nobody has is left to another node that should take it: a heartbeat that starts beside another
/// one does so after [`PATIENCE`].
pub(crate) const RESERVE: Duration = Duration::from_secs(15);

/// The time by both clocks: since the start, and milliseconds of the wall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) wall: u64,
}

/// Where this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It does not know yet who lives.
    Waiting,
    /// It asks what the others have, since then; what it did not read in time is not believed before `listen`.
    Starting {
        since: Instant,
        listen: Instant,
    },
    Stable,
    /// It stops its groups.
    Leaving,
    /// It has said so, and stays until then to say it again.
    Left(Instant),
    /// It is over.
    Over,
}

/// The groups as this node has them and knows of others.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    plan: Arc<Plan>,
    stage: Stage,
    /// It was stable before: what runs here was its own.
    joined: bool,
    own: Vec<Own>,
    /// Whether it calls the halves its own; counts where there is no group in one.
    local: bool,
    foreign: bool,
    peers: Vec<Peer>,
    /// What this node keeps though another one has it too.
    contests: Vec<outlast::Contest>,
    devices: devices::Devices,
    handover: Option<Handover>,
    ready: bool,
    /// How many ping nodes this node reaches.
    reached: usize,
    /// Keys of groups that the files do not name any more.
    former: Vec<change::Former>,
    /// Every one of them has answered or been silent for long enough.
    weighed: bool,
    /// What is under way where there are more than two nodes.
    moves: moves::Moves,
    /// Words that follow when what was taken runs.
    owed: words::Owed,
    deeds: Vec<Deed>,
    /// When what was due was done last.
    settled: Instant,
}

impl Holding {
    /// Nothing is known yet but the highest generation of each node that was heard.
    pub(crate) fn new(plan: &Arc<Plan>, now: Instant, heard: &[u64]) -> Holding {
        let generation = |node: usize| heard.get(node).copied().unwrap_or_default();
        let peer = |node: usize| Peer { generation: generation(node), ..Peer::new(now) };
        Holding {
            plan: Arc::clone(plan),
            stage: Stage::Waiting,
            joined: false,
            own: vec![Own::default(); plan.groups.len()],
            local: false,
            foreign: false,
            peers: (0..plan.names.len()).map(peer).collect(),
            contests: Vec::new(),
            devices: devices::Devices::new(plan.fences_within.clone()),
            handover: None,
            ready: true,
            reached: 0,
            former: Vec::new(),
            weighed: false,
            moves: moves::Moves::default(),
            owed: words::Owed::default(),
            deeds: Vec::new(),
            settled: now,
        }
    }

    /// What is to be said and done since the last call.
    pub(crate) fn deeds(&mut self) -> Vec<Deed> {
        std::mem::take(&mut self.deeds)
    }

    fn tell(&mut self, news: News) {
        self.deeds.push(Deed::Do(Output::Tell(news)));
    }

    /// All nodes are known to live or not.
    pub(crate) fn begin(&mut self, at: Moment) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Starting { since: at.now, listen: at.now };
            self.say_starting();
        }
    }

    pub(crate) fn is_stable(&self) -> bool {
        self.stage == Stage::Stable && self.handover.is_none()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving | Stage::Left(_) | Stage::Over)
    }

    pub(crate) fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(crate) fn set_reached(&mut self, reached: usize, weighed: bool) {
        (self.reached, self.weighed) = (reached, weighed);
    }

    /// Whether this node reaches no fewer ping nodes than another evenkeel told last.
    pub(crate) fn is_no_worse(&self) -> bool {
        let no_more = |peer: &Peer| peer.is_evenkeel() && peer.pings.is_some_and(|there| there <= self.reached);
        self.peers.iter().any(no_more)
    }

    /// Whether a group of resources stands otherwise now.
    pub(crate) fn group(&mut self, group: usize, standing: Standing) {
        let Some(own) = self.own.get_mut(group) else { return };
        own.standing = standing;
        if standing == Standing::Failed && own.wanted {
            self.fail(group);
        }
    }

    /// It could not be started here, or fell: the other node shall try.
    fn fail(&mut self, group: usize) {
        let Some(own) = self.own.get_mut(group) else { return };
        own.wanted = false;
        own.failed = true;
        own.failures = own.failures.saturating_add(1);
        let to = self.successor(group);
        self.tell(News::Failed { group, to });
        self.tell(News::Holder { group, node: None, why: Some(Why::Failed) });
    }

    /// An operator asks.
    pub(crate) fn request(&mut self, at: Moment, id: u64, what: &Request) {
        let result = match *what {
            Request::Confirm { node } => self.confirm(node).map(|()| true),
            Request::Standby(_) | Request::Takeover(_) | Request::Move { .. } | Request::MoveAll { .. }
                if self.plan.is_many() =>
            {
                self.ask(at, id, what)
            }
            Request::Standby(share) => self.give(at, share, None, By::Request(id)).map(|()| false),
            Request::Takeover(share) => self.want(at, share, None, id),
            Request::Move { group, to } => self.relocate(at, group, to, id),
            Request::MoveAll { to } if to == self.plan.me => self.want(at, Share::All, None, id),
            Request::MoveAll { .. } => self.give(at, Share::All, None, By::Request(id)).map(|()| false),
        };
        match result {
            Ok(true) => self.deeds.push(Deed::Do(Output::Answer { id, result: Ok(()) })),
            Ok(false) => {}
            Err(refusal) => self.deeds.push(Deed::Do(Output::Answer { id, result: Err(refusal) })),
        }
    }

    fn relocate(&mut self, at: Moment, group: usize, to: Option<usize>, id: u64) -> Result<bool, Refusal> {
        if group >= self.own.len() || to.is_some_and(|to| to >= self.peers.len()) {
            return Err(Refusal::Unknown);
        }
        if to == Some(self.plan.me) {
            return self.want(at, Share::All, Some(group), id);
        }
        if !self.own.get(group).is_some_and(|own| own.wanted) {
            return Err(Refusal::NotStable);
        }
        self.give(at, Share::All, Some(vec![group]), By::Request(id)).map(|()| false)
    }

    /// A node's state has changed.
    pub(crate) fn node(&mut self, at: Moment, node: usize, state: NodeState) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        let before = std::mem::replace(&mut peer.state, state);
        match state {
            NodeState::Up | NodeState::Active if !before.lives() => {
                peer.appear(at.now);
                self.heard_again(node);
            }
            NodeState::Active if before == NodeState::Up => peer.since = at.now,
            NodeState::Up | NodeState::Active | NodeState::Unknown => {}
            NodeState::Dead => self.died(at, node, before),
            NodeState::Left => self.successor_of_left(node),
        }
    }

    fn died(&mut self, at: Moment, node: usize, before: NodeState) {
        let amid = self.handover.as_ref().is_some_and(|handover| handover.peer == node);
        if amid {
            self.cancel(Refusal::PeerGone);
        }
        let Some(peer) = self.peers.get_mut(node) else { return };
        let held = amid || before == NodeState::Unknown || peer.may_hold();
        peer.vanish();
        self.need_fence(at, node, held, before);
        self.spread();
        self.forgive();
    }

    /// What failed here is tried again when a node is gone, where no other one is left to try it.
    fn forgive(&mut self) {
        for group in 0..self.own.len() {
            let able =
                |node: usize| self.peers.get(node).is_some_and(|peer| peer.state.lives() && !peer.has_failed(group));
            if self.plan.is_many() && self.plan.others().any(able) {
                continue;
            }
            if let Some(own) = self.own.get_mut(group) {
                own.failed = false;
            }
        }
    }

    fn successor_of_left(&mut self, node: usize) {
        if self.handover.as_ref().is_some_and(|handover| handover.peer == node) {
            self.cancel(Refusal::PeerGone);
        }
        let Some(peer) = self.peers.get_mut(node) else { return };
        // A heartbeat that came back from a partition gives everything up, and the network may still look for it there.
        let rival = peer.returned.is_some();
        peer.vanish();
        self.spread();
        self.forgive();
        if self.stage == Stage::Stable && !self.plan.is_many() {
            self.say_ask(Share::All, words::Info::Done, None, false);
            self.owed.held = true;
        }
        if rival {
            self.announce_all();
        }
    }

    /// The other half is this node's too where nobody else lives.
    fn spread(&mut self) {
        if self.stage == Stage::Stable && !self.is_accompanied() {
            self.foreign = true;
            (self.owed.ours, self.owed.mach_down) = (true, true);
        }
    }

    /// A node was dead, did not restart, and is heard.
    pub(crate) fn returned(&mut self, at: Moment, node: usize) {
        let query = at.now + self.plan.timing.keepalive * 2 + Duration::from_secs(5);
        if let Some(peer) = self.peers.get_mut(node) {
            peer.returned = Some(query);
        }
    }

    /// A node began anew; what it had it has no more.
    pub(crate) fn restarted(&mut self, at: Moment, node: usize) {
        if self.handover.as_ref().is_some_and(|handover| handover.peer == node) {
            self.cancel(Refusal::PeerGone);
        }
        if let Some(peer) = self.peers.get_mut(node) {
            let restarted = peer.state == NodeState::Active && peer.may_hold();
            *peer = Peer { restarted, ..Peer::new(at.now) };
        }
    }

    /// What prefers a node may go back to it.
    pub(crate) fn owe(&mut self, node: usize) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.owed = true;
        }
    }

    /// This node did not run for so long that others may have taken what it had: it gives all up and asks anew.
    pub(crate) fn rejoin(&mut self, at: Moment) {
        if matches!(self.stage, Stage::Waiting | Stage::Leaving | Stage::Left(_) | Stage::Over) {
            return;
        }
        self.cancel(Refusal::NotStable);
        self.drop_moves(Refusal::NotStable);
        for group in 0..self.own.len() {
            self.release(group, Why::Frozen);
        }
        self.local = false;
        self.foreign = false;
        self.owed = words::Owed::default();
        for peer in &mut self.peers {
            *peer = Peer { generation: peer.generation, ..Peer::new(at.now) };
        }
        // Each node that lives speaks once more by then, and all that waited has been read.
        self.stage = Stage::Starting { since: at.now, listen: at.now + self.plan.timing.keepalive };
        self.say_starting();
    }

    /// Leaves in order.
    pub(crate) fn stop(&mut self, at: Moment) {
        self.leave(at);
    }

    /// Does what follows from all that was told.
    pub(crate) fn settle(&mut self, at: Moment) {
        self.settled = at.now;
        match self.stage {
            Stage::Over => {}
            Stage::Waiting => self.drop_taken(),
            Stage::Starting { since, listen } => {
                self.drop_taken();
                self.join(at, since, listen);
            }
            Stage::Stable => {}
            Stage::Leaving | Stage::Left(_) => self.leave_on(at),
        }
        if self.stage != Stage::Stable {
            return;
        }
        self.judge_both();
        self.outlast(at);
        self.miss_answers(at);
        self.fence_due(at);
        self.ask_returned(at);
        if self.plan.is_many() {
            self.follow_gifts(at);
            self.take_orphans(at);
            self.move_groups(at);
        } else {
            self.hand_over(at);
            self.take_orphans(at);
            self.claim_own(at);
            self.answer_legacy();
            self.fail_back(at);
        }
        self.say_owed();
        self.tell_holders();
    }

    /// The first moment at which something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Starting { since, listen } if listen > self.settled => Some(listen.min(since + PATIENCE)),
            Stage::Starting { since, .. } => Some(since + PATIENCE),
            Stage::Left(until) => Some(until),
            Stage::Waiting | Stage::Stable | Stage::Leaving | Stage::Over => None,
        };
        let handover = self.handover.as_ref().map(Handover::until);
        let orphans = self.own.iter().filter_map(Own::deadline);
        let peers = self
            .peers
            .iter()
            .filter_map(|peer| peer.deadline(self.plan.timing.keepalive))
            .chain(self.devices.deadline());
        // What was due before was done then, or waits for something to be told.
        orphans
            .chain(peers)
            .chain(handover)
            .chain(stage)
            .chain(self.moves_due())
            .chain(self.fences_due())
            .filter(|due| *due > self.settled)
            .min()
    }

    /// Whether another node lives.
    fn is_accompanied(&self) -> bool {
        self.plan.others().any(|node| self.peers.get(node).is_some_and(|peer| peer.state.lives()))
    }

    pub(crate) fn is_nice(&self) -> bool {
        self.plan.failback != Failback::Legacy
    }
}

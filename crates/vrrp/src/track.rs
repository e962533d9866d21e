//! What instances follow besides packets: the state of interfaces, scripts, files, processes and BFD sessions, and what
//! it means for each instance. The rules are keepalived 2.2.7's.
//!
//! ```text
//!  Sight ──► state of the target ──► effect of each track on it ──► sums per instance ──► Input::Broken, Adjust, Unknown
//! ```
//!
//! A change costs as much as there are instances that follow what has changed.

mod count;

use crate::{Input, Place};
use count::Runs;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::vrrp::{self, Elections, LinkDelays, Process, Target, Track, Tracker};
use std::{collections::HashMap, time::Duration};

/// A file's number times the weight that makes an instance unfit, and all below it.
const UNFIT: i64 = -254;
/// The most a file adds.
const MOST: i64 = 253;

/// What was seen of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// An interface or a BFD session is up.
    Up(bool),
    /// A run of a script has ended, well or not.
    Ran(bool),
    /// A file holds this number.
    Number(i64),
    /// So many processes are there.
    Count(u32),
}

/// The state of a target, as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing was seen of it yet.
    Unknown,
    /// As it should be.
    Up,
    /// Not so.
    Down,
    /// A file's number.
    Number(i64),
}

/// What a target's state means for one that tracks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It may not be master.
    Unfit,
    /// It may not begin: whether it is fit is not known.
    Waits,
    /// So much is added to its priority.
    Adds(i32),
}

impl Effect {
    /// By the weight and direction of `track`.
    pub fn of(track: &Track, standing: Standing) -> Effect {
        let sign = if track.reverse { -1 } else { 1 };
        match (track.weight, standing) {
            (0, Standing::Unknown) => Effect::Waits,
            (_, Standing::Unknown) => Effect::Adds(0),
            (0, Standing::Up) => unfit(track.reverse),
            (0, Standing::Down) => unfit(!track.reverse),
            // A number other than 0 says that something is wrong.
            (0, Standing::Number(number)) => unfit((number != 0) != track.reverse),
            (weight, Standing::Up) => Effect::Adds(weight.max(0) * sign),
            (weight, Standing::Down) => Effect::Adds(weight.min(0) * sign),
            (weight, Standing::Number(number)) => {
                let product = number.saturating_mul(i64::from(weight * sign));
                // The cast cannot lose anything between these two.
                let adds = i32::try_from(product.clamp(UNFIT, MOST)).unwrap_or_default();
                if product <= UNFIT { Effect::Unfit } else { Effect::Adds(adds) }
            }
        }
    }
}

fn unfit(yes: bool) -> Effect {
    if yes { Effect::Unfit } else { Effect::Adds(0) }
}

/// What the tracking of a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// To be told to this instance.
    Tell(Place, Input),
    /// The state of a target has changed. It is said before what follows from it.
    Changed(Target, Standing),
}

/// Follows what the instances of a node track.
#[derive(Debug, Default)]
pub struct Tracking {
    things: Vec<Thing>,
    known: HashMap<Target, usize>,
    /// By place.
    sums: Vec<Sum>,
    /// Things with a change that does not count yet.
    unsettled: Vec<usize>,
}

/// A target, what is known of it and who follows it.
#[derive(Clone, Debug)]
struct Thing {
    target: Target,
    kind: Kind,
    standing: Standing,
    /// A change to this, and when it counts.
    pending: Option<(Standing, Instant)>,
    followers: Vec<(Place, Track)>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// An interface or a BFD session.
    Switch(LinkDelays),
    Script(Runs),
    File,
    Process {
        wanted: Process,
        count: u32,
    },
}

/// What the effects on one instance come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    unfit: u32,
    waits: u32,
    adds: i32,
}

impl Sum {
    fn count(&mut self, effect: Effect, back: bool) {
        let step = |number: u32| if back { number.saturating_sub(1) } else { number + 1 };
        match effect {
            Effect::Unfit => self.unfit = step(self.unfit),
            Effect::Waits => self.waits = step(self.waits),
            Effect::Adds(by) => self.adds += if back { -by } else { by },
        }
    }

    /// An instance that may know nothing, or what was so before.
    fn tell_all(self, place: Place, out: &mut Outbox<Said>) {
        let unfit = self.unfit > 0;
        let unknown = Input::Unknown(self.waits > 0);
        // What is unfit must not begin in between.
        let order = if unfit { [Input::Broken(true), unknown] } else { [unknown, Input::Broken(false)] };
        out.push(Said::Tell(place, Input::Adjust(self.adds)));
        out.push(Said::Tell(place, order[0]));
        out.push(Said::Tell(place, order[1]));
    }

    /// What is to be told of the way from `self` to `after`, good news last.
    fn tell(self, after: Sum, place: Place, out: &mut Outbox<Said>) {
        if self.adds != after.adds {
            out.push(Said::Tell(place, Input::Adjust(after.adds)));
        }
        // What turns out to be unfit must not begin in between.
        if (after.unfit > 0) && self.unfit == 0 {
            out.push(Said::Tell(place, Input::Broken(true)));
        }
        if (self.waits > 0) != (after.waits > 0) {
            out.push(Said::Tell(place, Input::Unknown(after.waits > 0)));
        }
        if (after.unfit == 0) && self.unfit > 0 {
            out.push(Said::Tell(place, Input::Broken(false)));
        }
    }
}

impl Tracking {
    /// One that follows nothing.
    pub fn new() -> Tracking {
        Tracking::default()
    }

    /// Follows what `wanted` says from now on, `members` being the places of its instances. What is known of targets
    /// whose trackers have not changed is kept.
    pub fn configure<'a>(
        &mut self,
        now: Instant,
        wanted: &Elections,
        members: impl Iterator<Item = (Place, &'a vrrp::Instance)>,
        out: &mut Outbox<Said>,
    ) {
        let before = std::mem::take(self);
        for tracker in &wanted.trackers {
            self.add(tracker.target(), Kind::of(tracker));
        }
        let groups: HashMap<&str, &vrrp::SyncGroup> =
            wanted.groups.iter().map(|group| (group.name.as_str(), group)).collect();
        for (place, instance) in members {
            let group = instance.group.as_deref().and_then(|name| groups.get(name));
            for track in followed(instance, group.copied()) {
                self.follow(place, &track);
            }
        }
        for at in 0..self.things.len() {
            self.inherit(at, &before);
        }
        self.recount();
        for (place, sum) in self.sums.iter().enumerate() {
            sum.tell_all(place, out);
        }
        self.settle(now, out);
    }

    fn add(&mut self, target: Target, kind: Kind) -> usize {
        if let Some(&at) = self.known.get(&target) {
            return at;
        }
        let standing = match target {
            // A session is down until it is up, as keepalived has it.
            Target::Bfd(_) => Standing::Down,
            Target::Interface(_) | Target::Script(_) | Target::File(_) | Target::Process(_) => kind.at_first(),
        };
        self.known.insert(target.clone(), self.things.len());
        self.things.push(Thing { target, kind, standing, pending: None, followers: Vec::new() });
        self.things.len() - 1
    }

    fn follow(&mut self, place: Place, track: &Track) {
        if self.sums.len() <= place {
            self.sums.resize(place + 1, Sum::default());
        }
        // What has no tracker is an interface or a session; a file nobody declared never says anything.
        let at = self.add(track.target.clone(), Kind::Switch(LinkDelays::default()));
        if let Some(thing) = self.things.get_mut(at) {
            thing.followers.push((place, track.clone()));
        }
    }

    /// Takes over what was known of the thing at `at`.
    fn inherit(&mut self, at: usize, before: &Tracking) {
        let Some(thing) = self.things.get_mut(at) else { return };
        let old = before.known.get(&thing.target).and_then(|&at| before.things.get(at));
        let Some(old) = old else { return };
        thing.standing = old.standing;
        thing.pending = old.pending;
        match (&mut thing.kind, &old.kind) {
            (Kind::Script(runs), Kind::Script(old)) => runs.inherit(old),
            (Kind::Process { wanted, count }, Kind::Process { wanted: other, count: known }) if wanted == other => {
                *count = *known;
            }
            (Kind::Switch(_), Kind::Switch(_)) | (Kind::File, Kind::File) => {}
            // Another program, or another quorum: it is counted anew.
            _ => {
                thing.standing = thing.kind.at_first();
                thing.pending = None;
            }
        }
        if thing.pending.is_some() {
            self.unsettled.push(at);
        }
    }

    /// The sums from scratch.
    fn recount(&mut self) {
        self.sums.fill(Sum::default());
        for thing in &self.things {
            for (place, track) in &thing.followers {
                if let Some(sum) = self.sums.get_mut(*place) {
                    sum.count(Effect::of(track, thing.standing), false);
                }
            }
        }
    }

    /// Targets somebody follows.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.things.iter().filter(|thing| !thing.followers.is_empty()).map(|thing| &thing.target)
    }

    /// Takes what was seen of `target`; nothing where nobody follows it.
    pub fn see(&mut self, now: Instant, target: &Target, sight: Sight, out: &mut Outbox<Said>) {
        let Some(&at) = self.known.get(target) else { return };
        let Some(thing) = self.things.get_mut(at) else { return };
        let Some((standing, delay)) = thing.kind.see(thing.standing, sight) else { return };
        if standing == thing.standing {
            thing.pending = None;
            self.unsettled.retain(|waits| *waits != at);
        } else if delay.is_zero() || thing.standing == Standing::Unknown {
            self.change(at, standing, out);
        } else if thing.pending.is_none_or(|(pending, _)| pending != standing) {
            thing.pending = Some((standing, now + delay));
            if !self.unsettled.contains(&at) {
                self.unsettled.push(at);
            }
        }
    }

    /// Tells everybody who follows the thing at `at` that it is otherwise now.
    fn change(&mut self, at: usize, standing: Standing, out: &mut Outbox<Said>) {
        self.unsettled.retain(|waits| *waits != at);
        let Some(thing) = self.things.get_mut(at) else { return };
        let was = std::mem::replace(&mut thing.standing, standing);
        thing.pending = None;
        if !thing.followers.is_empty() {
            out.push(Said::Changed(thing.target.clone(), standing));
        }
        for (place, track) in &thing.followers {
            let Some(sum) = self.sums.get_mut(*place) else { continue };
            let before = *sum;
            sum.count(Effect::of(track, was), true);
            sum.count(Effect::of(track, standing), false);
            before.tell(*sum, *place, out);
        }
    }

    /// Counts changes that have lasted.
    pub fn settle(&mut self, now: Instant, out: &mut Outbox<Said>) {
        for at in std::mem::take(&mut self.unsettled) {
            match self.things.get(at).and_then(|thing| thing.pending) {
                Some((standing, due)) if due <= now => self.change(at, standing, out),
                Some(_) => self.unsettled.push(at),
                None => {}
            }
        }
    }

    /// When [`Tracking::settle`] next wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let due = |&at: &usize| self.things.get(at)?.pending.map(|(_, due)| due);
        self.unsettled.iter().filter_map(due).min()
    }
}

/// Everything `instance` follows, `group` being its own: its interface and those it needs, its tracks, the group's.
pub fn followed(instance: &vrrp::Instance, group: Option<&vrrp::SyncGroup>) -> Vec<Track> {
    let must_be_up = |name: &String| Track { target: Target::Interface(name.clone()), weight: 0, reverse: false };
    let mut all: Vec<Track> = instance.needs_interface.then(|| must_be_up(&instance.interface)).into_iter().collect();
    all.extend(instance.tracks.iter().chain(group.into_iter().flat_map(|group| &group.tracks)).cloned());
    for name in instance.needed_interfaces() {
        // A weight that is written wins.
        if all.iter().all(|track| !matches!(&track.target, Target::Interface(known) if known == name)) {
            all.push(must_be_up(name));
        }
    }
    all
}

impl Kind {
    fn of(tracker: &Tracker) -> Kind {
        match tracker {
            Tracker::Interface { delays, .. } => Kind::Switch(*delays),
            Tracker::Script { rhythm, .. } => Kind::Script(Runs::new(*rhythm)),
            Tracker::File(_) => Kind::File,
            Tracker::Process(wanted) => Kind::Process { wanted: wanted.clone(), count: 0 },
        }
    }

    fn at_first(&self) -> Standing {
        match self {
            Kind::Switch(_) | Kind::File | Kind::Process { .. } => Standing::Unknown,
            Kind::Script(runs) => runs.at_first(),
        }
    }

    /// What a sight makes of what was `before`, and how long it must last. `None`: nothing new, or no sight of this
    /// kind of thing.
    fn see(&mut self, before: Standing, sight: Sight) -> Option<(Standing, Duration)> {
        match (self, sight) {
            (Kind::Switch(delays), Sight::Up(up)) => Some((standing(up), if up { delays.up } else { delays.down })),
            (Kind::Script(runs), Sight::Ran(good)) => {
                runs.count(before, good).map(|standing| (standing, Duration::ZERO))
            }
            (Kind::File, Sight::Number(number)) => Some((Standing::Number(number), Duration::ZERO)),
            (Kind::Process { wanted, count }, Sight::Count(now)) => {
                let delay = if now > *count { wanted.fork_delay } else { wanted.terminate_delay };
                *count = now;
                Some((standing(wanted.quorum.holds(now)), delay))
            }
            (Kind::Switch(_) | Kind::Script(_) | Kind::File | Kind::Process { .. }, _) => None,
        }
    }
}

fn standing(up: bool) -> Standing {
    if up { Standing::Up } else { Standing::Down }
}

#[cfg(test)]
mod tests;

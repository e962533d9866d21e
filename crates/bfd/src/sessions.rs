//! All sessions of one node: whose a packet is, what is dropped, and their timers in one place.

use crate::{Control, Drops, Input, Output, Reason, Session, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd::Reach;
use std::{collections::HashMap, net::IpAddr, num::NonZeroU32};

/// Names a session of [`Sessions`]: its place, 0 and up.
pub type Place = usize;

/// Random numbers tried for a discriminator nobody has; with the most sessions of a node one is enough nearly always.
const TRIES: u32 = 64;

/// A packet that has come, and how.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The TTL or hop limit it arrived with; `None`: not known, which no session with a limit takes.
    pub hops: Option<u8>,
    /// It came to the port of multihop sessions.
    pub multihop: bool,
    /// The control packet.
    pub bytes: &'a [u8],
}

/// The sessions of one node.
#[derive(Debug)]
pub struct Sessions {
    /// By place; that of one that was removed is taken by the next.
    members: Vec<Option<Member>>,
    by_discriminator: HashMap<NonZeroU32, Place>,
    /// The first of all deadlines.
    first: Option<(Instant, Place)>,
    strangers: Drops,
    rng: Rng,
    /// Of one session at a time; kept so that nothing is allocated.
    said: Outbox<Output>,
}

#[derive(Debug)]
struct Member {
    session: Session,
    neighbour: IpAddr,
    source: Option<IpAddr>,
    reach: Reach,
    drops: Drops,
}

impl Sessions {
    /// None yet; `rng` is for discriminators and jitter.
    pub fn new(rng: Rng) -> Sessions {
        Sessions {
            members: Vec::new(),
            by_discriminator: HashMap::new(),
            first: None,
            strangers: Drops::default(),
            rng,
            said: Outbox::new(),
        }
    }

    /// Adds a session with `neighbour`, which is not begun. `None` where no discriminator was to be found.
    pub fn add(
        &mut self,
        settings: Settings,
        neighbour: IpAddr,
        source: Option<IpAddr>,
        reach: Reach,
    ) -> Option<Place> {
        let place = self.members.iter().position(Option::is_none).unwrap_or(self.members.len());
        if place == self.members.len() {
            self.members.push(None);
        }
        // RFC 5880 6.8.1: unique, not 0, and better random.
        let bits = std::iter::repeat_with(|| self.rng.bits()).take(TRIES as usize);
        let mine = bits
            .filter_map(|bits| NonZeroU32::new((bits >> 32) as u32))
            .find(|mine| !self.by_discriminator.contains_key(mine))?;
        let session = Session::new(settings, mine, Rng::new(self.rng.bits()));
        self.by_discriminator.insert(mine, place);
        self.members[place] = Some(Member { session, neighbour, source, reach, drops: Drops::default() });
        Some(place)
    }

    /// Forgets the session at `place`, which is stopped before if the neighbour is to know.
    pub fn remove(&mut self, place: Place) {
        if let Some(member) = self.members.get_mut(place).and_then(Option::take) {
            self.by_discriminator.remove(&member.session.discriminator());
        }
        self.first = self.earliest();
    }

    fn member(&self, place: Place) -> Option<&Member> {
        self.members.get(place)?.as_ref()
    }

    /// The session at `place`.
    pub fn session(&self, place: Place) -> Option<&Session> {
        self.member(place).map(|member| &member.session)
    }

    /// Packets for the session at `place` that were dropped.
    pub fn drops(&self, place: Place) -> Option<&Drops> {
        self.member(place).map(|member| &member.drops)
    }

    /// Packets that were dropped and are of no session.
    pub fn strangers(&self) -> &Drops {
        &self.strangers
    }

    /// Reads a packet and says whose it is; else it is counted, with the session it is about where that is known.
    pub fn find(&mut self, arrival: &Arrival<'_>) -> Result<(Place, Control), (Option<Place>, Reason)> {
        let judged = Control::read(arrival.bytes).map_err(|reason| (self.of_neighbour(arrival), reason));
        let found = judged.and_then(|control| self.judge(arrival, &control).map(|place| (place, control)));
        if let Err((place, reason)) = found {
            match place.and_then(|place| self.members.get_mut(place)?.as_mut()) {
                Some(member) => member.drops.count(reason),
                None => self.strangers.count(reason),
            }
        }
        found
    }

    /// RFC 5880 6.3: by discriminator where the packet names one, else by who sent it.
    fn judge(&self, arrival: &Arrival<'_>, control: &Control) -> Result<Place, (Option<Place>, Reason)> {
        let by_neighbour = || self.of_neighbour(arrival);
        let place = match NonZeroU32::new(control.yours) {
            Some(yours) => {
                self.by_discriminator.get(&yours).copied().ok_or_else(|| (by_neighbour(), Reason::Unknown))?
            }
            None => by_neighbour().ok_or((None, Reason::Unknown))?,
        };
        let wrong = |reason| Err((Some(place), reason));
        match self.member(place) {
            None => Err((None, Reason::Unknown)),
            // A discriminator alone could be guessed or left over from another.
            Some(member) if !member.is_for(arrival) => Err((by_neighbour(), Reason::Source)),
            // RFC 5881 5.
            Some(Member { reach, .. }) if arrival.hops.unwrap_or(0) < reach.least_hops => wrong(Reason::Hops),
            // RFC 5880 6.8.6.
            Some(Member { session, .. }) if session.state() == State::AdminDown => wrong(Reason::AdminDown),
            Some(_) => Ok(place),
        }
    }

    fn of_neighbour(&self, arrival: &Arrival<'_>) -> Option<Place> {
        self.members.iter().position(|member| member.as_ref().is_some_and(|member| member.is_for(arrival)))
    }

    /// Tells one session something and carries what it says to `out`.
    fn tell(&mut self, now: Instant, place: Place, input: Option<Input>, out: &mut Outbox<(Place, Output)>) {
        let Some(Some(member)) = self.members.get_mut(place) else { return };
        match input {
            Some(input) => member.session.handle(now, input, &mut self.said),
            None => member.session.handle_timeout(now, &mut self.said),
        }
        let deadline = member.session.deadline();
        while let Some(output) = self.said.pop() {
            out.push((place, output));
        }
        match (self.first, deadline) {
            (first, Some(at)) if first.is_none_or(|(first, _)| at <= first) => self.first = Some((at, place)),
            (Some((_, of)), _) if of == place => self.first = self.earliest(),
            (Some(_) | None, Some(_) | None) => {}
        }
    }

    fn earliest(&self) -> Option<(Instant, Place)> {
        let deadlines = self.members.iter().enumerate();
        deadlines.filter_map(|(place, member)| Some((member.as_ref()?.session.deadline()?, place))).min()
    }
}

impl Member {
    fn is_for(&self, arrival: &Arrival<'_>) -> bool {
        self.neighbour == arrival.source
            && self.reach.multihop == arrival.multihop
            && self.source.is_none_or(|source| source == arrival.destination)
    }
}

impl Machine for Sessions {
    type Input = (Place, Input);
    type Output = (Place, Output);

    fn handle(&mut self, now: Instant, (place, input): (Place, Input), out: &mut Outbox<(Place, Output)>) {
        self.tell(now, place, Some(input), out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox<(Place, Output)>) {
        // Each session once: one that is due again at once is not waited for.
        for _ in 0..self.members.len() {
            let Some((_, place)) = self.first.filter(|(at, _)| *at <= now) else { return };
            self.tell(now, place, None, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.first.map(|(at, _)| at)
    }
}

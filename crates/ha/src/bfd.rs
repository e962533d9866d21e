//! BFD sessions on the thread of the elections: their sockets and timers, and what follows when one goes down.
//!
//! A master that BFD does not reach any more is not waited for: the backup elects at once.

use crate::{News, elections::Elections, events::Events, tally::Tallies};
use evenkeel_bfd::{Arrival, Diagnostic, Input, Output, Place, Reason, Sessions, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::{
    bfd::{MOST_SESSIONS, Session},
    vrrp::Target,
};
use evenkeel_netlink::{BfdListener, BfdSender, BfdWay};
use evenkeel_vrrp::track::Sight;
use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::Arc,
};

/// Packets read from one socket before others have their turn: two of each session that there can be.
const BATCH: usize = 2 * MOST_SESSIONS;
/// No control packet is longer: its length is one byte.
const LONGEST: usize = 256;
/// Keys of the listeners in the loop.
pub(crate) const KEYS: std::ops::Range<u64> = 1 << 32..(1 << 32) + 4;

/// The sessions of the node and their sockets.
pub(crate) struct Bfd {
    sessions: Sessions,
    /// By place.
    ends: Vec<Option<End>>,
    /// By family and port, as their keys are.
    listeners: [Option<BfdListener>; 4],
    out: Outbox<(Place, Output)>,
    dropped: Tallies<(Option<Place>, IpAddr, Reason)>,
    buffer: [u8; LONGEST],
    rng: Rng,
}

/// What the machine does not know of a session.
struct End {
    session: Session,
    name: Arc<str>,
    /// Opened when it is needed, and anew after it failed.
    sender: Option<BfdSender>,
}

/// Which listener a session needs.
fn listener_of(session: &Session) -> usize {
    usize::from(session.neighbour.is_ipv6()) + 2 * usize::from(session.reach.multihop)
}

impl Bfd {
    pub(crate) fn new() -> Bfd {
        // Seeded by the system: discriminators are not to be guessed.
        let mut rng = Rng::new(RandomState::new().hash_one(0));
        Bfd {
            sessions: Sessions::new(Rng::new(rng.bits())),
            ends: Vec::new(),
            listeners: [const { None }; 4],
            out: Outbox::new(),
            dropped: Tallies::new(),
            buffer: [0; LONGEST],
            rng,
        }
    }

    /// When something is to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sessions.deadline()
    }

    /// Holds what is `wanted` and nothing else. A session that only times itself otherwise does not go down.
    /// Gives what could not be done.
    pub(crate) fn follow(&mut self, wanted: &[Session], events: &Events) -> Vec<String> {
        let now = events.now();
        for place in 0..self.ends.len() {
            let Some(end) = self.ends.get_mut(place).and_then(Option::as_mut) else { continue };
            match wanted.iter().find(|session| is_same(session, &end.session)) {
                Some(session) => {
                    let settings = Settings::from(session);
                    end.session.clone_from(session);
                    self.sessions.handle(now, (place, Input::Change(settings)), &mut self.out);
                }
                None => {
                    self.sessions.handle(now, (place, Input::Stop), &mut self.out);
                    self.say_goodbye(place);
                    self.sessions.remove(place);
                    self.ends[place] = None;
                }
            }
        }
        let mut refused = Vec::new();
        for session in wanted {
            if !self.ends.iter().flatten().any(|end| is_same(session, &end.session)) {
                refused.extend(self.add(session.clone(), events).err());
            }
        }
        let needed = |at| self.ends.iter().flatten().any(|end| listener_of(&end.session) == at);
        for (at, listener) in self.listeners.iter_mut().enumerate() {
            // A closed socket leaves the loop by itself.
            let _ = listener.take_if(|_| !needed(at));
        }
        refused
    }

    fn add(&mut self, session: Session, events: &Events) -> Result<(), String> {
        let at = listener_of(&session);
        if let Some(place @ None) = self.listeners.get_mut(at) {
            let listener = BfdListener::open(session.neighbour.is_ipv6(), session.reach.multihop);
            let listener = listener.map_err(|e| e.to_string())?;
            events.add(&listener, KEYS.start + at as u64)?;
            *place = Some(listener);
        }
        let settings = Settings::from(&session);
        let added = self.sessions.add(settings, session.neighbour, session.source, session.reach);
        let place = added.ok_or_else(|| format!("{} finds no discriminator", session.name))?;
        if self.ends.len() <= place {
            self.ends.resize_with(place + 1, || None);
        }
        let name = Arc::from(session.name.as_str());
        self.ends[place] = Some(End { session, name, sender: None });
        self.sessions.handle(events.now(), (place, Input::Start), &mut self.out);
        Ok(())
    }

    /// Sends the last packet of a session that is to be removed; nobody is told of it any more.
    fn say_goodbye(&mut self, place: Place) {
        let others: Vec<_> = self.out.drain().collect();
        for (at, output) in others {
            match (output, self.ends.get(place)) {
                (Output::Send(control), Some(Some(end))) if at == place => {
                    let _ = end.sender.as_ref().map(|sender| sender.send(&control.write()));
                }
                _ if at == place => {}
                _ => self.out.push((at, output)),
            }
        }
    }

    /// Reads what waits on a listener.
    fn hear(&mut self, at: usize, events: &Events, refused: &mut Vec<String>, tell: &mut dyn FnMut(News)) {
        let Some(Some(listener)) = self.listeners.get(at) else { return };
        for _ in 0..BATCH {
            let datagram = match listener.receive(&mut self.buffer) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => return,
                Err(e) => return refused.push(e.to_string()),
            };
            let now = events.now();
            let bytes = self.buffer.get(..datagram.length).unwrap_or(&self.buffer);
            let arrival = Arrival {
                source: datagram.source,
                destination: datagram.destination,
                hops: datagram.hops,
                multihop: at >= 2,
                bytes,
            };
            match self.sessions.find(&arrival) {
                Ok((place, control)) => {
                    self.sessions.handle(now, (place, Input::Received(control)), &mut self.out);
                }
                Err((place, reason)) => {
                    let Some(count) = self.dropped.count(now, (place, datagram.source, reason)) else { continue };
                    let end = place.and_then(|place| self.ends.get(place)?.as_ref());
                    let session = end.map(|end| Arc::clone(&end.name));
                    tell(News::BfdDropped { session, source: datagram.source, reason, count });
                }
            }
        }
    }

    fn send(&mut self, place: Place, packet: &[u8], ifindex: impl Fn(&str) -> Option<u32>) -> Result<(), String> {
        let Some(Some(end)) = self.ends.get_mut(place) else { return Ok(()) };
        let sender = match end.sender.take() {
            Some(sender) => sender,
            None => {
                let interface = end.session.interface.as_deref();
                let index = interface.and_then(&ifindex);
                if let (Some(name), None) = (interface, index) {
                    return Err(format!("BFD session {}: there is no interface {name}", end.name));
                }
                let way = BfdWay {
                    neighbour: end.session.neighbour,
                    source: end.session.source,
                    ifindex: index,
                    multihop: end.session.reach.multihop,
                    hops: end.session.reach.hops,
                };
                let wish = self.rng.bits() as u16;
                BfdSender::open(&way, wish).map_err(|e| format!("BFD session {}: cannot {e}", end.name))?
            }
        };
        sender.send(packet).map_err(|e| format!("BFD session {}: cannot {e}", end.name))?;
        end.sender = Some(sender);
        Ok(())
    }
}

/// Whether one is the other, perhaps timed otherwise.
fn is_same(one: &Session, other: &Session) -> bool {
    (&one.name, one.neighbour, one.source, one.reach, &one.interface)
        == (&other.name, other.neighbour, other.source, other.reach, &other.interface)
}

impl Elections {
    /// Whether a key of the loop is that of BFD, which is heard then.
    pub(crate) fn hear_bfd(&mut self, key: u64) {
        if let Some(at) = key.checked_sub(KEYS.start).and_then(|at| usize::try_from(at).ok()) {
            let mut refused = Vec::new();
            self.bfd.hear(at, &self.events, &mut refused, &mut *self.tell);
            refused.into_iter().for_each(|why| self.complain(why));
            self.follow_sessions();
        }
    }

    /// Does what is due. What has come meanwhile is read before anybody counts as silent: this thread may be the one
    /// that was late.
    pub(crate) fn settle_bfd(&mut self) {
        if self.bfd.deadline().is_some_and(|due| due <= self.events.now()) {
            KEYS.for_each(|key| self.hear_bfd(key));
            self.bfd.sessions.handle_timeout(self.events.now(), &mut self.bfd.out);
            self.follow_sessions();
        }
    }

    /// Holds the sessions that are `wanted`, and tells those who follow one how it stands.
    pub(crate) fn configure_bfd(&mut self, wanted: &[Session]) {
        let refused = self.bfd.follow(wanted, &self.events);
        refused.into_iter().for_each(|why| self.complain(why));
        for place in 0..self.bfd.ends.len() {
            if self.bfd.sessions.session(place).is_some_and(|session| session.state() == State::Up) {
                self.turned(place, State::Up, Diagnostic::NONE);
            }
        }
        self.follow_sessions();
    }

    /// Ends all sessions, so that neighbours do not take it for a failure.
    pub(crate) fn stop_bfd(&mut self) {
        let now = self.events.now();
        for place in 0..self.bfd.ends.len() {
            self.bfd.sessions.handle(now, (place, Input::Stop), &mut self.bfd.out);
        }
        self.follow_sessions();
    }

    /// Carries out what sessions say.
    pub(crate) fn follow_sessions(&mut self) {
        while let Some((place, output)) = self.bfd.out.pop() {
            match output {
                Output::Send(control) => {
                    let index = |name: &str| self.links.named(name).map(|link| link.index);
                    if let Err(why) = self.bfd.send(place, &control.write(), index) {
                        self.complain(why);
                    }
                }
                Output::Turned { to, diagnostic, .. } => {
                    self.tell_standing(place);
                    self.turned(place, to, diagnostic);
                }
                Output::Agreed => self.tell_standing(place),
                Output::Late { by } => {
                    let Some(Some(end)) = self.bfd.ends.get(place) else { continue };
                    let name = &end.name;
                    let by = by.as_millis();
                    self.complain(format!(
                        "BFD session {name}: this host was {by} ms late; the neighbour gets more time"
                    ));
                }
            }
        }
    }

    fn tell_standing(&mut self, place: Place) {
        let (Some(Some(end)), Some(session)) = (self.bfd.ends.get(place), self.bfd.sessions.session(place)) else {
            return;
        };
        (self.tell)(News::Bfd { session: Arc::clone(&end.name), standing: session.standing() });
    }

    /// What follows from a session's new state.
    fn turned(&mut self, place: Place, to: State, diagnostic: Diagnostic) {
        let (Some(Some(end)), Some(session)) = (self.bfd.ends.get(place), self.bfd.sessions.session(place)) else {
            return;
        };
        // RFC 5882 3.2: what was taken down on purpose says nothing about the way to it.
        let by_will = to == State::AdminDown || session.standing().remote_state == State::AdminDown;
        if by_will || to == State::Init {
            return;
        }
        let neighbour = end.session.neighbour;
        let name = Arc::clone(&end.name);
        self.see(&Target::Bfd(name.as_ref().to_owned()), Sight::Up(to == State::Up));
        // One that says itself that it is down is reached.
        if diagnostic == Diagnostic::EXPIRED {
            for place in 0..self.members.len() {
                self.handle(place, evenkeel_vrrp::Input::Unreachable(neighbour));
            }
        }
    }
}

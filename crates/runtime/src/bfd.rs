//! What the daemon knows of its BFD sessions: the thread that holds them tells, clients ask.

use evenkeel_api::{BfdStatus, Event};
use evenkeel_bfd::{Diagnostic, Reason, Standing, State};
use evenkeel_machine::Instant;
use evenkeel_model::bfd::Session;
use std::{net::IpAddr, time::Duration};

/// The sessions of this node.
#[derive(Default)]
pub(crate) struct Sessions {
    known: Vec<Known>,
}

/// How one session stands.
struct Known {
    session: Session,
    standing: Standing,
    since: Instant,
    /// What checks were told last: it is up.
    told: Option<bool>,
}

/// What follows from news of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// What an operator would tell a colleague.
    pub(crate) event: Option<Event>,
    /// Checks that rest on it are told that it is up, or why not.
    pub(crate) check: Option<Result<(), String>>,
}

impl Sessions {
    /// Knows these from now on; what is known of sessions that go on is kept.
    pub(crate) fn follow(&mut self, wanted: &[Session], now: Instant) {
        let before = std::mem::take(&mut self.known);
        let find = |session: &Session| before.iter().find(|known| known.session.name == session.name);
        let of = |session: &Session| {
            let fresh = (Standing::default(), now, None);
            let (standing, since, told) = find(session).map_or(fresh, |old| (old.standing, old.since, old.told));
            Known { session: session.clone(), standing, since, told }
        };
        self.known = wanted.iter().map(of).collect();
    }

    /// Takes news of a session.
    pub(crate) fn take(&mut self, name: &str, standing: Standing, now: Instant) -> Change {
        let Some(known) = self.known.iter_mut().find(|known| known.session.name == name) else {
            return Change::default();
        };
        let before = std::mem::replace(&mut known.standing, standing);
        if before.state != standing.state {
            known.since = now;
        }
        Change { event: known.event(before.state), check: known.check() }
    }

    /// For clients.
    pub(crate) fn status(&self, now: Instant) -> Vec<BfdStatus> {
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let of = |known: &Known| BfdStatus {
            name: known.session.name.clone(),
            neighbour: known.session.neighbour.to_string(),
            state: word(known.standing.state).to_owned(),
            since_s: (now - known.since).as_secs(),
            reason: known.standing.diagnostic.to_string(),
            remote_state: word(known.standing.remote_state).to_owned(),
            remote_reason: known.standing.remote_diagnostic.to_string(),
            transmit_us: microseconds(known.standing.transmit),
            receive_us: microseconds(known.standing.receive),
            detection_us: microseconds(known.standing.detection),
        };
        self.known.iter().map(of).collect()
    }
}

impl Known {
    /// Of coming up and going down; the way there is told nobody.
    fn event(&self, before: State) -> Option<Event> {
        let Standing { state, diagnostic, .. } = self.standing;
        if before == state || ![before, state].contains(&State::Up) {
            return None;
        }
        let (up, by_will) = (state == State::Up, self.is_by_will());
        let why = match (up, by_will) {
            (true, _) => "both ends hear each other".to_owned(),
            (false, true) => Diagnostic::ADMIN_DOWN.to_string(),
            (false, false) => diagnostic.to_string(),
        };
        let Session { name, neighbour, .. } = &self.session;
        Some(Event::BfdChanged { session: name.clone(), neighbour: neighbour.to_string(), up, by_will, why })
    }

    /// What was taken down on purpose says nothing about the way to it: checks go on with what they know.
    fn check(&mut self) -> Option<Result<(), String>> {
        let up = self.standing.state == State::Up;
        let says_nothing = !up && self.told.is_some() && (self.is_by_will() || self.standing.state == State::Init);
        if says_nothing || self.told == Some(up) {
            return None;
        }
        let first = self.told.replace(up).is_none();
        let why = if first { "it has not come up yet".to_owned() } else { self.standing.diagnostic.to_string() };
        Some(if up { Ok(()) } else { Err(why) })
    }

    fn is_by_will(&self) -> bool {
        [self.standing.state, self.standing.remote_state].contains(&State::AdminDown)
    }
}

/// As the status has it.
fn word(state: State) -> &'static str {
    match state {
        State::AdminDown => "admin_down",
        State::Down => "down",
        State::Init => "init",
        State::Up => "up",
    }
}

/// Says that packets were dropped.
pub(crate) fn dropped(session: Option<&str>, source: IpAddr, reason: Reason, count: u64) -> String {
    let times = if count == 1 { String::new() } else { format!(", {count} times in a minute") };
    let of = session.map_or_else(|| "BFD".to_owned(), |name| format!("BFD session {name}"));
    format!("{of}: a packet of {source} was dropped{times}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: State, remote_state: State) -> Standing {
        Standing { state, remote_state, detection: Duration::from_micros(1500), ..Standing::default() }
    }

    #[test]
    fn what_comes_up_and_goes_down_is_told_and_the_way_there_is_not() {
        let session = Session::new("peer".to_owned(), IpAddr::from([192, 0, 2, 2]));
        let at = |seconds| Instant::at(Duration::from_secs(seconds));
        let mut sessions = Sessions::default();
        sessions.follow(std::slice::from_ref(&session), at(0));
        let mut told = |second, state, remote| {
            sessions.take("peer", standing(state, remote), at(second)).event.map(|event| event.to_string())
        };
        assert_eq!(told(1, State::Down, State::Down), None);
        assert_eq!(told(2, State::Init, State::Down), None);
        let text = told(3, State::Up, State::Up);
        assert_eq!(text.as_deref(), Some("BFD session peer with 192.0.2.2 is up: both ends hear each other"));
        assert_eq!(told(4, State::Up, State::Up), None);
        let text = told(5, State::Down, State::AdminDown);
        assert_eq!(text.as_deref(), Some("BFD session peer with 192.0.2.2 is down: it was taken down on purpose"));
        // A reload keeps what is known.
        sessions.follow(&[session], at(8));
        let status = sessions.status(at(9));
        assert_eq!((status[0].state.as_str(), status[0].since_s, status[0].detection_us), ("down", 4, 1500));
    }

    #[test]
    fn checks_are_told_once_and_not_of_an_end_on_purpose() {
        let session = Session::new("peer".to_owned(), IpAddr::from([192, 0, 2, 2]));
        let at = Instant::at(Duration::from_secs(1));
        let mut sessions = Sessions::default();
        sessions.follow(std::slice::from_ref(&session), at);
        let mut told = |state, remote| sessions.take("peer", standing(state, remote), at).check;
        assert_eq!(told(State::Down, State::Down), Some(Err("it has not come up yet".to_owned())));
        assert_eq!(told(State::Init, State::Down), None);
        assert_eq!(told(State::Up, State::Up), Some(Ok(())));
        assert_eq!(told(State::Up, State::Up), None);
        assert_eq!(told(State::Down, State::AdminDown), None);
        assert_eq!(told(State::Init, State::Down), None);
        assert_eq!(told(State::Up, State::Up), None);
        assert!(matches!(told(State::Down, State::Up), Some(Err(_))));
        assert_eq!(told(State::Down, State::Down), None);
    }
}

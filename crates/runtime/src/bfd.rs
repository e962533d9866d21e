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
}

impl Sessions {
    /// Knows these from now on; what is known of sessions that go on is kept.
    pub(crate) fn follow(&mut self, wanted: &[Session], now: Instant) {
        let before = std::mem::take(&mut self.known);
        let find = |session: &Session| before.iter().find(|known| known.session.name == session.name);
        let of = |session: &Session| {
            let (standing, since) = find(session).map_or((Standing::default(), now), |old| (old.standing, old.since));
            Known { session: session.clone(), standing, since }
        };
        self.known = wanted.iter().map(of).collect();
    }

    /// Takes news of a session; what an operator would tell a colleague is an event.
    pub(crate) fn take(&mut self, name: &str, standing: Standing, now: Instant) -> Option<Event> {
        let known = self.known.iter_mut().find(|known| known.session.name == name)?;
        let before = std::mem::replace(&mut known.standing, standing);
        if before.state == standing.state {
            return None;
        }
        known.since = now;
        let up = standing.state == State::Up;
        if !up && before.state != State::Up {
            return None;
        }
        let by_will = [standing.state, standing.remote_state].contains(&State::AdminDown);
        let why = match (up, by_will) {
            (true, _) => "both ends hear each other".to_owned(),
            (false, true) => Diagnostic::ADMIN_DOWN.to_string(),
            (false, false) => standing.diagnostic.to_string(),
        };
        let Session { name, neighbour, .. } = &known.session;
        Some(Event::BfdChanged { session: name.clone(), neighbour: neighbour.to_string(), up, by_will, why })
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
            sessions.take("peer", standing(state, remote), at(second)).map(|event| event.to_string())
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
}

//! Sessions come and go while others go on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_bfd::{Arrival, Control, Diagnostic, Input, Output, Reason, Sessions, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd::{MOST_SESSIONS, Reach, Session};
use std::{
    collections::HashSet,
    net::IpAddr,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

fn settings() -> Settings {
    Settings::from(&Session::new("any".to_owned(), neighbour(0)))
}

fn neighbour(number: usize) -> IpAddr {
    IpAddr::from([10, 0, u8::try_from(number / 250).unwrap(), u8::try_from(number % 250).unwrap() + 1])
}

fn hear(sessions: &mut Sessions, source: IpAddr, yours: u32) -> Result<usize, (Option<usize>, Reason)> {
    let control = Control {
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        poll: false,
        is_final: false,
        demand: false,
        multiplier: NonZeroU8::MIN,
        mine: NonZeroU32::MIN,
        yours,
        transmit: Duration::from_secs(1),
        receive: Duration::from_secs(1),
    };
    let bytes = control.write();
    let arrival = Arrival { source, destination: neighbour(9999), hops: Some(255), multihop: false, bytes: &bytes };
    sessions.find(&arrival).map(|(place, _)| place)
}

#[test]
fn as_many_as_a_node_may_have_are_told_apart_and_keep_their_time() {
    let mut sessions = Sessions::new(Rng::new(1));
    let mut out = Outbox::new();
    let mut numbers = HashSet::new();
    for number in 0..MOST_SESSIONS {
        let place = sessions.add(settings(), neighbour(number), None, Reach::default()).unwrap();
        assert!(numbers.insert(sessions.session(place).unwrap().discriminator()));
        sessions.handle(Instant::START, (place, Input::Start), &mut out);
    }
    out.drain().for_each(drop);
    let mut sent = HashSet::new();
    while sent.len() < MOST_SESSIONS {
        let now = sessions.deadline().unwrap();
        assert!(now <= Instant::at(Duration::from_secs(1)), "each speaks within its second");
        sessions.handle_timeout(now, &mut out);
        sent.extend(out.drain().filter(|(_, output)| matches!(output, Output::Send(_))).map(|(place, _)| place));
    }
    assert_eq!(hear(&mut sessions, neighbour(700), 0), Ok(700));
}

#[test]
fn one_that_was_removed_is_not_found_and_its_place_is_taken_by_the_next() {
    let mut sessions = Sessions::new(Rng::new(1));
    let mut out = Outbox::new();
    for number in 0..3 {
        let place = sessions.add(settings(), neighbour(number), None, Reach::default()).unwrap();
        sessions.handle(Instant::START, (place, Input::Start), &mut out);
    }
    let gone = sessions.session(1).unwrap().discriminator().get();
    sessions.remove(1);
    assert!(sessions.session(1).is_none());
    assert_eq!(hear(&mut sessions, neighbour(1), 0), Err((None, Reason::Unknown)));
    assert_eq!(hear(&mut sessions, neighbour(1), gone), Err((None, Reason::Unknown)));
    assert_eq!(sessions.strangers().of(Reason::Unknown), 2);
    assert_eq!(hear(&mut sessions, neighbour(2), 0), Ok(2));
    assert_eq!(sessions.add(settings(), neighbour(7), None, Reach::default()), Some(1));
    assert_eq!(hear(&mut sessions, neighbour(7), 0), Err((Some(1), Reason::AdminDown)));
    sessions.remove(0);
    sessions.remove(1);
    sessions.remove(2);
    assert_eq!(sessions.deadline(), None);
}

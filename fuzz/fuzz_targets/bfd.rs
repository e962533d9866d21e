//! Any bytes as packets of a neighbour and of strangers, with time between them: each is taken or has a reason, and the
//! session goes on.

#![no_main]

use evenkeel_bfd::{Arrival, Input, LENGTH, Output, Sessions, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd::Reach;
use std::{net::IpAddr, num::NonZeroU8, time::Duration};

/// The fewest nanoseconds between packets that go by themselves: three quarters of the interval below.
const LEAST: Duration = Duration::from_micros(7_500);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&[kind, multiplier], mut rest)) = bytes.split_first_chunk() else { return };
    let settings = Settings {
        transmit: Duration::from_millis(10),
        receive: Duration::from_millis(10),
        idle: Duration::from_secs(1),
        multiplier: NonZeroU8::new(multiplier).unwrap_or(NonZeroU8::MIN),
        passive: kind & 1 != 0,
    };
    let (own, neighbour) = (IpAddr::from([10, 9, 7, 1]), IpAddr::from([10, 9, 7, 2]));
    let mut sessions = Sessions::new(Rng::new(kind.into()));
    let reach = Reach { multihop: kind & 2 != 0, hops: 255, least_hops: if kind & 4 != 0 { 255 } else { 0 } };
    let place = sessions.add(settings, neighbour, None, reach).expect("the first is always there");
    let mine = sessions.session(place).expect("it was added").discriminator().get();
    let mut out = Outbox::new();
    let mut now = Instant::START;
    let mut arrived = 0;
    sessions.handle(now, (place, Input::Start), &mut out);
    while let Some((&[wait, length, how], more)) = rest.split_first_chunk() {
        let (packet, more) = more.split_at(more.len().min(length.into()));
        rest = more;
        now = now + Duration::from_millis(u64::from(wait) * 10);
        let mut packet = packet.to_vec();
        // A fuzzer does not guess numbers.
        if how & 1 != 0 && packet.len() >= LENGTH {
            packet.truncate(LENGTH);
            packet[0] = 1 << 5 | packet[0] & 0x1f;
            packet[3] = LENGTH as u8;
            packet[8..12].copy_from_slice(&mine.to_be_bytes());
        }
        let source = if how & 2 != 0 { own } else { neighbour };
        let hops = if how & 4 != 0 { None } else { Some(255) };
        let arrival = Arrival { source, destination: own, hops, multihop: kind & 2 != 0, bytes: &packet };
        let before = sessions.strangers().total() + sessions.drops(place).expect("it is there").total();
        match sessions.find(&arrival) {
            Ok((place, control)) => {
                sessions.handle(now, (place, Input::Received(control)), &mut out);
                arrived += 1;
            }
            Err(_) => {
                let after = sessions.strangers().total() + sessions.drops(place).expect("it is there").total();
                assert_eq!(after, before + 1, "every drop is counted");
            }
        }
        if sessions.deadline().is_some_and(|due| due <= now) {
            sessions.handle_timeout(now, &mut out);
        }
    }
    let sent = std::iter::from_fn(|| out.pop()).filter(|(_, output)| matches!(output, Output::Send(_))).count() as u128;
    let by_time = now.since_start().as_nanos() / LEAST.as_nanos() + 1;
    assert!(sent <= by_time + 2 * arrived, "{sent} packets of {arrived} in {now:?}");
    let session = sessions.session(place).expect("it is there");
    assert!(session.state() != State::AdminDown);
    if matches!(session.state(), State::Init | State::Up) {
        assert!(sessions.deadline().is_some(), "nobody is up for ever");
    }
});

//! Two ends and a link that loses, delays, reorders and is cut, in virtual time; a seed replays any run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_bfd::{Arrival, Input, LENGTH, Output, Sessions, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd::Reach;
use proptest::prelude::*;
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU8, time::Duration};

const MS: Duration = Duration::from_millis(1);
/// The most that a packet is on the way while the weather is fine, in microseconds.
const DELAY: u64 = 2_000;

/// What the link does.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    loss: u64,
    /// Most, in microseconds.
    delay: u64,
    /// Of which end nothing arrives any more.
    cut: [bool; 2],
}

struct End {
    sessions: Sessions,
    settings: Settings,
    state: State,
    heard: Instant,
    sent: u32,
    last_sent: Option<Instant>,
}

struct World {
    now: Instant,
    ends: [End; 2],
    /// By when they arrive: to whom, and what.
    wire: BTreeMap<(Instant, u64), (usize, [u8; LENGTH])>,
    count: u64,
    rng: Rng,
    weather: Weather,
    falls: u32,
}

fn address(end: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, if end == 0 { 1 } else { 2 }])
}

impl World {
    fn new(seed: u64, settings: [Settings; 2]) -> World {
        let mut rng = Rng::new(seed);
        let ends = [0, 1].map(|at| {
            let mut sessions = Sessions::new(Rng::new(rng.bits()));
            sessions.add(settings[at], address(1 - at), None, Reach::default()).unwrap();
            End {
                sessions,
                settings: settings[at],
                state: State::AdminDown,
                heard: Instant::START,
                sent: 0,
                last_sent: None,
            }
        });
        let wire = BTreeMap::new();
        let mut world = World { now: Instant::START, ends, wire, count: 0, rng, weather: Weather::default(), falls: 0 };
        world.tell(0, Input::Start);
        world.tell(1, Input::Start);
        world
    }

    fn tell(&mut self, end: usize, input: Input) {
        let mut out = Outbox::new();
        self.ends[end].sessions.handle(self.now, (0, input), &mut out);
        self.carry_out(end, out);
    }

    fn carry_out(&mut self, end: usize, mut out: Outbox<(usize, Output)>) {
        while let Some((_, output)) = out.pop() {
            match output {
                Output::Send(control) => {
                    self.ends[end].sent += 1;
                    self.ends[end].last_sent = Some(self.now);
                    if self.weather.cut[end] || self.rng.chance(self.weather.loss) {
                        continue;
                    }
                    let arrives = self.now + Duration::from_micros(self.rng.below(self.weather.delay + 1));
                    self.count += 1;
                    self.wire.insert((arrives, self.count), (1 - end, control.write()));
                }
                Output::Turned { from, to, .. } => {
                    assert_eq!(from, self.ends[end].state, "turns follow each other");
                    assert_ne!(from, to);
                    self.falls += u32::from(from == State::Up);
                    self.ends[end].state = to;
                }
                Output::Agreed => {}
                Output::Late { .. } => panic!("nobody is late here"),
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadline = |at: usize| self.ends[at].sessions.deadline();
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let next = [deadline(0), deadline(1), packet].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next >= self.now, "time goes on");
            self.now = next;
            if let Some(((_, _), (to, bytes))) =
                self.wire.first_entry().filter(|e| e.key().0 <= next).map(|e| e.remove_entry())
            {
                self.deliver(to, &bytes);
                continue;
            }
            for at in 0..2 {
                let mut out = Outbox::new();
                self.ends[at].sessions.handle_timeout(self.now, &mut out);
                self.carry_out(at, out);
            }
            self.judge();
        }
        self.now = end;
    }

    fn deliver(&mut self, to: usize, bytes: &[u8]) {
        let arrival =
            Arrival { source: address(1 - to), destination: address(to), hops: Some(255), multihop: false, bytes };
        // What was under way when the other end began anew names a session that is none any more.
        if let Ok((_, control)) = self.ends[to].sessions.find(&arrival) {
            self.ends[to].heard = self.now;
            self.tell(to, Input::Received(control));
        }
    }

    /// What holds at every moment.
    fn judge(&self) {
        for end in &self.ends {
            let session = end.sessions.session(0).unwrap();
            let standing = session.standing();
            assert_eq!(standing.state, end.state);
            if matches!(end.state, State::Init | State::Up) {
                assert!(self.now - end.heard <= standing.detection, "nobody is up without being heard");
            }
            let speaks = !end.settings.passive || end.state != State::Down;
            if let (true, Some(sent)) = (speaks, end.last_sent) {
                assert!(self.now - sent <= standing.transmit, "nobody is silent: {standing:?}");
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state, self.ends[1].state]
    }
}

fn interval() -> impl Strategy<Value = Duration> {
    (10u32..400).prop_map(|ms| MS * ms)
}

fn settings() -> impl Strategy<Value = Settings> {
    (interval(), interval(), 1000u32..3000, 3u8..8).prop_map(|(transmit, receive, idle, multiplier)| Settings {
        transmit,
        receive,
        idle: MS * idle,
        multiplier: NonZeroU8::new(multiplier).unwrap(),
        passive: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_link_that_works_brings_both_up_and_keeps_them(seed: u64, a in settings(), b in settings(), passive: bool) {
        let mut world = World::new(seed, [Settings { passive, ..a }, b]);
        world.weather.delay = DELAY;
        world.run(Duration::from_secs(10));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        let slowest = |one: Settings, other: Settings| one.transmit.max(other.receive);
        for (end, interval) in [(0, slowest(a, b)), (1, slowest(b, a))] {
            let session = world.ends[end].sessions.session(0).unwrap().standing();
            prop_assert_eq!(session.transmit, interval);
            prop_assert_eq!(world.ends[1 - end].sessions.session(0).unwrap().standing().receive, interval);
        }
        // On the way up a packet that overtook another may have cost one more try.
        world.falls = 0;
        let before = [world.ends[0].sent, world.ends[1].sent];
        world.run(Duration::from_secs(60));
        prop_assert_eq!((world.falls, world.states()), (0, [State::Up; 2]));
        for (end, interval) in [(0, slowest(a, b)), (1, slowest(b, a))] {
            let sent = world.ends[end].sent - before[end];
            let least = u32::try_from(Duration::from_secs(59).as_nanos() / interval.as_nanos()).unwrap();
            prop_assert!((least..=least * 3 / 2 + 4).contains(&sent), "{sent} of {least}");
        }
    }

    #[test]
    fn a_cut_is_noticed_within_the_detection_time_and_mended_after_it(
        seed: u64, a in settings(), b in settings(), one_way: bool
    ) {
        let mut world = World::new(seed, [a, b]);
        world.weather.delay = DELAY;
        world.run(Duration::from_secs(10));
        prop_assert_eq!(world.states(), [State::Up; 2]);
        world.weather.cut = [true, !one_way];
        let detection = world.ends[1].sessions.session(0).unwrap().standing().detection;
        let both = detection.max(world.ends[0].sessions.session(0).unwrap().standing().detection);
        // What was on the way still arrives, and one that hears nothing tells the other.
        world.run(both + MS * 5);
        prop_assert!(world.ends.iter().all(|end| end.state != State::Up), "{:?}", world.states());
        world.run(Duration::from_secs(20));
        prop_assert!(world.ends.iter().all(|end| end.state != State::Up), "{:?}", world.states());
        world.weather.cut = [false; 2];
        world.run(Duration::from_secs(20));
        prop_assert_eq!(world.states(), [State::Up; 2]);
    }

    #[test]
    fn whatever_the_weather_both_are_up_once_it_is_fine(
        seed: u64, a in settings(), b in settings(), days in prop::collection::vec((0u64..100, 0u64..80_000, 0u8..4, 0u8..8), 1..8)
    ) {
        let mut world = World::new(seed, [a, b]);
        for (loss, delay, cut, event) in days {
            world.weather = Weather { loss, delay, cut: [cut & 1 != 0, cut & 2 != 0] };
            match event {
                0 => {
                    world.tell(0, Input::Stop);
                    world.run(MS * 200);
                    world.tell(0, Input::Start);
                }
                1 => world.tell(1, Input::Change(a)),
                _ => {}
            }
            world.run(Duration::from_secs(5));
        }
        world.weather = Weather { loss: 0, delay: DELAY, cut: [false; 2] };
        world.run(Duration::from_secs(40));
        prop_assert_eq!(world.states(), [State::Up; 2]);
    }

    #[test]
    fn any_bytes_are_a_packet_or_have_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(control) = evenkeel_bfd::Control::read(&bytes) {
            let mut written = control.write();
            // What is not understood is not written again: the control plane bit and the interval of echoes.
            written[1] |= bytes[1] & 0x08;
            written[20..].copy_from_slice(&bytes[20..]);
            prop_assert_eq!(&written[..], &bytes[..]);
        }
    }
}

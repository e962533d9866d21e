use super::*;
use evenkeel_machine::Rng;
use evenkeel_model::{Body, Http, HttpMethod, HttpRules, StatusSet};
use proptest::prelude::*;
use std::net::SocketAddr;

const SECOND: Duration = Duration::from_secs(1);

fn rhythm() -> Rhythm {
    Rhythm { every: 10 * SECOND, timeout: 3 * SECOND, retry_after: None, rise: 1, fall: 1, jitter_percent: 0 }
}

fn target() -> SocketAddr {
    "192.168.0.207:80".parse().unwrap()
}

fn tcp(rhythm: Rhythm) -> Check {
    Check::new(Probe::Tcp { target: target() }, rhythm)
}

fn http(connects_between: u32) -> Check {
    let http = Http {
        target: target(),
        tls: false,
        verify: false,
        server_name: None,
        host: "www".into(),
        method: HttpMethod::Get,
        path: "/".into(),
        status: StatusSet(vec![(200, 299)]),
        body: Body::Any,
        redirects: 0,
        size_cap: 1024,
        rules: HttpRules::default(),
    };
    Check { connects_between, ..Check::new(Probe::Http(http), rhythm()) }
}

fn good() -> Verdict {
    Verdict::good("connected", Duration::from_millis(1))
}

fn refused() -> Reason {
    Reason::Refused { target: target() }
}

fn bad() -> Verdict {
    Verdict::bad(refused(), Duration::from_millis(1))
}

/// A watch with its clock and the attempt it has in flight.
struct Bed {
    watch: Watch,
    now: Instant,
    out: Outbox<Output>,
    in_flight: Option<(u64, Which)>,
}

impl Bed {
    fn new(check: &Check) -> Bed {
        Bed { watch: Watch::new(check, Rng::new(7)), now: Instant::START, out: Outbox::new(), in_flight: None }
    }

    /// Outputs other than the orders and cancellations of attempts, which are followed here.
    fn news(&mut self) -> Vec<Output> {
        let mut news = Vec::new();
        for output in self.out.drain() {
            match output {
                Output::Probe { attempt, which } => {
                    assert_eq!(self.in_flight, None, "a second attempt was ordered while one is in flight");
                    self.in_flight = Some((attempt, which));
                }
                Output::Cancel { attempt } => {
                    assert_eq!(self.in_flight.map(|(number, _)| number), Some(attempt));
                    self.in_flight = None;
                }
                Output::Up | Output::Down { .. } | Output::Failed { .. } => news.push(output),
            }
        }
        news
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.watch.handle(self.now, input, &mut self.out);
        self.news()
    }

    fn due(&mut self) -> Vec<Output> {
        self.now = self.watch.deadline().expect("something is pending");
        self.watch.handle_timeout(self.now, &mut self.out);
        self.news()
    }

    /// Waits for the next attempt if none is in flight, and ends it.
    fn attempt(&mut self, verdict: Verdict) -> Vec<Output> {
        if self.in_flight.is_none() {
            assert_eq!(self.due(), []);
        }
        let (attempt, _) = self.in_flight.take().expect("an attempt is in flight");
        self.tell(Input::Verdict { attempt, verdict })
    }
}

#[test]
fn the_first_attempt_is_made_at_once_and_decides_when_one_suffices() {
    for (verdict, news) in [(good(), Output::Up), (bad(), Output::Down { why: refused() })] {
        let mut bed = Bed::new(&tcp(rhythm()));
        assert_eq!(bed.watch.deadline(), None);
        bed.tell(Input::Start);
        assert!(bed.in_flight.is_some());
        assert_eq!(bed.watch.status().state, State::Unknown);
        assert_eq!(bed.attempt(verdict), [news]);
    }
}

#[test]
fn rise_and_fall_count_attempts_in_a_row() {
    // g: good, b: bad; the state after each attempt: ?, U or D.
    let cases = [
        (1, 1, "gbgb", "UDUD"),
        (1, 3, "gbbgbbbg", "UUUUUUDU"),
        (2, 2, "ggbgbb", "?UUUUD"),
        (3, 1, "bggbggg", "DDDDDDU"),
        (2, 3, "bbgbbb", "?????D"),
    ];
    for (rise, fall, attempts, states) in cases {
        let mut bed = Bed::new(&tcp(Rhythm { rise, fall, ..rhythm() }));
        bed.tell(Input::Start);
        let seen: String = attempts
            .chars()
            .map(|attempt| {
                bed.attempt(if attempt == 'g' { good() } else { bad() });
                match bed.watch.status().state {
                    State::Unknown => '?',
                    State::Up => 'U',
                    State::Down => 'D',
                }
            })
            .collect();
        assert_eq!(seen, states, "rise {rise}, fall {fall}, attempts {attempts}");
    }
}

#[test]
fn every_is_measured_from_the_end_of_an_attempt() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.due();
    bed.now = bed.now + 2 * SECOND;
    bed.attempt(good());
    assert_eq!(bed.watch.next_attempt(), Some(bed.now + 10 * SECOND));
}

#[test]
fn watches_started_together_spread_out_after_their_first_attempt() {
    let mut seconds = [0; 10];
    for seed in 0..1000 {
        let mut watch = Watch::new(&tcp(rhythm()), Rng::new(seed));
        let mut out = Outbox::new();
        watch.handle(Instant::START, Input::Start, &mut out);
        watch.handle(Instant::START, Input::Verdict { attempt: 1, verdict: good() }, &mut out);
        let next = watch.next_attempt().unwrap().since_start();
        assert!(next <= 10 * SECOND);
        seconds[usize::try_from(next.as_secs()).unwrap().min(9)] += 1;
    }
    assert!(seconds.iter().all(|count| (50..200).contains(count)), "{seconds:?}");
}

#[test]
fn jitter_shortens_a_wait_by_no_more_than_its_share() {
    let mut bed = Bed::new(&tcp(Rhythm { jitter_percent: 20, ..rhythm() }));
    bed.tell(Input::Start);
    bed.attempt(good());
    let mut waits = Vec::new();
    for _ in 0..500 {
        bed.attempt(good());
        waits.push(bed.watch.next_attempt().unwrap() - bed.now);
    }
    assert!(waits.iter().all(|wait| (8 * SECOND..=10 * SECOND).contains(wait)));
    assert!(waits.iter().any(|wait| *wait < 9 * SECOND) && waits.iter().any(|wait| *wait > 9 * SECOND));
}

#[test]
fn a_failed_attempt_is_retried_sooner_until_the_state_is_decided() {
    let mut bed = Bed::new(&tcp(Rhythm { fall: 3, retry_after: Some(2 * SECOND), ..rhythm() }));
    bed.tell(Input::Start);
    bed.attempt(good());
    for expected in [2 * SECOND, 2 * SECOND, 10 * SECOND, 10 * SECOND] {
        bed.attempt(bad());
        assert_eq!(bed.watch.next_attempt(), Some(bed.now + expected));
    }
}

#[test]
fn a_retry_delay_longer_than_every_does_not_slow_the_check_down() {
    let mut bed = Bed::new(&tcp(Rhythm { fall: 2, retry_after: Some(60 * SECOND), ..rhythm() }));
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.attempt(bad());
    assert_eq!(bed.watch.next_attempt(), Some(bed.now + 10 * SECOND));
}

#[test]
fn an_attempt_nobody_reports_on_counts_as_timed_out_and_its_late_verdict_is_ignored() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.tell(Input::Begun { attempt: 1 });
    let news = bed.due();
    assert_eq!(bed.now, Instant::at(3 * SECOND + GRACE));
    assert_eq!(news, [Output::Down { why: Reason::Timeout { phase: Phase::Report, after: 4 * SECOND } }]);
    assert_eq!(bed.tell(Input::Verdict { attempt: 1, verdict: good() }), []);
    assert_eq!(bed.watch.status().state, State::Down);
    assert_eq!(bed.attempt(good()), [Output::Up]);
}

#[test]
fn an_attempt_may_wait_its_turn_but_not_for_ever() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.now = Instant::at(29 * SECOND);
    bed.watch.handle_timeout(bed.now, &mut bed.out);
    assert_eq!(bed.news(), []);
    bed.tell(Input::Begun { attempt: 1 });
    assert_eq!(bed.watch.deadline(), Some(Instant::at(33 * SECOND)));
    // Told twice, the deadline does not move.
    bed.now = Instant::at(32 * SECOND);
    bed.tell(Input::Begun { attempt: 1 });
    assert_eq!(bed.watch.deadline(), Some(Instant::at(33 * SECOND)));

    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    let news = bed.due();
    assert_eq!(bed.now, Instant::at(34 * SECOND));
    assert!(matches!(&news[..], [Output::Down { why }] if why.is_own_fault()), "{news:?}");
}

#[test]
fn a_recheck_is_made_at_once_or_right_after_the_attempt_in_flight() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.tell(Input::Recheck);
    assert_eq!(bed.in_flight, Some((2, Which::Main)));
    bed.tell(Input::Recheck);
    bed.tell(Input::Recheck);
    bed.attempt(good());
    assert_eq!(bed.in_flight, Some((3, Which::Main)));
    bed.attempt(good());
    assert_eq!(bed.in_flight, None);
}

#[test]
fn stop_cancels_and_forgets() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.due();
    bed.tell(Input::Stop);
    assert_eq!(bed.in_flight, None);
    assert_eq!((bed.watch.deadline(), bed.watch.status().state), (None, State::Unknown));
    assert_eq!(bed.tell(Input::Verdict { attempt: 2, verdict: bad() }), []);
    assert_eq!(bed.tell(Input::Recheck), []);
    bed.tell(Input::Start);
    assert_eq!(bed.in_flight, Some((3, Which::Main)));
}

#[test]
fn a_second_start_changes_nothing() {
    let mut bed = Bed::new(&tcp(rhythm()));
    bed.tell(Input::Start);
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.tell(Input::Start);
    assert_eq!(bed.in_flight, None);
}

#[test]
fn plain_connects_come_between_two_probes_and_a_failed_one_brings_the_probe_back() {
    let mut bed = Bed::new(&http(2));
    bed.tell(Input::Start);
    let mut seen = Vec::new();
    for verdict in [good(), good(), good(), good(), good(), bad(), bad(), good(), good()] {
        if bed.in_flight.is_none() {
            bed.due();
        }
        seen.push(bed.in_flight.unwrap().1);
        bed.attempt(verdict);
    }
    use Which::{Connect as C, Main as M};
    assert_eq!(seen, [M, C, C, M, C, C, M, M, C]);
}

#[test]
fn a_plain_connect_goes_to_the_target_of_the_probe() {
    let check = http(2);
    assert_eq!(Which::Connect.probe(&check), Probe::Tcp { target: target() });
    assert_eq!(Which::Main.probe(&check), check.probe);
}

#[test]
fn a_check_without_attempts_is_decided_at_the_start() {
    for (probe, news) in [(Probe::AlwaysOn, Output::Up), (Probe::AlwaysOff, Output::Down { why: Reason::AlwaysOff })] {
        let mut bed = Bed::new(&Check { connects_between: 3, ..Check::new(probe, rhythm()) });
        assert_eq!(bed.tell(Input::Start), [news]);
        assert_eq!((bed.watch.deadline(), bed.in_flight), (None, None));
        assert_eq!(bed.tell(Input::Recheck), []);
    }
}

#[test]
fn a_new_rhythm_changes_neither_state_nor_streak_and_takes_effect_in_the_wait_under_way() {
    let mut bed = Bed::new(&tcp(Rhythm { fall: 5, ..rhythm() }));
    bed.tell(Input::Start);
    bed.attempt(good());
    bed.attempt(bad());
    bed.attempt(bad());
    bed.watch.reconfigure(Rhythm { fall: 2, every: SECOND, ..rhythm() });
    assert_eq!(bed.watch.status().state, State::Up);
    assert_eq!(bed.watch.next_attempt(), Some(bed.now + SECOND));
    bed.watch.handle_timeout(bed.now, &mut bed.out);
    assert_eq!(bed.news(), []);
    assert_eq!(bed.attempt(bad()), [Output::Down { why: refused() }]);
}

#[test]
fn an_assumed_state_takes_a_full_run_to_leave() {
    let mut bed = Bed::new(&tcp(Rhythm { fall: 2, ..rhythm() }));
    bed.watch.assume(bed.now, State::Up);
    assert_eq!(bed.tell(Input::Start), []);
    assert_eq!(bed.attempt(bad()), [Output::Failed { why: refused() }]);
    assert_eq!(bed.attempt(bad()), [Output::Down { why: refused() }]);
}

#[test]
fn status_counts_from_the_attempts_that_changed_the_state() {
    let mut bed = Bed::new(&tcp(Rhythm { fall: 3, ..rhythm() }));
    bed.tell(Input::Start);
    bed.attempt(good());
    let last_good = bed.now;
    for _ in 0..14 {
        bed.attempt(bad());
    }
    let status = bed.watch.status();
    assert_eq!(status.counts, Counts { made: 14, failed: 14 });
    assert_eq!(status.last_good, Some(last_good));
    assert_eq!(status.last.as_ref().unwrap().verdict, bad());
    assert_eq!(status.streak, 14);
}

#[test]
fn extreme_rhythms_neither_spin_nor_overflow() {
    let zero = Duration::ZERO;
    let mut bed = Bed::new(&tcp(Rhythm { every: zero, timeout: zero, rise: 0, fall: 0, ..rhythm() }));
    bed.tell(Input::Start);
    assert_eq!(bed.attempt(good()), [Output::Up]);
    assert_eq!(bed.watch.next_attempt(), Some(bed.now + MIN_WAIT));

    let longest = Duration::MAX;
    let mut bed = Bed::new(&tcp(Rhythm { every: longest, timeout: longest, jitter_percent: 255, ..rhythm() }));
    bed.tell(Input::Start);
    assert_eq!(bed.attempt(good()), [Output::Up]);
    assert!(bed.watch.deadline().is_some());
}

/// Recounts what the watch should know from nothing but the verdicts it accepted.
struct Witness {
    state: State,
    run: u32,
    good: bool,
}

impl Witness {
    fn sees(&mut self, rhythm: Rhythm, good: bool) -> bool {
        self.run = if self.good == good { self.run.saturating_add(1) } else { 1 };
        self.good = good;
        let (reached, needed) = if good { (State::Up, rhythm.rise) } else { (State::Down, rhythm.fall) };
        let changes = self.state != reached && self.run >= needed;
        if changes {
            self.state = reached;
        }
        changes
    }
}

#[test]
fn ten_years_of_a_flapping_real_server() {
    let rhythm = Rhythm { every: 60 * SECOND, retry_after: Some(20 * SECOND), rise: 2, fall: 3, ..rhythm() };
    let mut bed = Bed::new(&tcp(Rhythm { jitter_percent: 10, ..rhythm }));
    let mut witness = Witness { state: State::Unknown, run: 0, good: false };
    let mut server = Rng::new(2026);
    let end = Instant::at(Duration::from_secs(10 * 365 * 86_400));
    let (mut alive, mut changes, mut attempts) = (true, 0_u64, 0_u64);
    bed.tell(Input::Start);
    while bed.now < end {
        if bed.in_flight.is_none() {
            assert_eq!(bed.due(), []);
        }
        // It dies and recovers about every hundred attempts and loses one answer in thirty.
        alive ^= server.chance(1);
        let good = alive && !server.chance(3);
        let (attempt, _) = bed.in_flight.expect("an attempt is in flight");
        let news = if server.below(1000) == 0 {
            // The probing process died: no verdict at all.
            bed.due()
        } else {
            bed.now = bed.now + Duration::from_millis(server.below(3000));
            bed.in_flight = None;
            bed.tell(Input::Verdict { attempt, verdict: if good { super::tests::good() } else { bad() } })
        };
        let good = bed.watch.status().last.as_ref().unwrap().verdict.is_good();
        let changed = witness.sees(rhythm, good);
        assert_eq!(bed.watch.status().state, witness.state);
        assert_eq!(changed, matches!(&news[..], [Output::Up | Output::Down { .. }]), "{news:?}");
        assert!(bed.watch.deadline().is_some());
        attempts += 1;
        changes += u64::from(changed);
    }
    assert!(attempts > 4_000_000, "{attempts}");
    assert!(changes > 10_000, "{changes}");
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    Stop,
    Begun,
    Good,
    Bad,
    Late(u64),
    Recheck,
    Wait(u64),
    Reconfigure(Rhythm),
}

fn any_rhythm() -> impl Strategy<Value = Rhythm> {
    (0_u64..5000, 0_u64..5000, proptest::option::of(0_u64..5000), 0_u32..4, 0_u32..4, 0_u8..=60).prop_map(
        |(every, timeout, retry, rise, fall, jitter_percent)| Rhythm {
            every: Duration::from_millis(every),
            timeout: Duration::from_millis(timeout),
            retry_after: retry.map(Duration::from_millis),
            rise,
            fall,
            jitter_percent,
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Start),
        1 => Just(Step::Stop),
        2 => Just(Step::Begun),
        6 => Just(Step::Good),
        6 => Just(Step::Bad),
        2 => (0_u64..40).prop_map(Step::Late),
        1 => Just(Step::Recheck),
        6 => (0_u64..60_000).prop_map(Step::Wait),
        1 => any_rhythm().prop_map(Step::Reconfigure),
    ]
}

proptest! {
    #[test]
    fn any_order_of_inputs_keeps_one_attempt_in_flight_and_a_deadline_set(
        rhythm in any_rhythm(), connects in 0_u32..3, steps in proptest::collection::vec(any_step(), 0..200)
    ) {
        let mut bed = Bed::new(&Check { rhythm, ..http(connects) });
        let mut started = false;
        for step in steps {
            // `Bed::news` asserts that no second attempt is ordered before the first has ended or is cancelled.
            match step {
                Step::Start => { bed.tell(Input::Start); started = true; }
                Step::Stop => { bed.tell(Input::Stop); started = false; }
                Step::Begun => if let Some((attempt, _)) = bed.in_flight { bed.tell(Input::Begun { attempt }); },
                Step::Good | Step::Bad => if let Some((attempt, _)) = bed.in_flight.take() {
                    let verdict = if matches!(step, Step::Good) { good() } else { bad() };
                    bed.tell(Input::Verdict { attempt, verdict });
                },
                Step::Late(attempt) => if bed.in_flight.is_none_or(|(current, _)| current != attempt) {
                    let before = bed.watch.status().clone();
                    prop_assert_eq!(bed.tell(Input::Verdict { attempt, verdict: bad() }), []);
                    prop_assert_eq!(&before, bed.watch.status());
                },
                Step::Recheck => { bed.tell(Input::Recheck); }
                Step::Wait(milliseconds) => {
                    bed.now = bed.now + Duration::from_millis(milliseconds);
                    bed.watch.handle_timeout(bed.now, &mut bed.out);
                    bed.news();
                }
                Step::Reconfigure(rhythm) => {
                    let before = bed.watch.status().clone();
                    bed.watch.reconfigure(rhythm);
                    prop_assert_eq!(&before, bed.watch.status());
                }
            }
            prop_assert_eq!(bed.watch.deadline().is_some(), started);
        }
    }
}

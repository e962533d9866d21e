//! The cases of tests/conformance/bfd, played on the machine in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../tests/conformance/table.rs"]
mod table;

use evenkeel_bfd::{Arrival, Control, Diagnostic, Input, Output, Sessions, Settings, State};
use evenkeel_machine::{Instant, Machine, Outbox, Rng};
use evenkeel_model::bfd::Reach;
use std::{
    net::IpAddr,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};
use table::{Case, Step, seconds};

const CASES: &str = include_str!("../../../tests/conformance/bfd/rfc5880.txt");
/// The neighbour's number of the session.
const THEIRS: u32 = 9;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One end on its stage.
struct Stage {
    now: Instant,
    sessions: Sessions,
    settings: Settings,
    said: Option<Control>,
}

impl Stage {
    fn new(words: &[&str], seed: u64) -> Stage {
        let mut settings = Settings {
            transmit: Duration::from_secs(1),
            receive: Duration::from_secs(1),
            idle: Duration::from_secs(1),
            multiplier: NonZeroU8::new(5).unwrap(),
            passive: false,
        };
        let mut reach = Reach { multihop: false, hops: 255, least_hops: 0 };
        for word in words {
            match word.split_once('=') {
                Some(("hops", least)) => reach.least_hops = least.parse().unwrap(),
                None if *word == "passive" => settings.passive = true,
                None if *word == "multihop" => reach.multihop = true,
                pair => set(&mut settings, pair.unwrap()),
            }
        }
        let mut sessions = Sessions::new(Rng::new(seed));
        sessions.add(settings, address("10.0.0.3"), None, reach).unwrap();
        Stage { now: Instant::START, sessions, settings, said: None }
    }

    fn mine(&self) -> u32 {
        self.sessions.session(0).unwrap().discriminator().get()
    }

    fn hear(&mut self, words: &[&str]) -> String {
        let mut control = Control {
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            poll: false,
            is_final: false,
            demand: false,
            multiplier: NonZeroU8::new(5).unwrap(),
            mine: NonZeroU32::new(THEIRS).unwrap(),
            yours: self.mine(),
            transmit: Duration::from_secs(1),
            receive: Duration::from_millis(10),
        };
        let (mut hops, mut source, mut multihop) = (255, "10.0.0.3", false);
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("AdminDown", _) => control.state = State::AdminDown,
                ("Down", _) => control.state = State::Down,
                ("Init", _) => control.state = State::Init,
                ("Up", _) => control.state = State::Up,
                ("poll", _) => control.poll = true,
                ("final", _) => control.is_final = true,
                ("demand", _) => control.demand = true,
                ("tx", value) => control.transmit = seconds(value),
                ("rx", value) => control.receive = seconds(value),
                ("mult", value) => control.multiplier = value.parse().unwrap(),
                ("diag", "1") => control.diagnostic = Diagnostic::EXPIRED,
                ("yours", "0") => control.yours = 0,
                ("yours", "wrong") => control.yours = !control.yours,
                ("hops", value) => hops = value.parse().unwrap(),
                ("from", value) => source = value,
                ("port", "multihop") => multihop = true,
                _ => panic!("{word}"),
            }
        }
        self.arrive(&control.write(), source, hops, multihop)
    }

    fn raw(&mut self, words: &[&str]) -> String {
        let hex = words.concat().replace("MMMMMMMM", &format!("{:08x}", self.mine()));
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        self.arrive(&bytes, "10.0.0.3", 255, false)
    }

    fn arrive(&mut self, bytes: &[u8], source: &str, hops: u8, multihop: bool) -> String {
        let (source, destination) = (address(source), address("10.0.0.2"));
        let arrival = Arrival { source, destination, hops: Some(hops), multihop, bytes };
        match self.sessions.find(&arrival) {
            Ok((place, control)) => self.tell(place, Input::Received(control)),
            Err((place, reason)) => {
                let drops = place.map_or(self.sessions.strangers(), |place| self.sessions.drops(place).unwrap());
                assert!(drops.of(reason) > 0, "{reason:?} is counted");
                format!("dropped {reason:?}")
            }
        }
    }

    fn tell(&mut self, place: usize, input: Input) -> String {
        let mut out = Outbox::new();
        self.sessions.handle(self.now, (place, input), &mut out);
        self.take(out)
    }

    fn wake(&mut self) -> String {
        let mut out = Outbox::new();
        self.sessions.handle_timeout(self.now, &mut out);
        self.take(out)
    }

    fn take(&mut self, mut out: Outbox<(usize, Output)>) -> String {
        let mut words = Vec::new();
        while let Some((_, output)) = out.pop() {
            match output {
                Output::Send(control) => {
                    let flag = |set: bool, word: &'static str| if set { word } else { "" };
                    let (poll, is_final) = (flag(control.poll, " poll"), flag(control.is_final, " final"));
                    words.push(format!("send {}{poll}{is_final}", control.state));
                    self.said = Some(control);
                }
                Output::Turned { to, diagnostic, .. } => {
                    let why = match diagnostic {
                        Diagnostic::EXPIRED => " expired",
                        Diagnostic::NEIGHBOUR_DOWN => " neighbour",
                        _ => "",
                    };
                    words.push(format!("{}{why}", to.to_string().to_lowercase()));
                }
                Output::Late { .. } => words.push("late".to_owned()),
                Output::Agreed => {}
            }
        }
        words.join(", ")
    }

    /// Runs what is due until `end`; gives the first thing that was said by itself, and leaves the time there.
    fn run(&mut self, end: Instant) -> Option<String> {
        while let Some(due) = self.sessions.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let text = self.wake();
            if !text.is_empty() {
                return Some(text);
            }
        }
        self.now = end;
        None
    }

    fn check(&self, word: &str) {
        let (key, value) = word.split_once('=').unwrap();
        let standing = self.sessions.session(0).unwrap().standing();
        let said = self.said.as_ref();
        match key {
            "transmit" => assert_eq!(standing.transmit, seconds(value)),
            "receive" => assert_eq!(standing.receive, seconds(value)),
            "detection" => assert_eq!(standing.detection, seconds(value)),
            "tx" => assert_eq!(said.unwrap().transmit, seconds(value)),
            "rx" => assert_eq!(said.unwrap().receive, seconds(value)),
            "mult" => assert_eq!(said.unwrap().multiplier, value.parse().unwrap()),
            "yours" => assert_eq!(said.unwrap().yours, value.parse::<u32>().unwrap()),
            "diag" => assert_eq!(said.unwrap().diagnostic.code(), value.parse::<u8>().unwrap()),
            _ => panic!("{word}"),
        }
    }
}

fn set(settings: &mut Settings, (key, value): (&str, &str)) {
    match key {
        "tx" => settings.transmit = seconds(value),
        "rx" => settings.receive = seconds(value),
        "idle" => settings.idle = seconds(value),
        "mult" => settings.multiplier = value.parse().unwrap(),
        _ => panic!("{key}"),
    }
}

fn play(Case { name, player, steps }: &Case, seed: u64) {
    let mut stage = Stage::new(player, seed);
    for Step { line, input, wanted } in steps {
        let (&first, rest) = input.split_first().unwrap();
        let said = match (first, rest) {
            ("hear", words) => stage.hear(words),
            ("raw", words) => stage.raw(words),
            ("start", []) => stage.tell(0, Input::Start),
            ("stop", []) => stage.tell(0, Input::Stop),
            ("change", words) => {
                words.iter().for_each(|word| set(&mut stage.settings, word.split_once('=').unwrap()));
                stage.tell(0, Input::Change(stage.settings))
            }
            ("wake", []) => stage.wake(),
            ("within", [least, most]) => {
                let begun = stage.now;
                let text = stage.run(begun + seconds(most)).unwrap_or_default();
                assert!(stage.now - begun >= seconds(least), "{name}: {line}: after {:?}", stage.now - begun);
                text
            }
            ("sends", [least, most, time]) => {
                let end = stage.now + seconds(time);
                let mut last = None;
                while let Some(text) = stage.run(end) {
                    assert!(text.starts_with("send ") && !text.contains(','), "{name}: {line}: {text}");
                    if let Some(last) = last {
                        let passed = stage.now - last;
                        assert!((seconds(least)..=seconds(most)).contains(&passed), "{name}: {line}: {passed:?}");
                    }
                    last = Some(stage.now);
                }
                assert!(last.is_some(), "{name}: {line}");
                String::new()
            }
            ("quiet", [time]) => stage.run(stage.now + seconds(time)).unwrap_or_default(),
            ("frozen", [time]) => {
                stage.now = stage.now + seconds(time);
                continue;
            }
            ("said" | "is", words) => {
                words.iter().for_each(|word| stage.check(word));
                continue;
            }
            _ => panic!("{line}"),
        };
        assert_eq!(said, *wanted, "{name}: {line}");
    }
}

#[test]
fn every_case_of_the_rfc_is_kept_whatever_the_jitter() {
    let cases = table::read(CASES, "session");
    assert!(cases.len() >= 50, "only {}", cases.len());
    for seed in 0..50 {
        cases.iter().for_each(|case| play(case, seed));
    }
}

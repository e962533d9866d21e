//! The cases of tests/conformance/vrrp, played on the machine in virtual time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../tests/conformance/table.rs"]
mod table;

use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{Preempt, Priority, Rounds};
use evenkeel_vrrp::{Heard, Input, Instance, Output, Role, Settings};
use std::{net::IpAddr, time::Duration};
use table::{Case, Step, seconds};

const CASES: &str = include_str!("../../../tests/conformance/vrrp/rfc9568.txt");

/// One router on its stage.
struct Stage {
    now: Instant,
    instance: Instance,
    interval: Duration,
    found: Option<Duration>,
}

impl Stage {
    fn new(words: &[&str]) -> Stage {
        let mut settings = Settings {
            priority: Priority::DEFAULT,
            interval: Duration::from_secs(1),
            down_adverts: 3,
            preempt: Preempt::After(Duration::ZERO),
            answer_lower: true,
            rounds: Rounds { refresh: Duration::ZERO, ..Rounds::default() },
        };
        let mut address: IpAddr = "10.0.0.2".parse().unwrap();
        for (key, value) in words.iter().map(|word| word.split_once('=').unwrap()) {
            match key {
                "priority" => settings.priority = Priority::new(value.parse().unwrap()).unwrap(),
                "interval" => settings.interval = seconds(value),
                "preempt" if value == "no" => settings.preempt = Preempt::No,
                "preempt" => settings.preempt = Preempt::After(seconds(value)),
                "address" => address = value.parse().unwrap(),
                _ => panic!("{key}"),
            }
        }
        let interval = settings.interval;
        let mut instance = Instance::new(settings);
        instance.handle(Instant::START, Input::Address(Some(address)), &mut Outbox::new());
        Stage { now: Instant::START, instance, interval, found: None }
    }

    fn input(&self, words: &[&str]) -> Input {
        match *words {
            ["start"] => Input::Start { since_renewal: self.found },
            ["stop"] => Input::Stop { patience: Duration::ZERO },
            ["stop", patience] => Input::Stop { patience: seconds(patience) },
            ["hear", source, priority, ref interval @ ..] => Input::Heard(Heard {
                source: source.parse().unwrap(),
                priority: priority.parse().unwrap(),
                interval: interval.first().map_or(self.interval, |interval| seconds(interval)),
                other_addresses: false,
            }),
            ["broken"] => Input::Broken(true),
            ["mended"] => Input::Broken(false),
            ["address", address] => Input::Address(address.parse().ok()),
            ["adjust", by] => Input::Adjust(by.parse().unwrap()),
            ["ready"] => Input::Ready(true),
            ["unready"] => Input::Ready(false),
            ["unreachable", source] => Input::Unreachable(source.parse().unwrap()),
            _ => panic!("{words:?}"),
        }
    }

    fn tell(&mut self, input: Input) -> String {
        let mut out = Outbox::new();
        self.instance.handle(self.now, input, &mut out);
        said(out, true)
    }

    fn wake(&mut self) -> String {
        let mut out = Outbox::new();
        self.instance.handle_timeout(self.now, &mut out);
        said(out, false)
    }

    /// Runs what is due until `end`; gives the first thing that was said by itself, and leaves the time there.
    fn run(&mut self, end: Instant) -> Option<String> {
        while let Some(due) = self.instance.deadline().filter(|due| *due <= end) {
            self.now = due;
            let text = self.wake();
            if !text.is_empty() {
                return Some(text);
            }
        }
        self.now = end;
        None
    }
}

/// As the cases write it; a renewal by itself says nothing.
fn said(mut out: Outbox<Output>, all: bool) -> String {
    let outputs: Vec<Output> = out.drain().collect();
    let claims = all || outputs.iter().any(|output| matches!(output, Output::Turned { .. }));
    let words = outputs.iter().filter_map(|output| match output {
        Output::Advertise { priority } => Some(format!("advertise {priority}")),
        Output::Hold => claims.then(|| "hold".to_owned()),
        Output::Release => Some("release".to_owned()),
        Output::Announce { rounds } => Some(format!("announce {rounds}")),
        Output::Turned { to, .. } => Some(
            match to {
                Role::Stopped => "stopped",
                Role::Backup => "backup",
                Role::Master => "master",
                Role::Leaving => "leaving",
                Role::Fault => "fault",
            }
            .to_owned(),
        ),
        Output::Candidate | Output::Noticed(_) => None,
    });
    words.collect::<Vec<_>>().join(", ")
}

fn play(Case { name, player, steps }: &Case) {
    let mut stage = Stage::new(player);
    for Step { line, input, wanted } in steps {
        match input[..] {
            ["after", time] => {
                let due = stage.now + seconds(time);
                let text = stage.run(due + Duration::from_secs(600));
                assert_eq!((text.as_deref(), stage.now), (Some(*wanted), due), "{name}: {line}");
            }
            // Time in which it says nothing, or nothing is asked of what it says.
            ["quiet", time] => {
                let text = stage.run(stage.now + seconds(time));
                assert_eq!(text, None, "{name}: {line}");
            }
            ["pass", time] => {
                let end = stage.now + seconds(time);
                while stage.run(end).is_some() {}
            }
            // The process does not run.
            ["frozen", time] => stage.now = stage.now + seconds(time),
            ["found", time] => stage.found = Some(seconds(time)),
            ["wake"] => assert_eq!(stage.wake(), *wanted, "{name}: {line}"),
            _ => {
                let input = stage.input(input);
                assert_eq!(stage.tell(input), *wanted, "{name}: {line}");
            }
        }
    }
}

#[test]
fn every_case_of_the_rfc_is_kept() {
    let cases = table::read(CASES, "router");
    assert!(cases.len() >= 30, "only {}", cases.len());
    cases.iter().for_each(play);
}

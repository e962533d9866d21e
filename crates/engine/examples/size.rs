//! Times and memory of the engine alone with 10 000 services of 10 real servers: `cargo run --release --example size`.
#![allow(clippy::expect_used, reason = "an example")]

#[path = "../tests/bed/mod.rs"]
mod bed;

use bed::*;
use evenkeel_dataplane::Table;
use evenkeel_engine::{Effect, Input, Start};
use evenkeel_health::Verdict;
use evenkeel_machine::{Instant as At, Machine, Outbox};
use evenkeel_model::{Cluster, Weight};
use std::time::{Duration, Instant};

fn large() -> Cluster {
    let service = |number: u32| {
        let real = |server: u32| {
            let target = format!("10.{}.{}.{server}:80", number / 250, number % 250 + 1);
            let mut real = real_server(&format!("real-{server}"), &target, 10);
            real.check = http(&target, "/health").into();
            real
        };
        let vip = format!("172.16.{}.{}:80", number / 250, number % 250 + 1);
        service(&format!("web-{number}"), &vip, (1..=10).map(real).collect())
    };
    cluster((0..10_000).map(service).collect())
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("RssAnon")).unwrap_or("RssAnon ?").to_owned()
}

fn drain(engine: &mut evenkeel_engine::Balance, now: At, out: &mut Outbox<Effect>, verdicts: bool) -> (usize, usize) {
    let (mut changes, mut probes) = (0, 0);
    while let Some(effect) = out.pop() {
        let input = match effect {
            Effect::Program { batch, changes: batch_changes } => {
                changes += batch_changes.len();
                Input::Programmed { batch, outcome: Ok(()) }
            }
            Effect::Probe(order) if verdicts => {
                probes += 1;
                let verdict = Verdict::good("200, 12 bytes", Duration::from_millis(3));
                Input::Verdict { check: order.check, attempt: order.attempt, verdict }
            }
            _ => continue,
        };
        engine.handle(now, input, out);
    }
    (changes, probes)
}

fn main() {
    println!("at first: {}", resident());
    let cluster = large();
    println!("with the cluster: {}", resident());
    let now = At::at(Duration::from_secs(1));
    let mut engine = engine(1);
    let mut out = Outbox::new();
    let start = Start { cluster, observed: Table::default(), ..Start::default() };
    let begun = Instant::now();
    engine.handle(now, Input::Start(Box::new(start)), &mut out);
    let (changes, _) = drain(&mut engine, now, &mut out, true);
    println!("start: {:?}, {changes} changes, {}", begun.elapsed(), resident());
    let begun = Instant::now();
    let (mut at, mut probes) = (now, 0);
    while let Some(next) = engine.deadline().filter(|next| *next < now + Duration::from_secs(11)) {
        at = next;
        engine.handle_timeout(at, &mut out);
        probes += drain(&mut engine, at, &mut out, true).1;
    }
    println!("11 s with {probes} attempts: {:?}, {}", begun.elapsed(), resident());
    for weight in [11, 12, 13] {
        let mut changed = large();
        changed.services[7_777].real_servers[3].weight = Weight::new(weight).expect("small");
        println!("before a reload: {}", resident());
        let begun = Instant::now();
        engine.handle(at, Input::Reload { cluster: Box::new(changed), token: None }, &mut out);
        let (changes, _) = drain(&mut engine, at, &mut out, false);
        println!("reload: {:?}, {changes} changes, {}", begun.elapsed(), resident());
    }
}

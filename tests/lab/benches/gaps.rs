//! How long a client is without its virtual address, under evenkeel and under keepalived: two directors of the same program on
//! one switch, and what may become of the master.
//!
//! Prints a section of docs/benchmarks.md. Needs root; where keepalived is not installed, evenkeel is measured alone.
//! `EVENKEEL_RUNS` makes another number of runs, `EVENKEEL_INTERVALS` takes these intervals alone: `10,100`, and
//! `EVENKEEL_EVENTS` these events: `heal,link down`.
#![allow(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

#[path = "../tests/pair/mod.rs"]
mod pair;

use evenkeel_lab_tests::{can_run, pings::PACE};
use pair::{Pair, Player, Wire, has_keepalived};
use std::time::{Duration, Instant};

/// Of each player, event and interval; the players in turn.
const RUNS: usize = 10;
/// Milliseconds between two adverts.
const INTERVALS: [u32; 3] = [1000, 100, 10];
/// Intervals in which everything is over, and milliseconds besides.
const SETTLED: u32 = 6;
const BESIDES: u32 = 1000;

/// What happens to the master.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Happens {
    Stop,
    KillDaemon,
    KillAll,
    LinkDown,
    Partition,
    Heal,
}

const EVENTS: [(Happens, &str); 6] = [
    (Happens::Stop, "stop"),
    (Happens::KillDaemon, "kill -9 of the daemon"),
    (Happens::KillAll, "kill -9 of everything"),
    (Happens::LinkDown, "link down"),
    (Happens::Partition, "partition"),
    (Happens::Heal, "heal"),
];

/// What one run has shown.
#[derive(Clone, Copy, Debug)]
struct Run {
    lost: u32,
    gap: Duration,
    /// From the kill of everything until the dead node has the address no more; [`Duration::MAX`]: not within the run.
    stale: Option<Duration>,
}

fn run(player: Player, interval: u32, happens: Happens) -> Run {
    let mut pair = Pair::new(Wire::V3, [player; 2]).every(interval);
    pair.start(0);
    pair.wait_owners(&[0]);
    pair.start(1);
    pair.wait_backup(1);
    if happens == Happens::Heal {
        pair.split();
        pair.wait_owners(&[0, 1]);
    }
    let probe = pair.probe();
    let pings = |milliseconds: u32| milliseconds / PACE.subsec_millis().max(1);
    probe.wait_for(pings(200));
    let begun = Instant::now();
    match happens {
        Happens::Stop => pair.stop(0),
        Happens::KillDaemon => {
            pair.kill(0);
            // keepalived begins its child again by itself, evenkeel is begun again by its service manager.
            if player == Player::Evenkeel {
                pair.start(0);
            }
        }
        Happens::KillAll => pair.kill_all(0),
        Happens::LinkDown => pair.cut_off(0),
        Happens::Partition => pair.split(),
        Happens::Heal => pair.heal(),
    }
    let end = begun + Duration::from_millis(u64::from(SETTLED * interval + BESIDES));
    let mut stale = None;
    while Instant::now() < end {
        if happens == Happens::KillAll && stale.is_none() && !pair.owners().contains(&0) {
            stale = Some(begun.elapsed());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let report = probe.stop();
    let stale = (happens == Happens::KillAll).then_some(stale.unwrap_or(Duration::MAX));
    Run { lost: report.lost, gap: report.longest, stale }
}

fn median<T: Copy + Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Lost pings and the longest gap in milliseconds, medians with the worst.
fn cell(runs: &[Run]) -> String {
    let lost = median(runs.iter().map(|run| run.lost)).unwrap_or_default();
    let (gaps, worst) = (runs.iter().map(|run| run.gap), runs.iter().map(|run| run.gap).max());
    let gap = median(gaps).unwrap_or_default().as_millis();
    let mut text = format!("{lost} / {gap} ({})", worst.unwrap_or_default().as_millis());
    match median(runs.iter().filter_map(|run| run.stale)) {
        Some(Duration::MAX) => text += ", stays",
        Some(stale) => text += &format!(", gone after {}", stale.as_millis()),
        None => {}
    }
    text
}

fn main() {
    if !can_run() {
        return;
    }
    let runs = std::env::var("EVENKEEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let intervals = std::env::var("EVENKEEL_INTERVALS").ok().map_or_else(
        || INTERVALS.to_vec(),
        |names| names.split(',').map(|name| name.trim().parse().expect("milliseconds")).collect(),
    );
    let events = std::env::var("EVENKEEL_EVENTS").unwrap_or_else(|_| EVENTS.map(|(_, name)| name).join(","));
    let mut players = vec![Player::Evenkeel];
    if has_keepalived() {
        players.push(Player::Keepalived);
    }
    println!("## Gaps of a client\n");
    println!(
        "VRRP version 3, two directors of the same program on one switch; the master is the one with the higher priority. A client \
         pings the virtual address every {} ms: pings lost / longest time without an answer in ms (worst run), medians of {runs} \
         runs, the programs in turn. *kill -9 of everything*: when the dead node has the address no more, in ms. keepalived's \
         daemon is the child that holds elections; evenkeel has one process, which is begun again \
         at once, as a service manager does it.\n",
        PACE.as_millis()
    );
    println!("| event | adverts every | evenkeel | keepalived |\n|---|---|---|---|");
    for (happens, name) in EVENTS.into_iter().filter(|(_, name)| events.split(',').any(|event| event.trim() == *name)) {
        for &interval in &intervals {
            let mut seen = [Vec::new(), Vec::new()];
            for number in 0..runs {
                for (player, seen) in players.iter().zip(&mut seen) {
                    let one = run(*player, interval, happens);
                    eprintln!("gaps: {name}, {interval} ms, {player:?}, run {}: {one:?}", number + 1);
                    seen.push(one);
                }
            }
            let [ours, theirs] = seen.map(|runs| if runs.is_empty() { String::new() } else { cell(&runs) });
            println!("| {name} | {interval} ms | {ours} | {theirs} |");
        }
    }
}

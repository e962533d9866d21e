//! What the pair of document 003 does when something happens to its first node, under evenkeel and under heartbeat 3.0.6.
//!
//! Prints a section of docs/benchmarks.md. Needs root; where heartbeat is not installed, evenkeel is measured alone.
//! `EVENKEEL_RUNS` makes another number of runs, `EVENKEEL_AT_ONCE` so many of one program beside each other, `EVENKEEL_TIMES`
//! takes these keepalives and dead times alone, the document's for example: `2000/30000,200/600`.
#![allow(clippy::expect_used, reason = "a benchmark that cannot run says why and ends")]

#[path = "../tests/duo/mod.rs"]
mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{
    can_run,
    heartbeat::has_heartbeat,
    pings::{PACE, Probe, Report},
};
use std::{
    collections::BTreeMap,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Of each player at each pace; the players in turn.
const RUNS: usize = 10;
/// Pairs of one player beside each other: most of a run is waiting.
const AT_ONCE: usize = 10;
/// Between the beginnings of two of them: a start takes a CPU for a second, which the others shall not wait for.
const APART: Duration = Duration::from_millis(2500);
/// Keepalive and dead time in ms; the first are the document's.
const TIMES: [(u32, u32); 4] = [(2000, 30_000), (1000, 3000), (200, 600), (50, 150)];
/// What a step may take besides some dead times.
const BESIDES: Duration = Duration::from_secs(60);
/// How long an owner stays alone, besides two dead times, to be taken for the last one.
const CALM: Duration = Duration::from_secs(4);
/// For its first five seconds a node asks the others to wait two longer for it, which its status does not show: what is
/// done to a node is done later.
const PATIENT: Duration = Duration::from_secs(6);
/// How long a client still pings when the address has moved.
const AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    ColdStart,
    Stop,
    FailBack,
    LinksDown,
    HealNobody,
    HealBoth,
    Kill,
    KillGap,
    KillBoth,
}

const MEASURES: [(Measure, &str); 9] = [
    (Measure::ColdStart, "cold start of both: until the address is there"),
    (Measure::Stop, "clean stop: gap"),
    (Measure::FailBack, "fail-back: gap"),
    (Measure::LinksDown, "all links down: taken over after"),
    (Measure::HealNobody, "the split heals: nobody has the address"),
    (Measure::HealBoth, "the split heals: two have it"),
    (Measure::Kill, "kill -9 of the daemon: taken over after"),
    (Measure::KillGap, "kill -9 of the daemon: gap"),
    (Measure::KillBoth, "kill -9 of the daemon: two have it"),
];

/// Something that does not end by itself.
const NEVER: Duration = Duration::MAX;

/// How the address moved.
struct Watched {
    /// From the beginning until it was where it had to be; [`NEVER`]: not within the time there was.
    after: Duration,
    nobody: Duration,
    both: Duration,
}

/// Who has the address. The nodes are asked one after the other, so that an address that moves meanwhile looks as if it was
/// on both or none: those are asked again.
fn owners(duo: &Duo) -> Vec<usize> {
    let owners = duo.owners();
    if owners.len() == 1 { owners } else { duo.owners() }
}

fn watch(duo: &Duo, begun: Instant, limit: Duration, mut done: impl FnMut(&[usize], Instant) -> bool) -> Watched {
    let mut watched = Watched { after: NEVER, nobody: Duration::ZERO, both: Duration::ZERO };
    let mut last = begun;
    let mut known = None;
    while last - begun < limit {
        let owners = owners(duo);
        let now = Instant::now();
        if known.as_ref() != Some(&owners) {
            eprintln!(
                "cluster:   {:?} after {} ms the address is at {owners:?}",
                std::thread::current().id(),
                (now - begun).as_millis()
            );
            known = Some(owners.clone());
        }
        match owners.len() {
            0 => watched.nobody += now - last,
            1 => {}
            _ => watched.both += now - last,
        }
        last = now;
        if done(&owners, now) {
            watched.after = now - begun;
            break;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    watched
}

/// Watches until one has had the address alone for long enough, and the node that was `started` last asks for no more than
/// the dead time; says who.
fn calm(duo: &Duo, started: Instant, deadtime: Duration, limit: Duration) -> (Watched, Option<usize>) {
    let mut alone: Option<(usize, Instant)> = None;
    let watched = watch(duo, Instant::now(), limit, |owners, now| {
        alone = match (owners, alone) {
            (&[owner], Some((known, since))) if owner == known => Some((owner, since)),
            (&[owner], _) => Some((owner, now)),
            _ => None,
        };
        alone.is_some_and(|(_, since)| now - since > 2 * deadtime + CALM) && now - started > PATIENT
    });
    let owner = alone.filter(|_| watched.after != NEVER).map(|(owner, _)| owner);
    (watched, owner)
}

/// A client that has begun to ping.
fn client(duo: &Duo) -> Probe {
    let probe = duo.probe();
    probe.wait_for(100);
    probe
}

fn finish(probe: Probe) -> Report {
    let end = Instant::now() + AFTER;
    while Instant::now() < end {
        std::thread::park_timeout(PACE);
    }
    probe.stop()
}

type Results = BTreeMap<Measure, Vec<Duration>>;

/// One life of a pair: what was measured, also where it came to an end before its time.
fn run(player: Player, time: (u32, u32)) -> Results {
    let mut results = Results::new();
    if let Err(end) = live(player, time, &mut results) {
        eprintln!("cluster: a run of {player:?} ended early: {end}");
    }
    results
}

fn live(player: Player, (keepalive, deadtime): (u32, u32), results: &mut Results) -> Result<(), &'static str> {
    let mut duo = Duo::new([player; 2], Files::quick(keepalive, deadtime));
    let deadtime = Duration::from_millis(deadtime.into());
    let limit = 6 * deadtime + BESIDES;
    let mut note = |measure, value| results.entry(measure).or_default().push(value);

    let begun = Instant::now();
    duo.start(0);
    duo.start(1);
    let started = Instant::now();
    note(Measure::ColdStart, watch(&duo, begun, limit, |owners, _| !owners.is_empty()).after);
    if calm(&duo, started, deadtime, limit).1 != Some(0) {
        return Err("the first node never had the address alone");
    }

    let probe = client(&duo);
    duo.stop(0);
    let moved = watch(&duo, Instant::now(), limit, |owners, _| *owners == [1]);
    let report = finish(probe);
    if moved.after == NEVER {
        return Err("a clean stop moved nothing");
    }
    note(Measure::Stop, report.longest);

    let probe = client(&duo);
    duo.start(0);
    let started = Instant::now();
    let moved = watch(&duo, Instant::now(), limit, |owners, _| *owners == [0]);
    let report = finish(probe);
    if moved.after == NEVER {
        return Err("nothing came back");
    }
    note(Measure::FailBack, report.longest);
    if calm(&duo, started, deadtime, limit).1 != Some(0) {
        return Err("the first node did not keep what came back");
    }

    let begun = Instant::now();
    duo.cables(0, "down");
    note(Measure::LinksDown, watch(&duo, begun, limit, |owners, _| owners.contains(&1)).after);
    // What a node does that has no link is over when the dead time has run out for it as well.
    let _ = watch(&duo, Instant::now(), deadtime + AFTER, |_, _| false);
    duo.cables(0, "up");
    let (healed, owner) = calm(&duo, started, deadtime, limit);
    note(Measure::HealNobody, healed.nobody);
    note(Measure::HealBoth, healed.both);
    let owner = owner.ok_or("no single owner after the heal")?;
    let peer = 1 - owner;

    let probe = client(&duo);
    let begun = Instant::now();
    duo.kill(owner);
    let mut taken = None;
    let killed = watch(&duo, begun, 3 * deadtime + CALM, |owners, now| {
        if owners.contains(&peer) {
            taken.get_or_insert(now - begun);
        }
        false
    });
    let stays = owners(&duo).contains(&owner);
    note(Measure::KillGap, finish(probe).longest);
    note(Measure::Kill, taken.unwrap_or(NEVER));
    note(Measure::KillBoth, if stays { NEVER } else { killed.both });
    Ok(())
}

/// Median and worst in milliseconds.
fn cell(values: Option<&Vec<Duration>>) -> String {
    let mut values = values.cloned().unwrap_or_default();
    values.sort_unstable();
    let show = |value: &Duration| if *value == NEVER { "no end".to_owned() } else { value.as_millis().to_string() };
    match (values.get(values.len() / 2), values.last()) {
        (Some(median), Some(worst)) if values.len() > 1 => format!("{} ({})", show(median), show(worst)),
        (Some(only), _) => show(only),
        _ => "-".to_owned(),
    }
}

fn times() -> Vec<(u32, u32)> {
    let Ok(names) = std::env::var("EVENKEEL_TIMES") else { return TIMES.to_vec() };
    let pair = |name: &str| {
        let (keepalive, deadtime) = name.trim().split_once('/')?;
        Some((keepalive.parse().ok()?, deadtime.parse().ok()?))
    };
    names.split(',').map(|name| pair(name).expect("EVENKEEL_TIMES is keepalive/deadtime in milliseconds")).collect()
}

/// Begins one life beside others.
fn begin(player: Player, time: (u32, u32)) -> JoinHandle<Results> {
    let life = std::thread::spawn(move || run(player, time));
    std::thread::sleep(APART);
    life
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default).max(1)
}

fn main() {
    if !can_run() {
        return;
    }
    let (runs, at_once) = (setting("EVENKEEL_RUNS", RUNS), setting("EVENKEEL_AT_ONCE", AT_ONCE));
    let only = std::env::var("EVENKEEL_PLAYER").ok();
    let plays = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut players = Vec::new();
    if plays("evenkeel") {
        players.push(Player::Evenkeel);
    }
    if plays("heartbeat") && has_heartbeat() {
        players.push(Player::Heartbeat);
    }
    println!("## A heartbeat pair\n");
    println!(
        "The pair of document 003, an address and nginx that prefer the first node, both nodes of the same program; heartbeats\n\
         on both cables, `initdead` at least 10 s. Milliseconds, medians of {runs} runs (worst), the programs in turn, {at_once} pairs\n\
         beside each other. A *gap* is the longest time in which a client that pings the address every {} ms had no answer; the\n\
         rest is who has the address, asked every 2 ms. *no end*: not within the {} s and more that were watched; *-*: no run\n\
         came so far.\n",
        PACE.as_millis(),
        CALM.as_secs(),
    );
    println!("| event | keepalive / deadtime | evenkeel | heartbeat 3.0.6 |\n|---|---|---|---|");
    let times = times();
    let mut all = Vec::new();
    for &time in &times {
        let mut seen = [Results::new(), Results::new()];
        for first in (0..runs).step_by(at_once) {
            for player in &players {
                let results = &mut seen[usize::from(*player == Player::Heartbeat)];
                let count = at_once.min(runs - first);
                eprintln!("cluster: {time:?} ms, {player:?}, {count} runs from {} on", first + 1);
                let lives: Vec<_> = (0..count).map(|_| begin(*player, time)).collect();
                for life in lives {
                    for (measure, values) in life.join().expect("a run ends") {
                        results.entry(measure).or_default().extend(values);
                    }
                }
            }
        }
        all.push((time, seen));
    }
    for (measure, name) in MEASURES {
        for ((keepalive, deadtime), seen) in &all {
            let [ours, theirs] = seen.each_ref().map(|results| cell(results.get(&measure)));
            println!("| {name} | {keepalive} / {deadtime} ms | {ours} | {theirs} |");
        }
    }
}

//! Pairs through random faults ([`chaos`]), of two evenkeels or with a heartbeat.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chaos;
mod pair;

use chaos::{Chaos, Fault, Plan};
use evenkeel_model::heartbeat::{Failback, Medium};
use pair::{MILLI, SECOND, World, cluster, fence, is_dead, timing};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// What can happen to a heartbeat; the rest evenkeel takes too.
const TO_HEARTBEAT: usize = 5;
const FAULTS: [Fault; 11] = [
    Fault::Kill,
    Fault::Stop,
    Fault::Unplug,
    Fault::Cable,
    Fault::Share,
    Fault::Freeze,
    Fault::Mute,
    Fault::Ping,
    Fault::Clock,
    Fault::Resource,
    Fault::Move,
];

fn chaos(seed: u64, keepalive: Duration, failback: Failback, real: [bool; 2]) -> Chaos {
    let prefer: &[&str] = if seed.is_multiple_of(2) { &["ha1"] } else { &["ha1", "ha2", "ha1"] };
    let with_heartbeat = real.contains(&true);
    let mut cluster = cluster(timing(keepalive, keepalive * 8), failback, prefer);
    cluster.timing.initdead = keepalive * 12;
    cluster.ipfail = !with_heartbeat;
    if seed.is_multiple_of(3) {
        cluster.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    }
    if seed % 11 == 10 && !with_heartbeat {
        cluster.fences.push(fence());
    }
    // What is lost is missed with the next status: a heartbeat that waits for a word longer than ten seconds is stuck.
    let lossy = seed % 7 == 6 && (keepalive < SECOND * 5 || !with_heartbeat);
    let faults = if with_heartbeat { &FAULTS[..TO_HEARTBEAT] } else { &FAULTS };
    Chaos::new(&Plan { seed, cluster: &cluster, real: &real, faults, dense: false, lossy })
}

#[test]
fn a_virtual_year_of_faults_leaves_no_hole_and_no_second_owner() {
    // Slow settings for most of it: what matters is how many faults there are.
    let (mut faults, mut moves, mut virtual_time) = (0, 0, Duration::ZERO);
    for seed in 0..100 {
        let keepalive = SECOND * [300, 120, 600, 2, 120][seed % 5];
        let failback = [Failback::On, Failback::On, Failback::Off, Failback::Legacy][seed % 4];
        let mut chaos = chaos(seed as u64, keepalive, failback, [false, false]);
        let time = if keepalive < SECOND * 10 { DAY / 24 } else { DAY * 92 / 20 };
        chaos.run(time);
        chaos.settle();
        virtual_time += time;
        faults += chaos.faults;
        moves += chaos.moves;
    }
    assert!(virtual_time > DAY * 365, "{virtual_time:?}");
    assert!(faults > 1000 && moves > 500, "{faults} faults, {moves} moves");
}

#[test]
fn a_fifth_of_all_messages_may_be_lost() {
    for seed in 0..4 {
        let mut cluster = cluster(timing(SECOND, SECOND * 15), Failback::On, &["ha1"]);
        cluster.timing.initdead = SECOND * 30;
        let mut world = World::new(seed, &cluster, &[false, false]);
        world.loss = 20;
        world.delay = MILLI * 60;
        world.start(0);
        world.start(1);
        world.run(SECOND * 60);
        let until = world.now + DAY / 12;
        while world.step(until) {
            assert_eq!(world.holders(0), [0], "seed {seed}: {}", world.state());
        }
        assert!(!world.hosts.iter().any(|host| host.news.iter().any(is_dead)), "seed {seed}");
    }
}

#[test]
fn a_pair_with_a_heartbeat_settles_after_every_fault() {
    for seed in 0..24 {
        let keepalive = SECOND * [10, 2, 20][seed % 3];
        let failback = [Failback::On, Failback::Off][seed % 2];
        let real = [seed % 4 < 2, seed % 4 >= 2];
        let mut chaos = chaos(seed as u64, keepalive, failback, real);
        chaos.run(keepalive * 5000);
        chaos.settle();
        assert!(chaos.faults > 8, "seed {seed}: {}", chaos.faults);
    }
}

/// A run that failed once.
#[test]
fn what_is_given_by_the_old_protocol_is_not_taken_back_when_statuses_are_lost() {
    let keepalive = SECOND * 60;
    let mut chaos = chaos(307, keepalive, Failback::Legacy, [false, false]);
    chaos.run(keepalive * 5000);
    chaos.settle();
}

//! The heartbeat pair of document 003 with its files as they stand, and its list of tests (step 7) with real packets.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab::{Client, topology::PAIR_VIP as VIP};
use evenkeel_lab_tests::{alone, can_run, nginx};
use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// `deadtime` of the document.
const DEADTIME: Duration = Duration::from_secs(30);
/// What a busy machine may take besides.
const BESIDES: Duration = Duration::from_secs(15);

fn pair() -> Duo {
    let mut duo = Duo::beside_others([Player::Evenkeel; 2], Files::of_the_document());
    duo.start(0);
    duo.start(1);
    duo.wait_owners(&[0]);
    duo.wait_served(0);
    // Each has heard the other.
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    duo
}

/// `/etc/init.d/heartbeat restart` on the main node: the service moves, and moves back.
fn restart() {
    let mut duo = pair();
    let probe = duo.probe();
    probe.wait_for(100);
    duo.stop(0);
    assert_eq!(duo.owners(), [1], "it was handed over before the end");
    duo.wait_served(1);
    duo.start(0);
    let seen = duo.watch_owners_until(&[0], BESIDES);
    assert!(!seen.contains(&vec![0, 1]), "both had it: {seen:?}");
    duo.wait_served(0);
    let report = probe.stop();
    assert!(report.longest < Duration::from_secs(1), "a client was without for {:?}", report.longest);
}

/// `ifdown eth0`, by a cable that is pulled: ipfail moves it once the ping node is called dead.
fn service_cable() {
    let duo = pair();
    let begun = Instant::now();
    duo.port("ha1", "down");
    let seen = duo.watch_owners_until(&[1], DEADTIME + BESIDES);
    assert!(!seen.contains(&vec![0, 1]), "both had it: {seen:?}");
    assert!(begun.elapsed() > DEADTIME / 2, "it moved before the ping node was dead");
    duo.wait_log(0, "gives its groups up");
    duo.wait_served(1);
}

/// `halt`: all is silent at once.
fn power() {
    let mut duo = pair();
    let begun = Instant::now();
    duo.cables(0, "down");
    duo.kill(0);
    duo.wait_served_within(1, DEADTIME + BESIDES);
    assert!(begun.elapsed() > DEADTIME / 2, "it was taken from a node that had just been heard");
}

/// `ifdown eth1`: the cable of the heartbeats alone moves nothing. Then eth0 as well: the other node takes over.
fn heartbeat_cable_then_all() {
    let duo = pair();
    duo.port("line1", "down");
    let begun = Instant::now();
    while begun.elapsed() < DEADTIME + Duration::from_secs(5) {
        assert_eq!(duo.owners(), [0], "{}", duo.log(1));
        thread::park_timeout(Duration::from_millis(100));
    }
    assert!(duo.log(0).contains("is not heard by eth1 any more"), "{}", duo.log(0));
    duo.port("ha1", "down");
    duo.wait_served_within(1, DEADTIME + BESIDES);
}

/// `killall -9 heartbeat`: the address serves on until just before the other node may take it, and never is on both.
fn killed() {
    let mut duo = pair();
    let begun = Instant::now();
    duo.kill(0);
    let mut lasted = Duration::ZERO;
    let mut both = false;
    duo.wait("the other node had it alone", DEADTIME + BESIDES, || {
        let owners = duo.owners();
        both |= owners == [0, 1];
        if owners.contains(&0) {
            lasted = begun.elapsed();
        }
        owners == [1]
    });
    assert!(!both, "both had it");
    assert!(lasted > DEADTIME / 2, "the address was gone after {lasted:?}");
}

#[test]
fn every_step_of_the_document_ends_as_it_says() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    thread::scope(|scope| {
        let steps = [
            ("restart", restart as fn()),
            ("eth0 down", service_cable),
            ("halt", power),
            ("eth1 down, then all", heartbeat_cable_then_all),
            ("kill -9", killed),
        ];
        let running = steps.map(|(name, step)| (name, scope.spawn(step)));
        for (name, step) in running {
            assert!(step.join().is_ok(), "step `{name}` of the document failed");
        }
    });
}

/// What nginx of each node answers.
const ANSWERS: [&str; 2] = ["ha1", "ha2"];

/// The process of an nginx that runs.
fn running(pid: &Path) -> Option<u32> {
    let id = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    (name.trim() == "nginx").then_some(id)
}

/// The document has nginx start at boot on both nodes besides: what runs already is taken as it is.
#[test]
fn nginx_itself_answers_on_the_node_that_has_the_address() {
    if !can_run() || !nginx::has_nginx() {
        return;
    }
    let files = Files { private: nginx::PLACES.to_vec(), ..Files::of_the_document() };
    let mut duo = Duo::new([Player::Evenkeel; 2], files);
    let pids = [0, 1].map(|at| {
        let pid = nginx::configure(&duo.private(at, nginx::PLACES[0]), ANSWERS[at]);
        duo.ask_room(at, &[nginx::SCRIPT, "start"]).expect("nginx starts");
        pid
    });
    let client = Client::new(Arc::clone(duo.node("client")));
    let answer = || client.get((VIP, 80).into()).ok().and_then(|got| got.outcome.ok());
    let answers = |duo: &Duo, at: usize| {
        duo.wait(&format!("nginx of {} answered", ANSWERS[at]), BESIDES, || answer().as_deref() == Some(ANSWERS[at]));
    };
    let since_boot = [0, 1].map(|at| running(&pids[at]).expect("it runs"));
    for at in [0, 1] {
        duo.start(at);
    }
    answers(&duo, 0);
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    assert_eq!([0, 1].map(|at| running(&pids[at])), since_boot.map(Some), "what ran was not taken as it is");

    let load = client.load((VIP, 80).into(), 50).expect("the load starts");
    duo.stop(0);
    answers(&duo, 1);
    assert_eq!((running(&pids[0]), running(&pids[1])), (None, Some(since_boot[1])));
    duo.start(0);
    answers(&duo, 0);
    duo.wait("nginx of ha2 ended", BESIDES, || running(&pids[1]).is_none());
    assert!(running(&pids[0]).is_some_and(|id| id != since_boot[0]), "it was started anew");
    let report = load.stop();
    // The script of Debian waits for a second after nginx has ended, and only then may the address go.
    assert!(report.longest_gap() < Duration::from_secs(6), "clients were without for {:?}", report.longest_gap());
    let bodies = report.bodies();
    assert!(ANSWERS.iter().all(|answer| bodies.contains_key(answer)) && bodies.len() == 2, "{bodies:?}");
}

//! What an operator does to a running director, under traffic.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use evenkeel_api::ServerState;
use evenkeel_lab::configuration;
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, talk};

fn serving() -> (Bed, String) {
    let mut bed = Bed::new(|_| {});
    let path = bed.write("director.toml", &configuration(&bed.options().plan)).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    (bed, path)
}

fn target(bed: &Bed) -> SocketAddr {
    bed.target().expect("the lab has a VIP")
}

#[test]
fn a_drained_real_server_takes_no_new_connection_and_keeps_the_old_ones() {
    if !can_run() {
        return;
    }
    let (mut bed, _) = serving();
    let to = target(&bed);
    // One connection to each real server, open before the drain and used after it.
    let open = move || -> std::io::Result<Vec<TcpStream>> { (0..2).map(|_| TcpStream::connect(to)).collect() };
    let mut connections = bed.client.node().run(open).expect("the client lives").expect("two connections");
    let load = bed.client.load(to, 200).expect("the load starts");
    load.wait_for(200, LIMIT).expect("requests flow");

    let (drained, said) = talk(&bed, &["drain", "web/real-1"]);
    assert!(drained, "evenkeel drain: {said}");
    bed.director.wait_state("10.77.0.11", ServerState::Drained, LIMIT).expect("the status says so");
    let since = Instant::now();
    load.wait_for(200, LIMIT).expect("requests flow");
    let mut bodies: Vec<String> = connections.iter_mut().map(finish).collect();
    bodies.sort();
    assert_eq!(bodies, ["real-1", "real-2"], "both connections were to go on");

    let (undrained, said) = talk(&bed, &["undrain", "web/real-1"]);
    assert!(undrained, "evenkeel undrain: {said}");
    let until = Instant::now();
    load.wait_until(until, LIMIT, |exchange| exchange.outcome.as_deref() == Ok("real-1")).expect("real-1 is back");
    let report = load.stop();
    assert_eq!(report.failed(), 0, "{:?}", report.failures().next());
    let meanwhile = report.exchanges.iter().filter(|e| e.started > since && e.ended < until);
    let to_drained = meanwhile.filter(|exchange| exchange.outcome.as_deref() == Ok("real-1"));
    let late: Vec<Duration> = to_drained.map(|exchange| exchange.started.duration_since(since)).collect();
    assert!(late.is_empty(), "a drained real server got new connections, so long after the drain: {late:?}");
}

/// Sends a request on an open connection and gives the answer's body.
fn finish(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    connection.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer)
}

#[test]
fn a_disabled_real_server_is_out_until_it_is_enabled() {
    if !can_run() {
        return;
    }
    let (mut bed, _) = serving();
    let (disabled, said) = talk(&bed, &["disable", "web/real-2"]);
    assert!(disabled, "evenkeel disable: {said}");
    bed.director.wait_state("10.77.0.12", ServerState::Disabled, LIMIT).expect("the status says so");
    let bodies = bed.client.bodies(target(&bed), 6).expect("six requests");
    assert!(bodies.iter().all(|body| body == "real-1"), "{bodies:?}");
    let (enabled, said) = talk(&bed, &["enable", "web/real-2"]);
    assert!(enabled, "evenkeel enable: {said}");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both are in");
    let bodies = bed.client.bodies(target(&bed), 6).expect("six requests");
    assert!(evenkeel_lab::alternates(&bodies), "{bodies:?}");
}

#[test]
fn a_reload_under_traffic_changes_what_the_file_changes_and_loses_no_request() {
    if !can_run() {
        return;
    }
    let (mut bed, path) = serving();
    let load = bed.client.load(target(&bed), 200).expect("the load starts");
    load.wait_for(100, LIMIT).expect("requests flow");
    let before = std::fs::read_to_string(&path).expect("the file");
    let without: String =
        before.lines().filter(|line| !line.contains("10.77.0.12")).fold(String::new(), |text, line| text + line + "\n");
    assert_ne!(before, without);
    std::fs::write(&path, without).expect("the file is written");
    let (reloaded, said) = talk(&bed, &["reload"]);
    assert!(reloaded, "evenkeel reload: {said}");
    let servers = |status: &evenkeel_api::Status| status.services[0].real_servers.len();
    bed.director.wait("had one real server", LIMIT, |status| servers(status) == 1).expect("the reload is in force");
    let bodies: Vec<String> = bed.client.bodies(target(&bed), 6).expect("six requests");
    assert!(bodies.iter().all(|body| body == "real-1"), "{bodies:?}");
    std::fs::write(&path, before).expect("the file is written");
    let (reloaded, said) = talk(&bed, &["reload"]);
    assert!(reloaded, "evenkeel reload: {said}");
    let since = Instant::now();
    load.wait_until(since, LIMIT, |exchange| exchange.outcome.as_deref() == Ok("real-2")).expect("real-2 is back");
    let report = load.stop();
    assert_eq!(report.failed(), 0, "{:?}", report.failures().next());
}

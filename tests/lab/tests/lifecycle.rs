//! How the daemon comes, goes and dies under traffic.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel_lab::{alternates, configuration};
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, talk};
use rustix::process::Signal;

fn serving() -> (Bed, String) {
    let mut bed = Bed::new(|_| {});
    let path = bed.write("director.toml", &configuration(&bed.options().plan)).expect("the file is written");
    start(&mut bed, &path);
    (bed, path)
}

fn start(bed: &mut Bed, path: &str) {
    bed.director.start(&[path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
}

fn target(bed: &Bed) -> SocketAddr {
    bed.target().expect("the lab has a VIP")
}

/// A virtual address of a director without a packet path is just an address of the director's own.
fn assert_nothing_is_left(bed: &Bed) {
    let bodies = bed.client.bodies(target(bed), 4).expect("four requests");
    assert!(bodies.iter().all(|body| body == "director"), "the packet path is still there: {bodies:?}");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    let runtime = bed.director.runtime_dir().to_string_lossy().into_owned();
    assert!(!mounts.contains(&runtime), "a mount is left in {runtime}");
    let left = std::fs::read_dir(&runtime).into_iter().flatten().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
    assert!(left.is_empty(), "left in the runtime directory: {left:?}");
}

#[test]
fn kill_9_under_traffic_loses_no_request_and_the_next_start_takes_over() {
    if !can_run() {
        return;
    }
    let (mut bed, path) = serving();
    let load = bed.client.load(target(&bed), 200).expect("the load starts");
    load.wait_for(200, LIMIT).expect("requests flow");
    let before = bed.director.status().expect("a state").dataplane.attachments;
    for _ in 0..3 {
        bed.director.kill().expect("the director dies");
        load.wait_for(200, LIMIT).expect("requests flow without a daemon");
        start(&mut bed, &path);
        load.wait_for(200, LIMIT).expect("requests flow");
    }
    let report = load.stop();
    let status = bed.director.status().expect("a state");
    println!("measured: {} requests, longest gap {:?}", report.total(), report.longest_gap());
    assert_eq!(report.failed(), 0, "{:?}", report.failures().next());
    assert_eq!(status.dataplane.attachments, before, "the running program was to be adopted");
    let counted: u64 = status.services.iter().flat_map(|s| &s.real_servers).map(|s| s.counters.connections).sum();
    let made = u64::try_from(report.total()).expect("fits");
    assert!(counted >= made, "{counted} connections are counted, {made} were made");
}

#[test]
fn sigterm_leaves_nothing_and_a_second_one_changes_nothing() {
    if !can_run() {
        return;
    }
    let (mut bed, _) = serving();
    bed.director.signal(Signal::TERM).expect("the first signal");
    bed.director.signal(Signal::TERM).expect("the second signal");
    let status = bed.director.wait_end(LIMIT).expect("the director ends");
    assert!(status.success(), "it ended with {status}");
    assert_nothing_is_left(&bed);
}

#[test]
fn stop_works_with_a_broken_file() {
    if !can_run() {
        return;
    }
    let (mut bed, path) = serving();
    std::fs::write(&path, "[service.web\nlisten = oops").expect("the file is broken");
    let (reloaded, said) = talk(&bed, &["reload"]);
    assert!(!reloaded, "a reload of a broken file succeeded: {said}");
    let bodies = bed.client.bodies(target(&bed), 10).expect("ten requests");
    assert!(alternates(&bodies), "the old state was to run on: {bodies:?}");

    let (stopped, said) = talk(&bed, &["stop"]);
    assert!(stopped, "evenkeel stop: {said}");
    let status = bed.director.wait_end(LIMIT).expect("the director ends");
    assert!(status.success(), "it ended with {status}");
    assert_nothing_is_left(&bed);
}

#[test]
fn stop_removes_what_a_killed_daemon_left() {
    if !can_run() {
        return;
    }
    let (mut bed, _) = serving();
    bed.director.kill().expect("the director dies");
    let bodies = bed.client.bodies(target(&bed), 10).expect("ten requests");
    assert!(alternates(&bodies), "packets were to flow on: {bodies:?}");
    let (stopped, said) = talk(&bed, &["stop"]);
    assert!(stopped, "evenkeel stop: {said}");
    assert_nothing_is_left(&bed);
}

#[test]
fn both_families_alternate_through_every_door_of_a_virtual_cable() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let path = bed.write("director.toml", &configuration(&bed.options().plan)).expect("the file is written");
    for door in ["auto", "tcx", "clsact", "generic"] {
        bed.director.start(&[&path, "--connections", "65536", "--attach", door]).expect("the director starts");
        let status = bed.director.wait("had both real servers up", LIMIT, all_up).expect("both come in");
        let modes: Vec<&str> = status.dataplane.attachments.iter().map(|a| a.mode.as_str()).collect();
        // Where the kernel has both, tcx is preferred on a virtual cable.
        let expected = if door == "auto" { ["tcx", "clsact"].as_slice() } else { &[door] };
        assert!(!modes.is_empty() && modes.iter().all(|mode| expected.contains(mode)), "{door}: {modes:?}");
        for vip in &bed.options().plan.vips {
            let bodies = bed.client.bodies(SocketAddr::new(*vip, 80), 10).expect("ten requests");
            assert!(alternates(&bodies), "{door}, {vip}: {bodies:?}");
        }
        let status = bed.director.terminate().expect("the director ends");
        assert!(status.success(), "{door}: it ended with {status}");
        assert_nothing_is_left(&bed);
    }
}

#[test]
fn a_real_server_that_changes_its_mac_address_is_followed_within_a_second() {
    if !can_run() {
        return;
    }
    let (bed, _) = serving();
    let load = bed.client.load(target(&bed), 200).expect("the load starts");
    load.wait_for(200, LIMIT).expect("requests flow");
    let change = || {
        let mut netlink = evenkeel_netlink::Netlink::open()?;
        let Some(link) = netlink.link("eth0")? else { return Ok(None) };
        let mac = evenkeel_netlink::MacAddress([0x02, 0, 0, 0, 0, 0x77]);
        netlink.set_mac(link.index, mac).map(|()| Some(std::time::Instant::now()))
    };
    let changed = bed.real_servers[0].node().run(change).expect("the node lives");
    let changed = changed.expect("the address changes").expect("there is an eth0");
    load.wait_for(800, LIMIT).expect("requests flow");
    let report = load.stop();
    // A lost SYN is repeated after a second, so a slow request counts as one that went astray.
    let prompt =
        |exchange: &evenkeel_lab::Exchange| exchange.is_ok() && exchange.duration() < Duration::from_millis(900);
    let astray = report.last_bad_after(changed, prompt).unwrap_or_default();
    println!("measured: followed after {astray:?}");
    assert!(astray <= Duration::from_secs(1), "packets went to the old address for {astray:?}");
    assert_eq!(report.failed(), 0, "{:?}", report.failures().next());
    let late = report.exchanges.iter().rev().take(100).filter(|e| e.outcome.as_deref() == Ok("real-1")).count();
    assert!(late > 30, "real-1 answered {late} of the last 100 requests");
}

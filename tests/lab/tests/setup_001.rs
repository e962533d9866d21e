//! The set-up of the ipvsadm guide, its ldirectord.cf as it stands: what its readers do to see that it works.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel_api::ServerState;
use evenkeel_lab::topology::Plan;
use evenkeel_lab::{Exchange, alternates};
use evenkeel_lab_tests::{Bed, LIMIT, all_on_fallback, all_up, can_run, dns, setup};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 214, 140);
const REAL_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 214, 143), Ipv4Addr::new(192, 168, 214, 145)];
const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(172, 20, 17, 20);
const TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(VIP), 80);
const RATE: u32 = 200;

/// The set-up with its director running and both real servers in.
fn serving() -> Bed {
    let mut bed = Bed::new(|options| {
        options.plan = Plan::ipv4(VIP, 2, 141, &REAL_SERVERS);
        options.plan.elsewhere = vec![(NAME_SERVER.into(), 32)];
        options.vip_on_lo = true;
        options.bodies = vec!["RS1".into(), "RS2".into()];
    });
    let file = setup("001-ipvsadm-ldirectord-dr/ldirectord.cf");
    let run = [&*file.to_string_lossy(), "--connections", "65536"];
    bed.director.start(&run).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    bed
}

fn is_good(exchange: &Exchange) -> bool {
    exchange.outcome.as_ref().is_ok_and(|body| body.starts_with("RS"))
}

/// Does `harm` to a real server under load: the other answers alone within `bound`. Then undoes it with `repair`: the
/// real server is back within the same bound. No request fails outside of these times.
fn out_and_in(
    bound: Duration,
    harm: impl FnOnce(&mut Bed) -> Result<Instant, evenkeel_lab::Error>,
    repair: impl FnOnce(&mut Bed) -> Result<Instant, evenkeel_lab::Error>,
) {
    let mut bed = serving();
    let load = bed.client.load(TARGET, RATE).expect("the load starts");
    load.wait_for(200, LIMIT).expect("requests flow");

    let harmed = harm(&mut bed).expect("the harm is done");
    bed.director.wait_state("192.168.214.143", ServerState::Down, LIMIT).expect("the director notices");
    // Hanging requests are on record only when the client gives up, so wait for long enough to see them all.
    load.wait_for(1200, LIMIT).expect("requests flow");

    let repaired = repair(&mut bed).expect("the harm is undone");
    bed.director.wait_state("192.168.214.143", ServerState::Up, LIMIT).expect("the director notices");
    let back = load.wait_until(repaired, LIMIT, |exchange| exchange.outcome.as_deref() == Ok("RS1"));
    let back = back.expect("the real server answers again").started.duration_since(repaired);
    load.wait_for(200, LIMIT).expect("requests flow");
    let report = load.stop();

    let out = report.last_bad_after(harmed, is_good).unwrap_or_default();
    println!("measured: out after {out:?} (bound {bound:?}), back after {back:?}, {:?}", report.bodies());
    let last = report.exchanges.iter().rev().find(|exchange| exchange.ended >= harmed && !is_good(exchange));
    let last = last.map(|exchange| &exchange.outcome);
    assert!(out <= bound, "requests went to the broken real server for {out:?}, the bound is {bound:?}: {last:?}");
    assert!(back <= bound, "the real server was back after {back:?}, the bound is {bound:?}");
    let outside = report.failures_outside(&[(harmed, harmed + bound)]);
    assert!(outside.is_empty(), "{} requests failed at other times: {:?}", outside.len(), outside.first());
    let only_two = report.bodies().into_iter().all(|(body, _)| ["RS1", "RS2", "oops"].contains(&body));
    assert!(only_two, "somebody else answered: {:?}", report.bodies());
}

#[test]
fn ten_requests_alternate_strictly() {
    if !can_run() {
        return;
    }
    let bed = serving();
    let bodies = bed.client.bodies(TARGET, 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
}

#[test]
fn a_real_server_whose_process_dies_is_out_within_one_and_a_half_seconds() {
    if can_run() {
        let bound = Duration::from_millis(1500);
        out_and_in(bound, |bed| bed.real_servers[0].stop(), |bed| bed.real_servers[0].start());
    }
}

#[test]
fn a_real_server_that_hangs_is_out_within_four_and_a_half_seconds() {
    if can_run() {
        let bound = Duration::from_millis(4500);
        out_and_in(bound, |bed| bed.real_servers[0].hang(), |bed| bed.real_servers[0].recover());
    }
}

#[test]
fn a_real_server_that_answers_the_wrong_body_is_out_within_two_seconds() {
    if can_run() {
        let bound = Duration::from_secs(2);
        out_and_in(bound, |bed| bed.real_servers[0].answer(200, "oops"), |bed| bed.real_servers[0].recover());
    }
}

#[test]
fn with_both_dead_the_directors_own_web_server_answers_until_one_is_back() {
    if !can_run() {
        return;
    }
    let mut bed = serving();
    let load = bed.client.load(TARGET, RATE).expect("the load starts");
    load.wait_for(200, LIMIT).expect("requests flow");
    let died = Instant::now();
    for server in &mut bed.real_servers {
        server.stop().expect("the real server dies");
    }
    bed.director.wait("used the fallback", LIMIT, all_on_fallback).expect("the fallback comes in");
    load.wait_for(200, LIMIT).expect("requests flow");
    let bodies = bed.client.bodies(TARGET, 10).expect("ten requests");
    assert!(bodies.iter().all(|body| body == "director"), "{bodies:?}");

    let back = bed.real_servers[1].start().expect("one real server is back");
    bed.director.wait_state("192.168.214.145", ServerState::Up, LIMIT).expect("the director notices");
    let bodies = bed.client.bodies(TARGET, 10).expect("ten requests");
    assert!(bodies.iter().all(|body| body == "RS2"), "{bodies:?}");
    bed.real_servers[0].start().expect("the other is back");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both are in");
    let bodies = bed.client.bodies(TARGET, 10).expect("ten requests");
    assert!(alternates_under_load(&bodies), "{bodies:?}");

    let report = load.stop();
    let first = report.exchanges.iter().find(|e| e.started >= back && e.outcome.as_deref() == Ok("RS2"));
    let first = first.expect("RS2 answers").started.duration_since(back);
    assert!(first <= Duration::from_millis(1500), "the real server was back after {first:?}");
    let outside = report.failures_outside(&[(died, died + Duration::from_millis(1500))]);
    assert!(outside.is_empty(), "{} requests failed at other times: {:?}", outside.len(), outside.first());
}

/// Other requests come between ours, so all that can be said is that both answer.
fn alternates_under_load(bodies: &[String]) -> bool {
    bodies.iter().all(|body| body == "RS1" || body == "RS2")
}

#[test]
fn the_same_by_name_through_a_name_server_with_the_zone_of_the_set_up() {
    if !can_run() {
        return;
    }
    let bed = serving();
    let zone = setup("001-ipvsadm-ldirectord-dr/yufu123.com.zone");
    let folder = bed.directory().display();
    let configuration = format!(
        "options {{ directory \"{folder}\"; pid-file \"{folder}/named.pid\"; session-keyfile \"{folder}/named.key\";\n\
         listen-on {{ {NAME_SERVER}; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; }};\n\
         controls {{ }};\nzone \"yufu123.com\" {{ type primary; file \"{}\"; }};\n",
        zone.display()
    );
    let configuration = bed.write("named.conf", &configuration).expect("the name server's configuration");
    let mut named = Command::new("named");
    named.args(["-g", "-c", &configuration]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let router = bed.node("router").expect("the topology has a router");
    let mut named = router.spawn(named).expect("named starts");
    let mut said = BufReader::new(named.stderr.take().expect("its log")).lines().map_while(Result::ok);
    said.find(|line| line.ends_with(" running")).expect("named loads the zone");
    // Whoever writes into a full pipe waits.
    std::thread::spawn(move || said.for_each(drop));

    let server = SocketAddr::from((NAME_SERVER, 53));
    for name in ["www.yufu123.com", "yufu123.com"] {
        let mut bodies = Vec::new();
        for _ in 0..10 {
            let lookup = move || dns::address_of(name, server);
            let address = bed.client.node().run(lookup).expect("the client asks").expect("the name has an address");
            assert_eq!(address, VIP, "{name}");
            let answer = bed.client.get_host(SocketAddr::from((address, 80)), name).expect("a request");
            bodies.push(answer.outcome.unwrap_or_else(|error| format!("failed: {error}")));
        }
        assert!(alternates(&bodies), "{name}: {bodies:?}");
    }
    named.kill().and_then(|()| named.wait()).expect("named ends");
}

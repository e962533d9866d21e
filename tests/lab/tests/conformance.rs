//! The cases of RFC 9568 (tests/conformance/vrrp) played in real time and with real packets, all at once, each on a
//! virtual router of its own: evenkeel's daemon, Debian's keepalived and FRR have to say what the cases say.
//!
//! A case is played as far as the wire shows it: advertisements, their priorities and when they come. What is within
//! a router, and what only evenkeel does, is for the test of the crate.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod cases;
mod pair;

use cases::{Case, Play, cases, vip};

use evenkeel_lab::{Director, Process, Stage};
use evenkeel_lab_tests::{
    LIMIT, alone, can_run,
    frr::{Frr, has_frr},
    program, switch, unique_name,
};
use evenkeel_model::vrrp::{AdvertInterval, Authentication, GROUP_V4, Reach, Version, Vrid};
use evenkeel_netlink::{Netlink, VrrpSocket};
use evenkeel_vrrp::{Packet, Receiver, Terms, Transmitter, checksum::Form};
use rustix::process::Signal;
use std::{
    fmt::Write as _,
    net::IpAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const ROUNDS: usize = 3;
const DIRECTOR: [u8; 2] = [2, 9];
/// What keepalived 2.2.7 does otherwise: its owner of the addresses yields to another owner.
const YIELDS: &str = "7.1 an owner hears nobody";
/// What FRR 8.4 does otherwise, which goes by RFC 5798: a master leaves a lower one without an answer.
const FRR_DIFFERS: [&str; 2] = [
    "6.4.3 (725) between equals the higher address wins: a lower one is answered",
    "6.4.3 (745) a lower master is answered at once",
];

fn terms(vrid: usize, interval: Duration) -> Terms {
    Terms {
        version: Version::Three,
        vrid: Vrid::new(u8::try_from(vrid).expect("few cases")).expect("not 0"),
        interval: AdvertInterval::nearest(Version::Three, interval),
        addresses: vec![vip(vrid).into()],
        authentication: Authentication::None,
        hmac: None,
        reach: Reach::Multicast,
    }
}

/// Plays all cases against whoever is at the other end of the wire; gives what failed.
fn play(cases: Vec<Case>) -> Vec<String> {
    let begun = Instant::now();
    let ifindex = Netlink::open().expect("netlink").link("eth0").expect("it is asked").expect("it is there").index;
    let socket = VrrpSocket::open(ifindex, GROUP_V4.into(), false).expect("a socket");
    let mut plays: Vec<Play> = (1..)
        .zip(cases)
        .map(|(vrid, case)| Play { case, vrid, at: 0, since: None, story: String::new(), failed: None })
        .collect();
    let mut receivers: Vec<Receiver> =
        plays.iter().map(|play| Receiver::new(terms(play.vrid, Duration::from_secs(1)))).collect();
    let mut buffer = [0; 2048];
    // All of one daemon begin together, and the first word of it says when.
    let mut start: Option<Instant> = None;
    while plays.iter().any(|play| play.next().is_some()) {
        let now = Instant::now();
        if now - start.unwrap_or(begun) > LIMIT * if start.is_some() { 2 } else { 6 } {
            plays.iter_mut().filter(|play| play.next().is_some()).for_each(|play| play.fail("it never ends"));
        }
        while let Some(received) = socket.receive(&mut buffer).expect("packets are read") {
            let Ok(packet) = Packet::ipv4(buffer.get(..received.length).unwrap_or_default()) else { continue };
            let Some(at) = packet.vrid().map(|vrid| usize::from(vrid.get()) - 1) else { continue };
            let (Some(play), Some(receiver)) = (plays.get_mut(at), receivers.get_mut(at)) else { continue };
            let nobody = IpAddr::from([10, 0, 0, 250]);
            match receiver.receive(&packet, nobody) {
                Ok(heard) => {
                    start = start.or_else(|| now.checked_sub(play.case.first_wait()?));
                    play.since = play.since.or(start);
                    play.heard(begun, now, heard.priority);
                }
                Err(reason) => play.fail(&format!("{reason}")),
            }
        }
        for play in &mut plays {
            if play.since.is_none() && start.is_some() {
                play.since = start;
            }
            while let Some((source, priority, interval)) = play.turn(begun, now) {
                let mut transmitter = Transmitter::new(&terms(play.vrid, interval)).expect("one address");
                let bytes = transmitter.ipv4(priority, Form::PseudoHeader, source, GROUP_V4, 255);
                socket.send(bytes, source.into(), GROUP_V4.into(), 255).expect("it is sent");
            }
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    plays.into_iter().filter_map(|play| play.failed).collect()
}

/// Plays all cases that `fits`, and those that failed again: a machine that stood still for a moment has not failed three
/// times. Those whose title is `known` must fail; gives the others that did. `start` begins a daemon that has the
/// instances of the cases, and gives how it is ended.
fn against(
    fits: impl Fn(&Case) -> bool,
    known: &[&str],
    start: impl Fn(&Stage, &[Case]) -> Box<dyn FnOnce()>,
) -> Vec<String> {
    let fitting = || cases().into_iter().filter(&fits).collect::<Vec<_>>();
    let is = |failure: &String, title: &str| failure.starts_with(title);
    let surprises = |failed: Vec<String>| -> Vec<String> {
        failed.into_iter().filter(|failure| !known.iter().any(|title| is(failure, title))).collect()
    };
    let all = fitting();
    assert!(all.len() >= 14, "{} cases are there", all.len());
    let failed = once(all, &start);
    for title in known {
        assert!(failed.iter().any(|failure| is(failure, title)), "it does as the RFC says now: {title}");
    }
    let mut failed = surprises(failed);
    for _ in 1..ROUNDS {
        if failed.is_empty() {
            break;
        }
        let mut left = fitting();
        left.retain(|case| failed.iter().any(|failure| is(failure, case.title)) || case.tells_start());
        failed = surprises(once(left, &start));
    }
    failed
}

/// Plays `cases` against a daemon.
fn once(cases: Vec<Case>, start: impl Fn(&Stage, &[Case]) -> Box<dyn FnOnce()>) -> Vec<String> {
    let net = |last: u8| (IpAddr::from([10, 0, 0, last]), 24);
    let topology = switch::topology([("router", DIRECTOR.map(net).to_vec()), ("others", vec![net(250)])]);
    let stage = Stage::raise(&unique_name(), &topology).expect("the stage is built");
    let others = Arc::clone(stage.node("others").expect("it is there"));
    let copies = cases.clone();
    let player = std::thread::spawn(move || others.run(move || play(copies)).expect("the node lives"));
    // What fails here ends the test; the player gives up later.
    let end = start(&stage, &cases);
    let failed = player.join().expect("the cases are played");
    end();
    failed
}

/// A keepalived.conf for all of them.
fn keepalived_conf(stage: &Stage, cases: &[Case]) -> PathBuf {
    let mut file = String::from("global_defs {\n vrrp_version 3\n}\n");
    for (vrid, case) in (1..).zip(cases) {
        file += &case.keepalived(vrid);
    }
    let path = stage.directory().join("keepalived.conf");
    std::fs::write(&path, file).expect("the file is written");
    path
}

#[test]
fn evenkeel_says_what_the_rfc_says() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let failed = against(
        |_| true,
        &[],
        |stage, cases| {
            let node = Arc::clone(stage.node("router").expect("it is there"));
            let mut director = Director::new(node, program(), stage.directory());
            let file = keepalived_conf(stage, cases);
            director.start(&[file.to_str().expect("a plain path")]).expect("evenkeel starts");
            Box::new(move || {
                assert!(director.terminate().expect("it ends").success());
                println!("{}", director.log());
            })
        },
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn so_does_keepalived() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    let _alone = alone();
    let failed = against(
        |_| true,
        &[YIELDS],
        |stage, cases| {
            let mut command = Command::new("keepalived");
            command.args(["-P", "-n", "-l", "-D", "-G", "-f"]).arg(keepalived_conf(stage, cases));
            for (option, name) in [("-p", "pid"), ("-r", "vrrp"), ("-b", "bfd"), ("-c", "checkers")] {
                command.arg(option).arg(stage.directory().join(name));
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = stage.node("router").expect("it is there").spawn(command).expect("keepalived starts");
            let mut process = Process::new("keepalived", child);
            Box::new(move || {
                process.signal(Signal::TERM).expect("it is told");
                process.wait(LIMIT).expect("it ends");
            })
        },
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// FRR owns no addresses by its file, delays no preemption, and speaks from the first address of an interface only.
fn frr_can_play(case: &Case) -> bool {
    !case.is_owner()
        && case.setting("preempt").is_none_or(|preempt| preempt == "no")
        && case.setting("address").is_none_or(|address| address == "10.0.0.2")
}

/// The configuration of FRR for all of them, whose interfaces are made.
fn frr_conf(stage: &Stage, cases: &[Case]) -> String {
    let mut links = String::new();
    let mut file = String::from("interface eth0\n");
    for (vrid, case) in (1..).zip(cases) {
        let (vip, priority) = (vip(vrid), case.setting("priority").expect("a priority"));
        let _ =
            writeln!(links, "link add vr{vrid} link eth0 address 00:00:5e:00:01:{vrid:02x} type macvlan mode bridge");
        let _ = writeln!(links, "addr add {vip}/32 dev vr{vrid}\nlink set dev vr{vrid} up");
        let _ = writeln!(file, " vrrp {vrid} version 3\n vrrp {vrid} priority {priority}");
        let interval: f64 = case.setting("interval").unwrap_or("1").parse().expect("a number");
        let _ = writeln!(file, " vrrp {vrid} advertisement-interval {}", interval * 1000.0);
        if case.setting("preempt").is_some() {
            let _ = writeln!(file, " no vrrp {vrid} preempt");
        }
        let _ = writeln!(file, " vrrp {vrid} ip {vip}");
    }
    let batch = stage.directory().join("links");
    std::fs::write(&batch, links).expect("the file is written");
    let mut command = Command::new("ip");
    command.arg("-batch").arg(batch);
    stage.node("router").expect("it is there").output(command).expect("the links are made");
    file
}

#[test]
fn so_does_frr_but_for_what_is_known() {
    if !can_run() || !has_frr("vrrpd") {
        return;
    }
    let _alone = alone();
    let failed = against(frr_can_play, &FRR_DIFFERS, |stage, cases| {
        let node = Arc::clone(stage.node("router").expect("it is there"));
        let frr = Frr::start(node, &stage.directory().join("frr"), "vrrpd", &frr_conf(stage, cases));
        Box::new(move || drop(frr))
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

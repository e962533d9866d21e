//! The cases of RFC 9568 (tests/conformance/vrrp) played in real time and with real packets, all at once, each on a
//! virtual router of its own: evenkeel's daemon and Debian's keepalived have to say what the cases say.
//!
//! A case is played as far as the wire shows it: advertisements, their priorities and when they come. What is within
//! a router, and what only evenkeel does, is for the test of the crate.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod pair;

use evenkeel_lab::{Director, Process, Stage};
use evenkeel_lab_tests::{LIMIT, alone, can_run, program, switch, unique_name};
use evenkeel_model::vrrp::{AdvertInterval, Authentication, GROUP_V4, Reach, Version, Vrid};
use evenkeel_netlink::{Netlink, VrrpSocket};
use evenkeel_vrrp::{Packet, Receiver, Terms, Transmitter, checksum::Form};
use rustix::process::Signal;
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const CASES: &str = include_str!("../../conformance/vrrp/rfc9568.txt");
/// What comes later than this before its time is early, and later than [`LATE`] is late.
const EARLY: Duration = Duration::from_millis(120);
/// Two CPUs run everything here; a second interval is the least that is told apart.
const LATE: Duration = Duration::from_millis(400);
const ROUNDS: usize = 3;
const DIRECTOR: [u8; 2] = [2, 9];
/// What keepalived 2.2.7 does otherwise: its owner of the addresses yields to another owner.
const YIELDS: &str = "7.1 an owner hears nobody";

/// Something the wire shows of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The router begins.
    Start,
    /// Nothing is done for so long.
    Pass(Duration),
    /// Somebody else advertises.
    Hear { source: Ipv4Addr, priority: u8, interval: Duration },
    /// So long after the last step it advertises this priority.
    After(Duration, u8),
    /// It advertises this priority at once.
    Says(u8),
    /// It may: a last word that only evenkeel knows.
    MaySay(u8),
}

#[derive(Debug)]
struct Case {
    title: &'static str,
    router: Vec<(&'static str, &'static str)>,
    steps: Vec<Step>,
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().expect("a number"))
}

/// The advertisements among the outputs of a line, at once where `after` is `None`.
fn said(outputs: &str, after: Option<Duration>, steps: &mut Vec<Step>) {
    let outputs: Vec<&str> = outputs.split(',').map(str::trim).collect();
    let yields = outputs.contains(&"release");
    for priority in outputs.iter().filter_map(|output| output.strip_prefix("advertise ")) {
        let priority = priority.parse().expect("a priority");
        steps.push(match after {
            Some(after) => Step::After(after, priority),
            None if yields => Step::MaySay(priority),
            None => Step::Says(priority),
        });
    }
}

/// Cases of the RFC that need nothing but packets.
fn cases() -> Vec<Case> {
    let of_the_rfc = CASES.split("# Beyond the RFC").next().unwrap_or_default();
    of_the_rfc.split("\ncase ").skip(1).filter_map(read).collect()
}

fn read(text: &'static str) -> Option<Case> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut case = Case { title: lines.next()?, router: Vec::new(), steps: Vec::new() };
    for line in lines {
        let (left, outputs) = line.split_once('|').unwrap_or((line, ""));
        let mut after = None;
        match left.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["router", settings @ ..] => case.router = settings.iter().filter_map(|one| one.split_once('=')).collect(),
            ["start"] => case.steps.push(Step::Start),
            ["pass", time] => case.steps.push(Step::Pass(seconds(time))),
            ["after", time] => after = Some(seconds(time)),
            ["hear", source, priority, interval @ ..] => case.steps.push(Step::Hear {
                source: source.parse().expect("an address"),
                priority: priority.parse().expect("a priority"),
                interval: interval.first().map_or(Duration::from_secs(1), |interval| seconds(interval)),
            }),
            // One router of a daemon cannot be stopped alone; all of them are, at the end.
            ["stop", ..] | ["quiet", _] => break,
            other => panic!("{other:?}"),
        }
        said(outputs, after, &mut case.steps);
    }
    Some(case)
}

impl Case {
    /// Its first word tells when all of its daemon began.
    fn begins_as_master(&self) -> bool {
        self.setting("priority") == Some("255")
    }

    fn setting(&self, name: &str) -> Option<&'static str> {
        self.router.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn instance(&self, vrid: usize) -> String {
        let priority = self.setting("priority").expect("a priority");
        let interval = self.setting("interval").unwrap_or("1");
        let address = self.setting("address").unwrap_or("10.0.0.2");
        let preempt = match self.setting("preempt") {
            Some("no") => "nopreempt".to_owned(),
            Some(delay) => format!("preempt_delay {delay}"),
            None => String::new(),
        };
        let state = if priority == "255" { "MASTER" } else { "BACKUP" };
        format!(
            "vrrp_instance case{vrid} {{\n state {state}\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n \
             advert_int {interval}\n mcast_src_ip {address}\n {preempt}\n virtual_ipaddress {{\n {}/32\n }}\n}}\n",
            vip(vrid)
        )
    }
}

fn vip(vrid: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, u8::try_from(vrid).expect("few cases"))
}

/// A case that is being played.
struct Play {
    case: Case,
    vrid: usize,
    /// The step that is next.
    at: usize,
    /// When the last one was.
    since: Option<Instant>,
    /// What was seen, for whoever has to understand a failure.
    story: String,
    failed: Option<String>,
}

impl Play {
    fn next(&self) -> Option<&Step> {
        self.case.steps.get(self.at).filter(|_| self.failed.is_none())
    }

    fn fail(&mut self, why: &str) {
        self.failed = Some(format!("{}: {why}\n{}", self.case.title, self.story));
    }

    fn note(&mut self, begun: Instant, text: &str) {
        let _ = writeln!(self.story, "  {:.3} {text}", begun.elapsed().as_secs_f64());
    }

    /// An advertisement has come.
    fn heard(&mut self, begun: Instant, now: Instant, priority: u8) {
        if self.next().is_none() {
            return;
        }
        self.note(begun, &format!("said {priority}"));
        while let Some(step) = self.next().cloned() {
            match (step, self.since) {
                // Whether it began is known by its first word only where that comes at once.
                (Step::Start, None) => {
                    self.at += 1;
                    self.since = Some(now);
                }
                (Step::Says(expected), Some(_)) if expected == priority => {
                    self.at += 1;
                    return;
                }
                (Step::MaySay(expected), Some(_)) => {
                    self.at += 1;
                    if expected == priority {
                        return;
                    }
                }
                (Step::After(time, expected), Some(since)) => {
                    let due = since + time;
                    if expected != priority || now + EARLY < due || now > due + LATE {
                        let off = now.checked_duration_since(due).map_or_else(
                            || format!("{:?} too early", due - now),
                            |late| format!("{late:?} after its time"),
                        );
                        return self.fail(&format!("priority {priority} instead of {expected}, {off}"));
                    }
                    self.at += 1;
                    self.since = Some(now);
                    return;
                }
                (step, _) => return self.fail(&format!("priority {priority} where {step:?} was to come")),
            }
        }
    }

    /// Does what is due; gives what is to be sent.
    fn turn(&mut self, begun: Instant, now: Instant) -> Option<(Ipv4Addr, u8, Duration)> {
        let since = self.since?;
        match self.next().cloned()? {
            Step::Start => self.at += 1,
            Step::Pass(time) if now >= since + time => {
                self.at += 1;
                self.since = Some(since + time);
            }
            Step::Hear { source, priority, interval } => {
                self.at += 1;
                self.since = Some(now);
                self.note(begun, &format!("heard {source} {priority}"));
                return Some((source, priority, interval));
            }
            Step::After(time, _) if now > since + time + LATE => self.fail("it says nothing"),
            Step::Says(_) if now > since + LATE => self.fail("it does not answer"),
            Step::MaySay(_) if now > since + LATE => self.at += 1,
            Step::Pass(_) | Step::After(..) | Step::Says(_) | Step::MaySay(_) => {}
        }
        None
    }
}

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
    // All of one daemon begin together, and an owner says so.
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
                    start = start.or(Some(now));
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

/// Plays all cases, and those that failed again: a machine that stood still for a moment has not failed three times.
fn against(start: impl Fn(&Stage, &str) -> Box<dyn FnOnce()>) -> Vec<String> {
    let mut left = cases();
    assert!(left.len() >= 19, "{} cases are there", left.len());
    let mut failed = Vec::new();
    for _ in 0..ROUNDS {
        failed = once(left, &start);
        left = cases();
        left.retain(|case| failed.iter().any(|failure| failure.starts_with(case.title)) || case.begins_as_master());
        if failed.is_empty() {
            break;
        }
    }
    failed
}

/// Plays `cases` against a daemon that `start` begins with a keepalived.conf, which is in the stage's directory.
fn once(cases: Vec<Case>, start: impl Fn(&Stage, &str) -> Box<dyn FnOnce()>) -> Vec<String> {
    let net = |last: u8| (IpAddr::from([10, 0, 0, last]), 24);
    let topology = switch::topology([("router", DIRECTOR.map(net).to_vec()), ("others", vec![net(250)])]);
    let stage = Stage::raise(&unique_name(), &topology).expect("the stage is built");
    let mut file = String::from("global_defs {\n vrrp_version 3\n}\n");
    for (vrid, case) in (1..).zip(&cases) {
        file += &case.instance(vrid);
    }
    let path = stage.directory().join("keepalived.conf");
    std::fs::write(&path, file).expect("the file is written");
    let others = Arc::clone(stage.node("others").expect("it is there"));
    let player = std::thread::spawn(move || others.run(move || play(cases)).expect("the node lives"));
    // What fails here ends the test; the player gives up later.
    let end = start(&stage, path.to_str().expect("a plain path"));
    let failed = player.join().expect("the cases are played");
    end();
    failed
}

#[test]
fn evenkeel_says_what_the_rfc_says() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let failed = against(|stage, file| {
        let node = Arc::clone(stage.node("router").expect("it is there"));
        let mut director = Director::new(node, program(), stage.directory());
        director.start(&[file]).expect("evenkeel starts");
        Box::new(move || {
            assert!(director.terminate().expect("it ends").success());
            println!("{}", director.log());
        })
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn so_does_keepalived() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    let _alone = alone();
    let failed = against(|stage, file| {
        let mut command = Command::new("keepalived");
        command.args(["-P", "-n", "-l", "-D", "-G", "-f", file]);
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
    });
    let (known, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|one| one.starts_with(YIELDS));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(known.len(), 1, "keepalived listens to its owners now");
}

//! The cases of RFC 9568, and how each is played.

#[path = "../../../conformance/table.rs"]
mod table;

use std::{
    fmt::Write as _,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use table::seconds;

const CASES: &str = include_str!("../../../conformance/vrrp/rfc9568.txt");
/// What comes later than this before its time is early, and later than [`LATE`] is late.
const EARLY: Duration = Duration::from_millis(120);
/// Two CPUs run everything here; a second interval is the least that is told apart.
const LATE: Duration = Duration::from_millis(400);

/// Something the wire shows of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
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

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) title: &'static str,
    router: Vec<(&'static str, &'static str)>,
    steps: Vec<Step>,
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
pub(crate) fn cases() -> Vec<Case> {
    let of_the_rfc = CASES.split("# Beyond the RFC").next().unwrap_or_default();
    table::read(of_the_rfc, "router").iter().map(read).collect()
}

fn read(written: &table::Case) -> Case {
    let router = written.player.iter().filter_map(|one| one.split_once('=')).collect();
    let mut case = Case { title: written.name, router, steps: Vec::new() };
    for step in &written.steps {
        let mut after = None;
        match step.input[..] {
            ["start"] => case.steps.push(Step::Start),
            ["pass", time] => case.steps.push(Step::Pass(seconds(time))),
            ["after", time] => after = Some(seconds(time)),
            ["hear", source, priority, ref interval @ ..] => case.steps.push(Step::Hear {
                source: source.parse().expect("an address"),
                priority: priority.parse().expect("a priority"),
                interval: interval.first().map_or(Duration::from_secs(1), |interval| seconds(interval)),
            }),
            // One router of a daemon cannot be stopped alone; all of them are, at the end.
            ["stop", ..] | ["quiet", _] => break,
            _ => panic!("{}", step.line),
        }
        said(step.wanted, after, &mut case.steps);
    }
    case
}

impl Case {
    pub(crate) fn is_owner(&self) -> bool {
        self.setting("priority") == Some("255")
    }

    /// How long after its start it speaks first, where nobody else does before.
    pub(crate) fn first_wait(&self) -> Option<Duration> {
        match self.steps.as_slice() {
            [Step::Start, Step::Says(_), ..] => Some(Duration::ZERO),
            [Step::Start, Step::After(time, _), ..] => Some(*time),
            _ => None,
        }
    }

    /// Its first word comes before all others, and tells when all of its daemon began.
    pub(crate) fn tells_start(&self) -> bool {
        self.first_wait().is_some_and(|wait| wait < Duration::from_millis(500))
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&'static str> {
        self.router.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// Lines of keepalived.conf.
    pub(crate) fn keepalived(&self, vrid: usize) -> String {
        let priority = self.setting("priority").expect("a priority");
        let interval = self.setting("interval").unwrap_or("1");
        let address = self.setting("address").unwrap_or("10.0.0.2");
        let preempt = match self.setting("preempt") {
            Some("no") => "nopreempt".to_owned(),
            Some(delay) => format!("preempt_delay {delay}"),
            None => String::new(),
        };
        let state = if self.is_owner() { "MASTER" } else { "BACKUP" };
        format!(
            "vrrp_instance case{vrid} {{\n state {state}\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n \
             advert_int {interval}\n mcast_src_ip {address}\n {preempt}\n virtual_ipaddress {{\n {}/32\n }}\n}}\n",
            vip(vrid)
        )
    }
}

pub(crate) fn vip(vrid: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, u8::try_from(vrid).expect("few cases"))
}

/// A case that is being played.
pub(crate) struct Play {
    pub(crate) case: Case,
    pub(crate) vrid: usize,
    /// The step that is next.
    pub(crate) at: usize,
    /// When the last one was.
    pub(crate) since: Option<Instant>,
    /// What was seen, for whoever has to understand a failure.
    pub(crate) story: String,
    pub(crate) failed: Option<String>,
}

impl Play {
    pub(crate) fn next(&self) -> Option<&Step> {
        self.case.steps.get(self.at).filter(|_| self.failed.is_none())
    }

    pub(crate) fn fail(&mut self, why: &str) {
        self.failed = Some(format!("{}: {why}\n{}", self.case.title, self.story));
    }

    fn note(&mut self, begun: Instant, text: &str) {
        let _ = writeln!(self.story, "  {:.3} {text}", begun.elapsed().as_secs_f64());
    }

    /// An advertisement has come.
    pub(crate) fn heard(&mut self, begun: Instant, now: Instant, priority: u8) {
        if self.next().is_none() {
            return;
        }
        self.note(begun, &format!("said {priority}"));
        while let Some(step) = self.next().cloned() {
            match (step, self.since) {
                (Step::Start, Some(_)) => self.at += 1,
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
    pub(crate) fn turn(&mut self, begun: Instant, now: Instant) -> Option<(Ipv4Addr, u8, Duration)> {
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

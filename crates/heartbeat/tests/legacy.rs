//! `auto_failback legacy` beside a heartbeat, which never says what it has (HB-35).

mod pair;

use evenkeel_heartbeat::{Identity, Input, Message, Node, Output, Path};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::Failback;
use pair::{SECOND, cluster, name, timing};
use std::time::Duration;

const KEY: &str = "10.168.0.160/24/eth0";

/// A node, and a heartbeat that says no more than the test has it say.
struct Beside {
    node: Node,
    other: &'static str,
    now: Instant,
    sequence: u64,
    /// What the node said besides statuses, and what it took and gave.
    said: Vec<String>,
    done: Vec<&'static str>,
    /// Types of all messages it sent.
    sent: Vec<String>,
}

/// The other one has been active for long; the one group prefers ha1.
fn beside(own: &'static str, other: &'static str) -> Beside {
    let mut cluster = cluster(timing(SECOND, SECOND * 10), Failback::Legacy, &["ha1"]);
    cluster.node = name(own);
    cluster.pings.clear();
    let identity =
        Identity { uuid: [1; 16], generation: 1, version: String::new(), configuration: 0, seed: 1, heard: Vec::new() };
    let (node, now) = (Node::new(&cluster, identity), Instant::START);
    let mut beside = Beside { node, other, now, sequence: 0, said: Vec::new(), done: Vec::new(), sent: Vec::new() };
    beside.input(Input::Start);
    beside.status();
    beside.hear(Message::new("reqnodes").with("dest", own));
    beside.hear(Message::new("repnodes").with("dest", own));
    beside
}

impl Beside {
    fn input(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.node.handle(self.now, input, &mut out);
        self.follow(out);
    }

    fn hear(&mut self, message: Message) {
        self.sequence += 1;
        let message = message.with("src", self.other).with("seq", format_args!("{:x}", self.sequence)).with("ttl", 3);
        self.input(Input::Heard { path: Path::Medium(0), message });
    }

    fn status(&mut self) {
        self.hear(Message::new("status").with("st", "active").with("dt", "2710"));
    }

    /// The other one is active for so long.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.status();
            let next = self.now + SECOND;
            while let Some(due) = self.node.deadline().filter(|due| *due < next) {
                self.now = self.now.max(due);
                let mut out = Outbox::new();
                self.node.handle_timeout(self.now, &mut out);
                self.follow(out);
            }
            self.now = next;
        }
    }

    fn follow(&mut self, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            if let Output::Transmit { message, .. } = &output {
                self.sent.push(message.kind().to_owned());
            }
            match output {
                Output::Transmit { message, .. } if message.kind().starts_with("ip-request") => {
                    let fields = ["dest", "ipaddr", "weown", "ok"].into_iter().filter_map(|field| message.text(field));
                    self.said.push([message.kind()].into_iter().chain(fields).collect::<Vec<_>>().join(" "));
                }
                Output::Acquire { .. } => self.done.push("take"),
                Output::Yield { .. } => self.done.push("give"),
                _ => {}
            }
        }
    }
}

#[test]
fn what_prefers_a_heartbeat_that_lives_is_not_taken_however_long_it_says_nothing() {
    let mut ha2 = beside("ha2", "ha1");
    ha2.run(SECOND * 120);
    assert_eq!((ha2.said, ha2.done), (vec![], vec![]));
}

#[test]
fn a_node_asks_a_heartbeat_for_its_own_group_until_that_gives_it() {
    let mut ha1 = beside("ha1", "ha2");
    ha1.run(SECOND * 2);
    assert_eq!(ha1.said, [format!("ip-request {KEY}")]);
    // It takes its time to stop the group.
    ha1.run(SECOND * 20);
    assert_eq!(ha1.said.len(), 3);
    assert!(ha1.done.is_empty(), "it was taken from a node that may still have it");
    let answer = Message::new("ip-request-resp").with("dest", "ha1").with("ipaddr", KEY);
    ha1.hear(answer.with("weown", "yes").with("ok", "OK"));
    ha1.run(SECOND * 60);
    assert_eq!((ha1.said.len(), ha1.done), (3, vec!["take"]));
}

#[test]
fn a_node_that_has_nothing_answers_so() {
    let mut ha2 = beside("ha2", "ha1");
    ha2.run(SECOND * 2);
    ha2.hear(Message::new("ip-request").with("ipaddr", KEY));
    assert_eq!(ha2.said, [format!("ip-request-resp ha1 {KEY} no OK")]);
}

/// A heartbeat that has heard an acknowledgement alone is active the next moment and takes its own without asking.
#[test]
fn a_heartbeat_that_begins_hears_a_status_before_anything_else() {
    for before in [None, Some("5")] {
        for first in 1..=10 {
            let mut ha2 = beside("ha2", "ha1");
            if let Some(generation) = before {
                ha2.hear(Message::new("status").with("st", "active").with("dt", "2710").with("hg", generation));
            }
            ha2.run(SECOND * 20);
            ha2.sequence = first - 1;
            ha2.sent.clear();
            let new = Message::new("status").with("st", "init").with("dt", "2710").with("protocol", 1).with("hg", "6");
            ha2.hear(new);
            assert_eq!(ha2.sent.first().map(String::as_str), Some("status"), "{before:?} {first}: {:?}", ha2.sent);
        }
    }
}

//! One side of each recording of two real heartbeats is played to a node: it says what the other one said.
//!
//! Only what a node says of its own accord is compared: neither statuses nor acknowledgements, nor what heartbeat sends
//! to itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;
mod pair;

use bed::{RECORDINGS, keys, recorded};
use evenkeel_heartbeat::{Identity, Input, Message, Node, Output, Path, Receiver, Request, Share, Standing};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Failback, Heartbeat, NodeName};
use pair::{MILLI, SECOND, cluster, line, name, timing};
use std::{collections::BTreeSet, time::Duration};

/// A recording as messages: when, who, what; pings left out.
fn messages(recording: &str) -> Vec<(Duration, usize, Message)> {
    let (_, number, method, secret) = RECORDINGS.iter().find(|(name, ..)| *name == recording).unwrap();
    let known: Vec<NodeName> = vec![name("ha1"), name("ha2")];
    let receiver = Receiver::new(name("ha9"), [9; 16], known, keys(*number, *method, secret));
    let mut messages: Vec<(Duration, usize, Message)> = Vec::new();
    for packet in recorded(recording).iter().filter(|packet| !packet.ping) {
        let message = receiver.receive(&packet.payload).unwrap();
        let from = usize::from(message.text("src") == Some("ha2"));
        // Some were captured on two interfaces.
        if !messages.iter().rev().take(4).any(|(_, _, last)| *last == message) {
            messages.push((packet.at, from, message));
        }
    }
    messages
}

/// What one of them says that is compared.
fn matters(message: &Message) -> bool {
    let to_itself = message.text("dest").is_some() && message.text("dest") == message.text("src");
    message.is_sequenced() && message.kind() != "status" && !to_itself
}

fn first_status(messages: &[(Duration, usize, Message)], of: usize) -> &Message {
    let mut statuses = messages.iter().filter(|(_, from, message)| *from == of && message.kind() == "status");
    &statuses.next().unwrap().2
}

struct Player {
    node: Node,
    now: Instant,
    said: Vec<String>,
    due: Vec<(Instant, Input)>,
}

impl Player {
    fn new(cluster: &Heartbeat, me: usize) -> Player {
        let view = Heartbeat { node: cluster.nodes[me].clone(), ..cluster.clone() };
        let identity = Identity {
            uuid: [7; 16],
            generation: 1,
            version: "0.1.0".to_owned(),
            configuration: 1,
            seed: 1,
            heard: Vec::new(),
        };
        Player { node: Node::new(&view, identity), now: Instant::START, said: Vec::new(), due: Vec::new() }
    }

    fn tell(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.node.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, mut out: Outbox<Output>) {
        while let Some(output) = out.pop() {
            match output {
                Output::Transmit { message, .. } if matters(&message) => self.said.push(line(&message)),
                Output::Acquire { group } => self.acts(group, Standing::Starting, Standing::Running),
                Output::Yield { group } => self.acts(group, Standing::Stopping, Standing::Stopped),
                Output::Ping { ping, message } => {
                    let input = Input::Heard { path: Path::Ping(ping), message: Message::clone(&message) };
                    self.due.push((self.now + MILLI, input));
                }
                _ => {}
            }
        }
    }

    fn acts(&mut self, group: usize, begins: Standing, ends: Standing) {
        self.due.push((self.now, Input::Group { group, standing: begins }));
        self.due.push((self.now + MILLI * 20, Input::Group { group, standing: ends }));
    }

    /// Gets to know the other node as it was when the recording began: joined, with its own half.
    fn meet(&mut self, peer: usize, messages: &[(Duration, usize, Message)]) {
        let first = first_status(messages, peer);
        let told = [
            Message::new("status").with("st", "active").with("dt", "ffff").with("protocol", 1),
            Message::default().with("dest", ["ha1", "ha2"][1 - peer]).with("t", "repnodes"),
            Message::new("starting"),
            Message::new("resource").with("rsc_hold", "local").with("rtype", "full").with("isstable", 1),
        ];
        self.tell(Input::Start);
        let last = first.hex("seq").unwrap();
        for (sequence, message) in (last - 4..).zip(told) {
            let message = message.with("src", ["ha1", "ha2"][peer]).with("seq", format_args!("{sequence:x}"));
            let message = message.with("hg", first.text("hg").unwrap());
            self.until(self.now + SECOND);
            self.tell(Input::Heard { path: Path::Medium(0), message });
        }
    }

    fn until(&mut self, end: Instant) {
        loop {
            self.due.sort_by_key(|(when, _)| *when);
            let timer = self.node.deadline();
            let input = self.due.first().map(|(when, _)| *when);
            let Some(next) = timer.into_iter().chain(input).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if input == Some(next) {
                let (_, input) = self.due.remove(0);
                self.tell(input);
            } else {
                let mut out = Outbox::new();
                self.node.handle_timeout(self.now, &mut out);
                self.carry_out(out);
            }
        }
        self.now = end;
    }
}

/// When each run of `me` spoke last before it began anew: it was killed then.
fn deaths(messages: &[(Duration, usize, Message)], me: usize) -> Vec<Duration> {
    let mine: Vec<_> = messages.iter().filter(|(_, from, _)| *from == me).collect();
    let ends = mine.windows(2).filter(|pair| pair[1].2.text("st") == Some("init"));
    ends.map(|pair| pair[0].0).collect()
}

/// Plays the part of `me`: starts, dies, stops and asks when it did, up to a moment.
fn play(recording: &str, me: usize, cluster: &Heartbeat, until: Duration) -> (Vec<String>, Vec<String>) {
    let messages = messages(recording);
    let deaths = deaths(&messages, me);
    let mut player = Player::new(cluster, me);
    let base = SECOND * 30;
    let mut theirs = Vec::new();
    let mut aside = false;
    let operator = recording == "sha1_standby_takeover";
    if operator {
        player.meet(1 - me, &messages);
        player.until(Instant::at(base));
        player.said.clear();
    } else if first_status(&messages, me).text("st") != Some("init") {
        player.tell(Input::Start);
    }
    for (at, from, message) in messages.into_iter().filter(|(at, ..)| *at < until) {
        player.until(Instant::at(base + at));
        if from != me {
            player.tell(Input::Heard { path: Path::Medium(0), message });
            continue;
        }
        if message.text("st") == Some("init") {
            let fresh = Player::new(cluster, me);
            player.node = fresh.node;
            player.due.clear();
            player.tell(Input::Start);
        }
        if message.text("info") == Some("shutdown") {
            player.tell(Input::Stop);
        }
        if operator && message.text("info") == Some("me") && theirs.is_empty() {
            player.tell(Input::Request { id: 1, what: Request::Standby(Share::All) });
        }
        if operator && message.kind() == "hb_takeover" {
            player.tell(Input::Request { id: 2, what: Request::Takeover(Share::All) });
        }
        // Its ipfail gives a half it has nothing in, to be sure; this node does not.
        aside = message.kind() == "ask_resources" && message.text("from_id").is_some()
            || aside && message.kind() != "reqnodes";
        if matters(&message) && !aside {
            theirs.push(line(&message));
        }
        if deaths.contains(&at) {
            player.node = Player::new(cluster, me).node;
        }
    }
    player.until(player.now + SECOND);
    (player.said, theirs)
}

/// Only what has to be in the same order.
fn words(lines: &[String]) -> Vec<String> {
    let kinds = ["ask_resources", "hb_takeover", "shutdone", "stonith"];
    let mut words: Vec<String> =
        lines.iter().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).cloned().collect();
    words.dedup();
    words
}

/// Both say the same things, and the words of hand-overs in the same order.
fn compare(what: &str, ours: &[String], theirs: &[String]) {
    let show = || format!("{what}\nours\n  {}\ntheirs\n  {}", ours.join("\n  "), theirs.join("\n  "));
    // Whether one asks for the list of nodes, or gets it unasked, is a matter of who is first; so it is who answers whom
    // at a start of both.
    let early = ["reqnodes", "repnodes", "resource rsc_hold=none rtype=full isstable=0"];
    let counts = |line: &&String| !early.iter().any(|early| line.starts_with(early)) || line.ends_with("shutdown");
    let alike = |line: &String| line.replace("info=died", "info=signoff");
    let set = |lines: &[String]| lines.iter().filter(counts).map(alike).collect::<BTreeSet<_>>();
    assert_eq!(set(ours), set(theirs), "{}", show());
    assert_eq!(words(ours), words(theirs), "{}", show());
}

#[test]
fn a_cold_start_a_stop_and_a_stop_of_the_other_one() {
    for recording in ["crc_ucast", "md5_mcast", "sha1_bcast"] {
        let mut cluster = cluster(timing(SECOND, SECOND * 5), Failback::On, &["ha1"]);
        cluster.ipfail = false;
        cluster.pings.clear();
        for me in 0..2 {
            let (ours, theirs) = play(recording, me, &cluster, SECOND * 1000);
            compare(&format!("{recording} as {me}"), &ours, &theirs);
        }
    }
}

#[test]
fn standby_and_takeover_by_an_operator() {
    let mut cluster = cluster(timing(SECOND, SECOND * 5), Failback::Off, &["ha1"]);
    cluster.ipfail = false;
    for me in 0..2 {
        let (ours, theirs) = play("sha1_standby_takeover", me, &cluster, SECOND * 1000);
        compare(&format!("standby as {me}"), &ours, &theirs);
    }
}

#[test]
fn the_life_of_document_003_with_ipfail() {
    let cluster = cluster(timing(SECOND * 2, SECOND * 30), Failback::On, &["ha1"]);
    for me in 0..2 {
        // At the heal after that both drop everything, which is what this node does not do.
        let (ours, theirs) = play("seed003_md5_ucast", me, &cluster, SECOND * 200);
        compare(&format!("document 003 as {me}"), &ours, &theirs);
    }
}

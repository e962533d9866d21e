//! Order over a network that loses, repeats and delays; and as real heartbeats had it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{RECORDINGS, keys, name, recorded, sha1};
use evenkeel_heartbeat::{
    Message, Transmitter,
    codec::{self, Form},
    control::{self, Control},
    history::Answer,
    stream::{Output, Stream, TOLERANCE, Taken},
};
use evenkeel_machine::{Instant, Outbox, Rng};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const MAX_DELAY: Duration = Duration::from_millis(250);

/// What travels.
enum Parcel {
    ToListener(Arc<Message>),
    ToSender(Message),
}

/// A sender and a listener, with two media between them.
struct Wire {
    now: Instant,
    rng: Rng,
    loss: u64,
    delay: u64,
    parcels: BTreeMap<(Instant, u64), Parcel>,
    number: u64,
    sender: Transmitter,
    stream: Stream,
    delivered: Vec<u64>,
    lost: BTreeSet<u64>,
    asked: usize,
}

impl Wire {
    fn new(seed: u64, loss: u64, delay: u64) -> Wire {
        let mut sender = Transmitter::new(name("ha1"), [1; 16], 5, 3);
        sender.clock(1_795_209_600, "0.00 0.00 0.00 1/1 1");
        Wire {
            now: Instant::START,
            rng: Rng::new(seed),
            loss,
            delay,
            parcels: BTreeMap::new(),
            number: 0,
            sender,
            stream: Stream::new(0, MAX_DELAY, seed),
            delivered: Vec::new(),
            lost: BTreeSet::new(),
            asked: 0,
        }
    }

    fn send(&mut self, parcel: impl Fn() -> Parcel) {
        for _medium in 0..2 {
            if !self.rng.chance(self.loss) {
                let at = self.now + Duration::from_millis(self.rng.below(self.delay + 1));
                self.number += 1;
                self.parcels.insert((at, self.number), parcel());
            }
        }
    }

    fn speak(&mut self, kind: &str) {
        let message = self.sender.complete(Message::new(kind).with("protocol", 1));
        self.send(|| Parcel::ToListener(message.clone()));
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let parcel = self.parcels.keys().next().map(|(at, _)| *at);
            let next = parcel.into_iter().chain(self.stream.deadline()).min().filter(|next| *next <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            let mut out = Outbox::new();
            if parcel == Some(next) {
                match self.parcels.pop_first().unwrap().1 {
                    Parcel::ToListener(message) => {
                        assert_ne!(self.stream.take(self.now, (*message).clone(), &mut out), Taken::Replay);
                    }
                    Parcel::ToSender(message) => self.answer(&message),
                }
            } else {
                self.stream.handle_timeout(self.now, &mut out);
            }
            self.listen(out);
        }
        self.now = end;
    }

    fn listen(&mut self, mut out: Outbox<Output>) {
        for output in out.drain() {
            match output {
                Output::Deliver(message) => self.delivered.push(message.hex("seq").unwrap()),
                Output::Ask { first, last } => {
                    self.asked += 1;
                    let message = control::ask(&name("ha1"), first, last);
                    self.send(|| Parcel::ToSender(message.clone()));
                }
                Output::Acknowledge(sequence) => {
                    let message = control::acknowledge(&name("ha1"), sequence);
                    self.send(|| Parcel::ToSender(message.clone()));
                }
                Output::Lost { first, last } => self.lost.extend(first..=last),
                Output::Restarted => panic!("nobody restarted"),
            }
        }
    }

    fn answer(&mut self, message: &Message) {
        let mut out = Outbox::new();
        match Control::read(message).unwrap() {
            Control::Acknowledged(sequence) => self.sender.history().acknowledged(0, sequence),
            Control::Asked { first, last } => self.sender.history().answer(self.now, 0, first, last, &mut out),
            Control::Refused(_) => panic!("of a sender"),
        }
        for answer in out.drain() {
            match answer {
                Answer::Again(message) => self.send(|| Parcel::ToListener(message.clone())),
                Answer::Refuse(sequence) => {
                    let message = self.sender.complete(control::refuse(&name("ha2"), sequence));
                    self.send(|| Parcel::ToListener(message.clone()));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// HB-9.
    #[test]
    fn within_the_tolerance_order_is_kept_and_nothing_is_asked_for(seed in any::<u64>(), gap in 0u64..60) {
        let mut wire = Wire::new(seed, 0, 49);
        for _ in 0..200 {
            wire.speak("ask_resources");
            wire.run(Duration::from_millis(gap));
        }
        wire.run(Duration::from_secs(1));
        prop_assert_eq!(&wire.delivered, &(wire.delivered[0]..=200).collect::<Vec<_>>());
        prop_assert_eq!(wire.asked, 0);
    }

    #[test]
    fn every_message_arrives_once_over_a_bad_network(seed in any::<u64>(), loss in 0u64..50, delay in 0u64..200) {
        let mut wire = Wire::new(seed, loss, delay);
        for _ in 0..200 {
            wire.speak("ask_resources");
            wire.run(Duration::from_millis(20));
        }
        // The last one shows what is missing.
        wire.loss = 0;
        wire.speak("ask_resources");
        wire.run(Duration::from_secs(30));
        let first = wire.delivered[0];
        let once: BTreeSet<u64> = wire.delivered.iter().copied().collect();
        prop_assert_eq!(once.len(), wire.delivered.len(), "none twice");
        prop_assert!((first..=201).all(|number| once.contains(&number)), "{:?}", wire.delivered);
        prop_assert!(wire.lost.is_empty());
    }

    #[test]
    fn any_messages_are_taken(numbers in proptest::collection::vec((any::<u64>(), 0u64..4, 0u64..100), 0..60)) {
        let mut stream = Stream::new(1, MAX_DELAY, 1);
        let (mut now, mut out) = (Instant::START, Outbox::new());
        for (number, generation, wait) in numbers {
            now = now + Duration::from_millis(wait);
            // Some near each other, some far away.
            let number = if number % 3 == 0 { number } else { number % 600 };
            let kind = ["status", "resource", "NS_nak_rexmit", "starting"][(number % 4) as usize];
            let numbers = Message::new(kind).with("hg", generation).with("firstseq", format_args!("{number:x}"));
            stream.take(now, numbers.with("seq", format_args!("{number:x}")), &mut out);
            if stream.deadline().is_some_and(|due| due <= now) {
                stream.handle_timeout(now, &mut out);
            }
            prop_assert!(stream.deadline().is_none_or(|due| due > now && due <= now + MAX_DELAY.max(TOLERANCE)));
        }
    }
}

/// What each node heard of the other in a recording, and the acknowledgements it gave.
fn heard(recording: (&str, u8, evenkeel_model::heartbeat::Method, &str)) -> Vec<(Instant, Message)> {
    let (file, number, method, secret) = recording;
    let keys = keys(number, method, secret);
    let datagrams = recorded(file).into_iter().filter(|packet| !packet.ping);
    datagrams.map(|packet| (Instant::at(packet.at), codec::decode(&packet.payload, &keys).unwrap().0)).collect()
}

/// HB-8, HB-9.
#[test]
fn nothing_is_missing_in_what_real_heartbeats_sent_and_they_acknowledged_what_we_would() {
    // In the recording of the seed cables are pulled.
    for recording in RECORDINGS.into_iter().filter(|recording| recording.0 != "seed003_md5_ucast") {
        for (speaker, listener) in [("ha1", "ha2"), ("ha2", "ha1")] {
            let messages = heard(recording);
            let acks: Vec<u64> = messages
                .iter()
                .filter(|(_, message)| message.text("src") == Some(listener) && message.text("dest") == Some(speaker))
                .filter_map(|(_, message)| match Control::read(message) {
                    Some(Control::Acknowledged(sequence)) => Some(sequence),
                    _ => None,
                })
                .collect();
            let by = |node| move |(_, message): &&(Instant, Message)| message.text("src") == Some(node);
            // It hears nothing before it has begun, and after it has ended.
            let first = messages.iter().find(by(listener)).filter(|(_, first)| first.hex("seq") == Some(1));
            let begun = first.map_or(Instant::START, |(at, _)| *at);
            let ended = messages.iter().rfind(by(listener)).unwrap().0;
            let heard = |(at, _): &&(Instant, Message)| *at >= begun && *at <= ended;
            let spoken: Vec<_> = messages.iter().filter(by(speaker)).filter(heard).collect();
            // Each listener has chosen its own number between 0 and 9 when it started.
            let ours = (0..200).map(|seed| listen(&spoken, seed)).find(|ours| ours.first() == acks.first());
            let ours = ours.unwrap_or_else(|| panic!("{} {speaker}: {acks:?}", recording.0));
            // The recording may end before the last was sent.
            assert!(ours.len() - acks.len() <= 1, "{} {speaker}: {ours:?} {acks:?}", recording.0);
            assert_eq!(ours[..acks.len()], acks, "{} {speaker}", recording.0);
        }
    }
}

/// The acknowledgements of one listener.
fn listen(spoken: &[&(Instant, Message)], seed: u64) -> Vec<u64> {
    let mut stream = Stream::new(0, MAX_DELAY, seed);
    let (mut out, mut acks, mut last) = (Outbox::new(), Vec::new(), 0);
    for (now, message) in spoken.iter().copied() {
        while let Some(due) = stream.deadline().filter(|due| due < now) {
            stream.handle_timeout(due, &mut out);
        }
        let taken = stream.take(*now, message.clone(), &mut out);
        assert_ne!(taken, Taken::Replay);
        for output in out.drain() {
            match output {
                Output::Deliver(message) => {
                    let number = message.hex("seq").unwrap_or(last + 1);
                    assert!(number == last + 1 || last == 0, "{number} after {last}");
                    last = message.hex("seq").unwrap_or(last);
                }
                Output::Acknowledge(sequence) => acks.push(sequence),
                other @ (Output::Restarted | Output::Ask { .. } | Output::Lost { .. }) => panic!("{other:?}"),
            }
        }
    }
    acks
}

/// HB-6, HB-7: what a node says about itself, in the order in which a real one says it.
#[test]
fn a_message_is_completed_as_a_real_heartbeat_completes_it() {
    const ADDED: [&str; 8] = ["destuuid", "src", "srcuuid", "seq", "hg", "ts", "ld", "ttl"];
    let mut numbered = 0;
    for recording in RECORDINGS.into_iter().filter(|recording| recording.0 != "seed003_md5_ucast") {
        let mut messages: Vec<Message> = heard(recording).into_iter().map(|(_, message)| message).collect();
        messages.retain(|message| message.text("src") == Some("ha1"));
        messages.sort_by_key(|message| message.hex("seq"));
        let first = messages.iter().find_map(|message| message.hex("seq")).unwrap();
        let generation = messages[0].hex("hg").unwrap();
        let uuid = *messages[0].binary("srcuuid").unwrap().first_chunk::<16>().unwrap();
        let hops = messages[0].text("ttl").unwrap().parse().unwrap();
        let mut transmitter = Transmitter::new(name("ha1"), uuid, generation, hops);
        for message in &messages {
            if let (Some(dest), Some(uuid)) = (message.text("dest"), message.binary("destuuid")) {
                transmitter.know(&name(dest), *uuid.first_chunk::<16>().unwrap());
            }
        }
        // Recordings that begin in the middle.
        for _ in 1..first {
            transmitter.complete(Message::new("status"));
        }
        for message in messages {
            transmitter.clock(message.hex("ts").unwrap(), message.text("ld").unwrap_or_default());
            let mut bare = Message::default();
            for (name, value) in message.fields().filter(|(name, _)| !ADDED.contains(name)) {
                bare.push(name, value.clone());
            }
            let completed = transmitter.complete(bare);
            let bytes = |message: &Message| codec::encode(message, Form::Classic, &sha1());
            assert_eq!(bytes(&completed), bytes(&message), "{message:?}");
            numbered += usize::from(message.is_sequenced());
        }
    }
    assert!(numbered > 150, "{numbered}");
}

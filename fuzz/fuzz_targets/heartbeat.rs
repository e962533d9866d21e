//! Any bytes as what the network brings, and any fields as what a peer with the right key says: each is heard or has a
//! reason, and the node goes on.

#![no_main]

use evenkeel_heartbeat::{Form, Identity, Input, Lines, Node, Output, Path, Receiver, Request, Share, Standing, codec};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{
    Agent, Failback, Fence, FenceAgent, Group, Heartbeat, Key, Keys, Medium, Method, NodeName, PingNode, Resource,
    Timing,
};
use std::{collections::VecDeque, path::PathBuf, time::Duration};

/// What a peer says first; the fuzzer adds fields, which a real peer might.
const KINDS: [&str; 16] = [
    "status",
    "resource",
    "ask_resources",
    "starting",
    "shutdone",
    "hb_takeover",
    "reqnodes",
    "repnodes",
    "ip-request",
    "ip-request-resp",
    "num_ping_nodes",
    "NS_rexmit",
    "NS_nak_rexmit",
    "NS_ackmsg",
    "stonith",
    "hbapi-clstat",
];
/// Wakes within one step; timers that never rest would be an error.
const WAKES: usize = 20_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&mode, mut rest)) = bytes.split_first() else { return };
    let keys = Keys::one(Key { method: Method::Crc, secret: Vec::new() });
    let cluster = cluster(mode, keys.clone());
    let known = [name("ha2"), name("10.168.0.1")];
    let receiver = Receiver::new(name("ha1"), [1; 16], known, keys.clone());
    let mut stage = Stage {
        now: Instant::START,
        node: Node::new(
            &cluster,
            Identity {
                uuid: [1; 16],
                generation: 7,
                version: "fuzz".into(),
                configuration: 1,
                seed: u64::from(mode),
                heard: Vec::new(),
            },
        ),
        keys,
        waiting: VecDeque::new(),
    };
    stage.tell(Input::Start);
    let mut lines = Lines::default();
    while let Some((&[wait, kind, length], more)) = rest.split_first_chunk() {
        let (content, more) = more.split_at(more.len().min(length.into()));
        rest = more;
        stage.run(Duration::from_millis(u64::from(wait) * 20));
        match kind >> 5 {
            0 => drop(receiver.receive(content)),
            1 => lines.push(content, |message| drop(receiver.receive(message))),
            2 => stage.tell(request(kind)),
            3 => {
                let message = signed(&[b">>>\n", content, b"\n"].concat(), b"<<<\n");
                drop(receiver.receive(&message));
            }
            _ => {
                let path = if kind & 16 != 0 { Path::Ping(0) } else { Path::Medium(usize::from(wait % 3)) };
                if let Ok(message) = receiver.receive(&said(kind, content)) {
                    stage.tell(Input::Heard { path, message });
                }
            }
        }
    }
    stage.run(Duration::from_secs(30));
});

struct Stage {
    now: Instant,
    node: Node,
    keys: Keys,
    /// What is told to the node next.
    waiting: VecDeque<Input>,
}

impl Stage {
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = 0;
        while let Some(due) = self.node.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let mut out = Outbox::new();
            self.node.handle_timeout(self.now, &mut out);
            self.carry_out(out);
            wakes += 1;
            assert!(wakes < WAKES, "a timer that never rests");
        }
        self.now = end;
    }

    fn tell(&mut self, input: Input) {
        self.waiting.push_back(input);
        while let Some(input) = self.waiting.pop_front() {
            let mut out = Outbox::new();
            self.node.handle(self.now, input, &mut out);
            self.carry_out(out);
        }
    }

    /// What a node says can be read by whoever hears it, and what it asks for is done at once.
    fn carry_out(&mut self, mut out: Outbox<Output>) {
        for output in out.drain() {
            match output {
                Output::Transmit { message, .. } | Output::Ping { message, .. } => {
                    for form in [Form::Classic, Form::Netstring, Form::Text] {
                        let bytes = codec::encode(&message, form, &self.keys);
                        assert!(codec::decode(&bytes, &self.keys).is_ok(), "{message:?}");
                    }
                }
                Output::Acquire { group } => {
                    self.waiting.push_back(Input::Group { group, standing: Standing::Running });
                }
                Output::Yield { group } => {
                    self.waiting.push_back(Input::Group { group, standing: Standing::Stopped });
                }
                Output::Fence { node } => self.waiting.push_back(Input::Fenced { node, ok: self.now > Instant::START }),
                _ => {}
            }
        }
        if let Some(input) = self.waiting.pop_front() {
            self.tell(input);
        }
    }
}

/// A message of `ha2`: of a known type, with the fields that the fuzzer wants.
fn said(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = b"###\n".to_vec();
    let first = format!("(0)t={}", KINDS[usize::from(kind % 16)]);
    let fields = [first.as_bytes(), b"(0)src=ha2"].into_iter().chain(content.split(|byte| *byte == b'\n'));
    for field in fields {
        bytes.extend_from_slice(format!("{}:", field.len()).as_bytes());
        bytes.extend_from_slice(field);
        bytes.push(b',');
    }
    bytes.extend_from_slice(b"%%%\n");
    let signature = format!("1 {}", crc(&bytes));
    bytes.extend_from_slice(format!("{}:{signature},", signature.len()).as_bytes());
    bytes
}

fn signed(lines: &[u8], end: &[u8]) -> Vec<u8> {
    let inner = lines.strip_prefix(b">>>\n").unwrap_or(lines);
    [lines, format!("auth=1 {}\n", crc(inner)).as_bytes(), end].concat()
}

fn crc(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0u32, |sum, byte| {
        (0..8)
            .fold(sum ^ u32::from(*byte) << 24, |sum, _| if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 })
    });
    format!("{:x}", !sum)
}

fn request(kind: u8) -> Input {
    let share = [Share::All, Share::Local, Share::Foreign, Share::None][usize::from(kind & 3)];
    let what = match kind >> 2 & 7 {
        0 => Request::Standby(share),
        1 => Request::Takeover(share),
        2 => Request::Move { group: usize::from(kind & 1), to: (kind & 32 == 0).then_some(usize::from(kind >> 1 & 1)) },
        3 => Request::Confirm { node: 1 },
        4 => return Input::Ready(kind & 1 != 0),
        5 => return Input::Medium { medium: 0, up: kind & 1 != 0 },
        6 => return Input::Group { group: 0, standing: Standing::Failed },
        _ => return Input::Stop,
    };
    Input::Request { id: kind.into(), what }
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

fn cluster(mode: u8, keys: Keys) -> Heartbeat {
    let failback = [Failback::On, Failback::Off, Failback::Legacy, Failback::On][usize::from(mode & 3)];
    let group = |key: &str, node| Group {
        key: key.to_owned(),
        prefer: vec![name(node)],
        resources: vec![Resource {
            name: key.to_owned(),
            agent: Agent::Script { name: key.to_owned(), arguments: Vec::new() },
            start_within: Duration::from_secs(20),
            stop_within: Duration::from_secs(20),
            monitor: None,
        }],
    };
    let fence = Fence {
        nodes: Vec::new(),
        agent: FenceAgent::Stonith { kind: "ssh".to_owned(), parameters: Vec::new(), file: None },
        within: Duration::from_secs(10),
    };
    let medium = |interface: &str| Medium::Broadcast { interface: interface.to_owned(), port: 694 };
    let serial = Medium::Serial { device: PathBuf::from("/dev/ttyS0"), baud: 19_200.try_into().expect("not 0") };
    let second = Duration::from_secs(1);
    let timing = Timing { warntime: second * 2, initdead: second * 10, ..Timing::usual(second, second * 5) };
    Heartbeat {
        media: vec![medium("eth0"), medium("eth1"), serial],
        pings: vec![PingNode { name: name("10.168.0.1"), addresses: vec![[10, 168, 0, 1].into()] }],
        failback,
        ipfail: mode & 4 != 0,
        groups: vec![group("nginx", "ha1"), group("apache", "ha2")],
        fences: if mode & 8 != 0 { vec![fence] } else { Vec::new() },
        ..Heartbeat::new(name("ha1"), vec![name("ha1"), name("ha2")], timing, keys)
    }
}

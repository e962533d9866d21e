//! A real heartbeat hears what we say on every medium, asks for what we leave out, and sends again what we ask for.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use evenkeel_heartbeat::{
    Form, Lines, Message, Receiver, Transmitter, codec,
    control::{self, Control},
    history::{Answer, KEPT},
    stream::{Output, Stream, Taken},
};
use evenkeel_lab::Stage;
use evenkeel_lab_tests::{
    LIMIT, alone, among_others, can_run,
    heartbeat::{RealHeartbeat, has_heartbeat},
    null_modem::NullModem,
    switch, unique_name,
};
use evenkeel_machine::Outbox;
use evenkeel_model::heartbeat::{Key, Keys, Method, NodeName};
use evenkeel_netlink::{MediumSocket, MediumTarget, Netlink};
use evenkeel_os::{Clock, SerialLine};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    net::{IpAddr, Ipv6Addr},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::PermissionsExt,
    },
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

const KEEPALIVE: Duration = Duration::from_millis(200);
const BAUD: std::num::NonZeroU32 = std::num::NonZeroU32::new(115_200).expect("not 0");

/// How the two are connected.
enum Way {
    Udp(MediumSocket),
    Serial(SerialLine, Lines),
}

impl AsFd for Way {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Way::Udp(socket) => socket.as_fd(),
            Way::Serial(line, _) => line.as_fd(),
        }
    }
}

impl Way {
    fn form(&self) -> Form {
        match self {
            Way::Udp(_) => Form::Classic,
            Way::Serial(..) => Form::Text,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        match self {
            Way::Udp(socket) => socket.send(bytes).expect("it is sent"),
            Way::Serial(line, _) => line.send(bytes).expect("it is sent"),
        }
    }

    fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        let mut heard = Vec::new();
        match self {
            Way::Udp(socket) => {
                while let Some((length, _)) = socket.receive(&mut buffer).expect("it is read") {
                    heard.push(buffer[..length].to_vec());
                }
            }
            Way::Serial(line, lines) => {
                let length = line.receive(&mut buffer).expect("it is read");
                lines.push(&buffer[..length], |message| heard.push(message.to_vec()));
            }
        }
        heard
    }
}

/// Node `ha2`, as far as the wire goes: statuses, lists of nodes, order.
struct Peer {
    clock: Clock,
    way: Way,
    form: Form,
    keys: Keys,
    receiver: Receiver,
    transmitter: Transmitter,
    stream: Stream,
    state: &'static str,
    /// Whether numbered messages are kept back.
    mute: bool,
    /// Whether it acknowledges nothing, as one that hears nothing.
    deaf: bool,
    /// Every message of the other one in its turn.
    delivered: Vec<Message>,
    /// The number of each that has one, and the bytes it came as.
    heard: Vec<(u64, Vec<u8>)>,
    controls: Vec<Control>,
    /// What was acknowledged to the other one last.
    said_heard: u64,
}

impl Peer {
    fn new(way: Way, keys: Keys) -> Peer {
        let mut transmitter = Transmitter::new(name("ha2"), [2; 16], 7, 3);
        transmitter.clock(1_795_209_600, "0.00 0.00 0.00 1/1 1");
        Peer {
            clock: Clock::start(),
            form: way.form(),
            way,
            receiver: Receiver::new(name("ha2"), [2; 16], [name("ha1")], keys.clone()),
            keys,
            transmitter,
            stream: Stream::new(0, Duration::from_millis(250), 3),
            state: "up",
            mute: false,
            deaf: false,
            delivered: Vec::new(),
            heard: Vec::new(),
            controls: Vec::new(),
            said_heard: 0,
        }
    }

    fn say(&mut self, message: Message) {
        let message = self.transmitter.complete(message);
        if !(self.mute && message.is_sequenced()) {
            self.send(&message);
        }
    }

    fn send(&mut self, message: &Message) {
        let bytes = codec::encode(message, self.form, &self.keys);
        self.way.send(&bytes);
    }

    /// Goes on until `good`.
    fn until(&mut self, what: &str, heartbeat: &RealHeartbeat, good: impl Fn(&Peer) -> bool) {
        let limit = Instant::now() + LIMIT;
        let mut status = Instant::now();
        while !good(self) {
            let now = Instant::now();
            assert!(now < limit, "never {what}; {:?}\n{}", self.controls, heartbeat.log());
            if status <= now {
                status = now + KEEPALIVE;
                let alive = Message::new("status").with("st", self.state).with("dt", "1388").with("protocol", 1);
                self.say(alive);
            }
            let wait = status.saturating_duration_since(now).min(Duration::from_millis(20));
            let wait = Timespec::try_from(wait).expect("it fits");
            poll(&mut [PollFd::new(&self.way, PollFlags::IN)], Some(&wait)).expect("poll");
            for bytes in self.way.receive() {
                self.hear(bytes);
            }
            let mut out = Outbox::new();
            self.stream.handle_timeout(self.clock.now(), &mut out);
            self.follow(out);
        }
    }

    fn hear(&mut self, bytes: Vec<u8>) {
        let message = match self.receiver.receive(&bytes) {
            Ok(message) => message,
            Err(evenkeel_heartbeat::Reason::Own) => return,
            Err(reason) => panic!("dropped, {reason}: {}", String::from_utf8_lossy(&bytes)),
        };
        if let Some(number) = message.hex("seq") {
            self.heard.push((number, bytes));
        }
        let mut out = Outbox::new();
        let taken = self.stream.take(self.clock.now(), message, &mut out);
        assert_ne!(taken, Taken::Replay);
        self.follow(out);
    }

    fn follow(&mut self, mut out: Outbox<Output>) {
        let other = name("ha1");
        while let Some(output) = out.pop() {
            match output {
                Output::Deliver(message) => self.act(message),
                Output::Ask { first, last } => self.say(control::ask(&other, first, last)),
                Output::Acknowledge(_) if self.deaf => {}
                Output::Acknowledge(sequence) => {
                    self.said_heard = sequence;
                    self.say(control::acknowledge(&other, sequence));
                }
                Output::Restarted | Output::Lost { .. } => panic!("{output:?}"),
            }
        }
    }

    fn act(&mut self, message: Message) {
        if message.text("dest").is_some_and(|dest| dest != "ha2") {
            return;
        }
        match (message.kind(), Control::read(&message)) {
            (_, Some(control)) => {
                self.controls.push(control);
                if let Control::Asked { first, last } = control {
                    let mut answers = Outbox::new();
                    self.transmitter.history().answer(self.clock.now(), 0, first, last, &mut answers);
                    while let Some(Answer::Again(message)) = answers.pop() {
                        self.send(&message);
                    }
                }
            }
            ("reqnodes", _) => {
                let list = Message::default().with("dest", "ha1").with("t", "repnodes");
                self.say(list.with("nodelist", "ha1 ha2 ").with("delnodelist", " "));
                self.state = "active";
            }
            _ => {}
        }
        self.delivered.push(message);
    }

    /// Whether the other one has acknowledged this number.
    fn acknowledged(&self, number: u64) -> bool {
        self.controls.iter().any(|control| matches!(control, Control::Acknowledged(up_to) if *up_to >= number))
    }

    fn is_active(&self) -> bool {
        self.delivered.iter().any(|message| message.kind() == "status" && message.text("st") == Some("active"))
    }

    /// The number that the next message gets.
    fn next(&mut self) -> u64 {
        self.transmitter.complete(Message::new("test")).hex("seq").expect("it is numbered") + 1
    }
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

fn keys(method: Method, secret: &str) -> Keys {
    Keys::new(2, BTreeMap::from([(2, Key { method, secret: secret.into() })])).expect("a key")
}

/// A real heartbeat, `ha1`, and a peer at the other end.
fn pair(
    media: &str,
    authkeys: &str,
    keys: Keys,
    open: impl FnOnce(u32) -> Way + Send + 'static,
) -> (Stage, RealHeartbeat, Peer) {
    let six = |last| IpAddr::from(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, last));
    let host = |name, last: u8| (name, vec![(IpAddr::from([10, 9, 0, last]), 24), (six(last.into()), 64)]);
    let stage = Stage::raise(&unique_name(), &switch::topology([host("one", 1), host("two", 2)])).expect("a stage");
    let node = |name| Arc::clone(stage.node(name).expect("it is there"));
    // It sends broadcasts to the address that the interface tells.
    for words in ["del 10.9.0.1/24", "add 10.9.0.1/24 broadcast 10.9.0.255"] {
        let mut ip = Command::new("ip");
        ip.arg("address").args(words.split(' ')).args(["dev", "eth0"]);
        node("one").output(ip).expect("it is done");
    }
    let heartbeat = RealHeartbeat::new(node("one"), &stage.directory().join("ha1"), "ha1", &[]);
    let ha_cf = format!(
        "logfile /var/log/ha-log\nlogfacility none\nrealtime off\nkeepalive 200ms\ndeadtime 5\ninitdead 10\n{media}\n\
         auto_failback on\nnode ha1 ha2\n"
    );
    for (file, text) in [("ha.cf", ha_cf.as_str()), ("authkeys", authkeys), ("haresources", "# none\n")] {
        let path = heartbeat.files().join(file);
        fs::write(&path, text).expect("the file is written");
        fs::set_permissions(path, Permissions::from_mode(0o600)).expect("it is root's");
    }
    heartbeat.start();
    let way = node("two").run(|| {
        let link = Netlink::open().expect("netlink").link("eth0").expect("it is asked").expect("it is there");
        open(link.index)
    });
    let peer = Peer::new(way.expect("a socket"), keys);
    (stage, heartbeat, peer)
}

fn udp(target: MediumTarget) -> impl FnOnce(u32) -> Way + Send + 'static {
    move |ifindex| Way::Udp(MediumSocket::open(ifindex, target, 694).expect("a socket"))
}

const SHA1: &str = "auth 2\n2 sha1 kfhslkdhfsk\n";

fn sha1() -> Keys {
    keys(Method::Sha1, "kfhslkdhfsk")
}

fn ready() -> bool {
    can_run() && has_heartbeat()
}

#[test]
fn it_hears_us_on_every_medium_and_we_hear_it() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let group = |group: &str, hops| MediumTarget::Group { group: group.parse().expect("a group"), hops, own: false };
    let md5 = || keys(Method::Md5, "hello!");
    let ways = [
        ("ucast eth0 10.9.0.2", SHA1, sha1(), MediumTarget::Host([10, 9, 0, 1].into())),
        ("bcast eth0", "auth 2\n2 md5 hello!\n", md5(), MediumTarget::Broadcast([10, 9, 0, 255].into())),
        ("mcast eth0 239.0.0.42 694 1 0", "auth 2\n2 crc\n", keys(Method::Crc, ""), group("239.0.0.42", 1)),
        ("mcast6 eth0 ff12::42 694 1 0", SHA1, sha1(), group("ff12::42", 1)),
        ("ucast6 eth0 fd09::2", SHA1, sha1(), MediumTarget::Host("fd09::1".parse().expect("an address"))),
    ];
    for (media, authkeys, keys, target) in ways {
        let (_stage, heartbeat, mut peer) = pair(media, authkeys, keys, udp(target));
        peer.until("both are active", &heartbeat, Peer::is_active);
        let last = peer.next() - 1;
        peer.until("it acknowledged what we said", &heartbeat, |peer| peer.acknowledged(last));
    }
}

#[test]
fn it_hears_us_on_a_serial_line_and_we_hear_it() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let cable = NullModem::lay();
    let [ours, theirs] = cable.devices.clone();
    let media = format!("baud 115200\nserial {}", theirs.display());
    let open = move |_| Way::Serial(SerialLine::open(&ours, BAUD).expect("a line"), Lines::default());
    let (_stage, heartbeat, mut peer) = pair(&media, SHA1, sha1(), open);
    peer.until("both are active", &heartbeat, Peer::is_active);
    let last = peer.next() - 1;
    peer.until("it acknowledged what we said", &heartbeat, |peer| peer.acknowledged(last));
    assert!(peer.heard.iter().all(|(_, packet)| packet.starts_with(b">>>\n")), "HB-2: lines of text");
}

/// HB-4.
#[test]
fn it_reads_every_form_we_write() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let target = MediumTarget::Host([10, 9, 0, 1].into());
    let (_stage, heartbeat, mut peer) = pair("ucast eth0 10.9.0.2", SHA1, sha1(), udp(target));
    for form in [Form::Classic, Form::Netstring, Form::Text] {
        peer.form = form;
        let first = peer.next();
        peer.until("it acknowledged twenty of them", &heartbeat, |peer| peer.acknowledged(first + 20));
    }
}

/// HB-9.
#[test]
fn it_asks_for_what_we_leave_out_and_sends_again_what_we_ask_for() {
    if !ready() {
        return;
    }
    let _alone = alone();
    let target = MediumTarget::Host([10, 9, 0, 1].into());
    let (_stage, heartbeat, mut peer) = pair("ucast eth0 10.9.0.2", SHA1, sha1(), udp(target));
    peer.until("both are active", &heartbeat, Peer::is_active);

    peer.mute = true;
    let first = peer.next();
    for _ in 0..3 {
        peer.say(Message::new("test"));
    }
    peer.mute = false;
    let asked = |peer: &Peer, number: u64| {
        peer.controls
            .iter()
            .any(|control| matches!(control, Control::Asked { first, last } if (*first..=*last).contains(&number)))
    };
    peer.until("it asked for all three", &heartbeat, |peer| (first..first + 3).all(|number| asked(peer, number)));
    peer.until("it acknowledged them", &heartbeat, |peer| peer.acknowledged(first + 3));

    // It refuses to send its very last message again, and one that was acknowledged.
    let repeatable = |peer: &Peer| peer.heard.len().checked_sub(2).filter(|at| peer.heard[*at].0 > peer.said_heard);
    peer.until("it said two more", &heartbeat, |peer| repeatable(peer).is_some());
    let (number, wanted) = peer.heard[repeatable(&peer).expect("just looked")].clone();
    peer.say(control::ask(&name("ha1"), number, number));
    let copies = |peer: &Peer| peer.heard.iter().filter(|(_, packet)| *packet == wanted).count();
    peer.until("it sent the same bytes again", &heartbeat, |peer| copies(peer) == 2);
}

/// HB-8: it goes on as before, and only its clients (ipfail) have to wait. It keeps what it sent last.
#[test]
fn it_goes_on_without_acknowledgements_and_keeps_its_last_messages() {
    if !ready() {
        return;
    }
    let _turn = among_others();
    let target = MediumTarget::Host([10, 9, 0, 1].into());
    let (_stage, heartbeat, mut peer) = pair("ucast eth0 10.9.0.2\nkeepalive 20ms", SHA1, sha1(), udp(target));
    peer.deaf = true;
    peer.until("both are active", &heartbeat, Peer::is_active);
    let sent = |peer: &Peer| peer.heard.last().map_or(0, |(number, _)| *number);
    peer.until("it sent more than it keeps", &heartbeat, |peer| sent(peer) > KEPT as u64 + 20);
    for said in ["all clients are now paused", "Message hist queue is filling up (376 messages in queue)"] {
        assert!(heartbeat.log().contains(said), "{}", heartbeat.log());
    }
    let (number, wanted) = peer.heard[peer.heard.len() - 50].clone();
    peer.say(control::ask(&name("ha1"), number, number));
    let copies = |peer: &Peer| peer.heard.iter().filter(|(_, packet)| *packet == wanted).count();
    peer.until("it sent the same bytes again", &heartbeat, |peer| copies(peer) == 2);
    // An acknowledgement lets its clients go on.
    peer.deaf = false;
    peer.until("its clients went on", &heartbeat, |_| heartbeat.log().contains("all clients are now resumed"));
}

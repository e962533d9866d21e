//! Recordings of real heartbeats, and packets made by hand.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part; a test that cannot go on has failed"
)]

use evenkeel_heartbeat::{Message, Receiver, Value};
use evenkeel_model::heartbeat::{Key, Keys, Method, NodeName};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr, path::PathBuf, time::Duration};

/// The recordings, with the number, method and secret of the key they are signed with.
pub(crate) const RECORDINGS: [(&str, u8, Method, &str); 6] = [
    ("crc_ucast", 1, Method::Crc, ""),
    ("md5_mcast", 3, Method::Md5, "hello!"),
    ("seed003_md5_ucast", 3, Method::Md5, "hello!"),
    ("sha1_bcast", 2, Method::Sha1, "kfhslkdhfsk"),
    ("sha1_netstring", 1, Method::Sha1, "HI!"),
    ("sha1_standby_takeover", 1, Method::Sha1, "HI!"),
];

/// One that was recorded.
pub(crate) struct Recorded {
    /// Since the first packet of the recording.
    pub(crate) at: Duration,
    pub(crate) source: Ipv4Addr,
    /// The data of an echo rather than of a datagram to port 694.
    pub(crate) ping: bool,
    pub(crate) payload: Vec<u8>,
}

/// A file of tests/conformance/heartbeat.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/heartbeat").join(name)
}

/// Every message of heartbeat in a recording of tcpdump, on Ethernet or on all interfaces, of IPv4.
pub(crate) fn recorded(name: &str) -> Vec<Recorded> {
    let bytes = std::fs::read(file(&format!("{name}.pcap"))).unwrap();
    let number = |bytes: &[u8]| u32::from_le_bytes(*bytes.first_chunk().unwrap());
    let (kind, network) = match number(&bytes[20..]) {
        1 => (12, 14),
        276 => (0, 20),
        other => panic!("link type {other}"),
    };
    let (mut rest, mut found, mut first) = (&bytes[24..], Vec::new(), None);
    while !rest.is_empty() {
        let at = Duration::new(number(rest).into(), number(&rest[4..]) * 1000);
        let (packet, more) = rest[16..].split_at(number(&rest[8..]) as usize);
        rest = more;
        let at = at - *first.get_or_insert(at);
        if packet[kind..kind + 2] != [8, 0] {
            continue;
        }
        let header = &packet[network..];
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let transport = &header[usize::from(header[0] & 0xf) * 4..length];
        let ping = match header[9] {
            17 if u16::from_be_bytes([transport[2], transport[3]]) == 694 => false,
            1 if matches!(transport[0], 0 | 8) => true,
            _ => continue,
        };
        let source = Ipv4Addr::from(*header[12..].first_chunk::<4>().unwrap());
        found.push(Recorded { at, source, ping, payload: transport[8..].to_vec() });
    }
    found
}

pub(crate) fn keys(number: u8, method: Method, secret: &str) -> Keys {
    Keys::new(number, BTreeMap::from([(number, Key { method, secret: secret.into() })])).unwrap()
}

/// Key 1 of most tests here.
pub(crate) fn sha1() -> Keys {
    keys(1, Method::Sha1, "HI!")
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// Of a third node, so that those of the recordings are its peers.
pub(crate) fn receiver(keys: Keys) -> Receiver {
    let known = ["ha1", "ha2", "10.168.0.1"].map(name);
    Receiver::new(name("ha3"), [3; 16], known, keys)
}

/// As its recording was decoded by another program.
pub(crate) fn words(message: &Message) -> String {
    let mut text = String::new();
    for (name, value) in message.fields() {
        match value {
            Value::Text(value) => write!(text, "{name}={value} ").unwrap(),
            Value::Binary(value) => write!(text, "{name}={} ", hex(value)).unwrap(),
        }
    }
    text
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signed by the key of [`sha1`], without the codec.
pub(crate) fn signature(bytes: &[u8]) -> String {
    let mut code = Hmac::<Sha1>::new_from_slice(b"HI!").unwrap();
    code.update(bytes);
    format!("1 {}", hex(&code.finalize().into_bytes()))
}

pub(crate) fn netstring(content: &[u8]) -> Vec<u8> {
    [format!("{}:", content.len()).as_bytes(), content, b","].concat()
}

/// `###` with these fields as they are.
pub(crate) fn unsigned(fields: &[&[u8]]) -> Vec<u8> {
    let fields: Vec<u8> = fields.iter().flat_map(|field| netstring(field)).collect();
    [b"###\n", fields.as_slice(), b"%%%\n"].concat()
}

/// The same, signed.
pub(crate) fn signed(fields: &[&[u8]]) -> Vec<u8> {
    let bytes = unsigned(fields);
    let signature = netstring(signature(&bytes).as_bytes());
    [bytes, signature].concat()
}

/// `>>>` with these lines, signed.
pub(crate) fn signed_text(lines: &[u8]) -> Vec<u8> {
    [b">>>\n", lines, format!("auth={}\n<<<\n", signature(lines)).as_bytes()].concat()
}

/// The fields of a status that heartbeat accepts.
pub(crate) const STATUS: [&[u8]; 7] =
    [b"(0)t=status", b"(0)st=active", b"(0)src=ha1", b"(0)seq=1", b"(0)hg=5", b"(0)ts=6b0004b9", b"(0)ttl=3"];

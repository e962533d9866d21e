//! Packets of real routers are understood, and ours are theirs, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_model::vrrp::{AdvertInterval, Authentication, GROUP_V4, Peer, Reach, Version, Vrid};
use evenkeel_vrrp::{Heard, Packet, Reason, Receiver, Terms, Transmitter, checksum::Form, hmac::Timestamp};
use std::{net::IpAddr, time::Duration};

const RECORDED: &str = include_str!("../../../tests/conformance/vrrp/keepalived-2.2.7.txt");

/// Packets of a kind, in the order they were sent.
fn recorded(kind: &str) -> Vec<Vec<u8>> {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let lines = RECORDED.lines().filter_map(|line| line.split_once(' '));
    let packets: Vec<_> = lines.filter(|(name, _)| *name == kind).map(|(_, hex)| bytes(hex)).collect();
    assert_eq!(packets.len(), 3, "{kind}");
    packets
}

fn terms(kind: &str) -> Terms {
    let version = if kind.starts_with("v2") { Version::Two } else { Version::Three };
    let addresses = match kind {
        "v3-ipv6" => ["fe80::100", "2001:db8::100"],
        _ => ["10.9.7.100", "10.9.7.101"],
    };
    let authentication = match kind {
        "v2-pass" => Authentication::Password(*b"secretpw"),
        "v2-ah" | "v2-ah-unicast" => Authentication::Header(*b"secretpw"),
        _ => Authentication::None,
    };
    let peers = vec![Peer { address: source(kind), hops: 0..=255 }];
    Terms {
        version,
        vrid: Vrid::new(51).unwrap(),
        interval: AdvertInterval::DEFAULT,
        addresses: addresses.map(|address| address.parse().unwrap()).to_vec(),
        authentication,
        hmac: None,
        reach: if kind.ends_with("unicast") { Reach::Unicast { peers, check_source: true } } else { Reach::Multicast },
    }
}

fn source(kind: &str) -> IpAddr {
    if kind == "v3-ipv6" { "fe80::1" } else { "10.9.7.1" }.parse().unwrap()
}

fn own(kind: &str) -> IpAddr {
    if kind == "v3-ipv6" { "fe80::2" } else { "10.9.7.2" }.parse().unwrap()
}

fn packet(bytes: &[u8]) -> Result<Packet<'_>, Reason> {
    match bytes[0] >> 4 {
        4 => Packet::ipv4(bytes),
        _ => {
            let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
            Ok(Packet::ipv6(address(8), address(24), Some(bytes[7]), &bytes[40..]))
        }
    }
}

const KINDS: [&str; 7] = ["v2-none", "v2-pass", "v2-ah", "v2-ah-unicast", "v3", "v3-unicast", "v3-ipv6"];

#[test]
fn everything_keepalived_sends_is_heard() {
    for kind in KINDS {
        let mut receiver = Receiver::new(terms(kind));
        for (bytes, priority) in recorded(kind).iter().zip([100, 100, 0]) {
            let packet = packet(bytes).unwrap();
            assert_eq!(packet.vrid(), Vrid::new(51));
            let heard =
                Heard { source: source(kind), priority, interval: Duration::from_secs(1), other_addresses: false };
            assert_eq!(receiver.receive(&packet, own(kind)), Ok(heard), "{kind}");
        }
    }
}

#[test]
fn what_is_sent_is_what_keepalived_sends() {
    for kind in KINDS {
        let mut transmitter = Transmitter::new(&terms(kind)).unwrap();
        let form = if kind.starts_with("v2") { Form::MessageOnly } else { Form::PseudoHeader };
        for (mut theirs, priority) in recorded(kind).into_iter().zip([100, 100, 0]) {
            let destination = packet(&theirs).unwrap().destination;
            let (ours, theirs) = match (source(kind), destination) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    // The kernel writes the checksum of the header.
                    theirs[10..12].fill(0);
                    (transmitter.ipv4(priority, form, from, to, 255), &theirs[..])
                }
                (from, to) => (transmitter.ipv6(priority, from, to), &theirs[40..]),
            };
            assert_eq!(ours, theirs, "{kind}");
        }
    }
}

/// A packet that is right but for what `change` does to it, judged with terms that `set` changes.
fn judged(kind: &str, change: impl Fn(&mut Vec<u8>), set: impl Fn(&mut Terms)) -> Result<Heard, Reason> {
    let mut bytes = recorded(kind).remove(0);
    change(&mut bytes);
    let mut terms = terms(kind);
    set(&mut terms);
    Receiver::new(terms).receive(&packet(&bytes)?, own(kind))
}

/// Makes the checksum of a multicast version 3 message right again, without a pseudo header.
fn sum_again(bytes: &mut [u8]) {
    bytes[26..28].fill(0);
    let mut sum: u32 =
        bytes[20..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[26..28].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
}

#[test]
fn each_mistake_has_its_reason() {
    let v3 = |change: &dyn Fn(&mut Vec<u8>)| judged("v3", change, |_| {});
    let v2 = |change: &dyn Fn(&mut Vec<u8>)| judged("v2-pass", change, |_| {});
    let summed = |change: &dyn Fn(&mut Vec<u8>)| {
        v3(&|bytes| {
            change(bytes);
            sum_again(bytes);
        })
    };
    assert!(summed(&|_| {}).is_ok(), "the form of RFC 9568 is right too");
    let failed = |result: Result<Heard, Reason>, reason| assert_eq!(result, Err(reason));
    // RFC 9568 7.1, in its order.
    failed(v3(&|bytes| bytes[8] = 254), Reason::Hops);
    failed(summed(&|bytes| bytes[20] = 0x41), Reason::Version);
    failed(summed(&|bytes| bytes[20] = 0x21), Reason::Length);
    failed(summed(&|bytes| bytes[20] = 0x32), Reason::Type);
    failed(summed(&|bytes| bytes[21] = 0), Reason::Vrid);
    failed(v3(&|bytes| bytes.truncate(34)), Reason::Length);
    failed(v3(&|bytes| bytes.truncate(19)), Reason::Header);
    failed(v3(&|bytes| bytes[0] = 0x44), Reason::Header);
    failed(v3(&|bytes| bytes[9] = 17), Reason::Header);
    failed(summed(&|bytes| bytes[23] = 3), Reason::Length);
    failed(summed(&|bytes| bytes[23] = 1), Reason::Length);
    failed(v3(&|bytes| bytes[27] ^= 1), Reason::Checksum);
    failed(v2(&|bytes| bytes[22] = 99), Reason::Checksum);
    failed(summed(&|bytes| bytes[25] = 0), Reason::Interval);
    failed(v3(&|bytes| bytes[15] = 2), Reason::Looped);
    // Its last address; the sum is over nothing else.
    failed(judged("v2-pass", |_| {}, |terms| terms.addresses.truncate(1)), Reason::Addresses);
    failed(
        judged("v3", |_| {}, |terms| terms.reach = Reach::Unicast { peers: Vec::new(), check_source: false }),
        Reason::Destination,
    );
    failed(judged("v3-unicast", |_| {}, |terms| terms.reach = Reach::Multicast), Reason::Destination);
    failed(
        judged("v3-unicast", |_| {}, |terms| terms.reach = Reach::Unicast { peers: Vec::new(), check_source: true }),
        Reason::Source,
    );
    let near = |terms: &mut Terms| {
        let peer = Peer { address: source("v3"), hops: 0..=254 };
        terms.reach = Reach::Unicast { peers: vec![peer], check_source: true };
    };
    failed(judged("v3-unicast", |_| {}, near), Reason::Hops);
    // RFC 3768 7.1 and RFC 2338.
    failed(
        judged(
            "v2-none",
            |_| {},
            |terms| terms.interval = AdvertInterval::new(Version::Two, Duration::from_secs(2)).unwrap(),
        ),
        Reason::Interval,
    );
    let said = |kind| {
        let change = move |bytes: &mut Vec<u8>| {
            bytes[24] = kind;
            sum_again(bytes);
        };
        judged("v2-none", change, |_| {})
    };
    failed(said(1), Reason::AuthenticationType);
    failed(said(2), Reason::AuthenticationType);
    failed(said(9), Reason::UnknownAuthentication);
    failed(judged("v2-none", |_| {}, |terms| terms.version = Version::Three), Reason::Version);
    failed(judged("v3", |_| {}, |terms| terms.version = Version::Two), Reason::Version);
    failed(
        judged("v2-pass", |_| {}, |terms| terms.authentication = Authentication::Password(*b"another1")),
        Reason::Authentication,
    );
    failed(judged("v2-pass", |_| {}, |terms| terms.authentication = Authentication::None), Reason::AuthenticationType);
    failed(
        judged("v2-none", |_| {}, |terms| terms.authentication = Authentication::Password(*b"secretpw")),
        Reason::AuthenticationType,
    );
    failed(
        judged("v2-pass", |_| {}, |terms| terms.authentication = Authentication::Header(*b"secretpw")),
        Reason::AuthenticationType,
    );
    failed(judged("v2-ah", |_| {}, |terms| terms.authentication = Authentication::None), Reason::AuthenticationType);
    failed(
        judged("v2-ah", |_| {}, |terms| terms.authentication = Authentication::Header(*b"another1")),
        Reason::Authentication,
    );
    failed(judged("v2-ah", |bytes| bytes[35] ^= 1, |_| {}), Reason::Authentication);
    failed(judged("v2-ah", |bytes| bytes.truncate(30), |_| {}), Reason::Length);
}

#[test]
fn a_packet_with_an_authentication_header_counts_once() {
    let mut receiver = Receiver::new(terms("v2-ah"));
    let packets = recorded("v2-ah");
    let mut hear =
        |at: usize| receiver.receive(&packet(&packets[at]).unwrap(), own("v2-ah")).map(|heard| heard.priority);
    assert_eq!(hear(0), Ok(100));
    assert_eq!(hear(1), Ok(100));
    assert_eq!(hear(1), Err(Reason::Replay));
    assert_eq!(hear(2), Ok(0));
    assert_eq!(hear(1), Err(Reason::Replay));
    // The first of all is no exception: after it each of them would count again.
    assert_eq!(hear(0), Err(Reason::Replay));
    assert_eq!(receiver.sequence(), 3);
}

/// The number in the authentication header of an IPv4 packet.
fn sequence(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[28..32].try_into().unwrap())
}

#[test]
fn authentication_headers_count_on_from_what_was_heard_and_from_the_time_of_day() {
    let IpAddr::V4(own) = own("v2-ah") else { panic!("it is IPv4") };
    let say = |transmitter: &mut Transmitter| sequence(transmitter.ipv4(100, Form::MessageOnly, own, GROUP_V4, 255));
    let mut transmitter = Transmitter::new(&terms("v2-ah")).unwrap();
    assert_eq!([say(&mut transmitter), say(&mut transmitter)], [1, 2]);
    transmitter.follow(3600);
    assert_eq!([say(&mut transmitter), say(&mut transmitter)], [3601, 3602]);
    transmitter.follow(7);
    assert_eq!(say(&mut transmitter), 3603);
    // One that is begun again, a second after the other's last word, is above it.
    let at = |seconds: u64| Timestamp::new(Duration::from_secs(1_795_000_000 + seconds));
    let (mut before, mut after) = (transmitter.clone(), Transmitter::new(&terms("v2-ah")).unwrap());
    let last = (0..100).map(|second: u64| say(before.at(at(second)))).last().unwrap();
    assert!(say(after.at(at(100))) > last);
    // A clock that is wrong takes nothing away, and leaves room.
    assert!(say(after.at(Timestamp::default())) > last);
    assert!(say(after.at(Timestamp::new(Duration::from_secs(u32::MAX.into())))) <= u32::MAX / 2 + 1);
    transmitter.follow(u32::MAX);
    assert_eq!(say(&mut transmitter), u32::MAX);
}

#[test]
fn a_peer_is_answered_in_the_form_of_its_checksum() {
    let mut receiver = Receiver::new(terms("v3"));
    assert_eq!(receiver.form(None), Form::PseudoHeader);
    let mut bytes = recorded("v3").remove(0);
    receiver.receive(&packet(&bytes).unwrap(), own("v3")).unwrap();
    assert_eq!(receiver.form(Some(source("v3"))), Form::PseudoHeader);
    sum_again(&mut bytes);
    receiver.receive(&packet(&bytes).unwrap(), own("v3")).unwrap();
    assert_eq!(receiver.form(Some(source("v3"))), Form::MessageOnly);
    assert_eq!(receiver.form(None), Form::MessageOnly);
    assert_eq!(receiver.form(Some(own("v3"))), Form::PseudoHeader);
}

#[test]
fn no_more_senders_are_remembered_than_there_is_room_for() {
    let mut receiver = Receiver::new(terms("v3"));
    for last in 10..60 {
        let mut bytes = recorded("v3").remove(0);
        bytes[15] = last;
        sum_again(&mut bytes);
        receiver.receive(&packet(&bytes).unwrap(), own("v3")).unwrap();
    }
    let form = |last: u8| receiver.form(Some(IpAddr::from([10, 9, 7, last])));
    assert_eq!(form(59), Form::MessageOnly);
    assert_eq!(form(44), Form::MessageOnly);
    assert_eq!(form(43), Form::PseudoHeader, "forgotten");
}

#[test]
fn more_addresses_than_a_message_counts_are_refused() {
    let mut terms = terms("v3");
    terms.addresses = (0..=255).map(|last| IpAddr::from([10, 9, 8, last])).collect();
    assert!(Transmitter::new(&terms).is_none());
    terms.addresses.pop();
    assert!(Transmitter::new(&terms).is_some());
}

/// RFC 9568 7.1 lets a router log it. Dropping would make a second master of whoever is told of an address first.
#[test]
fn version_3_goes_by_the_number_whatever_addresses_are_named() {
    let other = |bytes: &mut Vec<u8>| {
        bytes[35] ^= 1;
        sum_again(bytes);
    };
    assert!(judged("v3", other, |_| {}).unwrap().other_addresses);
    assert!(judged("v3", |_| {}, |terms| terms.addresses.truncate(1)).unwrap().other_addresses);
    assert!(!judged("v3", |_| {}, |_| {}).unwrap().other_addresses);
}

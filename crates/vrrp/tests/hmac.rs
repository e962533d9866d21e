//! Keyed hashes: known answers, a reason for each fault, windows and replays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evenkeel_model::vrrp::{
    AdvertInterval, AntiReplay, Authentication, GROUP_V4, GROUP_V6, Hmac, HmacKey, HmacMode, Reach, Version, Vrid,
};
use evenkeel_vrrp::{
    Packet, Reason, Receiver, Terms, Transmitter,
    checksum::Form,
    hmac::{LENGTH, MARKS, Timestamp},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU8, time::Duration};

const KNOWN: &str = include_str!("../../../tests/conformance/vrrp/hmac.txt");
const RECORDED: &str = include_str!("../../../tests/conformance/vrrp/keepalived-2.4.3.txt");
const KINDS: [&str; 3] = ["v2", "v3", "v3-ipv6"];
/// When the known answers were signed.
const SIGNED: Duration = Duration::from_millis(1_795_209_600_500);

/// Payloads of a kind.
fn of(text: &str, kind: &str) -> Vec<Vec<u8>> {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(name, _)| *name == kind).map(|(_, hex)| bytes(hex)).collect()
}

fn known(kind: &str) -> Vec<u8> {
    of(KNOWN, kind).remove(0)
}

fn id(raw: u8) -> NonZeroU8 {
    NonZeroU8::new(raw).unwrap()
}

fn hmac(mode: HmacMode, anti_replay: AntiReplay) -> Hmac {
    let keys = BTreeMap::from([(id(7), HmacKey::new((0..32).collect()).unwrap())]);
    Hmac { keys, active: Some(id(7)), mode, window: Duration::from_secs(5), anti_replay }
}

fn enforced() -> Option<Hmac> {
    Some(hmac(HmacMode::Enforce, AntiReplay::Time))
}

fn terms(kind: &str, hmac: Option<Hmac>) -> Terms {
    let addresses = if kind == "v3-ipv6" { ["fe80::100", "2001:db8::100"] } else { ["10.9.7.100", "10.9.7.101"] };
    Terms {
        version: if kind == "v2" { Version::Two } else { Version::Three },
        vrid: Vrid::new(51).unwrap(),
        interval: AdvertInterval::DEFAULT,
        addresses: addresses.map(|address| address.parse().unwrap()).to_vec(),
        authentication: Authentication::None,
        hmac,
        reach: Reach::Multicast,
    }
}

fn address(kind: &str, last: u8) -> IpAddr {
    if kind == "v3-ipv6" { format!("fe80::{last}") } else { format!("10.9.7.{last}") }.parse().unwrap()
}

/// `payload` as if `source` had sent it to the group.
fn hear(receiver: &mut Receiver, payload: &[u8], source: IpAddr) -> Result<u8, Reason> {
    let whole;
    let packet = match source {
        IpAddr::V6(_) => Packet::ipv6(source, GROUP_V6.into(), Some(255), payload),
        IpAddr::V4(source) => {
            let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
            let mut bytes = vec![0x45, 0xc0, length[0], length[1], 0, 1, 0, 0, 255, 112, 0, 0];
            bytes.extend(source.octets());
            bytes.extend(GROUP_V4.octets());
            bytes.extend(payload);
            whole = bytes;
            Packet::ipv4(&whole)?
        }
    };
    receiver.receive(&packet, address(if source.is_ipv6() { "v3-ipv6" } else { "v3" }, 2)).map(|heard| heard.priority)
}

/// What is signed at `now`, without the IP header.
fn signed(transmitter: &mut Transmitter, kind: &str, now: Duration, source: IpAddr) -> Vec<u8> {
    transmitter.at(Timestamp::new(now));
    let form = if kind == "v2" { Form::MessageOnly } else { Form::PseudoHeader };
    match source {
        IpAddr::V4(source) => transmitter.ipv4(100, form, source, GROUP_V4, 255)[20..].to_vec(),
        IpAddr::V6(_) => transmitter.ipv6(100, source, GROUP_V6.into()).to_vec(),
    }
}

fn receiver(kind: &str, hmac: Option<Hmac>, now: Duration) -> Receiver {
    let mut receiver = Receiver::new(terms(kind, hmac));
    receiver.at(Timestamp::new(now));
    receiver
}

#[test]
fn what_is_signed_is_what_another_program_signs() {
    for kind in KINDS {
        let mut transmitter = Transmitter::new(&terms(kind, enforced())).unwrap();
        assert_eq!(signed(&mut transmitter, kind, SIGNED, address(kind, 1)), known(kind), "{kind}");
        assert_eq!(hear(&mut receiver(kind, enforced(), SIGNED), &known(kind), address(kind, 1)), Ok(100), "{kind}");
    }
}

/// When a payload was signed.
fn time(payload: &[u8]) -> Duration {
    let trailer = &payload[payload.len() - LENGTH..];
    let seconds = u32::from_be_bytes(trailer[4..8].try_into().unwrap());
    let fraction = u64::from(u16::from_be_bytes(trailer[8..10].try_into().unwrap()));
    Duration::from_secs(seconds.into()) + Duration::from_nanos((fraction * 1_000_000_000).div_ceil(65_536))
}

#[test]
fn what_is_signed_is_what_keepalived_signs() {
    for kind in KINDS {
        let mut transmitter = Transmitter::new(&terms(kind, enforced())).unwrap();
        let mut receiver = receiver(kind, enforced(), SIGNED);
        let payloads = of(RECORDED, kind);
        assert_eq!(payloads.len(), 2);
        for payload in payloads {
            let at = time(&payload);
            receiver.at(Timestamp::new(at));
            assert_eq!(hear(&mut receiver, &payload, address(kind, 1)), Ok(100), "{kind}");
            assert_eq!(signed(&mut transmitter, kind, at, address(kind, 1)), payload, "{kind}");
        }
    }
}

#[test]
fn the_length_in_the_ip_header_counts_the_hash() {
    let mut transmitter = Transmitter::new(&terms("v3", enforced())).unwrap();
    transmitter.at(Timestamp::new(SIGNED));
    let packet = transmitter.ipv4(100, Form::PseudoHeader, [10, 9, 7, 1].into(), GROUP_V4, 255);
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    assert_eq!(packet.len(), 20 + 16 + LENGTH);
}

#[test]
fn each_fault_has_its_reason() {
    for kind in KINDS {
        let good = known(kind);
        let trailer = good.len() - LENGTH;
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[trailer + at] = byte;
            bytes
        };
        let longer = [good.as_slice(), &[0]].concat();
        for (bytes, reason) in [
            (good[..trailer].to_vec(), Reason::Unsigned),
            (good[..good.len() - 1].to_vec(), Reason::TrailerLength),
            (longer, Reason::TrailerLength),
            (with(0, 0), Reason::TrailerType),
            (with(0, 2), Reason::TrailerType),
            (with(2, 1), Reason::TrailerReserved),
            (with(3, 1), Reason::TrailerReserved),
            (with(1, 0), Reason::UnknownKey),
            (with(1, 8), Reason::UnknownKey),
            (with(27, good[trailer + 27] ^ 1), Reason::Hash),
            (good[..trailer - 1].to_vec(), Reason::Length),
        ] {
            let heard = hear(&mut receiver(kind, enforced(), SIGNED), &bytes, address(kind, 1));
            assert_eq!(heard, Err(reason), "{kind}");
        }
        let other = hear(&mut receiver(kind, enforced(), SIGNED), &good, address(kind, 3));
        assert_eq!(other, Err(Reason::Hash), "the sender is signed too");
        let mut keys = enforced().unwrap();
        keys.keys.insert(id(7), HmacKey::new(vec![9; 64]).unwrap());
        assert_eq!(hear(&mut receiver(kind, Some(keys), SIGNED), &good, address(kind, 1)), Err(Reason::Hash));
        assert_eq!(hear(&mut receiver(kind, None, SIGNED), &good, address(kind, 1)), Err(Reason::Length), "as 2.2.7");
    }
}

#[test]
fn modes_differ_in_what_is_sent_and_what_is_heard_without_a_hash() {
    for (mode, signs, unsigned) in [
        (HmacMode::ReceiveOnly, false, Ok(100)),
        (HmacMode::Permissive, true, Ok(100)),
        (HmacMode::Enforce, true, Err(Reason::Unsigned)),
    ] {
        let hmac = Some(hmac(mode, AntiReplay::Time));
        let mut transmitter = Transmitter::new(&terms("v3", hmac.clone())).unwrap();
        let sent = signed(&mut transmitter, "v3", SIGNED, address("v3", 1));
        assert_eq!(sent.len() == 16 + LENGTH, signs, "{mode:?}");
        let mut receiver = receiver("v3", hmac, SIGNED);
        let mut plain = Transmitter::new(&terms("v3", None)).unwrap();
        let plain = signed(&mut plain, "v3", SIGNED, address("v3", 1));
        assert_eq!(hear(&mut receiver, &plain, address("v3", 1)), unsigned, "{mode:?}");
        let mut forged = known("v3");
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(hear(&mut receiver, &forged, address("v3", 1)), Err(Reason::Hash), "{mode:?}");
        assert_eq!(hear(&mut receiver, &known("v3"), address("v3", 1)), Ok(100), "{mode:?}");
    }
}

#[test]
fn keys_are_exchanged_without_a_gap() {
    let mut both = enforced().unwrap();
    both.keys.insert(id(8), HmacKey::new(vec![8; 33]).unwrap());
    let mut transmitter = Transmitter::new(&terms("v3", Some(both.clone()))).unwrap();
    let mut receiver = receiver("v3", Some(both.clone()), SIGNED);
    let old = signed(&mut transmitter, "v3", SIGNED, address("v3", 1));
    both.active = Some(id(8));
    transmitter.change(&terms("v3", Some(both))).unwrap();
    let new = signed(&mut transmitter, "v3", SIGNED, address("v3", 1));
    assert_eq!((old[17], new[17]), (7, 8));
    assert_eq!(hear(&mut receiver, &old, address("v3", 1)), Ok(100));
    assert_eq!(hear(&mut receiver, &new, address("v3", 1)), Ok(100), "the number went on");
}

#[test]
fn a_window_has_two_ends_and_monotonic_has_none() {
    let late = |seconds| SIGNED + Duration::from_secs(seconds);
    let early = |seconds| SIGNED - Duration::from_secs(seconds);
    for (now, by_time) in [
        // It was signed half a second into a second; only whole ones count.
        (late(5) + Duration::from_millis(499), Ok(100)),
        (late(5) + Duration::from_millis(500), Err(Reason::Stale)),
        (late(3600), Err(Reason::Stale)),
        (early(5) - Duration::from_millis(500), Ok(100)),
        (early(5) - Duration::from_millis(501), Err(Reason::Future)),
        (early(3600), Err(Reason::Future)),
    ] {
        let heard = hear(&mut receiver("v3", enforced(), now), &known("v3"), address("v3", 1));
        assert_eq!(heard, by_time, "{now:?}");
        let monotonic = Some(hmac(HmacMode::Enforce, AntiReplay::Monotonic));
        assert_eq!(hear(&mut receiver("v3", monotonic, now), &known("v3"), address("v3", 1)), Ok(100), "{now:?}");
    }
}

#[test]
fn nothing_counts_twice_and_nothing_old_after_something_new() {
    for anti_replay in [AntiReplay::Time, AntiReplay::Monotonic] {
        let hmac = Some(hmac(HmacMode::Enforce, anti_replay));
        let (one, three) = (address("v3", 1), address("v3", 3));
        let mut transmitter = Transmitter::new(&terms("v3", hmac.clone())).unwrap();
        let mut other = transmitter.clone();
        let mut receiver = receiver("v3", hmac, SIGNED);
        // In one instant the counter goes on.
        let [first, second, third] = [(); 3].map(|()| signed(&mut transmitter, "v3", SIGNED, one));
        assert_eq!(hear(&mut receiver, &first, one), Ok(100));
        assert_eq!(hear(&mut receiver, &first, one), Err(Reason::Replay));
        assert_eq!(hear(&mut receiver, &third, one), Ok(100));
        assert_eq!(hear(&mut receiver, &second, one), Err(Reason::Replay));
        // Each sender counts for itself.
        assert_eq!(hear(&mut receiver, &signed(&mut other, "v3", SIGNED, three), three), Ok(100));
        // Other terms forget nobody.
        let terms = receiver.terms().clone();
        receiver.change(terms);
        assert_eq!(hear(&mut receiver, &third, one), Err(Reason::Replay));
    }
}

#[test]
fn seconds_that_wrap_go_on() {
    // The last second that 32 bits hold.
    let end = Duration::from_millis(4_294_967_295_900);
    let one = address("v3", 1);
    let mut transmitter = Transmitter::new(&terms("v3", enforced())).unwrap();
    let mut receiver = receiver("v3", enforced(), end);
    let before = signed(&mut transmitter, "v3", end, one);
    let after = signed(&mut transmitter, "v3", end + Duration::from_secs(1), one);
    assert_eq!((&before[20..24], &after[20..24]), (&[255; 4][..], &[0; 4][..]));
    assert_eq!(hear(&mut receiver, &before, one), Ok(100));
    assert_eq!(hear(&mut receiver, &after, one), Ok(100));
    assert_eq!(hear(&mut receiver, &before, one), Err(Reason::Replay));
}

#[test]
fn a_clock_that_is_set_stops_nobody() {
    let one = address("v3", 1);
    let hour = Duration::from_secs(3600);
    for (anti_replay, back) in [
        (AntiReplay::Time, hour),
        (AntiReplay::Time, Duration::from_secs(2)),
        (AntiReplay::Monotonic, hour),
        (AntiReplay::Monotonic, Duration::from_secs(2)),
    ] {
        let hmac = Some(hmac(HmacMode::Enforce, anti_replay));
        let mut transmitter = Transmitter::new(&terms("v3", hmac.clone())).unwrap();
        let mut receiver = receiver("v3", hmac, SIGNED);
        for now in [SIGNED, SIGNED - back, SIGNED - back + Duration::from_millis(100), SIGNED + hour] {
            let bytes = signed(&mut transmitter, "v3", now, one);
            receiver.at(Timestamp::new(now));
            assert_eq!(hear(&mut receiver, &bytes, one), Ok(100), "{anti_replay:?} {back:?} {now:?}");
            assert_eq!(hear(&mut receiver, &bytes, one), Err(Reason::Replay));
        }
    }
}

#[test]
fn marks_are_bounded_and_the_oldest_goes() {
    let hmac = Some(hmac(HmacMode::Enforce, AntiReplay::Time));
    let mut receiver = receiver("v3", hmac.clone(), SIGNED);
    let senders = u8::try_from(MARKS + 1).unwrap();
    let packets: Vec<_> = (10..10 + senders)
        .map(|last| {
            let mut transmitter = Transmitter::new(&terms("v3", hmac.clone())).unwrap();
            (address("v3", last), signed(&mut transmitter, "v3", SIGNED, address("v3", last)))
        })
        .collect();
    for (source, bytes) in &packets {
        assert_eq!(hear(&mut receiver, bytes, *source), Ok(100));
    }
    for (source, bytes) in &packets[1..] {
        assert_eq!(hear(&mut receiver, bytes, *source), Err(Reason::Replay));
    }
    assert_eq!(hear(&mut receiver, &packets[0].1, packets[0].0), Ok(100), "the first was forgotten");
}

proptest! {
    #[test]
    fn no_bit_can_be_turned(kind in 0usize..3, at: prop::sample::Index, bit in 0u32..8) {
        let kind = KINDS[kind];
        let mut bytes = known(kind);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(hear(&mut receiver(kind, enforced(), SIGNED), &bytes, address(kind, 1)).is_err());
    }

    #[test]
    fn any_bytes_behind_a_message_are_judged(kind in 0usize..3, trailer: Vec<u8>) {
        let kind = KINDS[kind];
        let good = known(kind);
        let bytes = [&good[..good.len() - LENGTH], &trailer].concat();
        prop_assert!(hear(&mut receiver(kind, enforced(), SIGNED), &bytes, address(kind, 1)).is_err());
    }
}

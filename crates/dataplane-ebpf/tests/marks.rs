//! The data plane gives packets marks by itself (PP-4, PP-39).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;
#[path = "common/host.rs"]
mod host;

use evenkeel_abi::state::TIMEOUT_SECONDS;
use evenkeel_dataplane::{Change, Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::{EbpfDataplane, Options};
use evenkeel_model::{Family, Persistence, PersistenceEngine, Protocol, ServiceKey};
use frames::{
    ACK, Fate, SYN, client, connections, counters, key, packet, plane, round_robin, send, serve, tcp, tcp_to, template,
    udp_to,
};
use host::{Pins, root};
use std::num::NonZeroU32;

fn mark(number: u32) -> ServiceKey {
    ServiceKey::Mark { mark: NonZeroU32::new(number).unwrap(), family: Family::V4 }
}

fn matching(matches: &[&str]) -> ServiceOptions {
    ServiceOptions { matches: matches.iter().map(|text| text.parse().unwrap()).collect(), ..round_robin() }
}

fn syn(plane: &mut EbpfDataplane, client: ([u8; 4], u16), to: ([u8; 4], u16)) -> Fate {
    send(plane, &tcp_to(client, to, SYN))
}

#[test]
fn a_mark_takes_what_its_matches_hold_and_nothing_else() {
    let Some(mut plane) = plane(4096) else { return };
    let matches = ["192.0.2.0/24 tcp 80-81", "192.0.2.7 udp from 198.51.100.0/25", "203.0.113.0/24 protocol 50"];
    serve(&mut plane, mark(3), matching(&matches), &[11]);
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 1], 80)), Fate::To(11));
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 255], 81)), Fate::To(11));
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 1], 82)), Fate::Passed);
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 3, 1], 80)), Fate::Passed);
    let datagram = |last, to| udp_to(client(last, 9), ([192, 0, 2, to], 53), b"");
    assert_eq!(send(&mut plane, &datagram(127, 7)), Fate::To(11));
    assert_eq!(send(&mut plane, &datagram(128, 7)), Fate::Passed);
    assert_eq!(send(&mut plane, &datagram(127, 8)), Fate::Passed);
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 7], 80)), Fate::To(11), "by the shorter prefix");
    let sums = counters(&mut plane, mark(3), None);
    assert_eq!((sums.active, sums.inactive), (3, 1));
}

#[test]
fn any_protocol_of_a_mark_is_followed() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, mark(3), matching(&["203.0.113.0/24 protocol 50", "203.0.113.9 protocol 51"]), &[11, 12]);
    let esp = packet([198, 51, 100, 1], [203, 0, 113, 5], 50, &[0, 0, 1, 2, 0, 0, 0, 1, 9, 9, 9, 9]);
    for _ in 0..2 {
        assert_eq!(send(&mut plane, &esp), Fate::To(12));
    }
    let other = packet([198, 51, 100, 2], [203, 0, 113, 5], 50, &[0, 0, 1, 2, 0, 0, 0, 1, 9, 9, 9, 9]);
    assert_eq!(send(&mut plane, &other), Fate::To(11));
    let ah = packet([198, 51, 100, 1], [203, 0, 113, 5], 51, &[4, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(send(&mut plane, &ah), Fate::Passed);
    let shown = connections(&mut plane);
    assert_eq!(shown.iter().map(|c| (c.protocol, c.virtual_address.port())).collect::<Vec<_>>(), [(50, 0), (50, 0)]);
    assert!(shown.iter().all(|c| (290..=300).contains(&c.expires_s)), "{shown:?}");
    plane.elapse(301).unwrap();
    assert_eq!(send(&mut plane, &esp), Fate::To(12), "scheduled anew");
}

#[test]
fn a_mark_comes_before_an_address_and_a_lower_mark_before_a_higher_one() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), round_robin(), &[11]);
    serve(&mut plane, mark(5), matching(&["192.0.2.1 tcp 80 from 198.51.100.0/28", "0.0.0.0/0 tcp 443"]), &[12]);
    serve(&mut plane, mark(2), matching(&["192.0.2.0/24 tcp 80 from 198.51.100.8/29"]), &[13]);
    assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(12));
    assert_eq!(tcp(&mut plane, client(9, 1), SYN), Fate::To(13), "2 before 5, though of a shorter prefix");
    assert_eq!(tcp(&mut plane, client(16, 1), SYN), Fate::To(11), "none");
    assert_eq!(syn(&mut plane, client(1, 1), ([9, 9, 9, 9], 443)), Fate::To(12));
    plane.apply(&[Change::RemoveService(mark(2))]).unwrap();
    assert_eq!(tcp(&mut plane, client(9, 2), SYN), Fate::To(12));
    assert_eq!(tcp(&mut plane, client(9, 1), ACK), Fate::To(13), "it drains");
}

#[test]
fn matches_that_are_taken_away_leave_their_connections() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, mark(3), matching(&["203.0.113.1 tcp 80", "203.0.112.0/20 tcp 81"]), &[11]);
    let here = ([203, 0, 113, 1], 80);
    assert_eq!(syn(&mut plane, client(1, 1), here), Fate::To(11));
    plane.apply(&[Change::EditService(mark(3), matching(&["203.0.113.2 tcp 80"]))]).unwrap();
    assert_eq!(syn(&mut plane, client(1, 2), here), Fate::Passed);
    assert_eq!(syn(&mut plane, client(1, 2), ([203, 0, 113, 2], 80)), Fate::To(11));
    assert_eq!(send(&mut plane, &tcp_to(client(1, 1), here, ACK)), Fate::To(11));
    plane.apply(&[Change::RemoveService(mark(3))]).unwrap();
    assert_eq!(send(&mut plane, &tcp_to(client(1, 1), here, ACK)), Fate::To(11));
    plane.elapse(901).unwrap();
    plane.sweep_all().unwrap();
    for _ in 0..8 {
        plane.sweep().unwrap();
    }
    assert_eq!(send(&mut plane, &tcp_to(client(1, 1), here, ACK)), Fate::Passed);
    assert_eq!(plane.observe().unwrap().services.len(), 0);
}

#[test]
fn a_persistent_mark_has_one_template_for_all_its_destinations() {
    let Some(mut plane) = plane(4096) else { return };
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Address };
    let options = ServiceOptions { persistence: Some(persistence), ..matching(&["192.0.2.0/24"]) };
    serve(&mut plane, mark(258), options, &[11, 12]);
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 1], 80)), Fate::To(12));
    assert_eq!(syn(&mut plane, client(1, 1), ([192, 0, 2, 2], 443)), Fate::To(12));
    assert_eq!(send(&mut plane, &udp_to(client(1, 1), ([192, 0, 2, 3], 53), b"")), Fate::To(12));
    assert_eq!(syn(&mut plane, client(2, 1), ([192, 0, 2, 1], 80)), Fate::To(11));
    let shown = template(&mut plane).unwrap();
    assert_eq!((shown.virtual_address.to_string(), shown.protocol), ("0.0.1.2:0".to_owned(), 0));
}

#[test]
fn matches_are_observed_as_they_were_given_and_refused_where_there_are_too_many() {
    let Some(mut plane) = plane(4096) else { return };
    let texts =
        ["10.0.0.0/8", "10.1.0.0/16 tcp 1-65535", "10.0.0.0/8 udp 53 from 0.0.0.0/0", "10.1.0.0/16 protocol 47"];
    let options = matching(&texts);
    plane.apply(&[Change::AddService(mark(3), options.clone())]).unwrap();
    let other = matching(&["10.1.2.3", "10.0.0.0/8"]);
    plane.apply(&[Change::AddService(mark(1), other.clone())]).unwrap();
    let observed = plane.observe().unwrap();
    assert_eq!((&observed.services[&mark(3)].options, &observed.services[&mark(1)].options), (&options, &other));
    let many: Vec<String> = (0..60).map(|port| format!("10.1.2.0/24 tcp {port}")).collect();
    let many = matching(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let refused = plane.apply(&[Change::AddService(mark(2), many)]).unwrap_err();
    assert!(refused.cause.to_string().contains("at most 64 can"), "{}", refused.cause);
    assert_eq!(plane.observe().unwrap(), observed, "nothing has changed");
}

#[test]
fn the_next_daemon_takes_matches_over() {
    if !root() {
        return;
    }
    let pins = Pins::new("marks");
    let options = Options {
        pins: Some(pins.0.clone()),
        connections: 1024,
        services: 8,
        real_servers: 32,
        cells: 1 << 16,
        timeouts: TIMEOUT_SECONDS,
    };
    let (mut first, _) = EbpfDataplane::open(&options).unwrap();
    serve(&mut first, mark(3), matching(&["203.0.113.1 tcp 80", "203.0.112.0/20 tcp 81"]), &[11]);
    assert_eq!(syn(&mut first, client(1, 1), ([203, 0, 113, 1], 80)), Fate::To(11));
    let before = first.observe().unwrap();
    drop(first);
    let (mut second, _) = EbpfDataplane::open(&options).unwrap();
    assert_eq!(second.observe().unwrap(), before);
    assert_eq!(send(&mut second, &tcp_to(client(1, 1), ([203, 0, 113, 1], 80), ACK)), Fate::To(11));
    assert_eq!(syn(&mut second, client(1, 2), ([203, 0, 113, 9], 81)), Fate::To(11));
    second.apply(&[Change::RemoveService(mark(3))]).unwrap();
    assert_eq!(syn(&mut second, client(1, 3), ([203, 0, 113, 9], 81)), Fate::Passed);
    drop(second);
    let (mut third, _) = EbpfDataplane::open(&options).unwrap();
    assert_eq!(send(&mut third, &tcp_to(client(1, 1), ([203, 0, 113, 1], 80), ACK)), Fate::To(11), "it still drains");
}

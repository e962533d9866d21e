//! How many new connections there may be (PP-38), and who has to go where the table is full (PP-16).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;

use evenkeel_dataplane::{Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use evenkeel_model::{Behaviour, Persistence, PersistenceEngine, Protocol};
use frames::{ACK, Fate, SYN, client, connections, counters, key, plane, round_robin, send, serve, tcp, tcp_to, udp};
use std::time::{Duration, Instant};

fn limited(new_rate: Option<u32>, source_rate: Option<u32>) -> ServiceOptions {
    ServiceOptions { behaviour: Behaviour { new_rate, source_rate, ..Behaviour::default() }, ..round_robin() }
}

/// How many of `tries` SYNs of a client make a connection; the others must be over a limit.
fn made(plane: &mut EbpfDataplane, last: u8, ports: std::ops::Range<u16>) -> usize {
    let fates = ports.map(|port| tcp(plane, client(last, port), SYN));
    fates
        .filter(|fate| {
            if let Fate::To(11) = fate {
                true
            } else {
                assert_eq!(*fate, Fate::Ended("limited"));
                false
            }
        })
        .count()
}

/// So many were made as were saved up, and as many more at most as the time since then allows: a test may be held up.
fn assert_made(made: usize, saved: usize, rate: u32, since: Instant) {
    let more = (since.elapsed().as_secs_f64() * f64::from(rate)).ceil() as usize;
    assert!((saved..=saved + more).contains(&made), "{made} instead of {saved} and {more} at most");
}

#[test]
fn a_service_takes_no_more_new_connections_a_second_than_it_says() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), limited(Some(5), None), &[11]);
    let start = Instant::now();
    let first = made(&mut plane, 1, 1..4) + made(&mut plane, 2, 1..40);
    // Of all clients together.
    assert_made(first, 5, 5, start);
    for flags in [ACK, ACK] {
        assert_eq!(tcp(&mut plane, client(1, 1), flags), Fate::To(11), "what is known goes on");
    }
    plane.elapse(10).unwrap();
    let start = Instant::now();
    let second = made(&mut plane, 1, 100..140);
    // A second's worth can be saved up.
    assert_made(second, 5, 5, start);
    assert_eq!(counters(&mut plane, key(Protocol::Tcp, 80), None).connections, (first + second) as u64);
}

#[test]
fn one_source_does_not_take_what_others_may_have() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), limited(Some(6), Some(2)), &[11]);
    let start = Instant::now();
    let each = [1, 2, 3].map(|last| made(&mut plane, last, 1..40));
    each.into_iter().for_each(|made| assert_made(made, 2, 2, start));
    let beyond = made(&mut plane, 4, 1..40);
    assert_made(each.iter().sum::<usize>() + beyond, 6, 6, start);
    plane.elapse(1).unwrap();
    let start = Instant::now();
    assert_made(made(&mut plane, 1, 100..140), 2, 2, start);
}

#[test]
fn a_limit_is_a_service_s_own_and_goes_with_it() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), limited(Some(1), None), &[11]);
    serve(&mut plane, key(Protocol::Udp, 80), round_robin(), &[11]);
    let start = Instant::now();
    assert_made(made(&mut plane, 1, 1..20), 1, 1, start);
    for port in 1..5 {
        assert_eq!(udp(&mut plane, client(1, port)), Fate::To(11));
    }
    let edit = evenkeel_dataplane::Change::EditService(key(Protocol::Tcp, 80), round_robin());
    plane.apply(&[edit]).unwrap();
    assert_eq!(made(&mut plane, 1, 30..40), 10);
}

/// A client of its own for each number.
fn flooder(number: u32) -> ([u8; 4], u16) {
    let [_, a, b, c] = number.to_be_bytes();
    ([203, a, b, c], 1024 + (number % 50_000) as u16)
}

/// The longest tick a kernel has.
const TICK: Duration = Duration::from_millis(10);

const OTHER: ([u8; 4], u16) = ([192, 0, 2, 1], 443);

fn flood_with(options: ServiceOptions) {
    const CONNECTIONS: u32 = 1024;
    const CLIENTS: u16 = 50;
    let Some(mut plane) = plane(CONNECTIONS) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), options, &[11]);
    serve(&mut plane, key(Protocol::Tcp, OTHER.1), round_robin(), &[12]);
    let say = |plane: &mut EbpfDataplane, port: u16, flags: u8| send(plane, &tcp_to(client(7, port), OTHER, flags));
    for port in 0..CLIENTS {
        assert_eq!(say(&mut plane, port, SYN), Fate::To(12));
        assert_eq!(say(&mut plane, port, ACK), Fate::To(12));
    }
    let mut late = CLIENTS;
    for number in 0..8 * CONNECTIONS {
        assert_eq!(tcp(&mut plane, flooder(number), SYN), Fate::To(11));
        // Newcomers to the other service, whose handshakes take as long as a tenth of a table's worth of the flood.
        if number % (CONNECTIONS / 10) == 0 {
            if late > CLIENTS {
                assert_eq!(say(&mut plane, late - 1, ACK), Fate::To(12), "after {number}");
            }
            assert_eq!(say(&mut plane, late, SYN), Fate::To(12), "after {number}");
            late += 1;
            // The longest idle is told by the kernel's tick: a whole flood within one would leave it to chance.
            std::thread::sleep(TICK);
        }
    }
    for port in 0..late - 1 {
        assert_eq!(say(&mut plane, port, ACK), Fate::To(12), "connection {port}");
    }
    let sums = counters(&mut plane, key(Protocol::Tcp, OTHER.1), None);
    assert_eq!((sums.connections, sums.active), (u64::from(late), u32::from(late)), "none has gone");
    assert_eq!(
        connections(&mut plane).iter().filter(|c| c.state == "ESTABLISHED" && !c.is_template).count(),
        usize::from(late) - 1
    );
}

#[test]
fn a_flood_of_syns_takes_nothing_from_the_connections_of_another_service() {
    flood_with(round_robin());
}

#[test]
fn nor_does_one_to_a_persistent_service() {
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Address };
    flood_with(ServiceOptions { persistence: Some(persistence), ..round_robin() });
}

#[test]
fn a_client_with_an_established_connection_keeps_its_template_in_a_flood() {
    let Some(mut plane) = plane(1024) else { return };
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Address };
    let options = ServiceOptions { persistence: Some(persistence), ..round_robin() };
    serve(&mut plane, key(Protocol::Tcp, 80), options, &[11, 12]);
    for flags in [SYN, ACK] {
        assert_eq!(tcp(&mut plane, client(7, 1), flags), Fate::To(12));
    }
    for number in 0..8192 {
        assert!(matches!(tcp(&mut plane, flooder(number), SYN), Fate::To(_)));
    }
    for port in 2..6 {
        assert_eq!(tcp(&mut plane, client(7, port), SYN), Fate::To(12));
    }
    let shown = connections(&mut plane);
    let sums = counters(&mut plane, key(Protocol::Tcp, 80), None);
    assert_eq!(shown.iter().filter(|c| c.is_template).count(), sums.persistent as usize);
    assert_eq!(shown.iter().filter(|c| !c.is_template).count(), (sums.active + sums.inactive) as usize);
}

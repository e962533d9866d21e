//! Persistence, limits and marks of IPv6, and what a day of many clients leaves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;

use evenkeel_dataplane::{Change, Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use evenkeel_model::{Behaviour, Family, Persistence, PersistenceEngine, Protocol, Scheduler, ServiceKey};
use frames::{
    ACK, FIN, Fate, RST, SYN, client, connections, counters, key, plane, round_robin, send, serve, serve6, tcp,
    tcp6_to, template, udp,
};
use std::num::NonZeroU32;

const VIP: &str = "2001:db8:0:2::1";

fn service() -> ServiceKey {
    ServiceKey::new(VIP.parse().unwrap(), Protocol::Tcp, 80)
}

fn persistent(timeout: u32, prefix: u8) -> ServiceOptions {
    let persistence = Persistence { timeout, prefix, engine: PersistenceEngine::Address };
    ServiceOptions { persistence: Some(persistence), ..round_robin() }
}

fn syn(plane: &mut EbpfDataplane, source: &str, to: (&str, u16)) -> Fate {
    send(plane, &tcp6_to(source, 1, to, SYN))
}

#[test]
fn a_client_is_its_prefix() {
    let Some(mut plane) = plane(4096) else { return };
    serve6(&mut plane, service(), persistent(100, 52), &[11, 12]);
    assert_eq!(syn(&mut plane, "2001:db8:1:1000::1", (VIP, 80)), Fate::To(12));
    assert_eq!(syn(&mut plane, "2001:db8:1:1fff:ffff::1", (VIP, 80)), Fate::To(12));
    assert_eq!(syn(&mut plane, "2001:db8:1:2000::1", (VIP, 80)), Fate::To(11));
    assert_eq!(counters(&mut plane, service(), None).persistent, 2);
    let shown = template(&mut plane).unwrap();
    assert_eq!(shown.virtual_address.to_string(), format!("[{VIP}]:80"));
    assert_eq!((shown.client.port(), shown.protocol), (0, 6));
    for _ in 0..2 {
        assert_eq!(send(&mut plane, &tcp6_to("2001:db8:1:1000::1", 1, (VIP, 80), ACK)), Fate::To(12));
    }
    for _ in 0..4 {
        plane.elapse(45).unwrap();
        plane.sweep_all().unwrap();
    }
    let kept: Vec<String> = connections(&mut plane)
        .iter()
        .filter(|connection| connection.is_template)
        .map(|connection| format!("{} {}", connection.client.ip(), connection.state))
        .collect();
    assert_eq!(kept, ["2001:db8:1:1000:: ASSURED"], "the one with a connection");
}

#[test]
fn a_source_is_its_first_64_bits() {
    let Some(mut plane) = plane(4096) else { return };
    let behaviour = Behaviour { source_rate: Some(1), ..Behaviour::default() };
    serve6(&mut plane, service(), ServiceOptions { behaviour, ..round_robin() }, &[11]);
    let mut limited = 0;
    for last in 1..200 {
        let fate = syn(&mut plane, &format!("2001:db8:1:1::{last:x}"), (VIP, 80));
        limited += u32::from(fate == Fate::Ended("limited"));
    }
    assert!(limited > 0, "all of one /64");
    for net in 2..200 {
        assert_eq!(syn(&mut plane, &format!("2001:db8:1:{net:x}::1"), (VIP, 80)), Fate::To(11));
    }
}

#[test]
fn marks_of_ipv6_match_by_every_bit() {
    let Some(mut plane) = plane(4096) else { return };
    let mark = ServiceKey::Mark { mark: NonZeroU32::new(258).unwrap(), family: Family::V6 };
    let matches = ["2001:db8:0:2::/64 tcp 80 from 2001:db8:1:8000::/49", "2001:db8:0:3::1 tcp"];
    let matches = matches.iter().map(|text| text.parse().unwrap()).collect();
    serve6(&mut plane, mark, ServiceOptions { matches, ..persistent(360, 128) }, &[11, 12]);
    assert_eq!(syn(&mut plane, "2001:db8:1:8000::1", (VIP, 80)), Fate::To(12));
    assert_eq!(syn(&mut plane, "2001:db8:1:ffff::1", (VIP, 80)), Fate::To(11));
    assert_eq!(syn(&mut plane, "2001:db8:1:7fff::1", (VIP, 80)), Fate::Passed);
    assert_eq!(syn(&mut plane, "2001:db8:1:8000::1", (VIP, 81)), Fate::Passed);
    assert_eq!(syn(&mut plane, "2001:db8:1:8000::1", ("2001:db8:0:3::1", 9)), Fate::To(12), "its template");
    assert_eq!(syn(&mut plane, "2001:db8:1:8000::1", ("2001:db8:0:3::2", 9)), Fate::Passed);
    assert_eq!(template(&mut plane).unwrap().virtual_address.ip().to_string(), "0:102::");
}

#[test]
fn errors_about_a_connection_of_a_mark_reach_its_real_server() {
    let Some(mut plane) = plane(4096) else { return };
    let mark = ServiceKey::Mark { mark: NonZeroU32::new(1).unwrap(), family: Family::V4 };
    let matches = vec!["203.0.113.0/24 tcp".parse().unwrap()];
    serve(&mut plane, mark, ServiceOptions { matches, ..round_robin() }, &[11]);
    let to = ([203, 0, 113, 9], 80);
    assert_eq!(send(&mut plane, &frames::tcp_to(client(1, 7), to, SYN)), Fate::To(11));
    let answer = frames::tcp_to(to, client(1, 7), SYN | ACK);
    let error = |quoted: &[u8]| {
        let payload = [&[3u8, 4, 0, 0, 0, 0, 5, 0xdc][..], &quoted[14..14 + 28]].concat();
        frames::packet([198, 51, 100, 254], to.0, 1, &payload)
    };
    assert_eq!(send(&mut plane, &error(&answer)), Fate::To(11));
    assert_eq!(send(&mut plane, &error(&frames::tcp_to(to, client(1, 8), ACK))), Fate::Passed, "of no connection");
}

#[test]
fn a_day_of_many_clients_leaves_nothing() {
    let Some(mut plane) = plane(512) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(300, 32), &[11, 12, 13]);
    serve(&mut plane, key(Protocol::Udp, 80), persistent(30, 28), &[11, 12]);
    serve6(&mut plane, service(), persistent(60, 64), &[14]);
    let mut random = 1u32;
    // Half an hour in each step.
    for _ in 0..48 {
        for _ in 0..400 {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let (who, port) = (client((random >> 8) as u8 % 220 + 1, (random >> 16) as u16), random >> 24);
            let flags = [SYN, ACK, FIN | ACK, RST | ACK][random as usize % 4];
            match port % 3 {
                0 => udp(&mut plane, who),
                1 => tcp(&mut plane, who, flags),
                _ => send(&mut plane, &tcp6_to(&format!("2001:db8:1:{:x}::1", who.1), who.1, (VIP, 80), flags)),
            };
        }
        assert!(connections(&mut plane).len() <= 2 * 1024);
        for _ in 0..12 {
            plane.elapse(150).unwrap();
            plane.sweep().unwrap();
        }
    }
    plane.elapse(1000).unwrap();
    plane.sweep_all().unwrap();
    plane.elapse(1000).unwrap();
    plane.sweep_all().unwrap();
    assert_eq!(connections(&mut plane), []);
    for of in [key(Protocol::Tcp, 80), key(Protocol::Udp, 80), service()] {
        let sums = counters(&mut plane, of, None);
        assert_eq!((sums.active, sums.inactive, sums.persistent), (0, 0, 0));
        assert!(sums.connections > 500, "{}", sums.connections);
    }
}

#[test]
fn a_day_of_many_destinations_is_bounded_and_forgotten() {
    let Some(mut plane) = plane(512) else { return };
    let mark = |mark| ServiceKey::Mark { mark: NonZeroU32::new(mark).unwrap(), family: Family::V4 };
    let services = [
        (mark(1), Scheduler::LocalityLeastConnections, "10.0.0.0/8 tcp"),
        (mark(2), Scheduler::LocalityLeastConnectionsReplicated, "11.0.0.0/8 tcp"),
    ];
    for (key, scheduler, matches) in services {
        let matches = vec![matches.parse().unwrap()];
        serve(&mut plane, key, ServiceOptions { matches, ..ServiceOptions::new(scheduler) }, &[11, 12, 13]);
    }
    let visit = |plane: &mut EbpfDataplane, number: u32, port: u16| {
        let destination = [10 + number as u8 % 2, (number >> 17) as u8, (number >> 9) as u8, (number >> 1) as u8];
        send(plane, &frames::tcp_to(client(1, port), (destination, 80), SYN))
    };
    // One of each service that somebody comes to all day. The first one that is chosen is 13, who has more to do then.
    let kept = [2, 3];
    assert_eq!([0, 1].map(|number| visit(&mut plane, number, 1)), [Fate::To(13); 2]);
    assert_eq!(kept.map(|number| visit(&mut plane, number, 1)), [Fate::To(12); 2]);
    let most = usize::try_from(evenkeel_abi::locality::LOCALITY_ENTRIES).unwrap();
    for step in 0..9u32 {
        for number in 0..9_000 {
            visit(&mut plane, 4 + step * 9_000 + number, 2);
            if number % 1_000 == 0 {
                for number in kept {
                    visit(&mut plane, number, 3 + u16::try_from(step).unwrap());
                }
            }
        }
        assert!(plane.remembered().unwrap() <= most);
        assert!(connections(&mut plane).len() <= 1024);
        plane.elapse(3 * 3600).unwrap();
        plane.sweep_all().unwrap();
    }
    assert!(plane.remembered().unwrap() > most / 2, "there were more than it holds");
    assert_eq!(connections(&mut plane), []);
    assert_eq!(kept.map(|number| visit(&mut plane, number, 98)), [Fate::To(12); 2], "who is asked for is remembered");
    // More than a day later nothing counts, whatever is there still.
    plane.elapse(25 * 3600).unwrap();
    plane.sweep_all().unwrap();
    assert_eq!(connections(&mut plane), []);
    assert_eq!(kept.map(|number| visit(&mut plane, number, 99)), [Fate::To(13); 2], "it was forgotten");
    for (key, ..) in services {
        plane.apply(&[Change::RemoveService(key)]).unwrap();
    }
    plane.elapse(1000).unwrap();
    for _ in 0..20 {
        plane.sweep().unwrap();
    }
    // Others at the places of those that are gone get nothing of what was remembered for them.
    for (key, scheduler, matches) in services {
        let matches = vec![matches.parse().unwrap()];
        serve(&mut plane, key, ServiceOptions { matches, ..ServiceOptions::new(scheduler) }, &[14]);
    }
    assert_eq!(kept.map(|number| visit(&mut plane, number, 99)), [Fate::To(14); 2]);
}

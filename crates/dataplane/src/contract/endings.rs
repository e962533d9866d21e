//! What ends connections before their time, what counts them anew, and how long they last.

use super::{
    host::{Fate, Host},
    must, server,
};
use crate::{Change, ConnectionFilter, Counters};
use evenkeel_abi::Reason;
use evenkeel_model::{Forwarding, Protocol, Scheduler, Timeouts};
use std::net::SocketAddr;

const UNKNOWN: Fate = Fate::Passed(Some(Reason::NoConnection));
const ALL: ConnectionFilter = ConnectionFilter { service: None, real_server: None, client: None };

pub(super) fn check(make: &mut dyn FnMut() -> Host) {
    those_that_are_meant_end(make());
    those_that_drain_end_too(make());
    what_has_ended_leaves_nothing(make());
    counters_begin_anew(make());
    removed_ones_are_counted_anew_as_well(make());
    timeouts_are_followed(make());
}

fn flush(host: &mut Host, filter: &ConnectionFilter) -> u64 {
    must(host.plane.flush(filter), "cannot end connections")
}

/// Four TCP connections from ports 1 to 4, the odd ones to 12 and the even ones to 11, and two of UDP, one to each.
fn serving(mut host: Host) -> Host {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    connect(&mut host);
    host
}

fn connect(host: &mut Host) {
    for port in 1..5 {
        let to = Fate::To(if port % 2 == 1 { 12 } else { 11 });
        assert_eq!((host.syn(port), host.ack(port)), (to, to));
    }
    assert_eq!((host.udp(1), host.udp(2)), (Fate::To(12), Fate::To(11)));
}

fn those_that_are_meant_end(mut host: Host) {
    let real_server = |address| ConnectionFilter { real_server: Some(address), ..ALL };
    let (client, any_port) = (host.client(3), SocketAddr::new(host.client(1).ip(), 0));
    let (eleven, twelve) = (host.server(11), host.server(12));
    let some = ConnectionFilter { service: Some(host.tcp_key()), real_server: Some(twelve), client: Some(any_port) };
    let cases: [(ConnectionFilter, u64, &[u16]); 7] = [
        (ALL, 6, &[]),
        (real_server(twelve), 3, &[2, 4]),
        (real_server(SocketAddr::new(eleven.ip(), 0)), 3, &[1, 3]),
        (real_server(SocketAddr::new(eleven.ip(), 81)), 0, &[1, 2, 3, 4]),
        (ConnectionFilter { client: Some(client), ..ALL }, 1, &[1, 2, 4]),
        (ConnectionFilter { service: Some(host.key(Protocol::Udp)), ..ALL }, 2, &[1, 2, 3, 4]),
        (some, 2, &[2, 4]),
    ];
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    for (number, (filter, ended, left)) in (1..).zip(cases) {
        connect(&mut host);
        assert_eq!(flush(&mut host, &filter), ended, "case {number}");
        assert_eq!(flush(&mut host, &filter), 0, "case {number}, once more");
        for port in 1..5 {
            let known = host.ack(port) != UNKNOWN;
            assert_eq!(known, left.contains(&port), "case {number}, port {port}");
        }
        let active: u32 = [11, 12].into_iter().map(|server| host.load(server).0).sum();
        assert_eq!(active as usize, left.len(), "case {number}");
        assert!(host.connections(&filter).is_empty(), "case {number}");
        let made = host.counters(None).map(|counters| counters.connections);
        assert_eq!(made, Some(4 * number), "what was made stays counted");
        flush(&mut host, &ALL);
    }
}

fn those_that_drain_end_too(host: Host) {
    let mut host = serving(host);
    host.remove(12);
    let filter = ConnectionFilter { service: Some(host.tcp_key()), real_server: Some(host.server(12)), ..ALL };
    assert_eq!(flush(&mut host, &filter), 2);
    assert_eq!((host.ack(1), host.ack(2)), (UNKNOWN, Fate::To(11)));
    host.sweep();
    assert_eq!(host.counters(Some(12)), None, "nothing keeps it any more");
    assert_eq!(host.counters(None).map(|counters| (counters.connections, counters.active)), Some((4, 2)));
}

/// The places of what was ended are free at once: the table can be filled as often as one likes.
fn what_has_ended_leaves_nothing(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    let room = (host.plane.capabilities().connections / 2).min(2000) as u16;
    for _ in 0..6 {
        for port in 1..=room {
            assert_eq!((host.syn(port), host.ack(port)), (Fate::To(11), Fate::To(11)));
        }
        assert_eq!(flush(&mut host, &ALL), room.into());
        assert_eq!(host.load(11), (0, 0));
    }
}

fn sums(counters: Option<Counters>) -> Option<(u64, u64, u64, u32, u32)> {
    counters.map(|c| (c.connections, c.packets_in, c.bytes_in, c.active, c.inactive))
}

fn counters_begin_anew(host: Host) {
    let mut host = serving(host);
    let udp = (host.key(Protocol::Udp), None);
    let before = sums(host.counters_of(udp));
    let key = host.tcp_key();
    must(host.plane.zero(Some(&key)), "cannot count anew");
    for (who, active) in [(None, 4), (Some(11), 2), (Some(12), 2)] {
        assert_eq!(sums(host.counters(who)), Some((0, 0, 0, active, 0)), "{who:?}: only what is there now");
    }
    assert_eq!(sums(host.counters_of(udp)), before, "the other service is not meant");
    assert_eq!(host.ack(1), Fate::To(12));
    assert_eq!(host.counters(Some(12)).map(|c| (c.connections, c.packets_in)), Some((0, 1)));
    assert_eq!(host.counters(None).map(|c| (c.connections, c.packets_in)), Some((0, 1)));
    must(host.plane.zero(None), "cannot count anew");
    assert_eq!(host.counters_of(udp).map(|c| (c.connections, c.packets_in, c.inactive)), Some((0, 0, 2)));
    assert_eq!(host.counters(None).map(|c| (c.connections, c.packets_in)), Some((0, 0)));
    host.apply(&[Change::RemoveService(key)]);
    assert!(host.plane.zero(Some(&key)).is_err(), "there is no such service");
}

fn removed_ones_are_counted_anew_as_well(host: Host) {
    let mut host = serving(host);
    host.remove(12);
    let key = host.tcp_key();
    must(host.plane.zero(Some(&key)), "cannot count anew");
    assert_eq!(sums(host.counters(Some(12))), Some((0, 0, 0, 2, 0)));
    assert_eq!(host.ack(1), Fate::To(12));
    let add = Change::AddRealServer(key, host.server(12), server(1, Forwarding::DirectRouting));
    host.apply(&[add]);
    assert_eq!(host.counters(Some(12)).map(|c| c.packets_in), Some(1), "it comes back with what it has counted since");
    host.remove(12);
    assert_eq!(flush(&mut host, &ConnectionFilter { service: Some(key), ..ALL }), 4);
    host.sweep();
    assert_eq!(host.counters(Some(12)), None);
    assert_eq!(host.counters(None).map(|c| (c.connections, c.packets_in)), Some((0, 1)), "its service keeps the sums");
}

fn timeouts_are_followed(host: Host) {
    let mut host = serving(host);
    let set = |host: &mut Host, tcp, udp| {
        must(host.plane.set_timeouts(&Timeouts { tcp, udp, tcp_fin: None }), "cannot set timeouts");
    };
    set(&mut host, Some(1000), None);
    host.elapse(950);
    assert_eq!(host.ack(1), Fate::To(12), "those there are last longer too");
    set(&mut host, Some(20), Some(10));
    assert_eq!((host.syn(5), host.ack(5), host.udp(9)), (Fate::To(12), Fate::To(12), Fate::To(12)));
    host.elapse(12);
    assert_eq!(host.ack(5), Fate::To(12));
    assert_eq!(host.connections(&ConnectionFilter { service: Some(host.key(Protocol::Udp)), ..ALL }), []);
    host.elapse(22);
    assert_eq!((host.ack(5), host.ack(1)), (UNKNOWN, UNKNOWN));
}

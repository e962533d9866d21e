//! What becomes of connections when time passes and tables change (PP-10 to PP-17, PP-28).

use super::{
    host::{Fate, Host},
    must, options, server,
};
use crate::{
    Change, Connection, ConnectionFilter, NextHop, ServiceOptions,
    reference::{
        bed,
        build::{self, ACK, FIN, RST},
    },
};
use evenkeel_abi::Reason;
use evenkeel_model::{Forwarding, Prefix, Protocol, Scheduler, Sources};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

const UNKNOWN: Fate = Fate::Passed(Some(Reason::NoConnection));

pub(super) fn check(make: &mut dyn FnMut() -> Host) {
    the_quiesced_keep_their_connections(make());
    the_removed_keep_their_connections_and_may_come_back(make());
    the_removed_are_forgotten_after_their_connections(make());
    connections_outlive_their_service(make());
    a_reused_port_is_scheduled_anew(make());
    a_reused_port_that_cannot_be_scheduled_stays(make());
    the_half_open_do_not_wait_for_the_dead(make());
    states_are_active_or_not(make());
    timeouts_are_those_of_the_states(make);
    packets_and_bytes_are_counted(make());
    next_hops_and_forwarding_are_followed(make());
    sources_decide_about_new_connections_only(make());
    connections_are_listed(make());
    a_full_table_breaks_no_connection(make());
}

fn the_quiesced_keep_their_connections(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    assert_eq!((host.syn(1), host.syn(2), host.udp(1)), (Fate::To(12), Fate::To(11), Fate::To(12)));
    host.weigh(12, 0);
    assert_eq!((host.ack(1), host.syn(3), host.syn(4)), (Fate::To(12), Fate::To(11), Fate::To(11)));
    host.weigh(12, 1);
    assert_eq!((host.ack(1), host.ack(3)), (Fate::To(12), Fate::To(11)));
}

fn the_removed_keep_their_connections_and_may_come_back(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    assert_eq!((host.syn(1), host.ack(1)), (Fate::To(12), Fate::To(12)));
    host.remove(12);
    assert_eq!((host.ack(1), host.syn(2), host.syn(3)), (Fate::To(12), Fate::To(11), Fate::To(11)));
    host.sweep();
    assert_eq!(host.ack(1), Fate::To(12), "it drains as long as it has a connection");
    let counters = host.counters(Some(12));
    assert_eq!(counters.map(|c| (c.connections, c.packets_in, c.active)), Some((1, 4, 1)), "and is counted meanwhile");
    assert_eq!(host.counters(None).map(|c| (c.connections, c.packets_in)), Some((3, 6)), "but counts with it");
    host.add(12, 1);
    let counters = host.counters(Some(12));
    assert_eq!(counters.map(|c| (c.connections, c.packets_in, c.active)), Some((1, 4, 1)), "it has its counters again");
    assert_eq!(host.ack(1), Fate::To(12), "and its connection");
    assert_eq!(host.syn(4), Fate::To(12), "and gets new ones, as the newest");
}

fn the_removed_are_forgotten_after_their_connections(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    // Nothing else may refer to the real server.
    let udp = host.key(Protocol::Udp);
    host.apply(&[Change::RemoveService(udp)]);
    assert_eq!((host.syn(1), host.ack(1)), (Fate::To(12), Fate::To(12)));
    host.remove(12);
    host.elapse(902);
    host.sweep();
    assert_eq!(host.ack(1), UNKNOWN);
    let sum = host.counters(None);
    assert_eq!(sum.map(|c| (c.connections, c.packets_in, c.active)), Some((1, 2, 0)), "the service remembers the sums");
    let (key, address) = (host.tcp_key(), host.server(12));
    host.apply(&[Change::AddRealServer(key, address, server(1, Forwarding::DirectRouting))]);
    let counters = host.counters(Some(12));
    assert_eq!(counters.map(|c| (c.connections, c.packets_in)), Some((0, 0)), "the real server is a new one");
    assert_eq!(host.syn(2), Fate::To(12), "its next hop, which nobody told again, is still known");
}

fn connections_outlive_their_service(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    assert_eq!((host.syn(1), host.ack(1), host.udp(1)), (Fate::To(12), Fate::To(12), Fate::To(12)));
    let key = host.tcp_key();
    host.apply(&[Change::RemoveService(key)]);
    assert_eq!(host.ack(1), Fate::To(12), "connections of a removed service drain");
    assert_eq!((host.syn(2), host.ack(2)), (Fate::Passed(None), Fate::Passed(None)), "all else is the host's");
    assert_eq!(host.udp(2), Fate::To(11), "the other service is as it was");
    host.apply(&[Change::AddService(key, options(Scheduler::RoundRobin))]);
    assert_eq!((host.ack(1), host.syn(2)), (Fate::To(12), Fate::Dropped(Some(Reason::NoServer))));
    host.add(12, 1);
    assert_eq!((host.ack(1), host.syn(2)), (Fate::To(12), Fate::To(12)));
    host.apply(&[Change::RemoveService(key)]);
    host.elapse(902);
    host.sweep();
    assert_eq!(host.ack(1), Fate::Passed(None), "after the last connection nothing of it is left");
}

fn a_reused_port_is_scheduled_anew(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    assert_eq!((host.syn(1), host.syn(1), host.ack(1)), (Fate::To(12), Fate::To(12), Fate::To(12)));
    assert_eq!(host.tcp(1, FIN | ACK), Fate::To(12));
    assert_eq!((host.syn(1), host.ack(1)), (Fate::To(11), Fate::To(11)), "after FIN it is another connection");
    assert_eq!((host.load(11), host.load(12)), ((1, 0), (0, 0)));
    assert_eq!(host.tcp(1, RST), Fate::To(11));
    host.remove(11);
    assert_eq!(host.syn(1), Fate::To(12), "after RST too, and its real server may be gone");
    assert_eq!(host.counters(None).map(|c| c.connections), Some(3));
}

fn a_reused_port_that_cannot_be_scheduled_stays(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    assert_eq!((host.syn(1), host.tcp(1, FIN | ACK)), (Fate::To(11), Fate::To(11)));
    host.weigh(11, 0);
    assert_eq!(host.syn(1), Fate::Dropped(Some(Reason::NoServer)));
    assert_eq!(host.ack(1), Fate::To(11), "the old connection stays");
    assert_eq!(host.load(11), (0, 1));
}

fn the_half_open_do_not_wait_for_the_dead(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1), (13, 1)]);
    assert_eq!((host.syn(1), host.syn(2), host.ack(2)), (Fate::To(13), Fate::To(12), Fate::To(12)));
    host.weigh(13, 0);
    host.weigh(12, 0);
    assert_eq!(host.syn(1), Fate::To(11), "its real server never answered, and takes no new connections now");
    assert_eq!((host.load(13), host.load(11)), ((0, 0), (1, 0)));
    assert_eq!(host.syn(2), Fate::To(12), "an established one stays, whoever sends a SYN in its name");
    assert_eq!(host.syn(1), Fate::To(11), "a SYN that is repeated goes where the first one went");
    host.remove(11);
    host.weigh(13, 1);
    assert_eq!(host.syn(1), Fate::To(13), "removed is as good as quiesced");
}

fn states_are_active_or_not(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    host.syn(1);
    assert_eq!(host.load(11), (1, 0), "SYN_RECV");
    host.ack(1);
    assert_eq!(host.load(11), (1, 0), "ESTABLISHED");
    host.tcp(1, FIN | ACK);
    assert_eq!(host.load(11), (0, 1), "FIN_WAIT");
    host.ack(1);
    assert_eq!(host.load(11), (0, 1), "an ACK after FIN changes nothing");
    host.syn(2);
    host.ack(2);
    host.tcp(2, RST);
    assert_eq!(host.load(11), (0, 2), "CLOSE");
    host.syn(3);
    host.tcp(3, FIN | ACK);
    assert_eq!(host.load(11), (0, 3), "TIME_WAIT");
    host.udp(1);
    let udp = (host.key(Protocol::Udp), Some(host.server(11)));
    assert_eq!(host.counters_of(udp).map(|c| (c.active, c.inactive)), Some((0, 1)), "UDP");
    host.syn(1);
    assert_eq!(host.load(11), (1, 2), "a new connection in the old one's place");
}

fn timeouts_are_those_of_the_states(make: &mut dyn FnMut() -> Host) {
    let states: [(&str, &[u8], u32); 5] = [
        ("SYN_RECV", &[build::SYN], 60),
        ("ESTABLISHED", &[build::SYN, ACK], 900),
        ("FIN_WAIT", &[build::SYN, ACK, FIN | ACK], 120),
        ("TIME_WAIT", &[build::SYN, FIN | ACK], 120),
        ("CLOSE", &[build::SYN, ACK, RST], 10),
    ];
    let mut host = make();
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    for (kind, (state, packets, seconds)) in (0..).zip(states) {
        let (port, fate) = in_time(|attempt| {
            let port = 1 + kind * ATTEMPTS + attempt;
            let mut begin = |port| packets.iter().for_each(|flags| assert_eq!(host.tcp(port, *flags), Fate::To(11)));
            begin(port);
            begin(port + 100);
            host.elapse(seconds - 2);
            (port, host.ack(port))
        });
        assert_eq!(fate, Fate::To(11), "{state} lasts {seconds} s");
        host.elapse(4);
        assert_eq!(host.ack(port + 100), UNKNOWN, "{state} lasts {seconds} s and no longer");
        assert_eq!(host.ack(port), Fate::To(11), "{state} is renewed by a packet");
    }
    let udp = (host.key(Protocol::Udp), Some(host.server(11)));
    let connections = |host: &mut Host| host.counters_of(udp).map_or((0, 0), |c| (c.connections, c.inactive));
    let (port, before, after) = in_time(|attempt| {
        let (port, before) = (1 + attempt, connections(&mut host));
        assert_eq!(host.udp(port), Fate::To(11));
        host.elapse(298);
        host.udp(port);
        host.elapse(298);
        host.udp(port);
        (port, before, connections(&mut host))
    });
    assert_eq!(after, (before.0 + 1, before.1 + 1), "UDP is renewed by a packet");
    host.elapse(302);
    host.udp(port);
    assert_eq!(connections(&mut host), (after.0 + 1, after.1), "UDP lasts 300 s");
    host.elapse(902);
    host.sweep();
    assert_eq!((host.load(11), connections(&mut host)), ((0, 0), (after.0 + 1, 0)), "nothing is left after a sweep");
}

/// How often something is tried that a slow machine may take too long for.
const ATTEMPTS: u16 = 10;

/// What an attempt finds during which less than a second has really passed: a data plane's clock may go on by itself.
fn in_time<T>(mut attempt: impl FnMut(u16) -> T) -> T {
    let mut timed = |number| {
        let begin = Instant::now();
        let found = attempt(number);
        (begin.elapsed() < Duration::from_secs(1)).then_some(found)
    };
    let Some(found) = (0..ATTEMPTS).find_map(&mut timed) else { panic!("each of {ATTEMPTS} attempts takes a second") };
    found
}

fn packets_and_bytes_are_counted(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    host.plane.next_hop(bed::real_server(host.v6, 11), NextHop::Unreachable).unwrap_or_else(|e| panic!("{e}"));
    let header = if host.v6 { 40 } else { 20 };
    assert_eq!((host.syn(1), host.ack(1)), (Fate::To(12), Fate::To(12)));
    let data = build::tcp(host.client(1), host.service(), ACK).payload(&[7; 1000]).padding(2).bytes();
    assert_eq!(host.frame(&data), Fate::To(12));
    let quoted = build::tcp(host.service(), host.client(1), ACK).quote();
    let error =
        build::icmp(bed::client(host.v6, 1), bed::virtual_address(host.v6), if host.v6 { 1 } else { 3 }, &quoted);
    assert_eq!(host.frame(&error.bytes()), Fate::To(12));
    let aged = build::tcp(host.client(1), host.service(), ACK).ttl(1).bytes();
    assert_eq!(host.frame(&aged), Fate::Dropped(Some(Reason::Ttl)));
    let bytes = 3 * (header + 20) + 1000 + (header + 8 + header + 20);
    let counters = host.counters(Some(12));
    assert_eq!(counters.map(|c| (c.connections, c.packets_in, c.bytes_in)), Some((1, 4, bytes)));
    assert_eq!(counters.map(|c| (c.packets_out, c.bytes_out)), Some((0, 0)), "answers take another way");
    assert_eq!(host.syn(2), Fate::Dropped(Some(Reason::NoNextHop)));
    let counters = host.counters(Some(11));
    assert_eq!(
        counters.map(|c| (c.connections, c.packets_in, c.active)),
        Some((1, 0, 1)),
        "what is dropped is no packet"
    );
    assert_eq!(host.counters(None).map(|c| (c.connections, c.packets_in, c.bytes_in)), Some((2, 4, bytes)));
    let mut drops = Vec::new();
    must(host.plane.drops(&mut |name, count| drops.extend((count > 0).then_some((name, count)))), "cannot read drops");
    drops.sort_unstable();
    assert_eq!(drops, [("no_next_hop", 1), ("ttl", 1)]);
}

fn next_hops_and_forwarding_are_followed(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    assert_eq!(host.syn(1), Fate::To(11));
    host.hop(11, 99);
    assert_eq!(host.ack(1), Fate::To(99), "another MAC address counts at once, for known connections too");
    let (key, address) = (host.tcp_key(), host.server(11));
    host.apply(&[Change::EditRealServer(key, address, server(1, Forwarding::Local))]);
    assert_eq!(host.ack(1), Fate::Passed(None), "it is local now");
    assert_eq!(host.udp(1), Fate::To(99), "the other service's is not");
    host.apply(&[Change::EditRealServer(key, address, server(1, Forwarding::DirectRouting))]);
    assert_eq!(host.ack(1), Fate::To(99));
}

fn sources_decide_about_new_connections_only(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    assert_eq!(host.syn(1), Fate::To(11));
    let prefix = |length| must(Prefix::new(bed::client(host.v6, 5), length), "a prefix");
    let (network, one) = if host.v6 { (prefix(48), prefix(128)) } else { (prefix(24), prefix(32)) };
    let sources = |allow: &[Prefix], deny: &[Prefix]| ServiceOptions {
        sources: Sources { allow: allow.to_vec(), deny: deny.to_vec() },
        ..options(Scheduler::RoundRobin)
    };
    let denied = Fate::Dropped(Some(Reason::Denied));
    host.edit(sources(&[], &[network]));
    assert_eq!((host.ack(1), host.syn(2)), (Fate::To(11), denied));
    host.edit(sources(&[one], &[network]));
    assert_eq!(host.syn(2), Fate::To(11), "the longer prefix decides");
    host.edit(sources(&[network], &[one]));
    assert_eq!((host.ack(2), host.syn(3)), (Fate::To(11), denied));
    host.edit(sources(&[network], &[network]));
    assert_eq!(host.syn(3), denied, "of equal prefixes deny wins");
    let other = if host.v6 { "2001:db9::/32" } else { "203.0.113.0/24" };
    host.edit(sources(&[must(other.parse(), "a prefix")], &[]));
    assert_eq!(host.syn(3), denied, "an allow list denies the rest");
    host.edit(options(Scheduler::RoundRobin));
    assert_eq!(host.syn(3), Fate::To(11));
}

fn connections_are_listed(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1), (12, 1)]);
    assert_eq!(
        (host.syn(1), host.syn(2), host.ack(2), host.udp(1)),
        (Fate::To(12), Fate::To(11), Fate::To(11), Fate::To(12))
    );
    let all = ConnectionFilter::default();
    let told = |c: &Connection| (c.protocol, c.client, c.real_server, c.state, c.service.protocol());
    let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
    let opening = (6, host.client(1), host.server(12), "SYN_RECV", tcp);
    let open = (6, host.client(2), host.server(11), "ESTABLISHED", tcp);
    let datagrams = (17, host.client(1), host.server(12), "UDP", udp);
    let listed = host.connections(&all);
    assert_eq!(listed.iter().map(told).collect::<Vec<_>>(), [opening, open, datagrams]);
    for (connection, seconds) in listed.iter().zip([60, 900, 300]) {
        assert_eq!((connection.virtual_address, connection.is_template), (host.service(), false));
        assert!((seconds - 5..=seconds).contains(&connection.expires_s), "{connection:?}");
    }
    let some = |host: &mut Host, filter| host.connections(&filter).iter().map(told).collect::<Vec<_>>();
    let service = Some(host.key(Protocol::Udp));
    assert_eq!(some(&mut host, ConnectionFilter { service, ..all }), [datagrams]);
    let real_server = Some(host.server(11));
    assert_eq!(some(&mut host, ConnectionFilter { real_server, ..all }), [open]);
    let (one, any_port) = (host.client(1), SocketAddr::new(host.client(1).ip(), 0));
    assert_eq!(some(&mut host, ConnectionFilter { client: Some(one), ..all }), [opening, datagrams]);
    assert_eq!(some(&mut host, ConnectionFilter { client: Some(any_port), ..all }), [opening, open, datagrams]);
    let mut calls = 0;
    let mut first = |_| {
        calls += 1;
        false
    };
    // A part may have none.
    let mut next = Some(0);
    while let Some(from) = next {
        next = must(host.plane.connections(&all, from, &mut first), "cannot list connections");
    }
    assert_eq!(calls, 1, "who wants no more gets no more");
    host.elapse(62);
    assert_eq!(some(&mut host, all), [open, datagrams], "one whose timeout has passed is none");
}

fn a_full_table_breaks_no_connection(mut host: Host) {
    host.serve(Scheduler::RoundRobin, &[(11, 1)]);
    let full = Fate::Dropped(Some(Reason::TableFull));
    let mut open = Vec::new();
    let refused = (1..=u16::MAX).find(|port| match host.syn(*port) {
        Fate::To(11) => {
            assert_eq!(host.ack(*port), Fate::To(11));
            open.push(*port);
            false
        }
        fate => {
            assert_eq!(fate, full, "connection {port}");
            true
        }
    });
    let Some(refused) = refused else { panic!("the table is never full") };
    assert!(open.len() as u32 >= host.plane.capabilities().connections / 4, "full after {} connections", open.len());
    assert!(open.iter().all(|port| host.ack(*port) == Fate::To(11)), "an established connection is gone");
    assert_eq!(host.load(11), (open.len() as u32, 0));
    for port in &open {
        assert_eq!(host.tcp(*port, RST), Fate::To(11));
    }
    assert_eq!(host.syn(refused), Fate::To(11), "a closed connection makes room");
    assert_eq!(host.load(11), (1, open.len() as u32 - 1));
}

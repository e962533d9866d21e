//! What a relay of the director rests on: connections that are its own to carry on, and meeting points for data connections.

use super::{
    host::{Fate, Host},
    must, options, server,
};
use crate::{
    Change, ConnectionFilter, Note, ServiceOptions,
    reference::{
        bed,
        build::{self, ACK, FIN, SYN},
    },
};
use evenkeel_abi::Reason;
use evenkeel_model::{Forwarding, Prefix, Protocol, Scheduler, ServiceKey, Sources};
use std::net::SocketAddr;

/// The port of the meeting point.
const MEETING: u16 = 50_000;

pub(super) fn check(make: &mut dyn FnMut() -> Host) {
    relayed_connections_are_scheduled_and_pass(make());
    who_meets_comes_from_the_virtual_address(make());
}

fn add(host: &mut Host, servers: &[u8], forwarding: Forwarding) {
    let key = host.tcp_key();
    for one in servers {
        let change = Change::AddRealServer(key, host.server(*one), server(1, forwarding));
        host.apply(&[change]);
        host.hop(*one, *one);
    }
}

fn found(host: &mut Host, port: u16) -> Option<(ServiceKey, SocketAddr)> {
    let (client, service) = (host.client(port), host.service());
    must(host.plane.find(Protocol::Tcp, client, service), "cannot find a connection")
}

fn relayed_connections_are_scheduled_and_pass(mut host: Host) {
    let key = host.tcp_key();
    host.apply(&[Change::AddService(key, options(Scheduler::RoundRobin))]);
    add(&mut host, &[11, 12], Forwarding::Relay);
    for (port, real_server) in [(1, 12), (2, 11), (3, 12)] {
        assert_eq!(found(&mut host, port), None);
        assert_eq!((host.syn(port), host.ack(port)), (Fate::Passed(None), Fate::Passed(None)));
        assert_eq!(found(&mut host, port), Some((key, host.server(real_server))));
    }
    assert_eq!((host.load(11), host.load(12)), ((1, 0), (2, 0)));
    let counters = host.counters(Some(12));
    assert_eq!(counters.map(|c| (c.connections, c.packets_in)), Some((2, 4)));
    let listed: Vec<_> = host.connections(&ConnectionFilter::default()).iter().map(|c| c.real_server).collect();
    assert_eq!(listed, [12, 11, 12].map(|one| host.server(one)));
    let other = must(host.plane.find(Protocol::Udp, host.client(1), host.service()), "cannot find a connection");
    assert_eq!(other, None, "of another protocol there is none");
    host.remove(12);
    assert_eq!((host.ack(1), host.syn(4)), (Fate::Passed(None), Fate::Passed(None)));
    assert_eq!(found(&mut host, 4), Some((key, host.server(11))));
    host.elapse(1000);
    assert_eq!(found(&mut host, 4), None, "one whose timeout has passed is none");
}

fn who_meets_comes_from_the_virtual_address(mut host: Host) {
    let place = SocketAddr::new(bed::virtual_address(host.v6), MEETING);
    let key = ServiceKey::new(place.ip(), Protocol::Tcp, MEETING);
    let client = host.client(5);
    let bits = if host.v6 { 128 } else { 32 };
    let meeting = ServiceOptions {
        sources: Sources { allow: vec![must(Prefix::new(client.ip(), bits), "a prefix")], deny: Vec::new() },
        note: Note { is_meeting: true, ..Note::default() },
        ..options(Scheduler::RoundRobin)
    };
    let real_server = host.server(11);
    host.apply(&[Change::AddService(key, meeting)]);
    host.apply(&[Change::AddRealServer(key, real_server, server(1, Forwarding::FullNat))]);
    host.hop(11, 11);
    let said = |client, flags| build::tcp(client, place, flags).bytes();
    assert_eq!(host.frame(&said(client, SYN)), Fate::To(11));
    let other = SocketAddr::new(bed::client(host.v6, 6), 5);
    assert_eq!(host.frame(&said(other, SYN)), Fate::Dropped(Some(Reason::Denied)));
    let seen = |host: &mut Host| {
        let listed = host.connections(&ConnectionFilter::default());
        listed.iter().map(|c| (c.client, c.real_server, c.translated_client.map(|at| at.ip()))).collect::<Vec<_>>()
    };
    let wanted = [(client, real_server, Some(place.ip()))];
    assert_eq!(seen(&mut host), wanted);
    // Each takes a service and a real server of its own, so that the ended ones go soon.
    let brief = SocketAddr::new(client.ip(), 6);
    assert_eq!((host.frame(&said(brief, SYN)), host.frame(&said(brief, FIN | ACK))), (Fate::To(11), Fate::To(11)));
    host.sweep();
    assert_eq!(seen(&mut host).len(), 2);
    host.elapse(4);
    host.sweep();
    assert_eq!(seen(&mut host), wanted);
    // The next hop is told anew, and the meeting is over before the connection is.
    host.hop(11, 99);
    host.apply(&[Change::RemoveService(key)]);
    host.sweep();
    host.hop(11, 11);
    assert_eq!(host.frame(&said(client, ACK)), Fate::To(11));
    assert_eq!(seen(&mut host), wanted);
}

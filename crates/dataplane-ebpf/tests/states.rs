//! What becomes of connections in special cases (PP-11, PP-13, PP-14, PP-33).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;

use evenkeel_dataplane::{Change, Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use evenkeel_model::{Behaviour, ExpireGone, Protocol};
use frames::{
    ACK, FIN, Fate, RST, SYN, client, connections, counters, down, key, plane, round_robin, serve, server, tcp, udp,
    weighing,
};

fn behaving(behaviour: Behaviour) -> ServiceOptions {
    ServiceOptions { behaviour, ..round_robin() }
}

fn states(plane: &mut EbpfDataplane) -> Vec<&'static str> {
    connections(plane).iter().map(|connection| connection.state).collect()
}

#[test]
fn a_sloppy_service_takes_any_packet_but_a_reset() {
    let sloppy = behaving(Behaviour { sloppy: true, ..Behaviour::default() });
    for (flags, state) in [(ACK, "ESTABLISHED"), (FIN | ACK, "CLOSE"), (SYN, "SYN_RECV"), (SYN | ACK, "SYN_RECV")] {
        let Some(mut plane) = plane(4096) else { return };
        serve(&mut plane, key(Protocol::Tcp, 80), sloppy.clone(), &[11]);
        assert_eq!(tcp(&mut plane, client(1, 1), RST), Fate::Ended("no_connection"));
        assert_eq!(tcp(&mut plane, client(1, 1), flags), Fate::To(11));
        assert_eq!(states(&mut plane), [state]);
    }
}

#[test]
fn a_sloppy_service_goes_on_after_a_connection_s_timeout() {
    let Some(mut plane) = plane(4096) else { return };
    let sloppy = Behaviour { sloppy: true, ..Behaviour::default() };
    serve(&mut plane, key(Protocol::Tcp, 80), behaving(sloppy), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(1, 1), ACK), Fate::To(12));
    plane.elapse(901).unwrap();
    assert_eq!(tcp(&mut plane, client(1, 1), ACK), Fate::To(11));
    plane.apply(&[Change::EditService(key(Protocol::Tcp, 80), round_robin())]).unwrap();
    plane.elapse(901).unwrap();
    assert_eq!(tcp(&mut plane, client(1, 1), ACK), Fate::Ended("no_connection"));
    assert_eq!(counters(&mut plane, key(Protocol::Tcp, 80), None).connections, 2);
}

/// A real server's refusal does not pass the director. Should the client's kernel choose the port again within the minute that
/// the connection stays half open, its SYN is one more of that connection: it goes where that went, and takes no turn.
#[test]
fn a_port_used_again_on_a_half_open_connection_takes_no_turn() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), round_robin(), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(12), "and refused there");
    let turns = [(2, 11), (3, 12), (1, 12), (4, 11), (5, 12)];
    for (port, fate) in turns {
        assert_eq!(tcp(&mut plane, client(1, port), SYN), Fate::To(fate), "port {port}");
    }
    plane.elapse(61).unwrap();
    assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(11), "it is over, and this is a new one");
}

#[test]
fn a_closing_connection_is_kept_for_a_syn_if_the_service_says_so() {
    for (reuse, fate, state) in [(true, 11, "SYN_RECV"), (false, 12, "SYN_RECV")] {
        let Some(mut plane) = plane(4096) else { return };
        serve(&mut plane, key(Protocol::Tcp, 80), behaving(Behaviour { reuse, ..Behaviour::default() }), &[11, 12]);
        for flags in [SYN, ACK, FIN | ACK] {
            assert_eq!(tcp(&mut plane, client(1, 1), flags), Fate::To(12));
        }
        assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(fate));
        assert_eq!(states(&mut plane), [state]);
        let sums = counters(&mut plane, key(Protocol::Tcp, 80), None);
        assert_eq!((sums.connections, sums.active, sums.inactive), (if reuse { 2 } else { 1 }, 1, 0));
    }
}

#[test]
fn a_stranded_syn_is_scheduled_anew_whatever_the_service_says() {
    let Some(mut plane) = plane(4096) else { return };
    let service = key(Protocol::Tcp, 80);
    serve(&mut plane, service, behaving(Behaviour { reuse: false, ..Behaviour::default() }), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(12));
    plane.apply(&[Change::EditRealServer(service, server(12), weighing(0))]).unwrap();
    assert_eq!(tcp(&mut plane, client(1, 1), SYN), Fate::To(11));
}

/// What a UDP and a TCP client find whose real server goes, as the service says.
fn gone(expire_gone: ExpireGone, change: impl Fn(evenkeel_model::ServiceKey) -> Change) -> Option<[Fate; 3]> {
    let mut plane = plane(4096)?;
    let behaviour = Behaviour { expire_gone, ..Behaviour::default() };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        serve(&mut plane, key(protocol, 80), behaving(behaviour), &[11, 12]);
    }
    for flags in [SYN, ACK] {
        assert_eq!(tcp(&mut plane, client(1, 1), flags), Fate::To(12));
    }
    assert_eq!(udp(&mut plane, client(1, 1)), Fate::To(12));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        plane.apply(&[change(key(protocol, 80))]).unwrap();
    }
    Some([udp(&mut plane, client(1, 1)), tcp(&mut plane, client(1, 1), ACK), tcp(&mut plane, client(1, 1), SYN)])
}

#[test]
fn connections_of_a_real_server_that_is_gone_are_given_up_as_the_service_says() {
    let removed = |key| Change::RemoveRealServer(key, server(12));
    let is_down = |key| Change::EditRealServer(key, server(12), down());
    let quiescent = |key| Change::EditRealServer(key, server(12), weighing(0));
    let Some(fates) = gone(ExpireGone::Udp, removed) else { return };
    assert_eq!(fates, [Fate::To(11), Fate::To(12), Fate::To(12)]);
    assert_eq!(gone(ExpireGone::Never, removed), Some([Fate::To(12); 3]));
    let all = [Fate::To(11), Fate::Ended("no_connection"), Fate::To(11)];
    assert_eq!(gone(ExpireGone::All, removed), Some(all));
    assert_eq!(gone(ExpireGone::All, is_down), Some(all));
    assert_eq!(gone(ExpireGone::All, quiescent), Some([Fate::To(12); 3]));
    assert_eq!(gone(ExpireGone::All, Change::RemoveService), Some([Fate::To(12); 3]), "they drain");
}

#[test]
fn a_connection_that_is_given_up_stays_where_nobody_else_is_usable() {
    let Some(mut plane) = plane(4096) else { return };
    let service = key(Protocol::Udp, 80);
    serve(&mut plane, service, round_robin(), &[11]);
    assert_eq!(udp(&mut plane, client(1, 1)), Fate::To(11));
    plane.apply(&[Change::EditRealServer(service, server(11), down())]).unwrap();
    assert_eq!(udp(&mut plane, client(1, 1)), Fate::Ended("no_server"));
    let sums = counters(&mut plane, service, None);
    assert_eq!((sums.connections, sums.inactive), (1, 1));
    plane.apply(&[Change::EditRealServer(service, server(11), weighing(1))]).unwrap();
    assert_eq!(udp(&mut plane, client(1, 1)), Fate::To(11));
    assert_eq!(counters(&mut plane, service, None).connections, 1, "it is the same one");
}

#[test]
fn what_is_given_up_is_gone_and_counted_so() {
    let Some(mut plane) = plane(4096) else { return };
    let service = key(Protocol::Tcp, 80);
    serve(&mut plane, service, behaving(Behaviour { expire_gone: ExpireGone::All, ..Behaviour::default() }), &[11]);
    for flags in [SYN, ACK] {
        assert_eq!(tcp(&mut plane, client(1, 1), flags), Fate::To(11));
    }
    plane.apply(&[Change::EditRealServer(service, server(11), down())]).unwrap();
    assert_eq!(tcp(&mut plane, client(1, 1), ACK), Fate::Ended("no_connection"));
    assert_eq!(connections(&mut plane), []);
    assert_eq!(counters(&mut plane, service, None).active, 0);
}

//! Clients come back to their real server (PP-34 to PP-37).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;

use evenkeel_dataplane::{Change, Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use evenkeel_model::{Behaviour, Persistence, PersistenceEngine, Protocol};
use frames::{
    ACK, Fate, RST, SYN, client, connections, counters, down, key, plane, round_robin, send, serve, server, tcp,
    tcp_to, template, udp, udp_to, weighing,
};

fn persistent(timeout: u32, prefix: u8) -> ServiceOptions {
    let persistence = Persistence { timeout, prefix, engine: PersistenceEngine::Address };
    ServiceOptions { persistence: Some(persistence), ..round_robin() }
}

fn edit(plane: &mut EbpfDataplane, options: ServiceOptions) {
    plane.apply(&[Change::EditService(key(Protocol::Tcp, 80), options)]).unwrap();
}

fn set_server(plane: &mut EbpfDataplane, last: u8, real_server: evenkeel_dataplane::RealServer) {
    plane.apply(&[Change::EditRealServer(key(Protocol::Tcp, 80), server(last), real_server)]).unwrap();
}

#[test]
fn a_client_comes_back_and_its_neighbour_of_the_prefix_with_it() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(360, 30), &[11, 12]);
    for port in 1..5 {
        assert_eq!(tcp(&mut plane, client(8, port), SYN), Fate::To(12));
    }
    assert_eq!(tcp(&mut plane, client(11, 1), SYN), Fate::To(12), "of the same /30");
    assert_eq!(tcp(&mut plane, client(12, 1), SYN), Fate::To(11), "of the next one");
    assert_eq!(tcp(&mut plane, client(13, 1), SYN), Fate::To(11));
    let sums = counters(&mut plane, key(Protocol::Tcp, 80), None);
    assert_eq!((sums.persistent, sums.connections, sums.active), (2, 7, 7));
}

#[test]
fn a_template_shows_the_client_the_service_and_how_long_it_lasts() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(360, 24), &[11]);
    assert_eq!(tcp(&mut plane, client(8, 1), SYN), Fate::To(11));
    plane.elapse(100).unwrap();
    let shown = template(&mut plane).unwrap();
    assert_eq!(
        (shown.client.to_string(), shown.virtual_address.to_string()),
        ("198.51.100.0:0".into(), "192.0.2.1:80".into())
    );
    assert_eq!((shown.protocol, shown.real_server), (6, server(11)));
    assert!((250..=260).contains(&shown.expires_s), "{}", shown.expires_s);
}

#[test]
fn each_connection_begins_the_timeout_anew_and_no_packet_does() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(50, 32), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(8, 1), SYN), Fate::To(12));
    plane.elapse(40).unwrap();
    assert_eq!(tcp(&mut plane, client(8, 2), SYN), Fate::To(12));
    plane.elapse(40).unwrap();
    assert_eq!(tcp(&mut plane, client(8, 2), ACK), Fate::To(12));
    assert_eq!(tcp(&mut plane, client(8, 3), SYN), Fate::To(12));
    plane.elapse(51).unwrap();
    assert_eq!(tcp(&mut plane, client(8, 4), SYN), Fate::To(11), "51 s after its last connection");
    assert_eq!(tcp(&mut plane, client(8, 5), SYN), Fate::To(11));
}

#[test]
fn a_template_does_not_end_while_a_connection_lives() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(100, 32), &[11, 12]);
    for flags in [SYN, ACK] {
        assert_eq!(tcp(&mut plane, client(8, 1), flags), Fate::To(12));
    }
    for _ in 0..8 {
        plane.elapse(50).unwrap();
        plane.sweep_all().unwrap();
    }
    let left = template(&mut plane).unwrap().expires_s;
    assert!((50..=60).contains(&left), "{left}");
    assert_eq!(tcp(&mut plane, client(8, 1), RST), Fate::To(12));
    plane.elapse(50).unwrap();
    plane.sweep_all().unwrap();
    // Put back, it would have 60 s.
    assert!(template(&mut plane).is_some_and(|t| t.expires_s <= 10), "it has no connection any more");
    plane.elapse(50).unwrap();
    plane.sweep_all().unwrap();
    assert_eq!(connections(&mut plane), []);
    assert_eq!(counters(&mut plane, key(Protocol::Tcp, 80), None).persistent, 0);
}

#[test]
fn sweeps_in_parts_keep_templates_too() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(100, 32), &[11, 12]);
    for flags in [SYN, ACK] {
        assert_eq!(tcp(&mut plane, client(8, 1), flags), Fate::To(12));
    }
    for _ in 0..40 {
        plane.elapse(20).unwrap();
        for _ in 0..8 {
            plane.sweep().unwrap();
        }
    }
    assert!(template(&mut plane).is_some_and(|t| t.expires_s > 30));
}

#[test]
fn a_quiescent_real_server_keeps_its_clients_unless_the_service_says_otherwise() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(360, 32), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(8, 1), SYN), Fate::To(12));
    set_server(&mut plane, 12, weighing(0));
    assert_eq!(tcp(&mut plane, client(8, 2), SYN), Fate::To(12));
    assert_eq!(tcp(&mut plane, client(9, 1), SYN), Fate::To(11), "new clients");
    let behaviour = Behaviour { expire_quiescent_template: true, ..Behaviour::default() };
    edit(&mut plane, ServiceOptions { behaviour, ..persistent(360, 32) });
    assert_eq!(tcp(&mut plane, client(8, 3), SYN), Fate::To(11));
    set_server(&mut plane, 12, weighing(1));
    assert_eq!(tcp(&mut plane, client(8, 4), SYN), Fate::To(11), "it has changed");
    let of = |plane: &mut EbpfDataplane, last| counters(plane, key(Protocol::Tcp, 80), Some(last)).persistent;
    assert_eq!((of(&mut plane, 11), of(&mut plane, 12)), (2, 0));
}

#[test]
fn a_real_server_that_is_gone_loses_its_clients() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 80), persistent(360, 32), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(8, 1), SYN), Fate::To(12));
    set_server(&mut plane, 12, down());
    assert_eq!(tcp(&mut plane, client(8, 2), SYN), Fate::To(11));
    plane.apply(&[Change::RemoveRealServer(key(Protocol::Tcp, 80), server(11))]).unwrap();
    assert_eq!(tcp(&mut plane, client(8, 3), SYN), Fate::Ended("no_server"));
    set_server(&mut plane, 12, weighing(1));
    assert_eq!(tcp(&mut plane, client(8, 3), SYN), Fate::To(12));
}

#[test]
fn a_service_of_every_port_has_one_template_for_all_of_them() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Tcp, 0), persistent(360, 32), &[11, 12]);
    for port in [21, 80, 40000] {
        assert_eq!(send(&mut plane, &tcp_to(client(8, port), ([192, 0, 2, 1], port), SYN)), Fate::To(12));
    }
    assert_eq!(template(&mut plane).unwrap().virtual_address.port(), 0);
    assert_eq!(counters(&mut plane, key(Protocol::Tcp, 0), None).persistent, 1);
}

#[test]
fn one_packet_scheduling_keeps_nothing_but_the_template() {
    let Some(mut plane) = plane(4096) else { return };
    let service = key(Protocol::Udp, 80);
    serve(&mut plane, service, ServiceOptions { one_packet: true, ..round_robin() }, &[11, 12]);
    let fates = [(); 4].map(|()| udp(&mut plane, client(8, 1)));
    assert_eq!(fates, [12, 11, 12, 11].map(Fate::To));
    assert_eq!(connections(&mut plane), []);
    let sums = counters(&mut plane, service, None);
    assert_eq!((sums.connections, sums.inactive, sums.packets_in), (4, 0, 4));
    plane.apply(&[Change::EditService(service, ServiceOptions { one_packet: true, ..persistent(50, 32) })]).unwrap();
    let fates = [(); 3].map(|()| udp(&mut plane, client(8, 1)));
    assert_eq!(fates, [12, 12, 12].map(Fate::To));
    assert_eq!(connections(&mut plane).len(), 1);
    plane.elapse(45).unwrap();
    plane.sweep_all().unwrap();
    assert!(template(&mut plane).is_some_and(|t| t.expires_s <= 5), "it has no connections that would keep it");
}

fn message(call: &str) -> Vec<u8> {
    format!("INVITE sip:bob@example SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n{call}\r\nCSeq: 1 INVITE\r\n\r\n").into_bytes()
}

#[test]
fn a_call_stays_with_its_real_server_wherever_it_comes_from() {
    let Some(mut plane) = plane(4096) else { return };
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Sip };
    let options = ServiceOptions { persistence: Some(persistence), one_packet: true, ..round_robin() };
    serve(&mut plane, key(Protocol::Udp, 5060), options, &[11, 12]);
    let say = |plane: &mut EbpfDataplane, last: u8, text: &[u8]| {
        send(plane, &udp_to(client(last, 5060), ([192, 0, 2, 1], 5060), text))
    };
    assert_eq!(say(&mut plane, 1, &message("Call-ID: one@a")), Fate::To(12));
    assert_eq!(say(&mut plane, 1, &message("Call-ID: two@a")), Fate::To(11));
    assert_eq!(say(&mut plane, 1, &message("Call-ID: three@a")), Fate::To(12));
    assert_eq!(say(&mut plane, 2, &message("i:two@a")), Fate::To(11));
    assert_eq!(say(&mut plane, 3, &message("CALL-ID : one@a ")), Fate::To(12));
    assert_eq!(say(&mut plane, 7, b"no message"), Fate::To(11), "by address");
    assert_eq!(say(&mut plane, 7, b"no message"), Fate::To(11));
    let far = [b"OPTIONS a SIP/2.0\r\nX: ".to_vec(), vec![b'x'; 500], b"\r\nCall-ID: four@a\r\n\r\n".to_vec()].concat();
    assert_eq!(say(&mut plane, 8, &far), Fate::To(12));
    assert_eq!(say(&mut plane, 9, &far), Fate::To(11), "beyond what is looked at");
}

#[test]
fn templates_of_a_removed_real_server_do_not_outlive_its_connections() {
    let Some(mut plane) = plane(4096) else { return };
    let web = key(Protocol::Tcp, 80);
    serve(&mut plane, web, persistent(Persistence::LONGEST_TIMEOUT, 32), &[11, 12]);
    assert_eq!(tcp(&mut plane, client(8, 1), SYN), Fate::To(12));
    let persistent = |plane: &mut EbpfDataplane| counters(plane, web, None).persistent;
    plane.apply(&[Change::RemoveRealServer(web, server(12))]).unwrap();
    (0..8).for_each(|_| plane.sweep().unwrap());
    assert_eq!(persistent(&mut plane), 1, "it comes back with its clients while it has connections");
    plane.elapse(61).unwrap();
    (0..16).for_each(|_| plane.sweep().unwrap());
    assert_eq!(persistent(&mut plane), 0);
    let mut servers = Vec::new();
    plane.counters(&mut |_, address, _| servers.extend(address)).unwrap();
    assert_eq!(servers, [server(11)], "the other one is forgotten");
}

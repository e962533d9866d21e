//! Associations of SCTP (PP-11, PP-13, PP-14).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "common/frames.rs"]
mod frames;

use evenkeel_dataplane::{Change, Dataplane, ServiceOptions, reference::Traffic};
use evenkeel_dataplane_ebpf::EbpfDataplane;
use evenkeel_model::{Behaviour, Persistence, PersistenceEngine, Protocol};
use frames::{
    Fate, client, connections, counters, key, packet, plane, round_robin, send, serve, server, template, weighing,
};

const DATA: u8 = 0;
const INIT: u8 = 1;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const COOKIE_ECHO: u8 = 10;
const SHUTDOWN_COMPLETE: u8 = 14;

/// A packet of one chunk from a port of 198.51.100.1.
fn chunk(plane: &mut EbpfDataplane, port: u16, kind: u8) -> Fate {
    let (source, port) = client(1, port);
    let mut payload = port.to_be_bytes().to_vec();
    payload.extend(80u16.to_be_bytes());
    payload.extend([0, 0, 0, 1, 0, 0, 0, 0, kind, 0, 0, 20]);
    payload.resize(32, 0);
    send(plane, &packet(source, [192, 0, 2, 1], 132, &payload))
}

fn states(plane: &mut EbpfDataplane) -> Vec<(&'static str, u32)> {
    let counted = counters(plane, key(Protocol::Sctp, 80), None).active;
    connections(plane).iter().filter(|c| !c.is_template).map(|connection| (connection.state, counted)).collect()
}

#[test]
fn an_association_is_made_by_init_and_followed_to_its_end() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Sctp, 80), round_robin(), &[11, 12]);
    for kind in [DATA, COOKIE_ECHO, ABORT, SHUTDOWN_COMPLETE] {
        assert_eq!(chunk(&mut plane, 1, kind), Fate::Ended("no_connection"));
    }
    let way = [
        (INIT, "INIT1", 0),
        (COOKIE_ECHO, "C-ECHOED", 0),
        (DATA, "ESTABLISHED", 1),
        (DATA, "ESTABLISHED", 1),
        (SHUTDOWN, "S-RECEIVED", 0),
        (SHUTDOWN_COMPLETE, "CLOSED", 0),
    ];
    for (kind, state, active) in way {
        assert_eq!(chunk(&mut plane, 1, kind), Fate::To(12));
        assert_eq!(states(&mut plane), [(state, active)]);
    }
    assert_eq!(chunk(&mut plane, 1, INIT), Fate::To(11), "a new one that reuses the port");
    assert_eq!(states(&mut plane), [("INIT1", 0)]);
}

#[test]
fn an_init_that_waits_for_a_dead_real_server_is_scheduled_anew() {
    let Some(mut plane) = plane(4096) else { return };
    let service = key(Protocol::Sctp, 80);
    serve(&mut plane, service, round_robin(), &[11, 12]);
    assert_eq!(chunk(&mut plane, 1, INIT), Fate::To(12));
    assert_eq!(chunk(&mut plane, 1, INIT), Fate::To(12), "sent again");
    plane.apply(&[Change::EditRealServer(service, server(12), weighing(0))]).unwrap();
    assert_eq!(chunk(&mut plane, 1, INIT), Fate::To(11));
}

#[test]
fn a_sloppy_service_takes_any_chunk_but_an_abort() {
    let Some(mut plane) = plane(4096) else { return };
    let behaviour = Behaviour { sloppy: true, ..Behaviour::default() };
    serve(&mut plane, key(Protocol::Sctp, 80), ServiceOptions { behaviour, ..round_robin() }, &[11]);
    assert_eq!(chunk(&mut plane, 1, ABORT), Fate::Ended("no_connection"));
    assert_eq!(chunk(&mut plane, 1, DATA), Fate::To(11));
    assert_eq!(states(&mut plane), [("ESTABLISHED", 1)]);
}

#[test]
fn associations_last_as_long_as_their_state_says() {
    let Some(mut plane) = plane(4096) else { return };
    serve(&mut plane, key(Protocol::Sctp, 80), round_robin(), &[11]);
    assert_eq!(chunk(&mut plane, 1, INIT), Fate::To(11));
    plane.elapse(61).unwrap();
    assert_eq!(chunk(&mut plane, 1, DATA), Fate::Ended("no_connection"));
    for kind in [INIT, DATA] {
        assert_eq!(chunk(&mut plane, 2, kind), Fate::To(11));
    }
    plane.elapse(890).unwrap();
    assert_eq!(chunk(&mut plane, 2, DATA), Fate::To(11));
}

#[test]
fn a_client_of_sctp_comes_back() {
    let Some(mut plane) = plane(4096) else { return };
    let persistence = Persistence { timeout: 360, prefix: 32, engine: PersistenceEngine::Address };
    serve(
        &mut plane,
        key(Protocol::Sctp, 80),
        ServiceOptions { persistence: Some(persistence), ..round_robin() },
        &[11, 12],
    );
    for port in 1..4 {
        assert_eq!(chunk(&mut plane, port, INIT), Fate::To(12));
    }
    assert_eq!(template(&mut plane).map(|t| t.protocol), Some(132));
}

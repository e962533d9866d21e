//! Clients of the whole daemon that behave badly: case 97 of the field's bad input, through the front door.

use crate::{
    bed::{Bed, Client},
    both_up, cluster,
};
use evenkeel_api::{Event, Reply, Request};
use std::{io::Write, os::unix::net::UnixStream};

#[test]
fn idle_half_and_slow_clients_harm_neither_checks_nor_operators() {
    let (_one, mut two, text) = cluster(41, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let mut clients = Vec::new();
    for n in 0..1000 {
        let mut client = UnixStream::connect(bed.socket()).unwrap();
        match n % 3 {
            0 => {}
            1 => client.write_all(br#"{"status":"#).unwrap(),
            // Asks again and again, and never reads.
            _ => drop(client.write_all(&b"{\"status\":{}}\n".repeat(50))),
        }
        clients.push(client);
    }
    two.down();
    bed.until("one down", |s| !both_up(s));
    two.up();
    bed.until("both up", both_up);
}

#[test]
fn a_request_of_64_mib_is_refused_without_being_read_to_its_end() {
    let (_one, _two, text) = cluster(42, "");
    let bed = Bed::serving(&text);
    let mut client = UnixStream::connect(bed.socket()).unwrap();
    let chunk = vec![b'{'; 1 << 20];
    let written = (0..64).take_while(|_| client.write_all(&chunk).is_ok()).count();
    assert!(written < 64, "all of it was read");
    assert_eq!(bed.status().node, "n1");
}

#[test]
fn a_watcher_hears_of_a_change_when_it_happens() {
    let (_one, mut two, text) = cluster(43, "");
    let bed = Bed::serving(&text);
    bed.until("both up", both_up);
    let mut watcher = Client::connect(&bed.socket());
    watcher.send(&Request::Watch { events: true, status_every_ms: Some(60_000) });
    // The status comes first, so the watch is in place when the real server dies.
    assert!(matches!(watcher.next(), Reply::Status(_)));
    two.down();
    loop {
        match watcher.next() {
            Reply::Event(stamped) => {
                if let Event::ServerDown { address, .. } = stamped.event {
                    assert_eq!(address, two.address().to_string());
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

//! Recordings of real heartbeats: every packet is read, and written again to the same bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{RECORDINGS, file, keys, receiver, recorded, words};
use evenkeel_heartbeat::codec::{self, Form};
use evenkeel_model::heartbeat::Method;

/// HB-1, HB-3, HB-4, HB-5.
#[test]
fn every_packet_of_real_heartbeats_is_written_again_to_the_same_bytes() {
    let mut pings = 0;
    for (name, number, method, secret) in RECORDINGS {
        let keys = keys(number, method, secret);
        let packets = recorded(name);
        assert!(packets.len() >= 55, "{name}: {}", packets.len());
        for packet in packets {
            let (message, form) = codec::decode(&packet.payload, &keys).unwrap();
            assert_eq!(form, if name == "sha1_netstring" { Form::Netstring } else { Form::Classic });
            assert!(codec::encode(&message, form, &keys) == packet.payload, "{name}: {}", words(&message));
            pings += usize::from(packet.ping);
        }
    }
    assert_eq!(pings, 960, "echo requests and replies");
}

/// What another program, which is not ours, read out of the same recordings.
#[test]
fn every_field_has_the_value_that_another_program_read() {
    for name in ["crc_ucast", "sha1_netstring", "sha1_standby_takeover"] {
        let (_, number, method, secret) = RECORDINGS.into_iter().find(|recording| recording.0 == name).unwrap();
        let keys = keys(number, method, secret);
        let decoded = std::fs::read_to_string(file(&format!("{name}_decoded.txt"))).unwrap();
        let lines: Vec<&str> = decoded.lines().filter(|line| line.contains(" UDP ")).collect();
        let packets = recorded(name);
        assert_eq!(lines.len(), packets.len());
        for (line, packet) in lines.into_iter().zip(packets) {
            let (message, _) = codec::decode(&packet.payload, &keys).unwrap();
            let words = words(&message);
            let read = line.split_once("->").unwrap().1.split_once(' ').unwrap().1;
            assert!(read.starts_with(&words), "{read}\n{words}");
            assert!(read[words.len()..].starts_with("outer="), "{read}\n{words}");
        }
    }
}

/// HB-6.
#[test]
fn a_node_hears_its_peers_and_ping_nodes_in_the_recordings() {
    for (name, number, method, secret) in RECORDINGS {
        let receiver = receiver(keys(number, method, secret));
        for packet in recorded(name) {
            let message = receiver.receive(&packet.payload).unwrap();
            let source = message.text("src").unwrap();
            assert_eq!(source == "10.168.0.1", packet.ping);
        }
    }
}

/// The example of facts: the first packet that a node signed with `2 sha1 kfhslkdhfsk` ever sent.
#[test]
fn a_known_packet_has_the_known_signatures() {
    let packet = recorded("sha1_bcast").remove(0).payload;
    let (message, _) = codec::decode(&packet, &keys(2, Method::Sha1, "kfhslkdhfsk")).unwrap();
    assert_eq!((message.kind(), message.hex("dt"), message.hex("seq")), ("status", Some(7000), Some(1)));
    let text = String::from_utf8_lossy(&packet).into_owned();
    assert!(text.contains("(0)auth=2 d0c326d0d9a5aa141e7e3d87b8b3204b82cf375a,%%%\n"));
    assert!(text.ends_with("42:2 6e8899ac07dd0c2cd6b6b47cc50991217267976a,"));
}

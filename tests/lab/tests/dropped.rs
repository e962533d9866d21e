//! What a node of a heartbeat cluster does not hear is counted and told, and tells nothing of its key.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_heartbeat::{Form, Message, codec};
use evenkeel_lab_tests::{LIMIT, can_run};
use evenkeel_model::heartbeat::{Key, Keys, Method};
use std::{collections::BTreeMap, net::UdpSocket};

/// A message of `node`, signed with `secret`.
fn said(node: &str, secret: &str) -> Vec<u8> {
    let key = Key { method: Method::Sha1, secret: secret.into() };
    let keys = Keys::new(2, BTreeMap::from([(2, key)])).expect("a key");
    let message = Message::new("shutdone").with("st", "dead").with("src", node).with("seq", 1).with("hg", 1);
    codec::encode(&message, Form::Netstring, &keys)
}

/// HB-4, HB-6.
#[test]
fn messages_of_strangers_are_counted_and_told_and_no_digest_is() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::new([Player::Evenkeel; 2], Files::quick(200, 1_000));
    duo.start(0);
    let (forged, stranger) = (said("ha2", "guessed"), said("ha9", "kfhslkdhfsk"));
    let right = said("ha2", "kfhslkdhfsk");
    duo.wait("both were counted", LIMIT, || {
        let messages = [forged.clone(), stranger.clone(), b"no heartbeat".to_vec()];
        let sent = duo.node("ha2").run(move || {
            let socket = UdpSocket::bind("10.0.0.2:0").expect("a socket");
            messages.iter().for_each(|message| drop(socket.send_to(message, "10.0.0.1:694")));
        });
        sent.expect("it is sent");
        let status = duo.status(0);
        ["\"signature\":", "\"unknown-node\":", "\"form\":"].iter().all(|counted| status.contains(counted))
    });
    duo.wait_log(0, "was dropped: its signature is wrong");
    duo.wait_log(0, "was dropped: its sender is not in the configuration");
    let digest = String::from_utf8_lossy(&right[right.len() - 41..right.len() - 1]).into_owned();
    assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    assert!(!duo.log(0).contains(&digest), "{}", duo.log(0));
}

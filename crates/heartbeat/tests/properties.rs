//! Any message survives any form, any change of a signed one is noticed, and any bytes are judged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{keys, receiver, sha1};
use evenkeel_heartbeat::{
    Message, Value,
    codec::{self, Form},
};
use evenkeel_model::heartbeat::Method;
use proptest::prelude::*;

fn message() -> impl Strategy<Value = Message> {
    let value = prop_oneof![
        "[^\0\u{13}]{0,40}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary),
    ];
    // The names of fields, but for the one that signatures have.
    let name = "[b-z_][a-z_0-9]{0,11}";
    proptest::collection::vec((name, value), 0..16).prop_map(|fields| {
        let mut message = Message::default();
        fields.into_iter().for_each(|(name, value)| message.push(&name, value));
        message
    })
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Classic), Just(Form::Netstring), Just(Form::Text)]
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![Just(Method::Crc), Just(Method::Md5), Just(Method::Sha1), Just(Method::Sha256)]
}

proptest! {
    #[test]
    fn a_message_survives_every_form_and_method(message in message(), form in form(), method in method()) {
        let keys = keys(9, method, if method == Method::Crc { "" } else { "secret" });
        let bytes = codec::encode(&message, form, &keys);
        prop_assert_eq!(codec::decode(&bytes, &keys), Ok((message, form)));
    }

    #[test]
    fn a_signed_message_cannot_be_changed(message in message(), form in form(), at in any::<usize>(), by in 1u8..) {
        let bytes = codec::encode(&message, form, &sha1());
        let mut changed = bytes.clone();
        // The last byte of a text is the end of its line, which may be missing.
        let at = at % (bytes.len() - usize::from(form == Form::Text));
        changed[at] ^= by;
        let read = codec::decode(&changed, &sha1());
        prop_assert!(read.is_err(), "{at} of {}: {read:?}", bytes.len());
    }

    #[test]
    fn a_message_that_is_cut_off_is_none(message in message(), form in form(), at in any::<usize>()) {
        let bytes = codec::encode(&message, form, &sha1());
        let length = at % (bytes.len() - usize::from(form == Form::Text));
        prop_assert!(codec::decode(&bytes[..length], &sha1()).is_err());
    }

    #[test]
    fn any_bytes_are_judged(start in prop_oneof![Just("###\n"), Just(">>>\n"), Just("")], bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = receiver(sha1()).receive(&[start.as_bytes(), &bytes].concat());
    }

    /// Nearly right ones get further than random ones.
    #[test]
    fn any_fields_are_judged(fields in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'('), Just(b')'), Just(b'='), b'0'..=b'9', any::<u8>()], 0..20), 0..8)) {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let _ = receiver(sha1()).receive(&bed::signed(&fields));
        let lines = fields.join(&b'\n');
        let _ = receiver(sha1()).receive(&bed::signed_text(&[&lines[..], b"\n"].concat()));
    }
}

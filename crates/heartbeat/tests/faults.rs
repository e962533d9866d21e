//! Messages that are wrong, each with its reason; and those that are odd, but right. The numbers of faults are those of
//! the list of bad inputs this program is held against: 83 no end marks, 84 a field of 1 MiB, 85 signatures, 86 an
//! unknown node, 87 sequence and generation (also in `stream.rs`), 88 the two framings, 89 a compressed payload.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bed;

use bed::{STATUS, keys, name, netstring, receiver, sha1, signature, signed, signed_text, unsigned};
use evenkeel_heartbeat::{
    LONGEST, MOST_FIELDS, Message, Reason, Receiver,
    codec::{self, Form},
};
use evenkeel_model::heartbeat::{Key, Keys, Method};
use std::collections::BTreeMap;

/// A status with the field at `place` replaced.
fn with(place: usize, field: &[u8]) -> Vec<u8> {
    let mut fields = STATUS.to_vec();
    fields[place] = field;
    signed(&fields)
}

/// With one field more.
fn and(field: &[u8]) -> Vec<u8> {
    signed(&[STATUS.as_slice(), &[field]].concat())
}

fn status_text() -> Vec<u8> {
    STATUS.iter().flat_map(|field| [&field[3..], b"\n"].concat()).collect()
}

/// Faults 83 to 86, 88 and 89.
#[test]
fn each_fault_has_its_reason() {
    let good = signed(&STATUS);
    let bare = unsigned(&STATUS);
    let text = signed_text(&status_text());
    let with_signature = |signature: &str| [bare.clone(), netstring(signature.as_bytes())].concat();
    let right = signature(&bare);
    let many: Vec<&[u8]> = STATUS.into_iter().chain(std::iter::repeat_n(&b"(0)x=y"[..], MOST_FIELDS)).collect();
    let cases: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("83 lines without marks", status_text(), Reason::Form),
        ("83 no end mark", text[..text.len() - 4].to_vec(), Reason::Form),
        ("83 netstrings without an end mark", good[..good.len() - 60].to_vec(), Reason::Length),
        ("nothing", Vec::new(), Reason::Form),
        ("84 a field of 1 MiB", and(&[b"(0)x=".as_slice(), &vec![b'x'; 1 << 20]].concat()), Reason::Size),
        ("84 a field that says it has 1 MiB", b"###\n1048576:(0)t=status,%%%\n".to_vec(), Reason::Length),
        ("a length of 20 digits", b"###\n18446744073709551616:(0)t=x,%%%\n".to_vec(), Reason::Length),
        ("a negative length", b"###\n-1:(0)t=x,%%%\n".to_vec(), Reason::Length),
        ("more fields than any message has", signed(&many), Reason::Fields),
        ("85 no signature", bare.clone(), Reason::Unsigned),
        ("85 no signature, but one inside", unsigned(&[&STATUS[..], &[b"(0)auth=1 00"]].concat()), Reason::Unsigned),
        ("85 text without auth=", [b">>>\n", &status_text()[..], b"<<<\n"].concat(), Reason::Unsigned),
        ("85 a wrong digest", with_signature(&format!("1 {}", "0".repeat(40))), Reason::Signature),
        ("85 a digest in upper case", with_signature(&format!("1 {}", right[2..].to_uppercase())), Reason::Signature),
        ("85 a digest of md5", with_signature(&format!("1 {}", "0".repeat(32))), Reason::Method),
        ("85 a checksum", with_signature("1 3ac8b1f0"), Reason::Method),
        ("85 a key that is not here", with_signature(&format!("2{}", &right[1..])), Reason::UnknownKey),
        ("85 no key number", with_signature(&right[2..]), Reason::Signature),
        ("85 one more byte behind it", [good.clone(), b"x".to_vec()].concat(), Reason::Length),
        ("85 a wrong digest in text", signed_text(&status_text()).replace(b"ha1", b"ha2"), Reason::Signature),
        ("86 an unknown node", with(2, b"(0)src=ha9"), Reason::UnknownNode),
        ("86 a name that no node can have", with(2, b"(0)src=ha 1"), Reason::UnknownNode),
        ("86 upper case", with(2, b"(0)src=HA1"), Reason::UpperCase),
        ("87 sequence 0", with(3, b"(0)seq=0"), Reason::Sequence),
        ("87 no sequence", with(3, b"(0)x=1"), Reason::Sequence),
        ("87 a sequence that is no number", with(3, b"(0)seq=wxyz"), Reason::Sequence),
        ("87 a generation that is no number", with(4, b"(0)hg="), Reason::Sequence),
        ("88 netstrings between marks of text", good.replace(b"###\n", b">>>\n"), Reason::Form),
        ("88 text between marks of netstrings", text.replace(b">>>\n", b"###\n"), Reason::Length),
        ("89 compressed", and(b"(4)big=\x78\x9c\xed"), Reason::Compressed),
        ("89 compressed fields", and(b"(5)big=\x42\x5a\x68"), Reason::Compressed),
        ("89 compressed text", signed_text(&[&status_text()[..], b"(4)big=eJw=\n"].concat()), Reason::Compressed),
        ("fields in a field", and(b"(2)node=x=y"), Reason::Nested),
        ("a list", and(b"(3)nodes=1:x,"), Reason::Nested),
        ("a type of tomorrow", and(b"(7)x=y"), Reason::Type),
        ("no type", and(b"x=y"), Reason::Field),
        ("no value", and(b"(0)x"), Reason::Field),
        ("no name", and(b"(0)=y"), Reason::Field),
        ("a blank in a name", and(b"(0)x y=z"), Reason::Field),
        ("text that is not base64", signed_text(&[&status_text()[..], b"(1)x=*\n"].concat()), Reason::Field),
        ("Latin-1", and(b"(0)info=caf\xe9"), Reason::Text),
        ("a NUL", and(b"(0)info=a\0b"), Reason::Text),
        ("no type of message", with(0, b"(0)st=active"), Reason::Anonymous),
        ("no sender", with(2, b"(0)x=y"), Reason::Anonymous),
        ("a sender of bytes", with(2, b"(1)src=ha1"), Reason::Anonymous),
    ];
    let receiver = receiver(sha1());
    for (what, bytes, reason) in cases {
        assert_eq!(receiver.receive(&bytes), Err(reason), "{what}");
    }
}

/// Replaces the first `from`.
trait Replace {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replace(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

/// HB-4: what heartbeat accepts, by injection into a real one.
#[test]
fn what_a_real_heartbeat_accepts_is_accepted() {
    let lines = status_text();
    let inner = format!("(0)auth={}", signature(&lines));
    let cases = [
        ("signed inside and outside", signed(&[&STATUS[..], &[inner.as_bytes()]].concat())),
        ("signed outside", signed(&STATUS)),
        ("text", signed_text(&lines)),
        ("text and a NUL", [signed_text(&lines), vec![0]].concat()),
        ("without ttl", signed(&STATUS[..6])),
        ("without a generation", with(4, b"(0)x=y")),
        ("without a sequence where none is asked for", signed(&[b"(0)t=NS_st", b"(0)st=ping", b"(0)src=10.168.0.1"])),
    ];
    let receiver = receiver(sha1());
    for (what, bytes) in cases {
        assert!(receiver.receive(&bytes).is_ok(), "{what}");
    }
}

#[test]
fn a_message_that_came_back_is_told_from_one_of_another_host_with_the_same_name() {
    let receiver = Receiver::new(name("ha1"), [7; 16], [name("ha2")], sha1());
    assert_eq!(receiver.receive(&signed(&STATUS)), Err(Reason::Own));
    assert_eq!(
        receiver.receive(&and(b"(1)srcuuid=\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07")),
        Err(Reason::Own)
    );
    assert_eq!(receiver.receive(&and(b"(1)srcuuid=0123456789abcdef")), Err(Reason::Twin));
    assert_eq!(receiver.receive(&with(2, b"(0)src=HA1")), Err(Reason::Own));
}

/// HB-4: keys are changed one node after the other.
#[test]
fn a_receiver_accepts_every_key_it_has() {
    let key = |method, secret: &str| Key { method, secret: secret.into() };
    let old = key(Method::Md5, "old");
    let new = key(Method::Sha256, "new");
    let both = Keys::new(2, BTreeMap::from([(1, old.clone()), (2, new)])).unwrap();
    let only_old = Keys::new(1, BTreeMap::from([(1, old)])).unwrap();
    let message = codec::decode(&signed(&STATUS), &sha1()).unwrap().0;
    let by_old = codec::encode(&message, Form::Classic, &only_old);
    let by_new = codec::encode(&message, Form::Classic, &both);
    assert_eq!(codec::decode(&by_old, &both).unwrap().0, message);
    assert_eq!(codec::decode(&by_new, &both).unwrap().0, message);
    assert_eq!(codec::decode(&by_new, &only_old), Err(Reason::UnknownKey));
    let mut receiver = receiver(only_old);
    assert_eq!(receiver.receive(&by_new), Err(Reason::UnknownKey));
    receiver.change_keys(both);
    assert_eq!(receiver.receive(&by_new), Ok(message));
}

/// A reason is all that is told of a message with a wrong signature: never what the right one would have been.
#[test]
fn a_wrong_signature_does_not_tell_the_right_one() {
    let bytes = [unsigned(&STATUS), netstring(format!("1 {}", "0".repeat(40)).as_bytes())].concat();
    let reason = receiver(sha1()).receive(&bytes).unwrap_err();
    let told = format!("{reason} {reason:?}");
    assert!(!told.contains(&signature(&unsigned(&STATUS))[2..]));
    assert!(!format!("{:?}", receiver(sha1())).contains("HI!"), "the key is not told either");
}

/// HB-1: a newline is a byte as any other in netstrings, and stands as byte 0x13 in text.
#[test]
fn a_newline_in_a_value_survives_all_forms() {
    let message = Message::new("status").with("src", "ha1").with("info", "two\nlines");
    for form in [Form::Classic, Form::Netstring, Form::Text] {
        let bytes = codec::encode(&message, form, &sha1());
        assert_eq!(codec::decode(&bytes, &sha1()), Ok((message.clone(), form)));
    }
    assert!(codec::encode(&message, Form::Text, &sha1()).windows(9).any(|window| window == b"two\x13lines"));
}

#[test]
fn a_message_of_the_longest_size_is_read() {
    let long = |length| Message::new("status").with("src", "ha1").with("seq", 1).with("info", "x".repeat(length));
    let length = codec::encode(&long(60_000), Form::Netstring, &sha1()).len();
    let fits = codec::encode(&long(60_000 + LONGEST - length), Form::Netstring, &sha1());
    assert_eq!(fits.len(), LONGEST);
    assert!(receiver(sha1()).receive(&fits).is_ok());
    let longer = codec::encode(&long(60_001 + LONGEST - length), Form::Netstring, &sha1());
    assert_eq!(receiver(sha1()).receive(&longer), Err(Reason::Size));
}

#[test]
fn a_key_of_another_method_makes_another_signature() {
    let message = Message::new("status").with("src", "ha1").with("seq", 1);
    let digest = |method, length: usize| {
        let bytes = codec::encode(&message, Form::Netstring, &keys(1, method, "secret"));
        let text = String::from_utf8(bytes).unwrap();
        let signature = text.rsplit_once(':').unwrap().1.trim_end_matches(',').to_owned();
        assert_eq!(signature.len(), 2 + length, "{signature}");
    };
    digest(Method::Md5, 32);
    digest(Method::Sha1, 40);
    digest(Method::Sha256, 64);
}

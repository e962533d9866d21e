//! Signatures of messages (HB-4, HB-5): `NUMBER HEX`, where the number is that of a key in authkeys.

use crate::Reason;
use evenkeel_model::heartbeat::{Key, Keys, Method};
use hmac::{Hmac, Mac, digest::KeyInit};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use std::fmt::Write as _;

/// Signs what `parts` are together with the key that signs.
pub(crate) fn sign(keys: &Keys, parts: &[&[u8]]) -> String {
    let (number, key) = keys.signing();
    let mut text = format!("{number} ");
    match key.method {
        Method::Crc => text.push_str(&crc(parts)),
        Method::Md5 => push_hex(&mut text, digest::<Hmac<Md5>>(key, parts)),
        Method::Sha1 => push_hex(&mut text, digest::<Hmac<Sha1>>(key, parts)),
        Method::Sha256 => push_hex(&mut text, digest::<Hmac<Sha256>>(key, parts)),
    }
    text
}

/// Whether `signature` is one of any key for what `parts` are together. It takes a time that does not tell how much of
/// a digest is right, and nobody learns what the right one would have been.
pub(crate) fn verify(keys: &Keys, signature: &[u8], parts: &[&[u8]]) -> Result<(), Reason> {
    let text = std::str::from_utf8(signature).map_err(|_| Reason::Signature)?;
    let (number, hex) = text.split_once(' ').ok_or(Reason::Signature)?;
    let number = number.parse().map_err(|_| Reason::UnknownKey)?;
    let key = keys.get(number).ok_or(Reason::UnknownKey)?;
    if !digits(key.method).contains(&hex.len()) {
        return Err(Reason::Method);
    }
    let right = match key.method {
        Method::Crc => hex == crc(parts),
        Method::Md5 => matches::<Hmac<Md5>>(key, parts, hex),
        Method::Sha1 => matches::<Hmac<Sha1>>(key, parts, hex),
        Method::Sha256 => matches::<Hmac<Sha256>>(key, parts, hex),
    };
    right.then_some(()).ok_or(Reason::Signature)
}

/// How many hexadecimal digits a digest has; a checksum is written without leading zeros.
fn digits(method: Method) -> std::ops::RangeInclusive<usize> {
    match method {
        Method::Crc => 1..=8,
        Method::Md5 => 32..=32,
        Method::Sha1 => 40..=40,
        Method::Sha256 => 64..=64,
    }
}

/// A key of any length makes a code; `None` cannot be.
fn code<M: Mac + KeyInit>(key: &Key, parts: &[&[u8]]) -> Option<M> {
    let mut code = <M as Mac>::new_from_slice(&key.secret).ok()?;
    parts.iter().for_each(|part| code.update(part));
    Some(code)
}

fn digest<M: Mac + KeyInit>(key: &Key, parts: &[&[u8]]) -> Vec<u8> {
    code::<M>(key, parts).map(|code| code.finalize().into_bytes().to_vec()).unwrap_or_default()
}

fn matches<M: Mac + KeyInit>(key: &Key, parts: &[&[u8]], hex: &str) -> bool {
    let Some(wanted) = bytes(hex) else { return false };
    code::<M>(key, parts).is_some_and(|code| code.verify_slice(&wanted).is_ok())
}

fn push_hex(text: &mut String, digest: Vec<u8>) {
    for byte in digest {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// Of an even number of digits in lower case, as heartbeat writes and compares them.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let pairs = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?));
    rest.is_empty().then(|| pairs.collect())?
}

/// HB-5: polynomial 0x04C11DB7 from the highest bit on, from 0, without the length, inverted, without leading zeros.
fn crc(parts: &[&[u8]]) -> String {
    let bytes = parts.iter().copied().flatten();
    let sum = bytes.fold(0u32, |sum, &byte| {
        (0..8).fold(
            sum ^ u32::from(byte) << 24,
            |sum, _| {
                if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
            },
        )
    });
    format!("{:x}", !sum)
}

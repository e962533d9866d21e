//! Where the Call-ID of a SIP message stands (PP-36; RFC 3261 sections 7.3 and 20.8): an automaton over the message's bytes.

/// Bytes of the payload that are looked at.
pub const WINDOW: usize = 512;

/// Element of the map `PAYLOAD`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Payload {
    /// The payload's start.
    pub bytes: [u8; WINDOW],
}

/// In a line that is not the one looked for; a message starts so, as its first line is no header.
pub const SKIP: u8 = 0;
/// At the start of a line.
const START: u8 = 1;
/// After as many letters of `Call-ID`, `LETTER` being the first.
const LETTER: u8 = 2;
/// After the whole of the name.
const NAME: u8 = 8;
/// After the colon.
const COLON: u8 = 9;
/// The last byte is one of the Call-ID.
pub const VALUE: u8 = 10;
/// The Call-ID is over.
pub const DONE: u8 = 11;
/// There is none: the headers are over.
pub const NONE: u8 = 12;
/// After the CR of a line that may be empty.
const EMPTY: u8 = 13;

const OTHER: u8 = 0;
const BLANK: u8 = 1;
const CR: u8 = 2;
const LF: u8 = 3;
const COLON_SIGN: u8 = 4;
const C: u8 = 5;
const A: u8 = 6;
const L: u8 = 7;
const DASH: u8 = 8;
const I: u8 = 9;
const D: u8 = 10;

/// The class of each byte.
pub const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [OTHER; 256];
    table[b' ' as usize] = BLANK;
    table[b'\t' as usize] = BLANK;
    table[b'\r' as usize] = CR;
    table[b'\n' as usize] = LF;
    table[b':' as usize] = COLON_SIGN;
    table[b'-' as usize] = DASH;
    let letters = [(b'c', C), (b'a', A), (b'l', L), (b'i', I), (b'd', D)];
    let mut index = 0;
    while index < letters.len() {
        let (letter, class) = letters[index];
        table[letter as usize] = class;
        table[letter.to_ascii_uppercase() as usize] = class;
        index += 1;
    }
    table
}

/// The place after a byte: index `place << 4 | class`.
pub const NEXT: [u8; 256] = places();

const fn places() -> [u8; 256] {
    let mut table = [SKIP; 256];
    let mut index = 0;
    while index < table.len() {
        table[index] = next((index >> 4) as u8, (index & 15) as u8);
        index += 1;
    }
    table
}

const fn next(place: u8, class: u8) -> u8 {
    /// The class of each letter of the name.
    const LETTERS: [u8; 7] = [C, A, L, L, DASH, I, D];
    match (place, class) {
        (DONE | NONE, _) => place,
        (START | EMPTY, LF) => NONE,
        (START, CR) => EMPTY,
        (VALUE, BLANK | CR | LF) => DONE,
        (VALUE, _) => VALUE,
        (COLON, BLANK) => COLON,
        (COLON, CR) => SKIP,
        (_, LF) => START,
        (COLON, _) => VALUE,
        (NAME, BLANK) => NAME,
        (NAME, COLON_SIGN) => COLON,
        (START, C) => LETTER,
        // The compact name.
        (START, I) => NAME,
        (LETTER..NAME, _) if class == LETTERS[(place - LETTER + 1) as usize] => place + 1,
        _ => SKIP,
    }
}

/// The place after a byte.
pub const fn step(place: u8, byte: u8) -> u8 {
    NEXT[(place << 4 | CLASSES[byte as usize]) as usize]
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{format, string::String};

    fn call_id(message: &str) -> Option<String> {
        let (mut place, mut id) = (SKIP, String::new());
        for byte in message.bytes() {
            place = step(place, byte);
            if place == VALUE {
                id.push(char::from(byte));
            }
        }
        (place == DONE).then_some(id)
    }

    #[test]
    fn the_call_id_is_found_by_either_name_in_any_case() {
        for name in ["Call-ID:", "call-id :", "CALL-ID:\t", "i: ", "I :"] {
            let message = format!("INVITE sip:a@b SIP/2.0\r\nVia: c\r\n{name}f81d4fae@example\r\nCSeq: 1\r\n\r\n");
            assert_eq!(call_id(&message).as_deref(), Some("f81d4fae@example"), "{name}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for message in [
            "Call-ID: first-line\r\n\r\n",
            "I SIP/2.0\r\nX-Call-ID: a\r\n\r\n",
            "I SIP/2.0\r\n Call-ID: folded\r\n\r\n",
            "I SIP/2.0\r\nCall-IDs: a\r\n\r\n",
            "I SIP/2.0\r\nCall-I: a\r\n\r\n",
            "I SIP/2.0\r\nCall-ID: \r\nVia: a\r\n\r\n",
            "I SIP/2.0\r\n\r\nCall-ID: body\r\n",
            "I SIP/2.0\n\nCall-ID: body\n",
            "I SIP/2.0\r\nCall-ID: cut",
        ] {
            assert_eq!(call_id(message), None, "{message:?}");
        }
    }

    #[test]
    fn a_later_line_counts_after_ones_that_begin_alike() {
        let message = "I SIP/2.0\r\nCall-Info: a\r\nc: b\r\nCall-ID\r\nia: c\r\ncall-id: d:e f\r\n";
        assert_eq!(call_id(message).as_deref(), Some("d:e"));
    }
}

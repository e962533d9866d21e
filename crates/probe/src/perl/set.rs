//! Sets of bytes: what one place of a Perl pattern accepts.

use std::fmt::Write;

/// Which bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set([u64; 4]);

impl Set {
    pub(super) const EMPTY: Set = Set([0; 4]);

    /// The bytes for which `accepts` holds.
    pub(super) fn of(accepts: impl Fn(u8) -> bool) -> Set {
        let mut set = Set::EMPTY;
        for byte in 0..=u8::MAX {
            set.0[usize::from(byte) / 64] |= u64::from(accepts(byte)) << (byte % 64);
        }
        set
    }

    pub(super) fn single(byte: u8) -> Set {
        Set::of(|other| other == byte)
    }

    pub(super) fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte) / 64] >> (byte % 64) & 1 == 1
    }

    pub(super) fn add(&mut self, other: &Set) {
        *self = Set::of(|byte| self.has(byte) || other.has(byte));
    }

    pub(super) fn negated(&self) -> Set {
        Set::of(|byte| !self.has(byte))
    }

    /// With each letter's other case.
    pub(super) fn folded(&self, unicode: bool) -> Set {
        Set::of(|byte| self.has(byte) || self.has(other_case(byte, unicode)))
    }

    /// As a class the regex engine reads in its bytes mode.
    pub(super) fn class(&self) -> String {
        let mut text = String::from("[");
        let mut rest = (0..=u8::MAX).peekable();
        while let Some(first) = rest.find(|byte| self.has(*byte)) {
            let mut last = first;
            while let Some(next) = rest.next_if(|byte| self.has(*byte)) {
                last = next;
            }
            // Writing to a string cannot fail.
            let _ = if first == last {
                write!(text, "\\x{first:02X}")
            } else {
                write!(text, "\\x{first:02X}-\\x{last:02X}")
            };
        }
        text.push(']');
        text
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Set::EMPTY
    }
}

/// The other case of a letter, else the byte itself. Perl looks beyond ASCII only in patterns that name Unicode.
fn other_case(byte: u8, unicode: bool) -> u8 {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => byte ^ 0x20,
        0xd7 | 0xf7 | 0xdf | 0xff => byte,
        0xc0..=0xfe if unicode => byte ^ 0x20,
        _ => byte,
    }
}

/// `\w`.
pub(super) fn word(unicode: bool) -> Set {
    Set::of(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || unicode && is_high_letter(byte))
}

/// `\s`.
pub(super) fn space(unicode: bool) -> Set {
    Set::of(|byte| matches!(byte, b'\t'..=b'\r' | b' ') || unicode && matches!(byte, 0x85 | 0xa0))
}

/// `\d`.
pub(super) fn digit() -> Set {
    Set::of(|byte| byte.is_ascii_digit())
}

/// `\h`.
pub(super) fn horizontal_space() -> Set {
    Set::of(|byte| matches!(byte, b'\t' | b' ' | 0xa0))
}

/// `\v`.
pub(super) fn vertical_space() -> Set {
    Set::of(|byte| matches!(byte, b'\n'..=b'\r' | 0x85))
}

fn is_high_letter(byte: u8) -> bool {
    matches!(byte, 0xaa | 0xb5 | 0xba | 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..)
}

fn is_high_upper(byte: u8) -> bool {
    matches!(byte, 0xc0..=0xd6 | 0xd8..=0xde)
}

/// `[:name:]`.
pub(super) fn posix(name: &str, unicode: bool) -> Option<Set> {
    let high_letter = |byte| unicode && is_high_letter(byte);
    let high_upper = |byte| unicode && is_high_upper(byte);
    let high_print = |byte: u8| unicode && byte >= 0xa0;
    let set = match name {
        "alpha" => Set::of(|byte| byte.is_ascii_alphabetic() || high_letter(byte)),
        "digit" => digit(),
        "alnum" => Set::of(|byte| byte.is_ascii_alphanumeric() || high_letter(byte)),
        "upper" => Set::of(|byte| byte.is_ascii_uppercase() || high_upper(byte)),
        "lower" => Set::of(|byte| byte.is_ascii_lowercase() || high_letter(byte) && !is_high_upper(byte)),
        "space" => space(unicode),
        "blank" => Set::of(|byte| matches!(byte, b' ' | b'\t') || unicode && byte == 0xa0),
        "cntrl" => Set::of(|byte| byte.is_ascii_control() || unicode && matches!(byte, 0x80..=0x9f)),
        "graph" => Set::of(|byte| byte.is_ascii_graphic() || high_print(byte) && byte != 0xa0),
        "print" => Set::of(|byte| byte.is_ascii_graphic() || byte == b' ' || high_print(byte)),
        "punct" => Set::of(|byte| {
            byte.is_ascii_punctuation() || unicode && matches!(byte, 0xa1 | 0xa7 | 0xab | 0xb6 | 0xb7 | 0xbb | 0xbf)
        }),
        "xdigit" => Set::of(|byte| byte.is_ascii_hexdigit()),
        "word" => word(unicode),
        "ascii" => Set::of(|byte| byte.is_ascii()),
        _ => return None,
    };
    Some(set)
}

/// `\p{name}`: which of the first 256 characters have the Unicode property.
pub(super) fn property(name: &str) -> Option<Set> {
    let sane = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'=' | b' ' | b'-'));
    if !sane || name.is_empty() {
        return None;
    }
    let regex = fancy_regex::Regex::new(&format!(r"\A\p{{{name}}}\z")).ok()?;
    Some(Set::of(|byte| regex.is_match(char::from(byte).encode_utf8(&mut [0; 2])).unwrap_or(false)))
}

//! Backslash sequences that name a character or a set of bytes, the same inside and outside of brackets.

use super::set::{self, Set};

/// Reads a pattern byte by byte.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = self.text[self.at..].starts_with(expected.as_bytes());
        if found {
            self.at += expected.len();
        }
        found
    }

    /// What stands before `end`, which is consumed as well.
    pub(super) fn until(&mut self, end: u8) -> Option<String> {
        let length = self.text[self.at..].iter().position(|byte| *byte == end)?;
        let text = String::from_utf8_lossy(&self.text[self.at..self.at + length]).into_owned();
        self.at += length + 1;
        Some(text)
    }

    pub(super) fn while_some(&mut self, limit: usize, accepts: impl Fn(u8) -> bool) -> String {
        let rest = &self.text[self.at..];
        let length = rest.iter().take(limit).take_while(|byte| accepts(**byte)).count();
        self.at += length;
        String::from_utf8_lossy(&rest[..length]).into_owned()
    }
}

/// What a backslash sequence stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// One character; above 255 none of a body's bytes is it.
    Character(u32),
    /// Any of these bytes.
    Set(Set),
}

/// Reads what follows a backslash; `letter` is already consumed. `None`: it means neither a character nor a set.
/// Digits are left to the caller, as they may be back references.
pub(super) fn read(letter: u8, reader: &mut Reader<'_>, unicode: &mut bool) -> Result<Option<Escape>, String> {
    let character = |byte: u8| Ok(Some(Escape::Character(u32::from(byte))));
    let set = |set: Set| Ok(Some(Escape::Set(set)));
    match letter {
        b't' => character(b'\t'),
        b'n' => character(b'\n'),
        b'r' => character(b'\r'),
        b'f' => character(0x0c),
        b'e' => character(0x1b),
        b'a' => character(0x07),
        b'w' => set(set::word(*unicode)),
        b'W' => set(set::word(*unicode).negated()),
        b's' => set(set::space(*unicode)),
        b'S' => set(set::space(*unicode).negated()),
        b'd' => set(set::digit()),
        b'D' => set(set::digit().negated()),
        b'h' => set(set::horizontal_space()),
        b'H' => set(set::horizontal_space().negated()),
        b'v' => set(set::vertical_space()),
        b'V' => set(set::vertical_space().negated()),
        b'c' => control(reader).map(Some),
        b'x' => hexadecimal(reader, unicode).map(Some),
        b'o' => braced_octal(reader, unicode).map(Some),
        b'p' | b'P' => {
            *unicode = true;
            property(letter == b'P', reader).map(Some)
        }
        b'N' if reader.text[reader.at..].starts_with(b"{U+") => {
            *unicode = true;
            reader.at += 3;
            let digits = reader.until(b'}').ok_or("\\N{U+ without a closing }")?;
            u32::from_str_radix(&digits, 16)
                .map(|code| Some(Escape::Character(code)))
                .map_err(|_| format!("\\N{{U+{digits}}} is no character"))
        }
        b'L' | b'U' | b'l' | b'u' | b'F' => {
            let letter = char::from(letter);
            Err(format!("\\{letter} changes letters only in the text of a Perl program; write the letters meant"))
        }
        b'C' => Err("\\C is no longer read by Perl".to_owned()),
        _ => Ok(None),
    }
}

fn control(reader: &mut Reader<'_>) -> Result<Escape, String> {
    match reader.next() {
        Some(byte) if byte.is_ascii_graphic() => Ok(Escape::Character(u32::from(byte.to_ascii_uppercase() ^ 0x40))),
        Some(_) | None => Err("\\c without a character".to_owned()),
    }
}

fn code(digits: &str, radix: u32, unicode: &mut bool) -> Result<Escape, String> {
    let digits: String = digits.chars().filter(|c| !matches!(c, '_' | ' ' | '\t')).collect();
    if digits.is_empty() {
        return Ok(Escape::Character(0));
    }
    let code = u32::from_str_radix(&digits, radix).map_err(|_| format!("{digits} is no character number"))?;
    *unicode |= code > 0xff;
    Ok(Escape::Character(code))
}

fn hexadecimal(reader: &mut Reader<'_>, unicode: &mut bool) -> Result<Escape, String> {
    if reader.eat("{") {
        let digits = reader.until(b'}').ok_or("\\x{ without a closing }")?;
        return code(&digits, 16, unicode);
    }
    code(&reader.while_some(2, |byte| byte.is_ascii_hexdigit()), 16, unicode)
}

fn braced_octal(reader: &mut Reader<'_>, unicode: &mut bool) -> Result<Escape, String> {
    let digits = if reader.eat("{") { reader.until(b'}') } else { None };
    code(&digits.ok_or("\\o without {...}")?, 8, unicode)
}

/// Up to three octal digits.
pub(super) fn octal(reader: &mut Reader<'_>, unicode: &mut bool) -> Result<Escape, String> {
    code(&reader.while_some(3, |byte| matches!(byte, b'0'..=b'7')), 8, unicode)
}

fn property(negated: bool, reader: &mut Reader<'_>) -> Result<Escape, String> {
    let name = if reader.eat("{") {
        reader.until(b'}').ok_or("\\p{ without a closing }")?
    } else {
        reader.next().map(|byte| char::from(byte).to_string()).ok_or("\\p without a property")?
    };
    let (negated, plain) = match name.trim().strip_prefix('^') {
        Some(rest) => (!negated, rest),
        None => (negated, name.trim()),
    };
    let set = set::property(plain).ok_or_else(|| format!("the Unicode property {name} is not known here"))?;
    Ok(Escape::Set(if negated { set.negated() } else { set }))
}

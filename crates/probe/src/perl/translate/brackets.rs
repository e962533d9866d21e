//! Bracketed character classes.

use super::{NEVER, Translator};
use crate::perl::{
    escape::{self, Escape},
    set::{self, Set},
};

/// One member of a bracketed class.
enum Member {
    Character(u32),
    Set(Set),
}

impl Translator<'_> {
    /// What follows `[`.
    pub(super) fn brackets(&mut self) -> Result<String, String> {
        let negated = self.reader.eat("^");
        let mut set = Set::EMPTY;
        let mut first = true;
        loop {
            let Some(byte) = self.reader.next() else { return Err("a [ without its ]".to_owned()) };
            if byte == b']' && !first {
                break;
            }
            if self.flags.extended_brackets && matches!(byte, b' ' | b'\t') {
                continue;
            }
            first = false;
            let member = self.member(byte)?;
            let range = self.reader.peek() == Some(b'-')
                && !matches!(self.reader.text.get(self.reader.at + 1), None | Some(b']'));
            match member {
                Member::Character(low) if range => {
                    self.reader.at += 1;
                    let byte = self.reader.next().unwrap_or(b']');
                    match self.member(byte)? {
                        Member::Character(high) if low > high => {
                            return Err("a range that ends before it starts".to_owned());
                        }
                        Member::Character(high) => set.add(&Set::of(|byte| (low..=high).contains(&u32::from(byte)))),
                        // Perl takes the hyphen of [a-\d] as itself.
                        Member::Set(other) => {
                            set.add(&character(low));
                            set.add(&Set::single(b'-'));
                            set.add(&other);
                        }
                    }
                }
                Member::Character(code) => set.add(&character(code)),
                Member::Set(other) => set.add(&other),
            }
        }
        let set = self.cased(set);
        let set = if negated { set.negated() } else { set };
        Ok(if set.is_empty() { NEVER.to_owned() } else { set.class() })
    }

    fn member(&mut self, byte: u8) -> Result<Member, String> {
        match byte {
            b'[' => self.posix(),
            b'\\' => {
                let Some(letter) = self.reader.next() else { return Err("a [ without its ]".to_owned()) };
                self.member_escape(letter)
            }
            _ => Ok(Member::Character(u32::from(byte))),
        }
    }

    fn member_escape(&mut self, letter: u8) -> Result<Member, String> {
        let escape = match letter {
            b'b' => Some(Escape::Character(8)),
            b'0'..=b'7' => {
                self.reader.at -= 1;
                Some(escape::octal(&mut self.reader, &mut self.seen.unicode)?)
            }
            b'N' if !self.reader.text[self.reader.at..].starts_with(b"{U+") => {
                return Err("\\N is not allowed in brackets".to_owned());
            }
            b'Q' | b'R' | b'X' => return Err(format!("\\{} is not supported in brackets", char::from(letter))),
            _ => escape::read(letter, &mut self.reader, &mut self.seen.unicode)?,
        };
        Ok(match escape {
            Some(Escape::Character(code)) => Member::Character(code),
            Some(Escape::Set(set)) => Member::Set(set),
            None => Member::Character(u32::from(letter)),
        })
    }

    /// `[:name:]` after its first bracket, else the bracket itself.
    fn posix(&mut self) -> Result<Member, String> {
        let rest = &self.reader.text[self.reader.at..];
        let Some(kind @ (b':' | b'.' | b'=')) = rest.first().copied() else {
            return Ok(Member::Character(u32::from(b'[')));
        };
        let name_length = rest[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'^').count();
        if !rest[1 + name_length..].starts_with(&[kind, b']']) {
            return Ok(Member::Character(u32::from(b'[')));
        }
        let name = String::from_utf8_lossy(&rest[1..1 + name_length]).into_owned();
        self.reader.at += name_length + 3;
        if kind != b':' {
            return Err("[.x.] and [=x=] are not read by Perl either".to_owned());
        }
        let (negated, plain) = match name.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        let set = set::posix(plain, self.seen.unicode).ok_or_else(|| format!("[:{name}:] is no class"))?;
        let set = self.cased(set);
        Ok(Member::Set(if negated { set.negated() } else { set }))
    }
}

fn character(code: u32) -> Set {
    u8::try_from(code).map_or(Set::EMPTY, Set::single)
}

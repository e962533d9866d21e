//! Lines in the words of `ip route` and `ip rule`: those of keepalived.conf, and the texts of a native file. A mistake
//! in keepalived.conf costs its line, as with keepalived; in a native file it is an error.

mod hop;
mod names;
mod route;
mod rule;

use crate::{
    codes,
    host::shown,
    keepalived::{value, word::Word},
    native::inside,
    nearest::nearest,
};
use evenkeel_model::{Family, Prefix};
use evenkeel_source::{Diagnostic, Span, Spanned};
pub(crate) use names::{Kind, Names};
pub(crate) use route::route;
pub(crate) use rule::{Priority, rule};
use std::{net::IpAddr, ops::RangeInclusive};

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Keepalived,
    Native,
}

/// A line that cannot be used; why has been told.
#[derive(Debug)]
pub(crate) struct Refused;

/// The words of a native text, each with its place.
pub(crate) fn native_words(text: Spanned<&str>) -> Vec<Word> {
    let mut at = 0;
    let mut words = Vec::new();
    for part in text.value.split_inclusive(|c: char| c.is_ascii_whitespace()) {
        let word = part.trim_end_matches(|c: char| c.is_ascii_whitespace());
        if !word.is_empty() {
            let span = inside(text, at, word.len());
            words.push(Word { text: word.to_owned(), span, quoted: false, made: true });
        }
        at += part.len();
    }
    words
}

/// A line that is being read.
pub(crate) struct Line<'a, 'o> {
    words: &'a [Word],
    at: usize,
    /// What it is, for messages: `route` or `rule`.
    of: &'static str,
    dialect: Dialect,
    names: &'a Names<'a>,
    out: &'o mut Vec<Diagnostic>,
    family: Option<Family>,
}

/// A destination or source as it is written.
#[derive(Clone, Copy, Debug)]
enum Net {
    /// `default`, `all` or `any`: of whatever family the others are.
    All,
    Prefix(Prefix),
}

impl Net {
    fn of(self, family: Family) -> Option<Prefix> {
        match self {
            Net::All => Prefix::new(family.unspecified(), 0).ok(),
            Net::Prefix(prefix) => Some(prefix),
        }
    }
}

impl<'a, 'o> Line<'a, 'o> {
    fn new(
        words: &'a [Word],
        of: &'static str,
        dialect: Dialect,
        names: &'a Names<'a>,
        out: &'o mut Vec<Diagnostic>,
    ) -> Line<'a, 'o> {
        Line { words, at: 0, of, dialect, names, out, family: None }
    }

    fn next(&mut self) -> Option<&'a Word> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    /// The next word, if it is this one.
    fn next_if(&mut self, text: &str) -> Option<&'a Word> {
        let word = self.words.get(self.at).filter(|word| word.text == text)?;
        self.at += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// The value that has to follow `word`.
    fn value(&mut self, word: &Word) -> Result<&'a Word, Refused> {
        match self.next() {
            Some(value)
                if value.text.is_empty() || value.text.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Err(self.refuse(value.span, format!("{} cannot be `{}`", shown(&word.text), shown(&value.text))))
            }
            Some(value) => Ok(value),
            None => Err(self.refuse(word.span, format!("`{}` has no value", shown(&word.text)))),
        }
    }

    fn wrong(&self, span: Span, message: String) -> Diagnostic {
        match self.dialect {
            Dialect::Keepalived => Diagnostic::warning(codes::VRRP_ROUTE, span, message)
                .note(format!("keepalived leaves out the {}, and so does evenkeel", self.of)),
            Dialect::Native => Diagnostic::error(codes::VRRP_ROUTE, span, message),
        }
    }

    fn refuse(&mut self, span: Span, message: String) -> Refused {
        let d = self.wrong(span, message);
        self.out.push(d);
        Refused
    }

    fn refuse_with(&mut self, span: Span, message: String, help: &str) -> Refused {
        let d = self.wrong(span, message).help(help.to_owned());
        self.out.push(d);
        Refused
    }

    /// Something that is read all the same, with what keepalived does.
    fn remark(&mut self, span: Span, message: String, note: &str) {
        let d = Diagnostic::warning(codes::VRRP_ROUTE, span, message);
        self.out.push(match self.dialect {
            Dialect::Keepalived => d.note(note.to_owned()),
            Dialect::Native => d,
        });
    }

    /// A word that means nothing here.
    fn unknown(&mut self, word: &Word, known: &[&'static str]) -> Refused {
        let message = format!("`{}` is no word of a {}, and no address", shown(&word.text), self.of);
        let d = self.wrong(word.span, message);
        let near = nearest(&word.text, known.iter().copied());
        self.out.push(match near {
            Some(near) => d.help(format!("is `{near}` meant?")),
            None => d,
        });
        Refused
    }

    /// A decimal number.
    fn number(&mut self, word: &Word, range: RangeInclusive<u32>) -> Result<u32, Refused> {
        let value = self.value(word)?;
        let number = value::number(&value.text).and_then(|number| u32::try_from(number).ok());
        self.fitting(word, value, number, range)
    }

    /// A number that may be hexadecimal or octal.
    fn any_number(&mut self, word: &Word, range: RangeInclusive<u32>) -> Result<u32, Refused> {
        let value = self.value(word)?;
        self.fitting(word, value, names::number(&value.text), range)
    }

    fn fitting(
        &mut self,
        word: &Word,
        value: &Word,
        number: Option<u32>,
        range: RangeInclusive<u32>,
    ) -> Result<u32, Refused> {
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            let (name, least, most) = (&word.text, range.start(), range.end());
            self.refuse(value.span, format!("{name} `{}` is no number from {least} to {most}", shown(&value.text)))
        })
    }

    fn byte(&mut self, word: &Word) -> Result<u8, Refused> {
        self.number(word, 0..=255).map(|number| u8::try_from(number).unwrap_or(u8::MAX))
    }

    /// A number, or a name of iproute2.
    fn named(&mut self, word: &Word, kind: Kind) -> Result<u32, Refused> {
        let value = self.value(word)?;
        self.name(value, kind)
    }

    fn named_byte(&mut self, word: &Word, kind: Kind) -> Result<u8, Refused> {
        self.named(word, kind).map(|number| u8::try_from(number).unwrap_or(u8::MAX))
    }

    fn name(&mut self, value: &Word, kind: Kind) -> Result<u32, Refused> {
        self.names.find(kind, &value.text).ok_or_else(|| {
            let message = format!("`{}` is no {}", shown(&value.text), kind.what());
            self.refuse_with(
                value.span,
                message,
                &format!("a number up to {}, or a name of {}", kind.most(), kind.path()),
            )
        })
    }

    /// `FROM/TO`, or one alone.
    fn realms(&mut self, word: &Word) -> Result<u32, Refused> {
        let value = self.value(word)?;
        self.agree(Family::V4, word, "realms are of IPv4 only")?;
        let Some((from, to)) = value.text.split_once('/') else { return self.name(value, Kind::Realm) };
        let part = |text: &str| Word { text: text.to_owned(), ..value.clone() };
        let (from, to) = (self.name(&part(from), Kind::Realm)?, self.name(&part(to), Kind::Realm)?);
        Ok(from << 16 | to)
    }

    fn interface(&mut self, word: &Word) -> Result<String, Refused> {
        let value = self.value(word)?;
        if value::is_interface(&value.text) {
            return Ok(value.text.clone());
        }
        Err(self.refuse(value.span, format!("`{}` is no name of an interface", shown(&value.text))))
    }

    /// An address without a mask.
    fn address(&mut self, value: &Word) -> Result<IpAddr, Refused> {
        value::address(&value.text)
            .ok_or_else(|| self.refuse(value.span, format!("`{}` is no address", shown(&value.text))))
    }

    /// An address of the family of the others.
    fn own_address(&mut self, word: &Word) -> Result<IpAddr, Refused> {
        let value = self.value(word)?;
        let address = self.address(value)?;
        self.agree(Family::of(address), value, "")?;
        Ok(address)
    }

    /// A prefix, an address, or a word for all.
    fn net(&mut self, value: &Word) -> Result<Net, Refused> {
        match value.text.as_str() {
            "default" | "any" | "all" => return Ok(Net::All),
            "default6" => {
                self.remark(value.span, "`default6` is an old word".to_owned(), "keepalived takes it still");
                self.agree(Family::V6, value, "")?;
                return Ok(Net::All);
            }
            _ => {}
        }
        let (text, mask) = value.text.split_once('/').map_or((value.text.as_str(), None), |(a, m)| (a, Some(m)));
        let Some(address) = value::address(text) else {
            return Err(self.refuse(value.span, format!("`{}` is no address and no prefix", shown(&value.text))));
        };
        let family = Family::of(address);
        self.agree(family, value, "")?;
        let bits = family.bits();
        let length = mask.map_or(Some(bits), |mask| u8::try_from(value::number(mask)?).ok().filter(|n| *n <= bits));
        if length.is_none() && self.dialect == Dialect::Native {
            let message = format!("the mask of `{}` is not from 0 to {bits}", shown(&value.text));
            return Err(self.refuse(value.span, message));
        }
        if length.is_none() {
            let message = format!("the mask of `{}` is not from 0 to {bits}", shown(&value.text));
            self.remark(value.span, message, &format!("keepalived takes /{bits}, and so does evenkeel"));
        }
        let Ok(prefix) = Prefix::new(address, length.unwrap_or(bits)) else { return Err(Refused) };
        if prefix.address() != address && self.of == "route" {
            let message = format!("`{}` is an address within {}/{}", value.text, prefix.address(), prefix.length());
            self.remark(
                value.span,
                format!("{message}, which is read"),
                "keepalived passes it on, and Linux refuses it",
            );
        }
        Ok(Net::Prefix(prefix))
    }

    /// All addresses of a line are of one family.
    fn agree(&mut self, family: Family, word: &Word, why: &str) -> Result<(), Refused> {
        match self.family.replace(family) {
            Some(other) if other != family => {
                let message = match why {
                    "" => format!("`{}` is of another family than what stands before it", shown(&word.text)),
                    why => why.to_owned(),
                };
                Err(self.refuse(word.span, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `inet` and `inet6`.
    fn family_word(&mut self, word: &Word) -> Result<(), Refused> {
        let family = if word.text == "inet" { Family::V4 } else { Family::V6 };
        self.agree(family, word, "")
    }

    /// Who made it. What is tracked is keepalived's.
    fn protocol(&mut self, word: &Word, tracked: bool, protocol: u8) -> u8 {
        let own = evenkeel_model::vrrp::PROTOCOL;
        if self.dialect == Dialect::Native || !tracked || protocol == own {
            return protocol;
        }
        let message = format!("`protocol` without `no_track` is always {own}");
        self.remark(word.span, message, "keepalived knows what it follows by the number, and resets it");
        own
    }
}

#[cfg(test)]
mod tests;

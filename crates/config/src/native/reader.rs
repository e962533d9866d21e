//! Tables of a TOML file read key by key, so that every mistake is reported at its place.

use super::units;
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_source::{Diagnostic, FileId, Span, Spanned};
use std::{ops::RangeInclusive, time::Duration};
use toml::de::{DeTable, DeValue};

/// A value and its place.
pub(crate) type Value<'a> = Spanned<&'a DeValue<'a>>;

/// A table, its place, and the keys that may stand in it.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) file: FileId,
    pub(crate) entries: &'a DeTable<'a>,
    /// Where the table is; points at its name where it has one.
    pub(crate) span: Span,
}

/// The keys one kind of table has.
pub(crate) struct Keys {
    /// What the table is called in a message, e.g. `a virtual service`.
    pub(crate) of: &'static str,
    pub(crate) known: &'static [&'static str],
    /// Keys that a later release will read.
    pub(crate) later: &'static [&'static str],
    /// Words people may well write, and what to write here.
    pub(crate) instead: &'static [(&'static str, &'static str)],
}

impl<'a> Table<'a> {
    /// Reports every key that is not among `keys`.
    pub(crate) fn only(&self, keys: &Keys, out: &mut Vec<Diagnostic>) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if keys.known.contains(&name) {
                continue;
            }
            let span = self.span_of(key.span());
            if keys.later.contains(&name) {
                out.push(Diagnostic::error(codes::LATER, span, format!("`{}` is not in this release", shown(name))));
                continue;
            }
            let message = format!("`{}` is no key of {}", shown(name), keys.of);
            let d = Diagnostic::error(codes::UNKNOWN_KEY, span, message);
            out.push(if let Some((_, help)) = keys.instead.iter().find(|(word, _)| *word == name) {
                d.help(*help)
            } else if let Some(meant) = nearest(name, keys.known.iter().copied()) {
                d.suggest(format!("did you mean `{meant}`?"), span, meant)
            } else {
                d.help(format!("its keys are {}", keys.known.join(", ")))
            });
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.entries.get(key)?;
        Some(Spanned::new(value.get_ref(), self.span_of(value.span())))
    }

    /// Whether the key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The place of a key's name.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(name, _)| self.span_of(name.span()))
    }

    /// Every entry, in the order of the file.
    pub(crate) fn values(&self) -> Vec<(Spanned<&'a str>, Value<'a>)> {
        let mut found: Vec<_> = self
            .entries
            .iter()
            .map(|(key, value)| {
                let name = Spanned::new(key.get_ref().as_ref(), self.span_of(key.span()));
                (name, Spanned::new(value.get_ref(), self.span_of(value.span())))
            })
            .collect();
        found.sort_by_key(|(name, _)| name.span.start);
        found
    }

    /// Every entry whose value is a table, in the order of the file; others are reported.
    pub(crate) fn tables(&self, out: &mut Vec<Diagnostic>) -> Vec<(Spanned<&'a str>, Table<'a>)> {
        let mut found = Vec::new();
        for (name, value) in self.values() {
            if let Some(entries) = table_of(value, out) {
                found.push((name, Table { file: self.file, entries, span: name.span }));
            }
        }
        found
    }

    pub(crate) fn table(&self, key: &str, out: &mut Vec<Diagnostic>) -> Option<Table<'a>> {
        let entries = table_of(self.get(key)?, out)?;
        Some(Table { file: self.file, entries, span: self.key_span(key)? })
    }

    pub(crate) fn string(&self, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<&'a str>> {
        string_of(self.get(key)?, out)
    }

    pub(crate) fn boolean(&self, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
        let value = self.get(key)?;
        match value.value {
            DeValue::Boolean(yes) => Some(Spanned::new(*yes, value.span)),
            other => {
                wrong_type(value.span, "true or false", other, out);
                None
            }
        }
    }

    pub(crate) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Spanned<u32>> {
        let value = self.get(key)?;
        let number = integer_of(value, out)?;
        match u32::try_from(number).ok().filter(|n| range.contains(n)) {
            Some(number) => Some(Spanned::new(number, value.span)),
            None => {
                let message = format!("{key} is {number}; it goes from {} to {}", range.start(), range.end());
                out.push(Diagnostic::error(codes::VALUE, value.span, message));
                None
            }
        }
    }

    /// A duration with a unit; `least` is the shortest that makes sense.
    pub(crate) fn duration(&self, key: &str, least: Duration, out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
        let value = self.get(key)?;
        if let DeValue::Integer(_) = value.value {
            let number = integer_of(value, out)?;
            let d = Diagnostic::error(codes::DURATION, value.span, format!("{key} needs a unit"));
            out.push(d.suggest("for seconds", value.span, format!("\"{number}s\"")));
            return None;
        }
        let text = string_of(value, out)?;
        match units::duration(text.value) {
            Some(duration) if duration >= least => Some(Spanned::new(duration, value.span)),
            Some(_) => {
                let message = format!("{key} is shorter than {}", units::duration_text(least));
                out.push(Diagnostic::error(codes::DURATION, value.span, message));
                None
            }
            None => {
                let message = format!("`{}` is no duration", shown(text.value));
                let d = Diagnostic::error(codes::DURATION, value.span, message);
                out.push(d.help("write a number and a unit: 500ms, 3s, 2m, 1h or 1d"));
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&'static str, T)],
        out: &mut Vec<Diagnostic>,
    ) -> Option<Spanned<T>> {
        let text = self.string(key, out)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(Spanned::new(*value, text.span));
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let d = Diagnostic::error(codes::VALUE, text.span, format!("{key} cannot be `{}`", shown(text.value)));
        out.push(match nearest(text.value, names.iter().copied()) {
            Some(meant) => d.suggest(format!("did you mean `{meant}`?"), text.span, quoted(meant)),
            None => d.help(format!("write one of {}", names.join(", "))),
        });
        None
    }

    /// An array of strings, or one string that stands for an array of one.
    pub(crate) fn strings(&self, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<Vec<Spanned<&'a str>>>> {
        let value = self.get(key)?;
        if let DeValue::String(_) = value.value {
            return Some(Spanned::new(vec![string_of(value, out)?], value.span));
        }
        let items = self.items(value, out)?;
        let texts: Vec<_> = items.into_iter().filter_map(|item| string_of(item, out)).collect();
        Some(Spanned::new(texts, value.span))
    }

    /// The elements of an array.
    pub(crate) fn items(&self, value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<Vec<Value<'a>>> {
        match value.value {
            DeValue::Array(items) => {
                Some(items.iter().map(|item| Spanned::new(item.get_ref(), self.span_of(item.span()))).collect())
            }
            other => {
                wrong_type(value.span, "an array", other, out);
                None
            }
        }
    }

    /// The table that `value` is, at its own place.
    pub(crate) fn inner(&self, value: Value<'a>) -> Option<Table<'a>> {
        match value.value {
            DeValue::Table(entries) => Some(Table { file: self.file, entries, span: value.span }),
            _ => None,
        }
    }

    fn span_of(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }
}

fn table_of<'a>(value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<&'a DeTable<'a>> {
    match value.value {
        DeValue::Table(entries) => Some(entries),
        other => {
            wrong_type(value.span, "a table", other, out);
            None
        }
    }
}

/// The string that `value` is.
pub(crate) fn string_of<'a>(value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<Spanned<&'a str>> {
    match value.value {
        DeValue::String(text) => Some(Spanned::new(text.as_ref(), value.span)),
        other => {
            wrong_type(value.span, "a string", other, out);
            None
        }
    }
}

/// `length` bytes from `at` of a string's text, when it is written without escapes; the whole value otherwise.
pub(crate) fn inside(text: Spanned<&str>, at: usize, length: usize) -> Span {
    let Span { file, start, end } = text.span;
    let is_plain = (end - start) as usize == text.value.len() + 2;
    let from = start as usize + 1 + at;
    if is_plain { Span::new(file, from, from + length) } else { text.span }
}

/// The integer that `value` is.
pub(crate) fn integer_of(value: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<i64> {
    match value.value {
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix()).ok();
            if read.is_none() {
                out.push(Diagnostic::error(codes::VALUE, value.span, "the number is too large"));
            }
            read
        }
        other => {
            wrong_type(value.span, "a number", other, out);
            None
        }
    }
}

/// Says what is wanted and what is there.
pub(crate) fn wrong_type(span: Span, wanted: &str, found: &DeValue<'_>, out: &mut Vec<Diagnostic>) {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    out.push(Diagnostic::error(codes::WRONG_TYPE, span, format!("{wanted} is needed here, not {found}")));
}

/// A TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

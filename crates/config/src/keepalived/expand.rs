//! Definitions: what `$NAME` and `${NAME}` stand for.

use super::{
    reader::{LONGEST_LINE, Line, Reader},
    word::{self, Place},
};
use crate::{
    codes,
    host::shown,
    ldirectord::blank::{is_blank, skip},
};
use evenkeel_source::{Diagnostic, Span};
use std::rc::Rc;

/// How deep definitions use each other.
pub(super) const DEEPEST: usize = 32;

impl Reader<'_> {
    /// The lines of the definition that `raw` is, when it has several.
    pub(super) fn whole(&self, raw: &str) -> Option<Rc<Vec<Line>>> {
        let name = raw.strip_prefix('$')?;
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        self.definitions.get(name).filter(|lines| lines.len() != 1).cloned()
    }

    /// `text` with its definitions put in; `None` after an error.
    pub(super) fn expand(&mut self, text: &str, span: Span, depth: usize) -> Option<String> {
        if depth > DEEPEST {
            self.emit("", Place::Whole(span), depth);
            return None;
        }
        let mut expanded = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            expanded.push_str(rest.get(..dollar).unwrap_or(""));
            let here = rest.get(dollar..).unwrap_or("");
            let length = word::reference(here).or_else(|| bare(here));
            let Some(length) = length else {
                expanded.push('$');
                rest = here.get(1..).unwrap_or("");
                continue;
            };
            let written = here.get(..length).unwrap_or("");
            rest = here.get(length..).unwrap_or("");
            match self.value(written, span, depth)? {
                Some(value) => expanded.push_str(&value),
                None => {
                    if written.starts_with("${") && !text.contains('"') {
                        let message = format!("`{}` is defined nowhere", shown(written));
                        self.out.push(Diagnostic::warning(codes::VARIABLE, span, message));
                    }
                    expanded.push_str(written);
                }
            }
            if expanded.len() > LONGEST_LINE {
                self.steps = 0;
                let message = format!("definitions make a word of more than {LONGEST_LINE} bytes");
                self.out.push(Diagnostic::error(codes::EXPANSION, span, message));
                return None;
            }
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// What `$NAME` or `${NAME ...}` stands for: `None` after an error, `Some(None)` for nothing.
    fn value(&mut self, written: &str, span: Span, depth: usize) -> Option<Option<String>> {
        if self.substitutions == 0 {
            self.steps = self.steps.min(1);
            self.step(span);
            return None;
        }
        self.substitutions -= 1;
        let inside = written.trim_start_matches("${").trim_start_matches('$').trim_end_matches('}');
        let mut words = inside.split_whitespace();
        let name = words.next().unwrap_or("");
        if let Some(lines) = self.definitions.get(name).cloned() {
            let text = lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ");
            return Some(Some(if text.contains('$') { self.expand(&text, span, depth + 1)? } else { text }));
        }
        let file = self.open.last();
        Some(match name {
            "_PWD" => file.and_then(|file| file.parent()).map(|directory| directory.to_string_lossy().into_owned()),
            "_INSTANCE" => Some(self.host.node.to_owned()),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_ENV" => words.next().and_then(|name| (self.host.environment)(name)),
            "_RANDOM" => {
                let bound = |word: Option<&str>, default| word.and_then(|word| word.parse().ok()).unwrap_or(default);
                let least: u64 = bound(words.next(), 0);
                let most: u64 = bound(words.next(), 32767).max(least);
                Some((least + self.next_random() % (most - least).saturating_add(1)).to_string())
            }
            _ => None,
        })
    }

    /// The same numbers in every reading of a file on the same node, so that a reload changes nothing by itself.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }
}

/// `$NAME=`: the name and where the value begins.
pub(super) fn definition(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    let name = rest.get(..name_length(rest)?)?;
    let after = rest.get(name.len()..)?;
    let value = after.strip_prefix('=')?;
    Some((name, 1 + name.len() + 1 + (value.len() - skip(value).len())))
}

fn name_length(text: &str) -> Option<usize> {
    let length = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    (length > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then_some(length)
}

/// `$NAME` up to a blank or the end.
fn bare(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('$')?;
    let length = name_length(rest)?;
    let after = rest.get(length..).unwrap_or("");
    after.chars().next().is_none_or(|c| is_blank(c) || c == '"').then_some(1 + length)
}

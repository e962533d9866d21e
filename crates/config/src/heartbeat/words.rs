//! Lines of ha.cf into names and words, with the places they stand at.

use crate::ldirectord::blank::is_blank;
use evenkeel_source::{FileId, Span, Spanned};

/// A directive and all that stands behind it, perhaps on several lines.
pub(crate) struct Line<'a> {
    pub(crate) name: Spanned<&'a str>,
    /// What stands behind the name; one piece for each line.
    pub(crate) pieces: Vec<Spanned<&'a str>>,
}

impl<'a> Line<'a> {
    /// Words between blanks and commas, as heartbeat separates them.
    pub(crate) fn words(&self) -> Vec<Spanned<&'a str>> {
        self.split(|c| is_blank(c) || c == ',')
    }

    /// Words between blanks, for commands and parameters.
    pub(crate) fn arguments(&self) -> Vec<Spanned<&'a str>> {
        self.split(is_blank)
    }

    /// From the name to the last word.
    pub(crate) fn span(&self) -> Span {
        self.arguments()
            .last()
            .filter(|last| last.span.file == self.name.span.file)
            .map_or(self.name.span, |last| self.name.span.to(last.span))
    }

    fn split(&self, separates: impl Fn(char) -> bool + Copy) -> Vec<Spanned<&'a str>> {
        self.pieces.iter().flat_map(|piece| split(*piece, separates)).collect()
    }
}

/// The words of a text.
pub(crate) fn split(text: Spanned<&str>, separates: impl Fn(char) -> bool) -> Vec<Spanned<&str>> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in text.value.split(separates) {
        if !word.is_empty() {
            words.push(Spanned::new(word, within(text.span, at, word.len())));
        }
        at += word.len()
            + text.value.get(at + word.len()..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    words
}

/// `length` bytes from `at` of a span.
pub(crate) fn within(span: Span, at: usize, length: usize) -> Span {
    let start = span.start as usize + at;
    Span::new(span.file, start, start + length)
}

/// A text of a file at a place.
pub(crate) fn placed(file: FileId, at: usize, text: &str) -> Spanned<&str> {
    Spanned::new(text, Span::new(file, at, at + text.len()))
}

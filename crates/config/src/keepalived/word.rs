//! Words of a line: what blanks, braces, quotes and comments make of a text.

use crate::ldirectord::blank::{is_blank, is_odd};
use evenkeel_source::{Diagnostic, FileId, Span};

/// A word and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Without its quotes.
    pub(crate) text: String,
    pub(crate) span: Span,
    pub(crate) quoted: bool,
    /// It came out of a definition or a sequence: its place stands for more than this word.
    pub(crate) made: bool,
}

impl Word {
    /// Proposes another word for this one, by machine where it is read in this place only.
    pub(crate) fn replace(&self, d: Diagnostic, meant: &str) -> Diagnostic {
        match self.made {
            true => d.help(format!("write `{meant}`")),
            false => d.replace(format!("write `{meant}`"), self.span, meant),
        }
    }
}

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    /// The end of a line.
    End,
}

/// Where a text comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It stands in a file, from this byte on.
    At(FileId, usize),
    /// The same, in a definition or behind a sequence: it may be read several times.
    Repeated(FileId, usize),
    /// It was made of definitions; all of it is shown at one place.
    Whole(Span),
}

impl Place {
    pub(crate) fn span(self, start: usize, end: usize) -> Span {
        match self {
            Place::At(file, at) | Place::Repeated(file, at) => Span::new(file, at + start, at + end),
            Place::Whole(span) => span,
        }
    }

    pub(crate) fn from(self, offset: usize) -> Place {
        match self {
            Place::At(file, at) => Place::At(file, at + offset),
            Place::Repeated(file, at) => Place::Repeated(file, at + offset),
            Place::Whole(span) => Place::Whole(span),
        }
    }

    /// The same place, read several times.
    pub(crate) fn repeated(self) -> Place {
        match self {
            Place::At(file, at) | Place::Repeated(file, at) => Place::Repeated(file, at),
            Place::Whole(span) => Place::Whole(span),
        }
    }

    pub(crate) fn is_made(self) -> bool {
        !matches!(self, Place::At(..))
    }
}

/// One piece of a line before definitions are put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Word { start: usize, end: usize, quoted: bool },
    Open(usize),
    Close(usize),
}

/// The length of `${NAME}` or `${NAME ...}` at the start of `text`, if there is one.
pub(crate) fn reference(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("${")?;
    let close = inside.find('}')?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let name = inside.bytes().take_while(|b| fits(*b)).count();
    let rest = inside.get(name..close)?;
    let arguments = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '\t');
    (name > 0 && (rest.is_empty() || rest.starts_with([' ', '\t'])) && rest.chars().all(arguments)).then_some(close + 3)
}

/// The next piece of `text` from `at` on.
pub(crate) fn next_piece(text: &str, at: usize) -> Option<Piece> {
    let rest = text.get(at..)?;
    let start = at + (rest.len() - rest.trim_start_matches(is_blank).len());
    let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
    match rest.as_bytes().first() {
        Some(b'{') => return Some(Piece::Open(start)),
        Some(b'}') => return Some(Piece::Close(start)),
        Some(_) | None => {}
    }
    let mut quoted = false;
    let mut end = start + plain_length(rest);
    // A single quote is one only around a whole word: in other places it is an apostrophe.
    if let Some(close) = single_quoted(rest) {
        return Some(Piece::Word { start, end: start + close, quoted: true });
    }
    while let Some(c) = text.get(end..).and_then(|rest| rest.chars().next()) {
        let here = text.get(end..).unwrap_or("");
        match c {
            '"' => {
                quoted = true;
                end += 1 + quoted_length(here.get(1..).unwrap_or(""));
            }
            '\\' => end += 1 + here.chars().nth(1).map_or(0, char::len_utf8),
            '$' if reference(here).is_some() => end += reference(here).unwrap_or(1),
            '{' | '}' => break,
            c if is_blank(c) => break,
            c => end += c.len_utf8(),
        }
    }
    Some(Piece::Word { start, end: end.min(text.len()), quoted })
}

/// Bytes of letters, digits and the like, which mean nothing but themselves.
fn plain_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'/' | b'-')).count()
}

/// Bytes up to and with the closing double quote, or all.
fn quoted_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a word in single quotes.
fn single_quoted(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let close = inside.find('\'')?;
    let after = inside.get(close + 1..).unwrap_or("");
    let ends = after.chars().next().is_none_or(|c| is_blank(c) || matches!(c, '{' | '}' | '#' | '!'));
    ends.then_some(close + 2)
}

/// The text of a word without its quotes. Within double quotes a backslash escapes.
pub(crate) fn unquoted(raw: &str) -> String {
    if let Some(inside) = raw.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).filter(|_| raw.len() > 1) {
        return inside.to_owned();
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(quote) = rest.find('"') {
        text.push_str(rest.get(..quote).unwrap_or(""));
        let inside = rest.get(quote + 1..).unwrap_or("");
        let length = quoted_length(inside);
        let body = inside.get(..length).unwrap_or("");
        text.push_str(&unescaped(body.strip_suffix('"').unwrap_or(body)));
        rest = inside.get(length..).unwrap_or("");
    }
    text.push_str(rest);
    text
}

/// `\n`, `\t`, `\x41`, `\101` and so on, as a shell has them; any other escaped character stands for itself.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(escaped) = chars.next() else {
            out.push('\\');
            break;
        };
        let number = |first: u32, radix: u32, most: usize, chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut value = first;
            for _ in 0..most {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
                value = (value * radix + digit) & 0xff;
                chars.next();
            }
            char::from_u32(value).unwrap_or('?')
        };
        let meant = match escaped {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'E' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' if chars.peek().is_some_and(char::is_ascii_hexdigit) => number(0, 16, 2, &mut chars),
            '0'..='7' => number(escaped.to_digit(8).unwrap_or(0), 8, 2, &mut chars),
            other => other,
        };
        // No program could be given it.
        if meant != '\0' {
            out.push(meant);
        }
    }
    out
}

/// What a line holds before its comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content<'a> {
    pub(crate) text: &'a str,
    /// A comment begins right behind a character of a word.
    pub(crate) cuts_a_word: bool,
    /// Where a double quote opens that nothing closes.
    pub(crate) open_quote: Option<usize>,
}

/// The line without its comment.
pub(crate) fn content(line: &str) -> Content<'_> {
    let mut found = Content { text: line, cuts_a_word: false, open_quote: None };
    // Most lines.
    if !line.bytes().any(|b| matches!(b, b'#' | b'!' | b'"' | b'\'' | b'\\')) {
        return found;
    }
    let mut at = 0;
    let mut before = ' ';
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = line.get(at..).unwrap_or("");
        let starts_a_word = is_blank(before) || matches!(before, '{' | '}');
        let length = match c {
            '#' | '!' => {
                found.text = line.get(..at).unwrap_or("");
                found.cuts_a_word = !starts_a_word;
                break;
            }
            '"' => {
                let inside = rest.get(1..).unwrap_or("");
                let length = quoted_length(inside);
                if !inside.get(..length).unwrap_or("").ends_with('"') {
                    found.open_quote = Some(at);
                }
                1 + length
            }
            '\'' if starts_a_word => single_quoted(rest).unwrap_or(1),
            '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            c => c.len_utf8(),
        };
        before = line.get(at..at + length).and_then(|text| text.chars().next_back()).unwrap_or(' ');
        at += length;
    }
    found
}

/// Runs of blanks outside of quotes that hold one that is no ASCII blank.
pub(crate) fn odd_runs(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    if text.is_ascii() {
        return runs;
    }
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or("");
        if c == '"' {
            at += 1 + quoted_length(rest.get(1..).unwrap_or(""));
            continue;
        }
        if is_blank(c) {
            let length = rest.len() - rest.trim_start_matches(is_blank).len();
            if rest.get(..length).is_some_and(|run| run.contains(is_odd)) {
                runs.push(at..at + length);
            }
            at += length;
            continue;
        }
        at += c.len_utf8();
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut at = 0;
        let mut found = Vec::new();
        while let Some(piece) = next_piece(text, at) {
            at = match piece {
                Piece::Word { start, end, .. } => {
                    found.push(unquoted(&text[start..end]));
                    end
                }
                Piece::Open(start) | Piece::Close(start) => {
                    found.push(text[start..=start].to_owned());
                    start + 1
                }
            };
        }
        found
    }

    #[test]
    fn blanks_braces_and_quotes_make_words() {
        assert_eq!(words("TCP_CHECK{"), ["TCP_CHECK", "{"]);
        assert_eq!(words("path /a{2}"), ["path", "/a", "{", "2", "}"]);
        assert_eq!(words("a${X}b ${UNDEF} $"), ["a${X}b", "${UNDEF}", "$"]);
        assert_eq!(words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(words(r#""a \"b\" \x41\101\n" 'c d'"#), ["a \"b\" AA\n", "c d"]);
        assert_eq!(words("don't it's"), ["don't", "it's"]);
        assert_eq!(words("a\u{a0}b\u{3000}c"), ["a", "b", "c"]);
        assert_eq!(words(r"a\{b\ c"), [r"a\{b\ c"]);
    }

    #[test]
    fn a_comment_begins_anywhere_but_in_quotes() {
        assert_eq!(content("rr # x").text, "rr ");
        assert_eq!(content(r#"notify "/x #1" ! y"#).text, r#"notify "/x #1" "#);
        assert_eq!(content("notify '/x #1' ! y").text, "notify '/x #1' ");
        assert!(content("auth_pass pass!word").cuts_a_word);
        assert!(!content("{#x").cuts_a_word);
        assert_eq!(content("path \"a b").open_quote, Some(5));
    }

    #[test]
    fn a_reference_is_no_block() {
        assert_eq!(reference("${X}y"), Some(4));
        assert_eq!(reference("${_RANDOM 1 9}"), Some(14));
        assert_eq!(reference("${}"), None);
        assert_eq!(reference("${X"), None);
        assert_eq!(reference("${a.b}"), None);
    }
}

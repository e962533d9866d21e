//! What stands behind the `=`: numbers, yes and no, words, quoted texts and the remarks people put behind them.

use super::blank::{is_blank, skip, trim_end, word_length};
use crate::{codes, host::shown};
use evenkeel_source::{Diagnostic, Edit, FileId, Span, Spanned};

/// The largest number a directive can have.
const LARGEST: u64 = 0x7fff_ffff;

/// What ldirectord does when something stands behind a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strict {
    /// It ignores it.
    No,
    /// It refuses the file.
    Yes,
}

/// The part of a line behind its `=`.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    pub(crate) file: FileId,
    /// Where the line starts.
    pub(crate) line_start: usize,
    /// Where `text` starts.
    pub(crate) at: usize,
    /// To the end of the line, the line end excluded.
    pub(crate) text: &'a str,
    /// `#` starts a comment inside a virtual service only.
    pub(crate) in_section: bool,
}

impl<'a> Value<'a> {
    /// The value from byte `from` of its text on.
    pub(crate) fn from(self, from: usize) -> Value<'a> {
        Value { at: self.at + from, text: self.text.get(from..).unwrap_or(""), ..self }
    }

    /// Without blanks at the start.
    pub(crate) fn skip(self) -> Value<'a> {
        self.from(self.text.len() - skip(self.text).len())
    }

    /// The first `length` bytes as a span.
    pub(crate) fn span(self, length: usize) -> Span {
        Span::new(self.file, self.at, self.at + length)
    }

    /// Nothing is left but blanks and a comment.
    pub(crate) fn is_over(self) -> bool {
        let rest = self.skip().text;
        rest.is_empty() || rest.starts_with('#')
    }

    /// The first word and what follows it.
    pub(crate) fn word(self) -> (Spanned<&'a str>, Value<'a>) {
        let start = self.skip();
        let length = word_length(start.text);
        (Spanned::new(start.text.get(..length).unwrap_or(""), start.span(length)), start.from(length))
    }

    /// Words of ASCII up to a comment or a remark in another script, and what follows them.
    pub(crate) fn phrase(self) -> (Spanned<&'a str>, Value<'a>) {
        let start = self.skip();
        let end = start.text.find(|c: char| c == '#' || !(c.is_ascii() || is_blank(c))).unwrap_or(start.text.len());
        // A word that changes into another script half way is no remark but part of the value.
        let end = match start.text.get(end..).and_then(|rest| rest.chars().next()) {
            Some(c) if c != '#' && start.text.get(..end).is_some_and(|t| !t.is_empty() && !t.ends_with(is_blank)) => {
                start.text.get(end..).and_then(|rest| rest.find(is_blank)).map_or(start.text.len(), |more| end + more)
            }
            Some(_) | None => end,
        };
        let text = trim_end(start.text.get(..end).unwrap_or(""));
        (Spanned::new(text, start.span(text.len())), start.from(text.len()))
    }

    /// The first digits, as ldirectord finds them.
    pub(crate) fn number(self, least: u32, name: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<u32>> {
        let value = self.skip();
        let before = value.text.find(|c: char| c.is_ascii_digit() || c == '#').unwrap_or(value.text.len());
        let found = value.from(before);
        let digits = found.text.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            let (word, _) = self.word();
            let message = format!("`{}` is no number", shown(word.value));
            out.push(Diagnostic::error(codes::VALUE, word.span, message).labelled(format!("{name} needs a number")));
            return None;
        }
        let span = found.span(digits);
        let number = found.text.get(..digits).and_then(|t| t.parse::<u64>().ok()).filter(|n| *n <= LARGEST);
        let Some(number) = number.and_then(|n| u32::try_from(n).ok()) else {
            out.push(Diagnostic::error(codes::VALUE, span, format!("{name} is above {LARGEST}")));
            return None;
        };
        let rest = found.from(digits);
        let glued = rest.text.find(|c: char| is_blank(c) || c == '#').unwrap_or(rest.text.len());
        if value.text.get(..before).is_some_and(|t| t.ends_with('-')) {
            let whole = value.span(before + digits);
            let d = Diagnostic::error(codes::VALUE, whole, format!("{name} cannot be negative"));
            out.push(d.note(format!("ldirectord reads {number}")));
            return None;
        }
        if number < least {
            out.push(Diagnostic::error(codes::VALUE, span, format!("{name} cannot be {number}")));
            return None;
        }
        if before > 0 || glued > 0 {
            let whole = before + digits + glued;
            let text = shown(value.text.get(..whole).unwrap_or(""));
            out.push(
                Diagnostic::warning(codes::NUMBER, value.span(whole), format!("`{text}` is read as {number}"))
                    .note("ldirectord takes the first digits it finds and knows no units: a time is in seconds")
                    .replace(format!("write {number} if that is meant"), value.span(whole), number.to_string()),
            );
        }
        rest.from(glued).remark(Strict::No, out);
        Some(Spanned::new(number, span))
    }

    /// `yes` or `no`, exactly; near forms are read as meant.
    pub(crate) fn yes_no(self, name: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
        let (word, rest) = self.word();
        let value = match word.value {
            "yes" => true,
            "no" => false,
            other if other.eq_ignore_ascii_case("yes") || other.eq_ignore_ascii_case("no") => {
                let meant = other.to_ascii_lowercase();
                out.push(
                    Diagnostic::warning(codes::YES_NO, word.span, format!("`{other}` is read as `{meant}`"))
                        .note("ldirectord refuses the file at this line")
                        .replace(format!("write `{meant}`"), word.span, meant.as_str()),
                );
                meant == "yes"
            }
            other => {
                let message = format!("{name} is `yes` or `no`, not `{}`", shown(other));
                out.push(Diagnostic::error(codes::YES_NO, word.span, message));
                return None;
            }
        };
        let trailing = rest.text;
        if !trailing.is_empty() && trailing.chars().all(|c| c == ' ' || c == '\t') {
            out.push(
                Diagnostic::warning(
                    codes::YES_NO,
                    rest.span(trailing.len()),
                    format!("blanks behind `{}`", word.value),
                )
                .note("ldirectord compares the whole rest of the line and refuses the file at this line")
                .replace("delete them", rest.span(trailing.len()), ""),
            );
        } else {
            rest.remark(Strict::Yes, out);
        }
        Some(Spanned::new(value, word.span))
    }

    /// Anything but a comment behind a value is a remark without `#`.
    pub(crate) fn remark(self, strict: Strict, out: &mut Vec<Diagnostic>) {
        let rest = self.skip();
        let text = trim_end(rest.text);
        if text.is_empty() || (text.starts_with('#') && (self.in_section || strict == Strict::No)) {
            return;
        }
        let span = rest.span(text.len());
        let commented = text.starts_with('#');
        let message = if commented { "a comment behind a global value" } else { "a remark without `#`" };
        let d =
            Diagnostic::warning(codes::REMARK, span, message).labelled("not part of the value").note(match strict {
                Strict::No => "ldirectord ignores it here, but refuses the file for one behind other values",
                Strict::Yes => "ldirectord takes it for part of the value and refuses the file",
            });
        out.push(if self.in_section {
            d.edits("make it a comment", vec![Edit { span: rest.span(0), replacement: "# ".to_owned() }])
        } else {
            let above = Span::new(self.file, self.line_start, self.line_start);
            let mark = if commented { "" } else { "# " };
            d.edits(
                "make it a comment of its own",
                vec![
                    Edit { span: above, replacement: format!("{mark}{text}\n") },
                    Edit { span: Span::new(self.file, self.at, self.at + self.text.len()), replacement: String::new() },
                ],
            )
        });
    }
}

//! Texts in double quotes.

use super::{
    blank::{is_blank, is_quote},
    value::{Strict, Value},
};
use crate::{codes, host::shown};
use evenkeel_source::{Diagnostic, Edit, Spanned};

impl<'a> Value<'a> {
    /// Whether a quotation mark of any kind comes next.
    pub(crate) fn is_quoted(self) -> bool {
        self.skip().text.starts_with(is_quote)
    }

    /// A text in double quotes, and what follows it. `None` after an error.
    pub(crate) fn quoted(self, out: &mut Vec<Diagnostic>) -> Option<(Spanned<&'a str>, Value<'a>)> {
        let start = self.skip();
        let open = start.text.chars().next().filter(|c| is_quote(*c))?;
        let inside = start.from(open.len_utf8());
        let closes = |c: char| if open == '\'' { c == '\'' } else { is_quote(c) && c != '\'' };
        // ldirectord cuts the line at `#` first and then looks for the last quote.
        let before_hash = inside.text.split('#').next().unwrap_or("");
        let close = match before_hash.rfind(closes) {
            Some(close) => close,
            None => match inside.text.find(closes) {
                Some(close) => {
                    if self.in_section {
                        report_hash(inside, close, out);
                    }
                    close
                }
                None => {
                    report_open_end(start, open, inside, out);
                    return None;
                }
            },
        };
        let text = inside.text.get(..close).unwrap_or("");
        let closing = inside.text.get(close..).and_then(|t| t.chars().next()).unwrap_or('"');
        if open != '"' || closing != '"' {
            let (first, last) = (start.span(open.len_utf8()), inside.from(close).span(closing.len_utf8()));
            let edit = |span| Edit { span, replacement: "\"".to_owned() };
            out.push(
                Diagnostic::warning(codes::QUOTES, first.to(last), "these are no plain double quotes")
                    .note("ldirectord refuses the file at this line")
                    .edits("write plain double quotes", vec![edit(first), edit(last)]),
            );
        }
        Some((Spanned::new(text, inside.span(text.len())), inside.from(close + closing.len_utf8())))
    }

    /// A text that should stand in double quotes; without them it is read as meant.
    pub(crate) fn must_be_quoted(self, name: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<&'a str>> {
        if self.is_quoted() {
            let (text, rest) = self.quoted(out)?;
            rest.remark(Strict::No, out);
            return Some(text);
        }
        let (text, rest) = self.phrase();
        if text.value.is_empty() {
            let message = format!("`{}` cannot be read", shown(self.text));
            out.push(Diagnostic::error(codes::QUOTES, self.skip().span(self.skip().text.len()), message));
            return None;
        }
        out.push(
            Diagnostic::warning(codes::QUOTES, text.span, format!("{name} needs double quotes"))
                .note("ldirectord refuses the file at this line")
                .replace("write them", text.span, format!("\"{}\"", text.value)),
        );
        rest.remark(Strict::Yes, out);
        Some(text)
    }
}

fn report_hash(inside: Value<'_>, close: usize, out: &mut Vec<Diagnostic>) {
    let hash = inside.text.find('#').unwrap_or(0).min(close);
    out.push(
        Diagnostic::warning(codes::HASH, inside.from(hash).span(1), "`#` inside quotes is read as part of the text")
            .note("ldirectord cuts the line here and refuses what is left")
            .help("in a pattern, write `\\x23` for it"),
    );
}

fn report_open_end(start: Value<'_>, open: char, inside: Value<'_>, out: &mut Vec<Diagnostic>) {
    let text = inside.text.trim_end_matches(is_blank);
    let end = inside.from(text.len()).span(0);
    let d = Diagnostic::error(codes::QUOTES, start.span(open.len_utf8()), "the closing quote is missing");
    out.push(if open == '"' { d.suggest("close it at the end of the line", end, "\"") } else { d });
}

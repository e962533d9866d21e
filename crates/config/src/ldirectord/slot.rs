//! Values into their slots: each argument kind of the table read in its own way.

use super::{
    blank::{plain, trim_end},
    options::Options,
    table::{Argument, Directive},
    value::{Strict, Value},
};
use crate::codes;
use evenkeel_source::{Diagnostic, Span, Spanned};

/// Whether a text needs its quotes.
pub(crate) enum Quoted {
    Must,
    Maybe,
    /// Not, and it may be several words.
    Phrase,
}

impl Quoted {
    /// The text, what follows it told when it is a remark.
    pub(crate) fn read<'a>(self, name: &str, value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<Spanned<&'a str>> {
        let (text, rest) = match self {
            Quoted::Must => return value.must_be_quoted(name, out),
            Quoted::Maybe | Quoted::Phrase if value.is_quoted() => value.quoted(out)?,
            Quoted::Maybe => value.word(),
            Quoted::Phrase => value.phrase(),
        };
        rest.remark(Strict::Yes, out);
        Some(text)
    }
}

/// Reads a value as its argument says and puts it into its slot; a slot that is taken is told.
pub(crate) fn read_option(
    directive: &Directive,
    value: Value<'_>,
    name: Span,
    options: &mut Options,
    out: &mut Vec<Diagnostic>,
) {
    let text = |quoted: Quoted, out: &mut Vec<Diagnostic>| {
        let text = quoted.read(directive.name, value, out)?;
        if text.value.is_empty() {
            let message = format!("`{}` has an empty value", directive.name);
            out.push(Diagnostic::error(codes::NO_VALUE, name, message).help("delete the line"));
            return None;
        }
        let owned = if value.is_quoted() { text.value.to_owned() } else { plain(text.value) };
        Some(Spanned::new(owned, text.span))
    };
    match directive.argument {
        Argument::Section | Argument::RealServer | Argument::File => {}
        Argument::Number { least, slot } => {
            put(value.number(least, directive.name, out), slot(options), directive, out)
        }
        Argument::YesNo(slot) => put(value.yes_no(directive.name, out), slot(options), directive, out),
        Argument::Word(slot) => {
            let (word, rest) = value.word();
            rest.remark(Strict::No, out);
            put(Some(Spanned::new(word.value.to_owned(), word.span)), slot(options), directive, out);
        }
        Argument::Quoted(slot) => put(text(Quoted::Must, out), slot(options), directive, out),
        Argument::QuotedOrWord(slot) => put(text(Quoted::Maybe, out), slot(options), directive, out),
        Argument::Command(slot) | Argument::Phrase(slot) => {
            put(text(Quoted::Phrase, out), slot(options), directive, out);
        }
        Argument::Fallback(slot) => put(fallback(value, out), slot(options), directive, out),
        Argument::Text(slot) => put(Some(rest_of_line(value)), slot(options), directive, out),
    }
}

fn put<T>(value: Option<Spanned<T>>, slot: &mut Option<Spanned<T>>, d: &Directive, out: &mut Vec<Diagnostic>) {
    let Some(value) = value else { return };
    if let Some(first) = slot {
        out.push(
            Diagnostic::warning(codes::REPEATED, value.span, format!("`{}` is there twice", d.name))
                .labelled("this one counts")
                .label(first.span, "this one does not"),
        );
    }
    *slot = Some(value);
}

/// `address[:port] [method]`, the blanks between them as one.
fn fallback(value: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
    let (target, rest) = value.word();
    let (method, after) = rest.word();
    let is_method = !method.value.is_empty() && method.value.bytes().all(|b| b.is_ascii_alphabetic());
    if !is_method {
        rest.remark(Strict::Yes, out);
        return Some(Spanned::new(target.value.to_owned(), target.span));
    }
    after.remark(Strict::Yes, out);
    Some(Spanned::new(format!("{} {}", target.value, method.value), target.span.to(method.span)))
}

fn rest_of_line(value: Value<'_>) -> Spanned<String> {
    let value = value.skip();
    let text = if value.in_section { value.text.split('#').next().unwrap_or("") } else { value.text };
    let text = trim_end(text);
    Spanned::new(plain(text), value.span(text.len()))
}

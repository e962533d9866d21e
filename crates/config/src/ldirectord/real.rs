//! The syntax of a `real=` line: `host[->host][:port] gate|masq|ipip [weight] ["request","receive"] [l:N] [u:N]`.

use super::{
    blank::is_blank,
    options::RealLine,
    value::{Strict, Value},
};
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_model::Thresholds;
use evenkeel_source::{Diagnostic, Span, Spanned};

const METHODS: [&str; 3] = ["gate", "masq", "ipip"];

/// Reads what stands behind `real=`.
pub(crate) fn real_line<'a>(
    six: bool,
    word: Span,
    value: Value<'a>,
    out: &mut Vec<Diagnostic>,
) -> Option<RealLine<'a>> {
    let (target, rest) = value.word();
    if target.value.is_empty() || target.value.starts_with('#') {
        out.push(Diagnostic::error(codes::NO_VALUE, word, "a real server without an address"));
        return None;
    }
    let (method, rest) = method(target.span, rest, out)?;
    let mut line = RealLine {
        six,
        word,
        target,
        method,
        weight: None,
        request: None,
        receive: None,
        thresholds: Thresholds::default(),
    };
    let mut rest = rest;
    while !rest.is_over() {
        if rest.is_quoted() && line.request.is_none() {
            rest = request_and_receive(&mut line, rest, out)?;
            continue;
        }
        let (next, after) = rest.word();
        if let Some(digits) = leading_digits(next.value).filter(|_| line.weight.is_none()) {
            let (weight, tail) = weight(rest.skip(), digits, next, out)?;
            line.weight = Some(weight);
            rest = tail;
        } else if let Some((limit, number)) = threshold(next.value) {
            match number.parse::<u32>() {
                Ok(number) if limit == Limit::Lower => line.thresholds.lower = number,
                Ok(number) => line.thresholds.upper = number,
                Err(_) => {
                    let message = format!("`{}` is no connection threshold", shown(next.value));
                    out.push(
                        Diagnostic::error(codes::THRESHOLDS, next.span, message)
                            .labelled("a number from 0 to 4294967295"),
                    );
                }
            }
            rest = after;
        } else if next.value.starts_with('-') && next.value.get(1..).is_some_and(|t| leading_digits(t).is_some()) {
            out.push(Diagnostic::error(codes::WEIGHT, next.span, format!("weight {} is below 0", shown(next.value))));
            return None;
        } else {
            rest.remark(Strict::Yes, out);
            break;
        }
    }
    let Thresholds { upper, lower } = line.thresholds;
    if lower > upper {
        let message = format!("the lower threshold {lower} is above the upper one, {upper}");
        let d = Diagnostic::error(codes::THRESHOLDS, target.span, message);
        out.push(d.note("IPVS refuses the real server, and ldirectord then leaves it out"));
    }
    Some(line)
}

fn method<'a>(target: Span, rest: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<(Spanned<&'a str>, Value<'a>)> {
    let (word, after) = rest.word();
    if METHODS.contains(&word.value) {
        return Some((word, after));
    }
    let missing = word.value.is_empty() || word.value.starts_with(|c: char| !c.is_ascii_alphabetic());
    if let Some(meant) = nearest(word.value, METHODS).filter(|_| !missing) {
        out.push(
            Diagnostic::warning(codes::NEAR_MISS, word.span, format!("`{}` is read as `{meant}`", shown(word.value)))
                .note("ldirectord refuses the file at this line")
                .replace(format!("write `{meant}`"), word.span, meant),
        );
        return Some((Spanned::new(meant, word.span), after));
    }
    let after_target = Span { start: target.end, ..target };
    out.push(if missing {
        Diagnostic::error(codes::VALUE, target, "the forwarding method is missing")
            .note("ldirectord refuses the file at this line")
            .suggest("direct routing is `gate`", after_target, " gate")
    } else {
        let message = format!("`{}` is no forwarding method", shown(word.value));
        Diagnostic::error(codes::VALUE, word.span, message).help("write `gate` for direct routing")
    });
    None
}

/// The number of digits `text` starts with, if any.
fn leading_digits(text: &str) -> Option<usize> {
    Some(text.bytes().take_while(u8::is_ascii_digit).count()).filter(|digits| *digits > 0)
}

fn weight<'a>(
    value: Value<'a>,
    digits: usize,
    word: Spanned<&str>,
    out: &mut Vec<Diagnostic>,
) -> Option<(Spanned<u32>, Value<'a>)> {
    let text = value.text.get(..digits).unwrap_or("");
    let glued = word.value.get(digits..).unwrap_or("");
    let weight = text.parse::<u32>().ok().filter(|n| *n <= evenkeel_model::Weight::MAX.get());
    match weight {
        Some(weight) if !glued.starts_with(|c: char| c.is_ascii() && c != '#') => {
            Some((Spanned::new(weight, value.span(digits)), value.from(digits)))
        }
        Some(_) | None => {
            let message = format!("`{}` is no weight", shown(word.value));
            out.push(Diagnostic::error(codes::WEIGHT, word.span, message).labelled("a number from 0 to 2147483647"));
            None
        }
    }
}

#[derive(PartialEq, Eq)]
enum Limit {
    Lower,
    Upper,
}

/// `l:N` and `u:N`.
fn threshold(word: &str) -> Option<(Limit, &str)> {
    let (which, number) = word.split_once(':')?;
    let limit = match which {
        "l" => Limit::Lower,
        "u" => Limit::Upper,
        _ => return None,
    };
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some((limit, number))
}

/// `"request", "receive"`; the second may be missing.
fn request_and_receive<'a>(line: &mut RealLine<'_>, value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<Value<'a>> {
    let owned = |text: Spanned<&str>| Spanned::new(text.value.to_owned(), text.span);
    let (request, rest) = first_quoted(value, out)?;
    line.request = Some(owned(request));
    let comma = rest.skip();
    let second = match comma.text.starts_with(',') {
        true => comma.from(1),
        false if rest.is_quoted() => rest,
        false => {
            out.push(
                Diagnostic::error(codes::MISSING_KEY, request.span, "a request without a pattern for its answer")
                    .note("ldirectord takes both or none and refuses the file at this line")
                    .help("write `\"request\",\"pattern\"`, or the request in a line of its own"),
            );
            return None;
        }
    };
    if !second.is_quoted() {
        let span = comma.span(1);
        out.push(Diagnostic::error(codes::QUOTES, span, "a pattern in double quotes is missing behind the comma"));
        return None;
    }
    let (receive, rest) = first_quoted(second, out)?;
    line.receive = Some(owned(receive));
    Some(rest)
}

/// A quoted text that ends at a quote before a comma, a blank or the end: two of them stand on one line here, so the
/// last quote of the line is not this text's.
fn first_quoted<'a>(value: Value<'a>, out: &mut Vec<Diagnostic>) -> Option<(Spanned<&'a str>, Value<'a>)> {
    let start = value.skip();
    let inside = start.text.get(1..).filter(|_| start.text.starts_with('"'));
    let close = inside.and_then(|text| {
        text.match_indices('"').map(|(at, _)| at).find(|at| {
            let after = text.get(at + 1..).unwrap_or("");
            after.is_empty() || after.starts_with(|c: char| c == ',' || c == '#' || is_blank(c))
        })
    });
    match close {
        Some(close) => {
            let whole = Value { text: start.text.get(..close + 2).unwrap_or(""), ..start };
            let (text, _) = whole.quoted(out)?;
            Some((text, start.from(close + 2)))
        }
        None => start.quoted(out),
    }
}

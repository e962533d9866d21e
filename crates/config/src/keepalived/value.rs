//! What stands behind a keyword: whether it can be, and what it means.

use super::{
    table::{Argument, Keyword, SECOND},
    tree::Node,
    word::Word,
};
use crate::{codes, host::shown, inet, nearest::nearest};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{net::IpAddr, time::Duration};

/// The longest name of an interface.
const LONGEST_INTERFACE: usize = 15;

/// Says what is wrong with the words of a line. `false`: keepalived ignores it, and the default counts.
/// A word that is read as another becomes that.
pub(crate) fn check(keyword: &Keyword, at: Span, words: &mut [Word], out: &mut Vec<Diagnostic>) -> bool {
    let (least, most) = arity(keyword.argument);
    if words.len() < least {
        let what = match keyword.argument {
            Argument::Named(_) | Argument::NamedList(_) => "name",
            Argument::Server(_) | Argument::Head => "address",
            _ => "value",
        };
        let message = format!("`{}` has no {what}", keyword.name);
        out.push(match what {
            "value" => ignored(Diagnostic::warning(codes::NO_VALUE, at, message)),
            _ => Diagnostic::error(codes::NO_VALUE, at, message),
        });
        return false;
    }
    if let (Some(first), Some(last)) = (words.get(most), words.last()) {
        let text: Vec<&str> = words.iter().skip(most).take(4).map(|word| word.text.as_str()).collect();
        let message = format!("`{}` is too much behind `{}`", shown(&text.join(" ")), keyword.name);
        let span = if first.span.file == last.span.file { first.span.to(last.span) } else { first.span };
        out.push(Diagnostic::warning(codes::EXTRA_WORDS, span, message).note("keepalived does not look at it"));
    }
    if let (Argument::OneOf(known), Some(word)) = (keyword.argument, words.first_mut()) {
        return one_of(keyword, word, known, out);
    }
    let Some(word) = words.first() else { return true };
    match keyword.argument {
        Argument::Number(least, most) => in_range(keyword, word, number(&word.text), (least, most), out),
        Argument::Decimal(least, most) => in_range(keyword, word, micros(&word.text), (least, most), out),
        Argument::Weight(most) => {
            if let Some(wrong) = words.get(1).filter(|word| !matches!(word.text.as_str(), "reverse" | "noreverse")) {
                not_one_of(keyword, wrong, &["reverse", "noreverse"], out);
            }
            in_range(keyword, word, number(&word.text), (-most, most), out)
        }
        Argument::Bool => boolean(&word.text).is_some() || not_one_of(keyword, word, &["on", "off"], out),
        Argument::Address => {
            let fits = address(&word.text).is_some();
            if !fits {
                let message = format!("`{}` is no address", shown(&word.text));
                out.push(ignored(Diagnostic::warning(codes::ADDRESS, word.span, message)));
            }
            fits
        }
        Argument::Interface => {
            is_interface(&word.text) || {
                let message = format!("`{}` is no name of an interface", shown(&word.text));
                out.push(ignored(Diagnostic::warning(codes::VALUE, word.span, message)));
                false
            }
        }
        _ => true,
    }
}

/// How many words there are at least and at most.
fn arity(argument: Argument) -> (usize, usize) {
    match argument {
        Argument::None | Argument::Block(_) | Argument::List(_) => (0, 0),
        Argument::Bool => (0, 1),
        Argument::Words(least, most) => (least, most),
        Argument::Text
        | Argument::Number(..)
        | Argument::Decimal(..)
        | Argument::Address
        | Argument::Interface
        | Argument::OneOf(_)
        | Argument::Named(_)
        | Argument::NamedList(_) => (1, 1),
        Argument::Server(_) | Argument::Head | Argument::User => (1, 2),
        Argument::Weight(_) => (1, 2),
        // An unquoted script may have arguments, which keepalived takes for a user.
        Argument::Script => (1, 64),
    }
}

fn ignored(d: Diagnostic) -> Diagnostic {
    d.note("keepalived ignores the line and goes on with the default")
}

fn in_range(
    keyword: &Keyword,
    word: &Word,
    number: Option<i64>,
    (least, most): (i64, i64),
    out: &mut Vec<Diagnostic>,
) -> bool {
    let written = shown(&word.text);
    let Some(number) = number else {
        let d = Diagnostic::warning(codes::VALUE, word.span, format!("`{written}` is no number"));
        let d = d.labelled(format!("{} needs a number", keyword.name));
        let has_unit = word.text.starts_with(|c: char| c.is_ascii_digit()) && word.text.ends_with(['s', 'm', 'h']);
        out.push(ignored(if has_unit { d.help("times have no unit here: they are in seconds") } else { d }));
        return false;
    };
    if (least..=most).contains(&number) {
        return true;
    }
    let text = |number: i64| match keyword.argument {
        Argument::Decimal(..) => decimal_text(number),
        _ => number.to_string(),
    };
    let message = match most {
        i64::MAX => format!("{} {written} is below {}", keyword.name, text(least)),
        _ => format!("{} {written} is outside {}..{}", keyword.name, text(least), text(most)),
    };
    out.push(ignored(Diagnostic::warning(codes::OUT_OF_RANGE, word.span, message)));
    false
}

/// Microseconds in seconds.
pub(crate) fn decimal_text(micros: i64) -> String {
    let (whole, rest) = (micros / SECOND, (micros % SECOND).unsigned_abs());
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:06}").trim_end_matches('0').to_owned() }
}

fn one_of(keyword: &Keyword, word: &mut Word, known: &[&'static str], out: &mut Vec<Diagnostic>) -> bool {
    if known.contains(&word.text.as_str()) {
        return true;
    }
    // keepalived takes `tcp`, and no other word in another case.
    if keyword.name == "protocol" && known.iter().any(|known| known.eq_ignore_ascii_case(&word.text)) {
        return true;
    }
    if let Some(meant) = meant(&word.text, known) {
        let code = if meant.eq_ignore_ascii_case(&word.text) { codes::CASE } else { codes::NEAR_MISS };
        let message = format!("`{}` is read as `{meant}`", shown(&word.text));
        let d = Diagnostic::warning(code, word.span, message);
        let d = d.note("keepalived does not know the word and goes on with the default");
        out.push(word.replace(d, meant));
        meant.clone_into(&mut word.text);
        return true;
    }
    not_one_of(keyword, word, known, out)
}

fn not_one_of(keyword: &Keyword, word: &Word, known: &[&str], out: &mut Vec<Diagnostic>) -> bool {
    let message = format!("{} cannot be `{}`", keyword.name, shown(&word.text));
    let d = Diagnostic::warning(codes::VALUE, word.span, message).help(format!("one of {}", known.join(", ")));
    out.push(ignored(d));
    false
}

/// The word of `known` that is meant, in whatever case or a letter away.
pub(crate) fn meant<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    if let Some(same) = known.iter().find(|known| known.eq_ignore_ascii_case(text)) {
        return Some(same);
    }
    let lower: Vec<String> = known.iter().map(|known| known.to_lowercase()).collect();
    let near = nearest(text, lower.iter().map(String::as_str)).filter(|near| near.len() > 2)?;
    lower.iter().position(|known| known == near).and_then(|at| known.get(at).copied())
}

/// A whole number, perhaps negative.
pub(crate) fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A decimal number in millionths.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && part.is_empty()) || !(whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit())) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: String = part.chars().chain(std::iter::repeat('0')).take(6).collect();
    let value = whole.checked_mul(SECOND)?.checked_add(part.parse().ok()?)?;
    Some(if negative { -value } else { value })
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

/// An address as inet_pton(3) takes it: no old forms.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    match inet::address(text)? {
        inet::Written::Plain(address) => Some(address),
        inet::Written::Short(_) | inet::Written::OtherBase(_) => None,
    }
}

pub(crate) fn is_interface(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_INTERFACE && !text.contains('/') && !matches!(text, "." | "..")
}

/// What a block says. Of what stands twice the last counts.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a>(pub(crate) &'a [Node]);

impl<'a> Block<'a> {
    pub(crate) fn node(self, name: &str) -> Option<&'a Node> {
        self.0.iter().rev().find(|node| node.keyword.name == name)
    }

    pub(crate) fn nodes(self, name: &'static str) -> impl Iterator<Item = &'a Node> {
        self.0.iter().filter(move |node| node.keyword.name == name)
    }

    pub(crate) fn word(self, name: &str) -> Option<&'a Word> {
        self.node(name)?.args.first()
    }

    pub(crate) fn text(self, name: &str) -> Option<Spanned<String>> {
        self.word(name).map(|word| Spanned::new(word.text.clone(), word.span))
    }

    pub(crate) fn number<T: TryFrom<i64>>(self, name: &str) -> Option<Spanned<T>> {
        let word = self.word(name)?;
        Some(Spanned::new(T::try_from(number(&word.text)?).ok()?, word.span))
    }

    /// Seconds with a fraction.
    pub(crate) fn time(self, name: &str) -> Option<Spanned<Duration>> {
        let word = self.word(name)?;
        let micros = u64::try_from(micros(&word.text)?).ok()?;
        Some(Spanned::new(Duration::from_micros(micros), word.span))
    }

    /// A switch; the word alone turns it on.
    pub(crate) fn switch(self, name: &str) -> Option<Spanned<bool>> {
        let node = self.node(name)?;
        let value = node.args.first().is_none_or(|word| boolean(&word.text).unwrap_or(true));
        Some(Spanned::new(value, node.span))
    }

    pub(crate) fn is_there(self, name: &str) -> bool {
        self.node(name).is_some()
    }

    pub(crate) fn address(self, name: &str) -> Option<Spanned<IpAddr>> {
        let word = self.word(name)?;
        Some(Spanned::new(address(&word.text)?, word.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_decimals_are_exact() {
        assert_eq!(number("-12"), Some(-12));
        assert_eq!(number("1s"), None);
        assert_eq!(number(""), None);
        assert_eq!(micros("0.5"), Some(500_000));
        assert_eq!(micros("1"), Some(1_000_000));
        assert_eq!(micros(".000001"), Some(1));
        assert_eq!(micros("1."), Some(1_000_000));
        assert_eq!(micros("-0.5"), Some(-500_000));
        assert_eq!(micros("."), None);
        assert_eq!(micros("9999999999999999"), None);
        assert_eq!(decimal_text(10_000), "0.01");
        assert_eq!(decimal_text(255_000_000), "255");
    }
}

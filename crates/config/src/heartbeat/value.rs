//! What stands behind a directive of ha.cf: times, numbers, yes and no, paths.

use super::words::within;
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{ops::RangeInclusive, time::Duration};

/// What heartbeat does with a wrong value.
pub(super) const REFUSED: &str = "heartbeat refuses to start, with exit status 6";

/// No time of an ha.cf is longer.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// What the letters behind a number mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    /// Seconds, in a way heartbeat does not know.
    OurSeconds,
    /// Minutes, hours, days.
    Longer(u32),
}

fn unit(text: &str) -> Option<Unit> {
    let text = text.to_ascii_lowercase();
    Some(match text.as_str() {
        "" => Unit::Seconds,
        "us" | "usec" => Unit::Microseconds,
        // Heartbeat looks at the first two letters only.
        _ if text.starts_with("ms") => Unit::Milliseconds,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::OurSeconds,
        "m" | "min" | "minute" | "minutes" => Unit::Longer(60),
        "h" | "hour" | "hours" => Unit::Longer(3600),
        "d" | "day" | "days" => Unit::Longer(86_400),
        _ => return None,
    })
}

/// The words of each time: a number, or a number and the unit behind it, as in `keepalive 100 ms`.
pub(super) fn times<'w, 'a>(words: &'w [Spanned<&'a str>]) -> Vec<&'w [Spanned<&'a str>]> {
    let is_number = |word: &Spanned<&str>| word.value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_unit = |word: &Spanned<&str>| !word.value.is_empty() && unit(word.value).is_some();
    words.chunk_by(|number, next| is_number(number) && is_unit(next)).collect()
}

/// A time: a number, perhaps with a fraction, in seconds or with a unit. It is rounded to milliseconds.
pub(super) fn time(name: &str, words: &[Spanned<&str>], out: &mut Vec<Diagnostic>) -> Option<Spanned<Duration>> {
    let first = words.first()?;
    let digits = first.value.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, letters) = first.value.split_at_checked(digits)?;
    let apart = words.get(1);
    let letters = apart.map_or(letters, |word| word.value);
    let span =
        apart.filter(|word| word.span.start >= first.span.start).map_or(first.span, |word| first.span.to(word.span));
    let (Some(micros), Some(unit)) = (micros(number), unit(letters)) else {
        let d = Diagnostic::error(codes::TIME, first.span, format!("`{}` is no time", shown(first.value)));
        out.push(d.note(REFUSED).help("write seconds, or a number with ms or us behind it: 2, 1.5, 500ms"));
        return None;
    };
    let (factor, divisor) = match unit {
        Unit::Seconds | Unit::OurSeconds => (1, 1),
        Unit::Milliseconds => (1, 1000),
        Unit::Microseconds => (1, 1_000_000),
        Unit::Longer(factor) => (factor, 1),
    };
    // As heartbeat counts: whole milliseconds.
    let millis = (micros * u128::from(factor) + 500 * divisor) / (1000 * divisor);
    let duration = u64::try_from(millis).ok().map(Duration::from_millis).filter(|d| *d <= LONGEST);
    let Some(duration) = duration else {
        out.push(Diagnostic::error(codes::TIME, span, format!("{name} is longer than a year")));
        return None;
    };
    if duration.is_zero() {
        let d = Diagnostic::error(codes::TIME, span, format!("{name} cannot be 0"));
        out.push(d.note(REFUSED));
        return None;
    }
    told(name, span, unit, apart.is_some(), duration, out);
    Some(Spanned::new(duration, span))
}

/// Ways to write a time that heartbeat refuses.
fn told(name: &str, span: Span, unit: Unit, apart: bool, duration: Duration, out: &mut Vec<Diagnostic>) {
    let is_known = matches!(unit, Unit::Seconds | Unit::Milliseconds | Unit::Microseconds);
    if is_known && !apart {
        return;
    }
    let text = time_text(duration);
    let message = if is_known {
        "a blank before the unit".to_owned()
    } else {
        format!("{name} has a unit heartbeat does not know")
    };
    let d = Diagnostic::warning(codes::TIME_UNIT, span, message).note(REFUSED);
    out.push(d.replace(format!("write {text}"), span, text));
}

/// Seconds where they are whole, as an ha.cf has them.
pub(super) fn time_text(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 { duration.as_secs().to_string() } else { format!("{}ms", duration.as_millis()) }
}

/// Millionths of the unit. `None` for what is no number.
fn micros(text: &str) -> Option<u128> {
    const DIGITS: usize = 12;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.len() <= DIGITS && part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some(whole * 1_000_000 + digits.parse::<u128>().ok()?)
}

/// A number in a range.
pub(super) fn number(
    name: &str,
    word: Spanned<&str>,
    range: RangeInclusive<u32>,
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<u32>> {
    let read = word.value.parse::<u32>().ok().filter(|_| word.value.bytes().all(|b| b.is_ascii_digit()));
    match read.filter(|number| range.contains(number)) {
        Some(number) => Some(Spanned::new(number, word.span)),
        None => {
            let message = format!("{name} cannot be `{}`", shown(word.value));
            let d = Diagnostic::error(codes::VALUE, word.span, message).note(REFUSED);
            out.push(d.help(format!("write a number from {} to {}", range.start(), range.end())));
            None
        }
    }
}

/// What a word of yes or no means.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// `yes`, `no` and their like, in any case.
pub(super) fn yes_no(name: &str, word: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Spanned<bool>> {
    match truth(word.value) {
        Some(value) => Some(Spanned::new(value, word.span)),
        None => {
            let message = format!("{name} is on or off, not `{}`", shown(word.value));
            let d = Diagnostic::error(codes::VALUE, word.span, message).note(REFUSED);
            out.push(d.help("write on, yes, true, y or 1, or off, no, false, n or 0"));
            None
        }
    }
}

/// One of a few words. Where `on` and `off` are among them, heartbeat takes any word of yes or no, in any case.
pub(super) fn choice(
    name: &str,
    word: Spanned<&str>,
    words: &'static [&'static str],
    out: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let lower = word.value.to_ascii_lowercase();
    let truth = truth(&lower).map(|yes| if yes { "on" } else { "off" });
    let meant = words.iter().find(|known| **known == lower || Some(**known) == truth);
    if let Some(known) = meant {
        let in_any_case = words.contains(&"on") || words.contains(&"none");
        if lower != word.value && !in_any_case {
            let message = format!("`{}` is read as `{known}`", word.value);
            let d = Diagnostic::warning(codes::CASE, word.span, message).note(REFUSED);
            out.push(d.replace(format!("write `{known}`"), word.span, *known));
        }
        return Some(Spanned::new((*known).to_owned(), word.span));
    }
    let d =
        Diagnostic::error(codes::VALUE, word.span, format!("{name} cannot be `{}`", shown(word.value))).note(REFUSED);
    out.push(match nearest(word.value, words.iter().copied()) {
        Some(meant) => d.suggest(format!("did you mean `{meant}`?"), word.span, meant),
        None => d.help(format!("write one of {}", words.join(", "))),
    });
    None
}

/// An absolute path.
pub(super) fn path(name: &str, word: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Spanned<String>> {
    if word.value.starts_with('/') {
        return Some(Spanned::new(word.value.to_owned(), word.span));
    }
    let d = Diagnostic::warning(codes::VALUE, word.span, format!("{name} is no absolute path, and left out"));
    let d = d.note("heartbeat looks for it in whatever directory it is");
    out.push(match name {
        _ if word.value.contains('/') => d.suggest("begin with a slash", within(word.span, 0, 0), "/"),
        "watchdog" => d.help("write watchdog /dev/watchdog"),
        "logfile" | "debugfile" => {
            d.help(format!("write {name} /var/log/ha-log; what goes to syslog says logfacility"))
        }
        _ => d.help("write a path that begins with a slash"),
    });
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::words::{placed, split};
    use evenkeel_source::Sources;

    fn read(text: &str) -> (Option<Duration>, usize) {
        let mut sources = Sources::new();
        let file = sources.add("ha.cf", text.to_owned());
        let mut out = Vec::new();
        let words = split(placed(file, 0, text), |c| c == ' ');
        let [words] = times(&words)[..] else { panic!("one time: {text}") };
        let time = time("keepalive", words, &mut out).map(|time| time.value);
        (time, out.len())
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        for (text, millis) in [
            ("2", 2000),
            ("1.5", 1500),
            ("500ms", 500),
            ("500MS", 500),
            ("500msec", 500),
            ("1500us", 2),
            ("2000usec", 2),
            (".25", 250),
            ("0.0005", 1),
        ] {
            assert_eq!(read(text), (Some(Duration::from_millis(millis)), 0), "{text}");
        }
    }

    #[test]
    fn what_heartbeat_refuses_is_read_where_it_is_plain_and_told() {
        assert_eq!(read("1s"), (Some(Duration::from_secs(1)), 1));
        assert_eq!(read("2sec"), (Some(Duration::from_secs(2)), 1));
        assert_eq!(read("100 ms"), (Some(Duration::from_millis(100)), 1));
        assert_eq!(read("1 min"), (Some(Duration::from_secs(60)), 1));
        for wrong in ["x", "1.2.3", "-1", "1x", ".", "0", "0.0004", "99999999999", "9999999999999999"] {
            assert_eq!(read(wrong), (None, 1), "{wrong}");
        }
    }

    #[test]
    fn yes_and_no_have_many_names() {
        assert_eq!(["On", "TRUE", "y", "1", "yes"].map(truth), [Some(true); 5]);
        assert_eq!(["oFF", "false", "N", "0", "no"].map(truth), [Some(false); 5]);
        assert_eq!(truth("maybe"), None);
    }
}

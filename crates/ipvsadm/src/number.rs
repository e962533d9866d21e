//! Numbers as ipvsadm reads them: decimal, blanks and a sign before them, nothing after them.

use std::net::Ipv4Addr;

/// A number within these bounds.
pub(crate) fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let value = text.trim_start_matches(is_blank);
    let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    value.parse::<i64>().ok().filter(|n| (least..=most).contains(n))
}

/// The same for what fits 32 bits without a sign.
pub(crate) fn unsigned(text: &str, least: u32, most: u32) -> Option<u32> {
    number(text, least.into(), most.into()).and_then(|n| u32::try_from(n).ok())
}

/// The digits a text begins with, as `atoi` reads them; 0 where there are none.
pub(crate) fn leading(text: &str) -> i64 {
    let text = text.trim_start_matches(is_blank);
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    text.get(..sign + digits).and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// An IPv4 address as `inet_aton` reads it: one to four parts, decimal, octal or hexadecimal; what follows a blank
/// does not count.
pub(crate) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let text = text.split(is_blank).next().unwrap_or_default();
    let parts: Vec<u64> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, before) = parts.split_last()?;
    if before.len() > 3 || before.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - u32::try_from(before.len()).ok()?);
    if *last >= 1 << room {
        return None;
    }
    let high = before.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

fn part(text: &str) -> Option<u64> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.starts_with('+') {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_whole() {
        for (text, n) in [("5", 5), (" 5", 5), ("+5", 5), ("010", 10), ("0", 0)] {
            assert_eq!(number(text, 0, 10), Some(n), "{text:?}");
        }
        for text in ["", "5 ", "0x5", "1.5", "-1", "11", "99999999999999999999999", "+", "++1", "abc"] {
            assert_eq!(number(text, 0, 10), None, "{text:?}");
        }
    }

    #[test]
    fn leading_digits_count() {
        for (text, n) in [("64x", 64), ("abc", 0), (" -3", -3), ("", 0), ("255.255.255.0", 255)] {
            assert_eq!(leading(text), n, "{text:?}");
        }
    }

    #[test]
    fn addresses_have_the_old_forms() {
        for (text, address) in [
            ("10.9.0.1", [10, 9, 0, 1]),
            ("10.9", [10, 0, 0, 9]),
            ("10.9.1", [10, 9, 0, 1]),
            ("0x0a090001", [10, 9, 0, 1]),
            ("012.9.0.1", [10, 9, 0, 1]),
            ("168361985", [10, 9, 0, 1]),
            ("10.9.0.1 x", [10, 9, 0, 1]),
            ("24", [0, 0, 0, 24]),
        ] {
            assert_eq!(ipv4(text), Some(Ipv4Addr::from(address)), "{text}");
        }
        for text in ["", "999.9.0.1", "1.2.3.4.5", "4294967296", "1..2", "localhost", "08", "10.9.0.256", "+1"] {
            assert_eq!(ipv4(text), None, "{text:?}");
        }
    }
}

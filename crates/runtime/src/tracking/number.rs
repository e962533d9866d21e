//! The number in a tracked file, as keepalived reads it: like C's `strtol` with base 0.

/// The number `bytes` begin with; 0 where they begin with none, `None` where it does not fit 32 bits.
pub(super) fn read(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let bytes = bytes.get(start..).unwrap_or_default();
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, digits) = match bytes {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (16, bytes.get(2..).unwrap_or_default()),
        [b'0', rest @ ..] => (8, rest),
        rest => (10, rest),
    };
    let mut number: i64 = 0;
    for digit in digits.iter().map_while(|byte| char::from(*byte).to_digit(base)) {
        number = number.checked_mul(base.into())?.checked_add(digit.into())?;
    }
    let number = if negative { -number } else { number };
    i32::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_keepalived_reads_it() {
        let table: [(&str, Option<i64>); 16] = [
            ("5\n", Some(5)),
            ("  \t-20 and more", Some(-20)),
            ("+7", Some(7)),
            ("", Some(0)),
            ("down", Some(0)),
            ("- 5", Some(0)),
            ("0x1f", Some(31)),
            ("0x", Some(0)),
            ("0xg", Some(0)),
            ("010", Some(8)),
            ("09", Some(0)),
            ("12abc", Some(12)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("-2147483648", Some(-2_147_483_648)),
            ("99999999999999999999999", None),
        ];
        for (text, number) in table {
            assert_eq!(read(text.as_bytes()), number, "{text:?}");
        }
    }
}

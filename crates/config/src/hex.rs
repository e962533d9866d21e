//! Bytes written as hexadecimal digits, as keepalived reads them: `Ab12f 3 456` is AB 12 0F 03 45 06.

/// The bytes of a text.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let masked = masked(text)?;
    masked.into_iter().map(|(byte, mask)| (mask == 0).then_some(byte)).collect()
}

/// The same, each with a mask of the bits that do not count: those of a digit `x`. `None` for other characters and for
/// nothing at all.
pub(crate) fn masked(text: &str) -> Option<Vec<(u8, u8)>> {
    let digit = |c: char| match c {
        'x' | 'X' => Some((0, 0xf)),
        c => Some((u8::try_from(c.to_digit(16)?).ok()?, 0)),
    };
    let mut bytes = Vec::new();
    for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
        let mut digits = word.chars();
        while let Some(first) = digits.next() {
            let (high, high_mask) = digit(first)?;
            // A digit that is left over is a byte by itself.
            bytes.push(match digits.next() {
                Some(second) => {
                    let (low, low_mask) = digit(second)?;
                    (high << 4 | low, high_mask << 4 | low_mask)
                }
                None => (high, high_mask),
            });
        }
    }
    (!bytes.is_empty() && bytes.len() <= usize::from(u16::MAX)).then_some(bytes)
}

/// An MD5 as genhash prints it.
pub(crate) fn digest(text: &str) -> Option<[u8; 16]> {
    let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| bytes(text)).flatten()?.try_into().ok()
}

/// The text that [`masked`] reads.
pub(crate) fn text_of(bytes: impl Iterator<Item = (u8, u8)>) -> String {
    let digit = |value: u8, mask: u8| match mask {
        0 => char::from_digit(u32::from(value), 16).unwrap_or('x'),
        _ => 'x',
    };
    let text = |(byte, mask): (u8, u8)| [digit(byte >> 4, mask >> 4), digit(byte & 0xf, mask & 0xf)];
    let words: Vec<String> = bytes.map(|byte| text(byte).iter().collect()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_the_manual_of_keepalived_has_them() {
        let text = "Ab12f 3 456 546443123";
        assert_eq!(bytes(text).unwrap(), [0xab, 0x12, 0x0f, 0x03, 0x45, 0x06, 0x54, 0x64, 0x43, 0x12, 0x03]);
        assert_eq!(masked("1X x").unwrap(), [(0x10, 0x0f), (0, 0x0f)]);
        assert_eq!(text_of(masked("1x ff").unwrap().into_iter()), "1x ff");
        for wrong in ["", " ", "0g", "é", "0x10z"] {
            assert_eq!(masked(wrong), None, "{wrong:?}");
        }
        assert_eq!(bytes("1x"), None);
    }

    #[test]
    fn a_digest_has_its_length() {
        assert!(digest("640205b7b0fc66c1ea91c463fac6334d").is_some());
        assert!(digest("640205b7b0fc66c1ea91c463fac6334").is_none());
        assert!(digest("640205b7b0fc66c1ea91c463fac6334x").is_none());
    }
}

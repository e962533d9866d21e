//! Addresses as the C library reads them: the dotted quad, and the old forms of inet_aton(3) that ldirectord.cf files
//! in the field rely on (`192.168.206` is 192.168.0.206).

use std::net::{IpAddr, Ipv4Addr};

/// An address and how it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// As today.
    Plain(IpAddr),
    /// With fewer than four numbers.
    Short(Ipv4Addr),
    /// With a hexadecimal or octal number.
    OtherBase(Ipv4Addr),
}

impl Written {
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Written::Plain(address) => address,
            Written::Short(address) | Written::OtherBase(address) => IpAddr::V4(address),
        }
    }
}

/// Reads an IPv4 or IPv6 address; `None` when the text is none, e.g. a host name.
pub(crate) fn address(text: &str) -> Option<Written> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Written::Plain(address));
    }
    let parts: Vec<&str> = text.splitn(5, '.').collect();
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 {
        return None;
    }
    let mut bits: u32 = 0;
    for (at, part) in leading.iter().enumerate() {
        let byte = u8::try_from(number(part)?).ok()?;
        bits |= u32::from(byte) << (24 - 8 * at);
    }
    let last = number(last)?;
    let room = 8 * (4 - leading.len() as u32);
    if room < 32 && last >> room != 0 {
        return None;
    }
    let address = Ipv4Addr::from(bits | last);
    let other_base = parts.iter().any(|p| p.len() > 1 && p.starts_with('0'));
    Some(if other_base { Written::OtherBase(address) } else { Written::Short(address) })
}

/// Decimal, hexadecimal after 0x, octal after 0.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hexadecimal) => (hexadecimal, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        address(text).map(|w| w.address().to_string())
    }

    #[test]
    fn the_forms_ldirectord_was_seen_to_take_mean_the_same_here() {
        for (text, meaning) in [
            ("192.168.206", "192.168.0.206"),
            ("192.168.207", "192.168.0.207"),
            ("0x0a010001", "10.1.0.1"),
            ("010.1.0.1", "8.1.0.1"),
            ("10.1", "10.0.0.1"),
            ("167772161", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            ("fe80::1", "fe80::1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meaning), "{text}");
        }
        assert_eq!(address("192.168.206"), Some(Written::Short(Ipv4Addr::new(192, 168, 0, 206))));
        assert_eq!(address("010.1.0.1"), Some(Written::OtherBase(Ipv4Addr::new(8, 1, 0, 1))));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            ".",
            "1.",
            "1..2",
            "256.1.1.1",
            "1.2.3.256",
            "1.2.3.4.5",
            "08.1.1.1",
            "0x",
            "+1",
            "-1",
            "www",
            "4294967296",
            "1.16777216",
            "0xg",
            "a.b",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! The lines of a `virtual_server_group`: addresses, ranges of them and firewall marks.

use super::{
    value::{address, number},
    word::Word,
};
use crate::{address::no_virtual_address, codes, host::shown};
use evenkeel_model::{Family, Protocol, ServiceKey};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

/// Virtual services one line stands for.
const MOST: u128 = 4096;

/// The services of a group, each with its place.
pub(crate) fn services(
    lines: &[Vec<Word>],
    protocol: Protocol,
    mark_family: Family,
    out: &mut Vec<Diagnostic>,
) -> Vec<Spanned<ServiceKey>> {
    let mut keys = Vec::new();
    for line in lines {
        let Some((first, rest)) = line.split_first() else { continue };
        if first.text == "fwmark" {
            let family = match rest.get(1).map(|word| word.text.as_str()) {
                Some("inet") => Family::V4,
                Some("inet6") => Family::V6,
                Some(_) | None => mark_family,
            };
            keys.extend(rest.first().and_then(|word| mark(word, family, out)));
            continue;
        }
        let Some(port) = port(rest.first(), out) else { continue };
        let Some((low, count)) = range(first, out) else { continue };
        for at in 0..count {
            let address = offset(low, at);
            if let Some(why) = no_virtual_address(address) {
                out.push(Diagnostic::error(codes::ADDRESS, first.span, format!("{address} {why}")));
                break;
            }
            keys.push(Spanned::new(ServiceKey::Address { address, protocol, port }, first.span));
        }
    }
    keys
}

/// A firewall mark that can name a service.
pub(crate) fn mark(word: &Word, family: Family, out: &mut Vec<Diagnostic>) -> Option<Spanned<ServiceKey>> {
    let mark = number(&word.text).and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new);
    if mark.is_none() {
        let message = format!("`{}` is no firewall mark", shown(&word.text));
        let d = Diagnostic::error(codes::FIREWALL_MARK, word.span, message);
        out.push(d.labelled("a number from 1 to 4294967295"));
    }
    mark.map(|mark| Spanned::new(ServiceKey::Mark { mark, family }, word.span))
}

/// A port; 0 where none is written. `None` after an error.
pub(crate) fn port(word: Option<&Word>, out: &mut Vec<Diagnostic>) -> Option<u16> {
    let Some(word) = word else { return Some(0) };
    let port = number(&word.text).and_then(|n| u16::try_from(n).ok()).filter(|port| *port != 0);
    if port.is_none() {
        let message = format!("`{}` is no port", shown(&word.text));
        let d = Diagnostic::error(codes::PORT, word.span, message).labelled("a number from 1 to 65535");
        out.push(d.note("keepalived leaves it out"));
    }
    port
}

/// The first address and how many there are: `10.0.0.1`, `10.0.0.1-9`, `10.0.0.250-10.0.1.5`, `10.0.0.8/29`.
fn range(word: &Word, out: &mut Vec<Diagnostic>) -> Option<(IpAddr, u128)> {
    let text = word.text.as_str();
    let found = match text.split_once('-') {
        Some((low, high)) => address(low).and_then(|low| Some((low, last(low, high)?))),
        None => match text.split_once('/') {
            Some((base, bits)) => address(base).and_then(|base| prefix(base, bits)),
            None => address(text).map(|only| (only, only)),
        },
    };
    let Some((low, high)) = found else {
        let message = format!("`{}` is no address and no range of them", shown(text));
        out.push(Diagnostic::error(codes::ADDRESS, word.span, message));
        return None;
    };
    let (low_bits, high_bits) = (bits(low), bits(high));
    if high_bits < low_bits || high_bits - low_bits >= MOST {
        let message = format!("`{}` is no range from a lower address to a higher one of at most {MOST}", shown(text));
        out.push(Diagnostic::error(codes::RANGE, word.span, message));
        return None;
    }
    Some((low, high_bits - low_bits + 1))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn offset(low: IpAddr, at: u128) -> IpAddr {
    match low {
        IpAddr::V4(low) => IpAddr::V4(Ipv4Addr::from(u32::from(low).wrapping_add(at as u32))),
        IpAddr::V6(low) => IpAddr::V6(Ipv6Addr::from(u128::from(low).wrapping_add(at))),
    }
}

/// The end of a range: an address, or the last number of one (hexadecimal for IPv6).
fn last(low: IpAddr, high: &str) -> Option<IpAddr> {
    if let Some(high) = address(high) {
        return (high.is_ipv4() == low.is_ipv4()).then_some(high);
    }
    match low {
        IpAddr::V4(low) => {
            let [a, b, c, _] = low.octets();
            Some(Ipv4Addr::new(a, b, c, u8::try_from(number(high)?).ok()?).into())
        }
        IpAddr::V6(low) => {
            let part = u16::from_str_radix(high, 16).ok()?;
            Some(Ipv6Addr::from((u128::from(low) & !0xffff) | u128::from(part)).into())
        }
    }
}

/// The addresses of a prefix, from the one that is written to the last.
fn prefix(base: IpAddr, text: &str) -> Option<(IpAddr, IpAddr)> {
    let width = if base.is_ipv4() { 32 } else { 128 };
    let length = u32::try_from(number(text)?).ok().filter(|length| *length <= width)?;
    let host = match width - length {
        128 => u128::MAX,
        free => (1 << free) - 1,
    };
    let last = bits(base) | host;
    Some((base, offset(base, last - bits(base))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_source::{Sources, Span};

    fn keys(text: &str) -> Result<String, String> {
        let mut sources = Sources::new();
        let span = Span::new(sources.add("x", String::new()), 0, 0);
        let line =
            text.split(' ').map(|text| Word { text: text.to_owned(), span, quoted: false, made: false }).collect();
        let mut out = Vec::new();
        let keys = services(&[line], Protocol::Tcp, Family::V4, &mut out);
        match out.first() {
            Some(d) => Err(d.message.clone()),
            None => Ok(keys.iter().map(|key| key.value.to_string()).collect::<Vec<_>>().join(" ")),
        }
    }

    #[test]
    fn ranges_are_read_as_the_manual_has_them() {
        assert_eq!(keys("10.0.0.1 80").unwrap(), "10.0.0.1:80/tcp");
        assert_eq!(keys("10.0.0.1-3 80").unwrap(), "10.0.0.1:80/tcp 10.0.0.2:80/tcp 10.0.0.3:80/tcp");
        assert_eq!(keys("10.0.0.255-10.0.1.0 80").unwrap(), "10.0.0.255:80/tcp 10.0.1.0:80/tcp");
        assert_eq!(keys("10.0.0.8/31 80").unwrap(), "10.0.0.8:80/tcp 10.0.0.9:80/tcp");
        assert_eq!(keys("ae00::9-a 80").unwrap(), "[ae00::9]:80/tcp [ae00::a]:80/tcp");
        assert_eq!(keys("fwmark 3 inet6").unwrap(), "mark 3 (IPv6)");
    }

    #[test]
    fn what_is_no_range_is_told() {
        for text in ["10.0.0.9-1 80", "10.0.0.0/8 80", "::/0 80", "10.0.0.1-x 80", "web 80", "fwmark 0", "10.0.0.1 0"] {
            assert!(keys(text).is_err(), "{text}");
        }
    }
}

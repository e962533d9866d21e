//! The checksum of a message and the forms it has in the field (RFC 9568 5.2.8 has no pseudo header for IPv4;
//! keepalived and FRR have one; keepalived up to 1.3.6 took the multicast group as its destination even for unicast).

use evenkeel_model::vrrp::GROUP_V4;
use std::net::IpAddr;

/// Where the checksum stands.
const AT: std::ops::Range<usize> = 6..8;

/// What is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// The message and a pseudo header of its source and destination: version 3 of keepalived and FRR, all of IPv6.
    #[default]
    PseudoHeader,
    /// The message alone: version 2, and version 3 over IPv4 by RFC 9568.
    MessageOnly,
    /// As the first, with the multicast group for a destination: unicast of old keepalived.
    GroupHeader,
}

/// Which form the checksum of `bytes` is right in; the first of [`Form`] where several fit.
pub fn recognize(bytes: &[u8], source: IpAddr, destination: IpAddr) -> Option<Form> {
    [Form::PseudoHeader, Form::MessageOnly, Form::GroupHeader]
        .into_iter()
        .find(|&form| matches(bytes, form, source, destination))
}

/// Whether the checksum of `bytes` is right in `form`.
pub fn matches(bytes: &[u8], form: Form, source: IpAddr, destination: IpAddr) -> bool {
    // IPv6 has one form (RFC 8200 8.1).
    (form == Form::PseudoHeader || source.is_ipv4()) && sum(bytes, form, source, destination) == 0
}

/// Writes the checksum of `form` into `bytes`; too few bytes for one are left alone.
pub fn write(bytes: &mut [u8], form: Form, source: IpAddr, destination: IpAddr) {
    if let Some(place) = bytes.get_mut(AT) {
        place.fill(0);
        let sum = sum(bytes, form, source, destination);
        if let Some(place) = bytes.get_mut(AT) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

/// The complement of the sum of all 16-bit words, RFC 1071.
fn sum(bytes: &[u8], form: Form, source: IpAddr, destination: IpAddr) -> u16 {
    let pseudo = match form {
        Form::MessageOnly => 0,
        Form::PseudoHeader => pseudo_header(bytes.len(), source, destination),
        Form::GroupHeader => pseudo_header(bytes.len(), source, GROUP_V4.into()),
    };
    fold(pseudo + words(bytes))
}

/// RFC 9568 5.2.8: addresses, length and protocol.
fn pseudo_header(length: usize, source: IpAddr, destination: IpAddr) -> u64 {
    let address = |address: IpAddr| match address {
        IpAddr::V4(four) => words(&four.octets()),
        IpAddr::V6(sixteen) => words(&sixteen.octets()),
    };
    address(source) + address(destination) + u64::from(crate::codec::PROTOCOL) + length as u64
}

fn words(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks();
    let whole: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    whole + rest.first().map_or(0, |last| u64::from(*last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

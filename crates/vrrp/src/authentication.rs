//! The authentication of version 2: a password in the message, or an IP authentication header before it (RFC 2402 with
//! HMAC-MD5-96 of RFC 2403, as RFC 2338 5.3.6 asked and keepalived still speaks). Both are readable or weak; they are
//! here for peers that insist.
//!
//! keepalived counts the headers of a virtual router as one row, whoever sends them: it drops what is not above all that
//! it has sent or heard, and goes on from the highest. So does evenkeel with what it sends.

use crate::{Reason, hmac::Timestamp};
use evenkeel_model::vrrp::SECRET;
use hmac::{Hmac, Mac};
use md5::Md5;
use std::net::Ipv4Addr;

/// IP protocol number of the authentication header.
pub(crate) const PROTOCOL: u8 = 51;
/// Length of the header with its 12 bytes of digest.
pub(crate) const LENGTH: usize = 24;
const DIGEST: std::ops::Range<usize> = 12..LENGTH;
/// Length in words of 4 bytes, less 2 (RFC 2402 2.2).
const PAYLOAD_LENGTH: u8 = 4;

/// 2020, in seconds since 1970.
const BEGINNING: u32 = 1_577_836_800;

/// The least that a router may have counted to when it begins at this time of day: two a second since 2020. Version 2
/// speaks at most once a second, so that one that begins anew, and goes on as master without having heard anybody, is
/// above what its peers have heard of it. Half of all numbers are left, whatever a clock says.
pub(crate) fn count_by(now: Timestamp) -> u32 {
    now.seconds().saturating_sub(BEGINNING).saturating_mul(2).min(u32::MAX / 2)
}

/// The fields of an authentication header that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sequence: u32,
    digest: [u8; 12],
}

/// Splits `payload`, which follows the IP header, into authentication header and message.
pub(crate) fn split(payload: &[u8]) -> Result<(Header, &[u8]), Reason> {
    let (header, message) = payload.split_first_chunk::<LENGTH>().ok_or(Reason::Length)?;
    let [next, length, _, _, _, _, _, _, s0, s1, s2, s3, digest @ ..] = *header;
    if next != crate::codec::PROTOCOL || length != PAYLOAD_LENGTH {
        return Err(Reason::AuthenticationType);
    }
    Ok((Header { sequence: u32::from_be_bytes([s0, s1, s2, s3]), digest }, message))
}

/// Whether `header` proves that who sent the packet knows `key`. `ip` is the IPv4 header as it came.
pub(crate) fn proves(header: &Header, key: [u8; SECRET], ip: &[u8], payload: &[u8], unicast: bool) -> bool {
    let mut mac = keyed(key);
    mac.update(&immutable(ip, unicast));
    let (head, rest) = payload.split_at(payload.len().min(LENGTH));
    let mut zeroed = [0; LENGTH];
    zeroed[..DIGEST.start].copy_from_slice(head.get(..DIGEST.start).unwrap_or(&[0; DIGEST.start]));
    mac.update(&zeroed);
    mac.update(rest);
    // Compared in constant time.
    mac.verify_truncated_left(&header.digest).is_ok()
}

/// The header that authenticates `message` in a packet that begins with `ip`.
pub(crate) fn header(
    key: [u8; SECRET],
    source: Ipv4Addr,
    sequence: u32,
    ip: &[u8],
    message: &[u8],
    unicast: bool,
) -> [u8; LENGTH] {
    let mut header = [0; LENGTH];
    header[0] = crate::codec::PROTOCOL;
    header[1] = PAYLOAD_LENGTH;
    // As keepalived: the sender's address names the association.
    header[4..8].copy_from_slice(&source.octets());
    header[8..12].copy_from_slice(&sequence.to_be_bytes());
    let mut mac = keyed(key);
    mac.update(&immutable(ip, unicast));
    mac.update(&header);
    mac.update(message);
    header[DIGEST].copy_from_slice(&mac.finalize().into_bytes()[..12]);
    header
}

fn keyed(key: [u8; SECRET]) -> Hmac<Md5> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")
}

/// The IPv4 header with zeros for what routers may change on the way (RFC 2402 3.3.3.1.1.1); keepalived counts the
/// time to live among it for unicast only.
fn immutable(ip: &[u8], unicast: bool) -> [u8; 20] {
    let mut header = [0; 20];
    let length = ip.len().min(header.len());
    header[..length].copy_from_slice(&ip[..length]);
    header[1] = 0;
    header[6..8].fill(0);
    header[10..12].fill(0);
    if unicast {
        header[8] = 0;
    }
    header
}

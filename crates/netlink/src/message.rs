//! Bytes ⇄ netlink messages: a header, a fixed struct of the kind, attributes (netlink(7), rtnetlink(7)). No socket.
//!
//! The readers take whatever bytes come: a length that does not fit ends the walk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const HEADER: usize = 16;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// A message being written.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A message of `kind` with the flags NLM_F_REQUEST and `flags`, and the fixed struct `body`.
    pub(crate) fn new(kind: u16, flags: i32, body: &[u8]) -> Request {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or_default();
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(body);
        Request { bytes }.padded()
    }

    fn padded(mut self) -> Request {
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.padded()
    }

    pub(crate) fn u32(self, kind: u16, value: u32) -> Request {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub(crate) fn text(self, kind: u16, value: &str) -> Request {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    pub(crate) fn address(self, kind: u16, value: IpAddr) -> Request {
        match value {
            IpAddr::V4(a) => self.attribute(kind, &a.octets()),
            IpAddr::V6(a) => self.attribute(kind, &a.octets()),
        }
    }

    /// An attribute that holds what `fill` writes.
    pub(crate) fn nested(self, kind: u16, fill: impl FnOnce(Request) -> Request) -> Request {
        let start = self.bytes.len();
        let mut filled = fill(self.attribute(kind | NESTED, &[]));
        let length = u16::try_from(filled.bytes.len() - start).unwrap_or(u16::MAX);
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    /// Bare bytes inside a nest: the fixed struct of a nested message.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Request {
        self.bytes.extend_from_slice(bytes);
        self.padded()
    }

    /// The same, with the kernel's word on it asked for.
    pub(crate) fn acknowledged(mut self) -> Request {
        let flags = u16_at(&self.bytes, 6).unwrap_or_default() | libc::NLM_F_ACK as u16;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// What stands behind the header: attributes for a place of their own.
    pub(crate) fn into_payload(mut self) -> Vec<u8> {
        self.bytes.split_off(HEADER)
    }

    /// The finished message with its sequence number.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// Gives a finished message another sequence number.
pub(crate) fn renumber(message: &mut [u8], sequence: u32) {
    if let Some(place) = message.get_mut(8..12) {
        place.copy_from_slice(&sequence.to_ne_bytes());
    }
}

/// One message as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of one datagram.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let body = bytes.get(HEADER..length)?;
        let message = Message { kind: u16_at(bytes, 4)?, flags: u16_at(bytes, 6)?, sequence: u32_at(bytes, 8)?, body };
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes behind a fixed struct of `skip` bytes: kind and value.
pub(crate) fn attributes(body: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut bytes = body.get(aligned(skip)..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|c| u16::from_ne_bytes(*c))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|c| u32::from_ne_bytes(*c))
}

pub(crate) fn text(value: &[u8]) -> Option<String> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    value.get(..end).map(|v| String::from_utf8_lossy(v).into_owned())
}

pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into())
}

pub(crate) fn family(address: IpAddr) -> u8 {
    let family = match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    u8::try_from(family).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = Request::new(16, 4, &[7; 5])
            .u32(1, 9)
            .nested(2, |r| r.text(3, "veth").raw(&[1; 4]).address(4, Ipv6Addr::LOCALHOST.into()))
            .finish(77);
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (16, 5, 77));
        let outer: Vec<_> = attributes(all[0].body, 5).collect();
        assert_eq!(outer[0], (1, 9u32.to_ne_bytes().as_slice()));
        assert_eq!(outer[1].0, 2);
        let (kind, name) = attributes(outer[1].1, 0).next().expect("the nest holds a name");
        assert_eq!((kind, text(name)), (3, Some("veth".to_owned())));
    }

    #[test]
    fn bogus_lengths_end_the_walk() {
        let good = Request::new(16, 0, &[0; 16]).u32(1, 9).finish(1);
        for at in 0..good.len() {
            for value in [0u8, 1, 3, 15, 17, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                for cut in 0..=bad.len() {
                    let found: usize = messages(&bad[..cut]).map(|m| attributes(m.body, 16).count()).sum();
                    assert!(found <= 8, "a walk over {cut} bytes is bounded");
                }
            }
        }
    }
}

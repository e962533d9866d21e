//! Fields and checksums of packets.
//!
//! A checksum is always computed over all it covers; the program under test only adjusts it.

/// Length of an Ethernet header without a tag.
pub(super) const ETHERNET: usize = 14;

/// IANA number.
pub(super) const ICMP: u8 = 1;
/// IANA number.
pub(super) const TCP: u8 = 6;
/// IANA number.
pub(super) const UDP: u8 = 17;
/// IANA number.
pub(super) const ICMPV6: u8 = 58;
/// IANA number.
pub(super) const SCTP: u8 = 132;

/// Whether the protocol's header begins with two ports.
pub(super) fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// `N` bytes at `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The number of two bytes at `at`.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// Writes bytes over those at `at`, as far as there are any.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
}

/// RFC 1071: the checksum over `bytes`.
pub(super) fn internet(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u64::from);
    !fold(bytes.chunks(2).map(word).sum())
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of `after` for a packet that came with the checksum `field` over `before` (both with 0 in the place of the
/// checksum). What came right leaves right; what came wrong stays wrong by as much, so that the receiver still finds it out.
pub(super) fn carried(field: u16, before: &[u8], after: &[u8]) -> u16 {
    let (was, right) = (internet(before), internet(after));
    if field == was { right } else { !fold(u64::from(!field) + u64::from(!right) + u64::from(was)) }
}

/// The same for the CRC of SCTP.
pub(super) fn carried_crc(field: u32, before: &[u8], after: &[u8]) -> u32 {
    field ^ crc32c(before) ^ crc32c(after)
}

/// RFC 9260 appendix A: CRC32c, as it stands in the packet when written with its lowest byte first.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x82f6_3b78 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_rfc() {
        // RFC 3720 B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }

    #[test]
    fn what_came_right_leaves_right_and_what_came_wrong_stays_wrong() {
        let (before, after) = ([0x45, 0, 0, 99, 12, 13], [0x45, 0, 3, 7, 255, 255]);
        assert_eq!(carried(internet(&before), &before, &after), internet(&after));
        let wrong = internet(&before).wrapping_add(5);
        let carried = carried(wrong, &before, &after);
        assert_ne!(carried, internet(&after));
        assert_eq!(super::carried(carried, &after, &before), wrong);
    }
}

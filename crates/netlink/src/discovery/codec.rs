//! ARP (RFC 826) and neighbour discovery (RFC 4861) without the Ethernet header. Bytes only.
//!
//! A frame that is not exactly what it should be says nothing: `None`, whatever its lengths claim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mac::MacAddress;

/// Ethernet, IPv4, six and four bytes.
const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];
const ARP_REPLY: [u8; 2] = [0, 2];
const IPV6_HEADER: usize = 40;
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// All nodes of the link (RFC 4291 2.7.1).
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const OPTION_SOURCE: u8 = 1;
const OPTION_TARGET: u8 = 2;

/// The request “who has `target`”; from no address it is the probe of RFC 5227.
pub(super) fn arp_request(source_mac: MacAddress, source: Option<Ipv4Addr>, target: Ipv4Addr) -> Vec<u8> {
    let mut packet = ARP_KIND.to_vec();
    packet.extend(ARP_REQUEST);
    packet.extend(source_mac.0);
    packet.extend(source.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    packet.extend([0; 6]);
    packet.extend(target.octets());
    packet
}

/// The announcement that `address` is at `mac` (RFC 5227 3): a request for itself, as keepalived sends it.
pub(crate) fn gratuitous_arp(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    arp_request(mac, Some(address), address)
}

/// The same as an answer to everybody, which nobody answers: a former owner with the same MAC address would by an answer
/// teach switches that it is still there.
pub(crate) fn gratuitous_arp_reply(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    let mut packet = arp_request(mac, Some(address), address);
    if let Some(operation) = packet.get_mut(6..8) {
        operation.copy_from_slice(&ARP_REPLY);
    }
    if let Some(target) = packet.get_mut(18..24) {
        target.copy_from_slice(&MacAddress::BROADCAST.0);
    }
    packet
}

/// The announcement that `address` is at `mac`, to all nodes (RFC 4861 7.2.6): unsolicited, to override what they know,
/// of a router where `router`.
pub(crate) fn unsolicited_advertisement(mac: MacAddress, address: Ipv6Addr, router: bool) -> Vec<u8> {
    let flags = OVERRIDE | if router { ROUTER } else { 0 };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    message.extend([OPTION_TARGET, 1]);
    message.extend(mac.0);
    icmpv6(address, ALL_NODES, message)
}

/// Who an ARP packet says its sender is.
pub(super) fn read_arp(packet: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let kind = packet.get(..6)?;
    let operation = packet.get(6..8)?;
    let mac = MacAddress::from_bytes(packet.get(8..14)?)?;
    let sender = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(14..18)?).ok()?);
    packet.get(18..28)?;
    let sound = kind == ARP_KIND && (operation == ARP_REQUEST || operation == ARP_REPLY);
    // Somebody who only probes (RFC 5227) has the address not yet.
    let somebody = mac.is_unicast() && !sender.is_unspecified() && !sender.is_multicast() && !sender.is_broadcast();
    (sound && somebody).then_some((sender.into(), mac))
}

/// The solicitation for `target` as an IPv6 packet; to `target` itself if `unicast`, else to its solicited-node group.
pub(super) fn solicitation(
    source_mac: MacAddress,
    source: Option<Ipv6Addr>,
    target: Ipv6Addr,
    unicast: bool,
) -> Vec<u8> {
    let destination = if unicast { target } else { solicited_node(target) };
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    // RFC 4861 4.3: no source address, no source option.
    if source.is_some() {
        message.extend([OPTION_SOURCE, 1]);
        message.extend(source_mac.0);
    }
    icmpv6(source.unwrap_or(Ipv6Addr::UNSPECIFIED), destination, message)
}

/// An IPv6 packet with `message`, whose checksum is written here.
fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(source, destination, &message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    let length = u16::try_from(message.len()).unwrap_or_default();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([ICMPV6, 255]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(message);
    packet
}

/// Who a neighbour advertisement speaks for. `sender` is the MAC address its frame came from.
pub(super) fn read_advertisement(packet: &[u8], sender: MacAddress) -> Option<(IpAddr, MacAddress)> {
    let header: &[u8; IPV6_HEADER] = packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let message = packet.get(IPV6_HEADER..IPV6_HEADER.checked_add(length)?)?;
    // RFC 4861 7.1.2: hop limit 255 proves that it comes from this link.
    if header[0] >> 4 != 6 || header[6] != ICMPV6 || header[7] != 255 {
        return None;
    }
    let (source, destination) = (ipv6(header.get(8..24)?)?, ipv6(header.get(24..40)?)?);
    if message.get(..2)? != [ADVERTISEMENT, 0] || checksum(source, destination, message) != 0 {
        return None;
    }
    let flags = *message.get(4)?;
    let target = ipv6(message.get(8..24)?)?;
    if target.is_multicast() || (destination.is_multicast() && flags & SOLICITED != 0) {
        return None;
    }
    let mac = match target_option(message.get(24..)?)? {
        Some(mac) => mac,
        // RFC 4861 4.4: the answer to a question asked of one host need not repeat its address.
        None if flags & SOLICITED != 0 => sender,
        None => return None,
    };
    mac.is_unicast().then_some((target.into(), mac))
}

/// The target link-layer address among the options; outer `None` when an option is broken.
fn target_option(mut options: &[u8]) -> Option<Option<MacAddress>> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        // RFC 4861 4.6: a length of zero makes the whole packet void.
        if length == 0 || length > options.len() {
            return None;
        }
        let (option, rest) = options.split_at(length);
        if kind == OPTION_TARGET && units == 1 {
            found = MacAddress::from_bytes(option.get(2..)?);
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}

/// The group that only hosts with a like address listen to.
pub(super) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let base = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0);
    Ipv6Addr::from_bits(base.to_bits() | (target.to_bits() & 0xff_ffff))
}

/// The Ethernet address of an IPv6 group (RFC 2464 7).
pub(crate) fn group_mac(group: Ipv6Addr) -> MacAddress {
    let [.., a, b, c, d] = group.octets();
    MacAddress([0x33, 0x33, a, b, c, d])
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from)
}

/// The checksum of an ICMPv6 message; 0 over one that carries the right sum.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let parts: [&[u8]; 5] = [&source.octets(), &destination.octets(), &length, &[0, 0, 0, ICMPV6], message];
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words.map(|w| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or(0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_says_who_has_the_address() {
        let four = Ipv4Addr::new(10, 0, 0, 9);
        assert_eq!(read_arp(&gratuitous_arp(OURS, four)), Some((four.into(), OURS)));
        let reply = gratuitous_arp_reply(OURS, four);
        assert_eq!(read_arp(&reply), Some((four.into(), OURS)));
        assert_eq!((&reply[6..8], &reply[18..24]), (ARP_REPLY.as_slice(), MacAddress::BROADCAST.0.as_slice()));
        let six: Ipv6Addr = "fd00::9".parse().expect("v6");
        assert_eq!(read_advertisement(&unsolicited_advertisement(OURS, six, true), THEIRS), Some((six.into(), OURS)));
    }

    const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn reply() -> Vec<u8> {
        let mut packet = arp_request(THEIRS, Some(Ipv4Addr::new(10, 0, 0, 2)), Ipv4Addr::new(10, 0, 0, 1));
        packet[7] = 2;
        packet
    }

    fn advertisement(flags: u8, options: &[u8]) -> Vec<u8> {
        let (source, destination): (Ipv6Addr, Ipv6Addr) =
            ("fd00::2".parse().expect("v6"), "fd00::1".parse().expect("v6"));
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
        message.extend(source.octets());
        message.extend(options);
        let sum = checksum(source, destination, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut packet = vec![0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255];
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(message);
        packet
    }

    fn target_is(mac: MacAddress) -> Vec<u8> {
        [&[OPTION_TARGET, 1], &mac.0[..]].concat()
    }

    #[test]
    fn a_question_has_the_bytes_of_rfc_826() {
        let packet = arp_request(OURS, Some(Ipv4Addr::new(10, 0, 0, 1)), Ipv4Addr::new(10, 0, 0, 2));
        let expected = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
        assert_eq!(packet, expected);
    }

    #[test]
    fn requests_and_replies_tell_of_their_sender() {
        let told = Some((Ipv4Addr::new(10, 0, 0, 2).into(), THEIRS));
        assert_eq!(read_arp(&reply()), told);
        // Padding to the smallest frame belongs to no one.
        assert_eq!(read_arp(&[reply(), vec![0; 18]].concat()), told);
        let probe = arp_request(THEIRS, None, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(read_arp(&probe), None, "who probes has no address");
    }

    #[test]
    fn arp_with_bogus_lengths_says_nothing() {
        for (at, values) in [(1, 0..1u8), (2, 0..8), (4, 0..6), (5, 5..255), (7, 3..255), (8, 1..2), (14, 224..240)] {
            for value in values {
                let mut packet = reply();
                packet[at] = value;
                assert_eq!(read_arp(&packet), None, "byte {at} is {value}");
            }
        }
        for length in 0..28 {
            assert_eq!(read_arp(&reply()[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn an_advertisement_tells_the_target_and_its_address() {
        let told = |mac| Some(("fd00::2".parse::<IpAddr>().expect("v6"), mac));
        assert_eq!(read_advertisement(&advertisement(0x60, &target_is(THEIRS)), OURS), told(THEIRS));
        assert_eq!(read_advertisement(&advertisement(SOLICITED, &[]), THEIRS), told(THEIRS), "the frame's sender");
        assert_eq!(read_advertisement(&advertisement(0x20, &[]), THEIRS), None, "unasked and without an address");
    }

    #[test]
    fn advertisements_that_break_a_rule_say_nothing() {
        let good = advertisement(0x60, &target_is(THEIRS));
        for length in 0..good.len() {
            assert_eq!(read_advertisement(&good[..length], THEIRS), None, "{length} bytes");
        }
        for at in 0..good.len() {
            // Traffic class, flow label and padding bits are free.
            if (1..4).contains(&at) {
                continue;
            }
            for flip in [1, 0x10, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let told = read_advertisement(&bad, THEIRS);
                assert!(told.is_none() || at == 0, "byte {at} ^ {flip:#x} gave {told:?}");
            }
        }
        for options in [&[OPTION_TARGET, 0, 0, 0, 0, 0, 0, 0][..], &[OPTION_TARGET, 2, 0, 0, 0, 0, 0, 0], &[2]] {
            assert_eq!(read_advertisement(&advertisement(0x60, options), THEIRS), None, "{options:?}");
        }
        let group = target_is(MacAddress([3, 0, 0, 0, 0, 2]));
        assert_eq!(read_advertisement(&advertisement(0x60, &group), THEIRS), None, "a group is no neighbour");
    }

    #[test]
    fn a_solicitation_is_a_sound_packet() {
        let (ours, target): (Ipv6Addr, Ipv6Addr) =
            ("fe80::1".parse().expect("v6"), "fd00::12:3456".parse().expect("v6"));
        let packet = solicitation(OURS, Some(ours), target, false);
        let group: Ipv6Addr = "ff02::1:ff12:3456".parse().expect("v6");
        assert_eq!(packet.len(), 40 + 32);
        assert_eq!(ipv6(&packet[24..40]), Some(group));
        assert_eq!(group_mac(group), MacAddress([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
        assert_eq!(checksum(ours, group, &packet[40..]), 0);
        assert_eq!(ipv6(&solicitation(OURS, Some(ours), target, true)[24..40]), Some(target));
        assert_eq!(solicitation(OURS, None, target, false).len(), 40 + 24, "no source, no option");
    }
}

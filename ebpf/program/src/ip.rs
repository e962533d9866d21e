//! From the frame to the connection: what is ours, what is bad, whose it is (PP-1 to PP-9).

use crate::{
    Frame, Verdict, connection,
    extension::{self, Headers},
    fragment, icmp, maps,
    plan::Place,
};
use evenkeel_abi::{FILTER_WORDS, Reason, filter_bit, flow, fold6, sctp, tcp};

pub const ETHERNET: usize = 14;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;
/// Ether types as a little-endian load reads them.
pub const IPV4: u16 = 0x0008;
pub const IPV6: u16 = 0xdd86;

/// Reads a field of the packet. Aligned accesses only: a MAC address is three words, never a long.
///
/// # Safety
/// `at` and the size of `T` lie between the frame's `data` and `end`, and the verifier has seen the comparison.
#[inline(always)]
pub unsafe fn read<T: Copy>(at: usize) -> T {
    unsafe { *(at as *const T) }
}

/// Writes a field of the packet; see [`read`].
///
/// # Safety
/// As for [`read`].
#[inline(always)]
pub unsafe fn write<T: Copy>(at: usize, value: T) {
    unsafe { *(at as *mut T) = value }
}

/// Both ports as they stand in the packet, source first. Read one by one: a load across two stores that are still under way,
/// as in a packet whose source port was just written, has to wait for both.
///
/// # Safety
/// As for [`read`].
#[inline(always)]
pub unsafe fn ports(at: usize) -> u32 {
    unsafe { read::<u16>(at) as u32 | (read::<u16>(at + 2) as u32) << 16 }
}

/// What the rules need of a packet besides its addresses. No pointers: it is handed to functions by reference, and
/// the compiler would store half a pointer, which the verifier refuses.
#[derive(Clone, Copy)]
pub struct Packet {
    /// Source and destination port as they stand in the packet, source first; 0 for a protocol without ports.
    pub ports: u32,
    /// Of the transport header; 0: there is none, as in later fragments.
    pub protocol: u8,
    /// TCP flags; of SCTP the event of the first chunk; for others those of a SYN, as their first packet opens the connection.
    pub flags: u8,
    /// `WHOLE`, `FIRST` or `LATER`.
    pub part: u8,
    /// IP length: header and payload.
    pub bytes: u32,
    /// Where the transport header begins, counted from behind the Ethernet header; a multiple of 4.
    pub transport: u32,
    /// Nothing but the answer of a translated real server can be ours of this (PP-42).
    pub answer_only: bool,
    /// What is wrong with it, should it turn out to be for a service.
    pub bad: Option<Reason>,
}

/// [`Packet::part`]: no fragment.
pub const WHOLE: u8 = 0;
/// [`Packet::part`]: the first fragment, which has the transport header.
pub const FIRST: u8 = 1;
/// [`Packet::part`]: another one.
pub const LATER: u8 = 2;

/// Runs one packet through the rules.
#[inline(always)]
pub fn packet(frame: &Frame, plan: &mut Place) -> Verdict {
    match classify(frame, plan) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::refuse(reason),
    }
}

#[inline(always)]
fn classify(frame: &Frame, plan: &mut Place) -> Result<Verdict, Reason> {
    if frame.data + ETHERNET + 20 > frame.end {
        return Err(Reason::NotOurs);
    }
    // SAFETY: within the 34 bytes just checked.
    match unsafe { read::<u16>(frame.data + 12) } {
        IPV4 => ipv4(frame, plan),
        IPV6 => ipv6(frame, plan),
        _ => Err(Reason::NotOurs),
    }
}

/// Whether an address may be a virtual one (PP-3): no false negatives.
#[inline(always)]
pub fn may_be_ours(folded: u32) -> bool {
    let Some(filter) = maps::FILTER.get_ptr(0) else { return false };
    // SAFETY: an element of the array.
    unsafe { has_bit((&raw const (*filter).words).cast(), folded) }
}

/// Whether an address may be that of a translated real server (PP-42): no false negatives.
#[inline(always)]
pub fn may_answer(folded: u32) -> bool {
    let Some(filter) = maps::FILTER.get_ptr(0) else { return false };
    // SAFETY: an element of the array.
    unsafe { has_bit((&raw const (*filter).answers).cast(), folded) }
}

/// # Safety
/// `words` are a part of the filter.
#[inline(always)]
unsafe fn has_bit(words: *const u64, folded: u32) -> bool {
    let bit = filter_bit(folded);
    // SAFETY: the mask keeps the index inside the part.
    let word = unsafe { words.add((bit >> 6) as usize & (FILTER_WORDS - 1)).read() };
    word >> (bit & 63) & 1 != 0
}

/// The four words of an IPv6 address as the filter knows it.
#[inline(always)]
pub fn folded(address: &[u32; 4]) -> u32 {
    fold6(address)
}

#[inline(always)]
fn ipv4(frame: &Frame, plan: &mut Place) -> Result<Verdict, Reason> {
    let ip = frame.data + ETHERNET;
    // SAFETY: `classify` has checked the 20 bytes of the fixed header.
    let (source, destination): (u32, u32) = unsafe { (read(ip + 12), read(ip + 16)) };
    let answer_only = !may_be_ours(destination);
    // An error about a translated connection may come from any router (PP-45).
    // SAFETY: as above.
    if answer_only && !may_answer(source) && (unsafe { read::<u8>(ip + 9) } != ICMP) {
        return Err(Reason::NotOurs);
    }
    // SAFETY: as above.
    let (version, fragment, protocol): (u8, u16, u8) = unsafe { (read(ip), read(ip + 6), read(ip + 9)) };
    // SAFETY: as above.
    let total = u16::from_be(unsafe { read(ip + 2) }) as u32;
    let header = (version as usize & 15) << 2;
    if version >> 4 != 4 || header < 20 {
        return Err(Reason::NotOurs);
    }
    // Super-packets above 64 KiB have no total length.
    let bytes = if frame.tc && total == 0 { frame.length - ETHERNET as u32 } else { total };
    let mut headers = Headers { transport: header as u32, protocol, part: WHOLE };
    // More fragments, or an offset.
    if fragment & 0xff3f != 0 {
        if (header + ETHERNET) as u32 > frame.length {
            return Err(Reason::NotOurs);
        }
        headers.part = match extension::part4(fragment, bytes, header as u32) {
            // Somebody else's: it was only looked at as it may be an error.
            Err(_) if answer_only && protocol == ICMP && !may_answer(source) => return Err(Reason::NotOurs),
            part => part?,
        };
        // SAFETY: as above.
        fragment::ask4(source, destination, unsafe { read(ip + 4) }, protocol);
        if headers.part == LATER {
            let addresses = [(source as u64) << 32 | destination as u64, 0];
            return fragment::later::<{ flow::KEY4 }>(frame, &headers, &addresses, bytes, plan);
        }
    }
    if protocol == ICMP {
        return icmp::ipv4(frame, ip + header, bytes, plan);
    }
    let mut packet = transport(frame, &headers, bytes)?;
    packet.answer_only = answer_only;
    if packet.part == FIRST {
        fragment::arrived();
    }
    let key = [(source as u64) << 32 | destination as u64, flow::ports(packet.ports, protocol)];
    connection::ipv4(frame, &packet, &key, plan)
}

#[inline(always)]
fn ipv6(frame: &Frame, plan: &mut Place) -> Result<Verdict, Reason> {
    let ip = frame.data + ETHERNET;
    if ip + 40 > frame.end {
        return Err(Reason::NotOurs);
    }
    // SAFETY: within the 40 bytes just checked.
    let destination: [u32; 4] = unsafe { [read(ip + 24), read(ip + 28), read(ip + 32), read(ip + 36)] };
    // SAFETY: as above.
    let source: [u32; 4] = unsafe { [read(ip + 8), read(ip + 12), read(ip + 16), read(ip + 20)] };
    let answer_only = !may_be_ours(folded(&destination));
    // SAFETY: as above.
    if answer_only && !may_answer(folded(&source)) && unsafe { read::<u8>(ip + 6) } != ICMPV6 {
        return Err(Reason::NotOurs);
    }
    // SAFETY: as above.
    let (version, payload, protocol): (u8, u16, u8) = unsafe { (read(ip), read(ip + 4), read(ip + 6)) };
    if version >> 4 != 6 {
        return Err(Reason::NotOurs);
    }
    let payload = u16::from_be(payload) as u32;
    let bytes = if frame.tc && payload == 0 { frame.length - ETHERNET as u32 } else { payload + 40 };
    let mut headers = Headers { transport: 40, protocol, part: WHOLE };
    if protocol != TCP && protocol != UDP && protocol != ICMPV6 {
        let identification;
        (headers, identification) = extension::skip(frame, protocol, bytes)?;
        if headers.part != WHOLE {
            fragment::ask6(source, destination, identification);
        }
        if headers.part == LATER {
            let addresses = key6(source, destination, 0);
            return fragment::later::<{ flow::KEY6 }>(frame, &headers, &addresses, bytes, plan);
        }
    }
    if headers.protocol == ICMPV6 {
        return icmp::ipv6(frame, ip + headers.transport as usize, bytes, plan);
    }
    let mut packet = transport(frame, &headers, bytes)?;
    packet.answer_only = answer_only;
    if packet.part == FIRST {
        fragment::arrived();
    }
    connection::ipv6(frame, &packet, &key6(source, destination, flow::ports(packet.ports, packet.protocol)), plan)
}

/// The key of an IPv6 flow.
#[inline(always)]
pub fn key6(source: [u32; 4], destination: [u32; 4], ports: u64) -> [u64; flow::KEY6] {
    let join = |high: u32, low: u32| (high as u64) << 32 | low as u64;
    [
        join(source[0], source[1]),
        join(source[2], source[3]),
        join(destination[0], destination[1]),
        join(destination[2], destination[3]),
        ports,
    ]
}

/// Ports, flags and lengths; `bytes` is the whole packet's.
#[inline(always)]
fn transport(frame: &Frame, headers: &Headers, bytes: u32) -> Result<Packet, Reason> {
    let Headers { transport: header, protocol, part } = *headers;
    let at = frame.data + ETHERNET + header as usize;
    let too_long = bytes + ETHERNET as u32 > frame.length;
    let packet =
        Packet { ports: 0, protocol, flags: tcp::SYN, part, bytes, transport: header, answer_only: false, bad: None };
    if protocol == TCP {
        if at + 20 > frame.end {
            return Err(short(part));
        }
        // SAFETY: within the 20 bytes just checked.
        let (ports, offset, flags): (u32, u8, u8) = unsafe { (ports(at), read(at + 12), read(at + 13)) };
        let length = (offset as u32 >> 4) << 2;
        let bad = if too_long || length < 20 || header + length > bytes {
            Some(wrong_length(part))
        } else if tcp::bad_flags(flags) {
            Some(Reason::BadFlags)
        } else {
            None
        };
        return Ok(Packet { ports, flags, bad, ..packet });
    }
    if protocol == UDP {
        if at + 8 > frame.end {
            return Err(short(part));
        }
        // SAFETY: within the 8 bytes just checked.
        let (ports, length): (u32, u16) = unsafe { (ports(at), read(at + 4)) };
        let length = u16::from_be(length) as u32;
        // A super-packet of UDP segments has the length of the whole, as a first fragment has.
        let least = if part == FIRST { 8 } else { length };
        let bad = if too_long || length < 8 || header + least > bytes { Some(wrong_length(part)) } else { None };
        return Ok(Packet { ports, bad, ..packet });
    }
    if protocol == sctp::PROTOCOL {
        if at + 16 > frame.end {
            return Err(short(part));
        }
        // SAFETY: within the 16 bytes just checked.
        let (ports, chunk): (u32, u8) = unsafe { (ports(at), read(at + 12)) };
        let bad = if too_long || header + 16 > bytes { Some(wrong_length(part)) } else { None };
        return Ok(Packet { ports, flags: sctp::event(chunk) as u8, bad, ..packet });
    }
    if header + ETHERNET as u32 > frame.length {
        return Err(Reason::NotOurs);
    }
    let bad = if too_long || header > bytes { Some(wrong_length(part)) } else { None };
    Ok(Packet { bad, ..packet })
}

/// What becomes of a packet whose transport header does not fit into the frame (PP-1, PP-51).
#[inline(always)]
fn short(part: u8) -> Reason {
    if part == FIRST { Reason::BadFragment } else { Reason::NotOurs }
}

#[inline(always)]
fn wrong_length(part: u8) -> Reason {
    if part == FIRST { Reason::BadFragment } else { Reason::BadLength }
}

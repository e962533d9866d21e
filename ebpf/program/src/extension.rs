//! What stands between the IP header and the transport header: extension headers (PP-2), and what makes a fragment (PP-51).

use crate::{
    Frame,
    ip::{ETHERNET, FIRST, LATER, WHOLE, read},
    maps,
};
use evenkeel_abi::Reason;

/// Where the transport header is, and of what.
#[derive(Clone, Copy)]
pub struct Headers {
    /// Counted from behind the Ethernet header; of a later fragment where its payload starts.
    pub transport: u32,
    pub protocol: u8,
    /// See [`crate::ip::Packet::part`].
    pub part: u8,
}

/// Most extension headers that are skipped.
const MOST: u32 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

/// First extension header.
const START: usize = ETHERNET + 40;
/// Longest way from there to a transport header: six extension headers of 2048 bytes, and room to spare. Multiples of 8 only.
const FARTHEST: u32 = 0x3ff8;

/// [`Headers`] that no transport header follows, in the form of [`skip`]'s register.
const NOT_OURS: u64 = u64::MAX;
/// The same of a bad fragment.
const BAD: u64 = u64::MAX - 1;

/// Part of which a fragment is: its offset in units of 8 bytes, whether more follow, its IP length and that of its headers.
#[inline(always)]
fn part(offset: u32, more: bool, bytes: u32, headers: u32) -> Result<u8, Reason> {
    if offset == 0 && !more {
        return Ok(WHOLE);
    }
    if offset == 1 || bytes < headers || (offset << 3) + (bytes - headers) > 0xffff {
        return Err(Reason::BadFragment);
    }
    Ok(if offset != 0 { LATER } else { FIRST })
}

/// The same of an IPv4 header's word, as it stands there.
#[inline(always)]
pub fn part4(word: u16, bytes: u32, headers: u32) -> Result<u8, Reason> {
    let word = u16::from_be(word) as u32;
    part(word & 0x1fff, word & 0x2000 != 0, bytes, headers)
}

/// Skips the extension headers of a packet of `bytes` whose first one is `protocol`. Beside what comes then the identification
/// of a fragment, as it stands in the packet.
#[inline(always)]
pub fn skip(frame: &Frame, protocol: u8, bytes: u32) -> Result<(Headers, u32), Reason> {
    unpack(walk(frame.data + START, frame.end, protocol as u32, bytes))
}

/// The same of the packet whose IPv6 header begins at `ip`, and that an ICMP error quotes. [`Reason::NotOurs`] unless its transport
/// header follows. Lengths are not looked at: routers need not quote it all.
#[inline(always)]
pub fn skip_quoted(frame: &Frame, ip: usize, protocol: u8) -> Result<Headers, Reason> {
    match unpack(walk(ip + 40, frame.end, protocol as u32, QUOTED)) {
        Ok((headers, _)) if headers.part != LATER => Ok(headers),
        _ => Err(Reason::NotOurs),
    }
}

#[inline(always)]
fn unpack(packed: u64) -> Result<(Headers, u32), Reason> {
    // An unknown number, whatever way the walk took: the verifier goes on once.
    let packed = evenkeel_unknown(packed);
    if packed == NOT_OURS {
        return Err(Reason::NotOurs);
    }
    if packed == BAD {
        return Err(Reason::BadFragment);
    }
    let headers = Headers {
        transport: 40 + maps::bounded::<FARTHEST>(packed as u16 as u32) as u32,
        protocol: (packed >> 16) as u8,
        part: (packed >> 24) as u8,
    };
    Ok((headers, (packed >> 32) as u32))
}

/// [`walk`]: of a packet that is quoted.
const QUOTED: u32 = u32::MAX;

/// Walks over the headers from `start` on. A function of its own, so that its registers are not the caller's.
#[inline(never)]
fn walk(start: usize, end: usize, protocol: u32, bytes: u32) -> u64 {
    // `at` counts from the first extension header.
    let (mut at, mut protocol, mut found, mut identification) = (0, protocol as u8, WHOLE, 0u32);
    for _ in 0..MOST {
        if protocol != HOP_BY_HOP && protocol != ROUTING && protocol != FRAGMENT && protocol != OPTIONS {
            break;
        }
        let here = start + maps::bounded::<FARTHEST>(at);
        if here + 8 > end {
            return NOT_OURS;
        }
        // SAFETY: just checked.
        let (next, length): (u8, u8) = unsafe { (read(here), read(here + 1)) };
        if protocol == FRAGMENT {
            // SAFETY: as above.
            let (word, number): (u16, u32) = unsafe { (read(here + 2), read(here + 4)) };
            let word = u16::from_be(word) as u32;
            let headers = 40 + at + 8;
            let (bytes, more) = (if bytes == QUOTED { headers } else { bytes }, word & 1 != 0);
            if more && bytes.wrapping_sub(headers) & 7 != 0 {
                return BAD;
            }
            let Ok(is) = part(word >> 3, more, bytes, headers) else { return BAD };
            (found, identification) = (is, number);
            at += 8;
        } else {
            at += (length as u32 + 1) << 3;
        }
        protocol = next;
        if found == LATER {
            break;
        }
    }
    if found != LATER && (protocol == HOP_BY_HOP || protocol == ROUTING || protocol == FRAGMENT || protocol == OPTIONS)
    {
        return NOT_OURS;
    }
    at as u64 | (protocol as u64) << 16 | (found as u64) << 24 | (identification as u64) << 32
}

/// Its argument, of which the verifier then knows nothing: what comes after is looked at once and not for every value.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_unknown(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: changes nothing; keeps the compiler from seeing through.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

//! The Call-ID of a SIP message, as a hash (PP-36).

use crate::{Frame, ip::ETHERNET, maps};
use aya_ebpf::helpers::generated as helpers;
use evenkeel_abi::sip::{DONE, SKIP, VALUE, WINDOW};

/// Length of a UDP header.
const UDP_HEADER: u32 = 8;

/// Hash of the Call-ID of a UDP packet; 0: it has none. `transport`: see [`crate::ip::Packet`].
#[inline(always)]
pub fn call_id(frame: &Frame, transport: u32) -> u64 {
    let Some(payload) = maps::PAYLOAD.get_ptr_mut(0) else { return 0 };
    let start = ETHERNET as u32 + transport + UDP_HEADER;
    if start >= frame.length {
        return 0;
    }
    let left = frame.length - start;
    let length = maps::bounded::<{ WINDOW as u32 - 1 }>(if left > WINDOW as u32 { WINDOW as u32 - 1 } else { left - 1 })
        as u32
        + 1;
    // SAFETY: `length` is at most the element's size, and the context is the door's.
    let failed = unsafe {
        if frame.tc {
            helpers::bpf_skb_load_bytes(frame.context.cast_const(), start, payload.cast(), length)
        } else {
            helpers::bpf_xdp_load_bytes(frame.context.cast(), start, payload.cast(), length)
        }
    };
    if failed != 0 { 0 } else { evenkeel_call_id(length) }
}

const MULTIPLIER: u64 = 0xd6e8_feb8_6659_fd93;

/// Hash of the Call-ID in the first `length` bytes of this CPU's payload; 0: there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_call_id(length: u32) -> u64 {
    let Some(payload) = maps::PAYLOAD.get_ptr(0) else { return 0 };
    let (mut place, mut hash) = (SKIP as u32, maps::secret().first);
    for index in 0..WINDOW as u32 {
        if index >= length || place == DONE as u32 {
            break;
        }
        // SAFETY: the mask keeps the index inside the element.
        let byte = unsafe { payload.cast::<u8>().add(maps::bounded::<{ WINDOW as u32 - 1 }>(index)).read() };
        place = maps::sip_next(place, byte);
        if place == VALUE as u32 {
            hash = (hash ^ byte as u64).wrapping_mul(MULTIPLIER);
            hash ^= hash >> 32;
        }
    }
    if place == DONE as u32 { hash | 1 } else { 0 }
}

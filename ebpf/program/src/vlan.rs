//! The one VLAN tag of a frame, of 802.1Q or 802.1ad (PP-1, PP-24). XDP finds it in the frame, at the tc door the kernel has taken it out.

use crate::{
    extension::evenkeel_unknown,
    ip::{ETHERNET, ICMP, ICMPV6, IPV4, IPV6, folded, may_answer, may_be_ours, read, write},
    plan::bounds,
};
use aya_ebpf::{bindings::__sk_buff, helpers::generated as helpers};
use core::ffi::c_void;
use evenkeel_abi::link::{SERVICE_TAG, VLAN_ID};

/// Type of a frame with a tag of 802.1Q, as a little-endian load reads it.
const TAGGED: u16 = 0x0081;
/// With one of 802.1ad.
const SERVICE: u16 = 0xa888;
/// What [`take`] gives beside the tag when there was one.
pub const TAKEN: u32 = 1 << 16;
/// The same of one of 802.1ad.
const AD: u32 = 1 << 17;
/// Bytes of a tag.
const TAG: i32 = 4;

/// A tag of our tables as [`put`] takes it.
#[inline(always)]
pub fn of_table(tag: u16) -> u32 {
    (tag & VLAN_ID) as u32 | if tag & SERVICE_TAG != 0 { AD } else { 0 }
}

/// A tag that a frame came with as our tables have it; 0: it had none, or one that names no VLAN.
#[inline(always)]
pub fn to_table(tag: u32) -> u32 {
    let id = tag & VLAN_ID as u32;
    if id != 0 && tag & AD != 0 { id | SERVICE_TAG as u32 } else { id }
}

/// The tag that the kernel has taken out of a packet at the tc door, as [`take`] gives it.
#[inline(always)]
pub fn taken_by_kernel(skb: *const __sk_buff) -> u32 {
    // SAFETY: fields of the context.
    let (present, tag, kind) = unsafe { ((*skb).vlan_present, (*skb).vlan_tci, (*skb).vlan_proto) };
    if present == 0 { 0 } else { tag | TAKEN | if kind as u16 == SERVICE { AD } else { 0 } }
}

/// Takes the tag out of a frame that may be ours; the tag in host order, [`TAKEN`] and perhaps [`AD`], or 0.
#[inline(always)]
pub fn take(context: *mut c_void) -> u32 {
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET + 4 > end {
        return 0;
    }
    // SAFETY: just checked.
    let kind = unsafe { read::<u16>(data + 12) };
    if kind != TAGGED && kind != SERVICE {
        return 0;
    }
    evenkeel_unknown(untag(context) as u64) as u32
}

#[inline(never)]
fn untag(context: *mut c_void) -> u32 {
    let (data, end) = bounds::<false>(context);
    let ip = data + ETHERNET + 4;
    if ip + 20 > end {
        return 0;
    }
    // SAFETY: just checked.
    let (outer, tag, kind): (u16, u16, u16) = unsafe { (read(data + 12), read(data + 14), read(data + 16)) };
    // SAFETY: a word of the packet at each, checked below.
    let word = |at: usize| unsafe { read::<u32>(at) };
    let four = |at: usize| folded(&[word(at), word(at + 4), word(at + 8), word(at + 12)]);
    let (protocol, from, to): (u8, u32, u32) = if kind == IPV4 {
        // SAFETY: as above.
        (unsafe { read(ip + 9) }, word(ip + 12), word(ip + 16))
    } else if kind == IPV6 && ip + 40 <= end {
        // SAFETY: just checked.
        (unsafe { read(ip + 6) }, four(ip + 8), four(ip + 24))
    } else {
        return 0;
    };
    // As `ip::ipv4` and `ip::ipv6` choose.
    if !may_be_ours(to) && !may_answer(from) && protocol != ICMP && protocol != ICMPV6 {
        return 0;
    }
    // SAFETY: within what was checked.
    unsafe {
        for word in (0..6).rev() {
            write::<u16>(data + 4 + 2 * word, read(data + 2 * word));
        }
    }
    // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
    if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), TAG) } != 0 {
        return 0;
    }
    u16::from_be(tag) as u32 | TAKEN | if outer == SERVICE { AD } else { 0 }
}

/// Puts a tag as [`take`] gives it into a frame; `false`: there is no room.
#[inline(never)]
pub fn put(context: *mut c_void, tag: u32) -> bool {
    // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
    if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), -TAG) } != 0 {
        return false;
    }
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET + 4 > end {
        return false;
    }
    // SAFETY: just checked.
    unsafe {
        for word in 0..6 {
            write::<u16>(data + 2 * word, read(data + 4 + 2 * word));
        }
        write(data + 12, if tag & AD != 0 { SERVICE } else { TAGGED });
        write(data + 14, (tag as u16).to_be());
    }
    true
}

/// Gives a packet at the tc door another tag, as [`put`] takes it; 0: none.
#[inline(never)]
pub fn change(context: *mut c_void, has_tag: bool, tag: u32) -> bool {
    // SAFETY: the context of a tc program; no pointer into the packet is used after this.
    if has_tag && unsafe { helpers::bpf_skb_vlan_pop(context.cast()) } != 0 {
        return false;
    }
    let kind = if tag & AD != 0 { SERVICE } else { TAGGED };
    // SAFETY: as above.
    tag == 0 || unsafe { helpers::bpf_skb_vlan_push(context.cast(), kind, tag as u16) } == 0
}

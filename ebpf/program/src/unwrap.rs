//! The real server's side of tunnels (PP-48): takes the outer header off what comes for a listed virtual address, and makes
//! those who connect to it send segments that fit into the tunnel. No tunnel device has a part in it.

use crate::{
    ip::{ETHERNET, IPV4, IPV6, TCP, UDP, read, write},
    maps,
    plan::{bounds, ingress},
};
use aya_ebpf::{
    EbpfContext,
    bindings::{
        __sk_buff, BPF_F_ADJ_ROOM_FIXED_GSO, TC_ACT_UNSPEC, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, bpf_fib_lookup,
        xdp_action,
    },
    helpers::generated as helpers,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use core::{ffi::c_void, mem::MaybeUninit};
use evenkeel_abi::{
    tcp::SYN,
    unwrap::{Address, CLAMPED, GRE, GUE, IPIP, Vip},
};

/// IANA numbers.
const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE_IN_IP: u8 = 47;
/// Bytes that are looked at: Ethernet, outer IPv6, GUE and the inner IPv6 header.
const HEADERS: u32 = 14 + 40 + 12 + 40;
/// Longest outer IPv4 header with what follows it.
const LONGEST: u32 = 127;

/// What is to be taken off.
#[derive(Clone, Copy)]
struct Wrapping {
    /// Bytes in front of the inner IP header.
    length: u32,
    inner_v6: bool,
    /// The outer packet is IPv6.
    outer_v6: bool,
    /// Place in `UNWRAP_COUNTS`.
    kind: u32,
}

/// An address at `at`.
///
/// # Safety
/// There 4 or 16 bytes of the packet may be read.
#[inline(always)]
unsafe fn address(at: usize, v6: bool) -> Address {
    unsafe {
        if v6 {
            Address { words: [read(at), read(at + 4), read(at + 8), read(at + 12)], family: 6 }
        } else {
            Address { words: [read(at), 0, 0, 0], family: 4 }
        }
    }
}

#[inline(always)]
fn vip(address: &Address) -> Option<Vip> {
    // SAFETY: the value is copied out at once.
    unsafe { maps::UNWRAP_VIPS.get(address).copied() }
}

#[inline(always)]
fn count(kind: u32) {
    if let Some(count) = maps::UNWRAP_COUNTS.get_ptr_mut(kind) {
        // SAFETY: this CPU's own element.
        unsafe { *count += 1 };
    }
}

/// How the packet is wrapped, if it is one for us.
#[inline(always)]
fn wrapping<const TC: bool>(context: *mut c_void) -> Option<Wrapping> {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET;
    if ip + 20 > end {
        return None;
    }
    // SAFETY: just checked.
    let (kind, first): (u16, u8) = unsafe { (read(data + 12), read(ip)) };
    let (outer_v6, header, protocol) = if kind == IPV4 {
        // SAFETY: as above.
        let (fragment, protocol): (u16, u8) = unsafe { (read(ip + 6), read(ip + 9)) };
        let header = (first as u32 & 15) << 2;
        if first >> 4 != 4 || fragment & 0xff3f != 0 || header < 20 {
            return None;
        }
        (false, header, protocol)
    } else if kind == IPV6 && first >> 4 == 6 && ip + 40 <= end {
        // SAFETY: just checked.
        (true, 40, unsafe { read::<u8>(ip + 6) })
    } else {
        return None;
    };
    let at = ip + maps::bounded::<{ LONGEST & !3 }>(header);
    if at + 20 > end {
        return None;
    }
    let (shim, inner_v6, port, kind) = match protocol {
        IPV4_IN_IP => (0, false, 0, IPIP),
        IPV6_IN_IP => (0, true, 0, IPIP),
        GRE_IN_IP => {
            // SAFETY: 20 bytes were just checked.
            let (flags, inner): (u16, u16) = unsafe { (read(at), read(at + 2)) };
            // RFC 2784: a checksum or nothing.
            let shim = match u16::from_be(flags) {
                0 => 4,
                0x8000 => 8,
                _ => return None,
            };
            match inner {
                IPV4 => (shim, false, 0, GRE),
                IPV6 => (shim, true, 0, GRE),
                _ => return None,
            }
        }
        UDP => {
            // SAFETY: as above.
            let (port, start, inner): (u16, u8, u8) = unsafe { (read(at + 2), read(at + 8), read(at + 9)) };
            match (start >> 4, inner) {
                // Variant 1: the inner packet itself.
                (4, _) => (8, false, port, GUE),
                (6, _) => (8, true, port, GUE),
                // Variant 0, without anything optional, of data.
                (0, IPV4_IN_IP) if start == 0 => (12, false, port, GUE),
                (0, IPV6_IN_IP) if start == 0 => (12, true, port, GUE),
                _ => return None,
            }
        }
        _ => return None,
    };
    let inner = at + shim as usize;
    let length = if inner_v6 { 40 } else { 20 };
    if inner + length > end {
        return None;
    }
    // SAFETY: just checked.
    let (version, to) = unsafe { (read::<u8>(inner) >> 4, address(inner + if inner_v6 { 24 } else { 16 }, inner_v6)) };
    if version != if inner_v6 { 6 } else { 4 } {
        return None;
    }
    let vip = vip(&to)?;
    if kind == GUE && vip.gue_port != port {
        return None;
    }
    if !to_this_host::<TC>(context, ip, end, outer_v6) {
        return None;
    }
    Some(Wrapping { length: header + shim, inner_v6, outer_v6, kind })
}

/// Whether the outer packet is for one of the host's addresses. Where the host does not forward everything that it gets is.
#[inline(always)]
fn to_this_host<const TC: bool>(context: *mut c_void, ip: usize, end: usize, v6: bool) -> bool {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    /// The kernel would not forward it: it is the host's own.
    const NOT_FORWARDED: i64 = 4;
    const FORWARDING_DISABLED: i64 = 5;
    // SAFETY: all zeroes is a value of it.
    let mut way: bpf_fib_lookup = unsafe { MaybeUninit::zeroed().assume_init() };
    way.ifindex = ingress::<TC>(context);
    // SAFETY: the header was checked before; for IPv6 here.
    unsafe {
        if v6 {
            if ip + 40 > end {
                return false;
            }
            way.family = AF_INET6;
            way.__bindgen_anon_3.ipv6_src = address(ip + 8, true).words;
            way.__bindgen_anon_4.ipv6_dst = address(ip + 24, true).words;
        } else {
            way.family = AF_INET;
            way.__bindgen_anon_3.ipv4_src = read(ip + 12);
            way.__bindgen_anon_4.ipv4_dst = read(ip + 16);
        }
    }
    // SAFETY: the structure outlives the call and its size is given.
    let found = unsafe { helpers::bpf_fib_lookup(context, &mut way, size_of::<bpf_fib_lookup>() as i32, 0) };
    found == NOT_FORWARDED || found == FORWARDING_DISABLED
}

/// Takes the outer header off at a tc ingress hook.
#[classifier]
pub fn evenkeel_unwrap_tc(ctx: TcContext) -> i32 {
    let length = ctx.len();
    if (ctx.data_end() - ctx.data()) < HEADERS as usize && length as usize > ctx.data_end() - ctx.data() {
        // A failure leaves the packet as it is, and it passes.
        let _ = ctx.pull_data(if length < HEADERS { length } else { HEADERS });
    }
    if let Some(wrapping) = wrapping::<true>(ctx.as_ptr())
        && strip_tc(ctx.as_ptr(), wrapping).is_some()
    {
        count(wrapping.kind);
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
fn strip_tc(context: *mut c_void, wrapping: Wrapping) -> Option<()> {
    /// `bpf_skb_adjust_room`: what comes out is of the other family. Since Linux 6.3.
    const TO_IPV4: u32 = 1 << 7;
    const TO_IPV6: u32 = 1 << 8;
    let skb = context.cast::<__sk_buff>();
    let mut length = wrapping.length as i32;
    let mut flags = BPF_F_ADJ_ROOM_FIXED_GSO;
    let changes = wrapping.inner_v6 != wrapping.outer_v6;
    if changes {
        flags |= if wrapping.inner_v6 { TO_IPV6 } else { TO_IPV4 };
    }
    // SAFETY: the context of a tc program; no pointer into the packet is used after this.
    let mut done = unsafe { helpers::bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, flags as u64) } == 0;
    if !done && changes {
        // An older kernel: the other family first, whose header is 20 bytes longer or shorter, then the rest.
        let (family, more) = if wrapping.inner_v6 { (IPV6, 20) } else { (IPV4, -20) };
        length += more;
        // SAFETY: as above.
        done = unsafe {
            helpers::bpf_skb_change_proto(skb, family, 0) == 0
                && helpers::bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO as u64) == 0
        };
    }
    let (data, end) = bounds::<true>(context);
    if !done || data + ETHERNET > end {
        return None;
    }
    // SAFETY: just checked.
    unsafe { write(data + 12, if wrapping.inner_v6 { IPV6 } else { IPV4 }) };
    Some(())
}

/// Takes the outer header off at an XDP hook.
#[xdp]
pub fn evenkeel_unwrap_xdp(ctx: XdpContext) -> u32 {
    if let Some(wrapping) = wrapping::<false>(ctx.as_ptr())
        && strip_xdp(ctx.as_ptr(), wrapping).is_some()
    {
        count(wrapping.kind);
    }
    xdp_action::XDP_PASS
}

#[inline(always)]
fn strip_xdp(context: *mut c_void, wrapping: Wrapping) -> Option<()> {
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET > end {
        return None;
    }
    // SAFETY: just checked.
    let mac: [u16; 6] =
        unsafe { [read(data), read(data + 2), read(data + 4), read(data + 6), read(data + 8), read(data + 10)] };
    // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
    if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), wrapping.length as i32) } != 0 {
        return None;
    }
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET > end {
        return None;
    }
    // SAFETY: just checked.
    unsafe {
        write(data, mac[0]);
        write(data + 2, mac[1]);
        write(data + 4, mac[2]);
        write(data + 6, mac[3]);
        write(data + 8, mac[4]);
        write(data + 10, mac[5]);
        write(data + 12, if wrapping.inner_v6 { IPV6 } else { IPV4 });
    }
    Some(())
}

/// Cuts the MSS that SYNs from a listed virtual address offer, at a tc egress hook.
#[classifier]
pub fn evenkeel_clamp_tc(ctx: TcContext) -> i32 {
    if clamp(&ctx).is_some() {
        count(CLAMPED);
    }
    TC_ACT_UNSPEC
}

/// Bytes of TCP options there can be, and room to read past them.
const OPTIONS: usize = 72;

#[inline(always)]
fn clamp(ctx: &TcContext) -> Option<()> {
    let (data, end) = bounds::<true>(ctx.as_ptr());
    let ip = data + ETHERNET;
    if ip + 20 > end {
        return None;
    }
    // SAFETY: just checked.
    let (kind, first, fragment, protocol): (u16, u8, u16, u8) =
        unsafe { (read(data + 12), read(ip), read(ip + 6), read(ip + 9)) };
    // A later fragment has no TCP header.
    let (header, from) = if kind == IPV4 && protocol == TCP && fragment & 0xff1f == 0 && first & 15 >= 5 {
        // SAFETY: as above.
        ((first as u32 & 15) << 2, unsafe { address(ip + 12, false) })
    } else if kind == IPV6 && ip + 40 <= end {
        // SAFETY: just checked.
        if unsafe { read::<u8>(ip + 6) } != TCP {
            return None;
        }
        // SAFETY: as above.
        (40, unsafe { address(ip + 8, true) })
    } else {
        return None;
    };
    let at = ip + maps::bounded::<{ LONGEST & !3 }>(header);
    if at + 20 > end {
        return None;
    }
    // SAFETY: just checked.
    let (offset, flags): (u8, u8) = unsafe { (read(at + 12), read(at + 13)) };
    if flags & SYN == 0 {
        return None;
    }
    let limit = vip(&from)?.mss;
    let transport = ETHERNET as u32 + header;
    let length = ((offset as u32 >> 4) << 2).wrapping_sub(20);
    if limit == 0 || length < 4 || length > 40 {
        return None;
    }
    // Where the verifier sees that it is not 0.
    let length = 4 + maps::bounded::<63>(length - 4) as u32;
    let mut options = [0u8; OPTIONS];
    let skb = ctx.skb.skb.cast::<c_void>();
    let into = options.as_mut_ptr().cast();
    // SAFETY: the buffer is longer than what is read into it.
    if unsafe { helpers::bpf_skb_load_bytes(skb, transport + 20, into, length) } != 0 {
        return None;
    }
    cut(ctx, &options, transport, limit)
}

/// Walks the options, most of which are of one byte, to the MSS.
#[inline(always)]
fn cut(ctx: &TcContext, options: &[u8; OPTIONS], transport: u32, limit: u16) -> Option<()> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const MSS: u8 = 2;
    let at = |index: u32| {
        // SAFETY: the mask keeps the index inside the array.
        unsafe { options.as_ptr().add(maps::bounded::<63>(index)).read_volatile() }
    };
    let mut next = 0u32;
    for _ in 0..40 {
        if next > 36 {
            return None;
        }
        match (at(next), at(next + 1)) {
            (END, _) => return None,
            (NOTHING, _) => next += 1,
            (MSS, 4) => break,
            (_, length) if length < 2 => return None,
            (_, length) => next += length as u32,
        }
    }
    if at(next) != MSS || next > 36 {
        return None;
    }
    let old = (at(next + 2) as u16) << 8 | at(next + 3) as u16;
    if old <= limit {
        return None;
    }
    // A checksum adds up words of 16 bits: across two of them the bytes count the other way round.
    let in_sum = |mss: u16| if next & 1 == 0 { mss.to_be() } else { mss.to_be().swap_bytes() } as u64;
    let value = limit.to_be();
    let skb = ctx.skb.skb;
    // SAFETY: the context of a tc program; no pointer into the packet is used after this.
    unsafe {
        if helpers::bpf_l4_csum_replace(skb, transport + 16, in_sum(old), in_sum(limit), 2) != 0 {
            return None;
        }
        let from = (&raw const value).cast();
        if helpers::bpf_skb_store_bytes(skb.cast(), transport + 20 + next + 2, from, 2, 0) != 0 {
            return None;
        }
    }
    Some(())
}

//! Wraps a packet into another one to its real server (PP-46, PP-49).
//!
//! The inner packet stays as it is. Checksums of the outer packet are made of what the inner one's own checksum says about its
//! bytes (as the kernel's local checksum offload does it): a segment with a right checksum adds up to the complement of its
//! pseudo header, whether the checksum stands there already or some device is to put it there. Only what has no such
//! checksum is added up byte by byte.

use crate::{
    Verdict,
    extension::evenkeel_unknown,
    forward::{self, Target},
    ip::{ETHERNET, Packet, TCP, UDP, read},
    maps,
    outer::{GRE, Inner, Outer, source_port},
    plan::{Place, Plan, TUNNEL, bounds},
    too_big,
};
use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
        BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::generated as helpers,
};
use core::ffi::c_void;
use evenkeel_abi::{DEST_OWN, DEST_RESOLVED, Reason, flow::KEY4};

/// No sum can be made.
pub const NO_SUM: u32 = u32::MAX;

/// Says in `place` that a packet is to be wrapped. The MAC addresses are still those it came with.
#[inline(always)]
pub fn plan<const K: usize>(
    packet: &Packet,
    hash: u64,
    target: Target,
    then: Verdict,
    place: &mut Place,
) -> Result<Verdict, Reason> {
    let wrapped = Plan {
        then: then.raw(),
        hash,
        kind: TUNNEL,
        family: if K == KEY4 { 4 } else { 6 },
        dest: target.dest,
        bytes: packet.bytes,
        tag: 0,
        transport: packet.transport,
        protocol: packet.protocol as u32,
        ports: packet.ports,
        inner: 0,
        flags: 0,
        slot: 0,
        port: 0,
        part: packet.part as u32,
        mtu: 0,
        source: [0; 4],
        destination: [0; 4],
    };
    place.write(wrapped)?;
    Ok(Verdict::rewrite())
}

/// Wraps the packet as the plan says.
#[inline(never)]
pub fn wrap<const TC: bool>(context: *mut c_void, plan: &Plan) -> Verdict {
    match try_wrap::<TC>(context, plan) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::refuse(reason),
    }
}

#[inline(always)]
fn try_wrap<const TC: bool>(context: *mut c_void, plan: &Plan) -> Result<Verdict, Reason> {
    let dest = maps::DESTS.get_ptr(plan.dest).ok_or(Reason::Internal)?;
    // SAFETY: an element of the array.
    let (flags, mtu) =
        unsafe { ((&raw const (*dest).flags).read_volatile(), (&raw const (*dest).mtu).read_volatile()) };
    if flags & DEST_OWN == 0 {
        return Err(Reason::NoOwnAddress);
    }
    let inner_v6 = plan.family == 6;
    let segment = segment::<TC>(context);
    let outer = Outer::of(dest, inner_v6, segment == 0);
    let length = outer.length();
    let largest = largest::<TC>(context, plan)?;
    // The kernel makes the segments of TCP smaller by what is put in front of them.
    let fixed = segment == 0 || plan.protocol != TCP as u32 || largest + length <= mtu;
    if largest + if fixed { length } else { 0 } > mtu {
        return Ok(too_big::answer::<TC>(context, plan, mtu.wrapping_sub(length)));
    }
    forward::account(plan.dest, plan.bytes);
    let sum = if outer.checksum { inner_sum::<TC>(context, plan) } else { 0 };
    if sum == NO_SUM {
        return Err(Reason::BadLength);
    }
    let class = traffic_class::<TC>(context, inner_v6)?;
    if TC {
        let layer3 = if outer.v6 { BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 } else { BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 };
        let layer4 = match outer.protocol {
            GRE => BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
            UDP => BPF_F_ADJ_ROOM_ENCAP_L4_UDP,
            _ => 0,
        };
        let flags = layer3 | layer4 | if fixed { BPF_F_ADJ_ROOM_FIXED_GSO } else { 0 };
        // SAFETY: the context of a tc program; no pointer into the packet is used after this.
        let moved =
            unsafe { helpers::bpf_skb_adjust_room(context.cast(), length as i32, BPF_ADJ_ROOM_MAC, flags as u64) };
        if moved != 0 {
            return Err(Reason::NoHeadroom);
        }
    } else {
        // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
        if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), -(length as i32)) } != 0 {
            return Err(Reason::NoHeadroom);
        }
    }
    let (data, end) = bounds::<TC>(context);
    if flags & DEST_RESOLVED != 0 {
        if data + ETHERNET > end {
            return Err(Reason::Internal);
        }
        // SAFETY: the Ethernet header was just checked.
        unsafe { forward::address(data, dest) };
    }
    let inner = Inner { v6: inner_v6, class, bytes: plan.bytes, port: source_port(plan.hash) };
    outer.write(data, end, dest, &inner, sum as u64).ok_or(Reason::Internal)?;
    Ok(Verdict::from_raw(plan.then))
}

/// Payload of a super-packet's segments; 0 of any other packet.
#[inline(always)]
fn segment<const TC: bool>(context: *mut c_void) -> u32 {
    // SAFETY: a field of the context.
    if TC { unsafe { (*context.cast::<__sk_buff>()).gso_size } } else { 0 }
}

/// IP length of the packet, of a super-packet that of its segments.
#[inline(always)]
pub fn largest<const TC: bool>(context: *mut c_void, plan: &Plan) -> Result<u32, Reason> {
    let segment = segment::<TC>(context);
    if segment == 0 {
        return Ok(plan.bytes);
    }
    Ok(plan.transport + segment + transport_header::<TC>(context, plan)?)
}

/// Length of a super-packet's transport header.
#[inline(always)]
fn transport_header<const TC: bool>(context: *mut c_void, plan: &Plan) -> Result<u32, Reason> {
    if plan.protocol == UDP as u32 {
        return Ok(8);
    }
    let (data, end) = bounds::<TC>(context);
    let at = data + ETHERNET + maps::bounded::<0x3ffc>(plan.transport);
    if plan.protocol != TCP as u32 || at + 13 > end {
        return Err(Reason::BadLength);
    }
    // SAFETY: just checked.
    Ok((unsafe { read::<u8>(at + 12) } as u32 >> 4) << 2)
}

/// The inner packet's type of service or traffic class.
#[inline(always)]
fn traffic_class<const TC: bool>(context: *mut c_void, v6: bool) -> Result<u8, Reason> {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET;
    if ip + 20 > end {
        return Err(Reason::Internal);
    }
    // SAFETY: just checked.
    let (first, second): (u8, u8) = unsafe { (read(ip), read(ip + 1)) };
    Ok(if v6 { first << 4 | second >> 4 } else { second })
}

/// A sum of words as they stand in a packet, in 16 bits.
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The part of a pseudo header that is no address.
#[inline(always)]
pub fn pseudo(protocol: u8, length: u32) -> u64 {
    ((protocol as u64) << 8) + length.to_be() as u64
}

/// The sum of the whole inner packet, or [`NO_SUM`].
#[inline(always)]
fn inner_sum<const TC: bool>(context: *mut c_void, plan: &Plan) -> u32 {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET;
    if let Some(Told { header, segment }) = told_sum(ip, end, plan) {
        return fold(header as u64 + segment as u64) as u32;
    }
    if TC {
        // SAFETY: the context of a tc program; no pointer into the packet is used after this.
        unsafe { helpers::bpf_skb_pull_data(context.cast(), plan.bytes + ETHERNET as u32) };
    }
    let (data, end) = bounds::<TC>(context);
    add_up(data, end, plan.bytes)
}

/// What a packet's own checksums say about its sums.
pub struct Told {
    /// Of the IP header.
    pub header: u16,
    /// Of the rest.
    pub segment: u16,
}

/// What the packet's own checksums say; `None`: there are none.
#[inline(always)]
pub fn told_sum(ip: usize, end: usize, plan: &Plan) -> Option<Told> {
    let at = ip + maps::bounded::<0x3c>(plan.transport);
    if plan.protocol == UDP as u32 {
        if at + 8 > end {
            return None;
        }
        // SAFETY: just checked.
        if unsafe { read::<u16>(at + 6) } == 0 {
            return None;
        }
    } else if plan.protocol != TCP as u32 {
        return None;
    }
    let payload = plan.bytes.wrapping_sub(plan.transport);
    let covered = pseudo(plan.protocol as u8, payload);
    if plan.family == 4 {
        if ip + 20 > end {
            return None;
        }
        // SAFETY: just checked.
        let (fragment, from, to): (u16, u32, u32) = unsafe { (read(ip + 6), read(ip + 12), read(ip + 16)) };
        if fragment & 0xff3f != 0 {
            return None;
        }
        // A right IPv4 header adds up to nothing.
        return Some(Told { header: 0, segment: !fold(covered + from as u64 + to as u64) });
    }
    if plan.transport != 40 || ip + 40 > end {
        return None;
    }
    let (mut addresses, mut rest) = (0u64, 0u64);
    for word in 0..10 {
        // SAFETY: within the 40 bytes just checked.
        let part = unsafe { read::<u32>(ip + 4 * word) } as u64;
        if word < 2 {
            rest += part;
        } else {
            addresses += part;
        }
    }
    Some(Told { header: fold(addresses + rest), segment: !fold(covered + addresses) })
}

/// Bytes that are added up at once: the most that the kernel takes.
const CHUNK: u32 = 512;
/// Longest packet that is added up.
const LONGEST: u32 = 18 * CHUNK;
/// Where a part of it can start.
const OFFSET: u32 = 0x3ffc;

/// Adds the `N` bytes behind `*offset` of the packet to `sum`; `None`: they are not there.
#[inline(always)]
fn add<const N: u32>(data: usize, end: usize, offset: &mut u32, sum: &mut u32) -> Option<()> {
    let at = data + ETHERNET + maps::bounded::<OFFSET>(*offset);
    if at + N as usize > end {
        return None;
    }
    // SAFETY: the bytes were just checked; the helper reads them only.
    *sum = unsafe { helpers::bpf_csum_diff(core::ptr::null_mut(), 0, at as *mut u32, N, *sum) } as u32;
    *offset += N;
    Some(())
}

/// The sum of the `bytes` behind the Ethernet header, or [`NO_SUM`]. The offset is no number that the verifier knows, so that
/// it sees one way through and not one for each length.
#[inline(never)]
pub fn add_up(data: usize, end: usize, bytes: u32) -> u32 {
    match try_add_up(data, end, bytes) {
        Some(sum) => sum,
        None => NO_SUM,
    }
}

#[inline(always)]
fn try_add_up(data: usize, end: usize, bytes: u32) -> Option<u32> {
    let (mut offset, mut sum) = (evenkeel_unknown(0) as u32, 0u32);
    if bytes > LONGEST {
        return None;
    }
    let mut chunks = bytes / CHUNK;
    for _ in 0..LONGEST / CHUNK {
        if chunks == 0 {
            break;
        }
        add::<CHUNK>(data, end, &mut offset, &mut sum)?;
        chunks -= 1;
    }
    if bytes & 256 != 0 {
        add::<256>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 128 != 0 {
        add::<128>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 64 != 0 {
        add::<64>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 32 != 0 {
        add::<32>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 16 != 0 {
        add::<16>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 8 != 0 {
        add::<8>(data, end, &mut offset, &mut sum)?;
    }
    if bytes & 4 != 0 {
        add::<4>(data, end, &mut offset, &mut sum)?;
    }
    let mut at = data + ETHERNET + maps::bounded::<OFFSET>(offset);
    let mut sum = sum as u64;
    if bytes & 2 != 0 {
        if at + 2 > end {
            return None;
        }
        // SAFETY: just checked.
        sum += unsafe { read::<u16>(at) } as u64;
        at += 2;
    }
    if bytes & 1 != 0 {
        if at + 1 > end {
            return None;
        }
        // SAFETY: just checked.
        sum += unsafe { read::<u8>(at) } as u64;
    }
    Some(fold(sum) as u32)
}

//! What the XDP door does by itself to most packets of which more than the MAC addresses changes: for these no
//! [`crate::plan::Plan`] is written down and no function called, which costs more than the change. What it takes stands in
//! the verdict, in the packet and with the real server. All others go the way of a plan, to the same end.

use crate::{
    Verdict, forward,
    ip::{ETHERNET, Packet, TCP, UDP, ports, read, write},
    maps,
    outer::{IPIP, Inner, Outer},
    pair::{self, Own},
    plan::bounds,
    translate::{Change, addresses},
};
use aya_ebpf::helpers::generated as helpers;
use core::ffi::c_void;
use evenkeel_abi::{DEST_ADDRESS_V6, DEST_OWN, DEST_RESOLVED, Dest, Reason, TUNNEL_IPIP, flow::KEY4};

/// Whether an IPv4 packet of `bytes` to this real server gets no more than a header without a checksum over the packet in front.
///
/// # Safety
/// `dest` is an element of its array.
#[inline(always)]
pub unsafe fn wraps(dest: *const Dest, flags: u32, bytes: u32) -> bool {
    // SAFETY: the caller's.
    let mtu = unsafe { (&raw const (*dest).mtu).read_volatile() };
    let outer = Outer::of(dest, false, true);
    flags & (DEST_RESOLVED | DEST_OWN) == DEST_RESOLVED | DEST_OWN && !outer.checksum && bytes + outer.length() <= mtu
}

/// Whether only addresses, ports and their checksum change of a packet, where they stand without options or extension headers.
#[inline(always)]
pub fn translates<const K: usize>(packet: &Packet) -> bool {
    (packet.protocol == TCP || packet.protocol == UDP) && packet.transport as usize == header::<K>()
}

/// Length of an IP header without options.
#[inline(always)]
const fn header<const K: usize>() -> usize {
    if K == KEY4 { 20 } else { 40 }
}

/// Whether it is put into an IPv4 one with nothing in between.
///
/// # Safety
/// `dest` is an element of its array.
#[inline(always)]
pub unsafe fn is_ipip(dest: *const Dest, flags: u32) -> bool {
    // SAFETY: the caller's.
    flags & DEST_ADDRESS_V6 == 0 && unsafe { (*dest).tunnel } == TUNNEL_IPIP
}

/// Puts an IPv4 packet into another one to the real server of the verdict (PP-46, [`is_ipip`]).
#[inline(always)]
pub fn ipip(context: *mut c_void, verdict: Verdict) -> Result<Verdict, Reason> {
    const OUTER: Outer = Outer { v6: false, protocol: IPIP, shim: 0, variant_0: false, checksum: false };
    let dest = maps::DESTS.get_ptr(verdict.value()).ok_or(Reason::Internal)?;
    // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
    if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), -20) } != 0 {
        return Err(Reason::NoHeadroom);
    }
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET + 20 + 4 > end {
        return Err(Reason::Internal);
    }
    // SAFETY: just checked.
    let first = unsafe { read(data + ETHERNET + 20) };
    // SAFETY: as above; `dest` is an element of its array.
    unsafe { forward::address(data, dest) };
    OUTER.write(data, end, dest, &inner4(first, 0), 0).ok_or(Reason::Internal)?;
    // SAFETY: as above.
    Ok(unsafe { leave(dest) })
}

/// An IPv4 packet whose header begins with `first`.
#[inline(always)]
fn inner4(first: u32, port: u16) -> Inner {
    Inner { v6: false, class: (first >> 8) as u8, bytes: u16::from_be((first >> 16) as u16) as u32, port }
}

/// Wraps an IPv4 packet (PP-46, [`wraps`]) to the real server of the verdict.
#[inline(never)]
pub fn wrap(context: *mut c_void, verdict: Verdict) -> Verdict {
    Verdict::of(try_wrap(context, verdict))
}

#[inline(always)]
fn try_wrap(context: *mut c_void, verdict: Verdict) -> Result<Verdict, Reason> {
    let dest = maps::DESTS.get_ptr(verdict.value()).ok_or(Reason::Internal)?;
    let (data, end) = bounds::<false>(context);
    let ip = data + ETHERNET;
    if ip + 20 > end {
        return Err(Reason::Internal);
    }
    // SAFETY: just checked.
    let inner = inner4(unsafe { read(ip) }, verdict.upper());
    // Without a checksum, as [`wraps`] has found.
    let outer = Outer { checksum: false, ..Outer::of(dest, false, true) };
    // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
    if unsafe { helpers::bpf_xdp_adjust_head(context.cast(), -(outer.length() as i32)) } != 0 {
        return Err(Reason::NoHeadroom);
    }
    let (data, end) = bounds::<false>(context);
    if data + ETHERNET > end {
        return Err(Reason::Internal);
    }
    // SAFETY: the Ethernet header was just checked; `dest` is an element of its array.
    unsafe { forward::address(data, dest) };
    outer.write(data, end, dest, &inner, 0).ok_or(Reason::Internal)?;
    // SAFETY: as above.
    Ok(unsafe { leave(dest) })
}

/// Translates a packet (PP-40, [`translates`]) of the family with `K` key words to the real server of the verdict.
#[inline(always)]
pub fn nat<const K: usize>(context: *mut c_void, verdict: Verdict) -> Result<Verdict, Reason> {
    translate::<K>(context, verdict.value(), None)
}

/// The same (PP-44), of the known connection whose slot the verdict names.
#[inline(always)]
pub fn full_nat<const K: usize>(context: *mut c_void, verdict: Verdict) -> Result<Verdict, Reason> {
    // As long as it is still there: its ports are looked at again.
    let own = pair::own::<K>(verdict.value()).ok_or(Reason::Contended)?;
    translate::<K>(context, own.dest, Some(&own))
}

#[inline(always)]
fn translate<const K: usize>(context: *mut c_void, dest: u32, own: Option<&Own>) -> Result<Verdict, Reason> {
    let dest = maps::DESTS.get_ptr(dest).ok_or(Reason::Internal)?;
    // SAFETY: an element of the array.
    let (address, port) = unsafe { ((&raw const (*dest).address).read_volatile(), (*dest).port) };
    let (data, end) = bounds::<false>(context);
    let ip = data + ETHERNET;
    let at = ip + header::<K>();
    if at + 8 > end {
        return Err(Reason::Internal);
    }
    // SAFETY: just checked.
    if own.is_some_and(|own| own.client != unsafe { ports(at) }) {
        return Err(Reason::Contended);
    }
    // SAFETY: the fixed header and the ports have just been checked.
    let (protocol, mut moved): (u8, Change) =
        unsafe { (read(ip + if K == KEY4 { 9 } else { 6 }), addresses::<K>(ip, own.map(|own| &own.source), &address)) };
    // SAFETY: as above.
    unsafe {
        if let Some(own) = own {
            moved.write16(at, own.port);
        }
        if port != 0 {
            moved.write16(at + 2, port);
        }
    }
    if protocol == UDP {
        // SAFETY: within the bytes just checked.
        unsafe { moved.udp(at + 6) };
    } else {
        if at + 18 > end {
            return Err(Reason::Internal);
        }
        // SAFETY: just checked.
        unsafe { write(at + 16, moved.apply(read(at + 16))) };
    }
    // SAFETY: an element of the array.
    Ok(unsafe { leave(dest) })
}

/// Out to the real server.
///
/// # Safety
/// `dest` is an element of its array.
#[inline(always)]
unsafe fn leave(dest: *const Dest) -> Verdict {
    // SAFETY: the caller's.
    let (interface, vlan) = unsafe { ((&raw const (*dest).interface).read_volatile(), (*dest).vlan) };
    Verdict::send(interface).tagged(vlan)
}

//! Sends a packet to its real server (PP-24 to PP-28).

use crate::{
    Frame, Verdict,
    ip::{ETHERNET, Packet, read, write},
    maps,
    outer::source_port,
    plan::{FORWARD, Place},
    quick, translate, tunnel,
};
use evenkeel_abi::{
    DEST_BY_STACK, DEST_FULLNAT, DEST_LOCAL, DEST_RESOLVED, DEST_REWRITES, DEST_TUNNEL, DEST_VLAN, Dest, Reason,
    flow::KEY4,
};

/// Where a packet goes.
#[derive(Clone, Copy)]
pub struct Target {
    /// The real server's index.
    pub dest: u32,
    /// The real server. The daemon changes single fields while we read, never the element's place.
    pub line: *const Dest,
    /// Its flags, as they were when first looked at.
    pub flags: u32,
    /// The director's own port towards it, network order, if it is known already (PP-44).
    pub port: u32,
    /// The number of the connection's slot, as links have it, if it was there before the packet; or [`NO_SLOT`].
    pub slot: u32,
}

/// See [`Target::slot`].
pub const NO_SLOT: u32 = u32::MAX;

impl Target {
    #[inline(always)]
    pub fn of(dest: u32, port: u32, slot: u32) -> Result<Target, Reason> {
        let line = maps::DESTS.get_ptr(dest).ok_or(Reason::Internal)?;
        // SAFETY: an element of the array.
        let flags = unsafe { (&raw const (*line).flags).read_volatile() };
        Ok(Target { dest, line, flags, port, slot })
    }

    /// The index of its service.
    #[inline(always)]
    pub fn service(&self) -> u32 {
        // SAFETY: an element of the array.
        unsafe { (&raw const (*self.line).service).read_volatile() }
    }

    /// Flags of its service; none of one that is not there.
    #[inline(always)]
    pub fn service_flags(&self) -> u32 {
        // SAFETY: an element of the array.
        maps::SERVICES
            .get_ptr(self.service())
            .map_or(0, |service| unsafe { (&raw const (*service).flags).read_volatile() })
    }
}

/// Counts the packet, rewrites its headers and says where it goes. `K` tells the family. Where more than the MAC addresses
/// changes `plan` says what: the door does that. `ERROR`: it is one of ICMP, and `packet` has ports and protocol of what it quotes.
#[inline(always)]
pub fn finish<const K: usize, const ERROR: bool>(
    frame: &Frame,
    packet: &Packet,
    key: &[u64; K],
    hash: u64,
    target: Target,
    plan: &mut Place,
) -> Result<Verdict, Reason> {
    let Target { dest: index, line: dest, flags, .. } = target;
    if flags & DEST_LOCAL != 0 {
        account(index, packet.bytes);
        return Ok(Verdict::deliver());
    }
    // SAFETY: an element of the array.
    let interface = unsafe { (&raw const (*dest).interface).read_volatile() };
    if frame.tc && flags & DEST_RESOLVED == 0 && interface == 0 {
        return Err(Reason::NoNextHop);
    }
    if !frame.tc && flags & (DEST_RESOLVED | DEST_BY_STACK) != DEST_RESOLVED {
        return Err(if flags & DEST_BY_STACK != 0 { Reason::NotByXdp } else { Reason::NoNextHop });
    }
    // SAFETY: the IP header of this family was checked to lie within the frame.
    unsafe { age::<K>(frame.data + ETHERNET)? };
    let mut verdict = if flags & DEST_RESOLVED == 0 { Verdict::resolve(index) } else { Verdict::send(interface) };
    if flags & (DEST_TUNNEL | DEST_VLAN) != 0 {
        // Of IPv6 it would take stack that Linux 6.1 does not have.
        // SAFETY: as above.
        if K == KEY4 && flags & DEST_TUNNEL != 0 && !frame.tc && unsafe { quick::wraps(dest, flags, packet.bytes) } {
            account(index, packet.bytes);
            // SAFETY: as above.
            let is_ipip = unsafe { quick::is_ipip(dest, flags) };
            return Ok(if is_ipip { Verdict::ipip(index) } else { Verdict::wrap(index, source_port(hash)) });
        }
        // SAFETY: as above.
        verdict = verdict.tagged(unsafe { (*dest).vlan });
        if flags & DEST_TUNNEL != 0 {
            return tunnel::plan::<K>(packet, hash, target, verdict, plan);
        }
    }
    // A translated packet is counted once it is known that it can be.
    if flags & DEST_REWRITES == 0 {
        account(index, packet.bytes);
    }
    if flags & DEST_RESOLVED != 0 {
        // SAFETY: the Ethernet header lies within the frame.
        unsafe { address(frame.data, dest) };
    }
    if flags & DEST_REWRITES == 0 {
        return Ok(verdict);
    }
    if K == KEY4 && !frame.tc && !ERROR && flags & DEST_RESOLVED != 0 && quick::translates::<K>(packet) {
        if flags & DEST_FULLNAT == 0 {
            account(index, packet.bytes);
            return Ok(Verdict::nat(index));
        }
        if target.slot != NO_SLOT {
            account(index, packet.bytes);
            return Ok(Verdict::full_nat(target.slot));
        }
    }
    translate::plan(FORWARD, packet, key, hash, target, verdict, plan)
}

/// Counts a packet to a real server (PP-28).
#[inline(always)]
pub fn account(index: u32, bytes: u32) {
    if let Some(counters) = maps::counters(index) {
        // SAFETY: this CPU's own element.
        unsafe {
            (*counters).packets += 1;
            (*counters).bytes += bytes as u64;
        }
    }
}

/// Counts a packet to a client.
#[inline(always)]
pub fn account_out(index: u32, bytes: u32) {
    if let Some(counters) = maps::counters(index) {
        // SAFETY: this CPU's own element.
        unsafe {
            (*counters).packets_out += 1;
            (*counters).bytes_out += bytes as u64;
        }
    }
}

/// Takes one from the TTL or hop limit (PP-24).
///
/// # Safety
/// At `ip` 20 (IPv4) or 40 (IPv6) bytes of the packet may be touched.
#[inline(always)]
pub unsafe fn age<const K: usize>(ip: usize) -> Result<(), Reason> {
    let at = if K == KEY4 { ip + 8 } else { ip + 7 };
    let ttl: u8 = unsafe { read(at) };
    if ttl <= 1 {
        return Err(Reason::Ttl);
    }
    unsafe { write(at, ttl - 1) };
    if K == KEY4 {
        // RFC 1624, equation 3, for a TTL (the upper byte of its word) that is one less.
        let old: u16 = unsafe { read(ip + 10) };
        let sum = u16::from_be(old) as u32 + 0x100;
        // All ones is written as 0, as the kernel does it.
        let sum = (sum & 0xffff) + (sum >= 0xffff) as u32;
        unsafe { write(ip + 10, (sum as u16).to_be()) };
    }
    Ok(())
}

/// Writes the MAC addresses.
///
/// # Safety
/// At `data` 12 bytes of the packet may be touched; `dest` is an element of its array.
#[inline(always)]
pub unsafe fn address(data: usize, dest: *const Dest) {
    unsafe {
        let (to, from) = ((*dest).destination, (*dest).source);
        write(data, to[0]);
        write(data + 2, to[1]);
        write(data + 4, to[2]);
        write(data + 6, from[0]);
        write(data + 8, from[1]);
        write(data + 10, from[2]);
    }
}

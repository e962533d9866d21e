//! The headers of tunnel packets (PP-46).

use crate::{
    ip::{ETHERNET, IPV4, IPV6, UDP, write},
    tunnel::{fold, pseudo},
};
use evenkeel_abi::{CHECKSUM_FULL, CHECKSUM_REMOTE, DEST_ADDRESS_V6, Dest, TUNNEL_GRE, TUNNEL_GUE};

/// IANA number of IPv4 in IP.
pub const IPIP: u8 = 4;
/// Of IPv6 in IP.
const IPV6_IN_IP: u8 = 41;
/// Of GRE.
pub const GRE: u8 = 47;
/// TTL of outer packets.
const TTL: u8 = 64;
/// First source port of GUE (RFC 7605: the dynamic range).
const FIRST_PORT: u32 = 49152;

/// What is put in front.
#[derive(Clone, Copy)]
pub struct Outer {
    /// The outer header is one of IPv6.
    pub v6: bool,
    /// Protocol of the outer IP header.
    pub protocol: u8,
    /// Bytes behind the outer IP header.
    pub shim: u32,
    /// GUE's variant 0.
    pub variant_0: bool,
    /// There is a checksum to be made.
    pub checksum: bool,
}

impl Outer {
    /// `whole`: it is not a super-packet, whose segments' checksums nobody would make.
    #[inline(always)]
    pub fn of(dest: *const Dest, inner_v6: bool, whole: bool) -> Outer {
        // SAFETY: an element of the array.
        let (flags, tunnel, kind) = unsafe { ((*dest).flags, (*dest).tunnel, (*dest).tunnel_checksum) };
        let v6 = flags & DEST_ADDRESS_V6 != 0;
        let asked = kind == CHECKSUM_FULL;
        if tunnel == TUNNEL_GRE {
            let checksum = asked && whole;
            let shim = if checksum { 8 } else { 4 };
            return Outer { v6, protocol: GRE, shim, variant_0: false, checksum };
        }
        if tunnel == TUNNEL_GUE {
            let variant_0 = kind == CHECKSUM_REMOTE;
            let shim = if variant_0 { 12 } else { 8 };
            return Outer { v6, protocol: UDP, shim, variant_0, checksum: (asked || v6) && whole };
        }
        let protocol = if inner_v6 { IPV6_IN_IP } else { IPIP };
        Outer { v6, protocol, shim: 0, variant_0: false, checksum: false }
    }

    #[inline(always)]
    pub fn length(&self) -> u32 {
        (if self.v6 { 40 } else { 20 }) + self.shim
    }

    /// Writes the headers in front of `inner`, whose sum is `sum`, at the start of a frame.
    #[inline(always)]
    pub fn write(&self, data: usize, end: usize, dest: *const Dest, inner: &Inner, sum: u64) -> Option<()> {
        let payload = inner.bytes + self.shim;
        let seed = if self.v6 {
            write6(data, end, dest, self, payload, inner.class)?
        } else {
            write4(data, end, dest, self, payload, inner.class)?
        };
        // RFC 2784 2.3: over the GRE header and the payload, without a pseudo header.
        let seed = if self.protocol == GRE { 0 } else { seed };
        let at = data + ETHERNET + if self.v6 { 40 } else { 20 };
        write_shim(at, end, dest, self, inner, seed, sum)
    }
}

/// What it is put in front of.
#[derive(Clone, Copy)]
pub struct Inner {
    pub v6: bool,
    /// Type of service or traffic class.
    pub class: u8,
    /// IP length.
    pub bytes: u32,
    /// See [`source_port`].
    pub port: u16,
}

/// Source port of GUE for connections of this hash, network order.
#[inline(always)]
pub fn source_port(hash: u64) -> u16 {
    ((FIRST_PORT + (hash >> 50) as u32) as u16).to_be()
}

/// A 16-bit length as it stands in a header; 0 for one that does not fit, as the kernel has it.
#[inline(always)]
fn length16(length: u32) -> u16 {
    if length > 0xffff { 0 } else { (length as u16).to_be() }
}

/// A header's word of two halves that are as they stand in the packet.
#[inline(always)]
fn halves(first: u16, second: u16) -> u32 {
    first as u32 | (second as u32) << 16
}

/// Its word of a half and two bytes.
#[inline(always)]
fn bytes2(first: u8, second: u8) -> u16 {
    first as u16 | (second as u16) << 8
}

/// Writes the outer IPv4 header in front of `payload` bytes; the sum of the pseudo header.
#[inline(always)]
fn write4(data: usize, end: usize, dest: *const Dest, outer: &Outer, payload: u32, class: u8) -> Option<u64> {
    let ip = data + ETHERNET;
    if ip + 20 > end {
        return None;
    }
    // SAFETY: an element of the array.
    let (from, to) = unsafe { ((*dest).own[0], (*dest).address[0]) };
    let first = halves(bytes2(0x45, class), length16(payload + 20));
    let second = halves(0, 0x4000u16.to_be());
    let third = halves(bytes2(TTL, outer.protocol), 0);
    let sum = first as u64 + second as u64 + third as u64 + from as u64 + to as u64;
    // SAFETY: just checked.
    unsafe {
        write(data + 12, IPV4);
        write(ip, first);
        write(ip + 4, second);
        write(ip + 8, third | (!fold(sum) as u32) << 16);
        write(ip + 12, from);
        write(ip + 16, to);
    }
    Some(from as u64 + to as u64 + pseudo(outer.protocol, payload))
}

/// The same of IPv6.
#[inline(always)]
fn write6(data: usize, end: usize, dest: *const Dest, outer: &Outer, payload: u32, class: u8) -> Option<u64> {
    let ip = data + ETHERNET;
    if ip + 40 > end {
        return None;
    }
    let mut sum = pseudo(outer.protocol, payload);
    // SAFETY: just checked; `dest` is an element of the array.
    unsafe {
        write(data + 12, IPV6);
        write(ip, halves(bytes2(0x60 | class >> 4, class << 4), 0));
        write(ip + 4, halves(length16(payload), bytes2(outer.protocol, TTL)));
        for word in 0..4 {
            let (from, to) = ((*dest).own[word], (*dest).address[word]);
            write(ip + 8 + 4 * word, from);
            write(ip + 24 + 4 * word, to);
            sum += from as u64 + to as u64;
        }
    }
    Some(sum)
}

/// Writes what stands between the outer IP header and the inner packet. `seed`: the sum of the pseudo header, `inner_sum`: of
/// the inner packet.
#[inline(always)]
fn write_shim(
    at: usize,
    end: usize,
    dest: *const Dest,
    outer: &Outer,
    inner: &Inner,
    seed: u64,
    inner_sum: u64,
) -> Option<()> {
    if outer.shim == 0 {
        return Some(());
    }
    let kind = if inner.v6 { IPV6 } else { IPV4 };
    if outer.protocol == GRE {
        if at + 4 > end {
            return None;
        }
        let first = halves(if outer.checksum { 0x8000u16.to_be() } else { 0 }, kind);
        // SAFETY: just checked.
        unsafe { write(at, first) };
        if outer.checksum {
            if at + 8 > end {
                return None;
            }
            // SAFETY: just checked.
            unsafe { write(at + 4, !fold(inner_sum + first as u64) as u32) };
        }
        return Some(());
    }
    if at + 8 > end {
        return None;
    }
    // SAFETY: an element of the array.
    let to = unsafe { (*dest).tunnel_port };
    let (ports, length) = (halves(inner.port, to), length16(inner.bytes + outer.shim));
    let mut sum = seed + inner_sum + ports as u64 + length as u64;
    if outer.variant_0 {
        if at + 12 > end {
            return None;
        }
        let protocol = if inner.v6 { IPV6_IN_IP } else { IPIP };
        let header = halves(bytes2(0, protocol), 0);
        sum += header as u64;
        // SAFETY: just checked.
        unsafe { write(at + 8, header) };
    }
    let checksum = if outer.checksum { nonzero(!fold(sum)) } else { 0 };
    // SAFETY: 8 bytes were checked.
    unsafe {
        write(at, ports);
        write(at + 4, halves(length, checksum));
    }
    Some(())
}

/// RFC 768: 0 says that there is none.
#[inline(always)]
fn nonzero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

//! Translates addresses and ports, with every checksum that covers them (PP-40, PP-42, PP-44).
//!
//! Checksums are adjusted by what changes (RFC 1624), so that a wrong one stays wrong. At the tc door that of TCP and UDP is
//! left to the kernel's helper, which alone knows whether it is there already or only its pseudo header's part of it.

use crate::{
    Verdict, crc32c,
    forward::{self, NO_SLOT, Target},
    icmp::has_ports,
    ip::{ETHERNET, FIRST, Packet, TCP, UDP, ports, read, write},
    maps, pair,
    plan::{ERROR_ANSWER, ERROR_FORWARD, OFFSETS, Place, Plan, bounds, complete},
};
use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::generated as helpers,
};
use core::ffi::c_void;
use evenkeel_abi::{
    DEST_FULLNAT, Reason,
    flow::{KEY4, KEY6},
    sctp,
};

/// Writes down a packet that is to be translated, of a connection with this key. What it becomes is found out by the door, where
/// the verifier looks once.
#[inline(always)]
pub fn plan<const K: usize>(
    kind: u32,
    packet: &Packet,
    key: &[u64; K],
    hash: u64,
    target: Target,
    then: Verdict,
    place: &mut Place,
) -> Result<Verdict, Reason> {
    let source = if K == KEY4 {
        [(key[0] >> 32) as u32, 0, 0, 0]
    } else {
        [(key[0] >> 32) as u32, key[0] as u32, (key[1] >> 32) as u32, key[1] as u32]
    };
    place.write(Plan {
        then: then.raw(),
        hash,
        dest: target.dest,
        slot: target.slot,
        port: target.port,
        source,
        ..Plan::of::<K>(packet, kind)
    })?;
    Ok(Verdict::rewrite())
}

/// Translates a packet whose plan is complete.
#[inline(never)]
pub fn carry_out<const K: usize, const TC: bool>(context: *mut c_void, plan: &Plan) -> Verdict {
    let done = match plan.kind {
        ERROR_FORWARD | ERROR_ANSWER => error::<K, TC>(context, plan),
        _ => rewrite::<K, TC>(context, plan),
    };
    match done {
        Some(()) => Verdict::from_raw(plan.then),
        None => Verdict::refuse(Reason::Internal),
    }
}

/// Completes the plan of a packet to a real server. Returns 0, or 1 plus the number of a reason.
///
/// # Safety
/// `plan` points to a [`Plan`], or nowhere.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_forward4(plan: *mut Plan) -> u64 {
    // SAFETY: the caller's.
    unsafe { complete(plan, to_server::<KEY4>) }
}

/// See [`evenkeel_forward4`].
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_forward6(plan: *mut Plan) -> u64 {
    // SAFETY: the caller's.
    unsafe { complete(plan, to_server::<KEY6>) }
}

/// Says in `plan` what the packet of a translated connection becomes.
#[inline(always)]
fn to_server<const K: usize>(plan: &mut Plan) -> Result<(), Reason> {
    let dest = maps::DESTS.get_ptr(plan.dest).ok_or(Reason::Internal)?;
    // SAFETY: an element of the array.
    let (flags, port) = unsafe { ((&raw const (*dest).flags).read_volatile(), (*dest).port) };
    // SAFETY: as above.
    plan.destination = unsafe { (&raw const (*dest).address).read_volatile() };
    let to = if port == 0 { plan.ports >> 16 } else { port as u32 };
    let mut from = plan.ports & 0xffff;
    if flags & DEST_FULLNAT != 0 {
        if plan.slot != NO_SLOT {
            let own = pair::own::<K>(plan.slot).ok_or(Reason::Contended)?;
            (plan.source, from) = (own.source, own.port as u32);
        } else if plan.port != 0 || !has_ports(plan.protocol as u8) {
            // Nor has a later fragment any.
            // SAFETY: as above.
            plan.source = unsafe { (&raw const (*dest).own).read_volatile() };
            from = plan.port;
        } else {
            return Err(Reason::Contended);
        }
    }
    let old = plan.ports;
    plan.ports = from | to << 16;
    if is_beyond(plan, old) {
        return Err(Reason::SctpFragment);
    }
    forward::account(plan.dest, plan.bytes);
    Ok(())
}

/// Whether the checksum of what gets the ports of `plan` covers bytes that are not there (PP-52): what the change makes of it
/// depends on how many follow.
#[inline(always)]
pub fn is_beyond(plan: &Plan, old: u32) -> bool {
    plan.part == FIRST as u32 && plan.protocol == sctp::PROTOCOL as u32 && plan.ports != old
}

/// Writes a plan's addresses and ports over those of the packet. `None`: it does not lie where the plan says.
#[inline(always)]
fn rewrite<const K: usize, const TC: bool>(context: *mut c_void, plan: &Plan) -> Option<()> {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET;
    let length = if K == KEY4 { 20 } else { 40 };
    if ip + length > end {
        return None;
    }
    // SAFETY: the fixed header has just been checked.
    let mut moved = unsafe { addresses::<K>(ip, Some(&plan.source), &plan.destination) };
    let offset = ETHERNET + maps::bounded::<OFFSETS>(plan.transport);
    let at = data + offset;
    let checksum = match plan.protocol as u8 {
        TCP => 16,
        UDP => 6,
        sctp::PROTOCOL => 10,
        _ => return Some(()),
    };
    if at + checksum + 2 > end {
        return None;
    }
    if plan.protocol as u8 == sctp::PROTOCOL {
        // SAFETY: within the bytes just checked.
        unsafe { rename_sctp(at, plan) };
        return Some(());
    }
    let mut renamed = Change(0);
    // SAFETY: within the bytes just checked; ports come first.
    unsafe {
        renamed.replace(ports(at), plan.ports);
        write(at, plan.ports as u16);
        write(at + 2, (plan.ports >> 16) as u16);
    }
    let udp = plan.protocol == UDP as u32;
    if TC {
        return adjust_transport::<K>(context, (offset + checksum) as u32, moved, renamed, udp);
    }
    moved.0 += renamed.0;
    // SAFETY: as above.
    unsafe {
        if udp {
            moved.udp(at + checksum);
        } else {
            write(at + checksum, moved.apply(read(at + checksum)));
        }
    }
    Some(())
}

/// Writes addresses over those of the IP header at `ip`, the source only if there is one, and adjusts its checksum; what has changed
/// of the addresses.
///
/// # Safety
/// The fixed header of this family may be touched.
#[inline(always)]
pub unsafe fn addresses<const K: usize>(ip: usize, source: Option<&[u32; 4]>, destination: &[u32; 4]) -> Change {
    let (first, words) = if K == KEY4 { (12, 1) } else { (8, 4) };
    let mut moved = Change(0);
    // SAFETY: within the fixed header.
    unsafe {
        for word in 0..words {
            if let Some(source) = source {
                moved.write(ip + first + 4 * word, source[word]);
            }
            moved.write(ip + first + 4 * (words + word), destination[word]);
        }
        if K == KEY4 {
            write(ip + 10, moved.apply(read(ip + 10)));
        }
    }
    moved
}

/// Writes the ports of an SCTP packet and adjusts its checksum.
///
/// # Safety
/// At `at` the common header of 12 bytes may be touched.
#[inline(always)]
unsafe fn rename_sctp(at: usize, plan: &Plan) {
    // SAFETY: within the common header.
    unsafe {
        let changed = ports(at) ^ plan.ports;
        write(at, plan.ports as u16);
        write(at + 2, (plan.ports >> 16) as u16);
        let old: u32 = read(at + 8);
        // At the tc door 0 stands where the kernel or the device is yet to compute the checksum.
        if old != 0 && changed != 0 {
            let length = plan.bytes.wrapping_sub(plan.transport);
            write(at + 8, old ^ crc32c::change(changed, length));
        }
    }
}

/// Translates an ICMP error: its own addresses as the plan says, those of the quoted packet, which went the other way, turned.
#[inline(always)]
fn error<const K: usize, const TC: bool>(context: *mut c_void, plan: &Plan) -> Option<()> {
    let (data, end) = bounds::<TC>(context);
    let base = data + ETHERNET;
    let ip = base;
    let icmp = base + maps::bounded::<OFFSETS>(plan.transport);
    let transport = base + maps::bounded::<OFFSETS>(plan.inner);
    let length = if K == KEY4 { 20 } else { 40 };
    if ip + length > end || icmp + 8 + length > end {
        return None;
    }
    let named = has_ports(plan.protocol as u8);
    if named && transport + 4 > end {
        return None;
    }
    let quoted = icmp + 8;
    let mut sum = Change(0);
    // SAFETY: both IP headers, the ICMP header and the quoted ports, where there are any, have just been checked.
    unsafe {
        // A router on the way to the client keeps its name; the real server's and those behind the director are hidden.
        let source = if plan.kind == ERROR_ANSWER { Some(&plan.source) } else { None };
        let outer = addresses::<K>(ip, source, &plan.destination);
        if K != KEY4 {
            sum = outer;
        }
        let inner_checksum: u16 = if K == KEY4 { read(quoted + 10) } else { 0 };
        let mut inner = addresses::<K>(quoted, Some(&plan.destination), &plan.source);
        sum.0 += inner.0;
        if K == KEY4 {
            sum.replace(inner_checksum as u32, read::<u16>(quoted + 10) as u32);
        }
        if named {
            let turned = plan.ports >> 16 | plan.ports << 16;
            let old = ports(transport);
            write(transport, turned as u16);
            write(transport + 2, plan.ports as u16);
            sum.replace(old, turned);
            inner.replace(old, turned);
            let checksum = match plan.protocol as u8 {
                TCP => 16,
                UDP => 6,
                _ => 0,
            };
            // Routers need not quote as much.
            let room = (plan.inner + checksum + 2) <= plan.bytes;
            let at = transport + maps::bounded::<31>(checksum);
            if checksum != 0 && room && at + 2 <= end {
                let old: u16 = read(at);
                if checksum == 16 || old != 0 {
                    let new = inner.apply(old);
                    let new = if checksum == 6 && new == 0 { 0xffff } else { new };
                    write(at, new);
                    sum.replace(old as u32, new as u32);
                }
            }
        }
        write(icmp + 2, sum.apply(read(icmp + 2)));
    }
    Some(())
}

/// `bpf_l4_csum_replace`: the checksum covers IPv6 addresses, which no other checksum of the packet does. Since Linux 6.16.
const BPF_F_IPV6: u64 = 1 << 7;

/// Has the kernel adjust the checksum at `offset`.
#[inline(always)]
fn adjust_transport<const K: usize>(
    context: *mut c_void,
    offset: u32,
    moved: Change,
    renamed: Change,
    udp: bool,
) -> Option<()> {
    let skb = context.cast();
    let zero = if udp { BPF_F_MARK_MANGLED_0 as u64 } else { 0 };
    let addresses = zero | BPF_F_PSEUDO_HDR as u64;
    // SAFETY: the context of a tc program; no pointer into the packet is used after this.
    unsafe {
        if K == KEY4 {
            if helpers::bpf_l4_csum_replace(skb, offset, 0, moved.folded(), addresses) != 0 {
                return None;
            }
        } else if helpers::bpf_l4_csum_replace(skb, offset, 0, moved.folded(), addresses | BPF_F_IPV6) != 0 {
            // Older kernels take the addresses for changes that the whole packet's sum does not see yet.
            if helpers::bpf_l4_csum_replace(skb, offset, 0, moved.folded(), addresses) != 0 {
                return None;
            }
            helpers::bpf_csum_update(skb, moved.folded() as u32);
        }
        if helpers::bpf_l4_csum_replace(skb, offset, 0, renamed.folded(), zero) != 0 {
            return None;
        }
    }
    Some(())
}

/// What is to be added to a checksum, not folded yet.
#[derive(Clone, Copy)]
pub struct Change(pub u64);

impl Change {
    /// Counts a word out and another one in.
    #[inline(always)]
    pub fn replace(&mut self, old: u32, new: u32) {
        self.0 += !old as u64 + new as u64;
    }

    /// Writes a word of the packet.
    ///
    /// # Safety
    /// As for [`write`].
    #[inline(always)]
    unsafe fn write(&mut self, at: usize, new: u32) {
        // SAFETY: the caller's.
        unsafe {
            self.replace(read(at), new);
            write(at, new);
        }
    }

    /// Writes half a word of the packet.
    ///
    /// # Safety
    /// As for [`write`].
    #[inline(always)]
    pub unsafe fn write16(&mut self, at: usize, new: u16) {
        // SAFETY: the caller's.
        unsafe {
            self.replace(read::<u16>(at) as u32, new as u32);
            write(at, new);
        }
    }

    /// Adjusts a UDP checksum (RFC 768: 0 says that there is none).
    ///
    /// # Safety
    /// As for [`write`].
    #[inline(always)]
    pub unsafe fn udp(self, at: usize) {
        // SAFETY: the caller's.
        unsafe {
            let old: u16 = read(at);
            let new = self.apply(old);
            if old != 0 {
                write(at, if new == 0 { 0xffff } else { new });
            }
        }
    }

    /// In 32 bits.
    #[inline(always)]
    fn folded(self) -> u64 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        (sum & 0xffff_ffff) + (sum >> 32)
    }

    /// RFC 1624, equation 3.
    #[inline(always)]
    pub fn apply(self, checksum: u16) -> u16 {
        let sum = self.folded();
        let sum = (sum & 0xffff) + (sum >> 16) + !checksum as u64;
        let sum = (sum & 0xffff) + (sum >> 16);
        !((sum & 0xffff) + (sum >> 16)) as u16
    }
}

//! Translates addresses and ports, with every checksum that covers them (PP-40, PP-42, PP-44).
//!
//! Checksums are adjusted by what changes (RFC 1624), so that a wrong one stays wrong. At the tc door that of TCP and UDP is
//! left to the kernel's helper, which alone knows whether it is there already or only its pseudo header's part of it.

use crate::{
    Verdict,
    forward::Target,
    ip::{ETHERNET, Packet, TCP, UDP, ports, read, write},
    maps,
    plan::{FORWARD, Place, Plan, bounds},
};
use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::generated as helpers,
};
use core::ffi::c_void;
use evenkeel_abi::{DEST_FULLNAT, Dest, Reason, flow::KEY4};

/// Says in `plan` what a translated connection's packet becomes.
#[inline(always)]
pub fn plan<const K: usize>(
    packet: &Packet,
    key: &[u64; K],
    hash: u64,
    target: Target,
    dest: *const Dest,
    then: Verdict,
    place: &mut Place,
) -> Result<Verdict, Reason> {
    // SAFETY: an element of the array.
    let (flags, port, address) = unsafe {
        ((&raw const (*dest).flags).read_volatile(), (*dest).port, (&raw const (*dest).address).read_volatile())
    };
    if flags & DEST_FULLNAT != 0 {
        return Err(Reason::Internal);
    }
    let source = if K == KEY4 {
        [(key[0] >> 32) as u32, 0, 0, 0]
    } else {
        [(key[0] >> 32) as u32, key[0] as u32, (key[1] >> 32) as u32, key[1] as u32]
    };
    let to = if port == 0 { packet.ports >> 16 } else { port as u32 };
    place.write(Plan {
        then: then.raw(),
        hash,
        kind: FORWARD,
        family: if K == KEY4 { 4 } else { 6 },
        dest: target.dest,
        bytes: packet.bytes,
        network: 0,
        transport: packet.transport,
        protocol: packet.protocol as u32,
        ports: packet.ports & 0xffff | to << 16,
        source,
        destination: address,
    })?;
    Ok(Verdict::rewrite())
}

/// Translates a packet to a real server.
#[inline(never)]
pub fn forward<const K: usize, const TC: bool>(context: *mut c_void, plan: &Plan) -> Verdict {
    match rewrite::<K, TC>(context, plan) {
        Some(()) => Verdict::from_raw(plan.then),
        None => Verdict::refuse(Reason::Internal),
    }
}

/// Bounds of the offsets in a [`Plan`]: an IPv6 header with extension headers.
const TRANSPORT: u32 = 0x7fc;

/// Writes a plan's addresses and ports over those of the packet. `None`: it does not lie where the plan says.
#[inline(always)]
pub fn rewrite<const K: usize, const TC: bool>(context: *mut c_void, plan: &Plan) -> Option<()> {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET + maps::bounded::<4>(plan.network);
    let (length, first, words) = if K == KEY4 { (20, 12, 2) } else { (40, 8, 8) };
    if ip + length > end {
        return None;
    }
    let mut moved = Change(0);
    for word in 0..words {
        let half = if word < words / 2 { &plan.source } else { &plan.destination };
        let (at, new) = (ip + first + 4 * word, half[word % (words / 2)]);
        // SAFETY: within the fixed header just checked.
        unsafe {
            moved.replace(read(at), new);
            write(at, new);
        }
    }
    if K == KEY4 {
        // SAFETY: as above.
        unsafe { write(ip + 10, moved.apply(read(ip + 10))) };
    }
    let offset = ETHERNET + maps::bounded::<TRANSPORT>(plan.transport);
    let at = data + offset;
    let checksum = if plan.protocol == TCP as u32 {
        16
    } else if plan.protocol == UDP as u32 {
        6
    } else {
        return Some(());
    };
    if at + checksum + 2 > end {
        return None;
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
        let old: u16 = read(at + checksum);
        let new = moved.apply(old);
        // RFC 768: 0 says that there is none.
        if !udp {
            write(at + checksum, new);
        } else if old != 0 {
            write(at + checksum, if new == 0 { 0xffff } else { new });
        }
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

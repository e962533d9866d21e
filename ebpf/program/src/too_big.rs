//! Tells a client that its packet does not fit into the tunnel (PP-47): ICMP "fragmentation needed" (RFC 792, RFC 1191) or
//! ICMPv6 "packet too big" (RFC 4443 3.2), made of the packet itself.

use crate::{
    Verdict,
    extension::evenkeel_unknown,
    ip::{ETHERNET, TCP, read, write},
    maps,
    plan::{Plan, bounds},
    tunnel::{self, NO_SUM, Told, fold, pseudo},
};
use aya_ebpf::{bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, helpers::generated as helpers};
use core::ffi::c_void;
use evenkeel_abi::Reason;

/// Bytes that an IPv4 answer quotes: it has no more than the 576 that every host takes.
const QUOTE4: u32 = 576 - 20 - 8;
/// The same of IPv6, whose smallest MTU is 1280.
const QUOTE6: u32 = 1280 - 40 - 8;

/// Answers a second that each CPU sends at most.
const RATE: u32 = 1000;

/// What a CPU has sent lately.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Budget {
    /// Tick at which the second began.
    pub since: u32,
    /// Answers since then.
    pub sent: u32,
}

/// Whether one more answer may be sent.
#[inline(always)]
fn spend() -> bool {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else { return false };
    let now = maps::now();
    // SAFETY: this CPU's own element.
    let budget = unsafe { &mut (*scratch).budget };
    if now.wrapping_sub(budget.since) >= maps::ticks_per_second() {
        *budget = Budget { since: now, sent: 0 };
    }
    budget.sent += 1;
    budget.sent <= RATE
}

/// Turns the packet of `plan` into the answer, which says that `mtu` bytes are possible.
#[inline(never)]
pub fn answer<const TC: bool>(context: *mut c_void, plan: &Plan, mtu: u32) -> Verdict {
    let quote = if plan.family == 6 { QUOTE6 } else { QUOTE4 };
    if plan.bytes < quote || !spend() {
        return Verdict::refuse(Reason::TooBig);
    }
    maps::count(Reason::TooBig);
    let answered = if plan.family == 6 { answer6::<TC>(context, plan, mtu) } else { answer4::<TC>(context, plan, mtu) };
    if answered.is_some() { Verdict::back() } else { Verdict::refuse(Reason::Internal) }
}

/// Cuts the packet to what is quoted; the sum of that.
#[inline(always)]
fn cut<const TC: bool>(context: *mut c_void, plan: &Plan, quote: u32) -> Option<u32> {
    let (data, end) = bounds::<TC>(context);
    let partial = partial(data + ETHERNET, end, plan);
    let length = ETHERNET as u32 + quote;
    if TC {
        // SAFETY: the context of a tc program; no pointer into the packet is used after this.
        if unsafe { helpers::bpf_skb_change_tail(context.cast(), length, 0) } != 0 {
            return None;
        }
        // SAFETY: as above.
        if unsafe { helpers::bpf_skb_pull_data(context.cast(), length) } != 0 {
            return None;
        }
    } else {
        let more = length as i32 - (end - data) as i32;
        // SAFETY: the context of an XDP program; no pointer into the packet is used after this.
        if unsafe { helpers::bpf_xdp_adjust_tail(context.cast(), more) } != 0 {
            return None;
        }
    }
    let sum = match partial {
        Some(sum) => sum as u32,
        None => {
            let (data, end) = bounds::<TC>(context);
            tunnel::add_up(data, end, quote)
        }
    };
    // However it was found: the verifier goes on once.
    let sum = evenkeel_unknown(sum as u64) as u32;
    if sum == NO_SUM { None } else { Some(sum) }
}

/// The sum that the packet, cut as it may be, will have once a device has put its checksum in. `None`: its checksum is there.
/// It is not when what stands there is the pseudo header's part of it; that a checksum looks so is one case in 65536, and
/// costs one answer.
#[inline(always)]
fn partial(ip: usize, end: usize, plan: &Plan) -> Option<u16> {
    let Told { header, segment } = tunnel::told_sum(ip, end, plan)?;
    let at = ip + maps::bounded::<0x3c>(plan.transport) + if plan.protocol == TCP as u32 { 16 } else { 6 };
    if at + 2 > end {
        return None;
    }
    // SAFETY: just checked.
    if unsafe { read::<u16>(at) } != !segment {
        return None;
    }
    Some(fold(header as u64 + segment as u64))
}

/// Makes room for `room` bytes behind the Ethernet header, and sends the frame back to where it came from.
#[inline(always)]
fn make_room<const TC: bool>(context: *mut c_void, room: usize) -> Option<(usize, usize)> {
    // SAFETY: the context of a program of this kind; no pointer into the packet is used after this.
    let moved = unsafe {
        if TC {
            helpers::bpf_skb_adjust_room(context.cast(), room as i32, BPF_ADJ_ROOM_MAC, 0)
        } else {
            helpers::bpf_xdp_adjust_head(context.cast(), -(room as i32))
        }
    };
    let (data, end) = bounds::<TC>(context);
    if moved != 0 || data + ETHERNET + room + 40 > end {
        return None;
    }
    let from = if TC { data } else { data + room };
    // SAFETY: the Ethernet header, moved or not, lies within what was just checked.
    unsafe {
        let to: [u16; 3] = [read(from), read(from + 2), read(from + 4)];
        let sender: [u16; 3] = [read(from + 6), read(from + 8), read(from + 10)];
        let kind: u16 = read(from + 12);
        for word in 0..3 {
            write(data + 2 * word, sender[word]);
            write(data + 6 + 2 * word, to[word]);
        }
        write(data + 12, kind);
    }
    Some((data, end))
}

#[inline(always)]
fn answer4<const TC: bool>(context: *mut c_void, plan: &Plan, mtu: u32) -> Option<()> {
    let quoted = cut::<TC>(context, plan, QUOTE4)? as u64;
    let (data, end) = make_room::<TC>(context, 28)?;
    let ip = data + ETHERNET;
    if ip + 28 + 20 > end {
        return None;
    }
    let first = 0x45 | (((28 + QUOTE4) as u16).to_be() as u32) << 16;
    // TTL 64, ICMP.
    let third = 64 | 1 << 8;
    let kind = 3 | 4 << 8;
    let next = ((mtu as u16).to_be() as u32) << 16;
    // SAFETY: just checked.
    unsafe {
        let (client, vip): (u32, u32) = (read(ip + 28 + 12), read(ip + 28 + 16));
        write::<u32>(ip, first);
        write::<u32>(ip + 4, 0);
        let sum = first as u64 + third as u64 + client as u64 + vip as u64;
        write::<u32>(ip + 8, third | (!fold(sum) as u32) << 16);
        write::<u32>(ip + 12, vip);
        write::<u32>(ip + 16, client);
        write::<u32>(ip + 20, kind | (!fold(quoted + kind as u64 + next as u64) as u32) << 16);
        write::<u32>(ip + 24, next);
    }
    Some(())
}

#[inline(always)]
fn answer6<const TC: bool>(context: *mut c_void, plan: &Plan, mtu: u32) -> Option<()> {
    let quoted = cut::<TC>(context, plan, QUOTE6)? as u64;
    let (data, end) = make_room::<TC>(context, 48)?;
    let ip = data + ETHERNET;
    if ip + 48 + 40 > end {
        return None;
    }
    const ICMPV6: u8 = 58;
    let payload = 8 + QUOTE6;
    let mut sum = quoted + pseudo(ICMPV6, payload) + 2 + mtu.to_be() as u64;
    // SAFETY: just checked.
    unsafe {
        write::<u32>(ip, 0x60);
        write::<u32>(ip + 4, (payload as u16).to_be() as u32 | (ICMPV6 as u32) << 16 | 64 << 24);
        for word in 0..4 {
            let (client, vip): (u32, u32) = (read(ip + 48 + 8 + 4 * word), read(ip + 48 + 24 + 4 * word));
            write(ip + 8 + 4 * word, vip);
            write(ip + 24 + 4 * word, client);
            sum += client as u64 + vip as u64;
        }
        write::<u32>(ip + 40, 2 | (!fold(sum) as u32) << 16);
        write::<u32>(ip + 44, mtu.to_be());
    }
    Some(())
}

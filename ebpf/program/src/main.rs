//! The packet path of evenkeel: direct routing for virtual services, at an XDP and at a tc front door.
//!
//! Both doors run the same functions (rules PP-1 to PP-28 of docs/packet-path.md) and differ only in how a packet is
//! sent on. What a packet ends in is a [`Verdict`] or a [`Reason`]; one match at each door maps both to the door's codes.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![allow(
    internal_features,
    reason = "the BPF target has no atomics in core; the intrinsics compile to BPF instructions"
)]

mod admit;
mod answer;
mod atomic;
mod connect;
mod connection;
mod crc32c;
mod extension;
mod forward;
mod fragment;
mod icmp;
mod insert;
mod ip;
mod limit;
mod maps;
mod mark;
mod outer;
mod pair;
mod plan;
mod quick;
mod schedule;
mod sip;
mod template;
mod too_big;
mod translate;
mod tunnel;
mod unwrap;
mod vlan;

use aya_ebpf::{
    EbpfContext,
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1, xdp_action},
    helpers::generated as helpers,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use core::ffi::c_void;
use evenkeel_abi::{DEST_V6, Reason, flow::KEY4};

/// What becomes of a packet, in one register: the compiler leaves parts of an enum undefined, which the verifier refuses to
/// see copied.
#[derive(Clone, Copy)]
pub struct Verdict(u64);

const DELIVER: u32 = 0;
const SEND: u32 = 1;
const RESOLVE: u32 = 2;
const REASON: u32 = 3;
const REWRITE: u32 = 4;
const DONE: u32 = 5;
const BACK: u32 = 6;
const WRAP: u32 = 7;
const IPIP: u32 = 8;
const NAT: u32 = 9;
const FULL_NAT: u32 = 10;

impl Verdict {
    const fn new(kind: u32, value: u32) -> Verdict {
        Verdict((kind as u64) << 32 | value as u64)
    }

    /// To the host's own stack.
    pub const fn deliver() -> Verdict {
        Verdict::new(DELIVER, 0)
    }

    /// Rewritten: out of `interface`.
    pub const fn send(interface: u32) -> Verdict {
        Verdict::new(SEND, interface)
    }

    /// Rewritten but for the MAC addresses, which the kernel is to find out for real server `dest`. Tc only.
    pub const fn resolve(dest: u32) -> Verdict {
        Verdict::new(RESOLVE, dest)
    }

    /// A packet that ended in a reason.
    pub const fn refuse(reason: Reason) -> Verdict {
        Verdict::new(REASON, reason as u32)
    }

    /// What has come of something.
    pub fn of(outcome: Result<Verdict, Reason>) -> Verdict {
        match outcome {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::refuse(reason),
        }
    }

    /// To be rewritten as the plan on the door's stack says.
    pub const fn rewrite() -> Verdict {
        Verdict::new(REWRITE, 0)
    }

    /// Whether it is [`Verdict::rewrite`].
    pub const fn rewrites(self) -> bool {
        self.kind() == REWRITE
    }

    /// To be wrapped to real server `dest`, see [`quick::wraps`]; `port`: see [`outer::source_port`]. XDP only.
    pub const fn wrap(dest: u32, port: u16) -> Verdict {
        Verdict::new(WRAP, dest).with(port)
    }

    /// The same where [`quick::is_ipip`].
    pub const fn ipip(dest: u32) -> Verdict {
        Verdict::new(IPIP, dest)
    }

    /// To be translated to real server `dest`, see [`quick::translates`]. XDP only.
    pub const fn nat(dest: u32) -> Verdict {
        Verdict::new(NAT, dest)
    }

    /// The same of FullNAT; `slot`: that of the connection.
    pub const fn full_nat(slot: u32) -> Verdict {
        Verdict::new(FULL_NAT, slot)
    }

    /// Sent; `code` is the door's.
    pub const fn done(code: u32) -> Verdict {
        Verdict::new(DONE, code)
    }

    /// An answer of our own to where the packet came from, as it came: rewritten, MAC addresses too.
    pub const fn back() -> Verdict {
        Verdict::new(BACK, 0)
    }

    /// The same, leaving with a VLAN tag as tables have it; 0: without one.
    pub const fn tagged(self, vlan: u16) -> Verdict {
        self.with(vlan)
    }

    const fn with(self, upper: u16) -> Verdict {
        Verdict(self.0 | (upper as u64) << 48)
    }

    /// From [`Verdict::raw`].
    pub const fn from_raw(raw: u64) -> Verdict {
        Verdict(raw)
    }

    /// As a word.
    pub const fn raw(self) -> u64 {
        self.0
    }

    const fn kind(self) -> u32 {
        (self.0 >> 32) as u16 as u32
    }

    /// The VLAN tag, or of [`Verdict::wrap`] the port.
    pub const fn upper(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The real server, interface, slot, reason or code.
    pub const fn value(self) -> u32 {
        self.0 as u32
    }
}

/// Where a packet stands, and what the door it came in by can do.
#[derive(Clone, Copy)]
pub struct Frame {
    /// The door's context, for helpers.
    pub context: *mut c_void,
    /// First byte of the Ethernet header.
    pub data: usize,
    /// One past the last byte that can be touched.
    pub end: usize,
    /// Length of the whole frame, beyond `end` too.
    pub length: u32,
    /// The kernel can resolve next hops at this door, and packets may be larger than any frame.
    pub tc: bool,
}

#[xdp]
#[inline(always)]
pub fn evenkeel_xdp(ctx: XdpContext) -> u32 {
    // A tag is taken out of the frame and put back in for the host's stack: to the rules the frame never has one.
    let tag = vlan::take(ctx.as_ptr());
    let (data, end) = (ctx.data(), ctx.data_end());
    let frame = Frame { context: ctx.as_ptr(), data, end, length: (end - data) as u32, tc: false };
    let verdict = ip::packet(&frame, &mut plan::Place);
    let verdict = match verdict.kind() {
        REWRITE => plan::carry_out::<false>(ctx.as_ptr(), tag),
        WRAP => quick::wrap(ctx.as_ptr(), verdict),
        IPIP => Verdict::of(quick::ipip(ctx.as_ptr(), verdict)),
        NAT => Verdict::of(quick::nat::<KEY4>(ctx.as_ptr(), verdict)),
        FULL_NAT => Verdict::of(quick::full_nat::<KEY4>(ctx.as_ptr(), verdict)),
        _ => verdict,
    };
    match verdict.kind() {
        DONE => return verdict.value(),
        SEND => {
            if verdict.upper() != 0 && !vlan::put(ctx.as_ptr(), vlan::of_table(verdict.upper())) {
                return drop_xdp(Reason::NoHeadroom);
            }
            if verdict.value() == ctx.ingress_ifindex() as u32 {
                return xdp_action::XDP_TX;
            }
            // SAFETY: the helper takes no pointer.
            return unsafe { helpers::bpf_redirect(verdict.value(), 0) as u32 };
        }
        _ => {}
    }
    let action = match verdict.kind() {
        DELIVER => xdp_action::XDP_PASS,
        BACK => xdp_action::XDP_TX,
        _ if verdict.value() == Reason::EarlyFragment as u32 => {
            fragment::hand_over::<false>(ctx.as_ptr());
            return drop_xdp(Reason::EarlyFragment);
        }
        _ if end_in(verdict.value()) => xdp_action::XDP_PASS,
        _ => return xdp_action::XDP_DROP,
    };
    if tag & vlan::TAKEN != 0 && !vlan::put(ctx.as_ptr(), tag) {
        return drop_xdp(Reason::NoHeadroom);
    }
    action
}

#[inline(always)]
fn drop_xdp(reason: Reason) -> u32 {
    maps::count(reason);
    xdp_action::XDP_DROP
}

/// Counts a packet that ends in a reason; whether it passes.
#[inline(always)]
fn end_in(reason: u32) -> bool {
    let reason = Reason::from_number(reason);
    maps::count(reason);
    reason.passes()
}

/// Bytes of headers the rules look at: Ethernet, IPv6, ICMPv6, a quoted IPv6 header and its ports.
const HEADERS: u32 = 14 + 40 + 8 + 40 + 8;

#[classifier]
#[inline(always)]
pub fn evenkeel_tc(ctx: TcContext) -> i32 {
    let length = ctx.len();
    if ctx.data() + 74 > ctx.data_end() && length as usize > ctx.data_end() - ctx.data() {
        // A failure leaves the packet as it is: too short to be looked at, it passes.
        let _ = ctx.pull_data(if length < HEADERS { length } else { HEADERS });
    }
    let frame = Frame { context: ctx.as_ptr(), data: ctx.data(), end: ctx.data_end(), length, tc: true };
    let mut verdict = ip::packet(&frame, &mut plan::Place);
    if verdict.kind() == REWRITE {
        verdict = plan::carry_out::<true>(ctx.as_ptr(), vlan::taken_by_kernel(ctx.skb.skb));
    }
    if verdict.kind() == SEND || verdict.kind() == RESOLVE {
        // The kernel has taken the tag out of the frame (PP-1).
        // SAFETY: a field of the context.
        let has_tag = unsafe { (*ctx.skb.skb).vlan_present } != 0;
        if (has_tag || verdict.upper() != 0) && !vlan::change(ctx.as_ptr(), has_tag, vlan::of_table(verdict.upper())) {
            maps::count(Reason::NoHeadroom);
            return TC_ACT_SHOT as i32;
        }
    }
    match verdict.kind() {
        DELIVER => TC_ACT_UNSPEC,
        DONE => verdict.value() as i32,
        // SAFETY: the helper takes no pointer.
        SEND => unsafe { helpers::bpf_redirect(verdict.value(), 0) as i32 },
        // SAFETY: as above.
        BACK => unsafe { helpers::bpf_redirect(plan::ingress::<true>(ctx.as_ptr()), 0) as i32 },
        RESOLVE => resolve(verdict.value()),
        _ if verdict.value() == Reason::EarlyFragment as u32 => {
            fragment::hand_over::<true>(ctx.as_ptr());
            maps::count(Reason::EarlyFragment);
            TC_ACT_SHOT as i32
        }
        _ if end_in(verdict.value()) => TC_ACT_UNSPEC,
        _ => TC_ACT_SHOT as i32,
    }
}

/// Sends the packet to a next hop whose MAC address the kernel looks up, asking for it when it must (PP-26). A function of
/// its own: what it needs of the stack is not the door's.
#[inline(never)]
fn resolve(dest: u32) -> i32 {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    let Some(dest) = maps::DESTS.get(dest) else { return TC_ACT_SHOT as i32 };
    let family = if dest.flags & DEST_V6 != 0 { AF_INET6 } else { AF_INET };
    let next_hop = bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: dest.next_hop };
    let mut params = bpf_redir_neigh { nh_family: family, __bindgen_anon_1: next_hop };
    // SAFETY: `params` outlives the call and its size is given.
    unsafe { helpers::bpf_redirect_neigh(dest.interface, &mut params, size_of::<bpf_redir_neigh>() as i32, 0) as i32 }
}

/// Returns the kernel's tick (low 32 bits of jiffies) as its verdict: the daemon's clock for the connection table, run
/// by program test run only.
#[xdp]
pub fn evenkeel_clock(ctx: XdpContext) -> u32 {
    let _ = ctx.as_ptr();
    maps::now()
}

/// Passes everything: native XDP transmission towards a veth device needs a program on its peer.
#[xdp]
pub fn evenkeel_pass(ctx: XdpContext) -> u32 {
    let _ = ctx.as_ptr();
    xdp_action::XDP_PASS
}

/// `bpf_redirect_neigh` and `bpf_jiffies64` are for programs that declare a GPL-compatible licence.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
pub static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

//! What a door has to do to a packet of which more than the MAC addresses changes.
//!
//! The rules find out, the door carries out: it holds the context that the kernel's helpers want. A [`Plan`] lies in this CPU's
//! element of `maps::SCRATCH`, as the stack has no room for it, and is filled for such packets only. There the verifier knows
//! nothing about what it holds, and looks at what carries it out once. It holds no pointers, which it does not let through memory.

use crate::{Verdict, answer, forward::NO_SLOT, ip::Packet, maps, too_big, translate, tunnel};
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use core::{arch::asm, ffi::c_void, mem::offset_of};
use evenkeel_abi::{
    Reason,
    flow::{KEY4, KEY6},
};

/// [`Plan::kind`]: to its real server with other addresses and ports (PP-40, PP-44).
pub const FORWARD: u32 = 0;
/// To the client, likewise (PP-42, PP-43).
pub const ANSWER: u32 = 1;
/// An ICMP error, to the real server (PP-45).
pub const ERROR_FORWARD: u32 = 2;
/// An ICMP error, to the client.
pub const ERROR_ANSWER: u32 = 3;

/// To the real server, wrapped (PP-46).
pub const TUNNEL: u32 = 4;

/// A later fragment of an answer (PP-50), whose addresses are known.
pub const ANSWER_PART: u32 = 8;

/// Bound of the offsets in a [`Plan`]: the extension headers of an ICMP error and of what it quotes.
pub const OFFSETS: u32 = 0x7ffc;

/// Where a plan is put.
pub struct Place;

impl Place {
    /// Puts a plan there.
    #[inline(always)]
    pub fn write(&mut self, plan: Plan) -> Result<&mut Plan, Reason> {
        let scratch = maps::SCRATCH.get_ptr_mut(0).ok_or(Reason::Internal)?;
        // SAFETY: this CPU's own element, which nobody else looks at while the packet is.
        unsafe {
            (&raw mut (*scratch).plan).write(plan);
            Ok(&mut (*scratch).plan)
        }
    }

    /// The plan that was put there.
    #[inline(always)]
    pub fn get(&mut self) -> Result<&mut Plan, Reason> {
        let scratch = maps::SCRATCH.get_ptr_mut(0).ok_or(Reason::Internal)?;
        // SAFETY: as above.
        Ok(unsafe { &mut (*scratch).plan })
    }
}

/// See above. All offsets are counted from behind the 14 bytes of the Ethernet header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Plan {
    /// What follows once the packet has been rewritten, of packets to real servers: a [`Verdict`].
    pub then: u64,
    /// Hash of the connection.
    pub hash: u64,
    pub kind: u32,
    /// 4 or 6.
    pub family: u32,
    /// The real server.
    pub dest: u32,
    /// IP length.
    pub bytes: u32,
    /// The tag it came with, see [`crate::vlan::take`]. Filled in by the door.
    pub tag: u32,
    /// Where the transport header begins; a multiple of 4, below [`OFFSETS`].
    pub transport: u32,
    /// IANA number; 0: a fragment without a transport header.
    pub protocol: u32,
    /// The ports the packet gets, source first, as they stand in it.
    pub ports: u32,
    /// Of an ICMP error: where the quoted packet's transport header begins; a multiple of 4. `protocol`, addresses and ports are then
    /// those of packets of the same direction as the error.
    pub inner: u32,
    /// As [`crate::ip::Packet::flags`].
    pub flags: u32,
    /// Number of the connection's slot, or of the way back's; or `forward::NO_SLOT`.
    pub slot: u32,
    /// As [`crate::forward::Target::port`].
    pub port: u32,
    /// As [`crate::ip::Packet::part`].
    pub part: u32,
    /// Of an answer that is larger than its route lets through: the largest that is not.
    pub mtu: u32,
    /// The addresses it gets; IPv4: the first word.
    pub source: [u32; 4],
    pub destination: [u32; 4],
}

impl Plan {
    /// What a packet of a family says of itself; where it goes is yet to be found out.
    #[inline(always)]
    pub fn of<const K: usize>(packet: &Packet, kind: u32) -> Plan {
        Plan {
            then: 0,
            hash: 0,
            kind,
            family: if K == KEY4 { 4 } else { 6 },
            dest: 0,
            bytes: packet.bytes,
            tag: 0,
            transport: packet.transport,
            protocol: packet.protocol as u32,
            ports: packet.ports,
            inner: 0,
            flags: packet.flags as u32,
            slot: NO_SLOT,
            port: 0,
            part: packet.part as u32,
            mtu: 0,
            source: [0; 4],
            destination: [0; 4],
        }
    }
}

/// Completes a plan in a global function, which is verified once whatever the plan holds: 0, or 1 plus the number of a reason.
///
/// # Safety
/// `plan` points to a [`Plan`], or nowhere.
#[inline(always)]
pub unsafe fn complete(plan: *mut Plan, how: impl FnOnce(&mut Plan) -> Result<(), Reason>) -> u64 {
    if plan.is_null() {
        return Reason::Internal as u64 + 1;
    }
    // SAFETY: not null.
    match how(unsafe { &mut *plan }) {
        Ok(()) => 0,
        Err(reason) => reason as u64 + 1,
    }
}

/// Where a packet lies: its first byte, and one past the last that can be touched.
#[inline(always)]
pub fn bounds<const TC: bool>(context: *mut c_void) -> (usize, usize) {
    const { assert!(offset_of!(__sk_buff, data) == 76 && offset_of!(__sk_buff, data_end) == 80) };
    const { assert!(offset_of!(xdp_md, data) == 0 && offset_of!(xdp_md, data_end) == 4) };
    let (data, end): (usize, usize);
    // The fields are 32 bits wide, what is read are pointers: the compiler must not narrow them again.
    // SAFETY: reads two fields of the context of a program of this kind.
    unsafe {
        if TC {
            asm!("{0} = *(u32 *)({2} + 76)", "{1} = *(u32 *)({2} + 80)", out(reg) data, out(reg) end, in(reg) context);
        } else {
            asm!("{0} = *(u32 *)({2} + 0)", "{1} = *(u32 *)({2} + 4)", out(reg) data, out(reg) end, in(reg) context);
        }
    }
    (data, end)
}

/// The interface a packet came in by.
#[inline(always)]
pub fn ingress<const TC: bool>(context: *mut c_void) -> u32 {
    // SAFETY: as above.
    unsafe { if TC { (*context.cast::<__sk_buff>()).ifindex } else { (*context.cast::<xdp_md>()).ingress_ifindex } }
}

/// Carries a plan out for a packet that came with this tag; what then becomes of it. First what becomes of it, then the translation: no two of these functions'
/// stacks lie on top of each other.
#[inline(always)]
pub fn carry_out<const TC: bool>(context: *mut c_void, tag: u32) -> Verdict {
    let Some(scratch) = maps::SCRATCH.get_ptr_mut(0) else { return Verdict::refuse(Reason::Internal) };
    // SAFETY: this CPU's own element; only a verdict that says that there is a plan leads here.
    let plan = unsafe { &mut (*scratch).plan };
    plan.tag = tag;
    let v4 = plan.family == 4;
    // SAFETY: a plan, which is what the functions take.
    let refused = unsafe {
        match plan.kind {
            TUNNEL => return tunnel::wrap::<TC>(context, plan),
            FORWARD | ERROR_FORWARD if v4 => translate::evenkeel_forward4(plan),
            FORWARD | ERROR_FORWARD => translate::evenkeel_forward6(plan),
            _ if v4 => match answer::evenkeel_answer4(plan) {
                0 => answer::send::<KEY4, TC>(context, plan),
                refused => refused,
            },
            _ => match answer::evenkeel_answer6(plan) {
                0 => answer::send::<KEY6, TC>(context, plan),
                refused => refused,
            },
        }
    };
    if refused == Reason::TooBig as u64 + 1 && plan.kind == ANSWER {
        return too_big::answer::<TC>(context, plan, plan.mtu);
    }
    if refused != 0 {
        return Verdict::refuse(Reason::from_number(refused as u32 - 1));
    }
    if v4 { translate::carry_out::<KEY4, TC>(context, plan) } else { translate::carry_out::<KEY6, TC>(context, plan) }
}

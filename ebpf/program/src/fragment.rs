//! Fragments go where the first one of their packet went (PP-50).
//!
//! The first fragment is noted when it comes, and its note completed once it is known where it goes. Cold: all that touches
//! the map is in functions of their own.

use crate::{
    Frame, Verdict, answer,
    extension::Headers,
    forward::{self, NO_SLOT, Target},
    ip::{ETHERNET, ICMP, ICMPV6, LATER, Packet},
    maps,
    plan::{Place, Plan, bounds, ingress},
};
use aya_ebpf::{bindings::__sk_buff, helpers::generated as helpers};
use core::ffi::c_void;
use evenkeel_abi::{
    Reason,
    fragment::{EARLY_FRAME, Early, Fragment, PASSED, Trace},
};

/// A fragment and what to do with it. It lies in this CPU's element of `maps::SCRATCH`: the stack has no room for it.
#[repr(C)]
pub struct Question {
    pub key: Fragment,
    /// Where the first fragment goes.
    pub to: Trace,
}

#[inline(always)]
fn scratch() -> Option<*mut Question> {
    // SAFETY: the element has room for the field.
    maps::SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &raw mut (*scratch).question })
}

/// Answer of [`evenkeel_fragment_find`]: beside the real server's index.
const FOUND: u64 = 1 << 32;
/// The same: an answer's.
const ANSWER: u64 = 1 << 33;

/// Asks about a fragment of an IPv4 packet, from here on until the end of the packet.
#[inline(always)]
pub fn ask4(source: u32, destination: u32, identification: u16, protocol: u8) {
    let (identification, protocol) = (identification as u32, protocol as u16);
    ask(Fragment {
        source: [source, 0, 0, 0],
        destination: [destination, 0, 0, 0],
        identification,
        protocol,
        family: 4,
    });
}

/// The same of IPv6.
#[inline(always)]
pub fn ask6(source: [u32; 4], destination: [u32; 4], identification: u32) {
    ask(Fragment { source, destination, identification, protocol: 0, family: 6 });
}

#[inline(always)]
fn ask(key: Fragment) {
    if let Some(question) = scratch() {
        // SAFETY: this CPU's own element.
        unsafe { (*question).key = key };
    }
}

/// Notes that the first fragment, which has been asked about, is here. Until it is known where it goes the others pass.
#[inline(always)]
pub fn arrived() {
    evenkeel_fragment_note(PASSED);
}

/// Notes that it goes to real server `dest`.
#[inline(always)]
pub fn goes(dest: u32) -> Result<(), Reason> {
    if evenkeel_fragment_note(dest) != 0 { Err(Reason::BadFragment) } else { Ok(()) }
}

/// Notes that it is an answer, with the addresses of its plan.
#[inline(always)]
pub fn comes_from(plan: &Plan) -> Result<(), Reason> {
    let Some(question) = scratch() else { return Err(Reason::Internal) };
    // SAFETY: this CPU's own element.
    unsafe { ((*question).to.source, (*question).to.destination) = (plan.source, plan.destination) };
    if evenkeel_fragment_answer(plan.dest) != 0 { Err(Reason::BadFragment) } else { Ok(()) }
}

/// Notes where the first fragment of an answer, which has been asked about, leaves by: the daemon sends early ones there.
#[inline(always)]
pub fn leaves(interface: u32) {
    evenkeel_fragment_leaves(interface);
}

/// See [`leaves`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_fragment_leaves(interface: u32) -> u64 {
    let Some(question) = scratch() else { return 0 };
    // SAFETY: this CPU's own element.
    if let Some(trace) = maps::FRAGMENTS.get_ptr_mut(unsafe { &*(&raw const (*question).key) }) {
        // SAFETY: an element of the map.
        unsafe { (&raw mut (*trace).interface).write_volatile(interface) };
    }
    0
}

/// Gives a plan the addresses that the first fragment of an answer got, which has been asked about and found.
#[inline(always)]
pub fn answered(plan: &mut Plan) -> Result<(), Reason> {
    let Some(question) = scratch() else { return Err(Reason::Internal) };
    // SAFETY: as above.
    (plan.source, plan.destination) = unsafe { ((*question).to.source, (*question).to.destination) };
    Ok(())
}

/// Sends a later fragment on, which has been asked about. `flow`: its addresses, without ports.
#[inline(always)]
pub fn later<const K: usize>(
    frame: &Frame,
    headers: &Headers,
    flow: &[u64; K],
    bytes: u32,
    plan: &mut Place,
) -> Result<Verdict, Reason> {
    if headers.protocol == ICMP || headers.protocol == ICMPV6 {
        return Err(Reason::NotOurs);
    }
    if headers.transport + ETHERNET as u32 > frame.length {
        return Err(Reason::NotOurs);
    }
    if bytes + ETHERNET as u32 > frame.length {
        return Err(Reason::BadLength);
    }
    let found = evenkeel_fragment_find();
    if found & FOUND == 0 {
        return Err(Reason::EarlyFragment);
    }
    if found as u32 == PASSED {
        return Err(Reason::NotOurs);
    }
    let (part, transport) = (LATER, headers.transport);
    let packet = Packet { ports: 0, protocol: 0, flags: 0, part, bytes, transport, answer_only: false, bad: None };
    if found & ANSWER != 0 {
        return answer::part::<K>(&packet, found as u32, plan);
    }
    let target = Target::of(found as u32, 0, NO_SLOT)?;
    forward::finish::<K, false>(frame, &packet, flow, 0, target, plan)
}

/// Gives the daemon the frame of a fragment that came before its first one. Where the ring has no room it is lost.
#[inline(never)]
pub fn hand_over<const TC: bool>(context: *mut c_void) {
    let (data, end) = bounds::<TC>(context);
    // SAFETY: a field of the context.
    let length = if TC { unsafe { (*context.cast::<__sk_buff>()).len } } else { (end - data) as u32 };
    if length == 0 || length > EARLY_FRAME as u32 {
        return;
    }
    let interface = ingress::<TC>(context);
    let length = 1 + maps::bounded::<{ EARLY_FRAME as u32 - 1 }>(length - 1) as u32;
    let ring = (&raw const maps::EARLY).cast_mut().cast();
    // SAFETY: the map is a ring; what it gives has the size that was asked for, and is given back below.
    unsafe {
        let early: *mut Early = helpers::bpf_ringbuf_reserve(ring, size_of::<Early>() as u64, 0).cast();
        if early.is_null() {
            return;
        }
        (*early).interface = interface;
        (*early).length = length;
        let frame = (&raw mut (*early).frame).cast();
        let failed = if TC {
            helpers::bpf_skb_load_bytes(context, 0, frame, length)
        } else {
            helpers::bpf_xdp_load_bytes(context.cast(), 0, frame, length)
        };
        if failed == 0 {
            helpers::bpf_ringbuf_submit(early.cast(), 0);
        } else {
            helpers::bpf_ringbuf_discard(early.cast(), 0);
        }
    }
}

/// Whether a note is in force.
#[inline(always)]
fn fresh(trace: *mut Trace) -> bool {
    // SAFETY: an element of the map.
    let seen = unsafe { (&raw const (*trace).seen).read_volatile() };
    (maps::now().wrapping_sub(seen) as i32) <= maps::fragment_timeout() as i32
}

/// Notes that the first fragment, which is asked about, goes to real server `dest`; that it is here, with [`PASSED`]. 1 if
/// another one with the same identification has gone elsewhere (PP-51). A global function: verified once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_fragment_note(dest: u32) -> u64 {
    note(dest, 0)
}

/// Notes that the first fragment, which is asked about, is an answer of real server `dest`, see [`evenkeel_fragment_note`]. The addresses
/// it gets stand beside the question.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_fragment_answer(dest: u32) -> u64 {
    note(dest, 1)
}

#[inline(always)]
fn note(dest: u32, answer: u32) -> u64 {
    let Some(question) = scratch() else { return 1 };
    // SAFETY: this CPU's own element.
    let (key, to) = unsafe { (&*(&raw const (*question).key), &mut *(&raw mut (*question).to)) };
    if let Some(trace) = maps::FRAGMENTS.get_ptr_mut(key)
        && fresh(trace)
    {
        // SAFETY: an element of the map.
        let before = unsafe { (&raw const (*trace).dest).read_volatile() };
        if before != PASSED || dest == PASSED {
            return (before != dest && dest != PASSED) as u64;
        }
    }
    (to.seen, to.dest, to.answer, to.interface) = (maps::now(), dest, answer, 0);
    // A full map makes room of its own.
    let _ = maps::FRAGMENTS.insert(key, &*to, 0);
    0
}

/// Where the first fragment of the packet that is asked about went: [`FOUND`] and the real server's index, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_fragment_find() -> u64 {
    let Some(question) = scratch() else { return 0 };
    // SAFETY: this CPU's own element.
    let Some(trace) = maps::FRAGMENTS.get_ptr_mut(unsafe { &*(&raw const (*question).key) }) else { return 0 };
    if !fresh(trace) {
        return 0;
    }
    // SAFETY: an element of the map.
    let (dest, answer) =
        unsafe { ((&raw const (*trace).dest).read_volatile(), (&raw const (*trace).answer).read_volatile()) };
    if answer != 0 {
        // SAFETY: as above.
        unsafe { ((*question).to.source, (*question).to.destination) = ((*trace).source, (*trace).destination) };
        return FOUND | ANSWER | dest as u64;
    }
    FOUND | dest as u64
}

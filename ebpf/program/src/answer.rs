//! Answers of translated real servers, on their way to clients (PP-42, PP-43).

use crate::{
    Verdict, atomic,
    connection::{self, Found, expired, is_busy},
    forward::{account_out, age},
    fragment,
    ip::{ETHERNET, FIRST, Packet, WHOLE, read, write},
    maps, pair,
    plan::{ANSWER, ANSWER_PART, Place, Plan, bounds, complete, ingress},
    translate, tunnel, vlan,
};
use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
        BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup, bpf_redir_neigh,
        bpf_redir_neigh__bindgen_ty_1,
    },
    helpers::generated as helpers,
};
use core::ffi::c_void;
use evenkeel_abi::{
    Reason,
    flow::{self, KEY4, KEY6},
    link::{Link, Way},
    state::{self, Direction, State},
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Writes down an answer whose way back was found, or an error about one that was sent; `kind` and `inner` as in [`Plan`].
#[inline(always)]
pub fn plan<const K: usize>(
    packet: &Packet,
    found: Found,
    (kind, inner): (u32, u32),
    place: &mut Place,
) -> Result<Verdict, Reason> {
    let bad = match packet.bad {
        Some(reason) => reason as u64 + 1,
        None => 0,
    };
    place.write(Plan { then: bad, inner, slot: found.number(), ..Plan::of::<K>(packet, kind) })?;
    Ok(Verdict::rewrite())
}

/// Writes down a later fragment of an answer of real server `dest`, with the addresses that the first one got.
#[inline(always)]
pub fn part<const K: usize>(packet: &Packet, dest: u32, place: &mut Place) -> Result<Verdict, Reason> {
    place.write(Plan { dest, ..Plan::of::<K>(packet, ANSWER_PART) })?;
    Ok(Verdict::rewrite())
}

/// Completes the plan of an answer, and follows the state of its connection. Returns 0, or 1 plus the number of a reason.
///
/// # Safety
/// `plan` points to a [`Plan`], or nowhere.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_answer4(plan: *mut Plan) -> u64 {
    // SAFETY: the caller's.
    unsafe { complete(plan, try_complete::<KEY4>) }
}

/// See [`evenkeel_answer4`].
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_answer6(plan: *mut Plan) -> u64 {
    // SAFETY: as there.
    unsafe { complete(plan, try_complete::<KEY6>) }
}

#[inline(always)]
fn try_complete<const K: usize>(plan: &mut Plan) -> Result<(), Reason> {
    const UNKNOWN: Reason = Reason::NotOurs;
    if plan.kind == ANSWER_PART {
        return fragment::answered(plan).map_err(|_| UNKNOWN);
    }
    let back = pair::slot::<K>(plan.slot).ok_or(UNKNOWN)?;
    // SAFETY: words of a slot.
    let (value, last) = unsafe { (atomic::read(back.add(1)), atomic::read(back.add(1 + K))) };
    let of = pair::partner::<K>(plan.slot, value, last).ok_or(UNKNOWN)?;
    let (state, now) = (flow::state(of.value), maps::now());
    // Another flow's way back may stand here by now.
    let same = flow::state(value) == State::Reverse as u32 && (last >> 32) as u32 == plan.ports;
    let lives = of.meta != 0 && !is_busy(of.meta) && of.linked && state::is_connection(state);
    if !same || !lives || expired(of.value, now) {
        return Err(UNKNOWN);
    }
    if plan.then != 0 {
        return Err(Reason::from_number(plan.then as u32 - 1));
    }
    if plan.kind == ANSWER {
        let row = connection::row(plan.protocol as u8, plan.flags as u8, Direction::Output);
        connection::follow::<K>(of.slot, flow::link(value, last), of.value, row, now);
    }
    plan.dest = flow::dest(of.value);
    // SAFETY: the key's words of a slot.
    unsafe {
        let word = |index: usize| atomic::read(of.slot.add(2 + index));
        let ports = (word(K - 1) >> 32) as u32;
        plan.ports = ports >> 16 | ports << 16;
        if K == KEY4 {
            plan.source[0] = word(0) as u32;
            plan.destination[0] = (word(0) >> 32) as u32;
        } else {
            plan.source = [(word(2) >> 32) as u32, word(2) as u32, (word(3) >> 32) as u32, word(3) as u32];
            plan.destination = [(word(0) >> 32) as u32, word(0) as u32, (word(1) >> 32) as u32, word(1) as u32];
        }
    }
    if plan.part != FIRST as u32 {
        return Ok(());
    }
    fragment::comes_from(plan).map_err(|_| Reason::BadFragment)?;
    if translate::is_beyond(plan, (last >> 32) as u32) { Err(Reason::SctpFragment) } else { Ok(()) }
}

/// What is known of an interface, or of what comes by it with a tag; nothing: all 0.
#[inline(always)]
fn link(interface: u32, tag: u32) -> Way {
    // SAFETY: the value is copied out at once.
    unsafe { maps::LINKS.get(Link { interface, tag }).copied().unwrap_or_default() }
}

/// The interface that routes see a packet come in by: the VLAN's, where it had a tag and there is one.
#[inline(always)]
fn came_by(interface: u32, tag: u32) -> u32 {
    let tag = vlan::to_table(tag);
    if tag == 0 {
        return interface;
    }
    let vlan = link(interface, tag).interface;
    if vlan == 0 { interface } else { vlan }
}

/// Finds out where an answer goes, and ages it; the plan then says what follows. Returns 0, or 1 plus the number of a reason.
#[inline(never)]
pub fn send<const K: usize, const TC: bool>(context: *mut c_void, plan: &mut Plan) -> u64 {
    match try_send::<K, TC>(context, plan) {
        Ok(verdict) => {
            plan.then = verdict.raw();
            account_out(plan.dest, plan.bytes);
            0
        }
        Err(reason) => reason as u64 + 1,
    }
}

#[inline(always)]
fn try_send<const K: usize, const TC: bool>(context: *mut c_void, plan: &mut Plan) -> Result<Verdict, Reason> {
    let (data, end) = bounds::<TC>(context);
    let ip = data + ETHERNET;
    if ip + if K == KEY4 { 20 } else { 40 } > end {
        return Err(Reason::Internal);
    }
    // SAFETY: all zeroes are a value of the structure.
    let mut route: bpf_fib_lookup = unsafe { core::mem::zeroed() };
    route.family = if K == KEY4 { AF_INET } else { AF_INET6 };
    route.l4_protocol = plan.protocol as u8;
    (route.sport, route.dport) = (plan.ports as u16, (plan.ports >> 16) as u16);
    route.ifindex = came_by(ingress::<TC>(context), plan.tag);
    route.__bindgen_anon_1.tot_len = tunnel::largest::<TC>(context, plan)? as u16;
    // SAFETY: within the header just checked.
    unsafe {
        if K == KEY4 {
            route.__bindgen_anon_2.tos = read(ip + 1);
            route.__bindgen_anon_3.ipv4_src = plan.source[0];
            route.__bindgen_anon_4.ipv4_dst = plan.destination[0];
        } else {
            route.__bindgen_anon_2.flowinfo = read::<u32>(ip) & 0x0fff_ffff_u32.to_be();
            route.__bindgen_anon_3.ipv6_src = plan.source;
            route.__bindgen_anon_4.ipv6_dst = plan.destination;
        }
    }
    // SAFETY: `route` outlives the call and its size is given.
    let found = unsafe { helpers::bpf_fib_lookup(context, &mut route, size_of::<bpf_fib_lookup>() as i32, 0) } as u32;
    let resolved = match found {
        BPF_FIB_LKUP_RET_SUCCESS => true,
        BPF_FIB_LKUP_RET_NO_NEIGH if TC => false,
        // To the host itself, or without a route: the host says.
        BPF_FIB_LKUP_RET_NOT_FWDED => return Ok(Verdict::deliver()),
        BPF_FIB_LKUP_RET_FWD_DISABLED => return Err(Reason::NotForwarding),
        BPF_FIB_LKUP_RET_FRAG_NEEDED => {
            // SAFETY: with this outcome the kernel has written the field.
            plan.mtu = unsafe { route.__bindgen_anon_1.mtu_result } as u32;
            return Err(Reason::TooBig);
        }
        _ => return Err(Reason::NoNextHop),
    };
    let way = link(route.ifindex, 0);
    if !TC && way.interface == 0 {
        return Err(Reason::NotByXdp);
    }
    // SAFETY: the IP header was checked, and the Ethernet header comes before it.
    unsafe {
        age::<K>(ip)?;
        let (to, from) = ((&raw const route.dmac).cast::<u16>(), (&raw const route.smac).cast::<u16>());
        write(data, to.read());
        write(data + 2, to.add(1).read());
        write(data + 4, to.add(2).read());
        write(data + 6, from.read());
        write(data + 8, from.add(1).read());
        write(data + 10, from.add(2).read());
    }
    if resolved {
        if plan.part != WHOLE as u32 {
            // The daemon sends what has come before as the XDP door would, where that can.
            fragment::leaves(if way.interface == 0 { route.ifindex } else { way.interface });
        }
        return Ok(if TC { Verdict::send(route.ifindex) } else { Verdict::send(way.interface).tagged(way.tag as u16) });
    }
    // The next hop stands where the destination was asked for.
    // SAFETY: the union's largest field, all of it written.
    let next_hop = bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: unsafe { route.__bindgen_anon_4.ipv6_dst } };
    let mut hop = bpf_redir_neigh { nh_family: route.family as u32, __bindgen_anon_1: next_hop };
    // SAFETY: `hop` outlives the call and its size is given.
    let code = unsafe { helpers::bpf_redirect_neigh(route.ifindex, &mut hop, size_of::<bpf_redir_neigh>() as i32, 0) };
    Ok(Verdict::done(code as u32))
}

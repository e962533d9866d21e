//! Chooses a real server for a new connection (PP-18 to PP-23, PP-29 to PP-32).
//!
//! Schedulers walk the service's list, or look into its table, in `CELLS` (`abi::List` says how they lie there). Walks go in
//! chunks, each a call of a global function that is verified once.

mod hash;
mod least;
mod locality;
mod overload;
mod random;
mod round;
mod walk;

pub use overload::made;

use crate::{atomic, connect::New, maps};
use evenkeel_abi::{
    LIST_HEAD_CELLS, List, SCHED_DH, SCHED_FO, SCHED_LBLC, SCHED_LBLCR, SCHED_LC, SCHED_MAGLEV, SCHED_MH, SCHED_NQ,
    SCHED_OVF, SCHED_RR, SCHED_SED, SCHED_SH, SCHED_TWOS, SCHED_WLC, SCHED_WRR, SERVICE_HASH_FALLBACK,
    SERVICE_HASH_PORT, SERVICE_THRESHOLDS,
    flow::KEY4,
    locality::{Destination, Servers},
};
use walk::Condition;

/// A choice: what schedulers look at, and what they note on the way. The element of this CPU in a map, as stacks have no room.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Choice {
    /// The service, and where the client sends to.
    destination: Destination,
    /// Hash of the flow.
    hash: u64,
    /// The client's address as the kernel folds it, in host order.
    source: u32,
    /// Its port, in host order.
    port: u32,
    now: u32,
    spare: u32,
    walk: least::Walk,
    survey: locality::Survey,
    turn: round::Turn,
    /// What is to be remembered.
    servers: Servers,
}

/// What the global functions return for nobody.
const NOBODY: u64 = 1 << 32;

/// The real server of a new connection to its service; `None` when nobody is usable.
#[inline(always)]
pub fn choose<const K: usize>(new: &New<K>) -> Option<u32> {
    let service = new.service;
    // SAFETY: this CPU's own element; there is one choice at a time.
    let choice = unsafe { &mut *maps::CHOICE.get_ptr_mut(0)? };
    let key = &new.key;
    if K == KEY4 {
        choice.destination = Destination { service, family: 4, address: [key[0] as u32, 0, 0, 0] };
        choice.source = u32::from_be((key[0] >> 32) as u32);
    } else {
        let address = [(key[2] >> 32) as u32, key[2] as u32, (key[3] >> 32) as u32, key[3] as u32];
        choice.destination = Destination { service, family: 6, address };
        choice.source = u32::from_be((key[0] >> 32) as u32 ^ key[0] as u32 ^ (key[1] >> 32) as u32 ^ key[1] as u32);
    }
    (choice.hash, choice.now, choice.port) = (new.hash, new.now, u16::from_be(new.ports as u16) as u32);
    let chosen = evenkeel_choose();
    if chosen < NOBODY { Some(chosen as u32) } else { None }
}

/// This CPU's choice.
#[inline(always)]
fn choice() -> Option<&'static mut Choice> {
    // SAFETY: this CPU's own element; who has it calls nobody who takes it while it is used.
    maps::CHOICE.get_ptr_mut(0).map(|choice| unsafe { &mut *choice })
}

/// [`choose`], for both families.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_choose() -> u64 {
    match choice() {
        Some(choice) => try_choose(choice),
        None => NOBODY,
    }
}

#[inline(always)]
fn try_choose(choice: &Choice) -> u64 {
    let Some(service) = maps::SERVICES.get_ptr_mut(choice.destination.service) else { return NOBODY };
    // SAFETY: an element of the array; the list is one word, so that its parts belong together.
    let (list, flags) = unsafe {
        (List::unpack(atomic::read(&raw const (*service).list)), (&raw const (*service).flags).read_volatile())
    };
    if list.length == 0 {
        return NOBODY;
    }
    let heed = (flags & SERVICE_THRESHOLDS != 0) as u32;
    let fallback = flags & SERVICE_HASH_FALLBACK;
    let port = if flags & SERVICE_HASH_PORT != 0 { choice.port } else { 0 };
    let (id, raw) = (choice.destination.service, list.pack());
    match list.kind {
        SCHED_RR if heed == 0 => round::rr(service, list),
        SCHED_RR => round::evenkeel_rr_admitted(id, raw),
        SCHED_WRR if heed == 0 => round::evenkeel_wrr(id, raw),
        SCHED_WRR => round::wrr_admitted(id, raw),
        SCHED_MH => hash::evenkeel_mh(raw, choice.source.wrapping_add(port), fallback, heed),
        SCHED_SH => hash::evenkeel_sh(raw, choice.source.wrapping_add(port), fallback, heed),
        SCHED_DH => hash::evenkeel_sh(raw, folded(&choice.destination.address), 0, heed),
        SCHED_MAGLEV => hash::evenkeel_maglev(raw, choice.hash, heed),
        SCHED_LC | SCHED_WLC | SCHED_SED => least::evenkeel_least(raw, heed),
        SCHED_NQ => match walk::find_dest(raw, Condition::IDLE.pack(), heed) {
            NOBODY => least::evenkeel_least(raw, heed),
            dest => dest,
        },
        SCHED_FO => walk::find_dest(raw, Condition::ANY.pack(), heed),
        SCHED_OVF => walk::find_dest(raw, Condition::HAS_ROOM.pack(), heed),
        SCHED_LBLC | SCHED_LBLCR => locality::choose(list, heed),
        SCHED_TWOS => random::choose(raw, heed),
        _ => NOBODY,
    }
}

/// A destination as the kernel folds it, in host order.
#[inline(always)]
fn folded(address: &[u32; 4]) -> u32 {
    u32::from_be(address[0] ^ address[1] ^ address[2] ^ address[3])
}

#[inline(always)]
fn cell(index: u32) -> Option<u64> {
    // SAFETY: an element of the array.
    maps::CELLS.get_ptr(index).map(|cell| unsafe { atomic::read(cell) })
}

/// The real server that a cell names, as the global functions return it: one register, as the compiler leaves the number of
/// an `Option` that is none undefined, which the verifier refuses to see copied.
#[inline(always)]
fn named(cell: Option<u64>) -> u64 {
    match cell {
        Some(cell) => cell as u32 as u64,
        None => NOBODY,
    }
}

/// The cell of a list's real server.
#[inline(always)]
fn member(list: List, place: u32) -> Option<u64> {
    cell(list.offset + LIST_HEAD_CELLS + place)
}

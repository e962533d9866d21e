//! Bounds new connections a second, of a service and of one source (PP-38).

use crate::{atomic, connect::New, maps};
use evenkeel_abi::{
    flow::KEY4,
    limit::{self, Source},
};

/// How often a budget is tried again that other CPUs spend from at the same time; then the packet is over the bound.
const TRIES: u32 = 16;

/// Whether the connection is within both bounds of its service.
#[inline(always)]
pub fn spend<const K: usize>(new: &New<K>) -> bool {
    let (family, high, low) =
        if K == KEY4 { (4, (new.key[0] >> 32) as u32, 0) } else { (6, (new.key[0] >> 32) as u32, new.key[0] as u32) };
    evenkeel_limit(new.service, family, high, low, new.now) != 0
}

/// 1 when a connection of a source (of IPv6 its first 64 bits) is within the bounds of a service, and counted. The source's
/// bound comes first: what one source sends too much does not take from what the others may have.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_limit(service: u32, family: u32, high: u32, low: u32, now: u32) -> u32 {
    let Some(entry) = maps::SERVICES.get_ptr_mut(service) else { return 0 };
    // SAFETY: an element of the array.
    let (new_rate, source_rate) =
        unsafe { ((&raw const (*entry).new_rate).read_volatile(), (&raw const (*entry).source_rate).read_volatile()) };
    let hertz = maps::ticks_per_second();
    if source_rate != 0 && !source_may(&Source { service, family, address: [high, low] }, now, source_rate, hertz) {
        return 0;
    }
    // SAFETY: a word of an element of the array.
    let within = new_rate == 0 || unsafe { take(&raw mut (*entry).budget, now, new_rate, hertz) };
    within as u32
}

#[inline(always)]
fn source_may(source: &Source, now: u32, rate: u32, hertz: u32) -> bool {
    if let Some(budget) = maps::SOURCES.get_ptr_mut(source) {
        // SAFETY: an element of the map, which may meanwhile become another source's: that one then has one less.
        return unsafe { take(budget, now, rate, hertz) };
    }
    match limit::spend(0, now, rate, hertz) {
        // A source that another CPU has put there meanwhile starts afresh; without room for it nothing is noted.
        Some(left) => {
            let _ = maps::SOURCES.insert(source, &left, 0);
            true
        }
        None => false,
    }
}

/// Takes one connection from a budget.
///
/// # Safety
/// `budget` points into a map element.
#[inline(always)]
unsafe fn take(budget: *mut u64, now: u32, rate: u32, hertz: u32) -> bool {
    for _ in 0..TRIES {
        let before = unsafe { atomic::read(budget) };
        let Some(left) = limit::spend(before, now, rate, hertz) else { return false };
        if unsafe { atomic::replace(budget, before, left) } {
            return true;
        }
    }
    false
}

//! Thresholds (PP-32): only looked at for services that have one.

use crate::{atomic, maps};
use evenkeel_abi::{Dest, SERVICE_THRESHOLDS};

/// A real server's active and inactive connections.
#[inline(always)]
pub fn load(dest: u32) -> Option<(u32, u32)> {
    // SAFETY: a word of an element of the array.
    let word = maps::LOADS.get_ptr(dest).map(|load| unsafe { atomic::read(&raw const (*load).connections) })?;
    Some((word as u32, (word >> 32) as u32))
}

/// Whether the thresholds of a real server let it take a connection; who was overloaded may be so no more.
#[inline(always)]
pub fn admits(dest: u32) -> bool {
    evenkeel_admits(dest) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_admits(dest: u32) -> u32 {
    try_admit(dest) as u32
}

#[inline(always)]
pub fn try_admit(dest: u32) -> bool {
    let Some(element) = maps::DESTS.get_ptr_mut(dest) else { return false };
    // SAFETY: words of an element of the array, which others change.
    let (overloaded, upper, lower) = unsafe { read(element) };
    if overloaded == 0 {
        return true;
    }
    let Some((active, inactive)) = load(dest) else { return false };
    let connections = active as u64 + inactive as u64;
    let still = if lower > 0 { connections >= lower as u64 } else { connections * 4 >= upper as u64 * 3 };
    if upper > 0 && still {
        return false;
    }
    // SAFETY: as above; a single store.
    unsafe { (&raw mut (*element).overloaded).write_volatile(0) };
    true
}

/// A connection was made of a service with these flags: its real server may have enough now.
#[inline(always)]
pub fn made(service_flags: u32, dest: u32) {
    if service_flags & SERVICE_THRESHOLDS != 0 {
        evenkeel_made(dest);
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_made(dest: u32) -> u32 {
    let Some(element) = maps::DESTS.get_ptr_mut(dest) else { return 0 };
    // SAFETY: words of an element of the array, which others change.
    let (overloaded, upper, _) = unsafe { read(element) };
    let Some((active, inactive)) = load(dest) else { return 0 };
    if overloaded == 0 && upper > 0 && active as u64 + inactive as u64 >= upper as u64 {
        // SAFETY: as above; a single store.
        unsafe { (&raw mut (*element).overloaded).write_volatile(1) };
    }
    0
}

/// # Safety
/// `dest` is an element of its array.
#[inline(always)]
unsafe fn read(dest: *const Dest) -> (u32, u32, u32) {
    unsafe {
        (
            (&raw const (*dest).overloaded).read_volatile(),
            (&raw const (*dest).upper).read_volatile(),
            (&raw const (*dest).lower).read_volatile(),
        )
    }
}

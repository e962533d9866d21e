//! Atomics on map memory, which both the daemon and other CPUs change.
//!
//! Whenever a result is used the order is sequentially consistent: the compiler turns a relaxed fetch-and-add whose
//! result is used into one that does not fetch. There are no atomic loads and stores for this target; aligned volatile
//! accesses are single instructions.

use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg, atomic_xadd, atomic_xchg};

/// Reads an aligned word that others change.
///
/// # Safety
/// `word` points into a map element.
#[inline(always)]
pub unsafe fn read(word: *const u64) -> u64 {
    unsafe { word.read_volatile() }
}

/// Writes an aligned word that others may read.
///
/// # Safety
/// `word` points into a map element.
#[inline(always)]
pub unsafe fn write(word: *mut u64, value: u64) {
    unsafe { word.write_volatile(value) }
}

/// Puts `new` where `old` still stands; `false` when something else does.
///
/// # Safety
/// `word` points into a map element.
#[inline(always)]
pub unsafe fn replace(word: *mut u64, old: u64, new: u64) -> bool {
    unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(word, old, new).1 }
}

/// Stores after everything written before it.
///
/// # Safety
/// `word` points into a map element.
#[inline(always)]
pub unsafe fn publish(word: *mut u64, value: u64) {
    unsafe { atomic_xchg::<u64, { SeqCst }>(word, value) };
}

/// Adds, and returns what stood there before.
///
/// # Safety
/// `word` points into a map element.
#[inline(always)]
pub unsafe fn add(word: *mut u64, more: u64) -> u64 {
    unsafe { atomic_xadd::<u64, u64, { SeqCst }>(word, more) }
}

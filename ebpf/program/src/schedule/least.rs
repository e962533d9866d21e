//! The least load by weight over a list (PP-30): `lc`, `wlc`, `sed`, and what others fall back on.

use super::{
    Choice, NOBODY, cell, choice, overload,
    walk::{CHUNK, CHUNKS},
};
use evenkeel_abi::{LIST_HEAD_CELLS, List, SCHED_LC, SCHED_NQ, SCHED_SED};

/// A walk and the best so far.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Walk {
    /// Load and weight of the best one; a load of 1 by weight 0 as long as there is none, which every other load is less than.
    load: u64,
    weight: u64,
    /// The next cell, and how many are left.
    at: u32,
    left: u32,
    /// The best one's index.
    dest: u32,
    kind: u32,
}

/// Whom the list's scheduler chooses by load.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_least(list: u64, heed: u32) -> u64 {
    let list = List::unpack(list);
    let Some(choice) = choice() else { return NOBODY };
    let (at, left) = (list.offset + LIST_HEAD_CELLS, list.length);
    choice.walk = Walk { load: 1, weight: 0, at, left, dest: 0, kind: list.kind };
    for _ in 0..CHUNKS {
        let left = if heed != 0 { evenkeel_least_admitted() } else { evenkeel_least_chunk() };
        if left == 0 {
            break;
        }
    }
    best()
}

#[inline(always)]
fn best() -> u64 {
    match choice() {
        Some(Choice { walk, .. }) if walk.weight != 0 => walk.dest as u64,
        _ => NOBODY,
    }
}

/// Goes on by up to [`CHUNK`] real servers; how many are left.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_least_chunk() -> u32 {
    let Some(Choice { walk, .. }) = choice() else { return 0 };
    let Walk { mut load, mut weight, at, left, dest, kind } = *walk;
    let measure = Measure::of(kind);
    let mut dest = dest as u64;
    for place in 0..CHUNK {
        if place >= left {
            break;
        }
        let Some(cell) = cell(at + place) else { break };
        let Some((its_load, its_weight)) = measure.take(cell) else { break };
        let better = less(its_load.wrapping_mul(weight), load.wrapping_mul(its_weight));
        load ^= (load ^ its_load) & better;
        weight ^= (weight ^ its_weight) & better;
        dest ^= (dest ^ cell as u32 as u64) & better;
    }
    (walk.load, walk.weight, walk.dest) = (load, weight, dest as u32);
    walk.advance()
}

/// The same over those that their thresholds admit.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_least_admitted() -> u32 {
    let Some(Choice { walk: Walk { at, left, .. }, .. }) = choice() else { return 0 };
    let (at, left) = (*at, *left);
    for place in 0..CHUNK {
        if place >= left {
            break;
        }
        evenkeel_least_next(at + place);
    }
    match choice() {
        Some(Choice { walk, .. }) => walk.advance(),
        None => 0,
    }
}

/// Compares the real server of one cell.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_least_next(at: u32) -> u32 {
    let Some(Choice { walk, .. }) = choice() else { return 0 };
    let Some(cell) = cell(at) else { return 0 };
    let Some((load, weight)) = Measure::of(walk.kind).take(cell) else { return 0 };
    if load.wrapping_mul(walk.weight) < walk.load.wrapping_mul(weight) && overload::try_admit(cell as u32) {
        (walk.load, walk.weight, walk.dest) = (load, weight, cell as u32);
    }
    0
}

impl Walk {
    /// Behind the chunk; how many are left.
    #[inline(always)]
    fn advance(&mut self) -> u32 {
        self.at += CHUNK;
        self.left = if self.left > CHUNK { self.left - CHUNK } else { 0 };
        self.left
    }
}

/// How a scheduler measures: load `(active << shift) + (inactive & mask) + more`, weight `weight & heft | flat`.
struct Measure {
    shift: u32,
    mask: u32,
    more: u32,
    heft: u64,
    flat: u64,
}

impl Measure {
    #[inline(always)]
    fn of(kind: u32) -> Measure {
        let active_only = (kind == SCHED_SED || kind == SCHED_NQ) as u32;
        let flat = (kind == SCHED_LC) as u64;
        Measure {
            shift: 8 * (1 - active_only),
            mask: active_only.wrapping_sub(1),
            more: active_only,
            heft: flat.wrapping_sub(1),
            flat,
        }
    }

    /// Load and weight of the real server of a cell.
    #[inline(always)]
    fn take(&self, cell: u64) -> Option<(u64, u64)> {
        let (active, inactive) = overload::load(cell as u32)?;
        let load = ((active as u64) << (self.shift & 63)) + (inactive & self.mask) as u64 + self.more as u64;
        Some((load, cell >> 32 & self.heft | self.flat))
    }
}

/// All ones if `a` is less than `b`, else 0. A comparison would be a branch, and double what the verifier has to look at.
#[inline(always)]
fn less(a: u64, b: u64) -> u64 {
    let borrow = !a & b | (!a | b) & a.wrapping_sub(b);
    ((borrow as i64) >> 63) as u64
}

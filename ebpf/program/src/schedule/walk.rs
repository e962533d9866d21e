//! Looks along a list for the first real server that meets a condition.

use super::{NOBODY, cell, member, named, overload};
use evenkeel_abi::{LIST_HEAD_CELLS, List};

/// Real servers that one call of a global function looks at.
pub const CHUNK: u32 = 128;
/// Calls that a walk takes at most: lists have up to 65536 real servers.
pub const CHUNKS: u32 = 512;

/// `active * factor < weight * share + more`: all that schedulers ask, without a branch.
#[derive(Clone, Copy)]
pub struct Condition {
    factor: u8,
    share: u8,
    more: u8,
}

impl Condition {
    /// Everybody.
    pub const ANY: Condition = Condition { factor: 0, share: 0, more: 1 };
    /// No active connection (`nq`).
    pub const IDLE: Condition = Condition { factor: 1, share: 0, more: 1 };
    /// Active connections not above the weight (`ovf`).
    pub const HAS_ROOM: Condition = Condition { factor: 1, share: 1, more: 1 };
    /// Active connections below half the weight (`lblc`).
    pub const HALF_IDLE: Condition = Condition { factor: 2, share: 1, more: 0 };

    pub const fn pack(self) -> u32 {
        self.factor as u32 | (self.share as u32) << 8 | (self.more as u32) << 16
    }
}

/// The first real server of a list that meets the condition; [`NOBODY`] if none does.
#[inline(always)]
pub fn find_dest(list: u64, condition: u32, heed: u32) -> u64 {
    let list = List::unpack(list);
    let place = evenkeel_find(list.offset + LIST_HEAD_CELLS, 0, list.length, condition, heed);
    if place < list.length { named(member(list, place)) } else { NOBODY }
}

/// The place of the first real server from `place` on, around the list, whose thresholds admit it; its length for nobody.
#[inline(always)]
pub fn around(list: List, place: u32) -> u32 {
    let (first, any) = (list.offset + LIST_HEAD_CELLS, Condition::ANY.pack());
    let found = evenkeel_find(first, place, list.length, any, 1);
    if found < list.length {
        return found;
    }
    let found = evenkeel_find(first, 0, place, any, 1);
    if found < place { found } else { list.length }
}

/// The place, from `from` to before `to` in the cells after `first`, of the first real server that meets the condition and,
/// with `heed`, whose thresholds admit it; `to` for nobody.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_find(first: u32, from: u32, to: u32, condition: u32, heed: u32) -> u32 {
    let mut at = from;
    for _ in 0..CHUNKS {
        if at >= to {
            break;
        }
        let place = if heed != 0 {
            evenkeel_find_admitted(first + at, to - at, condition)
        } else {
            evenkeel_find_chunk(first + at, to - at, condition)
        };
        if place < CHUNK {
            return at + place;
        }
        at += CHUNK;
    }
    to
}

/// [`evenkeel_find`] among the first [`CHUNK`] of `count` cells, without a look at thresholds; [`CHUNK`] for nobody.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_find_chunk(first: u32, count: u32, condition: u32) -> u32 {
    find_chunk::<false>(first, count, condition)
}

/// The same with a look at thresholds.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_find_admitted(first: u32, count: u32, condition: u32) -> u32 {
    find_chunk::<true>(first, count, condition)
}

#[inline(always)]
fn find_chunk<const HEED: bool>(first: u32, count: u32, condition: u32) -> u32 {
    let (factor, share, more) = (condition & 0xff, condition >> 8 & 0xff, condition >> 16 & 0xff);
    for place in 0..CHUNK {
        if place >= count {
            break;
        }
        let Some(cell) = cell(first + place) else { break };
        let (dest, weight) = (cell as u32, cell >> 32);
        let Some((active, _)) = overload::load(dest) else { break };
        let meets = active as u64 * (factor as u64) < weight * share as u64 + more as u64;
        if meets && (!HEED || overload::try_admit(dest)) {
            return place;
        }
    }
    CHUNK
}

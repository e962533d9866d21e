//! `twos` (PP-30): two at random, by weight, of which the one with less to do is taken.

use super::{NOBODY, cell, member, named, overload, walk::around};
use crate::maps;
use aya_ebpf::helpers::generated as helpers;
use evenkeel_abi::List;

#[inline(always)]
pub fn choose(list: u64, heed: u32) -> u64 {
    let first = evenkeel_pick(list, heed);
    let second = evenkeel_pick(list, heed);
    if first >= NOBODY || second >= NOBODY { first } else { evenkeel_better(first as u32, second as u32) }
}

/// Which of two has less to do for its weight; the first if that is the same.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_better(first: u32, second: u32) -> u64 {
    let (Some((ours, its_weight)), Some((theirs, weight))) = (burden(first), burden(second)) else {
        return first as u64;
    };
    if theirs.wrapping_mul(its_weight) < ours.wrapping_mul(weight) { second as u64 } else { first as u64 }
}

/// What a real server has to do, and its weight.
#[inline(always)]
fn burden(dest: u32) -> Option<(u64, u64)> {
    let (active, inactive) = overload::load(dest)?;
    let weight = maps::DESTS.get(dest)?.weight;
    Some(((active as u64) * 256 + inactive as u64, weight as u64))
}

/// A real server at random, or the next usable one after it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_pick(list: u64, heed: u32) -> u64 {
    let Some(total) = cell(List::unpack(list).offset) else { return NOBODY };
    // SAFETY: the helper takes no pointer.
    let random = unsafe { helpers::bpf_get_prandom_u32() };
    let mut place = evenkeel_fall(list, ((random as u64 * total) >> 32) as u32);
    let list = List::unpack(list);
    if heed != 0 {
        place = around(list, place);
    }
    if place < list.length { named(member(list, place)) } else { NOBODY }
}

/// Halvings that are enough for 2^24 real servers.
const HALVINGS: u32 = 24;

/// The place whose share of the sum of weights a point falls on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_fall(list: u64, point: u32) -> u32 {
    let list = List::unpack(list);
    // The first place whose sum is above the point is in `low..=high`.
    let (mut low, mut high) = (0, list.length.wrapping_sub(1));
    for _ in 0..HALVINGS {
        if low >= high {
            break;
        }
        let middle = low + (high - low) / 2;
        let Some(cell) = member(list, middle) else { break };
        if (cell >> 32) as u32 > point {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

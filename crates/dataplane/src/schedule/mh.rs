//! The kernel's `mh` (PP-21): Maglev hashing over 4093 slots (net/netfilter/ipvs/ip_vs_mh.c), slot for slot.

use super::{Member, fold, gcd};
use evenkeel_abi::{
    CELL_EMPTY,
    hash::{MH_KEY1, MH_KEY2, MH_SLOTS, hsiphash, mh_slot},
};
use std::net::IpAddr;

/// Bits of a weight that count (half of CONFIG_IP_VS_MH_TAB_INDEX): larger weights are scaled down.
const WEIGHT_BITS: u32 = 6;

/// Where a real server starts in its walk over the slots, how far it steps, and how many slots it takes in a turn.
struct Walk {
    at: u32,
    skip: u32,
    turns: u32,
}

/// The table for real servers given newest first: an index into `members` for each slot, or [`CELL_EMPTY`] everywhere
/// when none ever had a weight. One that went to weight 0 keeps its slots.
pub fn table(members: &[Member]) -> Vec<u32> {
    let slots = MH_SLOTS as usize;
    let mut table = vec![CELL_EMPTY; slots];
    let divisor = members.iter().map(|member| member.last_weight).fold(0, gcd);
    if divisor == 0 {
        return table;
    }
    let largest = members.iter().map(|member| member.last_weight / divisor).max().unwrap_or(0);
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(WEIGHT_BITS);
    let mut walks: Vec<Walk> = members.iter().map(|member| Walk::new(member, divisor, shift)).collect();
    let mut left = slots;
    loop {
        for (index, walk) in walks.iter_mut().enumerate() {
            for _ in 0..walk.turns {
                while table[walk.at as usize] != CELL_EMPTY {
                    walk.at = (walk.at + walk.skip) % MH_SLOTS;
                }
                table[walk.at as usize] = index as u32;
                left -= 1;
                if left == 0 {
                    return table;
                }
            }
        }
    }
}

/// The slot of a client; `port` is `None` without `mh-port`.
pub fn slot(client: IpAddr, port: Option<u16>) -> u32 {
    mh_slot(fold(client), port.unwrap_or(0))
}

/// Who serves a client: an index into the members that `table` was made of. With `fallback` the slots of the client's number
/// plus the number of its own slot, plus 1, plus 2 and so on are tried, as the kernel does it, until one leads to somebody
/// usable.
pub fn choose(
    table: &[u32],
    client: IpAddr,
    port: Option<u16>,
    fallback: bool,
    usable: impl Fn(u32) -> bool,
) -> Option<u32> {
    let at = |slot: u32| table.get(slot as usize).copied().filter(|index| *index != CELL_EMPTY);
    let own = slot(client, port);
    let first = at(own)?;
    if usable(first) {
        return Some(first);
    }
    let number = fold(client).wrapping_add(u32::from(port.unwrap_or(0)));
    let others = (0..MH_SLOTS).filter_map(|offset| at(mh_slot(number.wrapping_add((own + offset) % MH_SLOTS), 0)));
    others.filter(|_| fallback).find(|index| usable(*index))
}

impl Walk {
    fn new(member: &Member, divisor: u32, shift: u32) -> Walk {
        let word = fold(member.address.ip()).wrapping_add(u32::from(member.address.port()));
        // A weight too small to count after scaling still gets one slot in a turn.
        let turns = ((member.last_weight / divisor) >> shift).max(u32::from(member.last_weight > 0));
        Walk { at: hsiphash(word, MH_KEY1) % MH_SLOTS, skip: hsiphash(word, MH_KEY2) % (MH_SLOTS - 1) + 1, turns }
    }
}

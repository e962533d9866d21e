//! Our own consistent hash (PP-22): Maglev hashing with 65537 slots, weighted, keyed with the instance's secret.
//!
//! Each real server has a permutation of the slots, made from its address and port alone. They take turns, each as
//! often as its weight says, and take the first slot of their permutation that is free. So the table depends on the set
//! of real servers and not on their order, and a change moves little more than it must.

use super::Member;
use evenkeel_abi::{
    CELL_EMPTY,
    hash::{Secret, flow6},
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{IpAddr, SocketAddr},
};

/// Slots of the table: a prime.
pub const SLOTS: u32 = 65537;
const WORDS: usize = SLOTS as usize / 64 + 1;

/// The table over the usable ones of `members`: an index into `members` for each slot, or [`CELL_EMPTY`] everywhere when
/// none is usable. While there are no more of them than slots, each has at least one.
pub fn table(members: &[Member], secret: Secret) -> Vec<u32> {
    let mut fill = Fill { table: vec![CELL_EMPTY; SLOTS as usize], free: [u64::MAX; WORDS], left: SLOTS };
    let mut walks: Vec<Walk> = super::order::usable(members).map(|index| Walk::new(index, members, secret)).collect();
    walks.sort_unstable_by_key(|walk| (walk.rank, walk.address));
    match walks.first() {
        None => {}
        Some(first) if walks.iter().all(|walk| walk.weight == first.weight) => fill.in_turn(&mut walks),
        Some(_) => fill.by_weight(&mut walks),
    }
    fill.table
}

/// A real server's walk through its permutation.
struct Walk {
    index: u32,
    at: u32,
    skip: u32,
    weight: u32,
    /// Its place among those whose turn comes at the same time: by hash, so that no address is favoured.
    rank: u64,
    address: SocketAddr,
}

impl Walk {
    fn new(index: usize, members: &[Member], secret: Secret) -> Walk {
        let Member { address, weight, .. } = members[index];
        let bits = match address.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let hash = |purpose| flow6(secret, &[(bits >> 64) as u64, bits as u64, u64::from(address.port()), purpose, 0]);
        let at = (hash(1) % u64::from(SLOTS)) as u32;
        let skip = (hash(2) % u64::from(SLOTS - 1)) as u32 + 1;
        Walk { index: index as u32, at, skip, weight, rank: hash(3), address }
    }

    /// When turn `turn` comes. Everybody's first comes at 0; a turn lasts as long as the weight is small. A weight has
    /// 31 bits, a turn's number 17.
    fn due(&self, turn: u32) -> u64 {
        (u64::from(turn) << 46) / u64::from(self.weight)
    }
}

struct Fill {
    table: Vec<u32>,
    /// One bit a slot: the table itself does not fit into the nearest cache.
    free: [u64; WORDS],
    left: u32,
}

impl Fill {
    fn in_turn(&mut self, walks: &mut [Walk]) {
        while self.left > 0 {
            for walk in walks.iter_mut().take(self.left as usize) {
                self.take(walk);
            }
        }
    }

    fn by_weight(&mut self, walks: &mut [Walk]) {
        let mut turns: BinaryHeap<Reverse<(u64, usize, u32)>> = (0..walks.len()).map(|i| Reverse((0, i, 0))).collect();
        while self.left > 0
            && let Some(mut next) = turns.peek_mut()
        {
            let Reverse((due, place, turn)) = &mut *next;
            let walk = &mut walks[*place];
            self.take(walk);
            *turn += 1;
            *due = walk.due(*turn);
        }
    }

    /// Gives the walk its next free slot. There is one: `left` is not 0, and a walk comes by every slot.
    fn take(&mut self, walk: &mut Walk) {
        while self.free[walk.at as usize / 64] >> (walk.at % 64) & 1 == 0 {
            walk.at += walk.skip;
            if walk.at >= SLOTS {
                walk.at -= SLOTS;
            }
        }
        self.free[walk.at as usize / 64] &= !(1 << (walk.at % 64));
        self.table[walk.at as usize] = walk.index;
        self.left -= 1;
    }
}

#[cfg(test)]
mod tests;

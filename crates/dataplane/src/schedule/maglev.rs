//! Our own consistent hash (PP-22): Maglev hashing with 65537 slots, weighted, keyed with the instance's secret.
//!
//! Each real server has a permutation of the slots, made from its address and port alone. They take turns, each as
//! often as its weight says, and take the first slot of their permutation that is free. So the table depends on the set
//! of real servers and not on their order, and a change moves little more than it must.

use super::Member;
use evenkeel_abi::{
    CELL_EMPTY,
    hash::{MAGLEV_PROBES, Secret, flow6, maglev_probe, maglev_slot},
};
use std::net::{IpAddr, SocketAddr};

/// Slots of the table: a prime.
pub const SLOTS: u32 = 65537;
/// Words of a bit for each slot, rounded up to where a mask does for a bound.
const WORDS: usize = 2048;

/// The table over the usable ones of `members`: an index into `members` for each slot, or [`CELL_EMPTY`] everywhere when
/// none is usable. While there are no more of them than slots, each has at least one.
pub fn table(members: &[Member], secret: Secret) -> Vec<u32> {
    let mut fill = Fill { table: vec![CELL_EMPTY; SLOTS as usize], free: [u64::MAX; WORDS], left: SLOTS };
    let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(0);
    let mut walks: Vec<Walk> =
        super::order::usable(members).map(|index| Walk::new(index, members, heaviest, secret)).collect();
    walks.sort_unstable_by_key(|walk| (walk.rank, walk.address));
    let mut rounds = Rounds::new(walks.len() as u32);
    // The heaviest takes a turn in every round, so these are enough.
    for round in 0..SLOTS {
        while let Some(next) = rounds.pop(round) {
            let walk = &mut walks[next as usize];
            fill.take(walk);
            if fill.left == 0 {
                return fill.table;
            }
            rounds.push(walk.next_turn(), next);
        }
    }
    fill.table
}

/// Who serves a flow of this hash: an index into the members that `table` was made of. Where that one is not usable the slots
/// of up to 1024 hashes that are made of the flow's are tried.
pub fn choose(table: &[u32], hash: u64, usable: impl Fn(u32) -> bool) -> Option<u32> {
    let at = |slot: u32| table.get(slot as usize).copied().filter(|index| *index != CELL_EMPTY);
    let others = (0..MAGLEV_PROBES).map(|number| maglev_probe(hash, number, SLOTS));
    std::iter::once(maglev_slot(hash, SLOTS)).chain(others).filter_map(at).find(|index| usable(*index))
}

/// A real server's walk through its permutation.
struct Walk {
    index: u32,
    at: u32,
    skip: u32,
    weight: u32,
    /// The round of its turn.
    round: u32,
    /// Rounds from turn to turn, and `weight`-ths of a round on top.
    pause: u32,
    extra: u32,
    rest: u32,
    /// Its place in the first round: by hash, so that no address is favoured.
    rank: u64,
    address: SocketAddr,
}

impl Walk {
    fn new(index: usize, members: &[Member], heaviest: u32, secret: Secret) -> Walk {
        let Member { address, weight, .. } = members[index];
        let bits = match address.ip() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let hash = |purpose| flow6(secret, &[(bits >> 64) as u64, bits as u64, u64::from(address.port()), purpose, 0]);
        let at = (hash(1) % u64::from(SLOTS)) as u32;
        let skip = (hash(2) % u64::from(SLOTS - 1)) as u32 + 1;
        let (pause, extra) = (heaviest / weight, heaviest % weight);
        Walk { index: index as u32, at, skip, weight, round: 0, pause, extra, rest: 0, rank: hash(3), address }
    }

    /// The round of its next turn: everybody takes part in the first one, the heaviest in all of them, the others as
    /// often as their weight is to the heaviest.
    fn next_turn(&mut self) -> u32 {
        let rest = u64::from(self.rest) + u64::from(self.extra);
        let carry = rest >= u64::from(self.weight);
        self.rest = (rest - if carry { u64::from(self.weight) } else { 0 }) as u32;
        self.round = self.round.saturating_add(self.pause).saturating_add(u32::from(carry));
        self.round
    }
}

/// Who takes a turn in which round, as lists linked through `after`.
struct Rounds {
    first: Vec<u32>,
    after: Vec<u32>,
}

const NOBODY: u32 = u32::MAX;

impl Rounds {
    /// All of `count` in the first round, in order.
    fn new(count: u32) -> Rounds {
        let mut rounds = Rounds { first: vec![NOBODY; SLOTS as usize], after: vec![NOBODY; count as usize] };
        (0..count).rev().for_each(|member| rounds.push(0, member));
        rounds
    }

    /// Rounds beyond the last possible one are forgotten.
    fn push(&mut self, round: u32, member: u32) {
        if let Some(first) = self.first.get_mut(round as usize) {
            self.after[member as usize] = *first;
            *first = member;
        }
    }

    fn pop(&mut self, round: u32) -> Option<u32> {
        let first = &mut self.first[round as usize];
        let member = *first;
        *first = *self.after.get(member as usize)?;
        Some(member)
    }
}

struct Fill {
    table: Vec<u32>,
    /// One bit a slot: the table itself does not fit into the nearest cache.
    free: [u64; WORDS],
    left: u32,
}

impl Fill {
    /// Gives the walk its next free slot. There is one: `left` is not 0, and a walk comes by every slot.
    fn take(&mut self, walk: &mut Walk) {
        let mut at = walk.at;
        while !self.is_free(at) {
            at += walk.skip;
            at -= if at >= SLOTS { SLOTS } else { 0 };
        }
        walk.at = at;
        self.free[at as usize / 64 % WORDS] &= !(1 << (at % 64));
        self.table[at as usize] = walk.index;
        self.left -= 1;
    }

    fn is_free(&self, slot: u32) -> bool {
        self.free[slot as usize / 64 % WORDS] >> (slot % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests;

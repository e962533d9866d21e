//! Our own consistent hash (PP-22): a table of 65537 slots, weighted, keyed with the instance's secret.
//!
//! Each real server has a permutation of the slots, made from its address and port alone, as in Maglev hashing, and a quota by
//! its weight. Unlike there nobody makes up for a slot that is taken: all walk their permutations in step, each as fast as its
//! weight says, and take what they find free until they have their quota. So nearly all slots are their first comer's,
//! whoever else there is, and a change moves less (docs/adr/0013). The table depends on the set of real servers and not on their
//! order.

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
    let mut fill = Fill { table: vec![CELL_EMPTY; SLOTS as usize], free: [u64::MAX; WORDS] };
    let heaviest = members.iter().map(|member| member.weight).max().unwrap_or(0);
    let mut walks: Vec<Walk> =
        super::order::usable(members).map(|index| Walk::new(index, members, heaviest, secret)).collect();
    walks.sort_unstable_by_key(|walk| (walk.rank, walk.address));
    let mut left = SLOTS;
    turns(&mut walks, |walk| {
        walk.quota += 1;
        left -= 1;
        if left == 0 { Then::Stop } else { Then::Again }
    });
    let mut open = walks.iter().filter(|walk| walk.quota > 0).count();
    turns(&mut walks, |walk| {
        fill.look(walk);
        if walk.quota > 0 {
            return Then::Again;
        }
        open -= 1;
        if open == 0 { Then::Stop } else { Then::Rest }
    });
    // Whoever is much lighter than the heaviest, which has come by every slot by now, may have found too little.
    let mut hungry: Vec<&mut Walk> = walks.iter_mut().filter(|walk| walk.quota > 0).collect();
    while !hungry.is_empty() {
        hungry.iter_mut().for_each(|walk| fill.take(walk));
        hungry.retain(|walk| walk.quota > 0);
    }
    fill.table
}

/// What follows a turn.
enum Then {
    /// Its next one, in its time.
    Again,
    /// No more turns of this one.
    Rest,
    /// No more turns at all.
    Stop,
}

/// Lets them take turns, each as often as its weight is to the heaviest: as many rounds as there are slots at most.
fn turns(walks: &mut [Walk], mut turn: impl FnMut(&mut Walk) -> Then) {
    walks.iter_mut().for_each(|walk| (walk.round, walk.rest) = (0, 0));
    let mut rounds = Rounds::new(walks.len() as u32);
    for round in 0..SLOTS {
        while let Some(next) = rounds.pop(round) {
            let walk = &mut walks[next as usize];
            match turn(walk) {
                Then::Again => rounds.push(walk.next_turn(), next),
                Then::Rest => {}
                Then::Stop => return,
            }
        }
    }
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
    /// Slots it has yet to get.
    quota: u32,
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
        Walk {
            index: index as u32,
            at,
            skip,
            weight,
            quota: 0,
            round: 0,
            pause,
            extra,
            rest: 0,
            rank: hash(3),
            address,
        }
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
}

impl Fill {
    /// Gives the walk the slot it stands on, if that is free, and lets it go on.
    fn look(&mut self, walk: &mut Walk) {
        let (word, bit) = (walk.at as usize / 64 % WORDS, 1 << (walk.at % 64));
        if self.free[word] & bit != 0 {
            self.free[word] &= !bit;
            self.table[walk.at as usize] = walk.index;
            walk.quota -= 1;
        }
        walk.at += walk.skip;
        walk.at -= if walk.at >= SLOTS { SLOTS } else { 0 };
    }

    /// Gives the walk its next free slot. There is one, as quotas add up to the slots, and a walk comes by every slot.
    fn take(&mut self, walk: &mut Walk) {
        let wanted = walk.quota - 1;
        while walk.quota > wanted {
            self.look(walk);
        }
    }
}

#[cfg(test)]
mod tests;

//! `twos` (PP-30): two at random, by weight, and of these the one with less to do.

use super::{Loaded, least::is_less};

/// For each of the list the sum of the weights up to it. Where they come to more than 32 bits all are scaled down, and who
/// still has a weight then keeps at least 1.
pub fn sums(weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    // Rounding up adds at most one for each.
    let fits = |shift: &u32| (total >> shift) + weights.len() as u64 <= u64::from(u32::MAX);
    let shift = if total <= u64::from(u32::MAX) { 0 } else { (1..32).find(fits).unwrap_or(32) };
    let scaled = |weight: u32| (weight >> shift).max(u32::from(weight > 0));
    weights
        .iter()
        .scan(0u32, |sum, weight| {
            *sum = sum.saturating_add(scaled(*weight));
            Some(*sum)
        })
        .collect()
}

/// The place that a random number falls on; `None` for an empty list.
pub fn pick(sums: &[u32], random: u32) -> Option<usize> {
    let total = u64::from(*sums.last()?);
    let point = ((u64::from(random) * total) >> 32) as u32;
    Some(sums.partition_point(|sum| *sum <= point)).filter(|place| *place < sums.len())
}

/// The choice that two random numbers make. A pick that is not usable is the next one after it that is, around the list.
pub fn choose(servers: &[Loaded], sums: &[u32], random: [u32; 2]) -> Option<usize> {
    let usable = |from: usize| {
        let places = (from..servers.len()).chain(0..from);
        places.into_iter().find(|place| servers[*place].is_usable())
    };
    let [first, second] = [usable(pick(sums, random[0])?)?, usable(pick(sums, random[1])?)?];
    let (a, b) = (&servers[first], &servers[second]);
    Some(if is_less(b.overhead(), b.weight, a.overhead(), a.weight) { second } else { first })
}

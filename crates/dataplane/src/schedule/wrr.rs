//! Weighted round robin as the kernel does it (PP-20), over the weights of the usable real servers, newest first.

use super::gcd;

/// Where wrr stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// How many of the list have been passed in this round.
    pub position: usize,
    /// The kernel's `cw`: who weighs less is passed over.
    pub weight: u32,
}

/// What a list of weights comes to: how far `cw` falls in a round, and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// The kernel's `di`: the weights' greatest common divisor; 1 for no weights.
    pub step: u32,
    /// The kernel's `mw`: the largest weight less `step - 1`; 0 for no weights.
    pub largest: u32,
}

/// The rounds over `weights`; zeroes do not count.
pub fn rounds(weights: &[u32]) -> Rounds {
    let step = weights.iter().copied().fold(0, gcd).max(1);
    let largest = weights.iter().copied().max().unwrap_or(0);
    Rounds { step, largest: largest.saturating_sub(step - 1) }
}

/// Who is next, and where wrr stands after it; `None` when there is nobody.
pub fn choose(weights: &[u32], cursor: Cursor) -> Option<(usize, Cursor)> {
    choose_usable(weights, cursor, |_| true)
}

/// The same where some are overloaded (PP-32): those are passed over, but their weights count for the rounds.
pub fn choose_usable(weights: &[u32], cursor: Cursor, usable: impl Fn(usize) -> bool) -> Option<(usize, Cursor)> {
    let Rounds { step, largest } = rounds(weights);
    let in_round = |first: usize, round: u32| {
        let found = |(index, weight): &(usize, &u32)| **weight >= round.max(1) && usable(*index);
        weights.iter().enumerate().skip(first).find(found).map(|(index, _)| index)
    };
    let at = |index: usize, round: u32| Some((index, Cursor { position: index + 1, weight: round }));
    if largest == 0 {
        return None;
    }
    if let Some(index) = in_round(cursor.position, cursor.weight) {
        return at(index, cursor.weight);
    }
    // The next round in which there is somebody, without walking those in between.
    let heaviest = weights.iter().enumerate().filter(|(index, _)| usable(*index)).map(|(_, w)| *w).max()?;
    let below = |round: u32| round - round.saturating_sub(heaviest).div_ceil(step).saturating_mul(step).min(round);
    let next = below(cursor.weight.saturating_sub(step).min(largest));
    let round = if next > 0 { next } else { below(largest) };
    in_round(0, round).and_then(|index| at(index, round))
}

/// Where wrr stands after the list or a weight has changed, `weights` being the new ones.
pub fn adjust(cursor: Cursor, weights: &[u32]) -> Cursor {
    let Rounds { step, largest } = rounds(weights);
    let weight = match cursor.weight {
        weight if weight == 0 || weight > largest => largest,
        weight if step > 1 => weight / step * step + 1,
        weight => weight,
    };
    Cursor { position: 0, weight }
}

/// The real servers that take part in the rounds of a `cw` above `floor` and up to the weight of the next level above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Places in the list of weights.
    pub members: Vec<usize>,
    /// The largest weight that takes no part; 0 at the last level.
    pub floor: u32,
}

/// One level for each distinct weight, heaviest first: walking level after level is [`choose`] without the passing over.
/// Zeroes are in none.
pub fn levels(weights: &[u32]) -> Vec<Level> {
    let mut distinct: Vec<u32> = weights.iter().copied().filter(|weight| *weight > 0).collect();
    distinct.sort_unstable_by(|a, b| b.cmp(a));
    distinct.dedup();
    let members =
        |least| weights.iter().enumerate().filter(move |(_, weight)| **weight >= least).map(|(index, _)| index);
    let floors = distinct.iter().skip(1).copied().chain([0]);
    distinct.iter().zip(floors).map(|(least, floor)| Level { members: members(*least).collect(), floor }).collect()
}

/// The level whose real servers take part at `cw`; 0 for no levels.
pub fn level_of(levels: &[Level], cw: u32) -> usize {
    levels.iter().position(|level| cw > level.floor).unwrap_or(0)
}

#[cfg(test)]
mod tests;

//! Weighted round robin as the kernel does it (PP-20), over the weights of the usable real servers, newest first.

use super::gcd;
pub use evenkeel_abi::Cursor;

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
    let Rounds { step, largest } = rounds(weights);
    let mut round = cursor.weight;
    let mut first = cursor.position as usize;
    if largest == 0 {
        return None;
    }
    loop {
        let found = weights.iter().enumerate().skip(first).find(|(_, weight)| **weight >= round.max(1));
        if let Some((index, _)) = found {
            return Some((index, Cursor { position: index as u32 + 1, weight: round }));
        }
        // Below the largest weight somebody is found, so this ends within two rounds.
        round = if round > step { round - step } else { largest };
        first = 0;
        round = round.min(largest);
    }
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

#[cfg(test)]
mod tests;

//! The word that was meant.

/// The one candidate that is a letter or two away from `word` (one, when it is short); `None` when there is none or
/// several are as near. Another case is nearest of all.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    let word: Vec<char> = word.to_lowercase().chars().take(LONGEST + 1).collect();
    if word.len() > LONGEST || word.len() < 2 {
        return None;
    }
    let allowed = match word.len() {
        ..=4 => 1,
        _ => 2,
    };
    let mut best: Option<(usize, &str)> = None;
    let mut tie = false;
    for candidate in candidates {
        let distance = distance(&word, &candidate.chars().collect::<Vec<_>>());
        if distance > allowed {
            continue;
        }
        match best {
            Some((least, _)) if distance > least => {}
            Some((least, name)) if distance == least => tie |= name != candidate,
            Some(_) | None => {
                best = Some((distance, candidate));
                tie = false;
            }
        }
    }
    best.filter(|_| !tie).map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unique_near_miss_is_found_and_a_tie_is_not() {
        let words = ["checktimeout", "checktype", "real", "real6", "quiescent"];
        assert_eq!(nearest("chekctimeout", words), Some("checktimeout"));
        assert_eq!(nearest("quiesent", words), Some("quiescent"));
        assert_eq!(nearest("CheckType", words), Some("checktype"));
        assert_eq!(nearest("reall", words), None, "as near to real as to real6");
        assert_eq!(nearest("rael", words), Some("real"));
        assert_eq!(nearest("x", words), None);
        assert_eq!(nearest("nothing", words), None);
    }
}

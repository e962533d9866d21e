//! Round robin (PP-19). The cursor counts choices; the next one is `cursor % length` of the usable list, newest first.

/// Which of `length` comes next, and the cursor after it; `None` when there is nobody.
pub fn choose(length: usize, cursor: u64) -> Option<(usize, u64)> {
    let index = usize::try_from(cursor.checked_rem(length as u64)?).ok()?;
    Some((index, cursor.wrapping_add(1)))
}

/// The same where some are overloaded (PP-32): those are passed over. The cursor stays when there is nobody.
pub fn choose_usable(length: usize, cursor: u64, usable: impl Fn(usize) -> bool) -> Option<(usize, u64)> {
    let (first, _) = choose(length, cursor)?;
    let index = (first..length).chain(0..first).find(|index| usable(*index))?;
    Some((index, index as u64 + 1))
}

/// The cursor after the usable list `old` has become `new`: behind the one chosen last or, where that is gone, behind
/// the nearest before it that is left. A position at the end of the list stays its head, whoever that is now.
pub fn adjust<T: PartialEq>(old: &[T], cursor: u64, new: &[T]) -> u64 {
    let passed = cursor.checked_rem(old.len() as u64).map_or(0, |p| p as usize);
    let behind = |chosen: &T| new.iter().position(|member| member == chosen).map(|index| index as u64 + 1);
    old[..passed].iter().rev().find_map(behind).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(list: &[char], cursor: u64, count: usize) -> (String, u64) {
        let mut cursor = cursor;
        let mut chosen = String::new();
        for _ in 0..count {
            let (index, next) = choose(list.len(), cursor).unwrap();
            chosen.push(list[index]);
            cursor = next;
        }
        (chosen, cursor)
    }

    #[test]
    fn each_is_chosen_in_turn() {
        assert_eq!(run(&['c', 'b', 'a'], 0, 7).0, "cbacbac");
        assert_eq!(choose(0, 5), None);
    }

    #[test]
    fn the_overloaded_are_passed_over_and_the_turn_goes_on_behind_the_chosen_one() {
        let without = |gone: usize| move |index: usize| index != gone;
        assert_eq!(choose_usable(3, 4, without(1)), Some((2, 3)));
        assert_eq!(choose_usable(3, 3, without(1)), Some((0, 1)));
        assert_eq!(choose_usable(3, 5, without(2)), Some((0, 1)));
        assert_eq!(choose_usable(3, 5, |_| false), None);
        assert_eq!(choose_usable(0, 5, |_| true), None);
    }

    #[test]
    fn a_change_does_not_alter_who_of_the_others_comes_next() {
        let list = ['d', 'c', 'b', 'a'];
        let (_, cursor) = run(&list, 0, 6);
        // Chosen last: c. Next: b.
        for (new, expected) in [
            (vec!['d', 'c', 'b'], "bdc"),
            (vec!['d', 'b', 'a'], "bad"),
            (vec!['c', 'b', 'a'], "bac"),
            (vec!['d', 'c', 'a'], "adc"),
            (vec!['e', 'd', 'c', 'b', 'a'], "baed"),
            (vec!['b', 'a'], "bab"),
        ] {
            let cursor = adjust(&list, cursor, &new);
            assert_eq!(run(&new, cursor, expected.len()).0, expected, "{new:?}");
        }
    }

    #[test]
    fn a_position_at_the_end_is_the_head_whoever_that_is() {
        let list = ['b', 'a'];
        assert_eq!(adjust(&list, 2, &['c', 'b', 'a']), 0);
        assert_eq!(run(&['b'], adjust(&list, 1, &['b']), 1).0, "b");
        assert_eq!(adjust(&list, 1, &[]), 0);
        assert_eq!(adjust(&[], 7, &list), 0);
    }
}

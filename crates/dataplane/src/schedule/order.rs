//! The order schedulers walk real servers in (PP-18): the kernel pushes each new one to the head of its list.

use super::Member;

/// Sorts by the sequence number given when each was added: newest, so largest, first.
pub fn newest_first<T>(entries: &mut [T], sequence: impl Fn(&T) -> u64) {
    entries.sort_by_key(|entry| std::cmp::Reverse(sequence(entry)));
}

/// Indices of those that take new connections, in order.
pub fn usable(members: &[Member]) -> impl Iterator<Item = usize> + '_ {
    members.iter().enumerate().filter(|(_, member)| member.is_usable()).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_and_the_quiesced_not_at_all() {
        let mut sequences = [3, 9, 1];
        newest_first(&mut sequences, |s| *s);
        assert_eq!(sequences, [9, 3, 1]);
        let members = [("10.0.0.1:80", 1), ("10.0.0.2:80", 0), ("10.0.0.3:80", 7)];
        let members = members.map(|(address, weight)| Member::new(address.parse().unwrap(), weight));
        assert_eq!(usable(&members).collect::<Vec<_>>(), [0, 2]);
    }
}

//! When a real server has enough connections (PP-32).

/// Whether a real server that is or is not overloaded is so still, with so many connections, active and inactive, when it is
/// looked at.
pub fn is_still_overloaded(was: bool, connections: u64, upper: u32, lower: u32) -> bool {
    let (upper, lower) = (u64::from(upper), u64::from(lower));
    was && upper > 0 && if lower > 0 { connections >= lower } else { connections * 4 >= upper * 3 }
}

/// Whether a connection just made, which `connections` count, makes its real server overloaded.
pub fn is_reached(connections: u64, upper: u32) -> bool {
    upper > 0 && connections >= u64::from(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_full_takes_connections_again_only_well_below() {
        assert!(!is_reached(9, 10));
        assert!(is_reached(10, 10));
        assert!(is_still_overloaded(true, 4, 10, 4));
        assert!(!is_still_overloaded(true, 3, 10, 4));
        assert!(!is_still_overloaded(false, 12, 10, 4), "only a connection that is made tells");
    }

    #[test]
    fn without_a_lower_threshold_three_quarters_are() {
        assert!(is_still_overloaded(true, 8, 10, 0));
        assert!(!is_still_overloaded(true, 7, 10, 0));
        assert!(!is_still_overloaded(true, u64::from(u32::MAX), 0, 5), "no upper threshold");
        assert!(!is_reached(u64::from(u32::MAX), 0));
    }
}

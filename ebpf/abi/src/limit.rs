//! Budgets for new connections (PP-38): a token bucket in one word.
//!
//! The upper half is the tick of the last change, the lower half what is left, in [`UNIT`]s of a connection. A second's worth
//! can be saved up.

/// Parts of a connection that a budget counts in, so that slow rates fill it evenly.
pub const UNIT: u32 = 1024;

/// Most new connections a second that can be asked for.
pub const FASTEST: u32 = 1 << 21;

/// The budget after one connection at tick `now`; `None`: it is spent. `budget` 0 is a full one.
#[inline(always)]
pub const fn spend(budget: u64, now: u32, rate: u32, ticks_per_second: u32) -> Option<u64> {
    let full = rate as u64 * UNIT as u64;
    let left = if budget == 0 {
        full
    } else {
        let idle = now.wrapping_sub((budget >> 32) as u32);
        // Another CPU may have seen a later tick, by less than a second.
        let idle = if idle > u32::MAX - ticks_per_second {
            0
        } else if idle > ticks_per_second {
            ticks_per_second
        } else {
            idle
        };
        let gained = match (idle as u64 * full).checked_div(ticks_per_second as u64) {
            Some(gained) => gained,
            None => full,
        };
        let left = (budget as u32) as u64 + gained;
        if left > full { full } else { left }
    };
    if left < UNIT as u64 {
        return None;
    }
    // The tick is never 0 together with nothing left, which would read as full.
    Some((now as u64) << 32 | (left - UNIT as u64) | (now == 0) as u64)
}

/// Key of the map `SOURCES` (least recently used go first): the service and the client's address, of IPv6 its first 64 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// Index of the service.
    pub service: u32,
    /// 4 or 6.
    pub family: u32,
    /// Network order.
    pub address: [u32; 2],
}

/// Elements of the map `SOURCES`.
pub const SOURCE_ENTRIES: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 250;

    /// Connections that are let through of as many as there are in each of `ticks`.
    fn passed(budget: &mut u64, rate: u32, ticks: core::ops::Range<u32>, each: u32) -> u32 {
        let mut passed = 0;
        for tick in ticks {
            for _ in 0..each {
                if let Some(left) = spend(*budget, tick, rate, HZ) {
                    (*budget, passed) = (left, passed + 1);
                }
            }
        }
        passed
    }

    #[test]
    fn a_second_s_worth_can_be_saved_up_and_no_more() {
        let mut budget = 0;
        assert_eq!(passed(&mut budget, 100, 1..2, 1000), 100);
        assert_eq!(passed(&mut budget, 100, 2..3, 1000), 0);
        assert_eq!(passed(&mut budget, 100, 100_000..100_001, 1000), 100);
    }

    #[test]
    fn a_steady_flood_gets_the_rate() {
        for rate in [1, 7, 100, 12_345, FASTEST] {
            let mut budget = 0;
            let first = passed(&mut budget, rate, 1..2, rate + 1);
            assert_eq!(first, rate);
            let each = rate / HZ + 2;
            let got = passed(&mut budget, rate, 2..2 + 4 * HZ, each);
            assert!(got.abs_diff(4 * rate) <= 1 + rate / HZ, "{got} at {rate}");
            if rate > 100_000 {
                break;
            }
        }
    }

    #[test]
    fn an_emptied_budget_is_not_a_full_one_at_any_tick() {
        for tick in [0, 1, u32::MAX] {
            let left = spend(0, tick, 1, HZ).unwrap();
            assert_eq!(spend(left, tick, 1, HZ), None, "{tick}");
        }
    }

    #[test]
    fn a_tick_that_another_cpu_saw_earlier_gains_nothing() {
        let left = spend(0, 1000, 1, HZ).unwrap();
        assert_eq!(spend(left, 999, 1, HZ), None);
        assert_eq!(spend(spend(0, 3, 1, HZ).unwrap(), 1, 1, HZ), None);
    }

    #[test]
    fn an_emptied_budget_is_full_again_however_long_it_has_rested() {
        let left = spend(0, 1000, 1, 1000).unwrap();
        for days in [1, 20, 30, 45] {
            let later = 1000u32.wrapping_add(days * 86_400_000);
            assert!(spend(left, later, 1, 1000).is_some(), "{days} days");
        }
    }
}

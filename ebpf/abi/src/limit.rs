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
        // Another CPU may have seen a later tick.
        let idle = if idle > 1 << 31 {
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

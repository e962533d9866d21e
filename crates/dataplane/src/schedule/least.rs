//! The fewest connections, by several measures (PP-30). Real servers come newest first; of equals the first is chosen.

use super::Loaded;

/// `lc`: fewest connections, an active one counting as much as 256 inactive ones.
pub fn lc(servers: &[Loaded]) -> Option<usize> {
    least(servers, |server| (server.overhead(), 1))
}

/// `wlc`: fewest of the same by weight.
pub fn wlc(servers: &[Loaded]) -> Option<usize> {
    least(servers, |server| (server.overhead(), server.weight))
}

/// `sed`: the least active connections, counting the one to come, by weight.
pub fn sed(servers: &[Loaded]) -> Option<usize> {
    least(servers, |server| (u64::from(server.active) + 1, server.weight))
}

/// `nq`: the first without an active connection; where there is none as `sed`.
pub fn nq(servers: &[Loaded]) -> Option<usize> {
    let idle = |server: &Loaded| server.is_usable() && server.active == 0;
    servers.iter().position(idle).or_else(|| sed(servers))
}

/// The first usable one whose load is least by weight, compared crosswise.
pub(super) fn least(servers: &[Loaded], load_and_weight: impl Fn(&Loaded) -> (u64, u32)) -> Option<usize> {
    let mut best: Option<(usize, u64, u32)> = None;
    for (place, server) in servers.iter().enumerate().filter(|(_, server)| server.is_usable()) {
        let (load, weight) = load_and_weight(server);
        if best.is_none_or(|(_, least, its_weight)| is_less(load, weight, least, its_weight)) {
            best = Some((place, load, weight));
        }
    }
    best.map(|(place, _, _)| place)
}

/// Whether a load is less than another one, each by its weight. Loads have at most 41 bits, weights 31.
pub(super) fn is_less(load: u64, weight: u32, other: u64, its_weight: u32) -> bool {
    u128::from(load) * u128::from(its_weight) < u128::from(other) * u128::from(weight)
}

//! `fo` and `ovf` (PP-30): all to the heaviest that can take it. Real servers come newest first.

use super::Loaded;
use std::cmp::Reverse;

/// `fo`: the largest weight that is usable; of equals the first.
pub fn fo(servers: &[Loaded]) -> Option<usize> {
    heaviest_first(servers).find(|place| servers[*place].is_usable())
}

/// `ovf`: the largest weight that is usable and has no more active connections than that; of equals the first.
pub fn ovf(servers: &[Loaded]) -> Option<usize> {
    let has_room = |server: &Loaded| server.is_usable() && server.active <= server.weight;
    heaviest_first(servers).find(|place| has_room(&servers[*place]))
}

fn heaviest_first(servers: &[Loaded]) -> impl Iterator<Item = usize> {
    order(servers, |server| server.weight).into_iter()
}

/// Places by weight, largest first, of equals the first first: the order `fo` and `ovf` walk in.
pub fn order<T>(servers: &[T], weight: impl Fn(&T) -> u32) -> Vec<usize> {
    let mut places: Vec<usize> = (0..servers.len()).collect();
    places.sort_by_key(|place| Reverse(weight(&servers[*place])));
    places
}

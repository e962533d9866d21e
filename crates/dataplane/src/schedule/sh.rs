//! The kernel's `sh` (PP-29): 256 buckets over the source address (net/netfilter/ipvs/ip_vs_sh.c), bucket for bucket.

use super::{Member, fold};
use evenkeel_abi::{
    CELL_EMPTY,
    hash::{SH_BUCKETS, sh_bucket},
};
use std::net::IpAddr;

/// The table for real servers given newest first: an index into `members` for each bucket, or [`CELL_EMPTY`] everywhere when
/// there are none. Each takes as many buckets in a row as its weight, and one when that is 0; then from the first again.
pub fn table(members: &[Member]) -> Vec<u32> {
    if members.is_empty() {
        return vec![CELL_EMPTY; SH_BUCKETS as usize];
    }
    let turn = |(index, member): (usize, &Member)| {
        std::iter::repeat_n(index as u32, member.weight.clamp(1, SH_BUCKETS) as usize)
    };
    members.iter().enumerate().cycle().flat_map(turn).take(SH_BUCKETS as usize).collect()
}

/// The bucket of a client; `port` is `None` without `sh-port`.
pub fn bucket(client: IpAddr, port: Option<u16>) -> u32 {
    sh_bucket(fold(client), port.unwrap_or(0))
}

/// Who serves a client's bucket: an index into the members that `table` was made of. With `fallback` the buckets after twice
/// its number are tried, as the kernel does it, until one leads to somebody usable.
pub fn choose(table: &[u32], bucket: u32, fallback: bool, usable: impl Fn(u32) -> bool) -> Option<u32> {
    let at = |bucket: u32| table.get((bucket % SH_BUCKETS) as usize).copied().filter(|index| *index != CELL_EMPTY);
    let first = at(bucket)?;
    if usable(first) {
        return Some(first);
    }
    let others = (0..SH_BUCKETS).filter_map(|offset| at(2 * bucket + offset));
    others.filter(|_| fallback).find(|index| usable(*index))
}

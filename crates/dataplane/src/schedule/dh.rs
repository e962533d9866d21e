//! The kernel's `dh` (PP-29): 256 buckets over the destination address (net/netfilter/ipvs/ip_vs_dh.c).

use super::{Member, fold};
use evenkeel_abi::{
    CELL_EMPTY,
    hash::{SH_BUCKETS, sh_bucket},
};
use std::net::IpAddr;

/// The table for real servers given newest first: an index into `members` for each bucket, or [`CELL_EMPTY`] everywhere when
/// there are none. One after the other, whatever their weights.
pub fn table(members: &[Member]) -> Vec<u32> {
    let count = members.len() as u32;
    (0..SH_BUCKETS).map(|bucket| bucket.checked_rem(count).unwrap_or(CELL_EMPTY)).collect()
}

/// The bucket of where a client sends to.
pub fn bucket(destination: IpAddr) -> u32 {
    sh_bucket(fold(destination), 0)
}

/// Who serves a bucket: an index into the members that `table` was made of, if that one is usable.
pub fn choose(table: &[u32], bucket: u32, usable: impl Fn(u32) -> bool) -> Option<u32> {
    super::sh::choose(table, bucket, false, usable)
}

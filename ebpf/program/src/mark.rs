//! Gives packets their mark (PP-39).

use crate::{
    atomic,
    connect::{New, steps},
    maps,
};
use aya_ebpf::btf_maps::lpm_trie::Key;
use evenkeel_abi::{
    flow::KEY4,
    mark::{Destination, MATCH_CELLS, MATCHES, Range},
};

steps! {
    /// The service of a packet's mark, with bit 32 set; 0 without one.
    evenkeel_mark4, evenkeel_mark6 => |new| encode(find(new));
}

#[inline(always)]
fn encode(service: Option<u32>) -> u64 {
    service.map_or(0, |service| 1 << 32 | service as u64)
}

/// Source and destination as four words each.
#[inline(always)]
fn ends<const K: usize>(key: &[u64; K]) -> ([u32; 4], [u32; 4]) {
    if K == KEY4 {
        return ([(key[0] >> 32) as u32, 0, 0, 0], [key[0] as u32, 0, 0, 0]);
    }
    let words = |high: u64, low: u64| [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32];
    (words(key[0], key[1]), words(key[2], key[3]))
}

#[inline(always)]
fn find<const K: usize>(new: &New<K>) -> Option<u32> {
    let (source, destination) = ends(&new.key);
    let family = if K == KEY4 { 4 } else { 6 };
    let bits = if K == KEY4 { 64 } else { 160 };
    // SAFETY: four words are 16 bytes.
    let address = unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(destination) };
    let key = Key::new(bits, Destination { family: [family, 0, 0, 0], address });
    let Range { first, count } = maps::MARKS.get(&key).copied()?;
    let port = u16::from_be((new.ports >> 16) as u16);
    for index in 0..MATCHES {
        if index >= count {
            break;
        }
        let at = first + index * MATCH_CELLS;
        let (head, ports) = (cell(at)?, cell(at + 1)?);
        let (protocol, prefix) = ((head >> 32) as u8, (head >> 40) as u8);
        let wanted = protocol == 0 || protocol as u32 == new.protocol;
        let in_range = ports as u16 <= port && port <= (ports >> 16) as u16;
        if wanted && in_range && holds::<K>(at, prefix as u32, &source)? {
            return Some(head as u32);
        }
    }
    None
}

/// Whether the source's prefix of the match at a cell holds it.
#[inline(always)]
fn holds<const K: usize>(at: u32, prefix: u32, source: &[u32; 4]) -> Option<bool> {
    let low = cell(at + 2)?;
    if K == KEY4 {
        return Some(alike(source[0], low as u32, prefix, 0));
    }
    let high = cell(at + 3)?;
    let same = alike(source[0], low as u32, prefix, 0)
        & alike(source[1], (low >> 32) as u32, prefix, 32)
        & alike(source[2], high as u32, prefix, 64)
        & alike(source[3], (high >> 32) as u32, prefix, 96);
    Some(same)
}

/// Whether the bits of a word that count are the same in both; `before` bits of the address come before it.
#[inline(always)]
fn alike(a: u32, b: u32, prefix: u32, before: u32) -> bool {
    let bits = if prefix <= before {
        0
    } else if prefix - before > 32 {
        32
    } else {
        prefix - before
    };
    u32::from_be(a ^ b) as u64 >> (32 - bits) == 0
}

#[inline(always)]
fn cell(index: u32) -> Option<u64> {
    // SAFETY: an element of the array.
    maps::CELLS.get_ptr(index).map(|cell| unsafe { atomic::read(cell) })
}

//! Chooses a real server for a new connection (PP-18 to PP-23).

use crate::{atomic, connect::New, maps};
use evenkeel_abi::{
    CELL_EMPTY, Cursor, DEST_NO_NEW, LEVEL_CELLS, LIST_HEAD_CELLS, List, SCHED_MAGLEV, SCHED_MH, SCHED_RR, SCHED_WRR,
    SERVICE_HASH_PORT, Service,
    flow::KEY4,
    hash::{maglev_slot, mh_slot},
};

/// The real server of a new connection; `None` when nobody is usable.
#[inline(always)]
pub fn choose<const K: usize>(new: &New<K>, service: *mut Service) -> Option<u32> {
    // SAFETY: an element of the array; the list is one word, so that its parts belong together.
    let list = List::unpack(unsafe { atomic::read(&raw const (*service).list) });
    if list.length == 0 {
        return None;
    }
    match list.kind {
        SCHED_RR => round_robin(service, list),
        SCHED_WRR => weighted_round_robin(service, list),
        SCHED_MH => hashed(list, mh_slot(folded_source(new), hashed_port(new, service))),
        SCHED_MAGLEV => hashed(list, maglev_slot(new.hash, list.length)),
        _ => None,
    }
}

#[inline(always)]
fn cell(index: u32) -> Option<u64> {
    // SAFETY: an element of the array.
    maps::CELLS.get_ptr(index).map(|cell| unsafe { atomic::read(cell) })
}

#[inline(always)]
fn round_robin(service: *mut Service, list: List) -> Option<u32> {
    // SAFETY: an element of the array.
    let choices = unsafe { atomic::add(&raw mut (*service).cursor, 1) };
    let next = choices.checked_rem(list.length as u64)? as u32;
    cell(list.offset + LIST_HEAD_CELLS + next).map(|cell| cell as u32)
}

/// The client's address as the kernel's `mh` folds it, in host order.
#[inline(always)]
fn folded_source<const K: usize>(new: &New<K>) -> u32 {
    let key = &new.key;
    let raw = if K == KEY4 {
        (key[0] >> 32) as u32
    } else {
        (key[0] >> 32) as u32 ^ key[0] as u32 ^ (key[1] >> 32) as u32 ^ key[1] as u32
    };
    u32::from_be(raw)
}

/// The port that counts for `mh` and `sh`, in host order.
#[inline(always)]
fn hashed_port<const K: usize>(new: &New<K>, service: *mut Service) -> u16 {
    // SAFETY: an element of the array.
    let flags = unsafe { (&raw const (*service).flags).read_volatile() };
    if flags & SERVICE_HASH_PORT != 0 { u16::from_be(new.ports as u16) } else { 0 }
}

#[inline(always)]
fn hashed(list: List, slot: u32) -> Option<u32> {
    if slot >= list.length {
        return None;
    }
    let pair = cell(list.offset + slot / 2)?;
    let dest = if slot & 1 == 0 { pair as u32 } else { (pair >> 32) as u32 };
    if dest == CELL_EMPTY {
        return None;
    }
    let flags = maps::DESTS.get(dest)?.flags;
    if flags & DEST_NO_NEW != 0 { None } else { Some(dest) }
}

/// How often a choice is repeated when another CPU chooses at the same time; the last one then counts, whatever the cursor
/// says.
const TRIES: u32 = 4;

/// The kernel's wrr in constant time. Real servers whose weight reaches `cw` are a list of their own for each distinct
/// weight (a level); a round at one `cw` walks one level, the next round has a `cw` smaller by one step.
#[inline(always)]
fn weighted_round_robin(service: *mut Service, list: List) -> Option<u32> {
    let head = cell(list.offset)?;
    let (largest, step) = (head as u32, (head >> 32) as u32);
    let mut chosen = None;
    for _ in 0..TRIES {
        // SAFETY: an element of the array.
        let before = unsafe { atomic::read(&raw const (*service).cursor) };
        let mut cursor = Cursor::unpack(before);
        if cursor.weight > largest {
            // Another CPU still walks the list before this one.
            cursor = Cursor { weight: largest, position: 0, level: 0 };
        }
        let mut level = Level::read(list, cursor.level)?;
        if cursor.position as u32 >= level.length {
            cursor.position = 0;
            if cursor.weight > step {
                cursor.weight -= step;
                cursor.level += (cursor.weight <= level.floor) as u16;
            } else {
                (cursor.weight, cursor.level) = (largest, 0);
            }
            level = Level::read(list, cursor.level)?;
        }
        chosen = cell(level.first + cursor.position as u32).map(|cell| cell as u32);
        cursor.position += 1;
        // SAFETY: as above.
        if unsafe { atomic::replace(&raw mut (*service).cursor, before, cursor.pack()) } {
            break;
        }
    }
    chosen
}

/// The real servers that take part in rounds of a `cw` above `floor`.
struct Level {
    first: u32,
    length: u32,
    floor: u32,
}

impl Level {
    /// Level 0 instead of one that a shorter list no longer has.
    #[inline(always)]
    fn read(list: List, level: u16) -> Option<Level> {
        let level = if (level as u32) < list.length { level as u32 } else { 0 };
        let at = list.offset + LIST_HEAD_CELLS + level * LEVEL_CELLS;
        let (range, floor) = (List::unpack(cell(at)?), cell(at + 1)? as u32);
        Some(Level { first: list.offset + range.offset, length: range.length, floor })
    }
}

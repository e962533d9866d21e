//! Chooses a real server for a new connection (PP-18 to PP-23).

use crate::{atomic, connection::New, maps};
use core::ffi::c_void;
use evenkeel_abi::{
    CELL_EMPTY, Cursor, DEST_NO_NEW, LIST_HEAD_CELLS, List, SCHED_MAGLEV, SCHED_MH, SCHED_MH_PORT, SCHED_RR, SCHED_WRR,
    Service,
    flow::KEY4,
    hash::{maglev_slot, mh_slot},
};

/// The real server of a new connection; `None` when nobody is usable.
#[inline(always)]
pub fn choose<const K: usize>(new: &New<'_, K>, service: *mut Service) -> Option<u32> {
    // SAFETY: an element of the array; the list is one word, so offset and length belong together.
    let (flags, list) = unsafe {
        ((&raw const (*service).flags).read_volatile(), List::unpack(atomic::read(&raw const (*service).list)))
    };
    if list.length == 0 {
        return None;
    }
    match flags & 0xff {
        SCHED_RR => round_robin(service, list),
        SCHED_WRR => weighted_round_robin(service, list),
        SCHED_MH => hashed(list, mh_slot(folded_source(new), 0)),
        SCHED_MH_PORT => hashed(list, mh_slot(folded_source(new), u16::from_be(new.packet.ports as u16))),
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
fn folded_source<const K: usize>(new: &New<'_, K>) -> u32 {
    let key = new.key;
    let raw = if K == KEY4 {
        (key[0] >> 32) as u32
    } else {
        (key[0] >> 32) as u32 ^ key[0] as u32 ^ (key[1] >> 32) as u32 ^ key[1] as u32
    };
    u32::from_be(raw)
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

/// One scan of wrr.
struct Scan {
    first: u32,
    length: u32,
    cursor: Cursor,
    largest: u32,
    step: u32,
    chosen: u32,
}

/// How often a scan is repeated when another CPU chooses at the same time; the last one's choice then counts, whatever
/// the cursor says.
const SCANS: u32 = 4;

#[inline(always)]
fn weighted_round_robin(service: *mut Service, list: List) -> Option<u32> {
    let head = cell(list.offset)?;
    let mut chosen = CELL_EMPTY;
    for _ in 0..SCANS {
        // SAFETY: an element of the array.
        let before = unsafe { atomic::read(&raw const (*service).cursor) };
        let mut scan = Scan {
            first: list.offset + LIST_HEAD_CELLS,
            length: list.length,
            cursor: Cursor::unpack(before),
            largest: head as u32,
            step: (head >> 32) as u32,
            chosen: CELL_EMPTY,
        };
        // Two rounds meet every weight at its turn, and the end of the list in between.
        let steps = list.length * 2 + 2;
        // SAFETY: the callback gets a pointer to `scan`, which outlives the call.
        unsafe {
            aya_ebpf::helpers::generated::bpf_loop(steps, scan_one as *mut c_void, (&raw mut scan).cast(), 0);
        }
        chosen = scan.chosen;
        // SAFETY: an element of the array.
        if unsafe { atomic::replace(&raw mut (*service).cursor, before, scan.cursor.pack()) } {
            break;
        }
    }
    if chosen == CELL_EMPTY { None } else { Some(chosen) }
}

/// Looks at one real server; 1 ends the scan.
unsafe extern "C" fn scan_one(_index: u32, scan: *mut c_void) -> i64 {
    // SAFETY: `bpf_loop` hands on what it was given.
    let scan = unsafe { &mut *scan.cast::<Scan>() };
    if scan.cursor.position >= scan.length {
        let weight = scan.cursor.weight;
        scan.cursor.position = 0;
        scan.cursor.weight = if weight > scan.step { weight - scan.step } else { scan.largest };
    }
    let Some(cell) = cell(scan.first + scan.cursor.position) else { return 1 };
    scan.cursor.position += 1;
    if (cell >> 32) as u32 >= scan.cursor.weight {
        scan.chosen = cell as u32;
        return 1;
    }
    0
}

//! Tables that a hash looks into: `sh`, `dh`, `mh` and `maglev` (PP-21, PP-22, PP-29).

use super::{NOBODY, cell, overload};
use crate::maps;
use evenkeel_abi::{
    CELL_EMPTY, DEST_NO_NEW, List,
    hash::{MAGLEV_PROBES, MH_SLOTS, SH_BUCKETS, maglev_probe, maglev_slot, mh_slot, sh_bucket},
};

/// Slots that one call of a global function tries.
const CHUNK: u32 = 64;

/// The real server of a slot; `Err` when it is not usable, `Ok(None)` when there is none.
#[inline(always)]
fn slot(offset: u32, slot: u32, heed: u32) -> Option<Result<u32, ()>> {
    let pair = cell(offset + slot / 2)?;
    let dest = (pair >> ((slot & 1) * 32)) as u32;
    if dest == CELL_EMPTY {
        return None;
    }
    let flags = maps::DESTS.get(dest)?.flags;
    Some(if flags & DEST_NO_NEW == 0 && (heed == 0 || overload::admits(dest)) { Ok(dest) } else { Err(()) })
}

/// [`slot`] as the global functions return it, 1 past [`NOBODY`] for who is not usable.
#[inline(always)]
fn look(offset: u32, index: u32, heed: u32) -> u64 {
    match slot(offset, index, heed) {
        Some(Ok(dest)) => dest as u64,
        Some(Err(())) => UNUSABLE,
        None => NOBODY,
    }
}

const UNUSABLE: u64 = NOBODY + 1;

/// `sh`, and `dh` with the destination for `number`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_sh(list: u64, number: u32, fallback: u32, heed: u32) -> u64 {
    let offset = List::unpack(list).offset;
    let bucket = sh_bucket(number, 0);
    let own = look(offset, bucket, heed);
    if own != UNUSABLE || fallback == 0 {
        return own;
    }
    for chunk in 0..SH_BUCKETS / CHUNK {
        let dest = evenkeel_sh_fallback(offset, 2 * bucket + chunk * CHUNK, heed);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

/// Tries [`CHUNK`] buckets from `first` on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_sh_fallback(offset: u32, first: u32, heed: u32) -> u64 {
    for more in 0..CHUNK {
        let dest = look(offset, (first + more) % SH_BUCKETS, heed);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

/// `mh`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_mh(list: u64, number: u32, fallback: u32, heed: u32) -> u64 {
    let offset = List::unpack(list).offset;
    let slot = mh_slot(number, 0);
    let own = look(offset, slot, heed);
    if own != UNUSABLE || fallback == 0 {
        return own;
    }
    for chunk in 0..MH_SLOTS.div_ceil(CHUNK) {
        let dest = evenkeel_mh_fallback(offset, number, slot + chunk * CHUNK, heed);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

/// Tries [`CHUNK`] steps from `step` on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_mh_fallback(offset: u32, number: u32, step: u32, heed: u32) -> u64 {
    for more in 0..CHUNK {
        let dest = look(offset, mh_slot(number.wrapping_add((step + more) % MH_SLOTS), 0), heed);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

/// `maglev`: nobody in the table has weight 0, so that only thresholds can be in the way.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_maglev(list: u64, hash: u64, heed: u32) -> u64 {
    let List { offset, length, .. } = List::unpack(list);
    if length == 0 {
        return NOBODY;
    }
    let own = look(offset, maglev_slot(hash, length), heed);
    if own != UNUSABLE || heed == 0 {
        return own;
    }
    for chunk in 0..MAGLEV_PROBES / CHUNK {
        let dest = evenkeel_maglev_probe(list, hash, chunk * CHUNK);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

/// Tries [`CHUNK`] probes from `first` on.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_maglev_probe(list: u64, hash: u64, first: u32) -> u64 {
    let List { offset, length, .. } = List::unpack(list);
    if length == 0 {
        return NOBODY;
    }
    for more in 0..CHUNK {
        let dest = look(offset, maglev_probe(hash, first + more, length), 1);
        if dest < NOBODY {
            return dest;
        }
    }
    NOBODY
}

//! `rr` and `wrr` (PP-19, PP-20).

use super::{
    Choice, NOBODY, cell, choice, member, named, overload,
    walk::{CHUNK, CHUNKS, Condition, around, evenkeel_find},
};
use crate::{atomic, maps};
use evenkeel_abi::{Cursor, LEVEL_CELLS, LIST_HEAD_CELLS, List, Service};

/// How often a choice is repeated when another CPU chooses at the same time; the last one then counts, whatever the cursor
/// says.
const TRIES: u32 = 4;

#[inline(always)]
pub fn rr(service: *mut Service, list: List) -> u64 {
    // SAFETY: an element of the array.
    let choices = unsafe { atomic::add(&raw mut (*service).cursor, 1) };
    match choices.checked_rem(list.length as u64) {
        Some(next) => named(member(list, next as u32)),
        None => NOBODY,
    }
}

/// The same where real servers may be overloaded: those are passed over. Where another CPU chooses at the same time the one
/// that is slower does not move the cursor.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_rr_admitted(service: u32, list: u64) -> u64 {
    let Some(service) = maps::SERVICES.get_ptr_mut(service) else { return NOBODY };
    let list = List::unpack(list);
    // SAFETY: an element of the array.
    let before = unsafe { atomic::read(&raw const (*service).cursor) };
    let Some(from) = before.checked_rem(list.length as u64) else { return NOBODY };
    let place = around(list, from as u32);
    if place >= list.length {
        return NOBODY;
    }
    // SAFETY: as above.
    unsafe { atomic::replace(&raw mut (*service).cursor, before, place as u64 + 1) };
    named(member(list, place))
}

/// The kernel's wrr in constant time. Real servers whose weight reaches `cw` are a list of their own for each distinct
/// weight (a level); a round at one `cw` walks one level, the next round has a `cw` smaller by one step.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_wrr(service: u32, list: u64) -> u64 {
    match maps::SERVICES.get_ptr_mut(service) {
        Some(service) => named(wrr(service, List::unpack(list))),
        None => NOBODY,
    }
}

#[inline(always)]
fn wrr(service: *mut Service, list: List) -> Option<u64> {
    let rounds = Rounds::read(list)?;
    let mut chosen = None;
    for _ in 0..TRIES {
        // SAFETY: an element of the array.
        let before = unsafe { atomic::read(&raw const (*service).cursor) };
        let mut cursor = rounds.start(before);
        let mut level = Level::read(list, cursor.level as u32)?;
        if cursor.position as u32 >= level.length {
            cursor.position = 0;
            if cursor.weight > rounds.step {
                cursor.weight -= rounds.step;
                cursor.level += (cursor.weight <= level.floor) as u16;
            } else {
                (cursor.weight, cursor.level) = (rounds.largest, 0);
            }
            level = Level::read(list, cursor.level as u32)?;
        }
        chosen = cell(level.first + cursor.position as u32);
        cursor.position += 1;
        // SAFETY: as above.
        if unsafe { atomic::replace(&raw mut (*service).cursor, before, cursor.pack()) } {
            break;
        }
    }
    chosen
}

/// Where wrr stands while it looks for somebody whose thresholds admit it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Turn {
    /// The service's cursor.
    before: u64,
    /// Where this look starts.
    cursor: u64,
    /// The cells of the cursor's level, and how many there are.
    first: u32,
    length: u32,
}

/// [`evenkeel_wrr`] where real servers may be overloaded, see [`evenkeel_rr_admitted`]. In steps, as stacks have no room.
#[inline(always)]
pub fn wrr_admitted(service: u32, list: u64) -> u64 {
    let mut place = look(evenkeel_wrr_open(service, list));
    if place == NOWHERE {
        place = look(evenkeel_wrr_next(list));
    }
    if place == NOWHERE { NOBODY } else { evenkeel_wrr_close(service, place) }
}

const NOWHERE: u32 = u32::MAX;

/// The place in the turn's level of the first real server from `from` on whose thresholds admit it.
#[inline(always)]
fn look(from: u32) -> u32 {
    let Some(Choice { turn: Turn { first, length, .. }, .. }) = choice() else { return NOWHERE };
    let length = *length;
    let place = evenkeel_find(*first, from, length, Condition::ANY.pack(), 1);
    if place < length { place } else { NOWHERE }
}

/// Begins a turn where the service's cursor stands; from where on its level is to be looked at.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_wrr_open(service: u32, list: u64) -> u32 {
    let Some(service) = maps::SERVICES.get_ptr_mut(service) else { return NOWHERE };
    let list = List::unpack(list);
    let Some(rounds) = Rounds::read(list) else { return NOWHERE };
    // SAFETY: an element of the array.
    let before = unsafe { atomic::read(&raw const (*service).cursor) };
    begin(list, before, rounds.start(before))
}

#[inline(always)]
fn begin(list: List, before: u64, cursor: Cursor) -> u32 {
    let Some(level) = Level::read(list, cursor.level as u32) else { return NOWHERE };
    let Some(choice) = choice() else { return NOWHERE };
    choice.turn = Turn { before, cursor: cursor.pack(), first: level.first, length: level.length };
    cursor.position as u32
}

/// Goes on with the next round in which there is somebody, without walking those in between.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_wrr_next(list: u64) -> u32 {
    let list = List::unpack(list);
    let Some(all) = Level::read(list, list.length.wrapping_sub(1)) else { return NOWHERE };
    let heaviest = evenkeel_heaviest(all.first, all.length);
    if heaviest == 0 { NOWHERE } else { evenkeel_wrr_round(list.pack(), heaviest) }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_wrr_round(list: u64, heaviest: u32) -> u32 {
    let list = List::unpack(list);
    let Some(rounds) = Rounds::read(list) else { return NOWHERE };
    let Some(Choice { turn: Turn { before, cursor, .. }, .. }) = choice() else { return NOWHERE };
    let cw = Cursor::unpack(*cursor).weight;
    let next = rounds.fall(if cw > rounds.step { cw - rounds.step } else { 0 }, heaviest);
    let weight = if next != 0 { next } else { rounds.fall(rounds.largest, heaviest) };
    begin(list, *before, Cursor { weight, position: 0, level: level_of(list, weight) as u16 })
}

/// Ends a turn with the real server at a place of its level.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_wrr_close(service: u32, place: u32) -> u64 {
    let Some(service) = maps::SERVICES.get_ptr_mut(service) else { return NOBODY };
    let Some(Choice { turn: Turn { before, cursor, first, .. }, .. }) = choice() else { return NOBODY };
    let next = Cursor { position: place as u16 + 1, ..Cursor::unpack(*cursor) };
    // SAFETY: an element of the array.
    unsafe { atomic::replace(&raw mut (*service).cursor, *before, next.pack()) };
    named(cell(*first + place))
}

/// How `cw` falls.
#[derive(Clone, Copy)]
struct Rounds {
    largest: u32,
    step: u32,
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
    fn read(list: List, level: u32) -> Option<Level> {
        let level = if level < list.length { level } else { 0 };
        let at = list.offset + LIST_HEAD_CELLS + level * LEVEL_CELLS;
        let (range, floor) = (List::unpack(cell(at)?), cell(at + 1)? as u32);
        Some(Level { first: list.offset + range.offset, length: range.length, floor })
    }
}

impl Rounds {
    #[inline(always)]
    fn read(list: List) -> Option<Rounds> {
        let head = cell(list.offset)?;
        Some(Rounds { largest: head as u32, step: (head >> 32) as u32 })
    }

    /// Where wrr stands, for these rounds.
    #[inline(always)]
    fn start(self, cursor: u64) -> Cursor {
        let cursor = Cursor::unpack(cursor);
        if cursor.weight <= self.largest {
            return cursor;
        }
        // Another CPU still walks the list before this one.
        Cursor { weight: self.largest, position: 0, level: 0 }
    }

    /// The first round from `cw` on that a weight reaches; 0 when that is past the last one.
    #[inline(always)]
    fn fall(self, cw: u32, weight: u32) -> u32 {
        if cw <= weight || self.step == 0 {
            return cw;
        }
        let falls = (cw - weight - 1) / self.step + 1;
        let depth = falls as u64 * self.step as u64;
        if depth < cw as u64 { cw - depth as u32 } else { 0 }
    }
}

/// The largest weight of those that their thresholds admit, in the cells from `first` on; 0 for nobody.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_heaviest(first: u32, length: u32) -> u32 {
    let (mut heaviest, mut at) = (0, 0);
    for _ in 0..CHUNKS {
        if at >= length {
            break;
        }
        heaviest = evenkeel_heaviest_chunk(first + at, length - at, heaviest);
        at += CHUNK;
    }
    heaviest
}

/// [`evenkeel_heaviest`] over the first [`CHUNK`] of `count` cells and what was found before.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_heaviest_chunk(first: u32, count: u32, mut heaviest: u32) -> u32 {
    for place in 0..CHUNK {
        if place >= count {
            break;
        }
        let Some(cell) = cell(first + place) else { break };
        let weight = (cell >> 32) as u32;
        if weight > heaviest && overload::try_admit(cell as u32) {
            heaviest = weight;
        }
    }
    heaviest
}

/// Halvings that are enough for 65536 levels.
const HALVINGS: u32 = 17;

/// The level of rounds at `cw`: the first whose floor is below it.
#[inline(always)]
fn level_of(list: List, cw: u32) -> u32 {
    let (mut low, mut high) = (0, list.length.wrapping_sub(1));
    for _ in 0..HALVINGS {
        if low >= high {
            break;
        }
        let middle = low + (high - low) / 2;
        let Some(level) = Level::read(list, middle) else { break };
        if level.floor < cw {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

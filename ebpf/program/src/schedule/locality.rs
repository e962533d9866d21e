//! `lblc` and `lblcr` (PP-31): what comes for one destination address stays together.
//!
//! The kernel may give an element of `LOCALITY` to another destination while we hold it, and other CPUs change it: whom it
//! names is used only if it is a real server of the service that takes connections.

use super::{
    Choice, NOBODY, choice, least, overload,
    walk::{Condition, find_dest},
};
use crate::maps;
use evenkeel_abi::{
    DEST_NO_NEW, List, SCHED_LBLCR,
    locality::{SET, Servers},
};

#[inline(always)]
pub fn choose(list: List, heed: u32) -> u64 {
    let known = evenkeel_locality_known(list.kind, heed);
    let crowded = known & BUSY != 0 && find_dest(list.pack(), Condition::HALF_IDLE.pack(), heed) < NOBODY;
    if known & NOBODY == 0 && !crowded {
        return known as u32 as u64;
    }
    let dest = least::evenkeel_least(list.pack(), heed);
    if dest < NOBODY {
        evenkeel_locality_learn(list.kind, dest as u32);
    }
    dest
}

/// In what [`evenkeel_locality_known`] returns: the real server has more active connections than its weight.
const BUSY: u64 = 1 << 33;

/// Ticks between two moments; none if another CPU has seen a later one.
#[inline(always)]
fn since(then: u32, now: u32) -> u32 {
    let ticks = now.wrapping_sub(then);
    if ticks > 1 << 31 { 0 } else { ticks }
}

#[inline(always)]
fn timeout() -> u32 {
    let Some(settings) = maps::SETTINGS.get_ptr(0) else { return 0 };
    // SAFETY: an element of the array, which the daemon changes.
    unsafe { (&raw const (*settings).locality_timeout).read_volatile() }
}

/// What is remembered of a destination, if that is not too long ago.
#[inline(always)]
fn remembered(choice: &Choice) -> Option<*mut Servers> {
    let servers = maps::LOCALITY.get_ptr_mut(&choice.destination)?;
    // SAFETY: a value of the map.
    let seen = unsafe { (&raw const (*servers).seen).read_volatile() };
    if since(seen, choice.now) > timeout() { None } else { Some(servers) }
}

/// One of a set; `place` is below [`SET`].
///
/// # Safety
/// `servers` is a value of the map.
#[inline(always)]
unsafe fn slot(servers: *mut Servers, place: u32) -> *mut u32 {
    const _: () = assert!(SET == 16);
    unsafe { (&raw mut (*servers).members).cast::<u32>().add(maps::bounded::<15>(place)) }
}

/// The real server that is remembered for the destination and can take it, with [`BUSY`]; [`NOBODY`] if there is none.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_locality_known(kind: u32, heed: u32) -> u64 {
    let Some(choice) = choice() else { return NOBODY };
    let Some(servers) = remembered(choice) else { return NOBODY };
    // SAFETY: words of a value of the map, which others change.
    let (count, changed) = unsafe {
        (&raw mut (*servers).seen).write_volatile(choice.now);
        ((&raw const (*servers).count).read_volatile(), (&raw const (*servers).changed).read_volatile())
    };
    choice.survey = Survey::new();
    let now = choice.now;
    for step in 0..SET as u32 {
        if step >= count {
            break;
        }
        // Who joined last comes first.
        let place = count - 1 - step;
        // SAFETY: a value of the map.
        let dest = unsafe { slot(servers, place).read_volatile() };
        evenkeel_locality_note(dest, place, heed);
    }
    let Some(Choice { survey, .. }) = self::choice() else { return NOBODY };
    if kind == SCHED_LBLCR && count > 1 && since(changed, now) > timeout() {
        // SAFETY: as above.
        unsafe { shed(servers, survey.leaves(), count, now) };
    }
    let Survey { best_dest, best_active, best_weight, .. } = *survey;
    if best_weight == 0 {
        NOBODY
    } else if best_active > best_weight {
        best_dest as u64 | BUSY
    } else {
        best_dest as u64
    }
}

/// Takes one of a set into the survey.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_locality_note(dest: u32, place: u32, heed: u32) -> u32 {
    if let Some(choice) = choice() {
        let (active, load, weight) = burden(dest, choice.destination.service);
        let admitted = weight != 0 && (heed == 0 || overload::admits(dest));
        choice.survey.note(dest, place, [active, load, weight], admitted);
    }
    0
}

/// A real server's active connections, load and weight, which is 0 if it takes no new connections or is none of the service's.
#[inline(always)]
fn burden(dest: u32, service: u32) -> (u64, u64, u64) {
    let Some(element) = maps::DESTS.get_ptr(dest) else { return (0, 0, 0) };
    // SAFETY: words of an element of the array, which others change.
    let (flags, its_service, weight) = unsafe {
        (
            (&raw const (*element).flags).read_volatile(),
            (&raw const (*element).service).read_volatile(),
            (&raw const (*element).weight).read_volatile(),
        )
    };
    if flags & DEST_NO_NEW != 0 || its_service != service {
        return (0, 0, 0);
    }
    let Some((active, inactive)) = overload::load(dest) else { return (0, 0, 0) };
    (active as u64, (active as u64) * 256 + inactive as u64, weight as u64)
}

/// What a look at a set found.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Survey {
    /// Whom wlc's rule likes best of those that can take a connection; weight 0: there is none.
    best_active: u64,
    best_load: u64,
    best_weight: u64,
    /// Whom it likes least.
    worst_load: u64,
    worst_weight: u64,
    best_dest: u32,
    worst_place: u32,
    /// Where the first one stands that takes no new connections; [`SET`] for nowhere.
    idle_place: u32,
    spare: u32,
}

impl Survey {
    #[inline(always)]
    fn new() -> Survey {
        Survey {
            best_active: 0,
            best_load: 0,
            best_weight: 0,
            worst_load: 0,
            worst_weight: 0,
            best_dest: 0,
            worst_place: 0,
            idle_place: SET as u32,
            spare: 0,
        }
    }

    #[inline(always)]
    fn note(&mut self, dest: u32, place: u32, [active, load, weight]: [u64; 3], admitted: bool) {
        if weight == 0 {
            if self.idle_place == SET as u32 {
                self.idle_place = place;
            }
            return;
        }
        let first = self.best_weight == 0;
        if admitted && (first || load.wrapping_mul(self.best_weight) < self.best_load.wrapping_mul(weight)) {
            (self.best_dest, self.best_active, self.best_load, self.best_weight) = (dest, active, load, weight);
        }
        let first = self.worst_weight == 0;
        if first || self.worst_load.wrapping_mul(weight) < load.wrapping_mul(self.worst_weight) {
            (self.worst_load, self.worst_weight, self.worst_place) = (load, weight, place);
        }
    }

    /// The place of the one that leaves when a set shrinks.
    #[inline(always)]
    fn leaves(&self) -> u32 {
        if self.idle_place < SET as u32 { self.idle_place } else { self.worst_place }
    }
}

/// Takes one out of a set.
///
/// # Safety
/// `servers` is a value of the map.
#[inline(always)]
unsafe fn shed(servers: *mut Servers, place: u32, count: u32, now: u32) {
    for at in 0..SET as u32 - 1 {
        if at >= place && at + 1 < count {
            unsafe { slot(servers, at).write_volatile(slot(servers, at + 1).read_volatile()) };
        }
    }
    unsafe {
        (&raw mut (*servers).count).write_volatile(count - 1);
        (&raw mut (*servers).changed).write_volatile(now);
    }
}

/// Remembers the real server chosen for the destination.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn evenkeel_locality_learn(kind: u32, dest: u32) -> u32 {
    let Some(choice) = choice() else { return 0 };
    match remembered(choice) {
        // SAFETY: a value of the map.
        Some(servers) if kind == SCHED_LBLCR => unsafe { join(servers, dest, choice.now) },
        _ => {
            choice.servers =
                Servers { seen: choice.now, changed: choice.now, count: 1, spare: 0, members: [dest; SET] };
            // Where it cannot be remembered it serves all the same.
            let _ = maps::LOCALITY.insert(&choice.destination, &choice.servers, 0);
        }
    }
    0
}

/// Puts one into a set that it is not in; where there is no room, instead of who joined first.
///
/// # Safety
/// `servers` is a value of the map.
#[inline(always)]
unsafe fn join(servers: *mut Servers, dest: u32, now: u32) {
    let mut count = unsafe { (&raw const (*servers).count).read_volatile() };
    for place in 0..SET as u32 {
        if place < count && unsafe { slot(servers, place).read_volatile() } == dest {
            return;
        }
    }
    if count >= SET as u32 {
        count = SET as u32;
        unsafe { shed(servers, 0, count, now) };
        count -= 1;
    }
    unsafe {
        slot(servers, count).write_volatile(dest);
        (&raw mut (*servers).count).write_volatile(count + 1);
        (&raw mut (*servers).changed).write_volatile(now);
    }
}

//! Puts a new connection into the table, safe against other CPUs and the daemon (PP-16).
//!
//! A flow has two buckets. It goes into the first one unless that is half full and the second one is emptier. The same
//! flow may be put in by two CPUs at once: each claims a slot, then looks for the other one's. Of two claims the one at the
//! lower place (first bucket before second, lower slots first) stays; a published connection beats every claim.

use crate::{
    atomic,
    connect::New,
    connection::{bucket, expired, idle, is_busy, stride, unload},
    maps, pair,
};
use evenkeel_abi::{
    Reason,
    flow::{self, BUSY, GENERATION, GENERATION_STEP, KEY4, KEY6, TEMPLATE_ASSURED, WAYS},
    hash,
    state::{self, State},
};

/// The slot at a place: the first bucket's come before the second one's.
///
/// # Safety
/// `first` and `second` are elements of `WAYS` slots, and `place` is below twice that.
#[inline(always)]
unsafe fn slot_at<const K: usize>(first: *mut u64, second: *mut u64, place: usize) -> *mut u64 {
    let bucket = if place < WAYS { first } else { second };
    unsafe { bucket.add((place % WAYS) * stride(K)) }
}

/// Whether a slot, by its meta word and value, is the flow's: being filled, or published and not over.
#[inline(always)]
fn is_own(meta: u64, value: u64, tag: u64) -> bool {
    meta & !(GENERATION | BUSY) == tag && (is_busy(meta) || flow::state(value) != State::Dead as u32)
}

/// Looks at a bucket: how many slots are taken and, from bit 4 on, 1 plus the number of the flow's own, if it is there. The large
/// steps of this module are global functions, which the verifier looks at once and whose outcomes it need not follow.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_census4(bucket: u32, tag: u64) -> u64 {
    census::<KEY4>(bucket, tag)
}

/// See [`evenkeel_census4`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_census6(bucket: u32, tag: u64) -> u64 {
    census::<KEY6>(bucket, tag)
}

const WAY_SHIFT: u32 = 4;

#[inline(always)]
fn census<const K: usize>(index: u32, tag: u64) -> u64 {
    let Some(bucket) = bucket::<K>(index) else { return 0 };
    let (mut used, mut own) = (0, 0);
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        let (meta, value) = unsafe {
            let slot = bucket.add(way * stride(K));
            (atomic::read(slot), atomic::read(slot.add(1)))
        };
        if meta != 0 {
            used += 1;
        }
        if is_own(meta, value, tag) {
            own = way as u64 + 1;
        }
    }
    used | own << WAY_SHIFT
}

#[inline(always)]
fn look<const K: usize>(bucket: u32, tag: u64) -> u64 {
    if K == KEY4 { evenkeel_census4(bucket, tag) } else { evenkeel_census6(bucket, tag) }
}

/// Puts the connection into the table; the real server of the one another CPU put there first, if one did. Where there is no room,
/// [`evict`] makes some.
#[inline(always)]
pub fn place<const K: usize>(new: &New<K>, value: u64) -> Result<Option<u64>, Reason> {
    let raw = claim::<K>(new.hash);
    match raw >> OUTCOME_SHIFT {
        CLAIMED => {}
        THERE => return Ok(Some(raw & (flow::DEST_LIMIT - 1) as u64)),
        refused => return Err(reason(refused)),
    }
    let claim = Claim::from_raw::<K>(raw, new.hash).ok_or(Reason::Internal)?;
    // SAFETY: the claimed slot, still busy and so ours alone.
    unsafe {
        claim.write(value, &new.key, 0);
        claim.publish();
    }
    Ok(None)
}

/// Outcomes of looking for a slot, as they stand in one word: a slot is claimed, whose number and generation stand below.
pub const CLAIMED: u64 = 0;
/// The flow is there; its real server stands below, of a way back the slot of its connection.
pub const THERE: u64 = 1;
/// It belongs to somebody else.
pub const TAKEN: u64 = 2;
/// This plus the number of a [`Reason`].
const REFUSED: u64 = 3;
/// Where the outcome stands.
pub const OUTCOME_SHIFT: u32 = 40;
/// Where the generation stands.
const GENERATION_SHIFT: u32 = 32;

/// The word of a reason.
#[inline(always)]
pub fn refuse(reason: Reason) -> u64 {
    (REFUSED + reason as u64) << OUTCOME_SHIFT
}

/// The reason of an outcome.
#[inline(always)]
pub fn reason(outcome: u64) -> Reason {
    Reason::from_number((outcome - REFUSED) as u32)
}

/// Finds the slot of a connection by its hash, or claims a free one for it.
#[inline(always)]
pub fn claim<const K: usize>(hash: u64) -> u64 {
    match acquire::<K>(hash) {
        Acquired::Theirs(theirs) => THERE << OUTCOME_SHIFT | flow::dest(theirs.value) as u64,
        Acquired::Other(raw) => raw,
    }
}

/// Whose the slot of a flow is.
pub enum Acquired {
    /// The flow is there.
    Theirs(Theirs),
    /// Any other outcome.
    Other(u64),
}

/// A published slot.
#[derive(Clone, Copy)]
pub struct Theirs {
    pub meta: u64,
    pub value: u64,
    /// Its number, as links have it.
    pub number: u32,
}

/// Finds the slot of a flow by its hash, or claims a free one for it.
#[inline(always)]
pub fn acquire<const K: usize>(hash: u64) -> Acquired {
    let (tag, mask) = (flow::tag(hash), maps::flow_mask());
    let (one, two) = (hash::first_bucket(hash, mask), hash::second_bucket(hash, mask));
    let (Some(first), Some(second)) = (bucket::<K>(one), bucket::<K>(two)) else {
        return Acquired::Other(refuse(Reason::Internal));
    };
    let (in_first, in_second) = (look::<K>(one, tag), look::<K>(two, tag));
    if (in_first | in_second) >> WAY_SHIFT != 0 {
        let (base, index, seen) =
            if in_first >> WAY_SHIFT != 0 { (first, one, in_first) } else { (second, two, in_second) };
        let way = (seen >> WAY_SHIFT) as u32 - 1;
        // SAFETY: the mask keeps the slot inside the element.
        let (meta, value) = unsafe {
            let slot = base.add(maps::bounded::<3>(way) * stride(K));
            (atomic::read(slot), atomic::read(slot.add(1)))
        };
        if is_busy(meta) || !is_own(meta, value, tag) {
            return Acquired::Other(refuse(Reason::Contended));
        }
        return Acquired::Theirs(Theirs { meta, value, number: index * WAYS as u32 + way });
    }
    const USED: u64 = (1 << WAY_SHIFT) - 1;
    let prefer_second = in_first & USED > 1 && in_second & USED < in_first & USED;
    let turn = if prefer_second { WAYS as u32 } else { 0 };
    for at in 0..2 * WAYS as u32 {
        let place = at ^ turn;
        let base = if place < WAYS as u32 { first } else { second };
        // SAFETY: the mask keeps the slot inside the element.
        unsafe {
            let slot = base.add(maps::bounded::<3>(place) * stride(K));
            if atomic::read(slot) == 0 && atomic::replace(slot, 0, tag | BUSY) {
                return Acquired::Other(defend::<K>(hash, place, 0));
            }
        }
    }
    Acquired::Other(refuse(Reason::TableFull))
}

/// Claims a slot that another flow of the same hash has left, if nobody was faster.
#[inline(always)]
pub fn take_over<const K: usize>(hash: u64, theirs: Theirs) -> u64 {
    let one = hash::first_bucket(hash, maps::flow_mask());
    let way = theirs.number % WAYS as u32;
    let Some(slot) = pair::slot::<K>(theirs.number) else { return refuse(Reason::Internal) };
    let generation = theirs.meta.wrapping_add(GENERATION_STEP) & GENERATION;
    // SAFETY: the first word of a slot.
    if !unsafe { atomic::replace(slot, theirs.meta, flow::tag(hash) | BUSY | generation) } {
        return refuse(Reason::Contended);
    }
    let place = if theirs.number / WAYS as u32 == one { way } else { way + WAYS as u32 };
    defend::<K>(hash, place, generation)
}

/// How often a claim at a higher place is looked at again until it is published or given up: a few tens of nanoseconds.
const PATIENCE: u32 = 32;

/// Looks for claims of the same flow by other CPUs, whose own stands at place `mine` (see [`slot_at`]) with that generation. Returns
/// the claim, or gives it up.
#[inline(always)]
fn defend<const K: usize>(hash: u64, mine: u32, generation: u64) -> u64 {
    if K == KEY4 { evenkeel_defend4(hash, mine, generation) } else { evenkeel_defend6(hash, mine, generation) }
}

/// See [`defend`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_defend4(hash: u64, mine: u32, generation: u64) -> u64 {
    try_defend::<KEY4>(hash, mine, generation)
}

/// See [`defend`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_defend6(hash: u64, mine: u32, generation: u64) -> u64 {
    try_defend::<KEY6>(hash, mine, generation)
}

#[inline(always)]
fn try_defend<const K: usize>(hash: u64, mine: u32, generation: u64) -> u64 {
    let mask = maps::flow_mask();
    let (one, two) = (hash::first_bucket(hash, mask), hash::second_bucket(hash, mask));
    let (Some(first), Some(second)) = (bucket::<K>(one), bucket::<K>(two)) else { return refuse(Reason::Internal) };
    let rival = rival::<K>(first, second, flow::tag(hash), mine, one == two);
    if rival == 0 {
        let number = number_at(one, two, mine);
        return CLAIMED << OUTCOME_SHIFT | (generation & GENERATION) << GENERATION_SHIFT | number as u64;
    }
    let base = if mine < WAYS as u32 { first } else { second };
    // SAFETY: the mask keeps the slot inside the element; it is still busy and so ours alone.
    unsafe { atomic::publish(base.add(maps::bounded::<3>(mine) * stride(K)), 0) };
    rival
}

/// The outcome for whoever meets another claim or the flow itself; 0: there is none.
#[inline(always)]
fn rival<const K: usize>(first: *mut u64, second: *mut u64, tag: u64, mine: u32, one_bucket: bool) -> u64 {
    for place in 0..2 * WAYS {
        if place as u32 == mine || one_bucket && place >= WAYS {
            continue;
        }
        // SAFETY: `place` is below twice `WAYS`.
        let slot = unsafe { slot_at::<K>(first, second, place) };
        for _ in 0..PATIENCE {
            // SAFETY: words of a slot.
            let (meta, value) = unsafe { (atomic::read(slot), atomic::read(slot.add(1))) };
            if !is_own(meta, value, tag) {
                break;
            }
            if !is_busy(meta) {
                return THERE << OUTCOME_SHIFT | flow::dest(value) as u64;
            }
            if (place as u32) < mine {
                return refuse(Reason::Contended);
            }
        }
        // SAFETY: as above.
        let meta = unsafe { atomic::read(slot) };
        if meta & !GENERATION == tag | BUSY {
            return refuse(Reason::Contended);
        }
    }
    0
}

/// A slot that is busy with our flow.
#[derive(Clone, Copy)]
pub struct Claim {
    slot: *mut u64,
    meta: u64,
}

impl Claim {
    /// Fills the slot, whose link leads to slot `link`.
    ///
    /// # Safety
    /// The slot is still busy, and so ours alone.
    #[inline(always)]
    pub unsafe fn write<const K: usize>(self, value: u64, key: &[u64; K], link: u32) {
        unsafe {
            atomic::write(self.slot.add(1), value | flow::link_in_value(link));
            for word in 0..K - 1 {
                atomic::write(self.slot.add(2 + word), key[word]);
            }
            atomic::write(self.slot.add(1 + K), key[K - 1] | flow::link_in_key(link));
        }
    }

    /// Lets everybody see the slot, once it is filled.
    ///
    /// # Safety
    /// As for [`Claim::write`].
    #[inline(always)]
    pub unsafe fn publish(self) {
        unsafe { atomic::publish(self.slot, self.meta & !BUSY) };
    }

    /// Gives the slot back.
    ///
    /// # Safety
    /// As for [`Claim::write`].
    #[inline(always)]
    pub unsafe fn release(self) {
        unsafe { atomic::publish(self.slot, 0) };
    }

    /// Of [`CLAIMED`].
    #[inline(always)]
    pub fn from_raw<const K: usize>(raw: u64, hash: u64) -> Option<Claim> {
        let slot = pair::slot::<K>(raw as u32)?;
        Some(Claim { slot, meta: flow::tag(hash) | BUSY | raw >> GENERATION_SHIFT & GENERATION })
    }
}

/// How willingly a slot of this value is given away (PP-16): 0 not at all, and of two equally willing ones the one that has
/// been idle for longer. Verified once, or each of a bucket's slots would multiply what the verifier has to look at.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_willingness(value: u64, now: u32) -> u64 {
    let state = flow::state(value);
    let will = if state == State::Dead as u32 || expired(value, now) {
        3
    } else if state::is_closed(state) {
        2
    } else if state::is_half_open(state) || state == State::Template as u32 && value & TEMPLATE_ASSURED == 0 {
        1
    } else {
        return 0;
    };
    let idle = idle(value, now);
    will << 32 | if idle < 0 { 0 } else { idle as u64 }
}

/// More willing than anything else of [`evenkeel_willingness`].
const WILLING: u64 = 4 << 32;

/// The number of the slot at a place, see [`slot_at`].
#[inline(always)]
fn number_at(one: u32, two: u32, place: u32) -> u32 {
    (if place < WAYS as u32 { one } else { two }) * WAYS as u32 + place % WAYS as u32
}

/// Frees the slot of a flow's buckets that can best be spared.
#[inline(always)]
pub fn evict<const K: usize>(hash: u64, now: u32) -> Result<(), Reason> {
    let mask = maps::flow_mask();
    let (one, two) = (hash::first_bucket(hash, mask), hash::second_bucket(hash, mask));
    let first = bucket::<K>(one).ok_or(Reason::Internal)?;
    let second = bucket::<K>(two).ok_or(Reason::Internal)?;
    // The place in the lowest bits.
    const _: () = assert!(2 * WAYS == 8);
    let mut best = 0;
    for place in 0..2 * WAYS {
        // SAFETY: `place` is below twice `WAYS`.
        let (slot, meta, value) = unsafe {
            let slot = slot_at::<K>(first, second, place);
            (slot, atomic::read(slot), atomic::read(slot.add(1)))
        };
        let will = if meta == 0 || is_busy(meta) {
            0
        } else if flow::state(value) == State::Reverse as u32 {
            let number = number_at(one, two, place as u32);
            // SAFETY: the last word of the slot.
            let last = unsafe { atomic::read(slot.add(1 + K)) };
            // Before any connection.
            if pair::give_up::<K>(number, pair::LOOK, value, last, now) == pair::OVER { WILLING } else { 0 }
        } else {
            evenkeel_willingness(value, now)
        };
        if will << 3 > best {
            best = will << 3 | place as u64;
        }
    }
    if best == 0 {
        return Err(Reason::TableFull);
    }
    let at = maps::bounded::<7>(best as u32);
    let base = if at < WAYS { first } else { second };
    // SAFETY: the mask keeps the slot inside the element.
    unsafe {
        let slot = base.add((at & (WAYS - 1)) * stride(K));
        let (meta, value) = (atomic::read(slot), atomic::read(slot.add(1)));
        if meta == 0 {
            return Ok(());
        }
        if is_busy(meta) {
            return Err(Reason::Contended);
        }
        if flow::state(value) == State::Reverse as u32 {
            let last = atomic::read(slot.add(1 + K));
            if pair::give_up::<K>(number_at(one, two, at as u32), pair::END_EXPIRED, value, last, now) != pair::OVER {
                return Err(Reason::Contended);
            }
        }
        if flow::state(value) != State::Dead as u32 {
            let dead = flow::value(flow::dest(value), State::Dead as u32, flow::seen(value));
            if !atomic::replace(slot.add(1), value, dead) {
                return Err(Reason::Contended);
            }
            unload(value);
        }
        if atomic::replace(slot, meta, 0) { Ok(()) } else { Err(Reason::Contended) }
    }
}

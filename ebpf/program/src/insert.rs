//! Puts a new connection into the table, safe against other CPUs and the daemon (PP-16).
//!
//! A flow has two buckets. It goes into the first one unless that is half full and the second one is emptier. The same
//! flow may be put in by two CPUs at once: each claims a slot, then looks for the other one's. Of two claims the one at the
//! lower place (first bucket before second, lower slots first) stays; a published connection beats every claim.

use crate::{
    atomic,
    connect::New,
    connection::{bucket, expired, idle, is_busy, stride, unload},
    maps,
};
use evenkeel_abi::{
    Reason,
    flow::{self, BUSY, GENERATION, TEMPLATE_ASSURED, WAYS},
    hash,
    state::{self, State},
};

/// What a look at a bucket found.
struct Census {
    /// Slots that are taken.
    used: u32,
    /// The flow's own slot, if it is there: its meta word, 0 if not.
    own: u64,
    /// Its value.
    value: u64,
}

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

/// Counts a bucket's slots and looks for the flow's own.
#[inline(always)]
fn census<const K: usize>(bucket: *mut u64, tag: u64) -> Census {
    let mut census = Census { used: 0, own: 0, value: 0 };
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        let (meta, value) = unsafe {
            let slot = bucket.add(way * stride(K));
            (atomic::read(slot), atomic::read(slot.add(1)))
        };
        if meta != 0 {
            census.used += 1;
        }
        if is_own(meta, value, tag) {
            (census.own, census.value) = (meta, value);
        }
    }
    census
}

/// Puts the connection into the table; the value another CPU put there first, if one did. Where there is no room,
/// [`evict`] makes some.
#[inline(always)]
pub fn place<const K: usize>(new: &New<K>, value: u64) -> Result<Option<u64>, Reason> {
    let (tag, mask) = (flow::tag(new.hash), maps::flow_mask());
    let (one, two) = (hash::first_bucket(new.hash, mask), hash::second_bucket(new.hash, mask));
    let first = bucket::<K>(one).ok_or(Reason::Internal)?;
    let second = bucket::<K>(two).ok_or(Reason::Internal)?;
    let (in_first, in_second) = (census::<K>(first, tag), census::<K>(second, tag));
    for seen in [&in_first, &in_second] {
        if seen.own != 0 {
            return if is_busy(seen.own) { Err(Reason::Contended) } else { Ok(Some(seen.value)) };
        }
    }
    let prefer_second = in_first.used > 1 && in_second.used < in_first.used;
    let claim = if prefer_second {
        claim_free::<K>(second, tag, WAYS as u32).or_else(|| claim_free::<K>(first, tag, 0))
    } else {
        claim_free::<K>(first, tag, 0).or_else(|| claim_free::<K>(second, tag, WAYS as u32))
    };
    let claim = claim.ok_or(Reason::TableFull)?;
    if let Err(rival) = defend::<K>(first, second, tag, claim.place, one == two) {
        // SAFETY: the claimed slot, still busy and so ours alone.
        unsafe { atomic::publish(claim.slot, 0) };
        return rival;
    }
    // SAFETY: as above.
    unsafe {
        atomic::write(claim.slot.add(1), value);
        for word in 0..K {
            atomic::write(claim.slot.add(2 + word), new.key[word]);
        }
        atomic::publish(claim.slot, claim.meta & !BUSY);
    }
    Ok(None)
}

/// How often a claim at a higher place is looked at again until it is published or given up: a few tens of nanoseconds.
const PATIENCE: u32 = 32;

/// Looks for claims of the same flow by other CPUs. `Err` when ours has to yield, with what `place` then returns.
#[inline(always)]
fn defend<const K: usize>(
    first: *mut u64,
    second: *mut u64,
    tag: u64,
    mine: u32,
    one_bucket: bool,
) -> Result<(), Result<Option<u64>, Reason>> {
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
                return Err(Ok(Some(value)));
            }
            if (place as u32) < mine {
                return Err(Err(Reason::Contended));
            }
        }
        // SAFETY: as above.
        let meta = unsafe { atomic::read(slot) };
        if meta & !GENERATION == tag | BUSY {
            return Err(Err(Reason::Contended));
        }
    }
    Ok(())
}

/// A slot that is busy with our flow.
#[derive(Clone, Copy)]
struct Claim {
    slot: *mut u64,
    meta: u64,
    /// See [`slot_at`].
    place: u32,
}

#[inline(always)]
fn claim_free<const K: usize>(bucket: *mut u64, tag: u64, first_place: u32) -> Option<Claim> {
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        unsafe {
            let slot = bucket.add(way * stride(K));
            if atomic::read(slot) == 0 && atomic::replace(slot, 0, tag | BUSY) {
                return Some(Claim { slot, meta: tag | BUSY, place: first_place + way as u32 });
            }
        }
    }
    None
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

/// Frees the slot of a flow's buckets that can best be spared.
#[inline(always)]
pub fn evict<const K: usize>(hash: u64, now: u32) -> Result<(), Reason> {
    let mask = maps::flow_mask();
    let first = bucket::<K>(hash::first_bucket(hash, mask)).ok_or(Reason::Internal)?;
    let second = bucket::<K>(hash::second_bucket(hash, mask)).ok_or(Reason::Internal)?;
    // The place in the lowest bits.
    const _: () = assert!(2 * WAYS == 8);
    let mut best = 0;
    for place in 0..2 * WAYS {
        // SAFETY: `place` is below twice `WAYS`.
        let (meta, value) = unsafe {
            let slot = slot_at::<K>(first, second, place);
            (atomic::read(slot), atomic::read(slot.add(1)))
        };
        let will = if meta == 0 || is_busy(meta) { 0 } else { evenkeel_willingness(value, now) };
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

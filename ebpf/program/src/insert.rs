//! Puts a new connection into the table, safe against other CPUs and the daemon (PP-16).
//!
//! A flow has two buckets. It goes into the first one unless that is nearly full and the second one is emptier. The same
//! flow may be put in by two CPUs at once: whoever meets its own tag stops. When the two choose different buckets each
//! looks into the other one after its claim is visible; the first bucket wins.

use crate::{
    atomic,
    connection::{New, bucket, expired, is_busy, stride, weigh},
    maps,
};
use evenkeel_abi::{
    Load, Reason,
    flow::{self, BUSY, GENERATION, GENERATION_STEP, WAYS},
    hash,
    tcp::State,
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

/// Counts a bucket's slots and looks for the flow's own.
#[inline(always)]
fn census<const K: usize>(bucket: *mut u64, tag: u64) -> Census {
    let mut census = Census { used: 0, own: 0, value: 0 };
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        unsafe {
            let slot = bucket.add(way * stride(K));
            let meta = atomic::read(slot);
            if meta != 0 {
                census.used += 1;
            }
            if meta & !(GENERATION | BUSY) == tag {
                let value = atomic::read(slot.add(1));
                if is_busy(meta) || flow::state(value) != State::Dead as u32 {
                    census.own = meta;
                    census.value = value;
                }
            }
        }
    }
    census
}

/// Puts the connection into the table; the value another CPU put there first, if one did.
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
    let prefer_second = in_first.used > 2 && in_second.used < in_first.used;
    let claimed = if prefer_second {
        claim_free::<K>(second, tag).map(|c| (c, false)).or_else(|| claim_free::<K>(first, tag).map(|c| (c, true)))
    } else {
        claim_free::<K>(first, tag).map(|c| (c, true)).or_else(|| claim_free::<K>(second, tag).map(|c| (c, false)))
    };
    let (claim, is_first) = match claimed {
        Some(claimed) => claimed,
        None => evict::<K>(first, second, tag, new.now)?,
    };
    let other = census::<K>(if is_first { second } else { first }, tag);
    // The first bucket wins over a second one that is not published yet, and loses to one that is.
    if other.own != 0 && one != two && !(is_first && is_busy(other.own)) {
        // SAFETY: the claimed slot, still busy and so ours alone.
        unsafe { atomic::publish(claim.slot, 0) };
        return if is_busy(other.own) { Err(Reason::Contended) } else { Ok(Some(other.value)) };
    }
    // SAFETY: the claimed slot, still busy and so ours alone.
    unsafe {
        atomic::write(claim.slot.add(1), value);
        for word in 0..K {
            atomic::write(claim.slot.add(2 + word), new.key[word]);
        }
        atomic::publish(claim.slot, claim.meta & !BUSY);
    }
    Ok(None)
}

/// A slot that is busy with our flow.
#[derive(Clone, Copy)]
struct Claim {
    slot: *mut u64,
    meta: u64,
}

#[inline(always)]
fn claim_free<const K: usize>(bucket: *mut u64, tag: u64) -> Option<Claim> {
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        unsafe {
            let slot = bucket.add(way * stride(K));
            if atomic::read(slot) == 0 && atomic::replace(slot, 0, tag | BUSY) {
                return Some(Claim { slot, meta: tag | BUSY });
            }
        }
    }
    None
}

/// How willingly a slot is given away: 0 not at all.
#[inline(always)]
fn willingness(value: u64, now: u32) -> u32 {
    let state = flow::state(value);
    if state == State::Dead as u32 || expired(value, now) {
        3
    } else if state == State::Close as u32 || state == State::TimeWait as u32 {
        2
    } else if state == State::SynRecv as u32 {
        1
    } else {
        0
    }
}

/// Takes a slot from the connection that can best spare it.
#[inline(always)]
fn evict<const K: usize>(first: *mut u64, second: *mut u64, tag: u64, now: u32) -> Result<(Claim, bool), Reason> {
    let (mut best, mut at) = (0, 0);
    for place in 0..2 * WAYS {
        let base = if place < WAYS { first } else { second };
        // SAFETY: each base is an element of `WAYS` slots.
        let (meta, value) = unsafe {
            let slot = base.add((place % WAYS) * stride(K));
            (atomic::read(slot), atomic::read(slot.add(1)))
        };
        let will = if meta == 0 || is_busy(meta) { 0 } else { willingness(value, now) };
        if will > best {
            (best, at) = (will, place);
        }
    }
    if best == 0 {
        return Err(Reason::TableFull);
    }
    let is_first = at < WAYS;
    let base = if is_first { first } else { second };
    // SAFETY: the mask keeps the slot inside the element.
    unsafe {
        let slot = base.add((at & (WAYS - 1)) * stride(K));
        let (meta, value) = (atomic::read(slot), atomic::read(slot.add(1)));
        if meta == 0 || is_busy(meta) {
            return Err(Reason::Contended);
        }
        if flow::state(value) != State::Dead as u32 {
            let dead = flow::value(flow::dest(value), State::Dead as u32, flow::seen(value));
            if !atomic::replace(slot.add(1), value, dead) {
                return Err(Reason::Contended);
            }
            weigh(flow::dest(value), 0u64.wrapping_sub(Load::of(flow::state(value))));
        }
        let claim = Claim { slot, meta: tag | BUSY | (meta.wrapping_add(GENERATION_STEP) & GENERATION) };
        if atomic::replace(slot, meta, claim.meta) { Ok((claim, is_first)) } else { Err(Reason::Contended) }
    }
}

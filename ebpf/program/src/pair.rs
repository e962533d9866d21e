//! A translated connection and its way back, which are made together (PP-41, PP-44).
//!
//! The way back is claimed first, then the connection; the connection is published first. So a way back is busy for as long
//! as its connection does not name it, and one that is not busy and not named is nobody's: free to be taken. Who takes one whose
//! connection has expired ends the connection first, which only one can do.

use crate::{
    atomic,
    connect::{ABSENT, NOTHING, New, OURS, THEIRS, code, encode, evenkeel_evict4, evenkeel_evict6, step, steps},
    connection::{self, bucket, expired, is_busy, stride, unload},
    insert::{self, Acquired, CLAIMED, Claim, OUTCOME_SHIFT, TAKEN, THERE, acquire, claim, reason, refuse, take_over},
    maps,
};
use evenkeel_abi::{
    DEST_FULLNAT, DEST_OWN, Dest, Reason,
    flow::{self, GENERATION, KEY4, WAYS},
    hash,
    state::{self, State},
};

/// A slot by its number.
#[inline(always)]
pub fn slot<const K: usize>(number: u32) -> Option<*mut u64> {
    let bucket = bucket::<K>(number / WAYS as u32)?;
    // SAFETY: the mask keeps the slot inside the element.
    Some(unsafe { bucket.add(maps::bounded::<3>(number % WAYS as u32) * stride(K)) })
}

/// A slot that is linked with another one.
#[derive(Clone, Copy)]
pub struct Partner {
    pub slot: *mut u64,
    pub meta: u64,
    pub value: u64,
    /// Whether it names the other one, too.
    pub linked: bool,
}

/// The slot that slot `number`, of `value` and last key word `last`, names.
#[inline(always)]
pub fn partner<const K: usize>(number: u32, value: u64, last: u64) -> Option<Partner> {
    let slot = slot::<K>(flow::link(value, last))?;
    // SAFETY: words of a slot.
    let (meta, theirs, key) = unsafe { (atomic::read(slot), atomic::read(slot.add(1)), atomic::read(slot.add(1 + K))) };
    let linked = flow::link(theirs, key) == number && flow::dest(theirs) == flow::dest(value);
    Some(Partner { slot, meta, value: theirs, linked })
}

/// [`give_up`] only looks.
pub const LOOK: u64 = 0;
/// [`give_up`] ends an expired connection.
pub const END_EXPIRED: u64 = 1;
/// [`give_up`] ends one that is closing, too.
pub const END_CLOSING: u64 = 2;
/// Bits of a flow's tag beside these.
const MODE: u64 = 3;

/// The way back is in use.
pub const IN_USE: u64 = 0;
/// It may be taken.
pub const OVER: u64 = 1;
/// Another CPU is at it.
pub const BUSY: u64 = 2;
/// It is that of the connection that asks.
pub const OWN: u64 = 3;

/// Whether a way back, slot `number` of `value` and last key word `last`, can be taken from its connection. `mode`: what may be
/// done for it, and the tag of the connection that asks.
#[inline(always)]
pub fn give_up<const K: usize>(number: u32, mode: u64, value: u64, last: u64, now: u32) -> u64 {
    if K == KEY4 {
        evenkeel_give_up4(number, mode, value, last, now)
    } else {
        evenkeel_give_up6(number, mode, value, last, now)
    }
}

/// See [`give_up`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_give_up4(number: u32, mode: u64, value: u64, last: u64, now: u32) -> u64 {
    try_give_up::<KEY4>(number, mode, value, last, now)
}

/// See [`give_up`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_give_up6(number: u32, mode: u64, value: u64, last: u64, now: u32) -> u64 {
    try_give_up::<{ flow::KEY6 }>(number, mode, value, last, now)
}

#[inline(always)]
fn try_give_up<const K: usize>(number: u32, mode: u64, value: u64, last: u64, now: u32) -> u64 {
    let Some(of) = partner::<K>(number, value, last) else { return OVER };
    let state = flow::state(of.value);
    if is_busy(of.meta) {
        return BUSY;
    }
    if of.meta == 0 || !of.linked || !state::is_connection(state) {
        return OVER;
    }
    let asks = mode & !MODE;
    if asks != 0 && of.meta & !GENERATION == asks | flow::USED {
        return OWN;
    }
    let over = expired(of.value, now);
    if !over && !(mode & MODE == END_CLOSING && state::is_reusable(state)) {
        return IN_USE;
    }
    if mode & MODE == LOOK || end(of.slot, of.value) { OVER } else { BUSY }
}

/// Ends a connection; `false`: another CPU has changed it meanwhile.
#[inline(always)]
pub fn end(slot: *mut u64, value: u64) -> bool {
    let dead = flow::value(flow::dest(value), State::Dead as u32, flow::seen(value));
    // SAFETY: the word after a slot's first one.
    let ended = unsafe { atomic::replace(slot.add(1), value, dead) };
    if ended {
        unload(value);
    }
    ended
}

/// Claims the slot of a way back by its hash, for the connection whose tag `mode` holds. Returns an outcome.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_way_back4(hash: u64, mode: u64, now: u32) -> u64 {
    way_back::<KEY4>(hash, mode, now)
}

/// See [`evenkeel_way_back4`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_way_back6(hash: u64, mode: u64, now: u32) -> u64 {
    way_back::<{ flow::KEY6 }>(hash, mode, now)
}

#[inline(always)]
fn way_back<const K: usize>(hash: u64, mode: u64, now: u32) -> u64 {
    let theirs = match acquire::<K>(hash) {
        Acquired::Theirs(theirs) => theirs,
        Acquired::Other(raw) if raw >> OUTCOME_SHIFT == THERE => return refuse(Reason::Contended),
        Acquired::Other(raw) => return raw,
    };
    if flow::state(theirs.value) != State::Reverse as u32 {
        return TAKEN << OUTCOME_SHIFT;
    }
    let Some(slot) = slot::<K>(theirs.number) else { return refuse(Reason::Internal) };
    // SAFETY: the last word of a slot.
    let last = unsafe { atomic::read(slot.add(1 + K)) };
    match give_up::<K>(theirs.number, mode, theirs.value, last, now) {
        IN_USE => TAKEN << OUTCOME_SHIFT,
        OVER => take_over::<K>(hash, theirs),
        OWN => THERE << OUTCOME_SHIFT | flow::link(theirs.value, last) as u64,
        _ => refuse(Reason::Contended),
    }
}

/// The key of the answers of a real server to a packet of `new`.
#[inline(always)]
fn back_key<const K: usize>(new: &New<K>, dest: &Dest, own: u32) -> [u64; K] {
    let full = dest.flags & DEST_FULLNAT != 0;
    let from = if dest.port == 0 { new.ports >> 16 } else { dest.port as u32 };
    let to = if full { own } else { new.ports & 0xffff };
    let (address, mine) = (&dest.address, &dest.own);
    let mut key = [0; K];
    if K == KEY4 {
        let client = if full { mine[0] } else { (new.key[0] >> 32) as u32 };
        key[0] = (address[0] as u64) << 32 | client as u64;
    } else {
        key[0] = (address[0] as u64) << 32 | address[1] as u64;
        key[1] = (address[2] as u64) << 32 | address[3] as u64;
        (key[2], key[3]) = if full {
            ((mine[0] as u64) << 32 | mine[1] as u64, (mine[2] as u64) << 32 | mine[3] as u64)
        } else {
            (new.key[0], new.key[1])
        };
    }
    key[K - 1] = flow::ports(from | to << 16, new.protocol as u8);
    key
}

/// Ports that are tried behind the client's own one (PP-44).
const TRIES: u32 = 16;

steps! {
    /// Claims the slot of a translated connection's way back: [`ABSENT`] when it has, and the connection itself is still to be made,
    /// [`OURS`] when the connection had it already and begins anew, or [`THEIRS`].
    evenkeel_back4, evenkeel_back6 => |new| encode(back(new));
    /// Frees a slot for the way back: 0.
    evenkeel_room4, evenkeel_room6 => |new| encode(evict_for_back(new).map(|()| 0));
    /// Makes the connection whose way back has been claimed: [`OURS`] or [`THEIRS`].
    evenkeel_join4, evenkeel_join6 => |new| encode(join(new));
    /// Gives the way back's slot back: 0.
    evenkeel_leave4, evenkeel_leave6 => |new| { leave(new); 0 };
}

/// Makes a translated connection and its way back, or none of them: [`OURS`], [`THEIRS`] or a reason.
#[inline(always)]
pub fn make<const K: usize>(new: &mut New<K>) -> u64 {
    const FULL: u64 = code(Reason::TableFull);
    let mut made = step!(evenkeel_back4, evenkeel_back6, new);
    if made == FULL {
        let evicted = step!(evenkeel_room4, evenkeel_room6, new);
        if evicted != 0 {
            return evicted;
        }
        made = step!(evenkeel_back4, evenkeel_back6, new);
    }
    if made != ABSENT as u64 {
        return made;
    }
    made = step!(evenkeel_join4, evenkeel_join6, new);
    if made == FULL {
        made = step!(evenkeel_evict4, evenkeel_evict6, new);
        if made == 0 {
            made = step!(evenkeel_join4, evenkeel_join6, new);
        }
    }
    if made != OURS as u64 {
        step!(evenkeel_leave4, evenkeel_leave6, new);
    }
    made
}

#[inline(always)]
fn back<const K: usize>(new: &mut New<K>) -> Result<u32, Reason> {
    let dest = maps::DESTS.get_ptr(new.dest).ok_or(Reason::Internal)?;
    // SAFETY: an element of the array. What the daemon changes of it becomes known a moment later.
    let dest = unsafe { &*dest };
    let full = dest.flags & DEST_FULLNAT != 0;
    if full && dest.flags & DEST_OWN == 0 {
        return Err(Reason::NoOwnAddress);
    }
    let mode = flow::tag(new.hash) & !0xf | if full { END_EXPIRED } else { END_CLOSING };
    let (first, last) = maps::port_range();
    let mut raw = TAKEN << OUTCOME_SHIFT;
    new.port = 0;
    for attempt in 0..=TRIES {
        if full {
            let own = if attempt == 0 {
                u16::from_be(new.ports as u16)
            } else {
                hash::own_port(new.hash, attempt, first, last)
            };
            if own < first || own > last {
                continue;
            }
            new.port = own.to_be() as u32;
        }
        new.back = back_key(new, dest, new.port);
        new.back_hash = connection::hash(&new.back);
        raw = if K == KEY4 {
            evenkeel_way_back4(new.back_hash, mode, new.now)
        } else {
            evenkeel_way_back6(new.back_hash, mode, new.now)
        };
        if !full || raw >> OUTCOME_SHIFT != TAKEN {
            break;
        }
    }
    new.claimed = raw;
    match raw >> OUTCOME_SHIFT {
        CLAIMED => Ok(ABSENT),
        TAKEN => Err(Reason::NoPort),
        THERE => keep(new, raw as u32),
        refused => Err(reason(refused)),
    }
}

#[inline(always)]
fn evict_for_back<const K: usize>(new: &mut New<K>) -> Result<(), Reason> {
    insert::evict::<K>(new.back_hash, new.now)
}

#[inline(always)]
fn leave<const K: usize>(new: &mut New<K>) {
    if let Some(claim) = Claim::from_raw::<K>(new.claimed, new.back_hash) {
        // SAFETY: the claimed slot, still busy and so ours alone.
        unsafe { claim.release() };
    }
}

/// Puts the connection beside its way back.
#[inline(always)]
fn join<const K: usize>(new: &mut New<K>) -> Result<u32, Reason> {
    part(new)?;
    let raw = claim::<K>(new.hash);
    match raw >> OUTCOME_SHIFT {
        CLAIMED => {}
        THERE => {
            new.value = raw & (flow::DEST_LIMIT - 1) as u64;
            return Ok(THEIRS);
        }
        refused => return Err(reason(refused)),
    }
    let connection = Claim::from_raw::<K>(raw, new.hash).ok_or(Reason::Internal)?;
    let back = Claim::from_raw::<K>(new.claimed, new.back_hash).ok_or(Reason::Internal)?;
    let of_back = flow::value(new.dest, State::Reverse as u32, new.now);
    // SAFETY: both slots are claimed and busy, and so ours alone.
    unsafe {
        back.write(of_back, &new.back, raw as u32);
        connection.write(new.fresh, &new.key, new.claimed as u32);
        connection.publish();
        back.publish();
    }
    Ok(OURS)
}

/// Ends the connection that the new one takes the place of (PP-14), if there is one.
#[inline(always)]
fn part<const K: usize>(new: &mut New<K>) -> Result<(), Reason> {
    if new.reuse == NOTHING {
        return Ok(());
    }
    let slot = slot::<K>(new.bucket * WAYS as u32 + new.way).ok_or(Reason::Internal)?;
    if !end(slot, new.value) {
        return Err(Reason::Contended);
    }
    new.reuse = NOTHING;
    // SAFETY: the first word of a slot. Who has claimed it meanwhile keeps it.
    unsafe {
        let meta = atomic::read(slot);
        if meta & !GENERATION == flow::tag(new.hash) {
            atomic::replace(slot, meta, 0);
        }
    }
    Ok(())
}

/// The connection in slot `number` has the way back already: it begins anew in its place, or another CPU has just made it.
#[inline(always)]
fn keep<const K: usize>(new: &mut New<K>, number: u32) -> Result<u32, Reason> {
    let slot = slot::<K>(number).ok_or(Reason::Internal)?;
    if new.reuse == NOTHING {
        // SAFETY: the word after a slot's first one.
        new.value = unsafe { atomic::read(slot.add(1)) };
        return Ok(THEIRS);
    }
    if number != new.bucket * WAYS as u32 + new.way {
        return Err(Reason::Contended);
    }
    let fresh = new.fresh | new.value & flow::VALUE_LINK;
    // SAFETY: as above.
    if !unsafe { atomic::replace(slot.add(1), new.value, fresh) } {
        return Err(Reason::Contended);
    }
    unload(new.value);
    Ok(OURS)
}

/// What a connection of FullNAT has of the director towards its real server.
pub struct Own {
    /// The real server's index.
    pub dest: u32,
    /// Ports of the client's packets, as they stand in them.
    pub client: u32,
    /// The director's own address.
    pub source: [u32; 4],
    /// Its port, as it stands in packets.
    pub port: u16,
}

/// That of the connection in slot `number`: from its way back.
#[inline(always)]
pub fn own<const K: usize>(number: u32) -> Option<Own> {
    let slot = slot::<K>(number)?;
    // SAFETY: words of a slot.
    let (value, last) = unsafe { (atomic::read(slot.add(1)), atomic::read(slot.add(1 + K))) };
    let back = partner::<K>(number, value, last)?;
    if !back.linked || flow::state(back.value) != State::Reverse as u32 {
        return None;
    }
    // SAFETY: words of a slot.
    unsafe {
        let word = |index: usize| atomic::read(back.slot.add(2 + index));
        let source = if K == KEY4 {
            [word(0) as u32, 0, 0, 0]
        } else {
            [(word(2) >> 32) as u32, word(2) as u32, (word(3) >> 32) as u32, word(3) as u32]
        };
        Some(Own { dest: flow::dest(value), client: (last >> 32) as u32, source, port: (word(K - 1) >> 48) as u16 })
    }
}

//! The connection a packet belongs to, and its state (PP-9 to PP-15).

use crate::{
    Frame, Verdict, answer, atomic,
    connect::{self, New},
    forward::{self, Target},
    fragment,
    ip::{FIRST, Packet, UDP},
    maps, pair,
    plan::{ANSWER, Place},
    template,
};
use evenkeel_abi::{
    DEST_FULLNAT, DEST_GONE, DEST_NAT, DEST_NO_NEW, Load, Reason, SERVICE_EXPIRE_ALL, SERVICE_EXPIRE_UDP,
    SERVICE_NO_REUSE, SERVICE_PERSISTENT,
    flow::{self, BUSY, GENERATION, KEY_LINK, KEY4, KEY6, VALUE_LINK, WAYS},
    hash, sctp,
    state::{self, Direction, State},
    tcp,
};

/// Words of a slot of the family with `K` key words.
pub const fn stride(k: usize) -> usize {
    if k == KEY4 { 4 } else { 8 }
}

/// A bucket of the family with `K` key words, as words.
#[inline(always)]
pub fn bucket<const K: usize>(index: u32) -> Option<*mut u64> {
    if K == KEY4 {
        maps::FLOWS4.get_ptr_mut(index).map(|b| b.cast())
    } else {
        maps::FLOWS6.get_ptr_mut(index).map(|b| b.cast())
    }
}

#[inline(always)]
pub fn ipv4(frame: &Frame, packet: &Packet, key: &[u64; KEY4], plan: &mut Place) -> Result<Verdict, Reason> {
    run(frame, packet, key, hash::flow4(maps::secret(), key), plan)
}

#[inline(always)]
pub fn ipv6(frame: &Frame, packet: &Packet, key: &[u64; KEY6], plan: &mut Place) -> Result<Verdict, Reason> {
    run(frame, packet, key, hash::flow6(maps::secret(), key), plan)
}

/// The hash of a key.
#[inline(always)]
pub fn hash<const K: usize>(key: &[u64; K]) -> u64 {
    // SAFETY: `K` words are two or five.
    unsafe {
        if K == KEY4 {
            hash::flow4(maps::secret(), &*(&raw const *key).cast())
        } else {
            hash::flow6(maps::secret(), &*(&raw const *key).cast())
        }
    }
}

/// A slot and the value it held when the key was compared.
#[derive(Clone, Copy)]
pub struct Found {
    pub slot: *mut u64,
    pub value: u64,
    /// Which slot of the bucket.
    pub way: u32,
    /// Which bucket.
    pub bucket: u32,
}

impl Found {
    /// The slot's number, as links have it.
    #[inline(always)]
    pub fn number(&self) -> u32 {
        self.bucket * WAYS as u32 + self.way
    }
}

/// The published, living slot of a flow in one bucket.
#[inline(always)]
fn find<const K: usize>(index: u32, tag: u64, key: &[u64; K]) -> Option<Found> {
    let bucket = bucket::<K>(index)?;
    for way in 0..WAYS {
        // SAFETY: `bucket` is an element of `WAYS` slots.
        unsafe {
            let slot = bucket.add(way * stride(K));
            let meta = atomic::read(slot);
            if meta & !GENERATION == tag {
                let value = atomic::read(slot.add(1));
                let mut same = true;
                for word in 0..K {
                    // The last word holds a part of the link beside the key.
                    let mask = if word == K - 1 { !KEY_LINK } else { !0 };
                    same &= atomic::read(slot.add(2 + word)) & mask == key[word];
                }
                // The slot may have been given to another flow meanwhile: its tag or generation tells.
                if same && atomic::read(slot) == meta && flow::state(value) != State::Dead as u32 {
                    return Some(Found { slot, value, way: way as u32, bucket: index });
                }
            }
        }
    }
    None
}

/// A flow's slot in either of its buckets.
#[inline(always)]
pub fn lookup<const K: usize>(hash: u64, key: &[u64; K]) -> Option<Found> {
    let (tag, mask) = (flow::tag(hash), maps::flow_mask());
    // Not `or_else`, which is not always put in line.
    match find(hash::first_bucket(hash, mask), tag, key) {
        Some(found) => Some(found),
        None => find(hash::second_bucket(hash, mask), tag, key),
    }
}

#[inline(always)]
fn run<const K: usize>(
    frame: &Frame,
    packet: &Packet,
    key: &[u64; K],
    hash: u64,
    plan: &mut Place,
) -> Result<Verdict, Reason> {
    let now = maps::now();
    let target = match lookup(hash, key) {
        Some(found) if flow::state(found.value) == State::Reverse as u32 => {
            return answer::plan::<K>(packet, found, (ANSWER, 0), plan);
        }
        Some(found) => known(frame, packet, key, hash, now, found)?,
        None if packet.answer_only => return Err(Reason::NotOurs),
        None => connect::connect(frame, New::write(packet, key, hash, now)?)?,
    };
    if packet.part == FIRST {
        fragment::goes(target.dest)?;
    }
    forward::finish::<K, false>(frame, packet, key, hash, target, plan)
}

/// The share of a timeout, as a shift, by which a packet's renewal of it may be noted late (PP-13).
const RENEWAL: u32 = 6;

/// Ticks since a connection's last noted packet. Another CPU may have seen a later tick than this one: then it is negative.
#[inline(always)]
pub fn idle(value: u64, now: u32) -> i32 {
    now.wrapping_sub(flow::seen(value)) as i32
}

/// Whether the timeout of a connection or template has passed (PP-13, PP-34).
#[inline(always)]
pub fn expired(value: u64, now: u32) -> bool {
    let state = flow::state(value);
    let timeout =
        if state == State::Template as u32 { template_timeout(flow::dest(value)) } else { maps::timeout(state) };
    idle(value, now) > timeout as i32
}

/// Ticks that templates of a real server's service last.
#[inline(always)]
fn template_timeout(dest: u32) -> u32 {
    let service = maps::DESTS.get(dest).and_then(|dest| maps::SERVICES.get_ptr(dest.service));
    // SAFETY: an element of the array.
    service.map_or(0, |service| unsafe { (&raw const (*service).persistence).read_volatile() })
}

/// Follows a known connection's state; its real server (PP-10, PP-13, PP-14, PP-33).
#[inline(always)]
fn known<const K: usize>(
    frame: &Frame,
    packet: &Packet,
    key: &[u64; K],
    hash: u64,
    now: u32,
    found: Found,
) -> Result<Target, Reason> {
    let Found { slot, value, .. } = found;
    let state = flow::state(value);
    let target = Target::of(flow::dest(value), 0, found.number())?;
    let reuse = if idle(value, now) > maps::timeout(state) as i32 {
        connect::EXPIRED
    } else if let Some(bad) = packet.bad {
        return Err(bad);
    } else if target.flags & DEST_GONE != 0 && is_given_up(packet.protocol, &target) {
        connect::GIVEN_UP
    } else if opens(packet.protocol, packet.flags) && is_over(state, &target) {
        connect::OVER
    } else {
        connect::NOTHING
    };
    if reuse != connect::NOTHING {
        let new = New::write(packet, key, hash, now)?;
        (new.reuse, new.bucket, new.way, new.value) = (reuse, found.bucket, found.way, value);
        return connect::connect(frame, new);
    }
    let row = row(packet.protocol, packet.flags, direction(target.flags));
    if follow::<K>(slot, found.number(), value, row, now) && target.service_flags() & SERVICE_PERSISTENT != 0 {
        let new = New::write(packet, key, hash, now)?;
        new.service = target.service();
        template::assure(new);
    }
    Ok(target)
}

/// Follows the state of the connection in `slot`, whose number is `number`, of `value`, and renews its timeout; whether that has made
/// it established.
#[inline(always)]
pub fn follow<const K: usize>(slot: *mut u64, number: u32, value: u64, row: u32, now: u32) -> bool {
    let state = flow::state(value);
    let next = maps::next(row, state);
    // A packet need not write down that it came when one has done so a moment ago: writing dirties the line.
    if next == state && idle(value, now) <= maps::timeout(state) as i32 >> RENEWAL {
        return false;
    }
    // SAFETY: a slot.
    if unsafe { change(slot, value, next, now) } {
        return next != state && state::is_established(next);
    }
    // Another CPU's packet came first. It is as recent, but it may be of the other direction.
    if next == state {
        return false;
    }
    if K == KEY4 { evenkeel_follow4(number, row, now) != 0 } else { evenkeel_follow6(number, row, now) != 0 }
}

/// Puts a connection into another state, accounting for it; `false`: another CPU has changed it meanwhile.
///
/// # Safety
/// `slot` is one of the table.
#[inline(always)]
unsafe fn change(slot: *mut u64, value: u64, next: u32, now: u32) -> bool {
    let (dest, state) = (flow::dest(value), flow::state(value));
    let fresh = flow::value(dest, next, now) | value & VALUE_LINK;
    // SAFETY: the word after a slot's first one.
    let changed = unsafe { atomic::replace(slot.add(1), value, fresh) };
    if changed && state::is_active(next) != state::is_active(state) {
        weigh(dest, Load::of(next).wrapping_sub(Load::of(state)));
    }
    changed
}

/// How often a change of state is tried again.
const TRIES: u32 = 3;

/// Follows the state of the connection in slot `number` after another CPU has changed it; 1 if that has made it established.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_follow4(number: u32, row: u32, now: u32) -> u64 {
    follow_again::<KEY4>(number, row, now)
}

/// See [`evenkeel_follow4`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn evenkeel_follow6(number: u32, row: u32, now: u32) -> u64 {
    follow_again::<KEY6>(number, row, now)
}

#[inline(always)]
fn follow_again<const K: usize>(number: u32, row: u32, now: u32) -> u64 {
    let Some(slot) = pair::slot::<K>(number) else { return 0 };
    for _ in 0..TRIES {
        // SAFETY: the word after a slot's first one.
        let value = unsafe { atomic::read(slot.add(1)) };
        let state = flow::state(value);
        let next = maps::next(row, state);
        if next == state {
            return 0;
        }
        // SAFETY: a slot.
        if unsafe { change(slot, value, next, now) } {
            return state::is_established(next) as u64;
        }
    }
    0
}

/// Whether a connection of a real server that is gone is given up (PP-33).
#[inline(always)]
fn is_given_up(protocol: u8, target: &Target) -> bool {
    let asked = if protocol == UDP { SERVICE_EXPIRE_UDP } else { SERVICE_EXPIRE_ALL };
    target.service_flags() & asked != 0
}

/// Whether an opening packet is a new connection (PP-14): the known one is closing, or half open on its way to a real
/// server that takes no new ones: one that has died, as a rule, and whose refusal the director did not see.
#[inline(always)]
fn is_over(state: u32, target: &Target) -> bool {
    if state::is_half_open(state) {
        return target.flags & DEST_NO_NEW != 0;
    }
    state::is_reusable(state) && target.service_flags() & SERVICE_NO_REUSE == 0
}

/// Whether a packet makes a connection (PP-11, PP-12). `flags`: see [`Packet`].
#[inline(always)]
pub fn opens(protocol: u8, flags: u8) -> bool {
    if protocol == sctp::PROTOCOL {
        return flags as u32 == sctp::EVENT_INIT;
    }
    flags & (tcp::SYN | tcp::ACK) == tcp::SYN
}

/// The direction of a client's packet to a real server of these flags.
#[inline(always)]
pub fn direction(dest_flags: u32) -> Direction {
    if dest_flags & (DEST_NAT | DEST_FULLNAT) != 0 { Direction::Input } else { Direction::InputOnly }
}

/// The row of a packet (PP-13). States of protocols without transitions stay as they are in every row of TCP.
#[inline(always)]
pub fn row(protocol: u8, flags: u8, direction: Direction) -> u32 {
    if protocol == sctp::PROTOCOL { sctp::row(direction, flags as u32) } else { tcp::row(direction, tcp::event(flags)) }
}

/// Adds to a real server's active and inactive connections.
#[inline(always)]
pub fn weigh(dest: u32, load: u64) {
    if let Some(cell) = maps::LOADS.get_ptr_mut(dest) {
        // SAFETY: a word of an element of the array.
        unsafe { atomic::add(&raw mut (*cell).connections, load) };
    }
}

/// Adds to a real server's templates.
#[inline(always)]
pub fn weigh_templates(dest: u32, more: u64) {
    if let Some(cell) = maps::LOADS.get_ptr_mut(dest) {
        // SAFETY: a word of an element of the array.
        unsafe { atomic::add(&raw mut (*cell).templates, more) };
    }
}

/// Takes what a slot's value stands for off its real server's load.
#[inline(always)]
pub fn unload(value: u64) {
    if flow::state(value) == State::Template as u32 {
        weigh_templates(flow::dest(value), 0u64.wrapping_sub(1));
    } else {
        weigh(flow::dest(value), 0u64.wrapping_sub(Load::of(flow::state(value))));
    }
}

/// Whether another CPU is filling the slot.
#[inline(always)]
pub fn is_busy(meta: u64) -> bool {
    meta & BUSY != 0
}

//! Makes a connection: to which real server, and where in the table (PP-13, PP-14, PP-33, PP-37).
//!
//! What happens once for each connection runs in global functions, which are verified by themselves, whatever state their
//! callers are in. They are steps that one short function takes in turn, so that no two of their stacks lie on top of each
//! other. What they tell each other stands in [`New`].

use crate::{
    Frame,
    admit::admit,
    atomic,
    connection::{bucket, direction, row, stride, unload, weigh},
    forward::{NO_SLOT, Target},
    insert,
    ip::{Packet, TCP, UDP},
    limit, maps,
    mark::{evenkeel_mark4, evenkeel_mark6},
    pair, schedule, sip,
    template::{
        evenkeel_keep4, evenkeel_keep6, evenkeel_kept4, evenkeel_kept6, evenkeel_template4, evenkeel_template6,
    },
};
use evenkeel_abi::{
    DEST_FULLNAT, DEST_NAT, Load, Reason, SERVICE_LIMITED, SERVICE_ONE_PACKET, SERVICE_PERSISTENT, SERVICE_SIP,
    flow::{self, KEY4},
    sctp,
    state::State,
};

/// [`New::reuse`]: the flow has no slot.
pub const NOTHING: u32 = 0;
/// [`New::reuse`]: it has one whose timeout has passed.
pub const EXPIRED: u32 = 1;
/// [`New::reuse`]: one whose connection is over (PP-14).
pub const OVER: u32 = 2;
/// [`New::reuse`]: one whose real server is gone (PP-33).
pub const GIVEN_UP: u32 = 3;

/// Elements of `NEW4` and `NEW6`: the connection, and its template.
pub const CONNECTION: u32 = 0;
/// See above.
pub const TEMPLATE: u32 = 1;

/// [`New::service`]: none is known.
pub const NO_SERVICE: u32 = u32::MAX;

/// A connection to be made: the element of this CPU in a map, as it is too large for the stack of the doors.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct New<const K: usize> {
    pub key: [u64; K],
    pub hash: u64,
    /// The value of the slot to be reused; then what another CPU has put there.
    pub value: u64,
    /// The value the slot gets.
    pub fresh: u64,
    /// Hash of the packet's Call-ID (PP-36); 0: it has none.
    pub call_id: u64,
    pub now: u32,
    pub ports: u32,
    pub protocol: u32,
    /// As [`Packet::flags`].
    pub flags: u32,
    /// What is wrong with the packet: 1 plus the reason's number, or 0.
    pub bad: u32,
    /// What slot the flow has, where `bucket` and `way` say.
    pub reuse: u32,
    pub bucket: u32,
    pub way: u32,
    /// 1: `call_id` has been looked for.
    pub looked: u32,
    /// As [`Packet::transport`].
    pub transport: u32,
    /// The service's index.
    pub service: u32,
    /// Its flags.
    pub service_flags: u32,
    /// The real server's index.
    pub dest: u32,
    /// The director's own port (PP-44), network order; 0: it has none.
    pub port: u32,
    /// Of a translated connection: the key of its way back, the hash of that, and the claim on its slot.
    pub back: [u64; K],
    pub back_hash: u64,
    pub claimed: u64,
}

impl<const K: usize> New<K> {
    /// Writes down what is known of it. There is one at a time on a CPU.
    #[inline(always)]
    pub fn write(packet: &Packet, key: &[u64; K], hash: u64, now: u32) -> Result<&'static mut New<K>, Reason> {
        let bad = match packet.bad {
            Some(reason) => reason as u32 + 1,
            None => 0,
        };
        let new = maps::new::<K>(CONNECTION).ok_or(Reason::Internal)?;
        // SAFETY: an element of this CPU's own.
        let new = unsafe { &mut *new };
        (new.key, new.hash, new.now) = (*key, hash, now);
        (new.ports, new.protocol, new.flags) = (packet.ports, packet.protocol as u32, packet.flags as u32);
        (new.bad, new.transport) = (bad, packet.transport);
        (new.reuse, new.looked, new.call_id, new.service) = (NOTHING, 0, 0, NO_SERVICE);
        new.port = 0;
        Ok(new)
    }
}

/// The answer of `evenkeel_connect*` that asks for the packet's Call-ID.
const LOOK: u64 = u64::MAX;

/// Calls a step of the family with `K` key words.
macro_rules! step {
    ($v4:ident, $v6:ident, $new:expr) => {
        // SAFETY: `New` of two and of five words are what the functions take.
        unsafe { if K == KEY4 { $v4((&raw mut *$new).cast()) } else { $v6((&raw mut *$new).cast()) } }
    };
}
pub(crate) use step;

/// Defines a step for both families: 0 or what it returns, for a [`New`] or for nothing.
macro_rules! steps {
    ($($(#[$doc:meta])* $v4:ident, $v6:ident => $function:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Safety
        /// `new` points to a [`New`], or nowhere.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub unsafe extern "C" fn $v4(new: *mut crate::connect::New<{ evenkeel_abi::flow::KEY4 }>) -> u64 {
            // SAFETY: a `New` of this CPU's own unless it is null.
            if new.is_null() { crate::connect::code(evenkeel_abi::Reason::Internal) } else { $function(unsafe { &mut *new }) }
        }

        $(#[$doc])*
        ///
        /// # Safety
        /// As above.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub unsafe extern "C" fn $v6(new: *mut crate::connect::New<{ evenkeel_abi::flow::KEY6 }>) -> u64 {
            // SAFETY: as above.
            if new.is_null() { crate::connect::code(evenkeel_abi::Reason::Internal) } else { $function(unsafe { &mut *new }) }
        }
    )* };
}
pub(crate) use steps;

/// A reason as what steps return: from bit 56 on 1 plus its number.
#[inline(always)]
pub const fn code(reason: Reason) -> u64 {
    (reason as u64 + 1) << 56
}

/// What a step returns.
#[inline(always)]
pub fn encode(result: Result<u32, Reason>) -> u64 {
    match result {
        Ok(value) => value as u64,
        Err(reason) => code(reason),
    }
}

/// Makes a connection, out of line.
#[inline(always)]
pub fn connect<const K: usize>(frame: &Frame, new: &mut New<K>) -> Result<Target, Reason> {
    let mut encoded = step!(evenkeel_connect4, evenkeel_connect6, new);
    if encoded == LOOK {
        (new.call_id, new.looked) = (sip::call_id(frame, new.transport), 1);
        encoded = step!(evenkeel_connect4, evenkeel_connect6, new);
    }
    match encoded >> 56 {
        0 => Target::of(encoded as u32, (encoded >> 32) as u32, NO_SLOT),
        reason => Err(Reason::from_number(reason as u32 - 1)),
    }
}

steps! {
    /// Makes a connection: its real server and, from bit 32 on, the director's own port if it has one (PP-44); or a reason,
    /// or [`LOOK`].
    evenkeel_connect4, evenkeel_connect6 => try_connect;
    /// Finds the service of a packet, and whether it may make a connection of it.
    evenkeel_admit4, evenkeel_admit6 => |new| encode(admit(new).map(|()| 0));
    /// Changes the slot that the connection has already: [`OURS`], [`THEIRS`] or [`ABSENT`]; [`PAIR`] for a translated one.
    evenkeel_prepare4, evenkeel_prepare6 => |new| encode(prepare(new));
    /// Puts what is made into a slot of its own: [`OURS`] or [`THEIRS`].
    evenkeel_place4, evenkeel_place6 => |new| encode(place(new));
    /// Frees a slot for what is made: 0.
    evenkeel_evict4, evenkeel_evict6 => |new| encode(evict(new).map(|()| 0));
}

/// A slot holds what we have made.
pub const OURS: u32 = 0;
/// It holds what another CPU has made at the same time: `value`.
pub const THEIRS: u32 = 1;
/// There is none: it is to be put into one.
pub const ABSENT: u32 = u32::MAX;
/// It is to be made together with its way back.
const PAIR: u32 = u32::MAX - 1;

#[inline(always)]
fn place<const K: usize>(new: &mut New<K>) -> Result<u32, Reason> {
    let Some(theirs) = insert::place(new, new.fresh)? else { return Ok(OURS) };
    new.value = theirs;
    Ok(THEIRS)
}

#[inline(always)]
fn evict<const K: usize>(new: &New<K>) -> Result<(), Reason> {
    insert::evict::<K>(new.hash, new.now)
}

/// Puts what is made into a slot of its own, making room once.
#[inline(always)]
fn put<const K: usize>(new: &mut New<K>) -> u64 {
    let placed = step!(evenkeel_place4, evenkeel_place6, new);
    if placed != code(Reason::TableFull) {
        return placed;
    }
    let evicted = step!(evenkeel_evict4, evenkeel_evict6, new);
    if evicted != 0 {
        return evicted;
    }
    step!(evenkeel_place4, evenkeel_place6, new)
}

/// Takes the steps; the first that fails says why. Its stack lies below all others'.
#[inline(always)]
fn try_connect<const K: usize>(new: &mut New<K>) -> u64 {
    if maps::any_marks() {
        let found = step!(evenkeel_mark4, evenkeel_mark6, new);
        if found >> 32 == 1 {
            new.service = found as u32;
        }
    }
    let refused = step!(evenkeel_admit4, evenkeel_admit6, new);
    if refused != 0 {
        return refused;
    }
    let flags = new.service_flags;
    if flags & SERVICE_SIP != 0 && new.looked == 0 && new.protocol == UDP as u32 {
        return LOOK;
    }
    if flags & SERVICE_LIMITED != 0 && !limit::spend(new) {
        return code(Reason::Limited);
    }
    let mut known = false;
    if flags & SERVICE_PERSISTENT != 0 {
        let found = step!(evenkeel_template4, evenkeel_template6, new);
        if found >> 32 == 1 {
            (new.dest, known) = (found as u32, true);
        }
    }
    if !known {
        let Some(chosen) = schedule::choose(new) else { return code(Reason::NoServer) };
        new.dest = chosen;
        if flags & SERVICE_PERSISTENT != 0 {
            let kept = keep(new);
            if kept >> 32 != 0 {
                return kept;
            }
            new.dest = kept as u32;
        }
    }
    if flags & SERVICE_ONE_PACKET == 0 || new.protocol != UDP as u32 || is_full_nat(new.dest) {
        let mut put = step!(evenkeel_prepare4, evenkeel_prepare6, new);
        if put == PAIR as u64 {
            put = pair::make(new);
        } else if put == ABSENT as u64 {
            put = self::put(new);
        }
        if put == THEIRS as u64 {
            return flow::dest(new.value) as u64;
        }
        if put != OURS as u64 {
            return put;
        }
        weigh(new.dest, Load::of(flow::state(new.fresh)));
        schedule::made(new.service_flags, new.dest);
    }
    if let Some(counters) = maps::counters(new.dest) {
        // SAFETY: this CPU's own element.
        unsafe { (*counters).connections += 1 };
    }
    new.dest as u64 | (new.port as u64) << 32
}

/// Whether a real server is reached by FullNAT: what it answers comes back by a connection only (PP-37).
#[inline(always)]
fn is_full_nat(dest: u32) -> bool {
    Target::of(dest, 0, NO_SLOT).is_ok_and(|target| target.flags & DEST_FULLNAT != 0)
}

/// Leads the client's template to the chosen real server; the one it leads to then.
#[inline(always)]
fn keep<const K: usize>(new: &mut New<K>) -> u64 {
    let kept = step!(evenkeel_keep4, evenkeel_keep6, new);
    if kept != ABSENT as u64 {
        return kept;
    }
    let Some(template) = maps::new::<K>(TEMPLATE) else { return code(Reason::Internal) };
    // SAFETY: an element of this CPU's own.
    let put = put(unsafe { &mut *template });
    if put >> 32 != 0 { put } else { step!(evenkeel_kept4, evenkeel_kept6, new) }
}

/// Says what the connection's slot is to hold, and changes the slot it has already.
#[inline(always)]
fn prepare<const K: usize>(new: &mut New<K>) -> Result<u32, Reason> {
    let flags = Target::of(new.dest, 0, NO_SLOT)?.flags;
    let state = first_state(new, flags);
    new.fresh = flow::value(new.dest, state, new.now);
    if flags & (DEST_NAT | DEST_FULLNAT) != 0 {
        return Ok(PAIR);
    }
    if new.reuse == NOTHING { Ok(ABSENT) } else { renew(new) }
}

/// What becomes of a packet that makes no connection: the one that is given up for it goes all the same (PP-33).
#[inline(always)]
pub fn refuse<const K: usize>(new: &New<K>, reason: Reason) -> Reason {
    if new.reuse == GIVEN_UP
        && let Some(word) = reused(new)
    {
        let dead = flow::value(flow::dest(new.value), State::Dead as u32, flow::seen(new.value));
        // SAFETY: the word after a slot's first one.
        if unsafe { atomic::replace(word, new.value, dead) } {
            unload(new.value);
        }
    }
    reason
}

/// The state a connection starts in (PP-13).
#[inline(always)]
fn first_state<const K: usize>(new: &New<K>, dest_flags: u32) -> u32 {
    let none = if new.protocol == TCP as u32 {
        State::None
    } else if new.protocol == sctp::PROTOCOL as u32 {
        State::SctpNone
    } else if new.protocol == UDP as u32 {
        State::Udp
    } else {
        State::Other
    };
    maps::next(row(new.protocol as u8, new.flags as u8, direction(dest_flags)), none as u32)
}

/// The value of the slot that is to be reused.
#[inline(always)]
fn reused<const K: usize>(new: &New<K>) -> Option<*mut u64> {
    let bucket = bucket::<K>(new.bucket)?;
    // SAFETY: the index is bounded by the slots of the bucket.
    Some(unsafe { bucket.add(maps::bounded::<3>(new.way) * stride(K) + 1) })
}

/// Puts the new connection where an old one is over (PP-14).
#[inline(always)]
fn renew<const K: usize>(new: &mut New<K>) -> Result<u32, Reason> {
    let word = reused(new).ok_or(Reason::Internal)?;
    // SAFETY: the word after a slot's first one.
    if unsafe { atomic::replace(word, new.value, new.fresh) } {
        unload(new.value);
        return Ok(OURS);
    }
    // SAFETY: as above.
    new.value = unsafe { atomic::read(word) };
    if flow::state(new.value) == State::Dead as u32 { Err(Reason::Contended) } else { Ok(THEIRS) }
}

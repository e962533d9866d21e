//! The connection a packet belongs to, its state, and what happens when there is none (PP-9 to PP-15).

use crate::{
    Frame, Verdict, atomic,
    forward::{self, Target},
    insert,
    ip::{Packet, TCP},
    maps,
    plan::Place,
    schedule,
};
use evenkeel_abi::{
    ACL_DENY, DEST_NO_NEW, Load, Reason, SERVICE_ACL, SERVICE_DEFAULT_DENY, Service, ServiceKey,
    flow::{self, BUSY, GENERATION, KEY_LINK, KEY4, KEY6, VALUE_LINK, WAYS},
    hash,
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
    find(hash::first_bucket(hash, mask), tag, key).or_else(|| find(hash::second_bucket(hash, mask), tag, key))
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
        Some(found) => known(packet, key, hash, now, found)?,
        None => connect(&New::from(packet, key, hash, now, 0))?,
    };
    forward::finish::<K>(frame, packet, key, hash, target, plan)
}

/// The share of a timeout, as a shift, by which a packet's renewal of it may be noted late (PP-13).
const RENEWAL: u32 = 6;

/// Ticks since a connection's last noted packet. Another CPU may have seen a later tick than this one: then it is negative.
#[inline(always)]
fn idle(value: u64, now: u32) -> i32 {
    now.wrapping_sub(flow::seen(value)) as i32
}

/// Whether a connection's timeout has passed (PP-13).
#[inline(always)]
pub fn expired(value: u64, now: u32) -> bool {
    idle(value, now) > maps::timeout(flow::state(value)) as i32
}

/// Follows a known connection's state; its real server (PP-10, PP-13, PP-14).
#[inline(always)]
fn known<const K: usize>(packet: &Packet, key: &[u64; K], hash: u64, now: u32, found: Found) -> Result<Target, Reason> {
    if let Some(bad) = packet.bad {
        return Err(bad);
    }
    let Found { slot, value, .. } = found;
    let state = flow::state(value);
    let opening = opens(packet.flags);
    let (idle, timeout) = (idle(value, now), maps::timeout(state) as i32);
    let expired = idle > timeout;
    if expired || opening && (state::is_reusable(state) || is_stranded(value)) {
        if !opening {
            return Err(Reason::NoConnection);
        }
        let mut new = New::from(packet, key, hash, now, 1);
        (new.bucket, new.way, new.value) = (found.bucket, found.way, value);
        return connect(&new);
    }
    let next = maps::next(tcp::row(Direction::InputOnly, tcp::event(packet.flags)), state);
    // A packet need not write down that it came when one has done so a moment ago: writing dirties the line.
    if next != state || idle > timeout >> RENEWAL {
        let fresh = flow::value(flow::dest(value), next, now) | value & VALUE_LINK;
        // SAFETY: the word after a slot's first one. Who loses the race has nothing to add: the winner is as recent.
        let changed = unsafe { atomic::replace(slot.add(1), value, fresh) };
        if changed && state::is_active(next) != state::is_active(state) {
            weigh(flow::dest(value), Load::of(next).wrapping_sub(Load::of(state)));
        }
    }
    Ok(Target { dest: flow::dest(value), port: 0, found: Some(found) })
}

/// Whether a connection is half open on its way to a real server that takes no new ones (PP-14): one that has died, as a
/// rule, and whose refusal the director did not see.
#[inline(always)]
fn is_stranded(value: u64) -> bool {
    if flow::state(value) != State::SynRecv as u32 {
        return false;
    }
    match maps::DESTS.get(flow::dest(value)) {
        Some(dest) => dest.flags & DEST_NO_NEW != 0,
        None => false,
    }
}

/// Whether flags make a connection (PP-11, PP-12).
#[inline(always)]
fn opens(flags: u8) -> bool {
    flags & (tcp::SYN | tcp::ACK) == tcp::SYN
}

/// Adds to a real server's active and inactive connections.
#[inline(always)]
pub fn weigh(dest: u32, load: u64) {
    if let Some(cell) = maps::LOADS.get_ptr_mut(dest) {
        // SAFETY: a word of an element of the array.
        unsafe { atomic::add(&raw mut (*cell).connections, load) };
    }
}

/// A connection to be made. No pointers and no holes: it is handed to functions that the verifier looks at by themselves.
#[repr(C)]
pub struct New<const K: usize> {
    pub key: [u64; K],
    pub hash: u64,
    /// The value of the slot to be reused.
    pub value: u64,
    pub now: u32,
    pub ports: u32,
    pub protocol: u32,
    pub flags: u32,
    /// What is wrong with the packet: 1 plus the reason's number, or 0.
    pub bad: u32,
    /// 1: there is a slot to be reused (PP-14), where `bucket` and `way` say.
    pub reuse: u32,
    pub bucket: u32,
    pub way: u32,
}

impl<const K: usize> New<K> {
    #[inline(always)]
    fn from(packet: &Packet, key: &[u64; K], hash: u64, now: u32, reuse: u32) -> New<K> {
        let bad = match packet.bad {
            Some(reason) => reason as u32 + 1,
            None => 0,
        };
        let (protocol, flags) = (packet.protocol as u32, packet.flags as u32);
        New { key: *key, hash, value: 0, now, ports: packet.ports, protocol, flags, bad, reuse, bucket: 0, way: 0 }
    }
}

/// Makes a connection, out of line.
#[inline(always)]
fn connect<const K: usize>(new: &New<K>) -> Result<Target, Reason> {
    // SAFETY: `New` of two and of five words are what the functions take.
    let encoded = unsafe {
        if K == KEY4 {
            evenkeel_connect4((&raw const *new).cast())
        } else {
            evenkeel_connect6((&raw const *new).cast())
        }
    };
    match encoded >> 56 {
        0 => Ok(Target { dest: encoded as u32, port: (encoded >> 32) as u32, found: None }),
        reason => Err(Reason::from_number(reason as u32 - 1)),
    }
}

/// Makes an IPv4 connection. A global function: verified once, whatever state its callers are in. Returns the real server
/// and, from bit 32 on, the director's own port if the connection has one (PP-44), or 1 plus the reason's number from bit 56 on.
///
/// # Safety
/// `new` points to a [`New`], or nowhere.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_connect4(new: *const New<KEY4>) -> u64 {
    if new.is_null() {
        return encode(Err(Reason::Internal));
    }
    // SAFETY: not null.
    encode(try_connect(unsafe { &*new }))
}

/// Makes an IPv6 connection, see [`evenkeel_connect4`].
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
#[inline(never)]
pub unsafe extern "C" fn evenkeel_connect6(new: *const New<KEY6>) -> u64 {
    if new.is_null() {
        return encode(Err(Reason::Internal));
    }
    // SAFETY: not null.
    encode(try_connect(unsafe { &*new }))
}

#[inline(always)]
fn encode(result: Result<u32, Reason>) -> u64 {
    match result {
        Ok(dest) => dest as u64,
        Err(reason) => (reason as u64 + 1) << 56,
    }
}

#[inline(always)]
fn try_connect<const K: usize>(new: &New<K>) -> Result<u32, Reason> {
    let (id, service) = service(new)?;
    if new.bad != 0 {
        return Err(Reason::from_number(new.bad - 1));
    }
    if !opens(new.flags as u8) {
        return Err(Reason::NoConnection);
    }
    admit(new, id, service)?;
    let dest = schedule::choose(new, service).ok_or(Reason::NoServer)?;
    let state = if new.protocol == TCP as u32 { State::SynRecv as u32 } else { State::Udp as u32 };
    let value = flow::value(dest, state, new.now);
    let existing = if new.reuse != 0 { renew(new, value)? } else { insert::place(new, value)? };
    if let Some(existing) = existing {
        return Ok(flow::dest(existing));
    }
    weigh(dest, Load::of(state));
    if let Some(counters) = maps::counters(dest) {
        // SAFETY: this CPU's own element.
        unsafe { (*counters).connections += 1 };
    }
    Ok(dest)
}

/// Puts the new connection where an old one is over (PP-14); the value another CPU put there first, if one did.
#[inline(always)]
fn renew<const K: usize>(new: &New<K>, value: u64) -> Result<Option<u64>, Reason> {
    let bucket = bucket::<K>(new.bucket).ok_or(Reason::Internal)?;
    // SAFETY: the index is bounded by the slots of the bucket.
    let word = unsafe { bucket.add(maps::bounded::<3>(new.way) * stride(K) + 1) };
    // SAFETY: the word after a slot's first one.
    if unsafe { atomic::replace(word, new.value, value) } {
        weigh(flow::dest(new.value), 0u64.wrapping_sub(Load::of(flow::state(new.value))));
        return Ok(None);
    }
    // SAFETY: as above.
    let theirs = unsafe { atomic::read(word) };
    if flow::state(theirs) == State::Dead as u32 { Err(Reason::Contended) } else { Ok(Some(theirs)) }
}

/// The service a packet without connection is for (PP-4).
#[inline(always)]
fn service<const K: usize>(new: &New<K>) -> Result<(u32, *mut Service), Reason> {
    let mut key =
        ServiceKey { address: [0; 16], port: (new.ports >> 16) as u16, protocol: new.protocol as u8, family: 4 };
    let words = (&raw mut key.address).cast::<u32>();
    // SAFETY: four words of the 16 bytes, which start the structure and are aligned as it is.
    unsafe {
        if K == KEY4 {
            words.write(new.key[0] as u32);
        } else {
            key.family = 6;
            words.write((new.key[2] >> 32) as u32);
            words.add(1).write(new.key[2] as u32);
            words.add(2).write((new.key[3] >> 32) as u32);
            words.add(3).write(new.key[3] as u32);
        }
    }
    // SAFETY: the value is copied out at once.
    let mut id = unsafe { maps::SERVICE_IDS.get(&key).copied() };
    if id.is_none() {
        key.port = 0;
        // SAFETY: as above.
        id = unsafe { maps::SERVICE_IDS.get(&key).copied() };
    }
    let id = id.ok_or(Reason::NotOurs)?;
    Ok((id, maps::SERVICES.get_ptr_mut(id).ok_or(Reason::Internal)?))
}

/// Whether the source may connect (PP-8, PP-17).
#[inline(always)]
fn admit<const K: usize>(new: &New<K>, id: u32, service: *mut Service) -> Result<(), Reason> {
    if !answerable(&new.key) {
        return Err(Reason::BadSource);
    }
    // SAFETY: an element of the array.
    let flags = unsafe { (&raw const (*service).flags).read_volatile() };
    if flags & SERVICE_ACL == 0 {
        return Ok(());
    }
    let (source, bits) = if K == KEY4 {
        ([id, (new.key[0] >> 32) as u32, 0, 0, 0], 64)
    } else {
        let (high, low) = (new.key[0], new.key[1]);
        ([id, (high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32], 160)
    };
    let rule = maps::ACL.get(&aya_ebpf::btf_maps::lpm_trie::Key::new(bits, source)).copied();
    let denied = match rule {
        Some(rule) => rule & ACL_DENY != 0,
        None => flags & SERVICE_DEFAULT_DENY != 0,
    };
    if denied { Err(Reason::Denied) } else { Ok(()) }
}

/// Whether the source is one that an answer can be sent to (PP-8).
#[inline(always)]
fn answerable<const K: usize>(key: &[u64; K]) -> bool {
    if K == KEY4 {
        let (source, destination) = ((key[0] >> 32) as u32, key[0] as u32);
        let first = source as u8;
        source != destination && first != 0 && first != 127 && first < 224
    } else {
        let loopback_or_none = key[0] == 0 && (key[1] == 0 || key[1] == 1u32.to_be() as u64);
        let same = key[0] == key[2] && key[1] == key[3];
        !same && !loopback_or_none && (key[0] >> 32) as u8 != 0xff
    }
}

/// Whether another CPU is filling the slot.
#[inline(always)]
pub fn is_busy(meta: u64) -> bool {
    meta & BUSY != 0
}

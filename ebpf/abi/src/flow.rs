//! Slots of the connection table (PP-9, PP-16; docs/adr on the flow table).
//!
//! The table is an array of buckets of [`WAYS`] slots that both sides map. A connection lives in one of two buckets
//! that its hash names. A slot is claimed by compare-and-swap on `meta`, filled, and published by swapping the busy bit
//! out; `value` is changed by compare-and-swap only, so that every change of state is accounted for exactly once.

/// Slots in a bucket.
pub const WAYS: usize = 4;

/// `meta` bit: the slot is being filled.
pub const BUSY: u64 = 1;
/// `meta` bit: the slot is taken.
pub const USED: u64 = 2;
/// `meta` bits: count claims of the slot, so that a claim is never mistaken for the one before it.
pub const GENERATION: u64 = 0xc;
/// One generation.
pub const GENERATION_STEP: u64 = 4;

/// The tag of a flow: its hash with the low bits saying that the slot is used.
#[inline(always)]
pub const fn tag(hash: u64) -> u64 {
    hash & !0xf | USED
}

/// Key words of an IPv4 flow: source and destination, then ports and protocol.
pub const KEY4: usize = 2;
/// Key words of an IPv6 flow: source, destination, then ports and protocol.
pub const KEY6: usize = 5;

/// A slot of the IPv4 table: half a cache line.
#[repr(C, align(32))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot4 {
    /// Tag, generation and state of the slot; 0 is free.
    pub meta: u64,
    /// See [`value`].
    pub value: u64,
    /// The flow.
    pub key: [u64; KEY4],
}

/// A slot of the IPv6 table: a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot6 {
    /// Tag, generation and state of the slot; 0 is free.
    pub meta: u64,
    /// See [`value`].
    pub value: u64,
    /// The flow.
    pub key: [u64; KEY6],
    /// Room.
    pub spare: u64,
}

/// Slots of one family that share a hash.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket<S> {
    /// In no order.
    pub slots: [S; WAYS],
}

const _: () = assert!(size_of::<Bucket<Slot4>>() == 128);
const _: () = assert!(size_of::<Bucket<Slot6>>() == 256);

/// Most real servers a value can name.
pub const DEST_LIMIT: u32 = 1 << 24;

/// Packs real server, state and the tick (low 32 bits of the kernel's jiffies) of the last packet.
#[inline(always)]
pub const fn value(dest: u32, state: u32, seen: u32) -> u64 {
    (dest & (DEST_LIMIT - 1)) as u64 | ((state & 15) as u64) << 24 | (seen as u64) << 32
}

/// The real server's index.
#[inline(always)]
pub const fn dest(value: u64) -> u32 {
    value as u32 & (DEST_LIMIT - 1)
}

/// The state's number.
#[inline(always)]
pub const fn state(value: u64) -> u32 {
    value as u32 >> 24 & 15
}

/// The tick of the last packet.
#[inline(always)]
pub const fn seen(value: u64) -> u32 {
    (value >> 32) as u32
}

/// The last key word: both ports as they stand in the packet, the protocol and a bit that no free slot has.
#[inline(always)]
pub const fn ports(ports: u32, protocol: u8) -> u64 {
    (ports as u64) << 32 | 0x100 | protocol as u64
}

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

/// Packs real server, state and the tick (low 32 bits of the kernel's jiffies) of the last packet; no link.
#[inline(always)]
pub const fn value(dest: u32, state: u32, seen: u32) -> u64 {
    (dest & (DEST_LIMIT - 1)) as u64 | ((state & 31) as u64) << 24 | (seen as u64) << 32
}

/// The real server's index.
#[inline(always)]
pub const fn dest(value: u64) -> u32 {
    value as u32 & (DEST_LIMIT - 1)
}

/// The state's number.
#[inline(always)]
pub const fn state(value: u64) -> u32 {
    value as u32 >> 24 & 31
}

/// The tick of the last packet.
#[inline(always)]
pub const fn seen(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Bits of a value that hold the upper part of a link.
pub const VALUE_LINK: u64 = 7 << 29;

/// Bits of the last key word that hold the lower part of a link, and are no part of the key.
pub const KEY_LINK: u64 = 0xffff_fc00;

/// Slots a link can name: the slots of the largest table.
pub const LINK_LIMIT: u32 = 1 << 25;

/// The upper part of a link to a slot, as it stands in a value. A translated connection and its way back name each other's
/// slots by `bucket * WAYS + way` (PP-41).
#[inline(always)]
pub const fn link_in_value(slot: u32) -> u64 {
    ((slot >> 22 & 7) as u64) << 29
}

/// Its lower part, as it stands in the last key word.
#[inline(always)]
pub const fn link_in_key(slot: u32) -> u64 {
    ((slot & 0x3f_ffff) as u64) << 10
}

/// The slot that a value and a last key word name.
#[inline(always)]
pub const fn link(value: u64, last_key: u64) -> u32 {
    ((value >> 29 & 7) as u32) << 22 | (last_key as u32) >> 10
}

/// Bit of the last key word: a template, not a connection.
pub const KEY_TEMPLATE: u64 = 0x200;

/// Bit of a template's value, which has no link: a connection of the client has been established (PP-16).
pub const TEMPLATE_ASSURED: u64 = 1 << 29;

/// The last key word: both ports as they stand in the packet, the protocol and a bit that no free slot has.
#[inline(always)]
pub const fn ports(ports: u32, protocol: u8) -> u64 {
    (ports as u64) << 32 | 0x100 | protocol as u64
}

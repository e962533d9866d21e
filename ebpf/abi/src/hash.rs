//! Hashes both sides compute: of flows, keyed against senders who choose their ports, and the kernel's for `mh`.

const M1: u64 = 0xd6e8_feb8_6659_fd93;
const M2: u64 = 0x9e37_79b9_7f4a_7c15;

/// The instance's secret, made at random when its maps are made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Mixed in first.
    pub first: u64,
    /// Mixed in second, after the first has been multiplied: two flows collide only for some secrets.
    pub second: u64,
}

#[inline(always)]
const fn absorb(state: u64, word: u64) -> u64 {
    let x = (state ^ word).wrapping_mul(M1);
    x ^ x >> 32
}

/// Hash of an IPv4 flow.
#[inline(always)]
pub const fn flow4(secret: Secret, key: &[u64; 2]) -> u64 {
    let x = absorb(absorb(secret.first, key[0]), key[1] ^ secret.second).wrapping_mul(M2);
    x ^ x >> 29
}

/// Hash of an IPv6 flow.
#[inline(always)]
pub const fn flow6(secret: Secret, key: &[u64; 5]) -> u64 {
    let mut x = absorb(secret.first, key[0]);
    x = absorb(x, key[1] ^ secret.second);
    x = absorb(x, key[2]);
    x = absorb(x, key[3]);
    x = absorb(x, key[4]).wrapping_mul(M2);
    x ^ x >> 29
}

/// The flow's first bucket in a table of `mask + 1`.
#[inline(always)]
pub const fn first_bucket(hash: u64, mask: u32) -> u32 {
    (hash >> 32) as u32 & mask
}

/// Its second one.
#[inline(always)]
pub const fn second_bucket(hash: u64, mask: u32) -> u32 {
    (hash.wrapping_mul(M1) >> 36) as u32 & mask
}

/// The flow's slot in a `maglev` table of `slots`.
#[inline(always)]
pub const fn maglev_slot(hash: u64, slots: u32) -> u32 {
    ((hash.wrapping_mul(M2) >> 20) as u32) % slots
}

/// The director's own port that a FullNAT connection tries as its `attempt`-th (PP-44), host order; `first` to `last`.
#[inline(always)]
pub const fn own_port(hash: u64, attempt: u32, first: u16, last: u16) -> u16 {
    let ports = last.wrapping_sub(first) as u32 + 1;
    let mixed = absorb(hash, attempt as u64).wrapping_mul(M2);
    first.wrapping_add(((mixed >> 32) as u32 % ports) as u16)
}

/// How many other slots of a `maglev` table are tried for a flow whose own is an overloaded real server's.
pub const MAGLEV_PROBES: u32 = 1024;

/// One of them: the flow's slot when its hash is mixed with the number of the try, from 0.
#[inline(always)]
pub const fn maglev_probe(hash: u64, number: u32, slots: u32) -> u32 {
    maglev_slot(absorb(hash, number as u64), slots)
}

/// Slots of the kernel's `mh` table (CONFIG_IP_VS_MH_TAB_INDEX 12).
pub const MH_SLOTS: u32 = 4093;
/// First key of the kernel's `mh`.
pub const MH_KEY1: [u64; 2] = [2_654_435_761, 2_654_435_761];
/// Second key of the kernel's `mh`.
pub const MH_KEY2: [u64; 2] = [2_654_446_892, 2_654_446_892];

#[inline(always)]
const fn sip_round([mut v0, mut v1, mut v2, mut v3]: [u64; 4]) -> [u64; 4] {
    v0 = v0.wrapping_add(v1);
    v1 = v1.rotate_left(13) ^ v0;
    v0 = v0.rotate_left(32);
    v2 = v2.wrapping_add(v3);
    v3 = v3.rotate_left(16) ^ v2;
    v0 = v0.wrapping_add(v3);
    v3 = v3.rotate_left(21) ^ v0;
    v2 = v2.wrapping_add(v1);
    v1 = v1.rotate_left(17) ^ v2;
    v2 = v2.rotate_left(32);
    [v0, v1, v2, v3]
}

/// The kernel's `hsiphash` of one 32-bit word on a 64-bit machine: SipHash-1-3, halves folded.
#[inline(always)]
pub const fn hsiphash(word: u32, key: [u64; 2]) -> u32 {
    let b = 4u64 << 56 | word as u64;
    let mut v = [
        0x736f_6d65_7073_6575 ^ key[0],
        0x646f_7261_6e64_6f6d ^ key[1],
        0x6c79_6765_6e65_7261 ^ key[0],
        0x7465_6462_7974_6573 ^ key[1] ^ b,
    ];
    v = sip_round(v);
    v[0] ^= b;
    v[2] ^= 0xff;
    v = sip_round(sip_round(sip_round(v)));
    (v[0] ^ v[1] ^ v[2] ^ v[3]) as u32
}

/// A client's slot in the kernel's `mh` table: of its address (IPv6: the words folded) in host order, plus its port in
/// host order (0 without `mh-port`).
#[inline(always)]
pub const fn mh_slot(address: u32, port: u16) -> u32 {
    hsiphash(address.wrapping_add(port as u32), MH_KEY1) % MH_SLOTS
}

/// Buckets of the kernel's `sh` and `dh` tables.
pub const SH_BUCKETS: u32 = 256;

/// A client's bucket in the kernel's `sh` table, of its address and port as for [`mh_slot`]; a destination's in that of `dh`.
#[inline(always)]
pub const fn sh_bucket(address: u32, port: u16) -> u32 {
    address.wrapping_add(port as u32).wrapping_mul(0x61c8_8647) >> 24
}

//! Where the fragments of a packet go (PP-50).

/// Key of the map `FRAGMENTS` (least recently used go first).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Network order; IPv4: the first word.
    pub source: [u32; 4],
    /// Network order; IPv4: the first word.
    pub destination: [u32; 4],
    /// Network order; IPv4: 16 bits of it.
    pub identification: u32,
    /// IANA number of what is fragmented.
    pub protocol: u16,
    /// 4 or 6.
    pub family: u16,
}

/// Elements of the map `FRAGMENTS`.
pub const FRAGMENT_ENTRIES: u32 = 16_384;

//! Where the fragments of a packet go (PP-50).

/// Key of the map `FRAGMENTS` (least recently used go first).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Network order; IPv4: the first word.
    pub source: [u32; 4],
    /// Network order; IPv4: the first word.
    pub destination: [u32; 4],
    /// As it stands in the packet; IPv4: 16 bits of it.
    pub identification: u32,
    /// IPv4: IANA number of what is fragmented. IPv6: 0, as the identification alone counts (RFC 8200 section 4.5).
    pub protocol: u16,
    /// 4 or 6.
    pub family: u16,
}

/// Value of the map `FRAGMENTS`: what became of the first fragment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Tick at which it came.
    pub seen: u32,
    /// Index of the real server it went to or came from, or [`PASSED`].
    pub dest: u32,
    /// 0: to the real server. 1: it is an answer (PP-42), whose addresses are replaced by the two below.
    pub answer: u32,
    /// Of an answer: the interface that its last fragment has left by; 0: none was sent yet.
    pub interface: u32,
    /// Source of an answer, network order; IPv4: the first word.
    pub source: [u32; 4],
    /// Its destination.
    pub destination: [u32; 4],
}

const _: () = assert!(size_of::<Fragment>() == 40 && size_of::<Trace>() == 48);

/// [`Trace::dest`]: nowhere; it passed.
pub const PASSED: u32 = u32::MAX;

/// Elements of the map `FRAGMENTS`.
pub const FRAGMENT_ENTRIES: u32 = 16_384;

/// Bytes of the ring `EARLY`, by which the daemon gets fragments that came before their first one.
pub const EARLY_BYTES: u32 = 1 << 20;

/// Longest frame that the ring takes.
pub const EARLY_FRAME: usize = 2048;

/// Element of the ring `EARLY`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Early {
    /// Interface it came in by.
    pub interface: u32,
    /// Bytes of `frame` that count.
    pub length: u32,
    /// The frame, with its VLAN tag taken out.
    pub frame: [u8; EARLY_FRAME],
}

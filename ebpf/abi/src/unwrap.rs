//! The real server's side of tunnels (PP-48).

/// Key of the map `UNWRAP_VIPS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address {
    /// Network order; IPv4: the first word.
    pub words: [u32; 4],
    /// 4 or 6.
    pub family: u32,
}

/// Its value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// Largest segment that answers to a SYN, and SYNs, may offer; 0: whatever they like.
    pub mss: u16,
    /// UDP port of GUE, network order.
    pub gue_port: u16,
}

/// Elements of the map `UNWRAP_VIPS`.
pub const VIPS: u32 = 1024;

/// Places in the map `UNWRAP_COUNTS`.
pub const COUNTS: u32 = 4;
/// Packets that came in IP.
pub const IPIP: u32 = 0;
/// In GRE.
pub const GRE: u32 = 1;
/// In GUE.
pub const GUE: u32 = 2;
/// SYNs whose MSS was cut.
pub const CLAMPED: u32 = 3;

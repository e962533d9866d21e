//! What `lblc` and `lblcr` remember (PP-31).

/// Key of the map `LOCALITY` (least recently used go first).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Index of the service.
    pub service: u32,
    /// 4 or 6.
    pub family: u32,
    /// Where the client sends to, network order; IPv4: the first word.
    pub address: [u32; 4],
}

/// Most real servers of one destination's set; a power of two, so that a mask bounds an index.
pub const SET: usize = 16;

/// Value of the map `LOCALITY`. `lblc` uses the first member only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// Tick of the last connection to it.
    pub seen: u32,
    /// Tick of the last change of the set.
    pub changed: u32,
    /// Members.
    pub count: u32,
    /// 0.
    pub spare: u32,
    /// Their indices, who joined last last; those past `count` mean nothing.
    pub members: [u32; SET],
}

/// Elements of the map `LOCALITY`; the kernel's limit for one service is 16384.
pub const LOCALITY_ENTRIES: u32 = 65_536;

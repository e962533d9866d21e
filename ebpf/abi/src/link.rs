//! Interfaces that XDP can send by, and how (PP-43). XDP sends by drivers only; what leaves by a VLAN's device leaves by the
//! interface below it, with the VLAN's tag.

/// Key of the map `LINKS`: an interface, or what comes by it with a tag.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Its number.
    pub interface: u32,
    /// A tag as [`tag`] has it; 0: none.
    pub tag: u32,
}

/// Value of the map `LINKS`. Of an interface: by which one it is left, with which tag. Of what comes with a tag: the VLAN's device.
/// What is not there cannot be sent by from XDP.
pub type Way = Link;

/// Bit of a tag: it is one of 802.1ad, else of 802.1Q. In a frame it stands elsewhere, and this bit belongs to the priority.
pub const SERVICE_TAG: u16 = 1 << 15;

/// Bits of a VLAN's identifier.
pub const VLAN_ID: u16 = 0xfff;

/// Elements of the map `LINKS`; a VLAN takes two.
pub const LINK_ENTRIES: u32 = 8_192;

const _: () = assert!(size_of::<Link>() == 8);

/// The tag of a VLAN as the program's tables have it.
#[inline(always)]
pub const fn tag(id: u16, is_service: bool) -> u16 {
    id & VLAN_ID | if is_service { SERVICE_TAG } else { 0 }
}

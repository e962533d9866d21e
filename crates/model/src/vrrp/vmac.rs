//! The MAC address of a virtual router, on an interface of its own (RFC 9568 7.3).

use super::Vrid;

/// An interface with the virtual router's MAC address, there for as long as the instance is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmac {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// The interface it stands on.
    pub below: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether it is the one the instance speaks by: on the instance's interface, and where addresses are put that name
    /// no other.
    pub speaks: bool,
}

/// The MAC address of virtual router `vrid` (RFC 9568 7.3).
pub fn virtual_mac(vrid: Vrid, ipv6: bool) -> [u8; 6] {
    [0x00, 0x00, 0x5e, 0x00, if ipv6 { 0x02 } else { 0x01 }, vrid.get()]
}

/// The longest name of an interface, in bytes.
pub const LONGEST_INTERFACE_NAME: usize = 15;

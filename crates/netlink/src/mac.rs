//! The hardware address of an Ethernet interface.

use std::{error::Error, fmt, str::FromStr};

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Every station of the segment.
    pub const BROADCAST: MacAddress = MacAddress([0xff; 6]);

    /// Whether a single station can have this address: not a group address, not zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// The address in `bytes`, when there are exactly six.
    pub fn from_bytes(bytes: &[u8]) -> Option<MacAddress> {
        bytes.try_into().ok().map(MacAddress)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddressError;

impl fmt::Display for MacAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address is six pairs of hexadecimal digits with colons between them")
    }
}

impl Error for MacAddressError {}

impl FromStr for MacAddress {
    type Err = MacAddressError;
    fn from_str(text: &str) -> Result<MacAddress, MacAddressError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or(MacAddressError)?;
        }
        if parts.next().is_some() { Err(MacAddressError) } else { Ok(MacAddress(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_reads_back_as_it_prints() {
        let mac = MacAddress([0, 0x5e, 0xff, 1, 0x0a, 0xb0]);
        assert_eq!(mac.to_string(), "00:5e:ff:01:0a:b0");
        assert_eq!(mac.to_string().parse(), Ok(mac));
    }

    #[test]
    fn other_texts_are_no_mac_address() {
        for text in
            ["", "00:11:22:33:44", "00:11:22:33:44:55:66", "0:1:2:3:4:5", "00:11:22:33:44:5g", "+1:11:22:33:44:55"]
        {
            assert_eq!(text.parse::<MacAddress>(), Err(MacAddressError), "{text}");
        }
    }
}

//! Address prefixes, as the allow and deny lists of a service name them.

use std::{error::Error, fmt, net::IpAddr, str::FromStr};

/// An address prefix such as `192.0.2.0/24` or `2001:db8::/32`. Host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that holds `address`; host bits are cleared.
    pub fn new(address: IpAddr, length: u8) -> Result<Prefix, PrefixError> {
        let bits = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if length > bits {
            return Err(PrefixError::TooLong { length, bits });
        }
        let address = match address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4((u32::from(a) & mask).into())
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6((u128::from(a) & mask).into())
            }
        };
        Ok(Prefix { address, length })
    }

    /// The first address of the prefix.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many leading bits count.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether `address` lies in this prefix. Addresses of the other family never do.
    pub fn contains(self, address: IpAddr) -> bool {
        Prefix::new(address, self.length).is_ok_and(|p| p == self)
    }
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before the slash is no address.
    Address,
    /// The part after the slash is no number.
    Length,
    /// More bits than the family has.
    TooLong {
        /// As written.
        length: u8,
        /// What the family has.
        bits: u8,
    },
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Address => f.write_str("not an IPv4 or IPv6 address"),
            PrefixError::Length => f.write_str("the prefix length is not a number"),
            PrefixError::TooLong { length, bits } => write!(f, "prefix length {length} is above {bits}"),
        }
    }
}

impl Error for PrefixError {}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((a, l)) => (a, Some(l.parse().map_err(|_| PrefixError::Length)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Address)?;
        Prefix::new(address, length.unwrap_or(if address.is_ipv4() { 32 } else { 128 }))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_clears_host_bits_and_knows_its_members() {
        let p: Prefix = "192.0.2.77/24".parse().unwrap();
        assert_eq!(p.to_string(), "192.0.2.0/24");
        assert!(p.contains("192.0.2.255".parse().unwrap()));
        assert!(!p.contains("192.0.3.0".parse().unwrap()));
        assert!(!p.contains("2001:db8::1".parse().unwrap()));
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_prefix_longer_than_its_family_is_refused() {
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError::TooLong { length: 33, bits: 32 }));
        assert_eq!("10.0.0/8".parse::<Prefix>(), Err(PrefixError::Address));
        assert_eq!("10.0.0.0/x".parse::<Prefix>(), Err(PrefixError::Length));
    }
}

//! An advertisement and its bytes (RFC 9568 5, RFC 3768 5): what follows the IP header, or the authentication header
//! where there is one.
//!
//! ```text
//!  version 2                               version 3
//!  0x21  vrid  priority  addresses         0x31  vrid  priority  addresses
//!  auth  secs  checksum                    0000 + 12 bits of 10 ms   checksum
//!  addresses, 4 bytes each                 addresses, 4 or 16 bytes each
//!  password, 8 bytes, always
//! ```

use crate::{Reason, checksum};
use evenkeel_model::vrrp::{AdvertInterval, SECRET, Version, Vrid};
use std::{net::IpAddr, time::Duration};

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// The only type there is.
const ADVERTISEMENT: u8 = 1;
const HEADER: usize = 8;

/// How a message of version 2 says it is authenticated (RFC 2338 5.3.6; later versions say none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AuthenticationType {
    /// Not at all.
    None = 0,
    /// By a password that everybody on the link can read.
    Password = 1,
    /// By an IP authentication header before the message.
    Header = 2,
}

/// What a message says, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// As the first byte says.
    pub version: Version,
    /// The virtual router it is about.
    pub vrid: Vrid,
    /// 0: the master leaves.
    pub priority: u8,
    /// How often the master speaks.
    pub interval: Duration,
    /// Of version 2; 0 in version 3.
    pub authentication: u8,
    /// Of version 2; zeros in version 3.
    pub password: [u8; SECRET],
    /// As sent.
    pub checksum: u16,
    /// In the order of the sender's configuration.
    pub addresses: Addresses<'a>,
}

/// The addresses of a message, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses<'a> {
    /// IPv4.
    Four(&'a [[u8; 4]]),
    /// IPv6.
    Sixteen(&'a [[u8; 16]]),
}

impl Addresses<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Addresses::Four(four) => four.len(),
            Addresses::Sixteen(sixteen) => sixteen.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `address` is among them.
    pub fn contain(&self, address: &IpAddr) -> bool {
        match (self, address) {
            (Addresses::Four(four), IpAddr::V4(address)) => four.contains(&address.octets()),
            (Addresses::Sixteen(sixteen), IpAddr::V6(address)) => sixteen.contains(&address.octets()),
            (Addresses::Four(_), IpAddr::V6(_)) | (Addresses::Sixteen(_), IpAddr::V4(_)) => false,
        }
    }
}

impl<'a> Message<'a> {
    /// Reads `bytes`, all of them; `ipv6` says what addresses look like. The checksum is not judged here.
    pub fn decode(bytes: &'a [u8], ipv6: bool) -> Result<Message<'a>, Reason> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Reason::Length)?;
        let [kind, vrid, priority, count, first, second, high, low] = *header;
        let version = match kind >> 4 {
            2 if !ipv6 => Version::Two,
            3 => Version::Three,
            _ => return Err(Reason::Version),
        };
        if kind & 0xf != ADVERTISEMENT {
            return Err(Reason::Type);
        }
        let vrid = Vrid::new(vrid).ok_or(Reason::Vrid)?;
        let length = usize::from(count) * if ipv6 { 16 } else { 4 };
        let (addresses, rest) = rest.split_at_checked(length).ok_or(Reason::Length)?;
        let addresses = match ipv6 {
            true => Addresses::Sixteen(addresses.as_chunks().0),
            false => Addresses::Four(addresses.as_chunks().0),
        };
        let (authentication, interval, password) = match version {
            Version::Two => {
                let password = *rest.first_chunk().ok_or(Reason::Length)?;
                if rest.len() > SECRET {
                    return Err(Reason::Length);
                }
                (first, Duration::from_secs(second.into()), password)
            }
            Version::Three => {
                if !rest.is_empty() {
                    return Err(Reason::Length);
                }
                let hundredths = u16::from_be_bytes([first & 0xf, second]);
                (0, Duration::from_millis(10) * u32::from(hundredths), [0; SECRET])
            }
        };
        let checksum = u16::from_be_bytes([high, low]);
        Ok(Message { version, vrid, priority, interval, authentication, password, checksum, addresses })
    }
}

/// How long a message of `count` addresses is.
pub fn length(version: Version, ipv6: bool, count: usize) -> usize {
    let trailing = if version == Version::Two { SECRET } else { 0 };
    HEADER + count * if ipv6 { 16 } else { 4 } + trailing
}

/// How long the message at the beginning of `bytes` says it is; `None` where that cannot be told.
pub(crate) fn announced_length(bytes: &[u8], ipv6: bool) -> Option<usize> {
    let (&kind, &count) = (bytes.first()?, bytes.get(3)?);
    let version = match kind >> 4 {
        2 => Version::Two,
        3 => Version::Three,
        _ => return None,
    };
    Some(length(version, ipv6, count.into()))
}

/// The message of a master, ready to be sent: only its priority ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    bytes: Vec<u8>,
}

impl Prepared {
    /// A message of priority 0 about `addresses`; `None` for more than a message can count, which is 255.
    pub fn new(
        version: Version,
        vrid: Vrid,
        interval: AdvertInterval,
        addresses: &[IpAddr],
        authentication: AuthenticationType,
        password: [u8; SECRET],
    ) -> Option<Prepared> {
        let count = u8::try_from(addresses.len()).ok()?;
        let mut bytes = vec![version.number() << 4 | ADVERTISEMENT, vrid.get(), 0, count];
        let units = |unit: Duration| u16::try_from(interval.get().as_nanos() / unit.as_nanos()).ok();
        match version {
            Version::Two => {
                bytes.extend([authentication as u8, u8::try_from(units(Duration::from_secs(1))?).ok()?]);
            }
            Version::Three => bytes.extend((units(Duration::from_millis(10))? & 0xfff).to_be_bytes()),
        }
        bytes.extend([0, 0]);
        for address in addresses {
            match address {
                IpAddr::V4(four) => bytes.extend(four.octets()),
                IpAddr::V6(sixteen) => bytes.extend(sixteen.octets()),
            }
        }
        if version == Version::Two {
            bytes.extend(password);
        }
        Some(Prepared { bytes })
    }

    /// The bytes that say `priority`, with the checksum that `form` gives between `source` and `destination`.
    pub fn with_priority(&mut self, priority: u8, form: checksum::Form, source: IpAddr, destination: IpAddr) -> &[u8] {
        if let Some(place) = self.bytes.get_mut(2) {
            *place = priority;
        }
        checksum::write(&mut self.bytes, form, source, destination);
        &self.bytes
    }
}

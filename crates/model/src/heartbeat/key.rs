//! What messages are signed with.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

/// The numbers a key may have.
pub const SLOTS: RangeInclusive<u8> = 0..=15;

/// The keys of a cluster (`authkeys`): one signs, all are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    send: u8,
    signing: Key,
    slots: BTreeMap<u8, Key>,
}

impl Keys {
    /// `None` where there is no key `send`, or a number is not of [`SLOTS`].
    pub fn new(send: u8, slots: BTreeMap<u8, Key>) -> Option<Keys> {
        let signing = slots.get(&send)?.clone();
        slots.keys().all(|number| SLOTS.contains(number)).then_some(Keys { send, signing, slots })
    }

    /// One key, which is number 1.
    pub fn one(key: Key) -> Keys {
        Keys { send: 1, slots: BTreeMap::from([(1, key.clone())]), signing: key }
    }

    /// The number and key that sign.
    pub fn signing(&self) -> (u8, &Key) {
        (self.send, &self.signing)
    }

    /// The key of a number.
    pub fn get(&self, number: u8) -> Option<&Key> {
        self.slots.get(&number)
    }

    /// All of them by number.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Key)> {
        self.slots.iter().map(|(number, key)| (*number, key))
    }
}

/// A method with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// How.
    pub method: Method,
    /// The secret; empty for [`Method::Crc`].
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.method)
    }
}

/// How a message is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A checksum against accidents; anybody can make it.
    Crc,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256; no real heartbeat knows it.
    Sha256,
}

impl Method {
    /// As authkeys has it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Crc => "crc",
            Method::Md5 => "md5",
            Method::Sha1 => "sha1",
            Method::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

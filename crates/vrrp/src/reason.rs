//! Why an advertisement is dropped.

use std::fmt;

/// The first thing that is wrong with a packet; each has a counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its IP header is cut off or of another protocol.
    Header,
    /// It came over a router: its hop limit is not 255, or not what is asked of unicast (RFC 9568 7.1).
    Hops,
    /// It is shorter or longer than it says.
    Length,
    /// Of another version of VRRP.
    Version,
    /// No advertisement.
    Type,
    /// Virtual router 0.
    Vrid,
    /// Its checksum is right in no form.
    Checksum,
    /// A kind of authentication that there is not.
    UnknownAuthentication,
    /// Another kind of authentication than this router is set to.
    AuthenticationType,
    /// Wrong password or digest.
    Authentication,
    /// A sequence number that was used before.
    Replay,
    /// Another interval than this router's, which version 2 does not allow.
    Interval,
    /// Other addresses than this router's.
    Addresses,
    /// From nobody this router was told to listen to.
    Source,
    /// Multicast to a router that is set to unicast, or the other way.
    Destination,
    /// Its own, come back.
    Looped,
    /// It has no keyed hash, and this router asks for one.
    Unsigned,
    /// What follows the message has not the length of a keyed hash.
    TrailerLength,
    /// What follows the message is of another type than a keyed hash.
    TrailerType,
    /// Bits of the keyed hash that have to be 0 are not.
    TrailerReserved,
    /// Signed with a key that this router does not have.
    UnknownKey,
    /// Its keyed hash is wrong.
    Hash,
    /// It was signed longer ago than the window allows.
    Stale,
    /// It was signed at a time that is still to come.
    Future,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 24] = [
        Reason::Header,
        Reason::Hops,
        Reason::Length,
        Reason::Version,
        Reason::Type,
        Reason::Vrid,
        Reason::Checksum,
        Reason::UnknownAuthentication,
        Reason::AuthenticationType,
        Reason::Authentication,
        Reason::Replay,
        Reason::Interval,
        Reason::Addresses,
        Reason::Source,
        Reason::Destination,
        Reason::Looped,
        Reason::Unsigned,
        Reason::TrailerLength,
        Reason::TrailerType,
        Reason::TrailerReserved,
        Reason::UnknownKey,
        Reason::Hash,
        Reason::Stale,
        Reason::Future,
    ];
}

impl Reason {
    /// One word, which does not change: for programs.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Header => "header",
            Reason::Hops => "hops",
            Reason::Length => "length",
            Reason::Version => "version",
            Reason::Type => "type",
            Reason::Vrid => "vrid",
            Reason::Checksum => "checksum",
            Reason::UnknownAuthentication => "unknown_authentication",
            Reason::AuthenticationType => "authentication_type",
            Reason::Authentication => "authentication",
            Reason::Replay => "replay",
            Reason::Interval => "interval",
            Reason::Addresses => "addresses",
            Reason::Source => "source",
            Reason::Destination => "destination",
            Reason::Looped => "looped",
            Reason::Unsigned => "unsigned",
            Reason::TrailerLength => "trailer_length",
            Reason::TrailerType => "trailer_type",
            Reason::TrailerReserved => "trailer_reserved",
            Reason::UnknownKey => "unknown_key",
            Reason::Hash => "hash",
            Reason::Stale => "stale",
            Reason::Future => "future",
        }
    }
}

impl fmt::Display for Reason {
    /// A fragment that reads well after "an advertisement was dropped: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Header => "its IP header is cut off",
            Reason::Hops => "it came over a router (its hop limit is too low)",
            Reason::Length => "its length is not what it says",
            Reason::Version => "it is of another version of VRRP",
            Reason::Type => "it is no advertisement",
            Reason::Vrid => "it is about virtual router 0",
            Reason::Checksum => "its checksum is wrong",
            Reason::UnknownAuthentication => "it is authenticated in a way that there is not",
            Reason::AuthenticationType => "it is authenticated in another way",
            Reason::Authentication => "its password or digest is wrong",
            Reason::Replay => "it was sent before",
            Reason::Interval => "its interval is another one",
            Reason::Addresses => "its addresses are others",
            Reason::Source => "its sender is no peer",
            Reason::Destination => "it was sent by multicast to a unicast router or the other way",
            Reason::Looped => "it is this router's own",
            Reason::Unsigned => "it has no keyed hash",
            Reason::TrailerLength => "what follows its message is no keyed hash (of 28 bytes)",
            Reason::TrailerType => "what follows its message is of another type than a keyed hash",
            Reason::TrailerReserved => "bits of its keyed hash that have to be 0 are not",
            Reason::UnknownKey => "it is signed with a key that is not here",
            Reason::Hash => "its keyed hash is wrong",
            Reason::Stale => "it was signed too long ago",
            Reason::Future => "it was signed at a time that is still to come",
        })
    }
}

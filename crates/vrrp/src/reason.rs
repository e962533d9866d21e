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
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Reason; 16] = [
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
    ];
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
        })
    }
}

//! What packets and services can be about, so that a data plane which does not do everything yet can be compared in what
//! it does.

/// A part of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Direct routing of whole packets of TCP and UDP, as rules PP-1 to PP-28 have it.
    Direct,
    /// Tags (PP-1, PP-24, PP-43), and ways that XDP cannot take (PP-26).
    Vlan,
    /// IPv6 extension headers (PP-2).
    Extensions,
    /// PP-50, PP-51.
    Fragments,
    /// SCTP (PP-11, PP-13).
    Sctp,
    /// Schedulers besides rr, wrr, mh and maglev, and the flags of mh (PP-21, PP-29 to PP-31).
    Schedulers,
    /// PP-32.
    Thresholds,
    /// PP-33.
    Gone,
    /// Sloppy services, and those that keep closing connections (PP-11, PP-14).
    Behaviour,
    /// PP-34, PP-35.
    Persistence,
    /// PP-36.
    Sip,
    /// PP-37.
    OnePacket,
    /// PP-38.
    Limits,
    /// PP-39.
    Marks,
    /// PP-40 to PP-43.
    Nat,
    /// PP-44.
    FullNat,
    /// PP-45.
    Errors,
    /// Errors about SCTP and protocols without ports (PP-27, PP-45).
    OtherErrors,
    /// Fragments of answers (PP-50).
    AnswerFragments,
    /// PP-46.
    Tunnels,
    /// PP-47.
    TooBig,
}

impl Topic {
    /// What a data plane is compared in, together. Some differ where they meet, as chance or the time that really passes decides.
    pub const TOGETHER: &'static [&'static [Topic]] = &[
        &[
            Topic::Direct,
            Topic::Vlan,
            Topic::Extensions,
            Topic::Fragments,
            Topic::Sctp,
            Topic::Gone,
            Topic::Behaviour,
            Topic::Tunnels,
            Topic::TooBig,
            Topic::Errors,
            Topic::OtherErrors,
        ],
        &[Topic::Direct, Topic::Schedulers, Topic::Thresholds],
        &[Topic::Direct, Topic::Limits, Topic::Marks, Topic::OtherErrors],
        &[Topic::Direct, Topic::Persistence, Topic::OnePacket, Topic::Gone],
        &[Topic::Direct, Topic::Persistence, Topic::Sip],
        &[
            Topic::Direct,
            Topic::Vlan,
            Topic::Extensions,
            Topic::Sctp,
            Topic::Nat,
            Topic::FullNat,
            Topic::OnePacket,
            Topic::Errors,
            Topic::OtherErrors,
        ],
        &[
            Topic::Direct,
            Topic::Vlan,
            Topic::Sctp,
            Topic::Nat,
            Topic::FullNat,
            Topic::Fragments,
            Topic::AnswerFragments,
            Topic::Errors,
            Topic::TooBig,
        ],
    ];

    /// Of these, those whose outcome hangs on the packets alone: neither on the host's routes nor on chance.
    pub const ALONE: &'static [Topic] = Topic::TOGETHER[0];

    /// Everything.
    pub const ALL: &'static [Topic] = &[
        Topic::Direct,
        Topic::Vlan,
        Topic::Extensions,
        Topic::Fragments,
        Topic::Sctp,
        Topic::Schedulers,
        Topic::Thresholds,
        Topic::Gone,
        Topic::Behaviour,
        Topic::Persistence,
        Topic::Sip,
        Topic::OnePacket,
        Topic::Limits,
        Topic::Marks,
        Topic::Nat,
        Topic::FullNat,
        Topic::Errors,
        Topic::OtherErrors,
        Topic::AnswerFragments,
        Topic::Tunnels,
        Topic::TooBig,
    ];
}

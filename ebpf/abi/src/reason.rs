//! Why a packet ended without being forwarded. One counter each (docs/packet-path.md).

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $pass:literal;)*) => {
        /// Why a packet was not forwarded; the number is its place among the counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Reason { $($(#[$doc])* $variant = $number,)* }

        impl Reason {
            /// All of them, by number.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The name used in status and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// The reason of a number; [`Reason::Internal`] for a number that is none's.
            #[inline(always)]
            pub const fn from_number(number: u32) -> Reason {
                $(if number == $number { return Reason::$variant; })*
                Reason::Internal
            }

            /// Whether the packet goes to the host's stack; else it is dropped.
            #[inline(always)]
            pub const fn passes(self) -> bool {
                match self { $(Reason::$variant => $pass,)* }
            }
        }
    };
}

reasons! {
    /// PP-1 to PP-4, PP-27: not for a service. Not counted.
    NotOurs = 0, "not_ours", true;
    /// PP-11: TCP without a connection and not a SYN.
    NoConnection = 1, "no_connection", true;
    // 2 is free: what pinned counters hold there was never a packet of this program.
    /// PP-6.
    BadLength = 3, "bad_length", false;
    /// PP-7.
    BadFlags = 4, "bad_flags", false;
    /// PP-8.
    BadSource = 5, "bad_source", false;
    /// PP-17.
    Denied = 6, "denied", false;
    /// PP-21, PP-23.
    NoServer = 7, "no_server", false;
    /// PP-16.
    TableFull = 8, "table_full", false;
    /// PP-26, XDP door only.
    NoNextHop = 9, "no_next_hop", false;
    /// PP-24.
    Ttl = 10, "ttl", false;
    /// Another CPU is just making the same connection; the sender tries again.
    Contended = 11, "contended", false;
    /// A map entry that must exist does not: a fault of ours.
    Internal = 12, "internal", false;
    /// PP-38.
    Limited = 13, "limited", false;
    /// PP-43, PP-44: no port is left, or the real server knows the client's port already.
    NoPort = 14, "no_port", false;
    /// PP-43: the kernel does not forward on the interface an answer came in by.
    NotForwarding = 15, "not_forwarding", false;
    /// PP-43, PP-47: answered with ICMP too big.
    TooBig = 16, "too_big", false;
    /// PP-51.
    BadFragment = 17, "bad_fragment", false;
    /// PP-50: held until its first fragment comes, and sent on then.
    EarlyFragment = 18, "early_fragment", false;
    /// PP-44, PP-46: the egress interface has no address of the family.
    NoOwnAddress = 19, "no_own_address", false;
    /// PP-49, XDP door: no room for what has to be put in front.
    NoHeadroom = 20, "no_headroom", false;
    /// PP-52: its checksum would change by what has not come.
    SctpFragment = 21, "sctp_fragment", false;
    /// PP-26, PP-43, XDP door: the way leads out of an interface that XDP cannot send by.
    NotByXdp = 22, "not_by_xdp", false;
}

impl Reason {
    /// Room for counters in [`crate::Drops`].
    pub const SLOTS: usize = 32;
}

const _: () = assert!(Reason::ALL.len() <= Reason::SLOTS);

//! How packets reach a real server.

use std::fmt;

/// How a packet reaches its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Direct routing: only the MAC address changes, the real server holds the VIP and answers the client itself.
    DirectRouting,
    /// Network address translation (masquerading): the destination becomes the real server; its answers come back
    /// through the director, which is its gateway.
    Nat,
    /// Both addresses are translated: to the real server the director is the client, so that answers come back whatever
    /// its routes are.
    FullNat,
    /// The packet is wrapped into another one to the real server, which unwraps it, holds the VIP and answers the client
    /// itself.
    Tunnel(Tunnel),
    /// The director itself is the real server: the packet is delivered to its own stack.
    Local,
    /// NAT whose connections a relay of the director carries on: packets are delivered to its own stack, where the relay takes
    /// them to the real server. No file asks for it; it is what the data plane does for FTP.
    Relay,
}

impl Forwarding {
    /// The word of the status contract: `dr`, `nat`, `fullnat`, `tun` or `local`; relayed connections are NAT to people.
    pub fn name(self) -> &'static str {
        match self {
            Forwarding::DirectRouting => "dr",
            Forwarding::Nat | Forwarding::Relay => "nat",
            Forwarding::FullNat => "fullnat",
            Forwarding::Tunnel(_) => "tun",
            Forwarding::Local => "local",
        }
    }

    /// Whether the real server may have another port than the service.
    pub fn translates_ports(self) -> bool {
        match self {
            Forwarding::Nat | Forwarding::FullNat | Forwarding::Relay => true,
            Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Local => false,
        }
    }

    /// The method where the real server's address is this host's own: its stack is the real server, whatever was asked for.
    /// Only where translation would have to change the port is it left as it is: a packet that is delivered as it came
    /// would reach another program.
    pub fn on_own_host(self, same_port: bool) -> Forwarding {
        if same_port || !self.translates_ports() { Forwarding::Local } else { self }
    }

    /// What was asked for, where a relay carries it on.
    pub fn unrelayed(self) -> Forwarding {
        match self {
            Forwarding::Relay => Forwarding::Nat,
            Forwarding::DirectRouting
            | Forwarding::Nat
            | Forwarding::FullNat
            | Forwarding::Tunnel(_)
            | Forwarding::Local => self,
        }
    }

    /// The same the other way: how it is done where there is a relay.
    pub fn relayed(self) -> Forwarding {
        match self {
            Forwarding::Nat => Forwarding::Relay,
            Forwarding::DirectRouting
            | Forwarding::FullNat
            | Forwarding::Tunnel(_)
            | Forwarding::Local
            | Forwarding::Relay => self,
        }
    }

    /// Whether the real server's address may be of another family than the virtual one.
    pub fn crosses_families(self) -> bool {
        match self {
            Forwarding::Tunnel(_) | Forwarding::Local => true,
            Forwarding::DirectRouting | Forwarding::Nat | Forwarding::FullNat | Forwarding::Relay => false,
        }
    }
}

/// What packets are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tunnel {
    /// IP in IP: an outer IP header and nothing else.
    Ipip,
    /// Generic UDP Encapsulation, variant 0 without header of its own when there is nothing to say (draft-ietf-intarea-gue).
    Gue {
        /// UDP port the real server listens on, 1 to 65535.
        port: u16,
        /// The outer UDP checksum.
        checksum: GueChecksum,
    },
    /// Generic Routing Encapsulation (RFC 2784).
    Gre {
        /// With its checksum.
        checksum: bool,
    },
}

/// The checksum of a GUE tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GueChecksum {
    /// 0: none.
    #[default]
    None,
    /// Over the outer UDP packet.
    Full,
    /// Remote checksum offload: the inner checksum is left to the real server, told by a GUE option.
    Remote,
}

impl fmt::Display for Tunnel {
    /// As `ipvsadm` of newer kernels lists them: `ipip`, `gue:6080:+c`, `gre:-c`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tunnel::Ipip => f.write_str("ipip"),
            Tunnel::Gue { port, checksum } => {
                let sign = match checksum {
                    GueChecksum::None => "-c",
                    GueChecksum::Full => "+c",
                    GueChecksum::Remote => "r+c",
                };
                write!(f, "gue:{port}:{sign}")
            }
            Tunnel::Gre { checksum } => write!(f, "gre:{}", if *checksum { "+c" } else { "-c" }),
        }
    }
}

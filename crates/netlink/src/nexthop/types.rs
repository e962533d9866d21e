//! What the machine is told and what it wants done.

use std::{error::Error, fmt, net::IpAddr};

use crate::{address::Address, link::Link, mac::MacAddress, monitor::Event, route::Route};

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Watch the way to this real server.
    Want(IpAddr),
    /// Do not watch it any longer.
    Forget(IpAddr),
    /// All interfaces and addresses as they are now: at the start, and when [`Output::ReadFacts`] asked for them.
    Facts {
        /// [`crate::Netlink::links`]
        links: Vec<Link>,
        /// [`crate::Netlink::addresses`]
        addresses: Vec<Address>,
    },
    /// The answer to [`Output::AskRoute`].
    Route {
        /// The real server.
        ip: IpAddr,
        /// [`crate::Netlink::route_to`]
        route: Option<Route>,
    },
    /// What the monitor told.
    Event(Event),
    /// What the neighbour socket heard.
    Heard(Heard),
}

/// An address and its MAC address, as told on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The interface it was heard on.
    pub ifindex: u32,
    /// Who spoke.
    pub ip: IpAddr,
    /// Its MAC address.
    pub mac: MacAddress,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Read all interfaces and addresses anew.
    ReadFacts,
    /// Look up the route to this real server.
    AskRoute(IpAddr),
    /// Have the kernel resolve a neighbour.
    Resolve {
        /// The interface.
        ifindex: u32,
        /// The neighbour.
        ip: IpAddr,
    },
    /// Ask who has an address.
    Probe(Question),
    /// The way to a real server is new or another one.
    Outcome {
        /// The real server.
        real_server: IpAddr,
        /// The way to it.
        outcome: Outcome,
    },
}

/// An ARP request or a neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The interface to ask on.
    pub ifindex: u32,
    /// The address asked for.
    pub ip: IpAddr,
    /// Who is asked; everyone when absent.
    pub destination: Option<MacAddress>,
    /// The address of ours that asks; none when absent.
    pub source: Option<IpAddr>,
    /// The interface's MAC address.
    pub source_mac: MacAddress,
}

/// The way to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Frames for it go so.
    Resolved(NextHop),
    /// It is this host.
    Local,
    /// There is no way, or it is not known yet.
    Unresolved(Why),
}

/// A complete next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The interface frames leave by.
    pub ifindex: u32,
    /// That interface's MAC address.
    pub source_mac: MacAddress,
    /// The MAC address frames go to.
    pub destination_mac: MacAddress,
    /// The gateway whose MAC address that is; absent when it is the real server's own.
    pub gateway: Option<IpAddr>,
}

/// Why a real server has no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No route leads there.
    NoRoute,
    /// The interface is down or without carrier.
    LinkDown,
    /// The interface has no Ethernet addresses.
    NoEthernet,
    /// It was asked just now.
    Resolving,
    /// It does not answer, and never did.
    NoAnswer,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::NoRoute => "no route leads there",
            Why::LinkDown => "the interface towards it is down",
            Why::NoEthernet => "the interface towards it has no Ethernet addresses",
            Why::Resolving => "its MAC address is being asked for",
            Why::NoAnswer => "nobody answers for its address",
        })
    }
}

impl Error for Why {}

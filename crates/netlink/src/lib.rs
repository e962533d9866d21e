//! Links, addresses, routes and neighbours of the host.
//!
//! [`Netlink`] asks and changes, [`Monitor`] tells what changed. Both are synchronous, know no runtime and live in one
//! network namespace for good. [`nexthop::NextHops`] is the machine that keeps the way to every real server known, and
//! [`NeighbourSocket`] its ears. The messages are our own (`message`): five kinds with one framing, read without trust.

mod address;
mod announce;
mod bfd;
mod discovery;
mod error;
mod ethtool;
mod link;
mod mac;
mod macvlan;
mod medium;
mod message;
mod monitor;
mod neighbour;
mod netfilter;
pub mod nexthop;
mod nftables;
mod order;
mod ping;
mod qdisc;
mod receive;
mod route;
mod socket;
mod tunnel;
mod vrrp;

pub use address::Address;
pub use announce::Announcer;
pub use bfd::{BfdListener, BfdSender, BfdWay, Datagram};
pub use discovery::NeighbourSocket;
pub use error::Error;
pub use link::{Link, LinkKind, VethEnd, VlanTag, XdpMode};
pub use mac::{MacAddress, MacAddressError};
pub use medium::{MediumSocket, MediumTarget};
pub use monitor::{Event, Monitor};
pub use neighbour::{Neighbour, NeighbourState};
pub use netfilter::nf_tables;
pub use nftables::{NfBatch, NfEnd, NfFamily, NfMeta, NfMonitor, NfRegister, NfRule, NfTable, NfTables, NfVerdict};
pub use order::Order;
pub use ping::PingSocket;
pub use receive::Received;
pub use route::{Route, RouteEntry, RouteKind};
pub use socket::Netlink;
pub use tunnel::{GuePort, GuePorts, TunnelKind};
pub use vrrp::VrrpSocket;

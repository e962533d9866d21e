//! What ipvsadm prints, byte for byte, blanks at the ends of lines included.

mod connections;
mod list;
mod proc;
mod save;
#[cfg(test)]
mod tests;

pub use connections::{connection, connections_title};
pub use list::{list, timeouts};
pub use proc::{proc_connection, proc_connections_title, proc_stats, proc_table};
pub use save::save;

use crate::names::Names;
use evenkeel_api::table::Key;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The rows of the hash table of IPVS. It tells nothing of a capacity, and scripts skip the line.
const SIZE: u32 = 4096;

/// How addresses and ports are written.
#[derive(Clone, Copy)]
struct Writer<'a> {
    numeric: bool,
    names: &'a dyn Names,
}

impl Writer<'_> {
    /// `10.9.0.1:http`, `[fd00::1]:80`.
    fn address(&self, address: SocketAddr, protocol: u8) -> String {
        let port = self.port(address.port(), protocol);
        let host = self.host(address.ip());
        if address.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    fn host(&self, address: IpAddr) -> String {
        let name = if self.numeric { None } else { self.names.host(address) };
        name.unwrap_or_else(|| shown(address))
    }

    fn port(&self, port: u16, protocol: u8) -> String {
        let name = if self.numeric { None } else { self.names.service(port, protocol) };
        name.unwrap_or_else(|| port.to_string())
    }
}

/// An address as the C library writes it: what is zero up to its last 32 bits ends as an IPv4 address.
fn shown(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) => match v6.segments() {
            [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
                format!("::{}", Ipv4Addr::from(v6.to_bits() as u32))
            }
            _ => v6.to_string(),
        },
        IpAddr::V4(v4) => v4.to_string(),
    }
}

/// What a protocol is called in lists.
fn protocol_name(protocol: u8) -> &'static str {
    match protocol {
        6 => "TCP",
        17 => "UDP",
        132 => "SCTP",
        _ => "IP",
    }
}

/// The protocol by which the ports of a service's real servers are named; marks have none.
fn protocol_of(key: &Key) -> u8 {
    match key {
        Key::Address { protocol, .. } => *protocol,
        Key::Mark { .. } => 0,
    }
}

/// Marks are signed numbers in everything ipvsadm writes.
fn signed(mark: u32) -> i32 {
    mark.cast_signed()
}

/// `255.255.255.0` or `64`.
fn mask(prefix: u8, ipv6: bool) -> String {
    if ipv6 { prefix.to_string() } else { Ipv4Addr::from(mask_bits(prefix)).to_string() }
}

fn mask_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or_default()
}

fn is_ipv6(key: &Key) -> bool {
    match key {
        Key::Address { address, .. } => address.is_ipv6(),
        Key::Mark { ipv6, .. } => *ipv6,
    }
}

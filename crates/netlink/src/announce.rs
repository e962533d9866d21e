//! Telling a link where an address is: gratuitous ARP and unsolicited neighbour advertisements; and asking it, where the
//! answer is for the kernel alone.

use std::{io, net::IpAddr, os::fd::OwnedFd};

use crate::{
    discovery::{self, ARP, IPV6, codec, is_passing, send_to, sending_socket},
    error::Error,
    mac::MacAddress,
    nexthop::Question,
};

/// A packet socket that announces and asks for addresses on any interface. It never blocks, and hears nothing.
#[derive(Debug)]
pub struct Announcer {
    socket: OwnedFd,
}

impl Announcer {
    /// Opens it in the caller's network namespace.
    pub fn open() -> Result<Announcer, Error> {
        let socket = sending_socket().map_err(|e| Error::new("open a socket to announce addresses", e))?;
        Ok(Announcer { socket })
    }

    /// Says once on interface `ifindex` that `address` is at `mac`; `shared` where the former owner has the same one.
    /// What the interface cannot take just now is lost.
    pub fn announce(&self, ifindex: u32, mac: MacAddress, address: IpAddr, shared: bool) -> Result<(), Error> {
        let sent = match address {
            IpAddr::V4(address) => {
                let packet = if shared {
                    codec::gratuitous_arp_reply(mac, address)
                } else {
                    codec::gratuitous_arp(mac, address)
                };
                send_to(&self.socket, ARP, ifindex, MacAddress::BROADCAST, &packet)
            }
            IpAddr::V6(address) => {
                let packet = codec::unsolicited_advertisement(mac, address, true);
                send_to(&self.socket, IPV6, ifindex, codec::group_mac(codec::ALL_NODES), &packet)
            }
        };
        let failed = |e: io::Error| Error::new(format!("announce {address} on interface {ifindex}"), e);
        sent.or_else(|e| if is_passing(&e) { Ok(()) } else { Err(failed(e)) })
    }

    /// Asks who has an address. The kernels at both ends take question and answer for their neighbour tables, where they
    /// have an entry that is not permanent. What the interface cannot take just now is lost.
    pub fn ask(&self, question: &Question) -> Result<(), Error> {
        discovery::ask(&self.socket, &self.socket, question)
    }
}

//! Raw sockets for VRRP (IP protocol 112, and 51 for its authentication header) on one interface.

#![allow(unsafe_code, reason = "raw sockets, their options and their ancillary data are not in rustix")]

use std::{
    io,
    mem::{size_of, zeroed},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use crate::{
    discovery::is_passing,
    error::Error,
    receive::{ANCILLARY, Ancillary, Received, receive},
    socket::{set_option, set_struct},
};

/// IP protocol numbers: VRRP, and the authentication header before it.
const VRRP: i32 = 112;
const AUTHENTICATION_HEADER: i32 = 51;
/// Of linux/in6.h; libc has it for other systems.
const IPV6_MULTICAST_ALL: i32 = 29;

/// A socket that sends and hears the advertisements of one family on one interface. It never blocks.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: OwnedFd,
    ipv6: bool,
    ifindex: u32,
}

impl VrrpSocket {
    /// Opens one on interface `ifindex` of the caller's network namespace that hears what is sent to `group` and to
    /// this host; `authentication_header` for packets that begin with one, which is IPv4 only.
    pub fn open(ifindex: u32, group: IpAddr, authentication_header: bool) -> Result<VrrpSocket, Error> {
        let ipv6 = group.is_ipv6();
        let protocol = if authentication_header { AUTHENTICATION_HEADER } else { VRRP };
        let opened = || -> io::Result<OwnedFd> {
            let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: no pointer is passed.
            let fd = unsafe { libc::socket(family, kind, protocol) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the call above just made this descriptor, and nothing else owns it.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            let index = ifindex.cast_signed();
            let set = |level, option, value: libc::c_int| set_option(socket.as_fd(), level, option, value);
            set(libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)?;
            set(libc::SOL_SOCKET, libc::SO_PRIORITY, 6)?;
            match group {
                IpAddr::V6(group) => {
                    let level = libc::IPPROTO_IPV6;
                    // Not what other sockets of this host have joined.
                    set(level, IPV6_MULTICAST_ALL, 0)?;
                    set(level, libc::IPV6_RECVPKTINFO, 1)?;
                    // An interface with a virtual MAC address has no link-local address of its own to speak from.
                    set(level, libc::IPV6_FREEBIND, 1)?;
                    set(level, libc::IPV6_RECVHOPLIMIT, 1)?;
                    set(level, libc::IPV6_MULTICAST_LOOP, 0)?;
                    set(level, libc::IPV6_MULTICAST_HOPS, 255)?;
                    set(level, libc::IPV6_UNICAST_HOPS, 255)?;
                    set(level, libc::IPV6_MULTICAST_IF, index)?;
                    let group = libc::ipv6_mreq {
                        ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
                        ipv6mr_interface: ifindex,
                    };
                    set_struct(socket.as_fd(), level, libc::IPV6_ADD_MEMBERSHIP, &group)?;
                }
                IpAddr::V4(group) => {
                    let level = libc::IPPROTO_IP;
                    set(level, libc::IP_MULTICAST_ALL, 0)?;
                    set(level, libc::IP_HDRINCL, 1)?;
                    set(level, libc::IP_MULTICAST_LOOP, 0)?;
                    let group = libc::ip_mreqn {
                        imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
                        imr_address: libc::in_addr { s_addr: 0 },
                        imr_ifindex: index,
                    };
                    set_struct(socket.as_fd(), level, libc::IP_MULTICAST_IF, &group)?;
                    set_struct(socket.as_fd(), level, libc::IP_ADD_MEMBERSHIP, &group)?;
                }
            }
            Ok(socket)
        };
        let socket = opened().map_err(|e| Error::new(format!("open a VRRP socket on interface {ifindex}"), e))?;
        Ok(VrrpSocket { socket, ipv6, ifindex })
    }

    /// Sends a packet from `source` to `destination`: IPv4 with its header, IPv6 without, with this hop limit. What the
    /// interface cannot take just now is lost; the next one comes an interval later.
    pub fn send(&self, packet: &[u8], source: IpAddr, destination: IpAddr, hops: u8) -> Result<(), Error> {
        let sent = match (source, destination) {
            (IpAddr::V6(source), IpAddr::V6(destination)) if self.ipv6 => {
                self.send_v6(packet, source, destination, hops)
            }
            (IpAddr::V4(_), IpAddr::V4(destination)) if !self.ipv6 => self.send_v4(packet, destination),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        let failed = |e: io::Error| Error::new(format!("send an advertisement to {destination}"), e);
        sent.or_else(|e| if is_passing(&e) { Ok(()) } else { Err(failed(e)) })
    }

    fn send_v4(&self, packet: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        let mut to: libc::sockaddr_in = {
            // SAFETY: all-zero bytes are a valid sockaddr_in.
            unsafe { zeroed() }
        };
        to.sin_family = libc::AF_INET as libc::sa_family_t;
        to.sin_addr.s_addr = u32::from_ne_bytes(destination.octets());
        // SAFETY: the pointers and lengths describe `packet` and `to`, which live across the call.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT,
                (&raw const to).cast(),
                size_of::<libc::sockaddr_in>() as libc::socklen_t,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn send_v6(&self, packet: &[u8], source: Ipv6Addr, destination: Ipv6Addr, hops: u8) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid sockaddr_in6 and a valid msghdr.
        let (mut to, mut message): (libc::sockaddr_in6, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
        to.sin6_family = libc::AF_INET6 as libc::sa_family_t;
        to.sin6_addr.s6_addr = destination.octets();
        to.sin6_scope_id = self.ifindex;
        let from =
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: self.ifindex };
        let mut part = libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
        let mut ancillary = Ancillary([0; ANCILLARY]);
        let size = size_of::<libc::in6_pktinfo>() as libc::c_uint;
        message.msg_name = (&raw mut to).cast();
        message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = ancillary.0.as_mut_ptr().cast();
        let limit = libc::c_int::from(hops);
        let limit_size = size_of::<libc::c_int>() as libc::c_uint;
        // SAFETY: CMSG_SPACE only computes; the buffer is aligned and larger than a header with an in6_pktinfo and one
        // with a number together, so both headers and their data lie within it. The kernel only reads `packet`.
        let sent = unsafe {
            message.msg_controllen = (libc::CMSG_SPACE(size) + libc::CMSG_SPACE(limit_size)) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::IPPROTO_IPV6;
            (*header).cmsg_type = libc::IPV6_PKTINFO;
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().write_unaligned(from);
            let header = ancillary.0.as_mut_ptr().add(libc::CMSG_SPACE(size) as usize).cast::<libc::cmsghdr>();
            (*header).cmsg_level = libc::IPPROTO_IPV6;
            (*header).cmsg_type = libc::IPV6_HOPLIMIT;
            (*header).cmsg_len = libc::CMSG_LEN(limit_size) as usize;
            libc::CMSG_DATA(header.cast()).cast::<libc::c_int>().write_unaligned(limit);
            libc::sendmsg(self.socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next packet that waits, in `buffer`; `None` when none does.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Received>, Error> {
        loop {
            match receive(&self.socket, buffer) {
                Ok(received) => return Ok(Some(received)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // An interface that goes down tells its sockets so.
                Err(e) if is_passing(&e) => return Ok(None),
                Err(e) => return Err(Error::new(format!("hear VRRP on interface {}", self.ifindex), e)),
            }
        }
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

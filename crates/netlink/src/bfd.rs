//! UDP sockets for BFD: one that listens for all neighbours of a family (RFC 5881 4 and 5, RFC 5883 5), and one for each
//! session that sends.

#![allow(unsafe_code, reason = "ancillary data of packets is not in rustix")]

use std::{
    io,
    mem::{size_of, zeroed},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use crate::{discovery::is_passing, error::Error, socket::set_option};

/// UDP ports of single-hop and multihop sessions.
const SINGLE_HOP: u16 = 3784;
const MULTIHOP: u16 = 4784;
/// RFC 5881 4: a session sends from one of these, and no other session from the same.
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;
/// Ports tried before it is given up; others are taken by programs that the host's kernel gave one of these.
const TRIES: u16 = 64;
/// Ancillary data of one packet: an address and a number with their headers, with room to spare.
const ANCILLARY: usize = 128;
/// As routing protocols have it (CS6).
const TRAFFIC_CLASS: i32 = 0xc0;

/// A packet that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Bytes of it in the caller's buffer.
    pub length: usize,
    /// Who sent it.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The TTL or hop limit it arrived with.
    pub hops: Option<u8>,
}

/// Hears what neighbours of one family send. It never blocks.
#[derive(Debug)]
pub struct BfdListener {
    socket: UdpSocket,
    ipv6: bool,
}

impl BfdListener {
    /// Opens one in the caller's network namespace.
    pub fn open(ipv6: bool, multihop: bool) -> Result<BfdListener, Error> {
        let port = if multihop { MULTIHOP } else { SINGLE_HOP };
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let opened = || -> io::Result<UdpSocket> {
            let socket = open(ipv6)?;
            let set = |level, option| set_option(socket.as_fd(), level, option, 1);
            if ipv6 {
                set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
                set(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT)?;
            } else {
                set(libc::IPPROTO_IP, libc::IP_PKTINFO)?;
                set(libc::IPPROTO_IP, libc::IP_RECVTTL)?;
            }
            rustix::net::bind(&socket, &SocketAddr::new(any, port))?;
            Ok(socket.into())
        };
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::AddrInUse => {
                let what = format!("listen on UDP port {port}, which another program has (keepalived, bfdd or BIRD)");
                Error::new(what, e)
            }
            _ => Error::new(format!("listen on UDP port {port}"), e),
        };
        Ok(BfdListener { socket: opened().map_err(failed)?, ipv6 })
    }

    /// The next packet that waits, in `buffer`; `None` when none does. What is longer than `buffer` is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Datagram>, Error> {
        loop {
            match self.receive_once(buffer) {
                Ok(Some(datagram)) => return Ok(Some(datagram)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // One without an address is none.
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_passing(&e) => return Ok(None),
                Err(e) => return Err(Error::new("hear BFD", e)),
            }
        }
    }

    fn receive_once(&self, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
        // SAFETY: all-zero bytes are a valid sockaddr_storage and a valid msghdr.
        let (mut from, mut message): (libc::sockaddr_storage, libc::msghdr) = unsafe { (zeroed(), zeroed()) };
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut ancillary = Ancillary([0; ANCILLARY]);
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = ancillary.0.as_mut_ptr().cast();
        message.msg_controllen = ANCILLARY;
        // SAFETY: every pointer of `message` describes a value that lives across the call, with its length.
        let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        let source = if self.ipv6 {
            // SAFETY: a socket of this family names its senders by a sockaddr_in6, which is shorter than the storage.
            let from = unsafe { (&raw const from).cast::<libc::sockaddr_in6>().read() };
            IpAddr::from(from.sin6_addr.s6_addr)
        } else {
            // SAFETY: as above, by a sockaddr_in.
            let from = unsafe { (&raw const from).cast::<libc::sockaddr_in>().read() };
            IpAddr::from(from.sin_addr.s_addr.to_ne_bytes())
        };
        let (destination, hops) = read_ancillary(&message);
        Ok(destination.map(|destination| Datagram { length, source, destination, hops }))
    }
}

impl AsFd for BfdListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where a packet went, and the hop limit it arrived with.
fn read_ancillary(message: &libc::msghdr) -> (Option<IpAddr>, Option<u8>) {
    let (mut destination, mut hops) = (None, None);
    // SAFETY: the kernel wrote whole headers within msg_controllen, and the macros stay within it. Data is read
    // unaligned, of a kind that any bytes are valid for, and only where its header says there is enough.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            let holds = |size: usize| (*header).cmsg_len >= libc::CMSG_LEN(size as libc::c_uint) as usize;
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if holds(size_of::<libc::in_pktinfo>()) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    destination = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if holds(size_of::<libc::in6_pktinfo>()) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                    if holds(size_of::<libc::c_int>()) =>
                {
                    hops = u8::try_from(data.cast::<libc::c_int>().read_unaligned()).ok();
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    (destination, hops)
}

/// Sends the packets of one session. It never blocks.
#[derive(Debug)]
pub struct BfdSender {
    socket: UdpSocket,
    neighbour: SocketAddr,
}

/// Where a session's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdWay {
    /// The other end.
    pub neighbour: IpAddr,
    /// Address it sends from; `None`: the kernel's choice.
    pub source: Option<IpAddr>,
    /// Index of the interface it is bound to, where it is.
    pub ifindex: Option<u32>,
    /// To the port of multihop sessions.
    pub multihop: bool,
    /// TTL or hop limit.
    pub hops: u8,
}

impl BfdSender {
    /// Opens one in the caller's network namespace; `wish` is the port that is tried first, any number.
    pub fn open(way: &BfdWay, wish: u16) -> Result<BfdSender, Error> {
        let ipv6 = way.neighbour.is_ipv6();
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let address = |ip: IpAddr, port| match (ip, way.ifindex) {
            (IpAddr::V6(ip), Some(index)) if ip.is_unicast_link_local() => SocketAddrV6::new(ip, port, 0, index).into(),
            (ip, _) => SocketAddr::new(ip, port),
        };
        let opened = || -> io::Result<UdpSocket> {
            let socket = open(ipv6)?;
            let set = |level, option, value: libc::c_int| set_option(socket.as_fd(), level, option, value);
            set(libc::SOL_SOCKET, libc::SO_PRIORITY, 6)?;
            if let Some(index) = way.ifindex {
                set(libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index.cast_signed())?;
            }
            if ipv6 {
                set(libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, way.hops.into())?;
                set(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, TRAFFIC_CLASS)?;
            } else {
                set(libc::IPPROTO_IP, libc::IP_TTL, way.hops.into())?;
                set(libc::IPPROTO_IP, libc::IP_TOS, TRAFFIC_CLASS)?;
            }
            let mut last = io::Error::from(io::ErrorKind::AddrInUse);
            for port in (0..TRIES).map(|more| FIRST_PORT + wish.wrapping_add(more) % PORTS) {
                match rustix::net::bind(&socket, &address(way.source.unwrap_or(any), port)) {
                    Ok(()) => return Ok(socket.into()),
                    Err(rustix::io::Errno::ADDRINUSE) => {}
                    Err(e) => {
                        last = e.into();
                        break;
                    }
                }
            }
            Err(last)
        };
        let failed = |e| Error::new(format!("open a BFD socket to {}", way.neighbour), e);
        let port = if way.multihop { MULTIHOP } else { SINGLE_HOP };
        Ok(BfdSender { socket: opened().map_err(failed)?, neighbour: address(way.neighbour, port) })
    }

    /// Sends a packet. What the network cannot take just now is lost: that is what the session is to notice.
    pub fn send(&self, packet: &[u8]) -> Result<(), Error> {
        match self.socket.send_to(packet, self.neighbour) {
            Err(e) if !is_passing(&e) && e.kind() != io::ErrorKind::HostUnreachable => {
                Err(Error::new(format!("send BFD to {}", self.neighbour.ip()), e))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn open(ipv6: bool) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
    let family = if ipv6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    if ipv6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// Aligned as a header of ancillary data is.
#[repr(align(8))]
struct Ancillary([u8; ANCILLARY]);

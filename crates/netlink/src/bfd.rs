//! UDP sockets for BFD: one that listens for all neighbours of a family (RFC 5881 4 and 5, RFC 5883 5), and one for each
//! session that sends.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    discovery::is_passing,
    error::Error,
    receive::{Received, receive},
    socket::set_option,
};

/// UDP ports of single-hop and multihop sessions.
const SINGLE_HOP: u16 = 3784;
const MULTIHOP: u16 = 4784;
/// RFC 5881 4: a session sends from one of these, and no other session from the same.
const FIRST_PORT: u16 = 49_152;
const PORTS: u16 = u16::MAX - FIRST_PORT + 1;
/// Ports tried before it is given up; others are taken by programs that the host's kernel gave one of these.
const TRIES: u16 = 64;
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
        Ok(BfdListener { socket: opened().map_err(failed)? })
    }

    /// The next packet that waits, in `buffer`; `None` when none does. What is longer than `buffer` is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<Datagram>, Error> {
        loop {
            match receive(&self.socket, buffer) {
                Ok(Received { length, source: Some(source), destination: Some(destination), hops }) => {
                    return Ok(Some(Datagram { length, source, destination, hops }));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // One without an address is none.
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_passing(&e) => return Ok(None),
                Err(e) => return Err(Error::new("hear BFD", e)),
            }
        }
    }
}

impl AsFd for BfdListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
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

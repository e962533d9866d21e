//! UDP sockets for heartbeat: one medium on one interface, to one host, to all of a link, or to a group.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with, sockopt};

use crate::{
    discovery::is_passing,
    error::Error,
    receive::{Received, receive},
    socket::{set_option, set_struct},
};

/// As heartbeat marks unicast (IPTOS_LOWDELAY).
const LOW_DELAY: libc::c_int = 0x10;
/// Of linux/in6.h; libc has it for other systems.
const IPV6_MULTICAST_ALL: libc::c_int = 29;

/// Where the messages of a medium go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediumTarget {
    /// To one host (`ucast`, `ucast6`).
    Host(IpAddr),
    /// To the broadcast address of the interface (`bcast`). It comes back to this host too.
    Broadcast(Ipv4Addr),
    /// To a group (`mcast`, `mcast6`).
    Group {
        /// The group.
        group: IpAddr,
        /// Time to live, or hop limit.
        hops: u8,
        /// It comes back to this host too.
        own: bool,
    },
}

/// One medium: it sends from a port of its own, and hears what the interface gets on the port of the cluster. It never
/// blocks. What several of one interface and port hear, the kernel shares out among them; who sent it is told.
#[derive(Debug)]
pub struct MediumSocket {
    listener: OwnedFd,
    sender: OwnedFd,
    to: SocketAddr,
    ifindex: u32,
}

impl MediumSocket {
    /// Opens one on interface `ifindex` of the caller's network namespace. It ends with the interface; one that comes
    /// back under that name has another index and needs another socket.
    pub fn open(ifindex: u32, target: MediumTarget, port: u16) -> Result<MediumSocket, Error> {
        let opened = || -> io::Result<MediumSocket> {
            let ip = match target {
                MediumTarget::Host(ip) | MediumTarget::Group { group: ip, .. } => ip,
                MediumTarget::Broadcast(ip) => ip.into(),
            };
            let to = match ip {
                IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, ifindex).into(),
                IpAddr::V4(_) => SocketAddr::new(ip, port),
            };
            Ok(MediumSocket {
                listener: listen(ifindex, target, to)?,
                sender: speak(ifindex, target, to)?,
                to,
                ifindex,
            })
        };
        opened().map_err(|e| {
            let taken = e.kind() == io::ErrorKind::AddrInUse;
            let hint = taken.then(|| "another program listens there, perhaps heartbeat itself: stop it".to_owned());
            Error::new(format!("open UDP port {port} on interface {ifindex} for heartbeat"), e).with_hint(hint)
        })
    }

    /// Sends a message. What the network cannot take just now is lost: that is what the others are to notice.
    pub fn send(&self, message: &[u8]) -> Result<(), Error> {
        match sendto(&self.sender, message, SendFlags::DONTWAIT, &self.to).map_err(io::Error::from) {
            Err(e) if !is_passing(&e) && !is_unreachable(&e) => {
                Err(Error::new(format!("send heartbeats to {}", self.to.ip()), e))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The next message that waits, in `buffer`, and who sent it; `None` when none does. What is longer is cut.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, IpAddr)>, Error> {
        loop {
            match receive(&self.listener, buffer) {
                Ok(Received { length, source: Some(source), .. }) => return Ok(Some((length, source))),
                // One without a sender is none.
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // An interface that goes down tells its sockets so.
                Err(e) if is_passing(&e) => return Ok(None),
                Err(e) => return Err(Error::new(format!("hear heartbeats on interface {}", self.ifindex), e)),
            }
        }
    }
}

impl AsFd for MediumSocket {
    /// Of what hears.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Whether a host, and not this one, is the reason.
pub(crate) fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::ECONNREFUSED))
}

fn open(ifindex: u32, to: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket =
        socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, Some(ipproto::UDP))?;
    if to.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, ifindex.cast_signed())?;
    Ok(socket)
}

fn listen(ifindex: u32, target: MediumTarget, to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(ifindex, &to)?;
    // Several media may share an interface and a port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    let set = |level, option| set_option(socket.as_fd(), level, option, 0);
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    match target {
        MediumTarget::Host(_) | MediumTarget::Broadcast(_) => bind(&socket, &SocketAddr::new(any, to.port()))?,
        MediumTarget::Group { group: IpAddr::V4(group), .. } => {
            bind(&socket, &to)?;
            // Not what other sockets of this host have joined.
            set(libc::IPPROTO_IP, libc::IP_MULTICAST_ALL)?;
            let joined = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: ifindex.cast_signed(),
            };
            set_struct(socket.as_fd(), libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &joined)?;
        }
        MediumTarget::Group { group: IpAddr::V6(group), .. } => {
            bind(&socket, &to)?;
            set(libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL)?;
            sockopt::set_ipv6_add_membership(&socket, &group, ifindex)?;
        }
    }
    Ok(socket)
}

fn speak(ifindex: u32, target: MediumTarget, to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = open(ifindex, &to)?;
    let set = |level, option, value: libc::c_int| set_option(socket.as_fd(), level, option, value);
    let index = ifindex.cast_signed();
    match target {
        MediumTarget::Host(IpAddr::V4(_)) => set(libc::IPPROTO_IP, libc::IP_TOS, LOW_DELAY)?,
        MediumTarget::Host(IpAddr::V6(_)) => set(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, LOW_DELAY)?,
        MediumTarget::Broadcast(_) => {
            set(libc::SOL_SOCKET, libc::SO_BROADCAST, 1)?;
            // It stays on the link, whatever the routes are.
            set(libc::SOL_SOCKET, libc::SO_DONTROUTE, 1)?;
        }
        MediumTarget::Group { group: IpAddr::V4(_), hops, own } => {
            let on = libc::ip_mreqn {
                imr_multiaddr: libc::in_addr { s_addr: 0 },
                imr_address: libc::in_addr { s_addr: 0 },
                imr_ifindex: index,
            };
            set_struct(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &on)?;
            set(libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, hops.into())?;
            set(libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, own.into())?;
        }
        MediumTarget::Group { group: IpAddr::V6(_), hops, own } => {
            set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, index)?;
            set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, hops.into())?;
            set(libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, own.into())?;
        }
    }
    // After the type of service, which sets it too.
    set(libc::SOL_SOCKET, libc::SO_PRIORITY, 6)?;
    Ok(socket)
}

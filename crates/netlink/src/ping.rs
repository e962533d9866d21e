//! ICMP for the ping nodes of heartbeat: echo requests whose data comes back as a message.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

use crate::{
    discovery::is_passing,
    error::Error,
    medium::is_unreachable,
    receive::receive,
    socket::{set_option, set_struct},
};

/// Bytes before the data: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// Echo and its reply, of ICMP and of ICMPv6.
const V4: (u8, u8) = (8, 0);
const V6: (u8, u8) = (128, 129);
/// Of linux/icmp.h and linux/icmpv6.h: which types a raw socket is not told of.
const ICMP_FILTER: libc::c_int = 1;
const ICMPV6_FILTER: libc::c_int = 1;
/// Replies to requests before so many others are not taken any more.
const OUTSTANDING: u16 = 256;

/// Sends echo requests to hosts of one family and hears what they reply. It never blocks.
#[derive(Debug)]
pub struct PingSocket {
    socket: OwnedFd,
    ipv6: bool,
    identifier: u16,
    /// Of the last request.
    sequence: u16,
    /// Requests sent, no more than [`OUTSTANDING`].
    sent: u16,
}

impl PingSocket {
    /// Opens one in the caller's network namespace; no other program there should use the same `identifier`.
    pub fn open(ipv6: bool, identifier: u16) -> Result<PingSocket, Error> {
        let opened = || -> io::Result<OwnedFd> {
            let (family, protocol) =
                if ipv6 { (AddressFamily::INET6, ipproto::ICMPV6) } else { (AddressFamily::INET, ipproto::ICMP) };
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
            // A bit that is set keeps its type out.
            if ipv6 {
                let mut out = [u32::MAX; 8];
                if let Some(word) = out.get_mut(usize::from(V6.1 / 32)) {
                    *word = !(1 << (V6.1 % 32));
                }
                set_struct(socket.as_fd(), libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &out)?;
            } else {
                set_struct(socket.as_fd(), libc::SOL_RAW, ICMP_FILTER, &!(1_u32 << V4.1))?;
            }
            set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PRIORITY, 6)?;
            Ok(socket)
        };
        let socket = opened().map_err(|e| Error::new("open an ICMP socket for ping nodes", e))?;
        Ok(PingSocket { socket, ipv6, identifier, sequence: 0, sent: 0 })
    }

    /// Asks `host` to send `data` back. What the network cannot take just now is lost, as a reply may be.
    pub fn send(&mut self, host: IpAddr, data: &[u8]) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        self.sent = OUTSTANDING.min(self.sent + 1);
        let [i0, i1] = self.identifier.to_be_bytes();
        let [s0, s1] = self.sequence.to_be_bytes();
        let kind = if self.ipv6 { V6.0 } else { V4.0 };
        let mut packet = [&[kind, 0, 0, 0, i0, i1, s0, s1], data].concat();
        // The kernel writes that of ICMPv6, which is over addresses too.
        let sum = if self.ipv6 { 0 } else { checksum(&packet) };
        packet.splice(2..4, sum.to_be_bytes());
        match sendto(&self.socket, &packet, SendFlags::DONTWAIT, &SocketAddr::new(host, 0)).map_err(io::Error::from) {
            Err(e) if !is_passing(&e) && !is_unreachable(&e) => Err(Error::new(format!("ping {host}"), e)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// The data of the next reply that waits, in `buffer`, and who sent it; `None` when none does.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, IpAddr)>, Error> {
        loop {
            match receive(&self.socket, buffer) {
                Ok(received) => {
                    let start = self.data(buffer.get(..received.length).unwrap_or_default());
                    if let (Some(start), Some(source)) = (start, received.source) {
                        buffer.copy_within(start..received.length, 0);
                        return Ok(Some((received.length - start, source)));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if is_passing(&e) || is_unreachable(&e) => return Ok(None),
                Err(e) => return Err(Error::new("hear ping nodes", e)),
            }
        }
    }

    /// Where the data of a reply to one of our requests begins; `None` for any other packet.
    fn data(&self, packet: &[u8]) -> Option<usize> {
        let start = if self.ipv6 { 0 } else { usize::from(packet.first()? & 0xf) * 4 };
        let &[kind, 0, _, _, i0, i1, s0, s1] = packet.get(start..)?.first_chunk::<HEADER>()? else { return None };
        let reply = if self.ipv6 { V6.1 } else { V4.1 };
        let age = self.sequence.wrapping_sub(u16::from_be_bytes([s0, s1]));
        let ours = kind == reply && u16::from_be_bytes([i0, i1]) == self.identifier && age < self.sent;
        ours.then_some(start + HEADER)
    }
}

impl AsFd for PingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    let sum = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>() + last;
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

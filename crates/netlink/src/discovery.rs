//! Asking who has an address, and hearing the answers at once.
//!
//! The kernel would do this too, but believes no change within a second of the last one (its locktime) and asks
//! seldom. Questions go out, and answers are read, by packet sockets; the kernel's own table is left alone.

#![allow(unsafe_code, reason = "packet socket addresses and filters are not in rustix")]

pub(crate) mod codec;

use std::{
    io,
    mem::{size_of, zeroed},
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use rustix::event::epoll;

use crate::{
    error::Error,
    mac::MacAddress,
    nexthop::{Heard, Question},
    socket::in_namespace,
};

/// Answers read in one call.
const BATCH: usize = 512;
/// More than any frame that can be an answer.
const FRAME: usize = 2048;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;

/// A pair of packet sockets for ARP and neighbour discovery. Its file descriptor is readable when answers wait; it
/// never blocks.
#[derive(Debug)]
pub struct NeighbourSocket {
    arp: OwnedFd,
    advertisements: OwnedFd,
    ready: OwnedFd,
}

impl NeighbourSocket {
    /// Opens it in the caller's network namespace, on all its interfaces.
    pub fn open() -> Result<NeighbourSocket, Error> {
        let opened = || -> io::Result<NeighbourSocket> {
            let arp = packet_socket(ARP, &[])?;
            // ICMPv6 (byte 6 of the header) neighbour advertisements (type 136), nothing else.
            let advertisements = packet_socket(
                IPV6,
                &[
                    (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 6),
                    (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, 58),
                    (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 40),
                    (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, 136),
                    (libc::BPF_RET | libc::BPF_K, 0, 0, 0xffff),
                    (libc::BPF_RET | libc::BPF_K, 0, 0, 0),
                ],
            )?;
            let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            for socket in [&arp, &advertisements] {
                epoll::add(&ready, socket, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
            }
            Ok(NeighbourSocket { arp, advertisements, ready })
        };
        opened().map_err(|e| Error::new("open a socket for ARP and neighbour discovery", e))
    }

    /// Opens it in the network namespace behind `namespace`.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<NeighbourSocket, Error> {
        in_namespace(namespace, NeighbourSocket::open)
    }

    /// Sends a question. One that the interface cannot take just now is lost like one that nobody answers.
    pub fn ask(&self, question: &Question) -> Result<(), Error> {
        ask(&self.arp, &self.advertisements, question)
    }

    /// What was heard since the last call, as much as one bounded batch holds.
    pub fn read_heard(&mut self) -> Result<Vec<Heard>, Error> {
        let mut heard = Vec::new();
        let mut frame = [0; FRAME];
        for (socket, protocol) in [(&self.arp, ARP), (&self.advertisements, IPV6)] {
            for _ in 0..BATCH {
                match receive(socket, &mut frame) {
                    Ok((length, from)) => heard.extend(read(protocol, frame.get(..length).unwrap_or_default(), &from)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    // An interface that goes down tells its sockets so.
                    Err(e) if is_passing(&e) || e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(Error::new("hear ARP and neighbour discovery", e)),
                }
            }
        }
        Ok(heard)
    }
}

/// Sends a question by the socket of its protocol.
pub(crate) fn ask(arp: &OwnedFd, discovery: &OwnedFd, question: &Question) -> Result<(), Error> {
    let Question { ifindex, ip, destination, source, source_mac } = *question;
    let sent = match ip {
        IpAddr::V4(target) => {
            let source = source.and_then(|s| if let IpAddr::V4(s) = s { Some(s) } else { None });
            let packet = codec::arp_request(source_mac, source, target);
            send_to(arp, ARP, ifindex, destination.unwrap_or(MacAddress::BROADCAST), &packet)
        }
        IpAddr::V6(target) => {
            let source = source.and_then(|s| if let IpAddr::V6(s) = s { Some(s) } else { None });
            let packet = codec::solicitation(source_mac, source, target, destination.is_some());
            let to = destination.unwrap_or_else(|| codec::group_mac(codec::solicited_node(target)));
            send_to(discovery, IPV6, ifindex, to, &packet)
        }
    };
    match sent {
        Err(e) if !is_passing(&e) => Err(Error::new(format!("ask for {ip} on interface {ifindex}"), e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl AsFd for NeighbourSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// Whether an error is weather: the interface is down, gone or its queue is full.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO | libc::ENOBUFS | libc::EAGAIN | libc::ENETUNREACH)
    )
}

fn read(protocol: u16, packet: &[u8], from: &libc::sockaddr_ll) -> Option<Heard> {
    if from.sll_pkttype == libc::PACKET_OUTGOING {
        return None;
    }
    let sender = MacAddress::from_bytes(from.sll_addr.get(..usize::from(from.sll_halen))?)?;
    let (ip, mac) = if protocol == ARP { codec::read_arp(packet)? } else { codec::read_advertisement(packet, sender)? };
    Some(Heard { ifindex: u32::try_from(from.sll_ifindex).ok()?, ip, mac })
}

/// One instruction of a classic filter: code, jump if true, jump if false, operand.
type Instruction = (u32, u8, u8, u32);

/// A packet socket that only sends.
pub(crate) fn sending_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointer is passed. Protocol 0 receives nothing.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above just made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A packet socket for one protocol on all interfaces, without the Ethernet header.
fn packet_socket(protocol: u16, filter: &[Instruction]) -> io::Result<OwnedFd> {
    // Nothing is received before the filter is in place.
    let socket = sending_socket()?;
    if !filter.is_empty() {
        attach(&socket, filter)?;
    }
    let address = link_address(protocol, 0, None);
    // SAFETY: the pointer and the length describe `address`, which lives across the call.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), SOCKADDR_LL) };
    if bound == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn attach(socket: &OwnedFd, filter: &[Instruction]) -> io::Result<()> {
    let mut code: Vec<libc::sock_filter> = filter
        .iter()
        .map(|(code, jt, jf, k)| libc::sock_filter { code: *code as u16, jt: *jt, jf: *jf, k: *k })
        .collect();
    let program = libc::sock_fprog { len: u16::try_from(code.len()).unwrap_or(u16::MAX), filter: code.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: `program` and the instructions it points to live across the call; the kernel copies them.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const SOCKADDR_LL: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

fn link_address(protocol: u16, ifindex: u32, to: Option<MacAddress>) -> libc::sockaddr_ll {
    // SAFETY: all-zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = ifindex.cast_signed();
    if let Some(MacAddress(bytes)) = to {
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&bytes);
    }
    address
}

pub(crate) fn send_to(socket: &OwnedFd, protocol: u16, ifindex: u32, to: MacAddress, packet: &[u8]) -> io::Result<()> {
    let address = link_address(protocol, ifindex, Some(to));
    // SAFETY: both pointers and lengths describe values that live across the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_DONTWAIT,
            (&raw const address).cast(),
            SOCKADDR_LL,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn receive(socket: &OwnedFd, frame: &mut [u8]) -> io::Result<(usize, libc::sockaddr_ll)> {
    let mut from = link_address(0, 0, None);
    let mut length = SOCKADDR_LL;
    // SAFETY: the pointers and lengths describe `frame` and `from`, which live across the call.
    let received = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            frame.as_mut_ptr().cast(),
            frame.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &raw mut length,
        )
    };
    usize::try_from(received).map(|received| (received, from)).map_err(|_| io::Error::last_os_error())
}

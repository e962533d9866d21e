//! One packet of a socket with what the kernel says beside it: who sent it, where it went, how far it came.

#![allow(unsafe_code, reason = "ancillary data of packets is not in rustix")]

use std::{
    io,
    mem::{size_of, zeroed},
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
};

/// Bytes of ancillary data of one packet: an address and a number with their headers, with room to spare.
pub(crate) const ANCILLARY: usize = 128;

/// Aligned as a header of ancillary data is.
#[repr(align(8))]
pub(crate) struct Ancillary(pub(crate) [u8; ANCILLARY]);

/// A packet that has come. What the socket was not asked to tell is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of it in the caller's buffer; of a raw IPv4 socket with the header, of others without.
    pub length: usize,
    /// Who sent it.
    pub source: Option<IpAddr>,
    /// Where it went.
    pub destination: Option<IpAddr>,
    /// The TTL or hop limit it arrived with.
    pub hops: Option<u8>,
}

/// Takes the next packet that waits at `socket`, which speaks IPv4 or IPv6, into `buffer`; what is longer is cut.
/// It does not wait for one.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
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
    let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let (destination, hops) = read_ancillary(&message);
    Ok(Received { length, source: sender(&from), destination, hops })
}

fn sender(from: &libc::sockaddr_storage) -> Option<IpAddr> {
    match i32::from(from.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in, which is shorter than the storage.
            let from = unsafe { (&raw const *from).cast::<libc::sockaddr_in>().read() };
            Some(IpAddr::from(from.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, a sockaddr_in6.
            let from = unsafe { (&raw const *from).cast::<libc::sockaddr_in6>().read() };
            Some(IpAddr::from(from.sin6_addr.s6_addr))
        }
        _ => None,
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

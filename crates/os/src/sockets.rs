//! What a socket can be told and rustix has no word for.

#![allow(unsafe_code, reason = "setsockopt is foreign")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// A connected datagram socket is told of every ICMP error about what it sent: host and network unreachable as well, not
/// only a port that nobody has (ip(7), `IP_RECVERR`). `v6`: it is a socket of IPv6.
pub fn receive_errors(socket: impl AsFd, v6: bool) -> io::Result<()> {
    let (level, option) = if v6 { (libc::SOL_IPV6, libc::IPV6_RECVERR) } else { (libc::SOL_IP, libc::IP_RECVERR) };
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed, and the pointer and size are those of one c_int that
    // lives until the call is over.
    let result =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, std::ptr::from_ref(&on).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn both_families_can_be_told() {
        receive_errors(UdpSocket::bind("127.0.0.1:0").unwrap(), false).unwrap();
        assert!(receive_errors(std::fs::File::open("/dev/null").unwrap(), false).is_err());
    }
}

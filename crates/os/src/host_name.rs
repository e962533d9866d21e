//! The name of an address, by the C library's resolver: /etc/hosts, DNS, whatever the host is set up for.

#![allow(unsafe_code, reason = "the resolver is a C function")]

use std::{ffi::CStr, net::IpAddr};

/// Longer than any host name (NI_MAXHOST).
const LONGEST: usize = 1025;

/// The name of an address; `None` where it has none. Waits for DNS as long as the resolver does.
pub fn host_name(address: IpAddr) -> Option<String> {
    let mut name = [0 as libc::c_char; LONGEST];
    let status = match address {
        IpAddr::V4(v4) => {
            // SAFETY: all zero is a valid value of this struct of integers.
            let mut at: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            at.sin_family = libc::AF_INET as libc::sa_family_t;
            at.sin_addr.s_addr = u32::from_ne_bytes(v4.octets());
            ask(&at, &mut name)
        }
        IpAddr::V6(v6) => {
            // SAFETY: as above.
            let mut at: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            at.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            at.sin6_addr.s6_addr = v6.octets();
            ask(&at, &mut name)
        }
    };
    if status != 0 {
        return None;
    }
    // SAFETY: on success the resolver has written a string and its end into `name`.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    name.to_str().ok().map(str::to_owned)
}

fn ask<T>(at: &T, name: &mut [libc::c_char; LONGEST]) -> libc::c_int {
    // SAFETY: `at` is a socket address of the size told, `name` has the length told, and no service is asked for.
    unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(at).cast::<libc::sockaddr>(),
            size_of::<T>() as libc::socklen_t,
            name.as_mut_ptr(),
            LONGEST as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn the_loopback_has_a_name() {
        assert_eq!(host_name(Ipv4Addr::LOCALHOST.into()).as_deref(), Some("localhost"));
    }
}

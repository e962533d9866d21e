//! The socket: one request at a time, answered at once by the kernel.

#![allow(unsafe_code, reason = "netlink socket options are not in rustix")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        send, socket_with,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{
    error::Error,
    message::{Message, Request, attributes, messages, renumber, text, u32_at},
};

const BUFFER: usize = 64 * 1024;
/// How often a dump is begun anew because the table changed under it.
const DUMP_ATTEMPTS: usize = 8;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Since Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// A connection to the kernel's routing tables of one network namespace. Synchronous: the kernel answers at once.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    /// For the ethtool ioctls; any socket of the namespace will do.
    pub(crate) control: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens one in the caller's network namespace.
    pub fn open() -> Result<Netlink, Error> {
        Netlink::with(route_socket(0, SocketFlags::CLOEXEC)?)
    }

    pub(crate) fn with(socket: OwnedFd) -> Result<Netlink, Error> {
        let control = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .map_err(|e| Error::new("open a control socket", e))?;
        Ok(Netlink { socket, control, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Opens one in the network namespace behind `namespace`, whatever the caller's.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Netlink, Error> {
        in_namespace(namespace, Netlink::open)
    }

    /// A number that no other network namespace of this host has until the next boot.
    pub fn namespace_cookie(&self) -> Result<u64, Error> {
        let mut cookie = 0u64;
        let mut length = size_of_val(&cookie) as libc::socklen_t;
        // SAFETY: the pointers describe `cookie` and `length`, which live across the call.
        let result = unsafe {
            libc::getsockopt(
                self.control.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        let failed = || Error::new("tell this network namespace from others", io::Error::last_os_error());
        if result == 0 { Ok(cookie) } else { Err(failed()) }
    }

    /// Sends `request` and waits for the kernel's acknowledgement; `what` names it in the error.
    pub(crate) fn change(&mut self, what: &str, request: Request) -> Result<(), Error> {
        self.exchange(what, request, |_| ()).map(|_| ())
    }

    /// Sends `request` and hands each answer to `take`, until the kernel says that this was all.
    /// Says whether the answer is consistent.
    pub(crate) fn exchange(
        &mut self,
        what: &str,
        request: Request,
        take: impl FnMut(Message<'_>),
    ) -> Result<bool, Error> {
        self.exchange_bytes(&("", what), &mut request.finish(0), take)
    }

    /// The same with a message that is finished but for its sequence number. `what` is named in two parts, so that
    /// nothing is built where nothing fails.
    pub(crate) fn exchange_bytes(
        &mut self,
        what: &(&str, &str),
        bytes: &mut [u8],
        mut take: impl FnMut(Message<'_>),
    ) -> Result<bool, Error> {
        let what = || format!("{} {}", what.0, what.1).trim_start().to_owned();
        self.sequence = self.sequence.wrapping_add(1).max(1);
        renumber(bytes, self.sequence);
        send(&self.socket, bytes, SendFlags::empty()).map_err(|e| Error::new(what(), e))?;
        let mut consistent = true;
        loop {
            let length = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(e) => return Err(Error::new(what(), e)),
            };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                // Answers to an earlier request that failed half-way are not ours.
                if message.sequence != self.sequence {
                    continue;
                }
                consistent &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => return verdict(what, message).map(|()| consistent),
                    libc::NLMSG_NOOP => {}
                    _ => take(message),
                }
            }
        }
    }

    /// Sends `requests` in one datagram, of which nf_tables makes all or nothing; the kernel's first refusal of one of
    /// them counts. It answers before the datagram is taken, and says nothing of what it has done: the last but one
    /// asks for a word.
    pub(crate) fn change_together(&mut self, what: &str, requests: Vec<Request>) -> Result<(), Error> {
        let Some(last) = requests.len().checked_sub(2) else { return Ok(()) };
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::new();
        for (at, request) in requests.into_iter().enumerate() {
            let request = if at == last { request.acknowledged() } else { request };
            self.sequence = self.sequence.wrapping_add(1).max(1);
            bytes.extend(request.finish(self.sequence));
        }
        let own = |sequence: u32| sequence.wrapping_sub(first) <= self.sequence.wrapping_sub(first);
        send(&self.socket, &bytes, SendFlags::empty()).map_err(|e| Error::new(what, e))?;
        let mut said = false;
        loop {
            let length = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) if said => return Ok(()),
                Err(Errno::AGAIN) => return Err(Error::malformed(what)),
                Err(e) => return Err(Error::new(what, e)),
            };
            for message in messages(self.buffer.get(..length).unwrap_or_default()) {
                if own(message.sequence) && i32::from(message.kind) == libc::NLMSG_ERROR {
                    verdict(|| what.to_owned(), message)?;
                    said = true;
                }
            }
        }
    }

    /// Dumps a table; begins anew when it changed while it was read.
    pub(crate) fn dump<T>(
        &mut self,
        what: &str,
        kind: u16,
        body: &[u8],
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let mut items = Vec::new();
            let request = Request::new(kind, libc::NLM_F_DUMP, body);
            if self.exchange(what, request, |message| items.extend(read(message)))? {
                return Ok(items);
            }
        }
        Err(Error::new(what, io::Error::new(io::ErrorKind::ResourceBusy, "the table keeps changing while it is read")))
    }

    /// Asks for one thing and reads the one answer.
    pub(crate) fn ask<T>(
        &mut self,
        what: &str,
        request: Request,
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let mut answer = None;
        self.exchange(what, request, |message| {
            if answer.is_none() {
                answer = read(message);
            }
        })?;
        answer.ok_or_else(|| Error::malformed(what))
    }
}

/// The kernel's last word on a request: an acknowledgement, or why not.
fn verdict(what: impl Fn() -> String, message: Message<'_>) -> Result<(), Error> {
    let code = u32_at(message.body, 0).map_or(0, u32::cast_signed);
    if code >= 0 {
        return Ok(());
    }
    // The body is the code and the header of the request (NETLINK_CAP_ACK cuts the rest), then the attributes.
    let hint = (i32::from(message.kind) == libc::NLMSG_ERROR && i32::from(message.flags) & 0x200 != 0)
        .then(|| attributes(message.body, 20).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG).and_then(|(_, v)| text(v)))
        .flatten();
    Err(Error::new(what(), io::Error::from_raw_os_error(code.saturating_neg())).with_hint(hint))
}

/// A routing socket that listens to the multicast `groups`.
pub(crate) fn route_socket(groups: u32, flags: SocketFlags) -> Result<OwnedFd, Error> {
    // NETLINK_ROUTE is protocol 0, the default.
    netlink_socket(None, groups, flags).map_err(|e| Error::new("open a routing socket", e))
}

/// A socket of the given netlink protocol.
pub(crate) fn netlink_socket(protocol: Option<Protocol>, groups: u32, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let opened = || -> Result<OwnedFd, Errno> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(socket)
    };
    let socket = opened()?;
    // Better words in errors, and no echo of the request; older kernels do without.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
        let _ = set_option(socket.as_fd(), libc::SOL_NETLINK, option, 1);
    }
    Ok(socket)
}

/// Sets an integer socket option.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives across the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size_of_val(&value) as u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

pub(crate) fn set_struct<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which lives across the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs `work` on a thread of its own inside `namespace`: the caller's thread never changes its namespace.
pub(crate) fn in_namespace<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let what = "enter the network namespace";
    thread::scope(|scope| {
        let inside = thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).map_err(|e| Error::new(what, e))?;
            work()
        });
        let handle = inside.map_err(|e| Error::new(what, e))?;
        handle.join().unwrap_or_else(|_| Err(Error::new(what, io::Error::other("the thread panicked"))))
    })
}

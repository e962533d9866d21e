//! What the kernel tells by itself: changes of links, addresses, routes, rules and neighbours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    io::Errno,
    net::{RecvFlags, SocketFlags, recv},
};

use crate::{
    address::{Address, read_address},
    error::Error,
    link::{Link, read_index, read_link},
    message::{Message, messages, u8_at},
    neighbour::{Neighbour, read_neighbour},
    order::rule_protocol,
    route::{RouteEntry, read_route},
    socket::{in_namespace, route_socket, set_option},
};

const BUFFER: usize = 64 * 1024;
/// Room for a burst, as a link with many addresses going down makes one.
const RECEIVE_BUFFER: libc::c_int = 4 * 1024 * 1024;
/// RTNLGRP_IPV6_RULE as a bit.
const IPV6_RULES: libc::c_int = 1 << 18;
/// Datagrams read in one call, so that a flood does not starve the caller's loop.
const BATCH: usize = 256;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface is new or changed.
    Link(Link),
    /// The interface with this index is gone.
    LinkGone(u32),
    /// An address is new or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is new or changed.
    Route(RouteEntry),
    /// A route is gone.
    RouteGone(RouteEntry),
    /// A rule is new; who made it, by the kernel's number.
    Rule(u8),
    /// A rule is gone; who had made it, by the kernel's number.
    RuleGone(u8),
    /// A neighbour is new or changed.
    Neighbour(Neighbour),
    /// A neighbour is gone.
    NeighbourGone(Neighbour),
    /// Changes were lost: read everything anew.
    Overrun,
}

/// A listening socket. Its file descriptor is readable when there are events; it never blocks.
#[derive(Debug)]
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Listens in the caller's network namespace.
    pub fn open() -> Result<Monitor, Error> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_NEIGH
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV4_RULE
            | IPV6_RULES
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV6_ROUTE;
        let socket = route_socket(groups.cast_unsigned(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        // Without CAP_NET_ADMIN the plain option gives what the system allows.
        if set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER).is_err() {
            let _ = set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER);
        }
        Ok(Monitor { socket, buffer: vec![0; BUFFER] })
    }

    /// Listens in the network namespace behind `namespace`.
    pub fn open_in(namespace: BorrowedFd<'_>) -> Result<Monitor, Error> {
        in_namespace(namespace, Monitor::open)
    }

    /// The events that wait, oldest first, as many as one bounded batch holds; none when nothing waits. When the
    /// batch was full the descriptor is still readable.
    pub fn read_events(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        for _ in 0..BATCH {
            match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((length, full)) if full > length => events.push(Event::Overrun),
                Ok((length, _)) => {
                    events.extend(messages(self.buffer.get(..length).unwrap_or_default()).filter_map(event));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => events.push(Event::Overrun),
                Err(e) => return Err(Error::new("read the kernel's notifications", e)),
            }
        }
        Ok(events)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn event(message: Message<'_>) -> Option<Event> {
    match message.kind {
        libc::RTM_NEWLINK => read_link(message.body).map(Event::Link),
        // A port leaving a bridge is told as family AF_BRIDGE; the interface itself stays.
        libc::RTM_DELLINK if u8_at(message.body, 0)? == 0 => read_index(message).map(Event::LinkGone),
        libc::RTM_NEWADDR => read_address(message).map(Event::Address),
        libc::RTM_DELADDR => read_address(message).map(Event::AddressGone),
        libc::RTM_NEWROUTE => read_route(message).map(Event::Route),
        libc::RTM_DELROUTE => read_route(message).map(Event::RouteGone),
        libc::RTM_NEWRULE => Some(Event::Rule(rule_protocol(message.body))),
        libc::RTM_DELRULE => Some(Event::RuleGone(rule_protocol(message.body))),
        libc::RTM_NEWNEIGH => read_neighbour(message).map(Event::Neighbour),
        libc::RTM_DELNEIGH => read_neighbour(message).map(Event::NeighbourGone),
        _ => None,
    }
}

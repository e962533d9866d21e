//! How instances stand: what is asked for now and then, and made only then.

use crate::{News, elections::Elections};
use evenkeel_vrrp::{Role, Statistics};
use std::{
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    time::Duration,
};

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub instance: Arc<str>,
    /// Its part.
    pub role: Role,
    /// The priority it has, tracking included.
    pub priority: u8,
    /// The address it sends from.
    pub source: Option<IpAddr>,
    /// Index of the interface it speaks on.
    pub ifindex: Option<u32>,
    /// Whether its interface works.
    pub link_works: bool,
    /// Whether it has put its addresses there.
    pub holds: bool,
    /// Until its next timer; `None` where none runs.
    pub due_in: Option<Duration>,
    /// What it sends and listens by.
    pub socket: Option<Socket>,
    /// What it has said, heard and dropped.
    pub statistics: Statistics,
}

/// A socket that instances share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Number of the descriptor.
    pub descriptor: i32,
    /// Of IPv6.
    pub ipv6: bool,
    /// Packets begin with an authentication header.
    pub header: bool,
}

impl Elections {
    /// Tells how all instances stand; `clear`: counts anew.
    pub(crate) fn report(&mut self, clear: bool) {
        let now = self.events.now();
        let reports = (0..self.members.len()).filter(|&place| !self.router.is_free(place)).filter_map(|place| {
            let member = self.members.get(place)?;
            let instance = self.router.instance(place)?;
            let socket = self.wires.iter().flatten().find(|wire| wire.carries(member)).map(|wire| Socket {
                descriptor: wire.socket.as_fd().as_raw_fd(),
                ipv6: member.instance.is_ipv6(),
                header: member.has_header(),
            });
            let link = self.links.named(&member.instance.interface);
            Some(Report {
                instance: Arc::clone(&member.name),
                role: instance.role(),
                priority: instance.priority().get(),
                source: member.source,
                ifindex: member.ifindex,
                link_works: link.is_some_and(|link| link.running),
                holds: member.holds.is_some(),
                due_in: evenkeel_machine::Machine::deadline(instance).map(|due| due - now),
                socket,
                statistics: member.statistics,
            })
        });
        let reports = reports.collect();
        if clear {
            self.members.iter_mut().for_each(|member| member.statistics.clear());
        }
        (self.tell)(News::Report(reports));
    }
}

//! Tables of the kernel's packet filter (nf_tables): asked about, and changed by batches that count as a whole or not
//! at all. The messages are those of `linux/netfilter/nf_tables.h`.

mod batch;
mod rule;

pub use batch::NfBatch;
pub use rule::{NfEnd, NfMeta, NfRegister, NfRule, NfVerdict};

use crate::{
    error::Error,
    message::{Message, Request, attributes, messages, text, u8_at},
    socket::{Netlink, netlink_socket},
};
use rustix::{
    io::Errno,
    net::{RecvFlags, SocketFlags, netlink::NETFILTER, recv},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// NFNL_SUBSYS_NFTABLES, as kinds of messages have it.
const SUBSYSTEM: u16 = 10 << 8;
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const GET_RULE: u16 = SUBSYSTEM | 7;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const DELETE_SET: u16 = SUBSYSTEM | 11;
const GET_ELEMENTS: u16 = SUBSYSTEM | 13;
const DELETE_ELEMENTS: u16 = SUBSYSTEM | 14;
/// Also of messages about a part of a table.
const TABLE_NAME: u16 = 1;
const TABLE_USERDATA: u16 = 6;
const RULE_TABLE: u16 = 1;
const ELEMENTS_TABLE: u16 = 1;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const DATA_VALUE: u16 = 1;
/// NFNLGRP_NFTABLES as a bit.
const CHANGES: u32 = 1 << 6;
const BUFFER: usize = 64 * 1024;
/// Datagrams read in one call, so that a flood does not starve the caller's loop.
const DATAGRAMS: usize = 256;
/// Bytes of `struct nfgenmsg`.
const NFGENMSG: usize = 4;
/// Kind of the user data that nft(8) shows as the comment of a table.
const COMMENT: u8 = 0;

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NfFamily {
    /// `ip`
    Ipv4,
    /// `ip6`
    Ipv6,
}

impl NfFamily {
    pub(crate) fn number(self) -> u8 {
        match self {
            NfFamily::Ipv4 => 2,
            NfFamily::Ipv6 => 10,
        }
    }

    /// The fixed struct of every message about something of this family.
    fn body(self) -> [u8; NFGENMSG] {
        [self.number(), 0, 0, 0]
    }
}

/// A table by its family and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NfTable<'a> {
    /// What it sees.
    pub family: NfFamily,
    /// Its name.
    pub name: &'a str,
}

/// A way to the packet filter of one network namespace.
#[derive(Debug)]
pub struct NfTables {
    netlink: Netlink,
}

impl NfTables {
    /// Opens one in the caller's network namespace. That the kernel has no nf_tables may show only at the first
    /// question.
    pub fn open() -> Result<NfTables, Error> {
        let what = "reach nf_tables";
        let socket = netlink_socket(Some(NETFILTER), 0, SocketFlags::CLOEXEC).map_err(|e| Error::new(what, e))?;
        Ok(NfTables { netlink: Netlink::with(socket)? })
    }

    /// What the comment of a table says; `None` where there is no such table, and empty where it has none.
    pub fn comment(&mut self, table: NfTable<'_>) -> Result<Option<String>, Error> {
        let what = "read the nftables tables";
        let found = self.netlink.dump(what, GET_TABLE, &table.family.body(), |message| read_table(message, table))?;
        Ok(found.into_iter().next())
    }

    /// The keys of the elements of a set, as they lie in the kernel; none where there is no such set.
    pub fn elements(&mut self, table: NfTable<'_>, set: &str) -> Result<Vec<Vec<u8>>, Error> {
        let request = Request::new(GET_ELEMENTS, libc::NLM_F_DUMP, &table.family.body())
            .text(ELEMENTS_TABLE, table.name)
            .text(ELEMENTS_SET, set);
        let mut keys = Vec::new();
        match self.netlink.exchange("read a set of nftables", request, |message| keys.extend(read_keys(message.body))) {
            Ok(_) => Ok(keys),
            Err(e) if e.is_missing() => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// How many rules a table has.
    pub fn rules(&mut self, table: NfTable<'_>) -> Result<usize, Error> {
        let request = Request::new(GET_RULE, libc::NLM_F_DUMP, &table.family.body()).text(RULE_TABLE, table.name);
        let mut count = 0;
        self.netlink.exchange("read the rules of nftables", request, |message| {
            count += usize::from(table_name(message).as_deref() == Some(table.name));
        })?;
        Ok(count)
    }

    /// Carries out a batch: all of it, or nothing. `what` names it in the error.
    pub fn commit(&mut self, what: &str, batch: NfBatch) -> Result<(), Error> {
        self.netlink.change_together(what, batch.into_requests())
    }
}

/// Hears of what is taken from the packet filter. Its descriptor is readable when there is something; it never blocks.
#[derive(Debug)]
pub struct NfMonitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl NfMonitor {
    /// Listens in the caller's network namespace.
    pub fn open() -> Result<NfMonitor, Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = netlink_socket(Some(NETFILTER), CHANGES, flags);
        let socket = socket.map_err(|e| Error::new("listen to nf_tables", e))?;
        Ok(NfMonitor { socket, buffer: vec![0; BUFFER] })
    }

    /// Reads a bounded part of what waits; whether something of a table may have been taken whose name is `ours`.
    pub fn takes(&mut self, ours: impl Fn(&str) -> bool) -> Result<bool, Error> {
        let mut taken = false;
        for _ in 0..DATAGRAMS {
            match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((length, full)) => {
                    let all = self.buffer.get(..length).unwrap_or_default();
                    taken |= full > length || messages(all).any(|message| is_taken(message, &ours));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => taken = true,
                Err(e) => return Err(Error::new("read the notifications of nf_tables", e)),
            }
        }
        Ok(taken)
    }
}

impl AsFd for NfMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_taken(message: Message<'_>, ours: impl Fn(&str) -> bool) -> bool {
    let takes = [DELETE_TABLE, DELETE_CHAIN, DELETE_RULE, DELETE_SET, DELETE_ELEMENTS].contains(&message.kind);
    takes && table_name(message).is_some_and(|name| ours(&name))
}

fn read_table(message: Message<'_>, table: NfTable<'_>) -> Option<String> {
    if message.kind != NEW_TABLE || u8_at(message.body, 0)? != table.family.number() {
        return None;
    }
    if table_name(message)? != table.name {
        return None;
    }
    let data = attributes(message.body, NFGENMSG).find(|(kind, _)| *kind == TABLE_USERDATA);
    Some(data.and_then(|(_, data)| read_comment(data)).unwrap_or_default())
}

/// The table that a message is about.
fn table_name(message: Message<'_>) -> Option<String> {
    text(attributes(message.body, NFGENMSG).find(|(kind, _)| *kind == TABLE_NAME)?.1)
}

/// User data are entries of a kind, a length and a value.
fn read_comment(mut bytes: &[u8]) -> Option<String> {
    loop {
        let [kind, length, rest @ ..] = bytes else { return None };
        let value = rest.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return text(value);
        }
        bytes = rest.get(usize::from(*length)..)?;
    }
}

fn read_keys(body: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lists = attributes(body, NFGENMSG).filter(|(kind, _)| *kind == ELEMENTS);
    let elements = lists.flat_map(|(_, list)| attributes(list, 0).filter(|(kind, _)| *kind == LIST_ELEMENT));
    let keys = elements.flat_map(|(_, element)| attributes(element, 0).filter(|(kind, _)| *kind == ELEMENT_KEY));
    keys.flat_map(|(_, key)| attributes(key, 0).filter(|(kind, _)| *kind == DATA_VALUE)).map(|(_, key)| key.to_vec())
}

#[cfg(test)]
mod tests;

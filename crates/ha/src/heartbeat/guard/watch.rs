//! The guard's own loop.

use super::book::{Book, Key, Line};
use crate::events::{Events, boottime};
use evenkeel_machine::Instant;
use evenkeel_netlink::{Address, Error, Netlink};
use rustix::{
    fs::{OFlags, fcntl_setfl},
    io::Errno,
};
use std::{
    collections::BTreeMap,
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// Lines are shorter by far; who sends longer ones is no daemon of ours.
const LONGEST: usize = 256;
/// As `ps` shows it.
const NAME: &CStr = c"ha-guard";
const SECOND: Duration = Duration::from_secs(1);

/// What is heard of the daemon.
struct Ear<'a> {
    pipe: BorrowedFd<'a>,
    /// The beginning of a line.
    rest: Vec<u8>,
    /// Nobody is at the other end any more.
    is_over: bool,
}

/// Guards the addresses of the daemon at the other end of `pipe` until they are given up, or removed after its death.
pub fn watch(pipe: impl AsFd) -> Result<(), String> {
    let pipe = pipe.as_fd();
    fcntl_setfl(pipe, OFlags::NONBLOCK).map_err(|e| format!("set up the pipe: {e}"))?;
    let mut netlink = Netlink::open().map_err(|e| e.to_string())?;
    let mut events = Events::since_boot()?;
    events.add(pipe, 0)?;
    // It is no evenkeel for who looks for those by their name.
    let _ = rustix::thread::set_name(NAME);
    // Where it is refused the guard may be late on a busy host.
    let _ = evenkeel_os::be_realtime();
    let _ = evenkeel_os::lock_memory();
    let mut ear = Ear { pipe, rest: Vec::new(), is_over: false };
    let mut book = Book::default();
    let mut left: Option<BTreeMap<Key, u32>> = None;
    loop {
        if !ear.is_over {
            ear.listen(&mut book)?;
            if ear.is_over {
                events.remove(pipe)?;
            }
        }
        let Some(due) = book.due() else {
            if ear.is_over {
                return Ok(());
            }
            events.wait(None, &mut Vec::new())?;
            continue;
        };
        if ear.is_over && left.is_none() {
            left = Some(take_charge(&mut netlink, &book, due).map_err(|e| e.to_string())?);
        }
        let renewal = book.renewal().filter(|_| !ear.is_over);
        let next = renewal.unwrap_or(due);
        if next > boottime() {
            events.wait(Some(Instant::at(next)), &mut Vec::new())?;
            continue;
        }
        if renewal.is_some() {
            // The daemon stands still, or its statuses are further apart than its leases are long.
            let _ = lengthen(&mut netlink, &book, due);
            book.is_renewed();
            continue;
        }
        // What the kernel refuses ends with its lease.
        let _ = remove(&mut netlink, &book, left.as_ref());
        book.is_over();
    }
}

impl Ear<'_> {
    /// Hears everything that was said up to now.
    fn listen(&mut self, book: &mut Book) -> Result<(), String> {
        let mut buffer = [0; 4096];
        while !self.is_over {
            match rustix::io::read(self.pipe, &mut buffer) {
                Ok(0) => self.is_over = true,
                Ok(length) => self.read(buffer.get(..length).unwrap_or_default(), book)?,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(e) => return Err(format!("read the pipe: {e}")),
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: &[u8], book: &mut Book) -> Result<(), String> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend(part);
            if let Some(line) = self.rest.strip_suffix(b"\n") {
                let line = std::str::from_utf8(line).ok().and_then(|line| line.parse::<Line>().ok());
                book.take(&line.ok_or("the pipe says what no daemon of this version does")?);
                self.rest.clear();
            }
            if self.rest.len() > LONGEST {
                return Err("a line of the pipe has no end".to_owned());
            }
        }
        Ok(())
    }
}

/// The daemon is dead. Gives when each address was changed last, which another daemon that takes it over changes.
fn take_charge(netlink: &mut Netlink, book: &Book, due: Duration) -> Result<BTreeMap<Key, u32>, Error> {
    lengthen(netlink, book, due)?;
    Ok(guarded(netlink, book)?.map(|(address, changed)| (key(&address), changed)).collect())
}

/// The addresses get a lifetime that reaches to their end, where their lease does not.
fn lengthen(netlink: &mut Netlink, book: &Book, due: Duration) -> Result<(), Error> {
    let left = due.saturating_sub(boottime());
    for (address, _) in guarded(netlink, book)? {
        // Seconds that have begun count as whole ones.
        if !left.is_zero() && address.lifetime.is_some_and(|lifetime| lifetime < left + SECOND) {
            let longer = Some(Duration::from_secs(left.as_secs() + 1));
            // Else it ends with its lease.
            let _ = netlink.hold_address(&Address { lifetime: longer, preferred: longer, ..address });
        }
    }
    Ok(())
}

/// Removes what is held; of a dead daemon only what is as it was `left`.
fn remove(netlink: &mut Netlink, book: &Book, left: Option<&BTreeMap<Key, u32>>) -> Result<(), Error> {
    for (address, changed) in guarded(netlink, book)? {
        if left.is_none_or(|left| left.get(&key(&address)) == Some(&changed)) {
            // One that is gone already is no trouble, and no reason to leave the others.
            let _ = netlink.delete_address(&address);
        }
    }
    Ok(())
}

/// The addresses of the book that are there, and when they were changed last.
fn guarded<'a>(netlink: &mut Netlink, book: &'a Book) -> Result<impl Iterator<Item = (Address, u32)> + use<'a>, Error> {
    let all = netlink.addresses_with_change()?;
    Ok(all.into_iter().filter(|(address, _)| book.held().contains(&key(address))))
}

fn key(address: &Address) -> Key {
    Key { ifindex: address.ifindex, address: address.address }
}

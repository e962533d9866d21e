//! Whose service a packet without connection is for, and whether it may make one (PP-4, PP-8, PP-11, PP-12, PP-17).

use crate::{
    connect::{NO_SERVICE, New, refuse},
    connection::opens,
    maps,
};
use evenkeel_abi::{
    ACL_DENY, Reason, SERVICE_ACL, SERVICE_DEFAULT_DENY, SERVICE_SLOPPY, ServiceKey, flow::KEY4, sctp, tcp,
};

/// Finds the service, and whether the packet may make a connection of it.
#[inline(always)]
pub fn admit<const K: usize>(new: &mut New<K>) -> Result<(), Reason> {
    if new.service == NO_SERVICE {
        let Some(service) = by_address(new) else { return Err(refuse(new, Reason::NotOurs)) };
        new.service = service;
    }
    let service = maps::SERVICES.get_ptr(new.service).ok_or(Reason::Internal)?;
    // SAFETY: an element of the array.
    let flags = unsafe { (&raw const (*service).flags).read_volatile() };
    new.service_flags = flags;
    if new.bad != 0 {
        return Err(Reason::from_number(new.bad - 1));
    }
    if !may_open(new, flags) {
        return Err(refuse(new, Reason::NoConnection));
    }
    if !answerable(&new.key) {
        return Err(Reason::BadSource);
    }
    if flags & SERVICE_ACL != 0 && is_denied(new, flags) { Err(Reason::Denied) } else { Ok(()) }
}

/// Whether the packet makes a connection of a service with these flags (PP-11, PP-12).
#[inline(always)]
fn may_open<const K: usize>(new: &New<K>, flags: u32) -> bool {
    if opens(new.protocol as u8, new.flags as u8) {
        return true;
    }
    let ends = if new.protocol == sctp::PROTOCOL as u32 {
        new.flags == sctp::EVENT_ABORT
    } else {
        new.flags as u8 & tcp::RST != 0
    };
    flags & SERVICE_SLOPPY != 0 && !ends
}

/// The service of a packet's destination, protocol and port, or of its destination and protocol.
#[inline(always)]
fn by_address<const K: usize>(new: &New<K>) -> Option<u32> {
    let mut key =
        ServiceKey { address: [0; 16], port: (new.ports >> 16) as u16, protocol: new.protocol as u8, family: 4 };
    let words = (&raw mut key.address).cast::<u32>();
    // SAFETY: four words of the 16 bytes, which start the structure and are aligned as it is.
    unsafe {
        if K == KEY4 {
            words.write(new.key[0] as u32);
        } else {
            key.family = 6;
            words.write((new.key[2] >> 32) as u32);
            words.add(1).write(new.key[2] as u32);
            words.add(2).write((new.key[3] >> 32) as u32);
            words.add(3).write(new.key[3] as u32);
        }
    }
    // SAFETY: the value is copied out at once.
    let id = unsafe { maps::SERVICE_IDS.get(&key).copied() };
    if id.is_some() {
        return id;
    }
    key.port = 0;
    // SAFETY: as above.
    unsafe { maps::SERVICE_IDS.get(&key).copied() }
}

/// Whether the service's lists deny the source (PP-17).
#[inline(always)]
fn is_denied<const K: usize>(new: &New<K>, flags: u32) -> bool {
    let id = new.service;
    let (source, bits) = if K == KEY4 {
        ([id, (new.key[0] >> 32) as u32, 0, 0, 0], 64)
    } else {
        let (high, low) = (new.key[0], new.key[1]);
        ([id, (high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32], 160)
    };
    let rule = maps::ACL.get(&aya_ebpf::btf_maps::lpm_trie::Key::new(bits, source)).copied();
    match rule {
        Some(rule) => rule & ACL_DENY != 0,
        None => flags & SERVICE_DEFAULT_DENY != 0,
    }
}

/// Whether the source is one that an answer can be sent to (PP-8).
#[inline(always)]
fn answerable<const K: usize>(key: &[u64; K]) -> bool {
    if K == KEY4 {
        let (source, destination) = ((key[0] >> 32) as u32, key[0] as u32);
        let first = source as u8;
        source != destination && first != 0 && first != 127 && first < 224
    } else {
        let loopback_or_none = key[0] == 0 && (key[1] == 0 || key[1] == 1u32.to_be() as u64);
        let same = key[0] == key[2] && key[1] == key[3];
        !same && !loopback_or_none && (key[0] >> 32) as u8 != 0xff
    }
}

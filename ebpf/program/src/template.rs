//! Clients come back to the real server they had: a template for each, in the connection table (PP-34 to PP-36).

use crate::{
    atomic,
    connect::{ABSENT, New, TEMPLATE, encode, step, steps},
    connection::{expired, hash, lookup, opens, unload, weigh_templates},
    forward::{NO_SLOT, Target},
    ip::TCP,
    maps,
};
use evenkeel_abi::{
    DEST_GONE, DEST_NO_NEW, Reason, SERVICE_EXPIRE_TEMPLATE, Service,
    flow::{self, KEY_TEMPLATE, KEY4, TEMPLATE_ASSURED},
    sctp,
    state::State,
};

steps! {
    /// The real server that the client's template leads to, with bit 32 set; 0 without one. The template's timeout begins anew.
    evenkeel_template4, evenkeel_template6 => |new| find(new).map_or(0, |dest| 1 << 32 | dest as u64);
    /// Leads the client's template to the real server that was chosen; the one it leads to then, which another CPU may have
    /// chosen. [`ABSENT`]: there is none, and it is to be put into a slot.
    evenkeel_keep4, evenkeel_keep6 => |new| encode(lead(new));
    /// The real server that the template which has just been put into a slot leads to.
    evenkeel_kept4, evenkeel_kept6 => |new| encode(kept(new));
    /// Notes in the client's template that a connection of it is established.
    evenkeel_assure4, evenkeel_assure6 => |new| { mark_assured(new); 0 };
}

/// Notes in the client's template that a connection of it is established.
#[inline(always)]
pub fn assure<const K: usize>(new: &mut New<K>) {
    step!(evenkeel_assure4, evenkeel_assure6, new);
}

/// The key of a client's template (PP-34, PP-36).
#[inline(always)]
fn key<const K: usize>(new: &New<K>, service: *const Service) -> [u64; K] {
    // SAFETY: an element of the array; the daemon changes single fields while we read.
    let (mask, mark, port) = unsafe {
        (
            (&raw const (*service).mask).read_volatile(),
            (&raw const (*service).mark).read_volatile(),
            (&raw const (*service).port).read_volatile(),
        )
    };
    let join = |high: u32, low: u32| (high as u64) << 32 | low as u64;
    let mut key = new.key;
    if K == KEY4 {
        let client = if new.call_id == 0 { (key[0] >> 32) as u32 & mask[0] } else { (new.call_id >> 32) as u32 };
        key[0] = join(client, if mark == 0 { key[0] as u32 } else { mark.to_be() });
    } else {
        if new.call_id == 0 {
            (key[0], key[1]) = (key[0] & join(mask[0], mask[1]), key[1] & join(mask[2], mask[3]));
        } else {
            (key[0], key[1]) = (new.call_id, 0);
        }
        if mark != 0 {
            (key[2], key[3]) = (join(mark.to_be(), 0), 0);
        }
    }
    // A client by address has port 0.
    let client_port = new.call_id as u32 & 0xffff;
    let protocol = if mark == 0 { new.protocol as u8 } else { 0 };
    key[K - 1] = flow::ports((port as u32) << 16 | client_port, protocol) | KEY_TEMPLATE;
    key
}

/// Whether a template leads to a real server (PP-35).
#[inline(always)]
fn leads(dest: u32, service: *const Service) -> bool {
    let Ok(target) = Target::of(dest, 0, NO_SLOT) else { return false };
    // SAFETY: an element of the array.
    let flags = unsafe { (&raw const (*service).flags).read_volatile() };
    let quiescent = target.flags & DEST_NO_NEW != 0 && flags & SERVICE_EXPIRE_TEMPLATE != 0;
    target.flags & DEST_GONE == 0 && !quiescent
}

#[inline(always)]
fn find<const K: usize>(new: &New<K>) -> Option<u32> {
    let service = maps::SERVICES.get_ptr(new.service)?;
    let key = key(new, service);
    let found = lookup(hash(&key), &key)?;
    let dest = flow::dest(found.value);
    if expired(found.value, new.now) || !leads(dest, service) {
        return None;
    }
    let fresh = flow::value(dest, State::Template as u32, new.now) | found.value & TEMPLATE_ASSURED;
    if fresh != found.value {
        // SAFETY: the word after a slot's first one. Who loses the race has nothing to add: the winner is as recent.
        unsafe { atomic::replace(found.slot.add(1), found.value, fresh) };
    }
    Some(dest)
}

#[inline(always)]
fn lead<const K: usize>(new: &New<K>) -> Result<u32, Reason> {
    let (service, chosen) = (maps::SERVICES.get_ptr(new.service).ok_or(Reason::Internal)?, new.dest);
    let key = key(new, service);
    let hash = hash(&key);
    let (protocol, flags) = (new.protocol as u8, new.flags as u8);
    // What shakes hands, and has not done so yet, may be a flood.
    let shakes_hands = (protocol == TCP || protocol == sctp::PROTOCOL) && opens(protocol, flags);
    let mut value = flow::value(chosen, State::Template as u32, new.now);
    if !shakes_hands {
        value |= TEMPLATE_ASSURED;
    }
    let Some(found) = lookup(hash, &key) else {
        // SAFETY: an element of this CPU's own.
        let template = unsafe { &mut *maps::new::<K>(TEMPLATE).ok_or(Reason::Internal)? };
        (template.key, template.hash, template.now, template.fresh) = (key, hash, new.now, value);
        template.value = 0;
        return Ok(ABSENT);
    };
    if !expired(found.value, new.now) {
        value |= found.value & TEMPLATE_ASSURED;
    }
    // SAFETY: the word after a slot's first one.
    if unsafe { atomic::replace(found.slot.add(1), found.value, value) } {
        unload(found.value);
        weigh_templates(chosen, 1);
        return Ok(chosen);
    }
    // SAFETY: as above.
    agree(unsafe { atomic::read(found.slot.add(1)) }, service)
}

/// The real server of a template that another CPU has made or changed.
#[inline(always)]
fn agree(theirs: u64, service: *const Service) -> Result<u32, Reason> {
    let dest = flow::dest(theirs);
    if flow::state(theirs) == State::Template as u32 && leads(dest, service) {
        Ok(dest)
    } else {
        Err(Reason::Contended)
    }
}

#[inline(always)]
fn kept<const K: usize>(new: &New<K>) -> Result<u32, Reason> {
    let service = maps::SERVICES.get_ptr(new.service).ok_or(Reason::Internal)?;
    // SAFETY: an element of this CPU's own.
    let template = unsafe { &*maps::new::<K>(TEMPLATE).ok_or(Reason::Internal)? };
    if template.value != 0 {
        return agree(template.value, service);
    }
    weigh_templates(new.dest, 1);
    Ok(new.dest)
}

#[inline(always)]
fn mark_assured<const K: usize>(new: &New<K>) {
    let Some(service) = maps::SERVICES.get_ptr(new.service) else { return };
    let key = key(new, service);
    let Some(found) = lookup(hash(&key), &key) else { return };
    if found.value & TEMPLATE_ASSURED == 0 {
        // SAFETY: the word after a slot's first one. Who changes it at the same time makes it anew.
        unsafe { atomic::replace(found.slot.add(1), found.value, found.value | TEMPLATE_ASSURED) };
    }
}

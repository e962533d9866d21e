//! ICMP errors about a connection go where the connection goes (PP-27), translated where it is (PP-45).

use crate::{
    Frame, Verdict, answer, connection,
    extension::{self, Headers},
    forward::{self, Target},
    ip::{ETHERNET, Packet, TCP, UDP, WHOLE, key6, read},
    maps,
    plan::{ERROR_ANSWER, ERROR_FORWARD, FORWARD, Place},
};
use evenkeel_abi::{
    Reason,
    flow::{self, KEY4, KEY6},
    hash, sctp,
    state::State,
};

/// Whether a protocol's header begins with ports.
#[inline(always)]
pub fn has_ports(protocol: u8) -> bool {
    protocol == TCP || protocol == UDP || protocol == sctp::PROTOCOL
}

/// The ports at `at` of a quoted packet, which went the other way, swapped; 0 where its protocol has none.
#[inline(always)]
fn ports(frame: &Frame, at: usize, protocol: u8) -> Result<u32, Reason> {
    if !has_ports(protocol) {
        return if at > frame.end { Err(Reason::NotOurs) } else { Ok(0) };
    }
    if at + 4 > frame.end {
        return Err(Reason::NotOurs);
    }
    // SAFETY: just checked.
    Ok(unsafe { read::<u32>(at) }.rotate_left(16))
}

/// `at`: the ICMP header; `bytes`: the IP length.
#[inline(always)]
pub fn ipv4(frame: &Frame, at: usize, bytes: u32, plan: &mut Place) -> Result<Verdict, Reason> {
    // ICMP header, quoted IP header.
    if at + 8 + 20 > frame.end || bytes + ETHERNET as u32 > frame.length {
        return Err(Reason::NotOurs);
    }
    let inner = at + 8;
    // SAFETY: within what was just checked.
    let (kind, version, fragment, protocol): (u8, u8, u16, u8) =
        unsafe { (read(at), read(inner), read(inner + 6), read(inner + 9)) };
    // SAFETY: as above.
    let (source, client): (u32, u32) = unsafe { (read(inner + 12), read(inner + 16)) };
    // SAFETY: the outer header was checked before.
    let destination: u32 = unsafe { read(frame.data + 14 + 16) };
    let is_error = kind == 3 || kind == 11 || kind == 12;
    let header = (version as usize & 15) << 2;
    if !is_error || version >> 4 != 4 || header < 20 || fragment & 0xff1f != 0 || source != destination {
        return Err(Reason::NotOurs);
    }
    let ports = ports(frame, inner + header, protocol)?;
    let key = [(client as u64) << 32 | source as u64, flow::ports(ports, protocol)];
    let quoted = Quoted { at, bytes, ports, protocol, transport: (inner + header - frame.data - ETHERNET) as u32 };
    relay::<KEY4>(frame, quoted, &key, hash::flow4(maps::secret(), &key), plan)
}

/// `at`: the ICMPv6 header; `bytes`: the IP length.
#[inline(always)]
pub fn ipv6(frame: &Frame, at: usize, bytes: u32, plan: &mut Place) -> Result<Verdict, Reason> {
    if at + 8 + 40 > frame.end || bytes + ETHERNET as u32 > frame.length {
        return Err(Reason::NotOurs);
    }
    let inner = at + 8;
    // SAFETY: within what was just checked.
    let (kind, version, protocol): (u8, u8, u8) = unsafe { (read(at), read(inner), read(inner + 6)) };
    // SAFETY: as above, and the outer header was checked before.
    let (source, client, destination) = unsafe { (words(inner + 8), words(inner + 24), words(frame.data + 14 + 24)) };
    let is_error = kind >= 1 && kind <= 4;
    if !is_error || version >> 4 != 6 || source != destination {
        return Err(Reason::NotOurs);
    }
    let mut headers = Headers { transport: 40, protocol, part: WHOLE };
    if !has_ports(protocol) {
        headers = extension::skip_quoted(frame, inner, protocol)?;
    }
    let (transport, protocol) = (inner + headers.transport as usize, headers.protocol);
    let ports = ports(frame, transport, protocol)?;
    let key = key6(client, source, flow::ports(ports, protocol));
    let quoted = Quoted { at, bytes, ports, protocol, transport: (transport - frame.data - ETHERNET) as u32 };
    relay::<KEY6>(frame, quoted, &key, hash::flow6(maps::secret(), &key), plan)
}

/// # Safety
/// At `at` 16 bytes of the packet may be read.
#[inline(always)]
unsafe fn words(at: usize) -> [u32; 4] {
    unsafe { [read(at), read(at + 4), read(at + 8), read(at + 12)] }
}

/// An error and the packet that it quotes.
struct Quoted {
    /// The ICMP header.
    at: usize,
    /// IP length of the error.
    bytes: u32,
    /// Ports of the quoted packet, turned.
    ports: u32,
    protocol: u8,
    /// Its transport header, counted from behind the Ethernet header.
    transport: u32,
}

#[inline(always)]
fn relay<const K: usize>(
    frame: &Frame,
    quoted: Quoted,
    key: &[u64; K],
    hash: u64,
    plan: &mut Place,
) -> Result<Verdict, Reason> {
    let Some(found) = connection::lookup(hash, key) else { return Err(Reason::NotOurs) };
    let Quoted { at, bytes, ports, protocol, transport: inner } = quoted;
    let transport = (at - frame.data - ETHERNET) as u32;
    let packet = Packet { ports, protocol, flags: 0, part: WHOLE, bytes, transport, answer_only: false, bad: None };
    let now = maps::now();
    if flow::state(found.value) == State::Reverse as u32 {
        return answer::plan::<K>(&packet, found, (ERROR_ANSWER, inner), plan);
    }
    if connection::expired(found.value, now) {
        return Err(Reason::NotOurs);
    }
    let target = Target::of(flow::dest(found.value), 0, found.number())?;
    let verdict = forward::finish::<K, true>(frame, &packet, key, hash, target, plan)?;
    if verdict.rewrites() {
        let plan = plan.get()?;
        if plan.kind == FORWARD {
            (plan.kind, plan.inner) = (ERROR_FORWARD, inner);
        }
    }
    Ok(verdict)
}

//! `bfd_instance` into BFD sessions.

use super::{BfdInstance, Vrrp};
use crate::{codes, draft::BfdDraft};
use evenkeel_model::bfd::{Interval, Reach, Session};
use evenkeel_source::{Diagnostic, Spanned};
use std::{net::IpAddr, num::NonZeroU8, time::Duration};

/// `max_hops` that means any number.
const ANY: i16 = 255;

/// The sessions that can be: those without a neighbour are told elsewhere and left out.
pub(crate) fn lower(vrrp: &Vrrp, out: &mut Vec<Diagnostic>) -> Vec<BfdDraft> {
    vrrp.bfd.iter().filter_map(|instance| one(instance, out)).collect()
}

fn one(from: &BfdInstance, out: &mut Vec<Diagnostic>) -> Option<BfdDraft> {
    let neighbour = from.neighbour?;
    let mut session = Session::new(from.name.value.clone(), neighbour.value);
    session.source = from.source.map(|source| source.value);
    let mut time = |written: Option<Spanned<Duration>>, usual: Interval| {
        let Some(written) = written else { return usual };
        let nearest = Interval::nearest(written.value);
        if written.value < nearest.get() && nearest == Interval::LEAST {
            let d = Diagnostic::warning(codes::BFD, written.span, "an interval below a millisecond");
            out.push(d.note("evenkeel takes 1 ms").help("a busy host holds 30 ms, and hardly 10 ms"));
        }
        nearest
    };
    session.transmit = time(from.least_send, session.transmit);
    session.receive = time(from.least_receive, session.receive);
    session.idle = time(from.idle_send, session.idle).max(Interval::LEAST_IDLE);
    session.multiplier = from.multiplier.and_then(|n| NonZeroU8::new(n.value)).unwrap_or(session.multiplier);
    session.passive = from.passive;
    session.reach = reach(from, neighbour.value);
    Some(BfdDraft { session, name: from.name.span, neighbour: neighbour.span, broken: false })
}

/// keepalived takes for granted that the neighbour sends with the TTL that it sends with itself, which of IPv6 is 64;
/// everybody else sends 255, and asks for it.
fn reach(from: &BfdInstance, neighbour: IpAddr) -> Reach {
    let written = from.ttl.map(|ttl| ttl.value);
    let begun = written.unwrap_or(if neighbour.is_ipv4() { 255 } else { 64 });
    let lost = from.most_hops.map_or(0, |hops| hops.value);
    let least_hops = match u8::try_from(lost) {
        Ok(lost) if i16::from(lost) < ANY => begun.saturating_sub(lost),
        Ok(_) | Err(_) => 0,
    };
    Reach { multihop: from.multihop, hops: written.unwrap_or(255), least_hops }
}

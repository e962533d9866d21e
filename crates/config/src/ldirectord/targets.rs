//! Whom a `real=` line means: an address, a name or a range.

use super::options::RealLine;
use crate::{
    address::{self, Resolved},
    codes,
    host::{Family, Resolver, shown},
};
use evenkeel_model::Protocol;
use evenkeel_source::{Diagnostic, Span};
use std::net::{IpAddr, Ipv4Addr};

/// Real servers one range may stand for.
const LARGEST_RANGE: u32 = 4096;

/// The addresses of a line, one or a range, and the port that is written.
pub(crate) fn targets(
    six: bool,
    line: &RealLine<'_>,
    protocol: Protocol,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<(Targets, Option<u16>)> {
    let span = line.target.span;
    let text = line.target.value;
    let (first, rest, rest_at) = match text.split_once("->") {
        Some((first, last)) => (Some(first), last, first.len() + 2),
        None => (None, text, 0),
    };
    let Some(split) = address::split(rest) else {
        out.push(Diagnostic::error(codes::ADDRESS, span, format!("`{}` is no address", shown(rest))));
        return None;
    };
    let rest_span = address::part(span, rest_at, rest.len());
    let family = if six { Family::V6 } else { Family::V4 };
    let last = address::resolve(split.host, family, split.host_span(rest_span), resolver, out);
    let first = match first {
        Some(first) => {
            let at = address::part(span, 0, first.len());
            let host = first.trim_start_matches('[').trim_end_matches(']');
            Some(address::resolve(host, family, at, resolver, out)?)
        }
        None => None,
    };
    let port = match split.port {
        // ldirectord's own word for "the service's port".
        Some("0") | None => None,
        Some(port) => Some(address::port(port, protocol, split.port_span(rest_span), resolver, out)?),
    };
    let last = last?;
    let addresses = match first {
        Some(first) => range(first.address, last.address, span, out)?,
        None => Targets { first: last.address, more: 0, name: last.name },
    };
    Some((addresses, port))
}

/// The real servers one line stands for: an address and how many follow it.
pub(crate) struct Targets {
    pub(crate) first: IpAddr,
    more: u32,
    name: Option<String>,
}

impl Targets {
    /// Each of them; a name belongs to the first.
    pub(crate) fn addresses(self) -> impl Iterator<Item = Resolved> {
        let Targets { first, more, mut name } = self;
        (0..=more).map(move |step| {
            let address = match first {
                IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from(u32::from(first).saturating_add(step))),
                IpAddr::V6(_) => first,
            };
            Resolved { address, name: name.take() }
        })
    }
}

fn range(first: IpAddr, last: IpAddr, span: Span, out: &mut Vec<Diagnostic>) -> Option<Targets> {
    let (IpAddr::V4(first), IpAddr::V4(last)) = (first, last) else {
        out.push(Diagnostic::error(codes::RANGE, span, "a range of IPv6 addresses").help("write one line for each"));
        return None;
    };
    let (low, high) = (u32::from(first), u32::from(last));
    if low > high {
        let message = format!("the range goes down, from {first} to {last}");
        out.push(Diagnostic::error(codes::RANGE, span, message).help(format!("write {last}->{first}")));
        return None;
    }
    if high - low >= LARGEST_RANGE {
        let message = format!("the range holds {} addresses; {LARGEST_RANGE} is the most", u64::from(high - low) + 1);
        out.push(Diagnostic::error(codes::RANGE, span, message));
        return None;
    }
    Some(Targets { first: first.into(), more: high - low, name: None })
}

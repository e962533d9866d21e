//! `[bfd.NAME]` into a BFD session.

use super::{
    reader::{Keys, Table, quoted},
    units::duration_text,
    write::line,
};
use crate::{codes, draft::BfdDraft, host::shown};
use evenkeel_model::bfd::{Interval, Reach, Session};
use evenkeel_source::{Diagnostic, Severity, Spanned};
use std::{net::IpAddr, num::NonZeroU8, time::Duration};

const KEYS: Keys = Keys {
    of: "a BFD session",
    known: &[
        "neighbour",
        "source",
        "interface",
        "transmit",
        "receive",
        "idle",
        "misses",
        "passive",
        "multihop",
        "ttl",
        "least_ttl",
    ],
    later: &["echo", "authentication"],
    instead: &[
        ("neighbor", "write `neighbour`"),
        ("neighbour_ip", "write `neighbour`"),
        ("neighbor_ip", "write `neighbour`"),
        ("source_ip", "write `source`"),
        ("min_tx", "write `transmit`"),
        ("min_rx", "write `receive`"),
        ("idle_tx", "write `idle`"),
        ("multiplier", "write `misses`"),
        ("hoplimit", "write `ttl`"),
        ("max_hops", "write `least_ttl`: 255 less the routers on the way"),
    ],
};

/// What a busy host can hold, both ways: silence is noticed after 150 ms.
const INTERVAL: Duration = Duration::from_millis(50);
const MISSES: NonZeroU8 = NonZeroU8::new(3).expect("it is not 0");

/// Reads one session, all its mistakes reported.
pub(crate) fn read(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<BfdDraft> {
    table.only(&KEYS, out);
    let errors = out.len();
    let neighbour = address(table, "neighbour", out);
    if neighbour.is_none() && !table.has("neighbour") {
        let message = format!("`{}` has no neighbour", shown(name.value));
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, message);
        out.push(d.help("write neighbour = \"192.0.2.2\""));
    }
    let source = address(table, "source", out).map(|source| source.value);
    let interface = table.string("interface", out).filter(|text| super::not_empty("interface", text, out));
    let transmit = interval(table, "transmit", Interval::LEAST, out);
    let receive = interval(table, "receive", Interval::LEAST, out);
    let idle = interval(table, "idle", Interval::LEAST_IDLE, out);
    let misses = table.integer("misses", 1..=255, out).and_then(|n| NonZeroU8::new(u8::try_from(n.value).ok()?));
    let passive = table.boolean("passive", out).is_some_and(|yes| yes.value);
    let multihop = table.boolean("multihop", out).is_some_and(|yes| yes.value);
    let mut hops = |key, least| table.integer(key, least..=255, out).and_then(|n| u8::try_from(n.value).ok());
    let (ttl, least_ttl) = (hops("ttl", 1), hops("least_ttl", 0));
    let neighbour = neighbour?;
    let mut session = Session::new(name.value.to_owned(), neighbour.value);
    session.source = source;
    session.interface = interface.map(|interface| interface.value.to_owned());
    let usual = Interval::nearest(INTERVAL);
    session.transmit = transmit.unwrap_or(usual);
    session.receive = receive.unwrap_or(usual);
    session.idle = idle.unwrap_or(session.idle);
    session.multiplier = misses.unwrap_or(MISSES);
    session.passive = passive;
    session.reach = Reach {
        multihop,
        hops: ttl.unwrap_or(session.reach.hops),
        least_hops: least_ttl.unwrap_or(if multihop { 0 } else { session.reach.least_hops }),
    };
    let broken = out.get(errors..).unwrap_or_default().iter().any(|d| d.severity == Severity::Error);
    Some(BfdDraft { session, name: name.span, neighbour: neighbour.span, broken })
}

fn address(table: &Table<'_>, key: &str, out: &mut Vec<Diagnostic>) -> Option<Spanned<IpAddr>> {
    let text = table.string(key, out)?;
    let address: Option<IpAddr> = text.value.parse().ok();
    if address.is_none() {
        out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
    }
    address.map(|address| Spanned::new(address, text.span))
}

fn interval(table: &Table<'_>, key: &str, least: Interval, out: &mut Vec<Diagnostic>) -> Option<Interval> {
    let written = table.duration(key, least.get(), out)?;
    let interval = Interval::new(written.value);
    if interval.is_none() {
        let message = "BFD counts whole microseconds, up to 71 minutes";
        out.push(Diagnostic::error(codes::BFD, written.span, message));
    }
    interval
}

/// Writes a session so that [`read`] reads it as the same.
pub(super) fn write(session: &Session, text: &mut String) {
    text.push_str(&format!("[bfd.{}]\n", quoted(&session.name)));
    line(text, "neighbour", &quoted(&session.neighbour.to_string()));
    if let Some(source) = session.source {
        line(text, "source", &quoted(&source.to_string()));
    }
    if let Some(interface) = &session.interface {
        line(text, "interface", &quoted(interface));
    }
    for (key, interval) in [("transmit", session.transmit), ("receive", session.receive), ("idle", session.idle)] {
        line(text, key, &quoted(&duration_text(interval.get())));
    }
    line(text, "misses", &session.multiplier.to_string());
    for (key, yes) in [("passive", session.passive), ("multihop", session.reach.multihop)] {
        if yes {
            line(text, key, "true");
        }
    }
    line(text, "ttl", &session.reach.hops.to_string());
    line(text, "least_ttl", &session.reach.least_hops.to_string());
    text.push('\n');
}

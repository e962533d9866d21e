//! `[settings]` about all elections of a node: `startup_delay`, `boot_delay`, `announce_pauses`, `quiet_igmp`.

use super::{
    reader::{Keys, Table, quoted},
    units::duration_text,
    write::{inline, line, list},
};
use crate::{codes, draft::Conduct};
use evenkeel_model::vrrp::{Elections, Pause};
use evenkeel_source::{Diagnostic, Spanned};
use std::time::Duration;

const PAUSE: Keys = Keys {
    of: "a pause of announcements",
    known: &["interfaces", "arp", "neighbour"],
    later: &[],
    instead: &[
        ("interface", "write interfaces = [\"eth0\"]"),
        ("garp", "write `arp`"),
        ("garp_interval", "write `arp`"),
        ("gna_interval", "write `neighbour`"),
    ],
};

/// Reads what of `[settings]` is about elections.
pub(super) fn read(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Conduct {
    let mut delay = |key| table.duration(key, Duration::ZERO, out).map_or(Duration::ZERO, |delay| delay.value);
    let (startup_delay, boot_delay) = (delay("startup_delay"), delay("boot_delay"));
    let quiet_igmp = table.boolean("quiet_igmp", out).is_some_and(|yes| yes.value);
    let items = table.get("announce_pauses").and_then(|value| table.items(value, out)).unwrap_or_default();
    let mut pauses = Vec::new();
    for item in items {
        let Some(inner) = table.inner(item) else {
            let message = "a pause is a table";
            let d = Diagnostic::error(codes::WRONG_TYPE, item.span, message);
            out.push(d.help("write { interfaces = [\"eth0\"], arp = \"10ms\" }"));
            continue;
        };
        pauses.extend(pause(&inner, out).map(|pause| Spanned::new(pause, item.span)));
    }
    Conduct { startup_delay, boot_delay, pauses, quiet_igmp }
}

fn pause(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Pause> {
    table.only(&PAUSE, out);
    let interfaces = table.strings("interfaces", out);
    if interfaces.as_ref().is_some_and(|named| named.value.is_empty()) {
        let d = Diagnostic::error(codes::VALUE, table.span, "interfaces is empty");
        out.push(d.help("leave it out for each interface by itself"));
        return None;
    }
    let mut time = |key| table.duration(key, Duration::ZERO, out).map_or(Duration::ZERO, |time| time.value);
    let (arp, neighbour) = (time("arp"), time("neighbour"));
    if arp.is_zero() && neighbour.is_zero() {
        let d = Diagnostic::warning(codes::NO_EFFECT, table.span, "a pause of no time has no effect");
        out.push(d.help("write arp = \"10ms\" or neighbour = \"10ms\""));
    }
    let interfaces = interfaces.map(|named| named.value.iter().map(|name| name.value.to_owned()).collect());
    Some(Pause { interfaces: interfaces.unwrap_or_default(), arp, neighbour })
}

/// Writes it so that [`read`] reads the same.
pub(super) fn write(elections: &Elections, text: &mut String) {
    let Elections { startup_delay, boot_delay, pauses, quiet_igmp, .. } = elections;
    for (key, delay) in [("startup_delay", startup_delay), ("boot_delay", boot_delay)] {
        if !delay.is_zero() {
            line(text, key, &quoted(&duration_text(*delay)));
        }
    }
    if !pauses.is_empty() {
        let pauses: Vec<String> = pauses.iter().map(pause_text).collect();
        line(text, "announce_pauses", &format!("[{}]", pauses.join(", ")));
    }
    if *quiet_igmp {
        line(text, "quiet_igmp", "true");
    }
}

/// Whether [`write`] has anything to write.
pub(super) fn says_anything(elections: &Elections) -> bool {
    let Elections { startup_delay, boot_delay, pauses, quiet_igmp, .. } = elections;
    !startup_delay.is_zero() || !boot_delay.is_zero() || !pauses.is_empty() || *quiet_igmp
}

fn pause_text(pause: &Pause) -> String {
    let mut keys = Vec::new();
    if !pause.interfaces.is_empty() {
        keys.push(("interfaces", list(&pause.interfaces)));
    }
    for (key, time) in [("arp", pause.arp), ("neighbour", pause.neighbour)] {
        if !time.is_zero() {
            keys.push((key, quoted(&duration_text(time))));
        }
    }
    inline(&keys)
}

//! `nftables` of `[settings]`: the table that keeps packets away from addresses that are not accepted.

use super::{
    reader::{Keys, Table, integer_of, quoted},
    write::{inline, line},
};
use crate::{codes, host::shown};
use evenkeel_model::vrrp::Firewall;
use evenkeel_source::Diagnostic;

const NFTABLES: Keys = Keys {
    of: "nftables",
    known: &["table", "priority", "counters"],
    later: &[],
    instead: &[("name", "write `table`")],
};

/// Reads it.
pub(super) fn read(settings: &Table<'_>, out: &mut Vec<Diagnostic>) -> Firewall {
    let usual = Firewall::default();
    let Some(table) = settings.table("nftables", out) else { return usual };
    table.only(&NFTABLES, out);
    let name = table.string("table", out);
    let name = name.filter(|name| {
        let fits = Firewall::can_be_called(name.value);
        if !fits {
            let message = format!("`{}` is no name of a table", shown(name.value));
            let d = Diagnostic::error(codes::VALUE, name.span, message);
            out.push(d.help("a letter, then letters, digits and any of `.`, `_`, `-`, `/`"));
        }
        fits
    });
    let priority = table.get("priority").and_then(|value| {
        let number = integer_of(value, out).and_then(|number| i32::try_from(number).ok());
        if number.is_none() {
            out.push(Diagnostic::error(codes::VALUE, value.span, "priority is a number; filters usually have 0"));
        }
        number
    });
    let counters = table.boolean("counters", out).is_some_and(|yes| yes.value);
    Firewall {
        table: name.map_or(usual.table, |name| name.value.to_owned()),
        priority: priority.unwrap_or(usual.priority),
        counters,
    }
}

/// Writes it so that [`read`] reads the same.
pub(super) fn write(firewall: &Firewall, text: &mut String) {
    if *firewall == Firewall::default() {
        return;
    }
    let mut keys = vec![("table", quoted(&firewall.table)), ("priority", firewall.priority.to_string())];
    if firewall.counters {
        keys.push(("counters", "true".to_owned()));
    }
    line(text, "nftables", &inline(&keys));
}

//! `hmac` of a `[vrrp.NAME]`: keyed hashes behind advertisements.

use super::{
    reader::{Keys, Table, quoted, string_of, wrong_type},
    units::duration_text,
    write::line,
};
use crate::{
    codes,
    hmac::{key, key_text, words},
    host::{Host, shown},
};
use evenkeel_model::vrrp::{AdvertInterval, AntiReplay, Hmac, HmacKey, HmacMode};
use evenkeel_source::Diagnostic;
use std::{collections::BTreeMap, num::NonZeroU8};

const KEYS: Keys = Keys {
    of: "hmac",
    known: &["keys", "active", "mode", "window", "anti_replay"],
    later: &[],
    instead: &[
        ("key", "write keys = { 1 = \"hex:...\" }"),
        ("active_key", "write `active`"),
        ("time_window", "write `window`"),
    ],
};

/// Reads `hmac = { keys = { 1 = "hex:..." }, active = 1 }`.
pub(super) fn read(
    table: &Table<'_>,
    interval: AdvertInterval,
    host: &Host<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Hmac> {
    let value = table.get("hmac")?;
    let Some(inner) = table.inner(value) else {
        wrong_type(value.span, "a table", value.value, out);
        return None;
    };
    inner.only(&KEYS, out);
    if let Some(password) = table.key_span("password") {
        let d = Diagnostic::error(codes::VALUE, password, "a password and hmac are two kinds of authentication");
        out.push(d.help("leave the password out: it travels in clear text"));
    }
    let keys = keys(&inner, host, out);
    let active = inner.integer("active", 1..=255, out);
    let id = active.as_ref().and_then(|n| NonZeroU8::new(u8::try_from(n.value).ok()?));
    let mode = inner.word("mode", &words::MODES, out).map_or(HmacMode::Enforce, |word| word.value);
    let anti_replay = inner.word("anti_replay", &words::ANTI_REPLAY, out).map_or(AntiReplay::Time, |word| word.value);
    let window = inner.duration("window", *Hmac::WINDOWS.start(), out);
    if let Some(long) = window.as_ref().filter(|window| window.value > *Hmac::WINDOWS.end()) {
        let message = format!("window is longer than {}", duration_text(*Hmac::WINDOWS.end()));
        out.push(Diagnostic::error(codes::VALUE, long.span, message));
    }
    let window = window.map_or_else(|| Hmac::usual_window(interval), |window| window.value);
    let keys = keys?;
    match (id, &active) {
        (Some(id), Some(written)) if !keys.contains_key(&id) => {
            let message = format!("active is {id}: there is no such key");
            out.push(Diagnostic::error(codes::VALUE, written.span, message));
        }
        (None, None) if !inner.has("active") && mode != HmacMode::ReceiveOnly => {
            let d = Diagnostic::error(codes::MISSING_KEY, value.span, "hmac has no active key");
            out.push(d.help(format!("write active = {}", keys.keys().next().map_or(1, |id| id.get()))));
        }
        _ => {}
    }
    Some(Hmac { keys, active: id, mode, window, anti_replay })
}

/// `None` where one is wrong, or none is there.
fn keys(inner: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<BTreeMap<NonZeroU8, HmacKey>> {
    let table = inner.table("keys", out);
    let names = table.iter().flat_map(|table| table.entries.iter().map(move |(name, _)| (table, name.get_ref())));
    let mut keys = BTreeMap::new();
    let mut whole = true;
    for (table, name) in names {
        let Some(value) = table.get(name) else { continue };
        let id = name.parse().ok().and_then(NonZeroU8::new);
        if id.is_none() {
            let message = format!("`{}` is no number of a key; it goes from 1 to 255", shown(name));
            out.push(Diagnostic::error(codes::VALUE, table.key_span(name).unwrap_or(value.span), message));
        }
        let read = string_of(value, out).and_then(|text| match key(text.value, host) {
            Ok(key) => Some(key),
            Err(why) => {
                let d = Diagnostic::error(codes::VALUE, value.span, why);
                out.push(d.help("make one with `openssl rand -hex 32` and write \"hex:\" before it"));
                None
            }
        });
        match (id, read) {
            (Some(id), Some(key)) => {
                keys.insert(id, key);
            }
            _ => whole = false,
        }
    }
    if whole && keys.is_empty() && (table.is_some() || !inner.has("keys")) {
        let d = Diagnostic::error(codes::MISSING_KEY, inner.span, "hmac has no keys");
        out.push(d.help("write keys = { 1 = \"hex:...\" } with the 64 digits of `openssl rand -hex 32`"));
    }
    (whole && !keys.is_empty()).then_some(keys)
}

/// Writes it so that [`read`] reads it as the same.
pub(super) fn write(hmac: &Hmac, text: &mut String) {
    let keys: Vec<String> = hmac.keys.iter().map(|(id, key)| format!("{id} = {}", quoted(&key_text(key)))).collect();
    let mut parts = vec![format!("keys = {{ {} }}", keys.join(", "))];
    parts.extend(hmac.active.map(|id| format!("active = {id}")));
    parts.push(format!("mode = {}", quoted(words::name(&words::MODES, hmac.mode))));
    parts.push(format!("window = {}", quoted(&duration_text(hmac.window))));
    parts.push(format!("anti_replay = {}", quoted(words::name(&words::ANTI_REPLAY, hmac.anti_replay))));
    line(text, "hmac", &format!("{{ {} }}", parts.join(", ")));
}

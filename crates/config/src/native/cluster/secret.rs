//! `secret`: what messages are signed with.

use crate::{
    codes,
    heartbeat::authkeys,
    host::{Host, shown},
    native::{
        reader::{Keys as Known, Table, Value, quoted, string_of},
        write::inline,
    },
};
use evenkeel_model::heartbeat::{Key, Keys, Method, SLOTS};
use evenkeel_source::{Diagnostic, Sources, Spanned};
use std::{collections::BTreeMap, path::Path};
use toml::de::DeValue;

const KEYS: Known = Known {
    of: "a secret",
    known: &["number", "sha256", "sha1", "md5", "crc", "file"],
    later: &[],
    instead: &[("key", "write sha1 = \"…\""), ("method", "write sha1 = \"…\"")],
};

const METHODS: [Method; 3] = [Method::Sha256, Method::Sha1, Method::Md5];

/// Reads `{ sha1 = "…" }`, several of them of which the first signs, `{ file = "/etc/ha.d/authkeys" }` or `"sha1:…"`.
pub(super) fn read(table: &Table<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Keys> {
    let Some(value) = table.get("secret") else {
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, "the cluster has no secret");
        out.push(
            d.help("write secret = { sha1 = \"…\" } with what `openssl rand -hex 32` prints, the same on all nodes"),
        );
        return None;
    };
    if let DeValue::String(_) = value.value {
        return Some(Keys::one(text(string_of(value, out)?, out)?));
    }
    let items = match value.value {
        DeValue::Table(_) => vec![value],
        _ => table.items(value, out)?,
    };
    let mut slots = BTreeMap::new();
    let mut send = None;
    for item in &items {
        let Some(inner) = table.inner(*item) else {
            crate::native::reader::wrong_type(item.span, "{ sha1 = \"…\" }", item.value, out);
            return None;
        };
        inner.only(&KEYS, out);
        if inner.has("file") {
            return from_file(&inner, items.len(), host, out);
        }
        let number = inner.integer("number", u32::from(*SLOTS.start())..=u32::from(*SLOTS.end()), out);
        let number = match number {
            Some(number) => u8::try_from(number.value).ok()?,
            None => 1,
        };
        let key = slot(&inner, *item, host, out)?;
        if slots.insert(number, key).is_some() {
            let d = Diagnostic::error(codes::KEYS, item.span, format!("secret {number} is there twice"));
            out.push(d.help("give each a number of its own"));
        }
        send.get_or_insert(number);
    }
    if items.is_empty() {
        out.push(Diagnostic::error(codes::KEYS, value.span, "the cluster has no secret"));
    }
    Keys::new(send?, slots)
}

/// A secret that others can read where it stands.
pub(super) fn report_readers(table: &Table<'_>, path: &Path, host: &Host<'_>, out: &mut Vec<Diagnostic>) {
    const READABLE: u32 = 0o044;
    let Some(secret) = table.get("secret") else { return };
    let elsewhere = |text: &str| text.starts_with("file:");
    let is_here = match table.inner(secret) {
        Some(inner) => inner.values().iter().any(|(key, value)| match value.value {
            DeValue::String(text) => key.value != "file" && !elsewhere(text),
            _ => false,
        }),
        None => true,
    };
    let Some(mode) = (host.file_mode)(path).filter(|mode| is_here && mode & READABLE != 0) else { return };
    let message = format!("others can read the secret: the mode of the file is {:04o}", mode & 0o7777);
    let d = Diagnostic::warning(codes::WEAK_KEY, secret.span, message);
    let fix = format!("chmod 600 {}, or write secret = {{ file = \"/etc/ha.d/authkeys\" }}", path.display());
    out.push(d.note("who knows it, and reaches the heartbeat port, can take every resource").help(fix));
}

/// `sha1:…`
fn text(text: Spanned<&str>, out: &mut Vec<Diagnostic>) -> Option<Key> {
    let parts = text.value.split_once(':');
    let found = parts.and_then(|(name, secret)| {
        METHODS.into_iter().find(|method| method.name() == name).map(|method| (method, secret))
    });
    let Some((method, secret)) = found.filter(|(_, secret)| !secret.is_empty()) else {
        let d = Diagnostic::error(codes::KEYS, text.span, "the secret has no method before it");
        out.push(d.help("write secret = { sha1 = \"…\" }"));
        return None;
    };
    authkeys::weak(method, secret, text.span, out);
    Some(Key { method, secret: secret.as_bytes().to_vec() })
}

/// One method with its secret.
fn slot(inner: &Table<'_>, item: Value<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Key> {
    let crc = inner.boolean("crc", out).filter(|yes| yes.value);
    let named: Vec<Method> = METHODS.into_iter().filter(|method| inner.has(method.name())).collect();
    match (crc, &named[..]) {
        (Some(place), []) => {
            authkeys::weak(Method::Crc, "", place.span, out);
            Some(Key { method: Method::Crc, secret: Vec::new() })
        }
        (None, [method]) => {
            let text = inner.string(method.name(), out)?;
            let secret = match secret(text.value, host) {
                Ok(secret) => secret,
                Err(why) => {
                    out.push(Diagnostic::error(codes::KEYS, text.span, why));
                    return None;
                }
            };
            authkeys::weak(*method, &String::from_utf8_lossy(&secret), text.span, out);
            Some(Key { method: *method, secret })
        }
        _ => {
            let d = Diagnostic::error(codes::KEYS, item.span, "a secret has one method");
            out.push(
                d.help("write { sha1 = \"…\" }, or md5, or sha256 where no heartbeat is left; crc = true for none"),
            );
            None
        }
    }
}

/// `hex:` and digits, `file:` and a path, or the secret itself. `Err` says what is wrong, without the secret.
fn secret(text: &str, host: &Host<'_>) -> Result<Vec<u8>, String> {
    let secret = if let Some(path) = text.strip_prefix("file:") {
        let bytes = (host.read_file)(Path::new(path)).map_err(|why| format!("secret file {}: {why}", shown(path)))?;
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
        bytes.get(..end).unwrap_or_default().to_vec()
    } else if let Some(digits) = text.strip_prefix("hex:") {
        let whole = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bytes = whole.then(|| crate::hex::bytes(digits)).flatten();
        bytes.ok_or("`hex:` is followed by pairs of hexadecimal digits")?
    } else {
        text.as_bytes().to_vec()
    };
    if secret.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(secret) }
}

/// The keys of an authkeys.
fn from_file(inner: &Table<'_>, count: usize, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Keys> {
    let path = inner.string("file", out)?;
    if inner.entries.len() > 1 || count > 1 {
        let d = Diagnostic::error(codes::CONFLICTING_KEYS, path.span, "a file of secrets and others beside it");
        out.push(d.help("write secret = { file = \"/etc/ha.d/authkeys\" } alone"));
        return None;
    }
    let bytes = match (host.read_file)(Path::new(path.value)) {
        Ok(bytes) => bytes,
        Err(why) => {
            let message = format!("secret file {}: {why}", shown(path.value));
            out.push(Diagnostic::error(codes::UNREADABLE, path.span, message));
            return None;
        }
    };
    let (text, latin_1) = match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (crate::load::latin_1(error.as_bytes()), true),
    };
    // What is wrong in that file is told here, where it is named: its text is shown to nobody.
    let mut found = Vec::new();
    let elsewhere = Sources::new().add(path.value, String::new());
    authkeys::report_mode(Path::new(path.value), elsewhere, host, &mut found);
    let keys = authkeys::read(&text, latin_1, elsewhere, &mut found);
    for d in found {
        let before = d.place().and_then(|span| text.get(..span.start as usize)).unwrap_or("");
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let message = format!("{}:{line}: {}", shown(path.value), d.message);
        out.push(Diagnostic { notes: d.notes, ..Diagnostic::new(d.severity, d.code, path.span, message) });
    }
    keys
}

/// As [`read`] reads them.
pub(super) fn text_of(keys: &Keys) -> String {
    let (send, _) = keys.signing();
    let mut slots: Vec<(u8, &Key)> = keys.iter().collect();
    slots.sort_by_key(|(number, _)| *number != send);
    let one = |(number, key): &(u8, &Key)| {
        let secret = match key.method {
            Method::Crc => ("crc", "true".to_owned()),
            Method::Md5 | Method::Sha1 | Method::Sha256 => (key.method.name(), quoted(&secret_text(&key.secret))),
        };
        let number = (*number != 1).then(|| ("number", number.to_string()));
        inline(&number.into_iter().chain([secret]).collect::<Vec<_>>())
    };
    match &slots[..] {
        [alone] => one(alone),
        _ => format!("[{}]", slots.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

fn secret_text(secret: &[u8]) -> String {
    match std::str::from_utf8(secret) {
        Ok(text) if !text.starts_with("hex:") && !text.starts_with("file:") => text.to_owned(),
        _ => secret.iter().fold("hex:".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

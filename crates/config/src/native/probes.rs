//! Checks that keepalived.conf knows and ldirectord.cf mostly does not: `udp`, `dns`, `smtp`, `file` and `bfd`; where an
//! attempt comes from; digests and offsets of answers.

use super::reader::{Table, Value, integer_of, wrong_type};
use crate::{codes, hex, host::shown};
use evenkeel_model::{Dns, Http, HttpRules, HttpVersion, NumberFile, Origin, Probe, Record, Udp, UdpReply};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};
use toml::de::DeValue;

/// The name in HELO where nothing is said.
const HELO: &str = "localhost";

/// The probe that `word` begins; its target is filled in later.
pub(super) fn read(word: &str, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Probe> {
    let target = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0);
    match word {
        "udp" => {
            yes(word, table, out)?;
            Some(Probe::Udp(Udp { target, payload: bytes("payload", table, out), reply: reply(table, out) }))
        }
        "dns" => {
            let name = table.string("dns", out)?;
            if !crate::address::is_dns_name(name.value) {
                let message = format!("`{}` is no name that can be asked for", shown(name.value));
                out.push(Diagnostic::error(codes::VALUE, name.span, message).help("the root is `.`"));
            }
            let record = table.word("record", &Record::ALL.map(|record| (record.name(), record)), out);
            let record = record.map_or(Record::default(), |record| record.value);
            Some(Probe::Dns(Dns { target, name: name.value.to_owned(), record }))
        }
        "smtp" => {
            yes(word, table, out)?;
            let helo = table.string("helo", out);
            if let Some(helo) = helo.filter(|helo| !is_sendable(helo.value)) {
                let message = format!("`{}` cannot stand in HELO", shown(helo.value));
                out.push(Diagnostic::error(codes::VALUE, helo.span, message));
            }
            Some(Probe::Smtp { target, helo: helo.map_or(HELO, |helo| helo.value).to_owned() })
        }
        "file" => {
            let path = table.string("file", out).filter(|path| super::not_empty("file", path, out))?;
            let factor = table.get("factor").map_or(Some(0), |value| factor(value, out))?;
            let reverse = table.boolean("reverse", out).is_some_and(|yes| yes.value);
            Some(Probe::File(NumberFile { path: PathBuf::from(path.value), factor, reverse }))
        }
        _ => {
            let name = table.string("bfd", out).filter(|name| super::not_empty("bfd", name, out))?;
            Some(Probe::Bfd { name: name.value.to_owned() })
        }
    }
}

/// One line, without blanks: it is one word of a command.
pub(crate) fn is_sendable(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn yes(word: &str, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<()> {
    let yes = table.boolean(word, out)?;
    if !yes.value {
        out.push(Diagnostic::error(codes::VALUE, yes.span, format!("`{word} = false` says nothing")));
        return None;
    }
    Some(())
}

fn factor(value: Value<'_>, out: &mut Vec<Diagnostic>) -> Option<i64> {
    const MOST: i64 = 2_147_483_647;
    let number = integer_of(value, out)?;
    if !(-MOST..=MOST).contains(&number) {
        out.push(Diagnostic::error(codes::VALUE, value.span, format!("a factor is at most {MOST} either way")));
        return None;
    }
    Some(number)
}

fn bytes(key: &str, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<u8>> {
    let text = table.string(key, out)?;
    let bytes = hex::bytes(text.value);
    if bytes.is_none() {
        out.push(not_hex(text));
    }
    bytes
}

fn not_hex(text: Spanned<&str>) -> Diagnostic {
    let message = format!("`{}` are no hexadecimal digits", shown(text.value));
    Diagnostic::error(codes::VALUE, text.span, message).help("write bytes like \"0a 1b ff\"")
}

/// `reply = true` or `reply = "0a xx"`, with `reply_least` and `reply_most`.
fn reply(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<UdpReply> {
    let length = |key: &str, usual: u16, out: &mut Vec<Diagnostic>| {
        let number = table.integer(key, 0..=u32::from(u16::MAX), out);
        number.and_then(|number| u16::try_from(number.value).ok()).unwrap_or(usual)
    };
    let length = (length("reply_least", 0, out), length("reply_most", UdpReply::USUAL_MOST, out));
    let value = table.get("reply")?;
    let begins = match value.value {
        DeValue::Boolean(true) => Vec::new(),
        DeValue::String(_) => {
            let text = table.string("reply", out)?;
            let Some(begins) = hex::masked(text.value) else {
                out.push(not_hex(text));
                return None;
            };
            begins
        }
        other => {
            wrong_type(value.span, "true, or a string of hexadecimal digits,", other, out);
            return None;
        }
    };
    if length.0 > length.1 {
        let message = format!("no answer has at least {} and at most {} bytes", length.0, length.1);
        out.push(Diagnostic::error(codes::VALUE, value.span, message));
    }
    Some(UdpReply { begins, length })
}

/// Fills in where the probe goes.
pub(super) fn at(probe: &Probe, target: SocketAddr) -> Probe {
    match probe {
        Probe::Udp(udp) => Probe::Udp(Udp { target, ..udp.clone() }),
        Probe::Dns(dns) => Probe::Dns(Dns { target, ..dns.clone() }),
        Probe::Smtp { helo, .. } => Probe::Smtp { target, helo: helo.clone() },
        other => other.clone(),
    }
}

/// Whether the probe goes to a port.
pub(super) fn has_port(probe: &Probe) -> bool {
    matches!(probe, Probe::Udp(_) | Probe::Dns(_) | Probe::Smtp { .. })
}

/// `bind`, `bind_port`, `bind_interface` and `fwmark`.
pub(super) fn origin(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Box<Origin>> {
    let address = table.string("bind", out).and_then(|text| {
        let address = text.value.parse();
        if address.is_err() {
            out.push(Diagnostic::error(codes::ADDRESS, text.span, format!("`{}` is no address", shown(text.value))));
        }
        address.ok()
    });
    let port = table.integer("bind_port", 1..=65535, out).and_then(|port| u16::try_from(port.value).ok());
    let interface = table.string("bind_interface", out).filter(|name| super::not_empty("bind_interface", name, out));
    let mark = table.integer("fwmark", 1..=u32::MAX, out).and_then(|mark| NonZeroU32::new(mark.value));
    let origin = Origin { address, port, interface: interface.map(|name| name.value.to_owned()), mark };
    (!origin.is_default()).then(|| Box::new(origin))
}

/// `version`, `digest`, `unwanted`, `least_offset` and `most_offset` of an HTTP check.
pub(super) fn rules(table: &Table<'_>, http: &Http, out: &mut Vec<Diagnostic>) -> HttpRules {
    let version = table.word("version", &HttpVersion::ALL.map(|version| (version.name(), version)), out);
    let digest = table.string("digest", out).and_then(|text| {
        let digest = hex::digest(text.value);
        if digest.is_none() {
            let message = format!("`{}` is no MD5 of 32 hexadecimal digits", shown(text.value));
            out.push(Diagnostic::error(codes::VALUE, text.span, message));
        }
        digest
    });
    let offset = |key: &str, least: u32, out: &mut Vec<Diagnostic>| table.integer(key, least..=u32::MAX, out);
    let least = offset("least_offset", 0, out);
    let most = offset("most_offset", 1, out);
    let unwanted = table.boolean("unwanted", out);
    for key in ["unwanted", "least_offset", "most_offset"] {
        if let (Some(span), evenkeel_model::Body::Any) = (table.key_span(key), &http.body) {
            out.push(Diagnostic::error(codes::MISSING_KEY, span, format!("`{key}` without `expect`")));
        }
    }
    HttpRules {
        version: version.map_or(HttpVersion::default(), |version| version.value),
        digest,
        unwanted: unwanted.is_some_and(|yes| yes.value),
        least_offset: least.map_or(0, |offset| offset.value as usize),
        most_offset: most.map(|offset| offset.value as usize),
    }
}

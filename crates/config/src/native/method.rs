//! How a service spreads and forwards its connections: `schedule`, `forward`, `tunnel`, `persist`, `limit` and what becomes
//! of connections in special cases.

use super::reader::{Keys, Table, quoted, string_of};
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_model::{
    Behaviour, ExpireGone, Family, Forwarding, GueChecksum, HashFlags, Persistence, PersistenceEngine, Quorum,
    Scheduler, Thresholds, Tunnel,
};
use evenkeel_source::{Diagnostic, Spanned};
use std::time::Duration;
use toml::de::DeValue;

const TUNNEL: Keys = Keys {
    of: "a tunnel",
    known: &["kind", "port", "checksum"],
    later: &[],
    instead: &[("type", "write `kind`"), ("csum", "write `checksum`")],
};

const PERSIST: Keys = Keys {
    of: "persist",
    known: &["for", "prefix", "by"],
    later: &[],
    instead: &[("timeout", "write `for`"), ("netmask", "write prefix = 24"), ("engine", "write by = \"sip\"")],
};

const LIMIT: Keys = Keys {
    of: "limit",
    known: &["per_second", "per_second_of_a_source"],
    later: &[],
    instead: &[("rate", "write `per_second`"), ("connections", "that is for each real server to say")],
};

const SERVER_LIMIT: Keys = Keys {
    of: "the limit of a real server",
    known: &["upper", "lower"],
    later: &[],
    instead: &[("max", "write `upper`"), ("min", "write `lower`")],
};

/// The port a GUE real server listens on unless told otherwise (IANA).
const GUE_PORT: u16 = 6080;

/// Most new connections a second that can be counted.
const FASTEST: u32 = 1 << 21;

/// `schedule` and `schedule_flags`. Hashes find another real server for one that takes no connections, unless they are told
/// not to.
pub(crate) fn scheduler(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<Scheduler>> {
    let text = table.string("schedule", out);
    let flags = flags(table, out);
    let text = text?;
    let (name, port) = match text.value {
        "mh-port" => ("mh", true),
        "sh-port" => ("sh", true),
        name => (name, false),
    };
    let scheduler: Scheduler = match name.parse() {
        Ok(scheduler) => scheduler,
        Err(why) => {
            let d = Diagnostic::error(codes::VALUE, text.span, format!("schedule `{}`: {why}", shown(text.value)));
            out.push(match nearest(text.value, Scheduler::ALL.map(Scheduler::name)) {
                Some(meant) => d.suggest(format!("did you mean `{meant}`?"), text.span, quoted(meant)),
                None => d,
            });
            return None;
        }
    };
    let asked = flags.as_ref().map_or(HashFlags { port: false, fallback: true }, |flags| flags.value);
    match scheduler.with_flags(HashFlags { port: asked.port || port, ..asked }) {
        Some(scheduler) => Some(Spanned::new(scheduler, text.span)),
        None => {
            if let Some(flags) = flags {
                let message = format!("schedule `{scheduler}` has no flags");
                out.push(Diagnostic::error(codes::CONFLICTING_KEYS, flags.span, message).help("sh and mh have"));
            }
            Some(Spanned::new(scheduler, text.span))
        }
    }
}

fn flags(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<HashFlags>> {
    let words = table.strings("schedule_flags", out)?;
    let mut flags = HashFlags { port: false, fallback: true };
    for word in &words.value {
        match word.value {
            "port" => flags.port = true,
            "fallback" => flags.fallback = true,
            "no-fallback" => flags.fallback = false,
            other => {
                let message = format!("`{}` is no flag of a scheduler", shown(other));
                out.push(Diagnostic::error(codes::VALUE, word.span, message).help("port, fallback or no-fallback"));
            }
        }
    }
    Some(Spanned::new(flags, words.span))
}

/// `forward`, with `tunnel` where that is "tun".
pub(crate) fn forward(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Forwarding> {
    let tunnel = tunnel(table, out);
    let Some(text) = table.string("forward", out) else {
        return match (table.has("forward"), tunnel) {
            (false, Some(tunnel)) => Some(Forwarding::Tunnel(tunnel.value)),
            _ => None,
        };
    };
    let method = match text.value {
        "dr" => Forwarding::DirectRouting,
        "nat" => Forwarding::Nat,
        "fullnat" => Forwarding::FullNat,
        "tun" => return Some(Forwarding::Tunnel(tunnel.map_or(Tunnel::Ipip, |tunnel| tunnel.value))),
        "local" => Forwarding::Local,
        other => {
            const METHODS: [&str; 5] = ["dr", "nat", "fullnat", "tun", "local"];
            let message = format!("`{}` is no forwarding method", shown(other));
            let d = Diagnostic::error(codes::VALUE, text.span, message);
            let old = [("gate", "dr"), ("masq", "nat"), ("masquerade", "nat"), ("ipip", "tun"), ("tunnel", "tun")];
            let meant = old.iter().find(|(word, _)| *word == other).map(|(_, meant)| *meant);
            out.push(match meant.or_else(|| nearest(other, METHODS)) {
                Some(meant) => d.suggest(format!("did you mean `{meant}`?"), text.span, quoted(meant)),
                None => d.help("write one of dr, nat, fullnat, tun, local"),
            });
            return None;
        }
    };
    if let Some(tunnel) = tunnel {
        let message = format!("a tunnel with forward = \"{}\"", method.name());
        out.push(Diagnostic::error(codes::CONFLICTING_KEYS, tunnel.span, message).help("write forward = \"tun\""));
    }
    Some(method)
}

/// `"ipip"`, `"gue"`, `"gre"` or a table.
fn tunnel(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<Tunnel>> {
    let value = table.get("tunnel")?;
    let (kind, port, checksum) = match table.inner(value) {
        None => (string_of(value, out)?, None, None),
        Some(inner) => {
            inner.only(&TUNNEL, out);
            let port = inner.integer("port", 1..=65535, out);
            let checksum = inner.string("checksum", out);
            let Some(kind) = inner.string("kind", out) else {
                if !inner.has("kind") {
                    let d = Diagnostic::error(codes::MISSING_KEY, value.span, "the tunnel has no kind");
                    out.push(d.help("write kind = \"ipip\", \"gue\" or \"gre\""));
                }
                return None;
            };
            (kind, port, checksum)
        }
    };
    let unfit = |what: Spanned<&str>, words: &str, out: &mut Vec<Diagnostic>| {
        let message = format!("checksum `{}` of {}", shown(what.value), article(kind.value));
        out.push(Diagnostic::error(codes::VALUE, what.span, message).help(words.to_owned()));
    };
    let tunnel = match kind.value {
        "ipip" => {
            if let Some(checksum) = checksum {
                unfit(checksum, "an IP header has its own, leave it out", out);
            }
            Tunnel::Ipip
        }
        "gue" => {
            let checksum = match checksum.map(|text| (text, text.value)) {
                None | Some((_, "none")) => GueChecksum::None,
                Some((_, "full")) => GueChecksum::Full,
                Some((_, "remote")) => GueChecksum::Remote,
                Some((other, _)) => {
                    unfit(other, "write \"none\", \"full\" or \"remote\"", out);
                    GueChecksum::None
                }
            };
            let port = port.and_then(|port| u16::try_from(port.value).ok()).unwrap_or(GUE_PORT);
            return Some(Spanned::new(Tunnel::Gue { port, checksum }, value.span));
        }
        "gre" => {
            let checksum = match checksum.map(|text| (text, text.value)) {
                None | Some((_, "none")) => false,
                Some((_, "full")) => true,
                Some((other, _)) => {
                    unfit(other, "write \"none\" or \"full\"", out);
                    false
                }
            };
            Tunnel::Gre { checksum }
        }
        other => {
            let message = format!("`{}` is no kind of tunnel", shown(other));
            out.push(Diagnostic::error(codes::VALUE, kind.span, message).help("write \"ipip\", \"gue\" or \"gre\""));
            return None;
        }
    };
    if let Some(port) = port {
        out.push(Diagnostic::error(codes::CONFLICTING_KEYS, port.span, format!("{} has no port", article(kind.value))));
    }
    Some(Spanned::new(tunnel, value.span))
}

fn article(kind: &str) -> String {
    let article = if kind == "ipip" { "an" } else { "a" };
    format!("{article} {kind} tunnel")
}

/// `persist = "6m"` or `{ for = "6m", prefix = 24, by = "sip" }`.
pub(crate) fn persistence(table: &Table<'_>, family: Family, out: &mut Vec<Diagnostic>) -> Option<Persistence> {
    let value = table.get("persist")?;
    let (timeout, prefix, engine) = match table.inner(value) {
        None => (table.duration("persist", Duration::from_secs(1), out), None, None),
        Some(inner) => {
            inner.only(&PERSIST, out);
            let prefix = inner.integer("prefix", 1..=u32::from(family.bits()), out);
            let engines = [("address", PersistenceEngine::Address), ("sip", PersistenceEngine::Sip)];
            let engine = inner.word("by", &engines, out);
            if !inner.has("for") {
                let d = Diagnostic::error(codes::MISSING_KEY, value.span, "it is not said how long clients stay");
                out.push(d.help("write for = \"6m\""));
            }
            (inner.duration("for", Duration::from_secs(1), out), prefix, engine)
        }
    };
    let timeout = timeout?;
    let seconds = u32::try_from(timeout.value.as_secs()).ok().filter(|s| *s <= Persistence::LONGEST_TIMEOUT);
    let Some(seconds) = seconds else {
        out.push(Diagnostic::error(codes::DURATION, timeout.span, "persistence lasts for more than 31 days"));
        return None;
    };
    if timeout.value.subsec_nanos() != 0 {
        out.push(Diagnostic::error(codes::DURATION, timeout.span, "persistence is counted in whole seconds"));
    }
    Some(Persistence {
        timeout: seconds,
        prefix: prefix.and_then(|bits| u8::try_from(bits.value).ok()).unwrap_or(family.bits()),
        engine: engine.map_or(PersistenceEngine::Address, |engine| engine.value),
    })
}

/// What becomes of connections in special cases, and how fast new ones may come.
pub(crate) fn behaviour(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Behaviour {
    let standard = Behaviour::default();
    let gone = [("never", ExpireGone::Never), ("udp", ExpireGone::Udp), ("all", ExpireGone::All)];
    let expire_gone = table.word("expire_gone", &gone, out);
    let expire_template = table.boolean("expire_quiescent_template", out);
    let (reuse, sloppy) = (table.boolean("reuse", out), table.boolean("sloppy", out));
    let limit = table.get("limit").and_then(|_| table.table("limit", out));
    let mut rate = |key| limit.and_then(|limit| limit.integer(key, 1..=FASTEST, out)).map(|rate| rate.value);
    let (new_rate, source_rate) = (rate("per_second"), rate("per_second_of_a_source"));
    if let Some(limit) = limit {
        limit.only(&LIMIT, out);
    }
    Behaviour {
        expire_gone: expire_gone.map_or(standard.expire_gone, |word| word.value),
        expire_quiescent_template: expire_template.map_or(standard.expire_quiescent_template, |yes| yes.value),
        reuse: reuse.map_or(standard.reuse, |yes| yes.value),
        sloppy: sloppy.map_or(standard.sloppy, |yes| yes.value),
        new_rate,
        source_rate,
    }
}

/// `limit = 500` or `{ upper = 500, lower = 400 }` of a real server.
pub(crate) fn thresholds(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Thresholds {
    let Some(value) = table.get("limit") else { return Thresholds::default() };
    let number = |number: Option<Spanned<u32>>| number.map_or(0, |number| number.value);
    if let DeValue::Integer(_) = value.value {
        return Thresholds { upper: number(table.integer("limit", 1..=u32::MAX, out)), lower: 0 };
    }
    let Some(inner) = table.table("limit", out) else { return Thresholds::default() };
    inner.only(&SERVER_LIMIT, out);
    let upper = number(inner.integer("upper", 1..=u32::MAX, out));
    let lower = inner.integer("lower", 1..=u32::MAX, out);
    if !inner.has("upper") {
        out.push(Diagnostic::error(codes::MISSING_KEY, value.span, "a limit without `upper`"));
    }
    let thresholds = Thresholds { upper, lower: number(lower) };
    match lower {
        Some(lower) if upper != 0 && lower.value > upper => {
            let message = format!("the lower limit {} is above the upper one, {upper}", lower.value);
            out.push(Diagnostic::error(codes::VALUE, lower.span, message));
            Thresholds { upper, lower: 0 }
        }
        Some(_) | None => thresholds,
    }
}

/// `quorum = 7`, or `quorum = { weight = 7, hysteresis = 2, begins_lost = true }`.
pub(super) fn quorum(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Quorum {
    const KEYS: Keys =
        Keys { of: "a quorum", known: &["weight", "hysteresis", "begins_lost"], later: &[], instead: &[] };
    let standard = Quorum::default();
    let Some(value) = table.get("quorum") else { return standard };
    if let DeValue::Integer(_) = value.value {
        let weight = table.integer("quorum", 1..=u32::MAX, out).map_or(1, |weight| weight.value);
        return Quorum { weight, ..standard };
    }
    let Some(inner) = table.table("quorum", out) else { return standard };
    inner.only(&KEYS, out);
    let weight = inner.integer("weight", 1..=u32::MAX, out).map_or(1, |weight| weight.value);
    let hysteresis = inner.integer("hysteresis", 0..=u32::MAX, out);
    if let Some(hysteresis) = hysteresis.filter(|hysteresis| hysteresis.value >= weight) {
        let message = format!("hysteresis {} with a quorum of {weight}", hysteresis.value);
        out.push(Diagnostic::error(codes::QUORUM, hysteresis.span, message).help("it is less than the quorum"));
    }
    let begins_lost = inner.boolean("begins_lost", out).is_some_and(|yes| yes.value);
    Quorum { weight, hysteresis: hysteresis.map_or(0, |hysteresis| hysteresis.value), begins_lost }
}

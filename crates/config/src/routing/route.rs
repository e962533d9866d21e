//! A line of `ip route`, as `virtual_routes` and `static_routes` have it.

use super::{Dialect, Kind, Line, Names, Net, Refused, hop};
use crate::{
    host::shown,
    keepalived::{
        table::{ROUTE_WORDS, SECOND},
        value,
        word::Word,
    },
};
use evenkeel_model::{
    Family,
    vrrp::{Hop, Metric, MetricValue, Placement, Route, RouteKind},
};
use evenkeel_source::{Diagnostic, Spanned};

/// TCP_CA_NAME_MAX with its end.
const LONGEST_CONGESTION: usize = 15;
/// What the kernel takes for round-trip times, in milliseconds.
const SHORTEST_TIME: u64 = 200;
const LONGEST_TIME: u64 = 120_000;

/// Reads a route. `group`: where the name of a group that tracks it goes, of one that stays on the
/// node.
pub(crate) fn route(
    words: &[Word],
    group: Option<&mut Option<Spanned<String>>>,
    dialect: Dialect,
    names: &Names<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Route> {
    let mut line = Line::new(words, "route", dialect, names, out);
    read(&mut line, group).ok()
}

/// What is known of a route before its destination is.
struct Draft<'a> {
    to: Option<Net>,
    from: Option<Net>,
    /// With a destination that is put in at the end.
    route: Route,
    hop: Hop,
    hops: Vec<Hop>,
    protocol: Option<&'a Word>,
}

fn read(line: &mut Line<'_, '_>, mut group: Option<&mut Option<Spanned<String>>>) -> Result<Route, Refused> {
    let Some(first) = line.peek() else { return Err(Refused) };
    let any = Net::All.of(Family::V4).ok_or(Refused)?;
    let mut draft =
        Draft { to: None, from: None, route: Route::new(any), hop: Hop::default(), hops: Vec::new(), protocol: None };
    while let Some(word) = line.next() {
        if word.text == "nexthop" {
            line.at -= 1;
            if !draft.hops.is_empty() {
                return Err(line.refuse(word.span, "`nexthop` beside `or`".to_owned()));
            }
            draft.hops = hop::list(line)?;
            break;
        }
        match &mut group {
            Some(group) if word.text == "track_group" => {
                let name = line.value(word)?;
                **group = Some(Spanned::new(name.text.clone(), name.span));
            }
            Some(_) | None => one(line, word, &mut draft)?,
        };
    }
    let Some(to) = draft.to else {
        return Err(line.refuse_with(
            first.span,
            "a route without a destination".to_owned(),
            "write a prefix, or default",
        ));
    };
    finish(line, first, to, draft)
}

/// One word and its values.
fn one<'a>(line: &mut Line<'a, '_>, word: &'a Word, draft: &mut Draft<'a>) -> Result<(), Refused> {
    if hop::word(line, word, &mut draft.hop)? || metric(line, word, &mut draft.route)? {
        return Ok(());
    }
    let route = &mut draft.route;
    match word.text.as_str() {
        "inet" | "inet6" => line.family_word(word)?,
        "src" => route.source = Some(line.own_address(word)?),
        "from" => {
            let value = line.value(word)?;
            draft.from = Some(line.net(value)?);
            line.agree(Family::V6, value, "`from` is of IPv6 routes only")?;
        }
        "tos" | "dsfield" => route.tos = line.named_byte(word, Kind::Dsfield)?,
        "table" => route.table = line.named(word, Kind::Table)?,
        "protocol" | "proto" => {
            route.protocol = line.named_byte(word, Kind::Protocol)?;
            draft.protocol = Some(word);
        }
        "scope" => route.scope = Some(line.named_byte(word, Kind::Scope)?),
        "metric" | "priority" | "preference" => route.metric = Some(line.number(word, 0..=u32::MAX)?),
        "expires" => {
            line.agree(Family::V6, word, "`expires` is of IPv6 routes only")?;
            route.expires = Some(line.number(word, 0..=u32::MAX)?);
        }
        "pref" => {
            line.agree(Family::V6, word, "`pref` is of IPv6 routes only")?;
            route.preference = Some(preference(line, word)?);
        }
        "ttl-propagate" => route.ttl_propagate = Some(enabled(line, word)?),
        "add" => route.placement = Placement::Only,
        "prepend" => route.placement = Placement::Prepend,
        "append" => route.placement = Placement::Append,
        "no_track" => route.tracked = false,
        "or" => draft.hops = old_pair(line, word, &mut draft.hop)?,
        "vrf" => {
            let message = "the table of a VRF has to be named by its number".to_owned();
            return Err(line.refuse_with(word.span, message, "write `table` and the number of the VRF's table"));
        }
        "as" => return Err(line.refuse(word.span, "`as to` is of MPLS routes only".to_owned())),
        "to" | "type" => {
            let value = line.value(word)?;
            destination(line, value, draft)?;
        }
        _ => destination(line, word, draft)?,
    }
    Ok(())
}

/// `[TYPE] [to] PREFIX`
fn destination<'a>(line: &mut Line<'a, '_>, word: &'a Word, draft: &mut Draft<'a>) -> Result<(), Refused> {
    let kind = match word.text.as_str() {
        "brd" => Some(RouteKind::Broadcast),
        text => RouteKind::WORDS.iter().find(|(known, _)| *known == text).map(|(_, kind)| *kind),
    };
    if matches!(word.text.as_str(), "nat" | "xresolve") {
        return Err(line.refuse(word.span, format!("Linux has no {} routes any more", word.text)));
    }
    let mut at = word;
    if let Some(kind) = kind {
        draft.route.kind = kind;
        at = line.value(word)?;
        if at.text == "to" {
            at = line.value(at)?;
        }
    }
    let looks_like_an_address =
        at.text.contains(['.', ':', '/']) || matches!(at.text.as_str(), "default" | "any" | "all" | "default6");
    if !looks_like_an_address {
        return Err(line.unknown(at, ROUTE_WORDS));
    }
    draft.to = Some(line.net(at)?);
    Ok(())
}

/// `via A or B`: two next hops.
fn old_pair(line: &mut Line<'_, '_>, word: &Word, first: &mut Hop) -> Result<Vec<Hop>, Refused> {
    line.remark(
        word.span,
        "`or` is an old word of routes".to_owned(),
        "write `nexthop via ADDRESS nexthop via ADDRESS`",
    );
    let second = Hop { via: Some(line.own_address(word)?), ..Hop::default() };
    Ok(vec![Hop { via: first.via.take(), ..Hop::default() }, second])
}

fn preference(line: &mut Line<'_, '_>, word: &Word) -> Result<u8, Refused> {
    match line.peek().map(|value| value.text.as_str()) {
        Some("low") => line.at += 1,
        Some("medium") => {
            line.at += 1;
            return Ok(0);
        }
        Some("high") => {
            line.at += 1;
            return Ok(1);
        }
        Some(_) | None => return line.byte(word),
    }
    // RFC 4191 2.1: two bits, signed.
    Ok(3)
}

fn enabled(line: &mut Line<'_, '_>, word: &Word) -> Result<bool, Refused> {
    let value = line.value(word)?;
    match value.text.as_str() {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(line.refuse(value.span, format!("{} is `enabled` or `disabled`", word.text))),
    }
}

/// Reads a number that TCP takes from routes; says whether the word is one.
fn metric(line: &mut Line<'_, '_>, word: &Word, route: &mut Route) -> Result<bool, Refused> {
    if word.text == "congctl" {
        let locked = line.next_if("lock").is_some();
        let value = line.value(word)?;
        if value.text.len() > LONGEST_CONGESTION {
            let message = format!("`{}` is longer than any name of congestion control", shown(&value.text));
            return Err(line.refuse(value.span, message));
        }
        route.congestion = Some((value.text.clone(), locked));
        return Ok(true);
    }
    let Some((_, metric)) = Metric::WORDS.iter().find(|(known, _)| *known == word.text) else { return Ok(false) };
    let locked = line.next_if("lock").is_some();
    let value = match metric {
        Metric::Features => features(line, word)?,
        Metric::Hoplimit => line.number(word, 0..=255)?,
        Metric::Quickack | Metric::FastopenNoCookie => line.number(word, 0..=1)?,
        Metric::Rtt => time(line, word, 8)?,
        Metric::Rttvar => time(line, word, 4)?,
        Metric::RtoMin => time(line, word, 1)?,
        Metric::Mtu | Metric::Window | Metric::Ssthresh | Metric::Cwnd | Metric::Advmss | Metric::Reordering => {
            line.number(word, 0..=u32::MAX)?
        }
        Metric::Initcwnd | Metric::Initrwnd => line.number(word, 0..=u32::MAX)?,
    };
    route.metrics.retain(|known| known.metric != *metric);
    route.metrics.push(MetricValue { metric: *metric, value, locked });
    route.metrics.sort_by_key(|known| known.metric);
    Ok(true)
}

fn features(line: &mut Line<'_, '_>, word: &Word) -> Result<u32, Refused> {
    let value = line.value(word)?;
    match value.text.as_str() {
        "ecn" => Ok(1),
        _ => Err(line.refuse(value.span, format!("the only feature is `ecn`, not `{}`", shown(&value.text)))),
    }
}

/// Seconds (`s`, `sec`, `secs`) or milliseconds (`ms`...); a bare number counts in the kernel's unit, of which `unit`
/// make a millisecond.
fn time(line: &mut Line<'_, '_>, word: &Word, unit: u64) -> Result<u32, Refused> {
    let value = line.value(word)?;
    let text = value.text.to_ascii_lowercase();
    let (digits, has_unit) =
        ["secs", "sec", "s"].iter().find_map(|end| text.strip_suffix(end)).map_or((text.as_str(), None), |rest| {
            match rest.strip_suffix('m') {
                Some(rest) => (rest, Some(1)),
                None => (rest, Some(1000)),
            }
        });
    let Some(micros) = value::micros(digits).and_then(|micros| u64::try_from(micros).ok()) else {
        return Err(line.refuse(value.span, format!("`{}` is no time", shown(&value.text))));
    };
    let second = SECOND.unsigned_abs();
    let units = match has_unit {
        None => micros / second,
        Some(scale) => micros.saturating_mul(scale).saturating_mul(unit) / second,
    };
    let fitting = units.clamp(SHORTEST_TIME * unit, LONGEST_TIME * unit);
    if fitting != units {
        let message = format!("{} `{}` is not from 200 ms to 120 s", word.text, shown(&value.text));
        line.remark(value.span, message, "keepalived takes the nearest, and so does evenkeel");
    }
    u32::try_from(fitting).map_err(|_| Refused)
}

fn finish(line: &mut Line<'_, '_>, first: &Word, to: Net, draft: Draft<'_>) -> Result<Route, Refused> {
    let Draft { from, mut route, hop, hops, protocol, .. } = draft;
    let family = line.family.unwrap_or(Family::V4);
    route.to = to.of(family).ok_or(Refused)?;
    route.from = from.map(|from| from.of(family).ok_or(Refused)).transpose()?;
    if let Some(word) = protocol {
        route.protocol = line.protocol(word, route.tracked, route.protocol);
    }
    route.hops = match (hop == Hop::default(), hops.is_empty()) {
        (_, true) if hop == Hop::default() => Vec::new(),
        (_, true) => vec![hop],
        (true, false) => hops,
        (false, false) => {
            let message = "`via` and `dev` before `nexthop` have no effect".to_owned();
            line.remark(
                first.span,
                message,
                "keepalived passes them on, and Linux refuses what contradicts the next hops",
            );
            hops
        }
    };
    let ends =
        matches!(route.kind, RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw);
    if ends && family == Family::V4 && !route.hops.is_empty() {
        let message = "a route that ends here has no next hop".to_owned();
        return Err(line.refuse_with(first.span, message, "leave out via, dev and nexthop"));
    }
    if route.kind == RouteKind::Unicast && route.hops.is_empty() {
        let message = "a route without a next hop: Linux refuses it".to_owned();
        return Err(line.refuse_with(first.span, message, "write via ADDRESS or dev INTERFACE"));
    }
    Ok(route)
}

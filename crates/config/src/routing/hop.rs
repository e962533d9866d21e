//! Next hops, and what is put around the packets of a way.

use super::{Dialect, Line, Refused, names};
use crate::{
    host::shown,
    keepalived::{value, word::Word},
};
use evenkeel_model::{
    Family,
    vrrp::{Encap, Hop, TunnelKey},
};
use std::net::IpAddr;

/// Labels one packet can get.
const MOST_LABELS: usize = 30;
/// RFC 3032 2.1: 20 bits.
const LARGEST_LABEL: u32 = 0xf_ffff;

/// Reads one word of a next hop; says whether it was one.
pub(super) fn word(line: &mut Line<'_, '_>, word: &Word, hop: &mut Hop) -> Result<bool, Refused> {
    match word.text.as_str() {
        "via" | "gw" => hop.via = Some(via(line, word)?),
        "dev" | "oif" => hop.interface = Some(line.interface(word)?),
        "onlink" => hop.onlink = true,
        "encap" => hop.encap = Some(encap(line, word)?),
        "realms" => hop.realms = Some(line.realms(word)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `[inet|inet6] ADDRESS`; with the word before it the router may be of the other family.
fn via(line: &mut Line<'_, '_>, word: &Word) -> Result<IpAddr, Refused> {
    if word.text == "gw" {
        line.remark(word.span, "`gw` is an old word of routes".to_owned(), "keepalived takes it as `via`");
    }
    let said = line.next_if("inet").or_else(|| line.next_if("inet6"));
    let value = line.value(word)?;
    let address = line.address(value)?;
    let family = Family::of(address);
    match said {
        Some(said) if (said.text == "inet6") != address.is_ipv6() => {
            Err(line.refuse(value.span, format!("`{}` is not of the family that stands before it", shown(&value.text))))
        }
        Some(_) if line.family.is_some_and(|own| own != family) => {
            if line.dialect == Dialect::Native {
                return Ok(address);
            }
            let note = "keepalived leaves out a route whose router is of another family; Linux has them";
            line.remark(value.span, format!("the router {address} is of another family"), note);
            Ok(address)
        }
        Some(_) | None => line.agree(family, value, "").map(|()| address),
    }
}

/// `nexthop ... nexthop ...` up to the end of the line.
pub(super) fn list(line: &mut Line<'_, '_>) -> Result<Vec<Hop>, Refused> {
    let mut hops = Vec::new();
    while let Some(start) = line.next_if("nexthop") {
        let mut hop = Hop::default();
        while let Some(next) = line.peek().filter(|word| word.text != "nexthop") {
            line.next();
            if next.text == "weight" {
                let weight = line.number(next, 1..=256)?;
                hop.weight = u16::try_from(weight).ok();
            } else if !word(line, next, &mut hop)? {
                return Err(line.unknown(next, &["via", "dev", "weight", "onlink", "encap", "realms", "nexthop"]));
            }
        }
        if hop.via.is_none() && hop.interface.is_none() {
            return Err(line.refuse(start.span, "a next hop with neither via nor dev".to_owned()));
        }
        hops.push(hop);
    }
    if let [only] = &mut hops[..] {
        // It has nobody to share with.
        only.weight = None;
    }
    Ok(hops)
}

fn encap(line: &mut Line<'_, '_>, word: &Word) -> Result<Encap, Refused> {
    let kind = line.value(word)?;
    match kind.text.as_str() {
        "ip" => tunnel(line, Family::V4).map(Encap::Ip),
        "ip6" => tunnel(line, Family::V6).map(Encap::Ip6),
        "mpls" => labels(line, kind).map(Encap::Mpls),
        "ila" => locator(line, kind).map(Encap::Ila),
        _ => {
            let message = format!("`{}` is no kind of encap", shown(&kind.text));
            Err(line.refuse_with(kind.span, message, "ip, ip6, mpls or ila"))
        }
    }
}

fn tunnel(line: &mut Line<'_, '_>, family: Family) -> Result<TunnelKey, Refused> {
    let mut key = TunnelKey::default();
    let end = |line: &mut Line<'_, '_>, word: &Word| {
        let value = line.value(word)?;
        let address = line.address(value)?;
        if Family::of(address) == family {
            return Ok(Some(address));
        }
        Err(line.refuse(value.span, format!("{address} is not of the family of the tunnel")))
    };
    while let Some(word) = line.peek() {
        line.next();
        match word.text.as_str() {
            "id" => {
                let value = line.value(word)?;
                let Ok(id) = value.text.parse::<u64>() else {
                    return Err(line.refuse(value.span, format!("id `{}` is no number", shown(&value.text))));
                };
                key.id = Some(id);
            }
            "dst" => key.to = end(line, word)?,
            // Behind encap it is the tunnel's.
            "src" => key.from = end(line, word)?,
            "tos" | "dsfield" | "tc" => key.tos = Some(line.named_byte(word, names::Kind::Dsfield)?),
            "ttl" | "hoplimit" => key.hops = Some(line.byte(word)?),
            "flags" => key.flags = u16::try_from(line.any_number(word, 0..=0xffff)?).ok(),
            _ => {
                line.at -= 1;
                break;
            }
        }
    }
    Ok(key)
}

/// `100/200`, the outermost first.
fn labels(line: &mut Line<'_, '_>, word: &Word) -> Result<Vec<u32>, Refused> {
    let value = line.value(word)?;
    let label = |text: &str| value::number(text).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= LARGEST_LABEL);
    let labels: Option<Vec<u32>> = value.text.split('/').map(label).collect();
    labels.filter(|labels| labels.len() <= MOST_LABELS).ok_or_else(|| {
        let message = format!("`{}` is no list of labels", shown(&value.text));
        line.refuse_with(value.span, message, "up to 30 numbers below 1048576, as 100/200")
    })
}

/// Four groups of hexadecimal digits.
fn locator(line: &mut Line<'_, '_>, word: &Word) -> Result<u64, Refused> {
    let value = line.value(word)?;
    let group = |text: &str| u16::from_str_radix(text, 16).ok().filter(|_| text.len() <= 4 && !text.starts_with('+'));
    let groups: Option<Vec<u16>> = value.text.split(':').map(group).collect();
    match groups.as_deref() {
        Some([a, b, c, d]) => Ok([a, b, c, d].iter().fold(0, |all, part| all << 16 | u64::from(**part))),
        _ => {
            let message = format!("`{}` is no locator", shown(&value.text));
            Err(line.refuse_with(value.span, message, "write four groups, as 2001:db8:0:1"))
        }
    }
}

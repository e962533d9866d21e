//! Lines of `virtual_ipaddress` and its relatives: `ADDRESS[/MASK] [dev NAME] [label NAME] ...`.

use super::super::{table::ADDRESS_WORDS, value, word::Word};
use crate::{
    codes,
    host::shown,
    nearest::nearest,
    routing::{Kind, Names},
};
use evenkeel_source::{Diagnostic, Spanned};
use std::net::{IpAddr, Ipv4Addr};

/// The longest label of an address.
const LONGEST_LABEL: usize = 15;

/// An address of an instance or of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpAddress {
    /// The address.
    pub address: Spanned<IpAddr>,
    /// Bits of its mask; all where none is written.
    pub prefix: u8,
    /// Whether a mask is written.
    pub has_prefix: bool,
    /// `dev`; the instance's interface.
    pub interface: Option<Spanned<String>>,
    /// `scope`, by the kernel's number.
    pub scope: Option<Spanned<u8>>,
    /// `label`
    pub label: Option<Spanned<String>>,
    /// `brd`: `-` and `+` are worked out.
    pub broadcast: Option<Ipv4Addr>,
    /// `peer`; the mask is then all of it.
    pub peer: Option<Spanned<IpAddr>>,
    /// `preferred_lft`, in seconds; `None`: for ever. An IPv6 address with all bits in its mask has 0 where nothing is
    /// written.
    pub preferred: Option<u32>,
    /// `track_group`
    pub track_group: Option<Spanned<String>>,
    /// Words without a value: `no_track`, `home` and so on.
    pub switches: Vec<&'static str>,
}

/// Reads the lines of a list; what keepalived leaves out is told and left out.
pub(super) fn addresses(lines: &[Vec<Word>], names: &Names<'_>, out: &mut Vec<Diagnostic>) -> Vec<VrrpAddress> {
    lines.iter().filter_map(|line| read(line, names, out)).collect()
}

fn read(line: &[Word], names: &Names<'_>, out: &mut Vec<Diagnostic>) -> Option<VrrpAddress> {
    let (first, rest) = line.split_first()?;
    let (text, mask) = first.text.split_once('/').map_or((first.text.as_str(), None), |(a, m)| (a, Some(m)));
    let Some(address) = value::address(text) else {
        let message = format!("`{}` is no address", shown(&first.text));
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, first.span, message);
        out.push(d.note("keepalived leaves it out"));
        return None;
    };
    let width: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match mask.map(|mask| value::number(mask).and_then(|n| u8::try_from(n).ok())) {
        None => width,
        Some(Some(bits)) if bits <= width => bits,
        Some(_) => {
            let message = format!("the mask of `{}` is not from 0 to {width}", shown(&first.text));
            let d = Diagnostic::warning(codes::VRRP_ADDRESS, first.span, message);
            out.push(d.note(format!("keepalived takes /{width}")));
            width
        }
    };
    let mut found = VrrpAddress {
        address: Spanned::new(address, first.span),
        prefix,
        has_prefix: mask.is_some(),
        interface: None,
        scope: None,
        label: None,
        broadcast: None,
        peer: None,
        preferred: None,
        track_group: None,
        switches: Vec::new(),
    };
    report_network(&found, out);
    let mut broadcast = None;
    let mut preferred = None;
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let Some((name, has_value)) = known(word, out) else { continue };
        if !has_value {
            found.switches.push(name);
            continue;
        }
        let Some(value) = words.next() else {
            let message = format!("`{name}` has no value");
            out.push(Diagnostic::warning(codes::NO_VALUE, word.span, message));
            break;
        };
        let text = Some(Spanned::new(value.text.clone(), value.span));
        match name {
            "dev" => found.interface = text.filter(|_| is_interface(value, out)),
            "scope" => found.scope = scope(&found, value, names, out),
            "label" => {
                if value.text.len() > LONGEST_LABEL {
                    let message = format!("label `{}` is longer than {LONGEST_LABEL} bytes", shown(&value.text));
                    let d = Diagnostic::warning(codes::VRRP_ADDRESS, value.span, message);
                    out.push(d.note("keepalived leaves out the whole address"));
                    return None;
                }
                found.label = text;
            }
            "brd" | "broadcast" => broadcast = Some(value),
            "peer" => peer(&mut found, value, out),
            "preferred_lft" => preferred = lifetime(value, out),
            _ => found.track_group = text,
        }
    }
    if let Some(word) = broadcast {
        set_broadcast(&mut found, word, out)?;
    }
    found.preferred = match preferred {
        Some(preferred) => preferred,
        None => (found.address.value.is_ipv6() && found.prefix == width).then_some(0),
    };
    if found.address.value.is_ipv6()
        && let Some(label) = found.label.take()
    {
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, label.span, "an IPv6 address has no label");
        out.push(d.note("keepalived ignores it"));
    }
    Some(found)
}

/// The far end: it brings the whole mask along.
fn peer(found: &mut VrrpAddress, word: &Word, out: &mut Vec<Diagnostic>) {
    let own = found.address.value;
    let Some(peer) = value::address(&word.text).filter(|peer| peer.is_ipv6() == own.is_ipv6()) else {
        let message = format!("`{}` is no address of the family of {own}", shown(&word.text));
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message).note("keepalived ignores it"));
        return;
    };
    let width = if own.is_ipv4() { 32 } else { 128 };
    if found.prefix != width {
        let message = format!("the mask of {own} has no effect beside a peer");
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message).note("keepalived ignores it"));
    }
    found.prefix = width;
    found.peer = Some(Spanned::new(peer, word.span));
}

/// Seconds or `forever`.
fn lifetime(word: &Word, out: &mut Vec<Diagnostic>) -> Option<Option<u32>> {
    if word.text == "forever" {
        return Some(None);
    }
    let seconds = value::number(&word.text).and_then(|seconds| u32::try_from(seconds).ok());
    if seconds.is_none() {
        let message = format!("preferred_lft `{}` is no number of seconds and not `forever`", shown(&word.text));
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message).note("keepalived ignores it"));
    }
    seconds.map(Some)
}

/// `None` where keepalived leaves out the address.
fn set_broadcast(found: &mut VrrpAddress, word: &Word, out: &mut Vec<Diagnostic>) -> Option<()> {
    let tell = |message: String, note: &str, out: &mut Vec<Diagnostic>| {
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message).note(note.to_owned()));
    };
    let IpAddr::V4(own) = found.address.value else {
        tell("IPv6 has no broadcast addresses".to_owned(), "keepalived leaves out the whole address", out);
        return None;
    };
    if found.peer.is_some() {
        tell("an address with a peer has no broadcast address".to_owned(), "keepalived ignores it", out);
        return Some(());
    }
    let host = u32::MAX.checked_shr(found.prefix.into()).unwrap_or(0);
    found.broadcast = match word.text.as_str() {
        "+" | "-" if found.prefix > 30 => {
            let message = format!("a network of {} bits has no broadcast address", found.prefix);
            tell(message, "keepalived ignores it", out);
            None
        }
        "+" => Some(Ipv4Addr::from(u32::from(own) | host)),
        "-" => Some(Ipv4Addr::from(u32::from(own) & !host)),
        text => match value::address(text) {
            Some(IpAddr::V4(address)) => Some(address),
            Some(IpAddr::V6(_)) | None => {
                let message = format!("`{}` is no broadcast address", shown(text));
                tell(message, "keepalived leaves out the whole address", out);
                return None;
            }
        },
    };
    Some(())
}

/// The word of an address that is meant; others are told and skipped.
fn known(word: &Word, out: &mut Vec<Diagnostic>) -> Option<(&'static str, bool)> {
    if let Some(known) = ADDRESS_WORDS.iter().find(|(name, _)| *name == word.text) {
        return Some(*known);
    }
    let near = nearest(&word.text, ADDRESS_WORDS.iter().map(|(name, _)| *name));
    let message = format!("`{}` is no word of an address", shown(&word.text));
    let d = Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message).note("keepalived does not look at it");
    out.push(match near {
        Some(near) => d.help(format!("is `{near}` meant?")),
        None => d,
    });
    None
}

fn is_interface(word: &Word, out: &mut Vec<Diagnostic>) -> bool {
    let fits = value::is_interface(&word.text);
    if !fits {
        let message = format!("`{}` is no name of an interface", shown(&word.text));
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message));
    }
    fits
}

fn scope(found: &VrrpAddress, word: &Word, names: &Names<'_>, out: &mut Vec<Diagnostic>) -> Option<Spanned<u8>> {
    let number = names.find(Kind::Scope, &word.text).and_then(|scope| u8::try_from(scope).ok());
    if number.is_none() {
        let message = format!("`{}` is no scope", shown(&word.text));
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message);
        out.push(d.help("one of global, site, link, host, nowhere"));
    } else if found.address.value.is_ipv6() {
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, word.span, "an IPv6 address has the scope it begins with");
        out.push(d.note("keepalived ignores the word"));
        return None;
    }
    number.map(|number| Spanned::new(number, word.span))
}

/// The first address of a subnet is nobody's.
fn report_network(address: &VrrpAddress, out: &mut Vec<Diagnostic>) {
    let IpAddr::V4(v4) = address.address.value else { return };
    if !address.has_prefix || address.prefix > 30 || address.prefix == 0 {
        return;
    }
    let host = u32::MAX >> address.prefix;
    let bits = u32::from(v4) & host;
    if bits == 0 || bits == host {
        let what = if bits == 0 { "the network itself" } else { "the broadcast address" };
        let message = format!("{v4}/{} is {what}, and no address of a host", address.prefix);
        out.push(Diagnostic::warning(codes::VRRP_ADDRESS, address.address.span, message));
    }
}

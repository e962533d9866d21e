//! Lines of `virtual_ipaddress` and its relatives: `ADDRESS[/MASK] [dev NAME] [label NAME] ...`.

use super::super::{table::ADDRESS_WORDS, value, word::Word};
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_source::{Diagnostic, Spanned};
use std::net::IpAddr;

/// Scopes of addresses, as `ip address` has them.
const SCOPES: [&str; 5] = ["site", "link", "host", "nowhere", "global"];

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
    /// `scope`
    pub scope: Option<Spanned<String>>,
    /// `label`
    pub label: Option<Spanned<String>>,
    /// `brd`: an address, `-` or `+`.
    pub broadcast: Option<Spanned<String>>,
    /// `peer`
    pub peer: Option<Spanned<String>>,
    /// `preferred_lft`
    pub preferred: Option<Spanned<String>>,
    /// `track_group`
    pub track_group: Option<Spanned<String>>,
    /// Words without a value: `no_track`, `home` and so on.
    pub switches: Vec<&'static str>,
}

/// Reads the lines of a list; what keepalived leaves out is told and left out.
pub(super) fn addresses(lines: &[Vec<Word>], out: &mut Vec<Diagnostic>) -> Vec<VrrpAddress> {
    lines.iter().filter_map(|line| read(line, out)).collect()
}

fn read(line: &[Word], out: &mut Vec<Diagnostic>) -> Option<VrrpAddress> {
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
            "scope" => found.scope = text.filter(|_| is_scope(value, out)),
            "label" => {
                if value.text.len() > LONGEST_LABEL {
                    let message = format!("label `{}` is longer than {LONGEST_LABEL} bytes", shown(&value.text));
                    let d = Diagnostic::warning(codes::VRRP_ADDRESS, value.span, message);
                    out.push(d.note("keepalived leaves out the whole address"));
                    return None;
                }
                found.label = text;
            }
            "brd" | "broadcast" => found.broadcast = text,
            "peer" => found.peer = text,
            "preferred_lft" => found.preferred = text,
            _ => found.track_group = text,
        }
    }
    Some(found)
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

fn is_scope(word: &Word, out: &mut Vec<Diagnostic>) -> bool {
    let fits = SCOPES.contains(&word.text.as_str()) || value::number(&word.text).is_some_and(|n| (0..256).contains(&n));
    if !fits {
        let message = format!("`{}` is no scope", shown(&word.text));
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, word.span, message);
        out.push(d.help(format!("one of {}", SCOPES.join(", "))));
    }
    fits
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

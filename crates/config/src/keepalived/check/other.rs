//! UDP_CHECK, DNS_CHECK, SMTP_CHECK, FILE_CHECK and BFD_CHECK.

use super::{Levels, has_port, origin, target};
use crate::{
    address::is_dns_name,
    codes, hex,
    host::shown,
    keepalived::{
        tree::Node,
        value::{Block, number},
        word::Word,
    },
    native::probes::is_sendable,
};
use evenkeel_model::{Check, Dns, NumberFile, Probe, Record, Rhythm, Udp, UdpReply};
use evenkeel_source::{Diagnostic, Span};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The name in HELO where nothing is said, as keepalived has it.
const HELO: &str = "smtpchecker.keepalived.org";

/// How often a file is read; keepalived is told of changes by the kernel.
const FILES: Duration = Duration::from_millis(500);

pub(super) fn udp(node: &Node, target: SocketAddr, out: &mut Vec<Diagnostic>) -> Option<Probe> {
    let block = Block(&node.block);
    let digits = |node: &Node| node.args.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let not_hex = |node: &Node, what: &str, out: &mut Vec<Diagnostic>| {
        let message = format!("`{}` are no hexadecimal digits", shown(&digits(node)));
        let d = Diagnostic::error(codes::VALUE, node.span, message);
        out.push(d.note(format!("keepalived leaves out the {what}")).help("write bytes like `0a 1b ff`"));
    };
    let payload = match block.node("payload") {
        None => None,
        Some(node) => {
            let bytes = hex::bytes(&digits(node));
            if bytes.is_none() {
                not_hex(node, "payload", out);
                return None;
            }
            bytes
        }
    };
    let (least, most) = (block.number("min_reply_length"), block.number("max_reply_length"));
    let length = (least.map_or(0, |n| n.value), most.map_or(UdpReply::USUAL_MOST, |n| n.value));
    let reply = match block.node("require_reply") {
        None => None,
        Some(node) if node.args.is_empty() => Some(UdpReply { begins: Vec::new(), length }),
        Some(node) => match hex::masked(&digits(node)) {
            Some(begins) => Some(UdpReply { begins, length }),
            None => {
                not_hex(node, "bytes to compare with", out);
                return None;
            }
        },
    };
    let compares = reply.as_ref().is_some_and(|reply| !reply.begins.is_empty());
    for written in [least, most].into_iter().flatten().take(usize::from(!compares)) {
        let message = "lengths of answers count only together with bytes behind require_reply";
        out.push(Diagnostic::warning(codes::NO_EFFECT, written.span, message));
    }
    if length.0 > length.1 {
        let span = least.or(most).map_or(node.span, |written| written.span);
        let message = format!("no answer has at least {} and at most {} bytes", length.0, length.1);
        out.push(Diagnostic::error(codes::VALUE, span, message).note("keepalived finds every answer wrong"));
        return None;
    }
    Some(Probe::Udp(Udp { target, payload, reply }))
}

pub(super) fn dns(node: &Node, target: SocketAddr, out: &mut Vec<Diagnostic>) -> Option<Probe> {
    let block = Block(&node.block);
    let record = block.word("type").and_then(|word| Record::named(&word.text)).unwrap_or_default();
    let name = block.text("name");
    if let Some(name) = name.as_ref().filter(|name| !is_dns_name(&name.value)) {
        let message = format!("`{}` is no name that can be asked for", shown(&name.value));
        out.push(Diagnostic::error(codes::VALUE, name.span, message).help("the root is `.`"));
        return None;
    }
    Some(Probe::Dns(Dns { target, name: name.map_or_else(|| ".".to_owned(), |name| name.value), record }))
}

/// One check for each host; the block itself is one where it says anything of a connection, or has no hosts.
pub(super) fn smtp(
    levels: &Levels<'_>,
    node: &Node,
    address: SocketAddr,
    at: Span,
    rhythm: Rhythm,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<Check>> {
    const CONNECTION: [&str; 7] =
        ["connect_ip", "connect_port", "bindto", "bind_port", "bind_if", "fwmark", "connect_timeout"];
    let block = Block(&node.block);
    let helo = block.text("helo_name");
    if let Some(helo) = helo.as_ref().filter(|helo| !is_sendable(&helo.value)) {
        out.push(Diagnostic::error(codes::VALUE, helo.span, format!("`{}` cannot stand in HELO", shown(&helo.value))));
        return None;
    }
    let helo = helo.map_or_else(|| HELO.to_owned(), |helo| helo.value);
    let hosts: Vec<&Node> = block.nodes("host").collect();
    let itself = hosts.is_empty() || CONNECTION.iter().any(|word| block.is_there(word));
    let mut checks = Vec::new();
    for place in itself.then_some(node).into_iter().chain(hosts) {
        let place_block = Block(&place.block);
        let target = target(place_block, address);
        has_port(target, place.span, at, out)?;
        let levels_of = [Some(place_block), Some(levels.real), Some(levels.virtual_server)];
        let timeout = levels_of.iter().flatten().find_map(|block| block.time("connect_timeout"));
        let timeout = timeout.map_or(Duration::from_secs(5), |time| time.value);
        let probe = Probe::Smtp { target, helo: helo.clone() };
        let origin = origin(place_block, target.ip(), true, out)?;
        checks.push(Check { origin, ..Check::new(probe, Rhythm { timeout, ..rhythm }) });
    }
    Some(checks)
}

/// The rhythm of a check that has none of its own.
fn without(every: Duration) -> Rhythm {
    Rhythm { every, timeout: Duration::from_secs(1), retry_after: None, rise: 1, fall: 1, jitter_percent: 0 }
}

pub(super) fn file(levels: &Levels<'_>, node: &Node, out: &mut Vec<Diagnostic>) -> Option<Check> {
    let block = Block(&node.block);
    let Some(name) = block.text("track_file") else {
        let d = Diagnostic::error(codes::MISSING_KEY, node.span, "FILE_CHECK without track_file");
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    };
    let named = |found: &&Node| found.args.first().is_some_and(|word| word.text == name.value);
    let files = Block(levels.top).nodes("track_file").chain(Block(levels.top).nodes("vrrp_track_file"));
    let Some(found) = files.into_iter().find(named) else {
        let message = format!("there is no track_file `{}`", shown(&name.value));
        let d = Diagnostic::error(codes::VALUE, name.span, message);
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    };
    let definition = Block(&found.block);
    let Some(path) = definition.text("file") else {
        let message = format!("the track_file `{}` names no file", shown(&name.value));
        out.push(Diagnostic::error(codes::MISSING_KEY, name.span, message).label(found.span, "this one"));
        return None;
    };
    let weight = block.node("weight").or(definition.node("weight"));
    let (size, reverse) = weight.map_or((1, false), |node| weight_of(&node.args));
    let factor = if reverse { -size } else { size };
    let probe = Probe::File(NumberFile { path: PathBuf::from(path.value), factor, reverse: reverse && size == 0 });
    Some(Check::new(probe, without(FILES)))
}

fn weight_of(words: &[Word]) -> (i64, bool) {
    let size = words.first().and_then(|word| number(&word.text)).unwrap_or(1);
    (size, words.get(1).is_some_and(|word| word.text == "reverse"))
}

pub(super) fn bfd(levels: &Levels<'_>, node: &Node, out: &mut Vec<Diagnostic>) -> Option<Check> {
    let Some(name) = Block(&node.block).text("name") else {
        let d = Diagnostic::error(codes::MISSING_KEY, node.span, "BFD_CHECK without a name");
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    };
    let named = |found: &Node| found.args.first().is_some_and(|word| word.text == name.value);
    if !Block(levels.top).nodes("bfd_instance").any(named) {
        let message = format!("there is no bfd_instance `{}`", shown(&name.value));
        let d = Diagnostic::error(codes::VALUE, name.span, message);
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    }
    Some(Check::new(Probe::Bfd { name: name.value }, without(Duration::from_secs(60))))
}

//! `lvs_sched` with its flags and `lvs_method` with its tunnels.

use super::{
    value::{Block, meant, number},
    word::Word,
};
use crate::{codes, host::shown};
use evenkeel_model::{Forwarding, GueChecksum, HashFlags, Scheduler, Tunnel};
use evenkeel_source::{Diagnostic, Span, Spanned};

/// The scheduler of a virtual server, and where it is written.
pub(crate) fn scheduler(block: Block<'_>, out: &mut Vec<Diagnostic>) -> (Scheduler, Option<Span>) {
    const DEFAULT: Scheduler = Scheduler::WeightedLeastConnections;
    let word = last(block, ["lvs_sched", "lb_algo"]);
    let written = word.and_then(|word| word.args.first());
    let scheduler = written.map_or(DEFAULT, |word| {
        if let Ok(scheduler) = word.text.parse() {
            return scheduler;
        }
        let names = Scheduler::ALL.map(Scheduler::name);
        if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case(&word.text)) {
            let message = format!("`{}` is read as `{name}`", shown(&word.text));
            let d = Diagnostic::warning(codes::CASE, word.span, message).note("keepalived ignores it and takes wlc");
            out.push(word.replace(d, name));
            return name.parse().unwrap_or(DEFAULT);
        }
        let message = format!("`{}` is no scheduler", shown(&word.text));
        let d = Diagnostic::error(codes::VALUE, word.span, message).note("keepalived ignores it and takes wlc");
        out.push(d.help(format!("one of {}", names.join(", "))));
        DEFAULT
    });
    (flags(scheduler, block, out), written.map(|word| word.span))
}

fn flags(scheduler: Scheduler, block: Block<'_>, out: &mut Vec<Diagnostic>) -> Scheduler {
    let Some(mut flags) = scheduler.flags() else {
        for name in ["sh-port", "sh-fallback", "mh-port", "mh-fallback", "flag-1", "flag-2", "flag-3"] {
            report_flag(block, name, scheduler, out);
        }
        return scheduler;
    };
    let own = scheduler.name();
    let other = if own == "sh" { "mh" } else { "sh" };
    for (name, port) in [("flag-1", false), ("flag-2", true)] {
        if block.is_there(name) {
            flags = if port { HashFlags { port: true, ..flags } } else { HashFlags { fallback: true, ..flags } };
        }
    }
    flags.port |= block.is_there(&format!("{own}-port"));
    flags.fallback |= block.is_there(&format!("{own}-fallback"));
    for name in [format!("{other}-port"), format!("{other}-fallback"), "flag-3".to_owned()] {
        report_flag(block, &name, scheduler, out);
    }
    scheduler.with_flags(flags).unwrap_or(scheduler)
}

fn report_flag(block: Block<'_>, name: &str, scheduler: Scheduler, out: &mut Vec<Diagnostic>) {
    if let Some(node) = block.node(name) {
        let message = format!("{name} means nothing to scheduler `{scheduler}`");
        out.push(Diagnostic::warning(codes::SCHED_FLAGS, node.span, message));
    }
}

/// The last line of a word with an old name.
pub(crate) fn last<'a>(block: Block<'a>, names: [&str; 2]) -> Option<&'a super::tree::Node> {
    block.0.iter().rev().find(|node| names.contains(&node.keyword.name))
}

/// What `lvs_method` or one of its relatives says; `None`: nothing, or nothing that can be.
pub(crate) fn forwarding(node: Option<&super::tree::Node>, out: &mut Vec<Diagnostic>) -> Option<Spanned<Forwarding>> {
    let node = node?;
    let (first, rest) = node.args.split_first()?;
    let method = match first.text.as_str() {
        known @ ("NAT" | "DR" | "TUN") => known,
        other => {
            let Some(known) = meant(other, &["NAT", "DR", "TUN"]) else {
                let message = format!("`{}` is no forwarding method", shown(other));
                let d = Diagnostic::error(codes::VALUE, first.span, message).help("NAT, DR or TUN");
                out.push(d.note("keepalived ignores the line and takes NAT"));
                return None;
            };
            let message = format!("`{}` is read as `{known}`", shown(other));
            let d = Diagnostic::warning(codes::CASE, first.span, message);
            out.push(first.replace(d.note("keepalived does not know the word and takes NAT"), known));
            known
        }
    };
    let forwarding = match method {
        "TUN" => Forwarding::Tunnel(tunnel(first.span, rest, out)?),
        known => {
            if let Some(word) = rest.first() {
                let message = format!("`{}` behind a method that is no tunnel", shown(&word.text));
                out.push(Diagnostic::warning(codes::EXTRA_WORDS, word.span, message));
            }
            if known == "DR" { Forwarding::DirectRouting } else { Forwarding::Nat }
        }
    };
    Some(Spanned::new(forwarding, first.span))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ipip,
    Gue,
    Gre,
}

/// `[type ipip|gue port N|gre] [nocsum|csum|remcsum]`
fn tunnel(method: Span, words: &[Word], out: &mut Vec<Diagnostic>) -> Option<Tunnel> {
    let (mut kind, mut port, mut checksum) = (Kind::Ipip, None, GueChecksum::None);
    let mut words = words.iter().filter(|word| word.text != "type");
    let wrong = |word: &Word, out: &mut Vec<Diagnostic>| {
        let message = format!("`{}` is no word of a tunnel", shown(&word.text));
        let d = Diagnostic::error(codes::VALUE, word.span, message);
        out.push(d.help("type ipip, type gue port NUMBER or type gre, then nocsum, csum or remcsum"));
    };
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "ipip" => kind = Kind::Ipip,
            "gue" => kind = Kind::Gue,
            "gre" => kind = Kind::Gre,
            "nocsum" => checksum = GueChecksum::None,
            "csum" => checksum = GueChecksum::Full,
            "remcsum" => checksum = GueChecksum::Remote,
            "port" => {
                let text = words.next();
                let parsed = text.and_then(|word| number(&word.text)).and_then(|n| u16::try_from(n).ok());
                let Some(parsed) = parsed.filter(|port| *port != 0) else {
                    let span = text.map_or(word.span, |word| word.span);
                    out.push(Diagnostic::error(codes::PORT, span, "a tunnel's port is a number from 1 to 65535"));
                    return None;
                };
                port = Some(Spanned::new(parsed, word.span));
            }
            _ => {
                wrong(word, out);
                return None;
            }
        }
    }
    match (kind, port) {
        (Kind::Gue, Some(port)) => Some(Tunnel::Gue { port: port.value, checksum }),
        (Kind::Gue, None) => {
            let d = Diagnostic::error(codes::MISSING_KEY, method, "a tunnel of type gue without its port");
            out.push(d.note("keepalived ignores the line and takes NAT").help("write `type gue port 6080`"));
            None
        }
        (Kind::Ipip | Kind::Gre, Some(port)) => {
            out.push(Diagnostic::error(codes::VALUE, port.span, "only a tunnel of type gue has a port"));
            None
        }
        (Kind::Gre, None) => {
            if checksum == GueChecksum::Remote {
                out.push(Diagnostic::warning(codes::VALUE, method, "remcsum with gre is read as csum"));
            }
            Some(Tunnel::Gre { checksum: checksum != GueChecksum::None })
        }
        (Kind::Ipip, None) => {
            if checksum != GueChecksum::None {
                out.push(Diagnostic::warning(codes::NO_EFFECT, method, "a tunnel of type ipip has no checksum"));
            }
            Some(Tunnel::Ipip)
        }
    }
}

//! The checks of a real server.

mod http;
mod other;

use super::{
    notify::account,
    table::Scope,
    tree::Node,
    value::{Block, number},
};
use crate::{
    codes,
    host::{Host, Resolver, shown},
};
use evenkeel_model::{Account, Check, Origin, Probe, Rhythm, Script};
use evenkeel_source::{Diagnostic, Span};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

const CHECKERS: [&str; 10] = [
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "MISC_CHECK",
    "PING_CHECK",
    "UDP_CHECK",
    "DNS_CHECK",
    "SMTP_CHECK",
    "BFD_CHECK",
    "FILE_CHECK",
];

/// Checks of one real server.
const MOST: usize = 100;

/// Where the parts of a check may be said: each falls back on the next.
pub(crate) struct Levels<'a> {
    pub(crate) real: Block<'a>,
    pub(crate) virtual_server: Block<'a>,
    /// The whole file: files and BFD sessions are named there.
    pub(crate) top: &'a [Node],
    /// `script_user` of the whole.
    pub(crate) script_user: Option<&'a Account>,
}

/// The check of the real server at `address`, all of its checkers together; its port is 0 where the service has every
/// port.
pub(crate) fn check(
    levels: &Levels<'_>,
    address: SocketAddr,
    at: Span,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Arc<Check>> {
    let nodes = levels.real.0.iter().filter(|node| CHECKERS.contains(&node.keyword.name));
    let mut checks: Vec<Arc<Check>> = Vec::new();
    let mut is_whole = true;
    for node in nodes {
        let Some(found) = checker(levels, node, address, at, resolver, out) else {
            is_whole = false;
            continue;
        };
        for check in found {
            // A second one that asks the same finds the same.
            if !checks.iter().any(|known| **known == check) {
                checks.push(Arc::new(check));
            }
        }
    }
    if checks.len() > MOST {
        let message = format!("{} checks of one real server", checks.len());
        out.push(Diagnostic::error(codes::TOO_LARGE, at, message).help(format!("{MOST} are the most")));
        return None;
    }
    if !is_whole {
        return None;
    }
    let always = || Arc::new(Check::new(Probe::AlwaysOn, rhythm(levels, None)));
    Some(Check::all(checks).unwrap_or_else(always))
}

/// What one checker block asks for: several checks where it has several urls or hosts.
fn checker(
    levels: &Levels<'_>,
    node: &Node,
    address: SocketAddr,
    at: Span,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<Check>> {
    let rhythm = rhythm(levels, Some(node));
    let levels_of = [Block(&node.block), levels.real, levels.virtual_server];
    let is_written = levels_of.iter().any(|block| block.is_there("delay_before_retry"));
    if let Some(pause) = rhythm.retry_after.filter(|pause| is_written && *pause > rhythm.every) {
        let message = format!(
            "delay_before_retry {} is longer than delay_loop {}, which is waited",
            pause.as_secs_f64(),
            rhythm.every.as_secs_f64()
        );
        out.push(Diagnostic::note_at(codes::NO_EFFECT, node.span, message));
    }
    let block = Block(&node.block);
    let target = target(block, address);
    let scope = node.keyword.argument.scope()?;
    let origin = origin(block, target.ip(), scope != Scope::Ping, out)?;
    let one = |probe| vec![Check { origin: origin.clone(), ..Check::new(probe, rhythm) }];
    let has_port = |out: &mut Vec<Diagnostic>| has_port(target, node.span, at, out);
    Some(match scope {
        Scope::Tcp => {
            has_port(out)?;
            one(Probe::Tcp { target })
        }
        Scope::Ping => one(Probe::Ping { target: target.ip(), tries: 1 }),
        Scope::Http | Scope::SslGet => {
            has_port(out)?;
            let probes = http::probes(levels, node, scope == Scope::SslGet, target, resolver, out)?;
            probes.into_iter().flat_map(one).collect()
        }
        Scope::Udp => {
            has_port(out)?;
            one(other::udp(node, target, out)?)
        }
        Scope::Dns => {
            has_port(out)?;
            one(other::dns(node, target, out)?)
        }
        Scope::Smtp => other::smtp(levels, node, address, at, rhythm, out)?,
        Scope::Misc => one(misc(levels, node, resolver.ask(), out)?),
        Scope::FileCheck => vec![other::file(levels, node, out)?],
        Scope::BfdCheck => vec![other::bfd(levels, node, out)?],
        _ => return None,
    })
}

/// `bindto`, `bind_port`, `bind_if` and `fwmark`. `None`: an error.
#[expect(clippy::option_option, reason = "nothing said and nothing understood are two things")]
fn origin(block: Block<'_>, target: IpAddr, has_ports: bool, out: &mut Vec<Diagnostic>) -> Option<Option<Box<Origin>>> {
    let address = block.address("bindto");
    if let Some(address) = address.filter(|address| address.value.is_ipv4() != target.is_ipv4()) {
        let message = format!("{} is of another family than {target}, which is checked", address.value);
        let d = Diagnostic::error(codes::FAMILY, address.span, message);
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    }
    let origin = Origin {
        address: address.map(|ip| ip.value),
        port: block.number("bind_port").map(|port| port.value).filter(|_| has_ports),
        interface: block.text("bind_if").map(|name| name.value),
        mark: block.number("fwmark").and_then(|mark| NonZeroU32::new(mark.value)),
    };
    Some((!origin.is_default()).then(|| Box::new(origin)))
}

fn has_port(target: SocketAddr, checker: Span, real: Span, out: &mut Vec<Diagnostic>) -> Option<()> {
    if target.port() != 0 {
        return Some(());
    }
    let message = "the real server has no port, so the check needs one";
    let d = Diagnostic::error(codes::CHECK_PORT, checker, message).label(real, "this one");
    out.push(d.help("write `connect_port 80` into the check"));
    None
}

fn target(block: Block<'_>, address: SocketAddr) -> SocketAddr {
    let ip = block.address("connect_ip").map_or(address.ip(), |ip| ip.value);
    SocketAddr::new(ip, block.number("connect_port").map_or(address.port(), |port| port.value))
}

fn rhythm(levels: &Levels<'_>, checker: Option<&Node>) -> Rhythm {
    let own = checker.map(|node| Block(&node.block));
    let blocks = [own, Some(levels.real), Some(levels.virtual_server)];
    let time = |name: &str| blocks.iter().flatten().find_map(|block| block.time(name)).map(|time| time.value);
    let (retry, pause) = match checker.map(|node| node.keyword.name) {
        Some("MISC_CHECK") => (0, Some(Duration::from_secs(1))),
        Some("HTTP_GET" | "SSL_GET") => (1, Some(Duration::from_secs(3))),
        // That is its delay_loop.
        Some("DNS_CHECK") => (3, None),
        Some(_) | None => (1, Some(Duration::from_secs(1))),
    };
    let every = time("delay_loop").unwrap_or(Duration::from_secs(60));
    // nb_get_retry is what retry was called.
    let retries = |block: &Block<'_>| {
        let node = super::method::last(*block, ["retry", "nb_get_retry"])?;
        u32::try_from(number(&node.args.first()?.text)?).ok()
    };
    let retry = blocks.iter().flatten().find_map(retries).unwrap_or(retry);
    let is_program = checker.is_some_and(|node| node.keyword.name == "MISC_CHECK");
    let timeout = match own.and_then(|own| own.time("misc_timeout")).filter(|_| is_program) {
        Some(timeout) => timeout.value,
        None if is_program => every,
        None => time("connect_timeout").unwrap_or(Duration::from_secs(5)),
    };
    let pause = time("delay_before_retry").or(pause).unwrap_or(every).max(Duration::from_millis(1));
    Rhythm {
        every,
        timeout,
        retry_after: (retry > 0).then_some(pause),
        rise: 1,
        fall: retry.saturating_add(1),
        jitter_percent: 0,
    }
}

fn misc(levels: &Levels<'_>, node: &Node, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Option<Probe> {
    let block = Block(&node.block);
    let Some(path) = block.node("misc_path") else {
        let d = Diagnostic::error(codes::MISSING_KEY, node.span, "MISC_CHECK without misc_path");
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    };
    let (first, user) = path.args.split_first()?;
    if let Some(word) = user.iter().find(|word| !could_be_a_name(&word.text)) {
        let message = format!("`{}` is no user", shown(&word.text));
        let d = Diagnostic::error(codes::CHECK_PART, word.span, message);
        out.push(d.help("put the program and its arguments in double quotes, if this is one of them"));
        return None;
    }
    let own = account(user).or_else(|| account(&block.node("user")?.args));
    let account = own.or_else(|| levels.script_user.cloned()).or_else(|| {
        let user = (host.script_user)()?;
        Some(Account { user, group: None })
    });
    let mut words = script_words(&first.text).into_iter();
    let Some(program) = words.next().filter(|program| !program.is_empty()) else {
        out.push(Diagnostic::error(codes::MISSING_KEY, first.span, "misc_path names no program"));
        return None;
    };
    let script = Script {
        program: PathBuf::from(program),
        arguments: words.collect(),
        environment: Vec::new(),
        shell: false,
        account,
        weighs: block.is_there("misc_dynamic"),
    };
    Some(Probe::Script(script))
}

/// useradd(8), generously; and numbers.
fn could_be_a_name(word: &str) -> bool {
    let first = word.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    first && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-$@\\".contains(c))
}

/// A program and its arguments; single quotes keep blanks in one (keepalived.conf(5), "Quoted strings").
pub(crate) fn script_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_blanks_but_in_single_quotes() {
        assert_eq!(script_words("/x a 'b c'd ''"), ["/x", "a", "b cd", ""]);
        assert_eq!(script_words(" "), Vec::<String>::new());
    }
}

//! The check of a real server.

use super::{
    table::Scope,
    tree::Node,
    value::{Block, number},
    word::unescaped,
};
use crate::{
    address::{host_header, request_path, server_name},
    codes,
    host::{Resolver, shown},
    ldirectord::check::SIZE_CAP,
};
use evenkeel_model::{Body, Check, Http, HttpMethod, Probe, Rhythm, Script, StatusSet};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

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

/// Where the parts of a check may be said: each falls back on the next.
pub(crate) struct Levels<'a> {
    pub(crate) real: Block<'a>,
    pub(crate) virtual_server: Block<'a>,
    /// `script_user` of the whole.
    pub(crate) script_user: Option<&'a Spanned<String>>,
}

/// The check of the real server at `address`; its port is 0 where the service has every port.
pub(crate) fn check(
    levels: &Levels<'_>,
    address: SocketAddr,
    at: Span,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Arc<Check>> {
    let mut checkers = levels.real.0.iter().filter(|node| CHECKERS.contains(&node.keyword.name));
    let Some(node) = checkers.next() else {
        return Some(Arc::new(Check { probe: Probe::AlwaysOn, connects_between: 0, rhythm: rhythm(levels, None) }));
    };
    if let Some(second) = checkers.next() {
        let d = Diagnostic::error(codes::SEVERAL_CHECKS, second.span, "a second check of one real server");
        out.push(d.label(node.span, "the first one").help("a MISC_CHECK program can make both"));
        return None;
    }
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
    let probe = match node.keyword.argument.scope()? {
        Scope::Tcp => {
            has_port(target, node.span, at, out)?;
            Probe::Tcp { target }
        }
        Scope::Ping => Probe::Ping { target: target.ip(), tries: 1 },
        Scope::Http => {
            has_port(target, node.span, at, out)?;
            http(levels, node, false, target, resolver, out)?
        }
        Scope::SslGet => {
            has_port(target, node.span, at, out)?;
            http(levels, node, true, target, resolver, out)?
        }
        Scope::Misc => misc(levels, node, out)?,
        // Refused by the table.
        _ => return None,
    };
    Some(Arc::new(Check { probe, connects_between: 0, rhythm }))
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
        Some("MISC_CHECK") => (0, Duration::from_secs(1)),
        Some("HTTP_GET" | "SSL_GET") => (1, Duration::from_secs(3)),
        Some(_) | None => (1, Duration::from_secs(1)),
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
    let pause = time("delay_before_retry").unwrap_or(pause).max(Duration::from_millis(1));
    Rhythm {
        every,
        timeout,
        retry_after: (retry > 0).then_some(pause),
        rise: 1,
        fall: retry.saturating_add(1),
        jitter_percent: 0,
    }
}

fn http(
    levels: &Levels<'_>,
    node: &Node,
    tls: bool,
    target: SocketAddr,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Probe> {
    let block = Block(&node.block);
    let mut urls = block.nodes("url");
    let Some(url) = urls.next() else {
        let message = format!("{} without a url", node.keyword.name);
        out.push(Diagnostic::error(codes::MISSING_KEY, node.span, message).help("write `url { path / }`"));
        return None;
    };
    if let Some(second) = urls.next() {
        let d = Diagnostic::error(codes::SEVERAL_CHECKS, second.span, "a second url of one check");
        out.push(d.label(url.span, "the first one").help("a MISC_CHECK program can ask for both"));
        return None;
    }
    let url = Block(&url.block);
    let host = [url, block, levels.real, levels.virtual_server].iter().find_map(|block| block.text("virtualhost"));
    let unsendable =
        |host: &&Spanned<String>| host.value.is_empty() || host.value.chars().any(|c| c.is_control() || c == ' ');
    if let Some(host) = host.as_ref().filter(unsendable) {
        let message = format!("`{}` is no host name", shown(&host.value));
        out.push(Diagnostic::error(codes::VALUE, host.span, message));
        return None;
    }
    let standard = if tls { 443 } else { 80 };
    let host = host.map_or_else(
        || match target.port() {
            port if port == standard => host_header(target.ip()),
            _ => target.to_string(),
        },
        |host| host.value,
    );
    let name = block.text("sni_name").and_then(|name| server_name(&name.value));
    let name = name.or_else(|| block.is_there("enable_sni").then(|| server_name(&host)).flatten());
    Some(Probe::Http(Http {
        target,
        tls,
        verify: false,
        server_name: name.filter(|_| tls),
        host,
        method: HttpMethod::Get,
        path: url.word("path").map_or_else(|| "/".to_owned(), |path| request_path(&path.text)),
        status: status(url, out)?,
        body: body(url, resolver, out)?,
        redirects: 0,
        size_cap: SIZE_CAP,
    }))
}

/// `200-299 404`
fn status(url: Block<'_>, out: &mut Vec<Diagnostic>) -> Option<StatusSet> {
    let Some(node) = url.node("status_code") else { return Some(StatusSet(vec![(200, 299)])) };
    let code = |text: &str| number(text).and_then(|n| u16::try_from(n).ok()).filter(|n| (100..=999).contains(n));
    let mut ranges = Vec::new();
    for word in &node.args {
        let (low, high) = word.text.split_once('-').unwrap_or((&word.text, &word.text));
        match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => ranges.push((low, high)),
            _ => {
                let message = format!("`{}` is no status code and no range of them", shown(&word.text));
                out.push(Diagnostic::error(codes::VALUE, word.span, message).labelled("from 100 to 999"));
                return None;
            }
        }
    }
    Some(StatusSet(ranges))
}

fn body(url: Block<'_>, resolver: &Resolver<'_>, out: &mut Vec<Diagnostic>) -> Option<Body> {
    let Some(regex) = url.word("regex") else {
        if let Some(options) = url.node("regex_options") {
            out.push(Diagnostic::warning(codes::NO_EFFECT, options.span, "regex_options without a regex"));
        }
        return Some(Body::Any);
    };
    // keepalived takes backslashes off, quoted or not: `\\d` is a digit.
    let pattern = if regex.quoted { regex.text.clone() } else { unescaped(&regex.text) };
    let mut letters = String::new();
    for word in url.node("regex_options").map(|node| node.args.as_slice()).unwrap_or_default() {
        letters.push(match word.text.as_str() {
            "caseless" => 'i',
            "dotall" => 's',
            "multiline" => 'm',
            "extended" => 'x',
            other => {
                let message = format!("regex_options `{}` is not there yet", shown(other));
                let d = Diagnostic::error(codes::CHECK_PART, word.span, message);
                out.push(d.help("caseless, dotall, multiline and extended are"));
                return None;
            }
        });
    }
    let pattern = if letters.is_empty() { pattern } else { format!("(?{letters}){pattern}") };
    if !resolver.regex(&pattern, regex.span, out) {
        return None;
    }
    Some(if pattern.is_empty() { Body::Any } else { Body::PerlRegex(pattern) })
}

fn misc(levels: &Levels<'_>, node: &Node, out: &mut Vec<Diagnostic>) -> Option<Probe> {
    let block = Block(&node.block);
    let Some(path) = block.node("misc_path") else {
        let d = Diagnostic::error(codes::MISSING_KEY, node.span, "MISC_CHECK without misc_path");
        out.push(d.note("keepalived leaves out the check, and the real server is always up"));
        return None;
    };
    if let Some(user) = levels.script_user.filter(|user| user.value != "root") {
        let message = format!("script_user `{}`: programs run as evenkeel's own user", shown(&user.value));
        let d = Diagnostic::error(codes::CHECK_PART, user.span, message).label(node.span, "this program is run");
        out.push(d.help("let the program change its user, with `setpriv` or `runuser`"));
        return None;
    }
    let (first, user) = path.args.split_first()?;
    if let Some(word) = user.first() {
        let message = format!("user `{}`: programs run as evenkeel's own user", shown(&word.text));
        let d = Diagnostic::error(codes::CHECK_PART, word.span, message);
        out.push(d.help("put the program and its arguments in double quotes, if this is one of them"));
        return None;
    }
    let mut words = script_words(&first.text).into_iter();
    let Some(program) = words.next().filter(|program| !program.is_empty()) else {
        out.push(Diagnostic::error(codes::MISSING_KEY, first.span, "misc_path names no program"));
        return None;
    };
    let script =
        Script { program: PathBuf::from(program), arguments: words.collect(), environment: Vec::new(), shell: false };
    Some(Probe::Script(script))
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

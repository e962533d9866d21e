//! HTTP_GET and SSL_GET.

use super::Levels;
use crate::{
    address::{host_header, request_path, server_name},
    codes, hex,
    host::{Resolver, shown},
    keepalived::{
        tree::Node,
        value::{Block, number},
        word::unescaped,
    },
    ldirectord::check::SIZE_CAP,
};
use evenkeel_model::{Body, Http, HttpMethod, HttpRules, HttpVersion, Probe, StatusSet};
use evenkeel_source::{Diagnostic, Spanned};
use std::net::SocketAddr;

/// Options of PCRE2 that change nothing about whether a pattern matches.
const PCRE_ONLY: [&str; 11] = [
    "auto_callout",
    "dupnames",
    "never_backslash_c",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ungreedy",
    "use_offset_limit",
];

/// The probes of an HTTP_GET or SSL_GET, one for each url.
pub(super) fn probes(
    levels: &Levels<'_>,
    node: &Node,
    tls: bool,
    target: SocketAddr,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<Probe>> {
    let block = Block(&node.block);
    let probes: Vec<Option<Probe>> =
        block.nodes("url").map(|url| probe(levels, block, Block(&url.block), tls, target, resolver, out)).collect();
    if probes.is_empty() {
        let message = format!("{} without a url", node.keyword.name);
        out.push(Diagnostic::error(codes::MISSING_KEY, node.span, message).help("write `url { path / }`"));
        return None;
    }
    probes.into_iter().collect()
}

fn probe(
    levels: &Levels<'_>,
    block: Block<'_>,
    url: Block<'_>,
    tls: bool,
    target: SocketAddr,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Probe> {
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
    let body = body(url, resolver, out)?;
    let rules = rules(block, url, &body, out)?;
    Some(Probe::Http(Http {
        target,
        tls,
        verify: false,
        server_name: name.filter(|_| tls),
        host,
        method: HttpMethod::Get,
        path: url.word("path").map_or_else(|| "/".to_owned(), |path| request_path(&path.text)),
        status: status(url, out)?,
        body,
        redirects: 0,
        size_cap: SIZE_CAP,
        rules,
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
        for name in ["regex_options", "regex_no_match", "regex_min_offset", "regex_max_offset", "regex_stack"] {
            if let Some(node) = url.node(name) {
                out.push(Diagnostic::warning(codes::NO_EFFECT, node.span, format!("{name} without a regex")));
            }
        }
        return Some(Body::Any);
    };
    // keepalived takes backslashes off, quoted or not: `\\d` is a digit.
    let pattern = if regex.quoted { regex.text.clone() } else { unescaped(&regex.text) };
    let mut letters = String::new();
    for word in url.node("regex_options").map(|node| node.args.as_slice()).unwrap_or_default() {
        match word.text.as_str() {
            "caseless" => letters.push('i'),
            "dotall" => letters.push('s'),
            "multiline" => letters.push('m'),
            "extended" => letters.push('x'),
            // These say how PCRE2 goes about it, or what a pattern may not be; none changes whether there is a match.
            name if PCRE_ONLY.contains(&name) => {}
            other => {
                let message = format!("regex_options `{}` is not there yet", shown(other));
                let d = Diagnostic::error(codes::CHECK_PART, word.span, message);
                out.push(d.help("caseless, dotall, multiline and extended are"));
                return None;
            }
        }
    }
    let pattern = if letters.is_empty() { pattern } else { format!("(?{letters}){pattern}") };
    if !resolver.regex(&pattern, regex.span, out) {
        return None;
    }
    Some(if pattern.is_empty() { Body::Any } else { Body::PerlRegex(pattern) })
}

/// Version, digest and offsets. As with keepalived a digest that is none is an error of its own.
fn rules(block: Block<'_>, url: Block<'_>, body: &Body, out: &mut Vec<Diagnostic>) -> Option<HttpRules> {
    let version = block.word("http_protocol").and_then(|word| HttpVersion::named(&word.text));
    let mut digests = url.nodes("digest");
    let digest = match digests.next().and_then(|node| node.args.first()) {
        None => None,
        Some(word) => {
            let digest = hex::digest(&word.text);
            if digest.is_none() {
                let message = format!("`{}` is no digest of 32 hexadecimal digits", shown(&word.text));
                let d = Diagnostic::error(codes::VALUE, word.span, message);
                out.push(d.note("keepalived leaves the line out").help("take what genhash prints, or delete the line"));
                return None;
            }
            digest
        }
    };
    if let Some(second) = digests.next() {
        out.push(Diagnostic::warning(codes::NO_EFFECT, second.span, "a second digest, which counts for nothing"));
    }
    let mut rules = HttpRules { version: version.unwrap_or(HttpVersion::Http10), digest, ..HttpRules::default() };
    if *body == Body::Any {
        return Some(rules);
    }
    rules.unwanted = url.is_there("regex_no_match");
    rules.least_offset = url.number("regex_min_offset").map_or(0, |offset| offset.value);
    rules.most_offset = url.number::<usize>("regex_max_offset").map(|offset| offset.value.saturating_add(1));
    if let Some(most) = rules.most_offset.filter(|most| rules.least_offset >= *most) {
        let span = url.node("regex_max_offset").map(|node| node.span)?;
        let message = format!("no match begins at {} or later and at {} or earlier", rules.least_offset, most - 1);
        out.push(Diagnostic::warning(codes::NO_EFFECT, span, message).note("keepalived ignores both offsets then"));
        (rules.least_offset, rules.most_offset) = (0, None);
    }
    Some(rules)
}

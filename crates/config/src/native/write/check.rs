//! What `convert` prints of a check.

use super::{inline, list, table_name};
use crate::{
    address::{host_header, server_name},
    hex,
    ldirectord::check::{REDIRECTS, SIZE_CAP},
    native::{
        check::RHYTHM,
        reader::quoted,
        units::{duration_text, size_text},
    },
};
use evenkeel_model::{
    Body, Check, Http, HttpMethod, HttpRules, HttpVersion, Origin, Probe, Record, Rhythm, Udp, UdpReply,
};
use std::net::SocketAddr;

/// A check as seen from its real server, so that equal ones read the same.
pub(super) fn check(check: &Check, real: SocketAddr) -> String {
    if let Probe::All(checks) = &check.probe {
        let parts: Vec<String> = checks.iter().map(|one| self::check(one, real)).collect();
        return format!("[{}]", parts.join(", "));
    }
    let mut keys = Vec::new();
    match &check.probe {
        Probe::AlwaysOn => keys.push(("on", "true".to_owned())),
        Probe::AlwaysOff => keys.push(("off", "true".to_owned())),
        Probe::Tcp { target: to } => {
            keys.push(("tcp", "true".to_owned()));
            target(*to, real, &mut keys);
        }
        Probe::Ping { target, tries } => {
            keys.push(("ping", "true".to_owned()));
            if *target != real.ip() {
                keys.push(("connect", quoted(&target.to_string())));
            }
            if *tries != 1 {
                keys.push(("echoes", tries.to_string()));
            }
        }
        Probe::Http(probe) => http(probe, real, &mut keys),
        Probe::Script(script) => {
            let program = script.program.to_string_lossy().into_owned();
            keys.push(("script", list(std::iter::once(&program).chain(&script.arguments))));
            if !script.environment.is_empty() {
                let names: Vec<(String, String)> =
                    script.environment.iter().map(|(name, value)| (table_name(name), quoted(value))).collect();
                let pairs: Vec<(&str, String)> = names.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
                keys.push(("env", inline(&pairs)));
            }
            if script.shell {
                keys.push(("shell", "true".to_owned()));
            }
            if let Some(account) = &script.account {
                keys.push(("user", quoted(&account.to_string())));
            }
            if script.weighs {
                keys.push(("weighs", "true".to_owned()));
            }
        }
        Probe::Udp(probe) => udp(probe, real, &mut keys),
        Probe::Dns(dns) => {
            keys.push(("dns", quoted(&dns.name)));
            if dns.record != Record::default() {
                keys.push(("record", quoted(dns.record.name())));
            }
            target(dns.target, real, &mut keys);
        }
        Probe::Smtp { target: to, helo } => {
            keys.push(("smtp", "true".to_owned()));
            keys.push(("helo", quoted(helo)));
            target(*to, real, &mut keys);
        }
        Probe::File(file) => {
            keys.push(("file", quoted(&file.path.to_string_lossy())));
            if file.factor != 0 {
                keys.push(("factor", file.factor.to_string()));
            }
            if file.reverse {
                keys.push(("reverse", "true".to_owned()));
            }
        }
        Probe::Bfd { name } => keys.push(("bfd", quoted(name))),
        // Written above, each by itself.
        Probe::All(_) => {}
    }
    origin(check.origin.as_deref(), &mut keys);
    if check.connects_between != 0 {
        keys.push(("connects_between", check.connects_between.to_string()));
    }
    rhythm(&check.rhythm, &mut keys);
    inline(&keys)
}

/// `port` and `connect`, as far as they differ from the real server.
fn target(to: SocketAddr, real: SocketAddr, keys: &mut Vec<(&'static str, String)>) {
    if to.ip() != real.ip() {
        keys.push(("connect", quoted(&to.to_string())));
    } else if to.port() != real.port() {
        keys.push(("port", to.port().to_string()));
    }
}

fn http(http: &Http, real: SocketAddr, keys: &mut Vec<(&'static str, String)>) {
    let word = if http.tls { "https" } else { "http" };
    keys.push((word, quoted(&http.path)));
    if let Body::PerlRegex(pattern) = &http.body {
        keys.push(("expect", quoted(pattern)));
    }
    let ranges = &http.status.0;
    if *ranges != [(200, 299)] {
        let texts: Vec<String> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
        keys.push(("status", list(&texts)));
    }
    let host_is_standard = http.host == host_header(real.ip());
    if !host_is_standard {
        keys.push(("host", quoted(&http.host)));
    }
    let standard_name = server_name(&http.host).filter(|_| http.tls && !host_is_standard);
    if http.server_name != standard_name {
        keys.push(("sni", quoted(http.server_name.as_deref().unwrap_or(""))));
    }
    if http.verify {
        keys.push(("verify", "true".to_owned()));
    }
    if http.method == HttpMethod::Head {
        keys.push(("method", "\"HEAD\"".to_owned()));
    }
    if http.redirects != REDIRECTS {
        keys.push(("redirects", http.redirects.to_string()));
    }
    if http.size_cap != SIZE_CAP {
        keys.push(("size_cap", quoted(&size_text(http.size_cap as u64))));
    }
    rules(&http.rules, keys);
    target(http.target, real, keys);
}

fn rules(rules: &HttpRules, keys: &mut Vec<(&'static str, String)>) {
    if rules.version != HttpVersion::default() {
        keys.push(("version", quoted(rules.version.name())));
    }
    keys.extend(rules.digest.map(|digest| ("digest", quoted(&hex::text_of(plain(&digest)).replace(' ', "")))));
    if rules.unwanted {
        keys.push(("unwanted", "true".to_owned()));
    }
    if rules.least_offset != 0 {
        keys.push(("least_offset", rules.least_offset.to_string()));
    }
    keys.extend(rules.most_offset.map(|offset| ("most_offset", offset.to_string())));
}

fn plain(bytes: &[u8]) -> impl Iterator<Item = (u8, u8)> + '_ {
    bytes.iter().map(|byte| (*byte, 0))
}

fn udp(udp: &Udp, real: SocketAddr, keys: &mut Vec<(&'static str, String)>) {
    keys.push(("udp", "true".to_owned()));
    keys.extend(udp.payload.as_ref().map(|bytes| ("payload", quoted(&hex::text_of(plain(bytes))))));
    if let Some(UdpReply { begins, length: (least, most) }) = &udp.reply {
        let text = match begins.as_slice() {
            [] => "true".to_owned(),
            begins => quoted(&hex::text_of(begins.iter().copied())),
        };
        keys.push(("reply", text));
        if *least != 0 {
            keys.push(("reply_least", least.to_string()));
        }
        if *most != UdpReply::USUAL_MOST {
            keys.push(("reply_most", most.to_string()));
        }
    }
    target(udp.target, real, keys);
}

fn origin(origin: Option<&Origin>, keys: &mut Vec<(&'static str, String)>) {
    let Some(Origin { address, port, interface, mark }) = origin else { return };
    keys.extend(address.map(|address| ("bind", quoted(&address.to_string()))));
    keys.extend(port.map(|port| ("bind_port", port.to_string())));
    keys.extend(interface.as_ref().map(|name| ("bind_interface", quoted(name))));
    keys.extend(mark.map(|mark| ("fwmark", mark.to_string())));
}

fn rhythm(rhythm: &Rhythm, keys: &mut Vec<(&'static str, String)>) {
    keys.push(("every", quoted(&duration_text(rhythm.every))));
    keys.push(("timeout", quoted(&duration_text(rhythm.timeout))));
    if let Some(retry) = rhythm.retry_after {
        keys.push(("retry_after", quoted(&duration_text(retry))));
    }
    if rhythm.rise != RHYTHM.rise {
        keys.push(("rise", rhythm.rise.to_string()));
    }
    if rhythm.fall != RHYTHM.fall {
        keys.push(("fall", rhythm.fall.to_string()));
    }
    if rhythm.jitter_percent != RHYTHM.jitter_percent {
        keys.push(("jitter", quoted(&format!("{}%", rhythm.jitter_percent))));
    }
}

//! `host:port` texts of every format: addresses in old and new forms, host names, port numbers and service names.

use crate::{
    codes,
    host::{Family, Resolver, shown},
    inet::{self, Written},
};
use evenkeel_model::{Forwarding, Protocol, ServiceKey};
use evenkeel_source::{Diagnostic, Span};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A text split at its port, with the bytes of both parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    pub(crate) host: &'a str,
    pub(crate) host_at: usize,
    pub(crate) port: Option<&'a str>,
    pub(crate) port_at: usize,
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. `None` when brackets do not match.
pub(crate) fn split(text: &str) -> Option<Split<'_>> {
    let whole = Split { host: text, host_at: 0, port: None, port_at: text.len() };
    if let Some(inside) = text.strip_prefix('[') {
        let (host, rest) = inside.split_once(']')?;
        let port_at = host.len() + 3;
        return match rest.strip_prefix(':') {
            Some(port) => Some(Split { host, host_at: 1, port: Some(port), port_at }),
            None if rest.is_empty() => Some(Split { host, host_at: 1, ..whole }),
            None => None,
        };
    }
    match text.rsplit_once(':') {
        // Without brackets a second colon makes it an IPv6 address.
        Some((host, port)) if !host.contains(':') => {
            Some(Split { host, host_at: 0, port: Some(port), port_at: host.len() + 1 })
        }
        Some(_) | None => Some(whole),
    }
}

impl Split<'_> {
    /// The host as a span inside the text's span.
    pub(crate) fn host_span(&self, whole: Span) -> Span {
        part(whole, self.host_at, self.host.len())
    }

    /// The port as a span inside the text's span.
    pub(crate) fn port_span(&self, whole: Span) -> Span {
        part(whole, self.port_at, self.port.map_or(0, str::len))
    }
}

/// `length` bytes from `at` of a span; the whole when the text was not written in one piece.
pub(crate) fn part(whole: Span, at: usize, length: usize) -> Span {
    let start = whole.start as usize + at;
    if start + length > whole.end as usize {
        return whole;
    }
    Span::new(whole.file, start, start + length)
}

/// An address, and the name it was written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) address: IpAddr,
    pub(crate) name: Option<String>,
}

/// The address a text means. Old forms are told; names are resolved.
pub(crate) fn resolve(
    text: &str,
    family: Family,
    span: Span,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Resolved> {
    if let Some(written) = inet::address(text) {
        let address = written.address();
        if !family.takes(address) {
            let other = if address.is_ipv4() { "an IPv4 address" } else { "an IPv6 address" };
            let message = format!("`{}` is {other}, and one of the other family is needed here", shown(text));
            out.push(Diagnostic::error(codes::FAMILY, span, message));
            return None;
        }
        report_old_form(text, written, span, out);
        return Some(Resolved { address, name: None });
    }
    let is_name = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && text.bytes().any(|b| b.is_ascii_alphabetic());
    if !is_name {
        let message = format!("`{}` is no address and no host name", shown(text));
        out.push(Diagnostic::error(codes::ADDRESS, span, message));
        return None;
    }
    let address = resolver.host(text, family, span, out)?;
    Some(Resolved { address, name: Some(text.to_owned()) })
}

fn report_old_form(text: &str, written: Written, span: Span, out: &mut Vec<Diagnostic>) {
    if let Written::Plain(_) = written {
        return;
    }
    let message = format!("{} means {}", shown(text), written.address());
    let d = match written {
        Written::Plain(_) => return,
        Written::Short(_) => Diagnostic::note_at(codes::INET_ATON, span, message)
            .note("an old form of inet_aton(3): the last number fills the remaining bytes; ldirectord reads it so too"),
        Written::OtherBase(_) => Diagnostic::warning(codes::INET_ATON, span, message)
            .note("inet_aton(3) takes 0x for hexadecimal and a leading 0 for octal; ldirectord reads it so too"),
    };
    // A place that is wider than the text holds more than the address, such as quotes.
    let is_exact = span.range().len() == text.len();
    out.push(if is_exact { d.replace("write it out", span, written.address().to_string()) } else { d });
}

/// A port from 1 to 65535 or the name of a service.
pub(crate) fn port(
    text: &str,
    protocol: Protocol,
    span: Span,
    resolver: &Resolver<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<u16> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        match text.parse::<u16>() {
            Ok(port) if port != 0 => return Some(port),
            Ok(_) | Err(_) => {
                let message = format!("port {} is not between 1 and 65535", shown(text));
                out.push(Diagnostic::error(codes::PORT, span, message));
                return None;
            }
        }
    }
    let found = resolver.service(text, protocol);
    if found.is_none() {
        let message = format!("`{}` is no port and no {protocol} service of /etc/services", shown(text));
        out.push(Diagnostic::error(codes::PORT, span, message));
    }
    found
}

/// Why no virtual address can be this one, as a sentence goes on after the address. The rest of 127.0.0.0/8 is left for
/// trying things out on one host.
pub(crate) fn no_virtual_address(address: IpAddr) -> Option<&'static str> {
    if address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST {
        Some("is a loopback address: packets for it never leave their own host")
    } else if address.is_unspecified() {
        Some("stands for every address: name the one that clients ask for")
    } else if address.is_multicast() || address == IpAddr::from([255, 255, 255, 255]) {
        Some("is the address of many hosts at once: a virtual service needs one of its own")
    } else if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        Some("is link-local and names no interface: a virtual service needs an address that is the same on all of them")
    } else {
        None
    }
}

/// How packets reach `address`: the director's own addresses that a file can know are the loopback ones and the
/// virtual address itself.
pub(crate) fn forwarding(address: IpAddr, virtual_address: Option<IpAddr>) -> Forwarding {
    if address.is_loopback() || Some(address) == virtual_address {
        Forwarding::Local
    } else {
        Forwarding::DirectRouting
    }
}

/// The name of a service that was given none.
pub(crate) fn service_name(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { .. } => key.to_string(),
        ServiceKey::Mark { mark, family: evenkeel_model::Family::V4 } => format!("mark-{mark}"),
        ServiceKey::Mark { mark, family: evenkeel_model::Family::V6 } => format!("mark-{mark}-ipv6"),
    }
}

/// The service's method, but for its own host's addresses, which need none.
pub(crate) fn method(automatic: Forwarding, of_service: Option<Forwarding>) -> Forwarding {
    match (automatic, of_service) {
        (Forwarding::Local, _) | (_, None) => automatic,
        (_, Some(method)) => method,
    }
}

/// The port of a real server: its own where ports are translated, else the service's.
pub(crate) fn served_port(key: ServiceKey, written: Option<u16>, forwarding: Forwarding) -> u16 {
    match written {
        Some(port) if forwarding.translates_ports() && key.port() != 0 => port,
        Some(_) | None => key.port(),
    }
}

/// An address as a Host header has it.
pub(crate) fn host_header(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let mut text = String::with_capacity(15);
            push_v4(address, &mut text);
            text
        }
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// `address.to_string()`, without the formatting machinery for the case that comes a hundred thousand times.
pub(crate) fn socket_text(address: SocketAddr) -> String {
    let mut text = String::with_capacity(21);
    match address.ip() {
        IpAddr::V4(ip) => push_v4(ip, &mut text),
        IpAddr::V6(_) => return address.to_string(),
    }
    text.push(':');
    push_number(address.port(), &mut text);
    text
}

fn push_v4(address: Ipv4Addr, text: &mut String) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        push_number(u16::from(octet), text);
    }
}

fn push_number(number: u16, text: &mut String) {
    if number >= 10 {
        push_number(number / 10, text);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// Whether a name can be asked for in DNS: labels of at most 63 bytes, 253 in all; `.` is the root.
pub(crate) fn is_dns_name(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let fits = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic());
    name == "." || (labels.len() <= 253 && labels.split('.').all(fits))
}

/// A request path as it can be sent: with a slash in front, other characters than visible ASCII percent-encoded.
pub(crate) fn request_path(text: &str) -> String {
    let mut path = String::with_capacity(text.len() + 1);
    if !text.starts_with('/') {
        path.push('/');
    }
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'#') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The name a TLS client can ask for: `host` without its port, when it is no address.
pub(crate) fn server_name(host: &str) -> Option<String> {
    let name = split(host)?.host;
    let is_name = inet::address(name).is_none()
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_port() {
        let pair = |text| split(text).map(|s| (s.host, s.port));
        assert_eq!(pair("10.0.0.1:80"), Some(("10.0.0.1", Some("80"))));
        assert_eq!(pair("10.0.0.1"), Some(("10.0.0.1", None)));
        assert_eq!(pair("[::1]:http"), Some(("::1", Some("http"))));
        assert_eq!(pair("[::1]"), Some(("::1", None)));
        assert_eq!(pair("2001:db8::1"), Some(("2001:db8::1", None)));
        assert_eq!(pair("[::1"), None);
        assert_eq!(pair("[::1]x"), None);
        let s = split("[::1]:http").unwrap();
        assert_eq!(&"[::1]:http"[s.host_at..][..3], "::1");
        assert_eq!(&"[::1]:http"[s.port_at..], "http");
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for text in ["0.0.0.0:0", "10.200.3.45:65535", "255.255.255.255:80", "[2001:db8::1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_text(address), address.to_string());
            assert_eq!(format!("{}:{}", host_header(address.ip()), address.port()), address.to_string());
        }
    }

    #[test]
    fn a_path_is_sendable() {
        assert_eq!(request_path(".ok.html"), "/.ok.html");
        assert_eq!(request_path("/a b?x=1&y=\u{e4}"), "/a%20b?x=1&y=%C3%A4");
        assert_eq!(request_path(""), "/");
    }

    #[test]
    fn only_names_are_asked_for_in_tls() {
        assert_eq!(server_name("www.example.org:443").as_deref(), Some("www.example.org"));
        assert_eq!(server_name("10.0.0.1"), None);
        assert_eq!(server_name("[::1]:443"), None);
        assert_eq!(server_name("b\u{fc}cher.example"), None);
    }
}

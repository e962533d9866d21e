//! `host[:port]` as ipvsadm reads it.

use crate::{
    names::Names,
    number::{ipv4, unsigned},
};
use std::net::{IpAddr, Ipv6Addr};

/// An address, and a port where one was given.
pub(crate) fn host_and_port(text: &str, protocol: u8, names: &dyn Names) -> Option<(IpAddr, Option<u16>)> {
    // A number alone was always taken for a forgotten address.
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (host, mut port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (host, rest) = inside.split_once(']')?;
            (host, Some(rest.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let address = match host.parse::<Ipv6Addr>() {
        Ok(address) => IpAddr::V6(address),
        Err(_) => {
            // The port of an IPv4 address in brackets is lost.
            let split = host.rsplit_once(':');
            port = split.map(|(_, port)| port);
            let host = split.map_or(host, |(host, _)| host);
            let found = ipv4(host).or_else(|| (!host.is_empty()).then(|| names.address(host))?);
            IpAddr::V4(found?)
        }
    };
    let port = match port {
        Some(text) => Some(port_number(text, protocol, names)?),
        None => None,
    };
    Some((address, port))
}

fn port_number(text: &str, protocol: u8, names: &dyn Names) -> Option<u16> {
    match unsigned(text, 0, u16::MAX.into()) {
        Some(port) => u16::try_from(port).ok(),
        None => names.port(text, protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NoNames;

    fn read(text: &str) -> Option<String> {
        host_and_port(text, 6, &NoNames)
            .map(|(address, port)| format!("{address} {}", port.map_or("-".to_owned(), |p| p.to_string())))
    }

    #[test]
    fn hosts_and_ports_have_these_forms() {
        for (text, meaning) in [
            ("10.9.0.1", "10.9.0.1 -"),
            ("10.9.0.1:80", "10.9.0.1 80"),
            ("10.9.0.1: 82", "10.9.0.1 82"),
            ("10.9.0.1 :83", "10.9.0.1 83"),
            ("10.9:84", "10.0.0.9 84"),
            ("[10.9.0.1]:89", "10.9.0.1 -"),
            ("[fd00::1]:80", "fd00::1 80"),
            ("fd00::2", "fd00::2 -"),
            ("fd00::3:80", "fd00::3:80 -"),
            ("[::ffff:10.9.0.9]:80", "::ffff:10.9.0.9 80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meaning), "{text}");
        }
        for text in [
            "",
            "80",
            "168361985",
            ":80",
            "10.9.0.1:",
            "10.9.0.1::",
            "10.9.0.1:-1",
            "10.9.0.1:65536",
            "10.9.0.1:0x50",
            "[fd00::1]",
            "[fd00::4]:",
            "[fd00::5:80",
            "[fd00::5]80",
            "[fd00::zz]:80",
            "[fe80::1%eth0]:80",
            "nosuch:80",
            "10.9.0.1:http",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

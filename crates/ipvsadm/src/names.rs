//! Names of hosts and services.

use std::net::{IpAddr, Ipv4Addr};

/// Names as the host knows them.
pub trait Names {
    /// The address of a host.
    fn address(&self, host: &str) -> Option<Ipv4Addr>;
    /// The port of a service with this protocol (6, 17 or 132).
    fn port(&self, service: &str, protocol: u8) -> Option<u16>;
    /// The name of a host.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a port with this protocol.
    fn service(&self, port: u16, protocol: u8) -> Option<String>;
}

/// Knows no name: `-n`, and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn address(&self, _: &str) -> Option<Ipv4Addr> {
        None
    }

    fn port(&self, _: &str, _: u8) -> Option<u16> {
        None
    }

    fn host(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _: u16, _: u8) -> Option<String> {
        None
    }
}

/// The text of /etc/services; looked through anew for each question, since a call has few.
#[derive(Clone, Debug, Default)]
pub struct Services(String);

impl Services {
    /// Of this text.
    pub fn new(text: String) -> Services {
        Services(text)
    }

    /// The port of a name or of one of its other names.
    pub fn port(&self, name: &str, protocol: u8) -> Option<u16> {
        self.lines(protocol).find(|(_, names)| names.clone().any(|n| n == name)).map(|(port, _)| port)
    }

    /// The first name of a port.
    pub fn name(&self, port: u16, protocol: u8) -> Option<&str> {
        self.lines(protocol).find(|(p, _)| *p == port).and_then(|(_, mut names)| names.next())
    }

    /// Ports and their names.
    fn lines(&self, protocol: u8) -> impl Iterator<Item = (u16, impl Iterator<Item = &str> + Clone)> {
        let word = protocol_word(protocol);
        self.0.lines().filter_map(move |line| {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let (name, (port, of)) = (words.next()?, words.next()?.split_once('/')?);
            (word == Some(of)).then_some(())?;
            Some((port.parse().ok()?, std::iter::once(name).chain(words)))
        })
    }
}

fn protocol_word(protocol: u8) -> Option<&'static str> {
    match protocol {
        6 => Some("tcp"),
        17 => Some("udp"),
        132 => Some("sctp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_each_of_their_names_and_protocols() {
        let text = "# c\nhttp\t80/tcp\t\twww # web\ndomain 53/tcp\ndomain 53/udp\nbad x/tcp\nshort\nm3ua 2905/sctp\n";
        let services = Services::new(text.to_owned());
        assert_eq!(services.port("http", 6), Some(80));
        assert_eq!(services.port("www", 6), Some(80));
        assert_eq!(services.port("http", 17), None);
        assert_eq!(services.port("web", 6), None);
        assert_eq!(services.port("bad", 6), None);
        assert_eq!(services.port("m3ua", 132), Some(2905));
        assert_eq!(services.port("http", 0), None);
        assert_eq!(services.name(80, 6), Some("http"));
        assert_eq!(services.name(53, 17), Some("domain"));
        assert_eq!(services.name(80, 132), None);
    }
}

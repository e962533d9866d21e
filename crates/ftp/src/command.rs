//! Commands of a client, as far as they concern whoever translates addresses.

use crate::place;
use std::net::SocketAddr;

/// A line of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Where the client waits for data connections.
    Port(Option<SocketAddr>),
    /// The same in the form that has families (RFC 2428).
    Eprt(Option<SocketAddr>),
    /// The rest of the connection would be unreadable (RFC 2228).
    Auth,
    /// The forms that RFC 1639 has for addresses, which nobody uses.
    Long,
    /// Anything else.
    Other,
}

impl Command {
    /// What a line means.
    pub(crate) fn of(line: &[u8]) -> Command {
        // Around the words may stand what telnet has to say, as before the ABOR of a client that is in a hurry. Servers differ
        // in what of that they pass over, and nothing that one of them takes for PORT may slip through here.
        let text: String =
            line.iter().filter(|byte| (b' '..=b'~').contains(byte)).map(|byte| char::from(*byte)).collect();
        let text = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).trim_end();
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        match verb.to_ascii_uppercase().as_str() {
            "PORT" => Command::Port(place::of_port(argument)),
            "EPRT" => Command::Eprt(place::of_eprt(argument)),
            "AUTH" => Command::Auth,
            "LPRT" | "LPSV" => Command::Long,
            _ => Command::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_in_any_case_and_behind_telnet_commands() {
        let place = || Some("192.0.2.1:1025".parse().unwrap());
        for (line, command) in [
            (&b"PORT 192,0,2,1,4,1\r\n"[..], Command::Port(place())),
            (b"port 192,0,2,1,4,1\n", Command::Port(place())),
            (b"  PORT  192,0,2,1,4,1 \r\n", Command::Port(place())),
            (b"PORT\r\n", Command::Port(None)),
            (b"\xff\xf4\xff\xf2PORT 192,0,2,1,4,1\r\n", Command::Port(place())),
            (b"\xff\xfb\x01\xff\xf1PORT 192,0,2,1,4,1\r\n", Command::Port(place())),
            (b"EPRT |1|192.0.2.1|1025|\r\n", Command::Eprt(place())),
            (b"EPRT nonsense\r\n", Command::Eprt(None)),
            (b"AUTH TLS\r\n", Command::Auth),
            (b"auth ssl\r\n", Command::Auth),
            (b"LPRT 4,4,192,0,2,1,2,4,1\r\n", Command::Long),
            (b"LPSV\r\n", Command::Long),
            (b"\xff\xf4\xff\xf2ABOR\r\n", Command::Other),
            (b"PASV\r\n", Command::Other),
            (b"EPSV ALL\r\n", Command::Other),
            (b"PORTX 192,0,2,1,4,1\r\n", Command::Other),
            (b"\xff\xffPO\xff\xf1RT\0 192,0,2,1,4,1\r\n", Command::Port(place())),
            (b"\xff", Command::Other),
            (b"\r\n", Command::Other),
            (b"\xfe\x00\r\n", Command::Other),
        ] {
            assert_eq!(Command::of(line), command, "{:?}", String::from_utf8_lossy(line));
        }
    }
}

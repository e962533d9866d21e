//! The ping probe: ICMP and ICMPv6 echo (RFC 792, RFC 4443 4).
//!
//! The kernel's datagram ICMP socket needs no privilege where `net.ipv4.ping_group_range` allows it; else a raw one is
//! used. Either is connected, so that the kernel hands over answers of the target only, and each echo carries bytes
//! nobody can guess, so that the answer to another ping is not taken for ours.

use crate::connect::{failure, socket as socket_from, text};
use evenkeel_health::{Phase, Reason};
use evenkeel_model::Origin;
use socket2::{Protocol, Type};
use std::{
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};
use tokio::{net::UdpSocket, time::Instant};

const HEADER: usize = 8;
const TOKEN: usize = 16;

/// An ICMP socket connected to its target.
struct Pinger {
    /// No UDP, but that type does all a connected datagram or raw socket can do.
    socket: UdpSocket,
    raw: bool,
    v6: bool,
    identifier: u16,
    token: [u8; TOKEN],
}

/// Sends up to `tries` echoes, evenly spread over `timeout`; an answer to any of them is good.
pub(crate) async fn attempt(target: IpAddr, origin: &Origin, tries: u32, timeout: Duration) -> Result<String, Reason> {
    let failed = |error: io::Error| failure(&error, target, Reason::Unreachable { target });
    let pinger = Pinger::open(target, origin).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Reason::Local(format!("no permission to send ICMP: {}", text(&error))),
        _ => failed(error),
    })?;
    let tries = tries.max(1);
    let begun = Instant::now();
    for sequence in 0..tries {
        let sequence = u16::try_from(sequence).unwrap_or(u16::MAX);
        let sent = pinger.send(sequence).await;
        let until = begun + timeout / tries * (u32::from(sequence) + 1);
        let answer = async {
            sent?;
            pinger.answered().await
        };
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(())) => return Ok("echo reply".to_owned()),
            // What the network says of one echo need not hold for the next, but it is not sent at once.
            Ok(Err(error)) if u32::from(sequence) + 1 < tries => {
                let _ = error;
                tokio::time::sleep_until(until).await;
            }
            Ok(Err(error)) => return Err(failed(error)),
            Err(_elapsed) => {}
        }
    }
    Err(Reason::Timeout { phase: Phase::Echo, after: timeout })
}

impl Pinger {
    fn open(target: IpAddr, origin: &Origin) -> io::Result<Pinger> {
        let v6 = target.is_ipv6();
        let protocol = if v6 { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
        // Ports have no meaning here; the kernel would take one for the identifier of echoes.
        let origin = Origin { port: None, ..origin.clone() };
        let (socket, raw) = match socket_from(target, Type::DGRAM, Some(protocol), &origin) {
            Ok(socket) => (socket, false),
            Err(_) => (socket_from(target, Type::RAW, Some(protocol), &origin)?, true),
        };
        socket.connect(&SocketAddr::new(target, 0).into())?;
        let random = RandomState::new();
        let mut token = [0; TOKEN];
        token[..8].copy_from_slice(&random.hash_one(0_u8).to_be_bytes());
        token[8..].copy_from_slice(&random.hash_one(1_u8).to_be_bytes());
        let identifier = u16::from_be_bytes([token[0], token[1]]);
        let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
        Ok(Pinger { socket, raw, v6, identifier, token })
    }

    async fn send(&self, sequence: u16) -> io::Result<()> {
        let echo = echo_request(self.v6, self.identifier, sequence, &self.token);
        self.socket.send(&echo).await.map(|_| ())
    }

    /// Returns when an answer to one of our echoes has come.
    async fn answered(&self) -> io::Result<()> {
        // Larger than any answer to our echo with any IPv4 options; what is longer is cut and fits nothing.
        let mut packet = [0; 128];
        loop {
            let length = self.socket.recv(&mut packet).await?;
            let packet = &packet[..length];
            let message = if self.raw && !self.v6 { after_ipv4_header(packet) } else { Some(packet) };
            // The kernel writes its own identifier into echoes of a datagram socket, and looks at it itself.
            let identifier = self.raw.then_some(self.identifier);
            if message.is_some_and(|message| is_reply(self.v6, identifier, &self.token, message)) {
                return Ok(());
            }
        }
    }
}

fn echo_request(v6: bool, identifier: u16, sequence: u16, token: &[u8; TOKEN]) -> [u8; HEADER + TOKEN] {
    let mut packet = [0; HEADER + TOKEN];
    packet[0] = if v6 { 128 } else { 8 };
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[HEADER..].copy_from_slice(token);
    // The checksum of ICMPv6 covers addresses; the kernel fills it in (RFC 3542 3.1).
    if !v6 {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn is_reply(v6: bool, identifier: Option<u16>, token: &[u8; TOKEN], message: &[u8]) -> bool {
    let Some((header, payload)) = message.split_at_checked(HEADER) else { return false };
    let reply = if v6 { 129 } else { 0 };
    let ours = identifier.is_none_or(|identifier| header[4..6] == identifier.to_be_bytes());
    header[0] == reply && header[1] == 0 && ours && payload == token
}

fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(length..)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN_HERE: [u8; TOKEN] = *b"0123456789abcdef";

    #[test]
    fn an_echo_request_has_a_valid_checksum() {
        let packet = echo_request(false, 0x1234, 7, &TOKEN_HERE);
        assert_eq!(checksum(&packet), 0);
        assert_eq!(packet[..2], [8, 0]);
    }

    #[test]
    fn only_the_answer_to_our_own_echo_counts() {
        let mut reply = echo_request(false, 0x1234, 7, &TOKEN_HERE);
        reply[0] = 0;
        assert!(is_reply(false, Some(0x1234), &TOKEN_HERE, &reply));
        assert!(is_reply(false, None, &TOKEN_HERE, &reply));
        assert!(!is_reply(false, Some(0x1235), &TOKEN_HERE, &reply), "another identifier");
        assert!(!is_reply(false, Some(0x1234), b"0123456789abcdeX", &reply), "another token");
        assert!(!is_reply(true, Some(0x1234), &TOKEN_HERE, &reply), "another family");
        for length in 0..reply.len() {
            assert!(!is_reply(false, None, &TOKEN_HERE, &reply[..length]), "cut to {length}");
        }
        reply[0] = 8;
        assert!(!is_reply(false, Some(0x1234), &TOKEN_HERE, &reply), "the request itself, as loopback shows it");
    }

    #[test]
    fn the_ipv4_header_is_as_long_as_it_says() {
        assert_eq!(after_ipv4_header(&[]), None);
        assert_eq!(after_ipv4_header(&[0x4f; 20]), None);
        assert_eq!(after_ipv4_header(&[0x45; 21]), Some(&[0x45][..]));
    }
}

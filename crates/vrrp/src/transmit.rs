//! The packets of a master.

use crate::{
    authentication,
    checksum::{self, Form},
    codec::{AuthenticationType, PROTOCOL, Prepared},
    hmac::{LENGTH, Signer, Timestamp},
    receive::Terms,
};
use evenkeel_model::vrrp::Authentication;
use std::net::{IpAddr, Ipv4Addr};

/// Internetwork control (RFC 791 3.1), as keepalived marks its packets.
const SERVICE: u8 = 0xc0;
const HEADER: usize = 20;

/// Makes the packets of one instance in a buffer that it keeps.
#[derive(Clone, Debug)]
pub struct Transmitter {
    message: Prepared,
    authentication: Authentication,
    packet: Vec<u8>,
    identification: u16,
    sequence: u32,
    signer: Option<Signer>,
}

impl Transmitter {
    /// `None` where the terms hold more addresses than a message can, 255.
    pub fn new(terms: &Terms) -> Option<Transmitter> {
        Some(Transmitter {
            message: message(terms)?,
            authentication: terms.authentication,
            packet: Vec::new(),
            identification: 0,
            sequence: 0,
            signer: terms.keyed().and_then(Signer::new),
        })
    }

    /// Goes on by other terms; the numbers of its packets go on too. `None`, and nothing changed, where they hold more
    /// addresses than a message can.
    pub fn change(&mut self, terms: &Terms) -> Option<()> {
        self.message = message(terms)?;
        self.authentication = terms.authentication;
        let before = self.signer.take();
        self.signer = terms.keyed().and_then(Signer::new).map(|signer| signer.after(before));
        Some(())
    }

    /// Tells it the time of day, which keyed hashes say until it is told another, and which authentication headers do not
    /// count below.
    pub fn at(&mut self, now: Timestamp) -> &mut Transmitter {
        self.follow(authentication::count_by(now));
        if let Some(signer) = &mut self.signer {
            signer.at(now);
        }
        self
    }

    /// Tells it that a number of an authentication header was sent by somebody: it goes on above.
    pub fn follow(&mut self, sequence: u32) {
        self.sequence = self.sequence.max(sequence);
    }

    /// An IPv4 packet, header and all, for a socket with `IP_HDRINCL`.
    pub fn ipv4(&mut self, priority: u8, form: Form, source: Ipv4Addr, destination: Ipv4Addr, ttl: u8) -> &[u8] {
        let message = self.message.with_priority(priority, form, source.into(), destination.into());
        let (protocol, before) = match self.authentication {
            Authentication::Header(_) => (authentication::PROTOCOL, authentication::LENGTH),
            Authentication::None | Authentication::Password(_) => (PROTOCOL, 0),
        };
        self.identification = self.identification.wrapping_add(1).max(1);
        let trailer = self.signer.as_mut().map(|signer| signer.sign(message, source.into()));
        let after = if trailer.is_some() { LENGTH } else { 0 };
        // At most 20 + 24 + 8 + 255 addresses of 4 bytes + 8 + 28.
        let length = u16::try_from(HEADER + before + message.len() + after).unwrap_or(u16::MAX).to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        self.packet.clear();
        self.packet.extend([0x45, SERVICE, length[0], length[1], i0, i1, 0, 0, ttl, protocol, 0, 0]);
        self.packet.extend(source.octets());
        self.packet.extend(destination.octets());
        if let Authentication::Header(key) = self.authentication {
            // Nobody hears a number that is used up; RFC 2402 3.3.2 asks for another key then.
            self.sequence = self.sequence.saturating_add(1);
            let unicast = !destination.is_multicast();
            let header = authentication::header(key, source, self.sequence, &self.packet, message, unicast);
            self.packet.extend(header);
        }
        self.packet.extend(message);
        self.packet.extend(trailer.iter().flatten());
        &self.packet
    }

    /// What follows an IPv6 header.
    pub fn ipv6(&mut self, priority: u8, source: IpAddr, destination: IpAddr) -> &[u8] {
        let message = self.message.with_priority(priority, Form::PseudoHeader, source, destination);
        let Some(signer) = &mut self.signer else { return message };
        let trailer = signer.sign(message, source);
        self.packet.clear();
        self.packet.extend(message);
        self.packet.extend(trailer);
        // Kernels judge the checksum of IPv6, over the whole payload; the hash does not depend on it.
        checksum::write(&mut self.packet, Form::PseudoHeader, source, destination);
        &self.packet
    }
}

fn message(terms: &Terms) -> Option<Prepared> {
    let (kind, password) = match terms.authentication {
        Authentication::None => (AuthenticationType::None, [0; 8]),
        Authentication::Password(password) => (AuthenticationType::Password, password),
        // The key stays at home.
        Authentication::Header(_) => (AuthenticationType::Header, [0; 8]),
    };
    Prepared::new(terms.version, terms.vrid, terms.interval, &terms.addresses, kind, password)
}

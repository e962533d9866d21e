//! What has to be right of an advertisement before the election hears of it (RFC 9568 7.1, RFC 3768 7.1).

use crate::{
    Reason, authentication,
    checksum::{self, Form},
    codec::{self, AuthenticationType, Message, PROTOCOL},
    hmac::{Timestamp, Verifier},
};
use evenkeel_model::vrrp::{AdvertInterval, Authentication, Hmac, Priority, Reach, Version, Vrid};
use std::{net::IpAddr, time::Duration};

/// Senders whose sequence numbers and checksum form are remembered; the one heard longest ago makes room.
pub const SENDERS: usize = 16;

/// What all routers of one virtual router agree on, and what this one was told of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Of the protocol.
    pub version: Version,
    /// The number on the link.
    pub vrid: Vrid,
    /// Of this router when it is master; in version 2, of all.
    pub interval: AdvertInterval,
    /// In the order they are advertised, of one family.
    pub addresses: Vec<IpAddr>,
    /// Version 2 only.
    pub authentication: Authentication,
    /// Keyed hashes behind the messages; without effect beside an authentication header.
    pub hmac: Option<Hmac>,
    /// Who is listened to.
    pub reach: Reach,
}

impl Terms {
    /// The keyed hashes that have an effect.
    pub(crate) fn keyed(&self) -> Option<&Hmac> {
        self.hmac.as_ref().filter(|_| !matches!(self.authentication, Authentication::Header(_)))
    }
}

/// A packet as the kernel hands it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// The group or this router.
    pub destination: IpAddr,
    /// The time to live it arrived with; `None` where the kernel did not say.
    pub hops: Option<u8>,
    protocol: u8,
    header: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Of a raw IPv4 socket: header and all.
    pub fn ipv4(bytes: &'a [u8]) -> Result<Packet<'a>, Reason> {
        let fixed: &[u8; 20] = bytes.first_chunk().ok_or(Reason::Header)?;
        let words = usize::from(fixed[0] & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if fixed[0] >> 4 != 4
            || words < fixed.len()
            || total < words
            || !matches!(fixed[9], PROTOCOL | authentication::PROTOCOL)
        {
            return Err(Reason::Header);
        }
        let (header, payload) = bytes.get(..total).ok_or(Reason::Length)?.split_at(words);
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        Ok(Packet {
            source: IpAddr::from([s0, s1, s2, s3]),
            destination: IpAddr::from([d0, d1, d2, d3]),
            hops: Some(fixed[8]),
            protocol: fixed[9],
            header,
            payload,
        })
    }

    /// Of a raw IPv6 socket, which keeps the header to itself.
    pub fn ipv6(source: IpAddr, destination: IpAddr, hops: Option<u8>, payload: &'a [u8]) -> Packet<'a> {
        Packet { source, destination, hops, protocol: PROTOCOL, header: &[], payload }
    }

    /// The virtual router it is about, for whoever hands packets out; nothing of it has been judged.
    pub fn vrid(&self) -> Option<Vrid> {
        let message = match self.protocol {
            authentication::PROTOCOL => self.payload.get(authentication::LENGTH..)?,
            _ => self.payload,
        };
        Vrid::new(*message.get(1)?)
    }
}

/// An advertisement that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The master's address on the link.
    pub source: IpAddr,
    /// 0: it leaves.
    pub priority: u8,
    /// How often it speaks.
    pub interval: Duration,
    /// It names other addresses than this router's. Version 3 goes by the number of the virtual router alone
    /// (RFC 9568 7.1): while a pair gets an address more, one node after the other, both keep one master.
    pub other_addresses: bool,
}

/// Judges the packets of one instance.
#[derive(Clone, Debug)]
pub struct Receiver {
    terms: Terms,
    senders: [Option<Sender>; SENDERS],
    heard: u64,
    sequence: u32,
    verifier: Verifier,
}

/// What is remembered of one router.
#[derive(Clone, Copy, Debug)]
struct Sender {
    address: IpAddr,
    /// Of the authentication header.
    sequence: Option<u32>,
    form: Form,
    /// Which packet was its last.
    last: u64,
}

impl Receiver {
    /// One that has heard nobody.
    pub fn new(terms: Terms) -> Receiver {
        Receiver { terms, senders: [None; SENDERS], heard: 0, sequence: 0, verifier: Verifier::default() }
    }

    /// Judges by other terms; what is known of the senders stays.
    pub fn change(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Tells it the time of day, by which keyed hashes are judged until it is told another.
    pub fn at(&mut self, now: Timestamp) -> &mut Receiver {
        self.verifier.at(now);
        self
    }

    /// Judges `packet`; `own` is the address this router sends from.
    pub fn receive(&mut self, packet: &Packet<'_>, own: IpAddr) -> Result<Heard, Reason> {
        if packet.source == own {
            return Err(Reason::Looped);
        }
        self.judge_way(packet)?;
        let (header, bytes) = match (self.terms.authentication, packet.protocol) {
            (Authentication::Header(_), authentication::PROTOCOL) => {
                let (header, message) = authentication::split(packet.payload)?;
                (Some(header), message)
            }
            (Authentication::Header(_), _) | (_, authentication::PROTOCOL) => return Err(Reason::AuthenticationType),
            (Authentication::None | Authentication::Password(_), _) => (None, packet.payload),
        };
        let ipv6 = packet.source.is_ipv6();
        let length = codec::announced_length(bytes, ipv6).filter(|_| self.terms.keyed().is_some());
        let (bytes, trailer) = bytes.split_at(length.unwrap_or(bytes.len()).min(bytes.len()));
        let message = Message::decode(bytes, ipv6)?;
        if message.version != self.terms.version {
            return Err(Reason::Version);
        }
        if let Some(hmac) = self.terms.keyed() {
            self.verifier.verify(hmac, bytes, trailer, packet.source)?;
        }
        let form = self.judge_checksum(bytes, packet).or_else(|wrong| match trailer {
            [] => Err(wrong),
            // A kernel that writes the checksum counts in all that follows.
            _ => self.judge_checksum(packet.payload, packet),
        })?;
        self.judge_authentication(&message, header.as_ref(), packet)?;
        if message.version == Version::Two && message.interval != self.terms.interval.get() {
            return Err(Reason::Interval);
        }
        if message.interval.is_zero() {
            // Nothing could be awaited from a master that speaks every 0 ms.
            return Err(Reason::Interval);
        }
        let ours = &self.terms.addresses;
        let other_addresses =
            message.addresses.len() != ours.len() || !ours.iter().all(|address| message.addresses.contain(address));
        // RFC 3768 7.1 has those of version 2 dropped, but for an owner's.
        if other_addresses && message.version == Version::Two && message.priority != Priority::OWNER.get() {
            return Err(Reason::Addresses);
        }
        self.remember(packet.source, header.map(|header| header.sequence), form);
        let (source, priority, interval) = (packet.source, message.priority, message.interval);
        Ok(Heard { source, priority, interval, other_addresses })
    }

    /// In which form the checksum to `address`, or to the group for `None`, is sent: as it was last heard from there,
    /// else as keepalived and FRR have it.
    pub fn form(&self, address: Option<IpAddr>) -> Form {
        if self.terms.version == Version::Two {
            return Form::MessageOnly;
        }
        let known = self.senders.iter().flatten().filter(|sender| address.is_none_or(|peer| peer == sender.address));
        known.max_by_key(|sender| sender.last).map_or(Form::PseudoHeader, |sender| sender.form)
    }

    /// The highest number of an authentication header that anybody was heard to send; 0 where nobody was.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// What was agreed on.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Where it comes from, where it went and over how many routers.
    fn judge_way(&self, packet: &Packet<'_>) -> Result<(), Reason> {
        match &self.terms.reach {
            Reach::Multicast if !packet.destination.is_multicast() => Err(Reason::Destination),
            Reach::Unicast { .. } if packet.destination.is_multicast() => Err(Reason::Destination),
            Reach::Multicast if packet.hops != Some(255) => Err(Reason::Hops),
            Reach::Multicast => Ok(()),
            Reach::Unicast { peers, check_source } => match peers.iter().find(|peer| peer.address == packet.source) {
                Some(peer) if packet.hops.is_some_and(|hops| !peer.hops.contains(&hops)) => Err(Reason::Hops),
                None if *check_source => Err(Reason::Source),
                Some(_) | None => Ok(()),
            },
        }
    }

    fn judge_checksum(&self, bytes: &[u8], packet: &Packet<'_>) -> Result<Form, Reason> {
        match self.terms.version {
            // RFC 3768 5.3.8: over the message.
            Version::Two => checksum::matches(bytes, Form::MessageOnly, packet.source, packet.destination)
                .then_some(Form::MessageOnly),
            Version::Three => checksum::recognize(bytes, packet.source, packet.destination),
        }
        .ok_or(Reason::Checksum)
    }

    fn judge_authentication(
        &self,
        message: &Message<'_>,
        header: Option<&authentication::Header>,
        packet: &Packet<'_>,
    ) -> Result<(), Reason> {
        if message.version == Version::Three {
            return Ok(());
        }
        let (wanted, proved) = match (self.terms.authentication, header) {
            (Authentication::None, _) => (AuthenticationType::None, true),
            (Authentication::Password(ours), _) => (AuthenticationType::Password, same(&ours, &message.password)),
            (Authentication::Header(key), Some(header)) => {
                let unicast = !packet.destination.is_multicast();
                let proved = authentication::proves(header, key, packet.header, packet.payload, unicast);
                (AuthenticationType::Header, proved)
            }
            (Authentication::Header(_), None) => (AuthenticationType::Header, false),
        };
        if message.authentication != wanted as u8 {
            let known = [AuthenticationType::None, AuthenticationType::Password, AuthenticationType::Header];
            let known = known.iter().any(|kind| message.authentication == *kind as u8);
            return Err(if known { Reason::AuthenticationType } else { Reason::UnknownAuthentication });
        }
        if !proved {
            return Err(Reason::Authentication);
        }
        let last = self.sender(packet.source).and_then(|sender| sender.sequence);
        match (header, last) {
            // RFC 2402 3.4.3. One that has begun anew counts from 1 again and is not heard, until it has heard a
            // higher number and goes on from there, as keepalived does.
            (Some(header), Some(last)) if header.sequence <= last => Err(Reason::Replay),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn sender(&self, address: IpAddr) -> Option<&Sender> {
        self.senders.iter().flatten().find(|sender| sender.address == address)
    }

    fn remember(&mut self, address: IpAddr, sequence: Option<u32>, form: Form) {
        self.heard += 1;
        self.sequence = self.sequence.max(sequence.unwrap_or(0));
        let known = self.senders.iter().position(|sender| sender.is_some_and(|sender| sender.address == address));
        let oldest = || (0..SENDERS).min_by_key(|&at| self.senders[at].map_or(0, |sender| sender.last));
        if let Some(place) = known.or_else(oldest).and_then(|at| self.senders.get_mut(at)) {
            *place = Some(Sender { address, sequence, form, last: self.heard });
        }
    }
}

/// In a time that does not tell how much of it is right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

//! Single packets and what must become of them, rule by rule: the same table for the reference and for the program.
//!
//! Each case is one row, told for both families and both doors where it makes sense. Expected frames are built, never
//! taken from what an implementation answers.

mod errors;
mod four;
mod fragments;
mod full_nat;
mod headers;
mod limits;
mod marks;
mod nat;
mod rows;
mod sctp;
mod services;
mod six;
mod tunnels;
mod ways;

use super::{
    Door, Sighting, Topic, Traffic, Verdict,
    bed::{self, CLIENTS, CLIENTS_MAC, INSIDE, OUTSIDE, OWN_MAC, SERVER_MAC},
    build::{self, Frame},
};
use evenkeel_abi::{Reason, hash::Secret};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// A case of one family and door.
#[derive(Clone, Debug)]
pub struct Case {
    /// The rule it shows.
    pub rule: &'static str,
    /// What it says, with family and door.
    pub name: String,
    /// Where the frames come in.
    pub door: Door,
    /// Frames that come first.
    pub before: Vec<Vec<u8>>,
    /// The frame in question.
    pub frame: Vec<u8>,
    /// What must become of it.
    pub expected: Sighting,
}

/// Rows that are about one thing.
struct Group {
    /// What must be on.
    topics: &'static [Topic],
    /// `None`: both families.
    v6: Option<bool>,
    rows: &'static [Told],
}

const fn both(topics: &'static [Topic], rows: &'static [Told]) -> Group {
    Group { topics, v6: None, rows }
}

const fn one(topics: &'static [Topic], v6: bool, rows: &'static [Told]) -> Group {
    Group { topics, v6: Some(v6), rows }
}

const GROUPS: &[Group] = &[
    both(&[Topic::Direct], rows::ROWS),
    one(&[Topic::Direct], false, four::ROWS),
    one(&[Topic::Direct], true, six::ROWS),
    both(&[Topic::Vlan], headers::TAGS),
    one(&[Topic::Extensions], true, headers::EXTENSIONS),
    both(&[Topic::Fragments], fragments::ROWS),
    one(&[Topic::Fragments], false, fragments::FOUR),
    one(&[Topic::Fragments], true, fragments::SIX),
    both(&[Topic::Sctp], sctp::ROWS),
    both(&[Topic::Sctp, Topic::OtherErrors], sctp::ERRORS),
    both(&[Topic::Sctp, Topic::Nat], sctp::NAT),
    both(&[Topic::Sctp, Topic::Behaviour], sctp::SLOPPY),
    both(&[Topic::Behaviour], services::BEHAVIOUR),
    both(&[Topic::Limits], limits::ROWS),
    both(&[Topic::Marks], marks::ROWS),
    both(&[Topic::Marks, Topic::OtherErrors], marks::ERRORS),
    both(&[Topic::Nat], nat::ROWS),
    both(&[Topic::Nat, Topic::Vlan], ways::ROWS),
    one(&[Topic::Nat], false, nat::FOUR),
    both(&[Topic::Nat, Topic::Fragments], nat::FRAGMENTS),
    both(&[Topic::Nat, Topic::AnswerFragments], nat::ANSWER_FRAGMENTS),
    both(&[Topic::FullNat], full_nat::ROWS),
    both(&[Topic::Nat, Topic::Errors], errors::NAT),
    both(&[Topic::FullNat, Topic::Errors], errors::FULL_NAT),
    one(&[Topic::Direct, Topic::Extensions], true, errors::DIRECT_EXTENSIONS),
    one(&[Topic::Nat, Topic::Errors, Topic::Extensions], true, errors::NAT_EXTENSIONS),
    both(&[Topic::Nat, Topic::TooBig, Topic::Errors, Topic::Fragments, Topic::AnswerFragments], nat::TOO_BIG),
    both(&[Topic::FullNat, Topic::TooBig], nat::FULLNAT_TOO_BIG),
    both(&[Topic::Nat, Topic::OnePacket], nat::ONE_PACKET),
    both(&[Topic::FullNat, Topic::OnePacket], nat::ONE_PACKET_FULLNAT),
    both(&[Topic::Sctp, Topic::Nat, Topic::Fragments], sctp::FRAGMENTS),
    both(&[Topic::Sctp, Topic::Nat, Topic::AnswerFragments], sctp::ANSWER_FRAGMENTS),
    both(&[Topic::Tunnels], tunnels::ROWS),
    both(&[Topic::Tunnels, Topic::Fragments], tunnels::FRAGMENTS),
    both(&[Topic::TooBig], tunnels::TOO_BIG),
];

/// All cases about these topics, for the services of [`bed::lay`] on a host that forwards with the routes of
/// [`bed::routes`]. No two share a client's port, so all can run on one data plane, in order.
pub fn cases(topics: &[Topic], secret: Secret) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut number = 1024;
    for group in GROUPS.iter().filter(|group| group.topics.iter().all(|topic| topics.contains(topic))) {
        for v6 in [false, true].into_iter().filter(|v6| group.v6.is_none_or(|only| only == *v6)) {
            for (rule, name, make) in group.rows {
                for door in [Door::Xdp, Door::Tc] {
                    number += 1;
                    let ends = Ends { v6, door, number, secret };
                    let Row { before, frame, then } = make(&ends);
                    let before = before.iter().map(Frame::bytes).collect();
                    let expected = then.sighting(door, &frame);
                    let name = format!("{name}, IPv{} at {door:?}", if v6 { 6 } else { 4 });
                    cases.push(Case { rule, name, door, before, frame: frame.bytes(), expected });
                }
            }
        }
    }
    cases
}

/// Most cases that a data plane may have no way to be handed.
const REFUSED: usize = 4;

/// Runs all cases about these topics on a data plane that is empty and whose hashes are keyed with `secret`; what differs,
/// as text.
pub fn differences<T: Traffic + ?Sized>(plane: &mut T, topics: &[Topic], secret: Secret) -> io::Result<Vec<String>> {
    bed::lay(plane, topics)?;
    let (mut differences, mut refused) = (Vec::new(), Vec::new());
    for Case { rule, name, door, before, frame, expected } in cases(topics, secret) {
        for frame in &before {
            plane.frame(door, OUTSIDE, frame)?;
        }
        match plane.frame(door, OUTSIDE, &frame) {
            Ok(seen) if seen == expected => {}
            Ok(seen) => {
                differences.push(format!("{rule}: {name}:\n  seen     {seen:02x?}\n  expected {expected:02x?}"))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => refused.push(name),
            Err(error) => return Err(error),
        }
    }
    if refused.len() > REFUSED {
        differences.push(format!("cannot be handed over: {}", refused.join("; ")));
    }
    Ok(differences)
}

/// A row: the rule, what is said, and the frames.
type Told = (&'static str, &'static str, fn(&Ends) -> Row);

/// Who talks to whom in a case.
struct Ends {
    v6: bool,
    door: Door,
    /// The client's port.
    number: u16,
    secret: Secret,
}

struct Row {
    before: Vec<Frame>,
    frame: Frame,
    then: Then,
}

/// What becomes of a frame.
enum Then {
    Pass(Option<Reason>),
    Drop(Reason),
    /// Sent out of the interface as this.
    Sent(u32, Frame),
    /// The same, as bytes.
    SentBytes(u32, Vec<u8>),
    /// To the stack as this.
    PassAs(Frame),
    /// Dropped, but this goes back to where the frame came from.
    Answered(Reason, Frame),
}

impl Then {
    fn sighting(self, door: Door, frame: &Frame) -> Sighting {
        match self {
            Then::Pass(reason) => Sighting { verdict: Verdict::Pass, frame: frame.bytes(), reason },
            Then::Drop(reason) => Sighting { verdict: Verdict::Drop, frame: Vec::new(), reason: Some(reason) },
            Then::Sent(interface, frame) => Then::SentBytes(interface, frame.bytes()).sighting(door, &frame),
            Then::SentBytes(interface, frame) => {
                let back = interface == OUTSIDE && door == Door::Xdp;
                let verdict = if back { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame, reason: None }
            }
            Then::PassAs(frame) => Sighting { verdict: Verdict::Pass, frame: frame.bytes(), reason: None },
            Then::Answered(reason, frame) => {
                let verdict = if door == Door::Xdp { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame: frame.bytes(), reason: Some(reason) }
            }
        }
    }
}

impl Ends {
    fn client(&self) -> SocketAddr {
        SocketAddr::new(bed::client(self.v6, 5), self.number)
    }

    /// A client by its last number.
    fn other_client(&self, host: u8) -> SocketAddr {
        SocketAddr::new(bed::client(self.v6, host), self.number)
    }

    fn service(&self, port: u16) -> SocketAddr {
        SocketAddr::new(bed::virtual_address(self.v6), port)
    }

    fn tcp(&self, port: u16, flags: u8) -> Frame {
        build::tcp(self.client(), self.service(port), flags)
    }

    fn syn(&self, port: u16) -> Frame {
        self.tcp(port, build::SYN)
    }

    fn udp(&self, port: u16) -> Frame {
        build::udp(self.client(), self.service(port))
    }

    /// An ICMP error from a router about what the service sent: `quoted` went from it to the client.
    fn error(&self, quoted: &Frame) -> Frame {
        self.error_of_kind(if self.v6 { 1 } else { 3 }, quoted)
    }

    fn error_of_kind(&self, kind: u8, quoted: &Frame) -> Frame {
        build::icmp(self.router(), bed::virtual_address(self.v6), kind, &quoted.quote())
    }

    /// A real server by its last number, and port.
    fn server(&self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::new(bed::real_server(self.v6, host), port)
    }

    /// The kind of an ICMP error that says that a host or port cannot be reached.
    fn unreachable(&self) -> u8 {
        if self.v6 { 1 } else { 3 }
    }

    fn router(&self) -> IpAddr {
        bed::client(self.v6, 1)
    }

    /// A packet of the service to the client.
    fn reply(&self, port: u16) -> Frame {
        build::tcp(self.service(port), self.client(), build::ACK)
    }

    fn udp_reply(&self, port: u16) -> Frame {
        build::udp(self.service(port), self.client())
    }
}

fn pass(frame: Frame) -> Row {
    Row { before: Vec::new(), frame, then: Then::Pass(None) }
}

fn no_connection(frame: Frame) -> Row {
    Row { before: Vec::new(), frame, then: Then::Pass(Some(Reason::NoConnection)) }
}

fn dropped(reason: Reason, frame: Frame) -> Row {
    Row { before: Vec::new(), frame, then: Then::Drop(reason) }
}

/// As it is when it goes to a real server: one less to live, other MAC addresses.
fn rewritten(frame: &Frame) -> Frame {
    frame.clone().ttl(frame.time_to_live() - 1).macs(SERVER_MAC, OWN_MAC)
}

fn sent(frame: Frame) -> Row {
    let then = Then::Sent(INSIDE, rewritten(&frame));
    Row { before: Vec::new(), frame, then }
}

fn sent_back(frame: Frame) -> Row {
    let then = Then::Sent(OUTSIDE, rewritten(&frame));
    Row { before: Vec::new(), frame, then }
}

/// Sent to a next hop that the kernel finds, at tc; at XDP dropped.
fn resolved_at_tc(ends: &Ends, frame: Frame) -> Row {
    let then = match ends.door {
        Door::Xdp => Then::Drop(Reason::NoNextHop),
        Door::Tc => Then::Sent(INSIDE, frame.clone().ttl(frame.time_to_live() - 1)),
    };
    Row { before: Vec::new(), frame, then }
}

/// A ping.
fn icmp_echo(e: &Ends, from: IpAddr, to: IpAddr) -> Frame {
    build::icmp(from, to, if e.v6 { 128 } else { 8 }, b"echo")
}

/// As it is when it goes to the client whose port this is.
fn returned(frame: &Frame, client: IpAddr) -> Frame {
    let mac = bed::client_mac(client).unwrap_or_default();
    frame.clone().ttl(frame.time_to_live() - 1).macs(mac, CLIENTS_MAC)
}

/// Goes to its real server as another frame.
fn sent_as(frame: Frame, other: &Frame) -> Row {
    let then = Then::Sent(INSIDE, rewritten(other));
    Row { before: Vec::new(), frame, then }
}

/// Goes to a client as another frame.
fn returned_as(frame: Frame, other: &Frame, client: IpAddr) -> Row {
    let then = Then::Sent(CLIENTS, returned(other, client));
    Row { before: Vec::new(), frame, then }
}

impl Row {
    /// With frames that come first.
    fn after(self, before: impl IntoIterator<Item = Frame>) -> Row {
        Row { before: before.into_iter().collect(), ..self }
    }
}

#[cfg(test)]
mod tests;

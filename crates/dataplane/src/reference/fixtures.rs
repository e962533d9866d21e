//! Single packets and what must become of them, rule by rule: the same table for the reference and for the program.
//!
//! Each case is one row, told for both families and both doors where it makes sense. Expected frames are built, never
//! taken from what an implementation answers.

mod four;
mod rows;
mod six;

use super::{
    Door, Sighting, Traffic, Verdict,
    bed::{self, INSIDE, OUTSIDE, OWN_MAC, SERVER_MAC},
    build::{self, Frame},
};
use evenkeel_abi::Reason;
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

/// All cases, for the services of [`bed::lay`]. No two share a client's port, so all can run on one data plane, in order.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut number = 1024;
    for v6 in [false, true] {
        let own = if v6 { six::ROWS } else { four::ROWS };
        for (rule, name, make) in rows::ROWS.iter().chain(own) {
            for door in [Door::Xdp, Door::Tc] {
                number += 1;
                let ends = Ends { v6, door, number };
                let Row { before, frame, then } = make(&ends);
                let before = before.iter().map(Frame::bytes).collect();
                let expected = then.sighting(door, &frame);
                let name = format!("{name}, IPv{} at {door:?}", if v6 { 6 } else { 4 });
                cases.push(Case { rule, name, door, before, frame: frame.bytes(), expected });
            }
        }
    }
    cases
}

/// Most cases that a data plane may have no way to be handed.
const REFUSED: usize = 4;

/// Runs all cases on a data plane that is empty; what differs, as text.
pub fn differences<T: Traffic + ?Sized>(plane: &mut T) -> io::Result<Vec<String>> {
    bed::lay(plane)?;
    let (mut differences, mut refused) = (Vec::new(), Vec::new());
    for Case { rule, name, door, before, frame, expected } in cases() {
        for frame in &before {
            plane.frame(door, OUTSIDE, frame)?;
        }
        match plane.frame(door, OUTSIDE, &frame) {
            Ok(seen) if seen == expected => {}
            Ok(seen) => differences.push(format!("{rule}: {name}:\n  seen     {seen:x?}\n  expected {expected:x?}")),
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
}

impl Then {
    fn sighting(self, door: Door, frame: &Frame) -> Sighting {
        match self {
            Then::Pass(reason) => Sighting { verdict: Verdict::Pass, frame: frame.bytes(), reason },
            Then::Drop(reason) => Sighting { verdict: Verdict::Drop, frame: Vec::new(), reason: Some(reason) },
            Then::Sent(interface, frame) => {
                let back = interface == OUTSIDE && door == Door::Xdp;
                let verdict = if back { Verdict::Transmit } else { Verdict::Redirect };
                Sighting { verdict, frame: frame.bytes(), reason: None }
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

impl Row {
    /// With frames that come first.
    fn after(self, before: impl IntoIterator<Item = Frame>) -> Row {
        Row { before: before.into_iter().collect(), ..self }
    }
}

#[cfg(test)]
mod tests;

//! States of a connection (PP-13 to PP-16), written down from the rules and the kernel's tables.

mod sctp;
mod tcp;

pub(super) use sctp::Association;
pub(super) use tcp::Tcp;

use super::wire;
use evenkeel_model::Timeouts;

/// What a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// By the flags of its packets.
    Tcp(Tcp),
    /// By the first chunks of its packets.
    Sctp(Association),
    /// The only state of UDP.
    Udp,
    /// The only state of any other protocol.
    Other,
}

/// What a packet means for the state of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// TCP: its flags.
    Tcp(Flags),
    /// SCTP: the type of its first chunk.
    Sctp(u8),
    /// All others have no states.
    Other,
}

/// Which side a packet comes from, and what the director sees of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client; the answers do not cross the director.
    InputOnly,
    /// From the client; the answers cross the director.
    Input,
    /// From the real server.
    Output,
}

/// Flags of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) fin: bool,
    pub(super) syn: bool,
    pub(super) rst: bool,
    pub(super) ack: bool,
}

impl Flags {
    pub(super) fn new(byte: u8) -> Flags {
        Flags { fin: byte & 1 != 0, syn: byte & 2 != 0, rst: byte & 4 != 0, ack: byte & 16 != 0 }
    }

    /// Sets no stack sends (PP-7).
    pub(super) fn are_bad(self) -> bool {
        let Flags { fin, syn, rst, ack } = self;
        let begins_and_ends = syn && (fin || rst);
        let ends_unannounced = fin && !ack && !rst;
        let says_nothing = !(syn || ack || rst || fin);
        begins_and_ends || ends_unannounced || says_nothing
    }
}

impl Event {
    /// Whether it asks for a connection (PP-11, PP-12).
    pub(super) fn opens(self) -> bool {
        match self {
            Event::Tcp(flags) => flags.syn && !flags.ack,
            Event::Sctp(chunk) => chunk == sctp::INIT,
            Event::Other => true,
        }
    }

    /// Whether not even a sloppy service makes a connection of it (PP-11).
    pub(super) fn aborts(self) -> bool {
        match self {
            Event::Tcp(flags) => flags.rst,
            Event::Sctp(chunk) => chunk == sctp::ABORT,
            Event::Other => false,
        }
    }
}

impl State {
    /// That of a connection which this packet makes.
    pub(super) fn first(protocol: u8, event: Event, direction: Direction) -> State {
        match (event, protocol) {
            (Event::Tcp(flags), _) => State::Tcp(Tcp::None.after(flags, direction)),
            (Event::Sctp(chunk), _) => State::Sctp(Association::None.after(chunk, direction)),
            (Event::Other, wire::UDP) => State::Udp,
            (Event::Other, _) => State::Other,
        }
    }

    /// The state after a packet.
    pub(super) fn after(self, event: Event, direction: Direction) -> State {
        match (self, event) {
            (State::Tcp(state), Event::Tcp(flags)) => State::Tcp(state.after(flags, direction)),
            (State::Sctp(state), Event::Sctp(chunk)) => State::Sctp(state.after(chunk, direction)),
            (state, _) => state,
        }
    }

    /// How long it lasts without a packet.
    pub(super) fn seconds(self, timeouts: &Timeouts) -> u32 {
        match self {
            State::Tcp(Tcp::Established) => timeouts.tcp.unwrap_or(900),
            State::Tcp(Tcp::FinWait) => timeouts.tcp_fin.unwrap_or(120),
            State::Udp => timeouts.udp.unwrap_or(300),
            State::Tcp(state) => state.seconds(),
            State::Sctp(state) => state.seconds(),
            State::Other => 300,
        }
    }

    /// As IPVS names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Tcp(state) => state.name(),
            State::Sctp(state) => state.name(),
            State::Udp => "UDP",
            State::Other => "NONE",
        }
    }

    /// PP-15.
    pub(super) fn is_active(self) -> bool {
        match self {
            State::Tcp(state) => matches!(state, Tcp::Established | Tcp::SynSent | Tcp::SynRecv | Tcp::SynAck),
            State::Sctp(state) => state == Association::Established,
            State::Udp | State::Other => false,
        }
    }

    /// Whether both ends have shaken hands.
    pub(super) fn is_established(self) -> bool {
        matches!(self, State::Tcp(Tcp::Established) | State::Sctp(Association::Established))
    }

    /// Whether a packet that opens is a new connection (PP-14).
    pub(super) fn is_over(self) -> bool {
        match self {
            State::Tcp(state) => {
                matches!(state, Tcp::FinWait | Tcp::TimeWait | Tcp::Close | Tcp::CloseWait | Tcp::LastAck)
            }
            State::Sctp(state) => matches!(state, Association::Closed | Association::Rejected),
            State::Udp | State::Other => false,
        }
    }

    /// Whether the real server has not been heard of yet, as far as can be seen.
    pub(super) fn is_half_open(self) -> bool {
        matches!(self, State::Tcp(Tcp::SynRecv) | State::Sctp(Association::Init1))
    }

    /// How willingly its slot is given away; `None`: never (PP-16).
    pub(super) fn dispensable(self) -> Option<u8> {
        match self {
            State::Tcp(Tcp::Close | Tcp::TimeWait) | State::Sctp(Association::Closed) => Some(1),
            state if state.is_half_open() => Some(2),
            State::Tcp(_) | State::Sctp(_) | State::Udp | State::Other => None,
        }
    }
}

#[cfg(test)]
mod tests;

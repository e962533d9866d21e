//! States of connections of every protocol, their timeouts, and the one table of transitions (PP-13).

use crate::{sctp, tcp};

/// A connection's state. Numbers 0 to 10 are those IPVS uses for TCP on its sync wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// No packet decided yet.
    None = 0,
    /// Data flows.
    Established = 1,
    /// The real server's SYN came first.
    SynSent = 2,
    /// The client's SYN went to the real server.
    SynRecv = 3,
    /// One side has sent FIN.
    FinWait = 4,
    /// Closed, waiting.
    TimeWait = 5,
    /// Reset.
    Close = 6,
    /// The client has sent FIN, the real server has not.
    CloseWait = 7,
    /// Both have sent FIN.
    LastAck = 8,
    /// Not used by packets.
    Listen = 9,
    /// Only with the kernel's secure_tcp.
    SynAck = 10,
    /// UDP has one state.
    Udp = 11,
    /// Not a connection but the way back of one: the link of the slot names it (PP-41).
    Reverse = 12,
    /// A persistent client (PP-34).
    Template = 13,
    /// Any other protocol of a service by mark.
    Other = 14,
    /// The slot's connection is over and accounted for; the slot may be taken.
    Dead = 15,
    /// SCTP: no chunk decided yet.
    SctpNone = 16,
    /// The client's INIT went to the real server.
    SctpInit1 = 17,
    /// The real server has answered it.
    SctpInit = 18,
    /// Not used.
    SctpCookieSent = 19,
    /// Not used.
    SctpCookieReplied = 20,
    /// Not used.
    SctpCookieWait = 21,
    /// Not used.
    SctpCookie = 22,
    /// The client has sent COOKIE ECHO.
    SctpCookieEchoed = 23,
    /// Data flows.
    SctpEstablished = 24,
    /// The real server has sent SHUTDOWN.
    SctpShutdownSent = 25,
    /// The client has sent SHUTDOWN.
    SctpShutdownReceived = 26,
    /// One side has sent SHUTDOWN ACK.
    SctpShutdownAckSent = 27,
    /// The association was refused.
    SctpRejected = 28,
    /// The association is over.
    SctpClosed = 29,
}

/// Highest state number plus one; a power of two, so that a mask bounds it.
pub const STATES: usize = 32;

/// Rows of [`NEXT`]; a power of two, so that a mask bounds them.
pub const ROWS: usize = 64;

/// From where a packet came, as rows of [`NEXT`] know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Direction {
    /// From the client; the answers do not cross the director (direct routing, tunnels, local).
    InputOnly = 0,
    /// From the client; the answers cross the director.
    Input = 1,
    /// From the real server.
    Output = 2,
}

/// Next state by row ([`tcp::row`], [`sctp::row`]) and state: index `row * STATES + state`. States of another protocol
/// stay what they are.
pub const NEXT: [u8; ROWS * STATES] = next_states();

const fn next_states() -> [u8; ROWS * STATES] {
    let mut table = [0; ROWS * STATES];
    let mut index = 0;
    while index < table.len() {
        let (row, state) = (index / STATES, index % STATES);
        table[index] = if row < tcp::ROWS && state < tcp::STATES {
            tcp::NEXT[row][state]
        } else if row >= tcp::ROWS && row < tcp::ROWS + sctp::ROWS && state >= sctp::FIRST && state <= sctp::LAST {
            sctp::next(row - tcp::ROWS, state)
        } else {
            state as u8
        };
        index += 1;
    }
    table
}

/// Timeouts in seconds by state; the daemon turns them into ticks. That of templates is the service's own.
#[rustfmt::skip]
pub const TIMEOUT_SECONDS: [u32; STATES] = [
    2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300, 0, 360, 300, 0,
    2, 60, 60, 60, 60, 60, 60, 60, 900, 60, 60, 60, 60, 60, 0, 0,
];

const ACTIVE: u32 = 1 << State::Established as u32
    | 1 << State::SynSent as u32
    | 1 << State::SynRecv as u32
    | 1 << State::SynAck as u32
    | 1 << State::SctpEstablished as u32;

/// Whether a state counts as active (PP-15).
#[inline(always)]
pub const fn is_active(state: u32) -> bool {
    ACTIVE >> (state & 31) & 1 != 0
}

const REUSABLE: u32 = 1 << State::FinWait as u32
    | 1 << State::TimeWait as u32
    | 1 << State::Close as u32
    | 1 << State::CloseWait as u32
    | 1 << State::LastAck as u32
    | 1 << State::SctpClosed as u32
    | 1 << State::SctpRejected as u32;

/// Whether an opening packet in this state is a new connection (PP-14).
#[inline(always)]
pub const fn is_reusable(state: u32) -> bool {
    REUSABLE >> (state & 31) & 1 != 0
}

const HALF_OPEN: u32 = 1 << State::SynRecv as u32 | 1 << State::SctpInit1 as u32;

/// Whether the client has asked and has not been heard since.
#[inline(always)]
pub const fn is_half_open(state: u32) -> bool {
    HALF_OPEN >> (state & 31) & 1 != 0
}

const CLOSED: u32 = 1 << State::Close as u32 | 1 << State::TimeWait as u32 | 1 << State::SctpClosed as u32;

/// Whether nothing more is to be expected (PP-16).
#[inline(always)]
pub const fn is_closed(state: u32) -> bool {
    CLOSED >> (state & 31) & 1 != 0
}

const ESTABLISHED: u32 = 1 << State::Established as u32 | 1 << State::SctpEstablished as u32;

/// Whether both sides have agreed.
#[inline(always)]
pub const fn is_established(state: u32) -> bool {
    ESTABLISHED >> (state & 31) & 1 != 0
}

const UNCOUNTED: u32 = 1 << State::Reverse as u32 | 1 << State::Template as u32 | 1 << State::Dead as u32;

/// Whether it is a connection, which counts as active or inactive; ways back and templates do not.
#[inline(always)]
pub const fn is_connection(state: u32) -> bool {
    UNCOUNTED >> (state & 31) & 1 == 0
}

/// A state's name as IPVS shows it.
pub const fn name(state: u32) -> &'static str {
    const NAMES: [&str; STATES] = [
        "NONE",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "SYNACK",
        "UDP",
        "NONE",
        "NONE",
        "NONE",
        "NONE",
        "NONE",
        "INIT1",
        "INIT",
        "C-SENT",
        "C-REPLIED",
        "C-WAIT",
        "COOKIE",
        "C-ECHOED",
        "ESTABLISHED",
        "S-SENT",
        "S-RECEIVED",
        "S-ACK-SENT",
        "REJECTED",
        "CLOSED",
        "NONE",
        "NONE",
    ];
    NAMES[(state & 31) as usize]
}

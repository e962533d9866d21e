//! SCTP chunks and what they make of an association's state (RFC 9260), as seen from between the two ends.

use crate::state::{Direction, State};

/// IANA number.
pub const PROTOCOL: u8 = 132;

/// First SCTP state.
pub const FIRST: usize = State::SctpNone as usize;
/// Last one.
pub const LAST: usize = State::SctpClosed as usize;

/// Row of a chunk: anything that changes nothing, as DATA, SACK and HEARTBEAT.
pub const EVENT_DATA: u32 = 0;
/// INIT.
pub const EVENT_INIT: u32 = 1;
/// INIT ACK.
pub const EVENT_INIT_ACK: u32 = 2;
/// COOKIE ECHO.
pub const EVENT_COOKIE_ECHO: u32 = 3;
/// COOKIE ACK.
pub const EVENT_COOKIE_ACK: u32 = 4;
/// SHUTDOWN.
pub const EVENT_SHUTDOWN: u32 = 5;
/// SHUTDOWN ACK.
pub const EVENT_SHUTDOWN_ACK: u32 = 6;
/// SHUTDOWN COMPLETE.
pub const EVENT_SHUTDOWN_COMPLETE: u32 = 7;
/// ERROR.
pub const EVENT_ERROR: u32 = 8;
/// ABORT.
pub const EVENT_ABORT: u32 = 9;

const EVENTS: usize = 10;

/// Rows of [`crate::state::NEXT`] behind those of TCP.
pub const ROWS: usize = 3 * EVENTS;

/// The event of a chunk type (RFC 9260 section 3.2).
#[inline(always)]
pub const fn event(chunk: u8) -> u32 {
    match chunk {
        1 => EVENT_INIT,
        2 => EVENT_INIT_ACK,
        6 => EVENT_ABORT,
        7 => EVENT_SHUTDOWN,
        8 => EVENT_SHUTDOWN_ACK,
        9 => EVENT_ERROR,
        10 => EVENT_COOKIE_ECHO,
        11 => EVENT_COOKIE_ACK,
        14 => EVENT_SHUTDOWN_COMPLETE,
        _ => EVENT_DATA,
    }
}

/// Row of [`crate::state::NEXT`].
#[inline(always)]
pub const fn row(direction: Direction, event: u32) -> u32 {
    crate::tcp::ROWS as u32 + direction as u32 * EVENTS as u32 + event
}

/// The state after a row's event.
pub(crate) const fn next(row: usize, state: usize) -> u8 {
    const NONE: usize = State::SctpNone as usize;
    const INIT1: usize = State::SctpInit1 as usize;
    const INIT: usize = State::SctpInit as usize;
    const ECHOED: usize = State::SctpCookieEchoed as usize;
    const ESTABLISHED: usize = State::SctpEstablished as usize;
    const SENT: usize = State::SctpShutdownSent as usize;
    const RECEIVED: usize = State::SctpShutdownReceived as usize;
    const ACK_SENT: usize = State::SctpShutdownAckSent as usize;
    const REJECTED: usize = State::SctpRejected as usize;
    const CLOSED: usize = State::SctpClosed as usize;
    let output = row / EVENTS == Direction::Output as usize;
    let input_only = row / EVENTS == Direction::InputOnly as usize;
    let next = match ((row % EVENTS) as u32, state) {
        (EVENT_ABORT, NONE | INIT1) if output => REJECTED,
        (EVENT_ABORT, _) => CLOSED,
        (EVENT_ERROR, ECHOED) => CLOSED,
        (EVENT_INIT, NONE | CLOSED | REJECTED) if !output => INIT1,
        (EVENT_INIT_ACK, NONE | INIT1) if output => INIT,
        (EVENT_COOKIE_ECHO, NONE | INIT1 | INIT) if !output => ECHOED,
        (EVENT_COOKIE_ACK, NONE | INIT1 | INIT | ECHOED) if output => ESTABLISHED,
        // With one side only in sight, what follows the cookie says that it was taken.
        (EVENT_DATA, NONE) => ESTABLISHED,
        (EVENT_DATA, INIT1 | INIT | ECHOED) if input_only => ESTABLISHED,
        (EVENT_SHUTDOWN, NONE | ESTABLISHED | ECHOED) => {
            if output {
                SENT
            } else {
                RECEIVED
            }
        }
        (EVENT_SHUTDOWN_ACK, NONE | ESTABLISHED | SENT | RECEIVED) => ACK_SENT,
        (EVENT_SHUTDOWN_COMPLETE, _) => CLOSED,
        _ => state,
    };
    next as u8
}

//! SCTP's states, from the first chunk of each packet (RFC 9260), as seen from between the two ends.

use super::Direction;

/// Chunk type.
pub(super) const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// Chunk type.
pub(super) const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const SHUTDOWN_COMPLETE: u8 = 14;

/// What an association is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reference) enum Association {
    /// No chunk has decided yet.
    None,
    /// The client's INIT was sent on.
    Init1,
    /// The real server has answered it.
    Init,
    /// The client has sent COOKIE ECHO.
    CookieEchoed,
    /// Data flows.
    Established,
    /// The real server has sent SHUTDOWN.
    ShutdownSent,
    /// The client has sent SHUTDOWN.
    ShutdownReceived,
    /// One side has sent SHUTDOWN ACK.
    ShutdownAckSent,
    /// The real server does not want it.
    Rejected,
    /// Over.
    Closed,
}

impl Association {
    /// The state after a packet that begins with this chunk.
    pub(super) fn after(self, chunk: u8, direction: Direction) -> Association {
        match direction {
            Direction::InputOnly | Direction::Input => self.after_client(chunk, direction == Direction::InputOnly),
            Direction::Output => self.after_server(chunk),
        }
    }

    /// `alone`: the real server's packets are not seen, so that data say that the cookie was taken.
    fn after_client(self, chunk: u8, alone: bool) -> Association {
        use Association::{Closed, CookieEchoed, Established, Init, Init1, None, Rejected, ShutdownReceived};
        match (chunk, self) {
            (INIT, None | Closed | Rejected) => Init1,
            (COOKIE_ECHO, None | Init1 | Init) => CookieEchoed,
            (SHUTDOWN, None | Established | CookieEchoed) => ShutdownReceived,
            (ABORT, _) => Closed,
            _ => self.after_either(chunk, alone),
        }
    }

    fn after_server(self, chunk: u8) -> Association {
        use Association::{Closed, CookieEchoed, Established, Init, Init1, None, Rejected, ShutdownSent};
        match (chunk, self) {
            (INIT_ACK, None | Init1) => Init,
            (COOKIE_ACK, None | Init1 | Init | CookieEchoed) => Established,
            (SHUTDOWN, None | Established | CookieEchoed) => ShutdownSent,
            (ABORT, None | Init1) => Rejected,
            (ABORT, _) => Closed,
            _ => self.after_either(chunk, false),
        }
    }

    fn after_either(self, chunk: u8, alone: bool) -> Association {
        use Association::{
            Closed, CookieEchoed, Established, Init, Init1, None, ShutdownAckSent, ShutdownReceived, ShutdownSent,
        };
        let says_nothing = !matches!(chunk, 1 | 2 | 6..=11 | 14);
        match (chunk, self) {
            (ERROR, CookieEchoed) => Closed,
            (SHUTDOWN_ACK, None | Established | ShutdownSent | ShutdownReceived) => ShutdownAckSent,
            (SHUTDOWN_COMPLETE, _) => Closed,
            (_, None) if says_nothing => Established,
            (_, Init1 | Init | CookieEchoed) if says_nothing && alone => Established,
            _ => self,
        }
    }

    pub(super) fn seconds(self) -> u32 {
        match self {
            Association::None => 2,
            Association::Established => 900,
            _ => 60,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Association::None => "NONE",
            Association::Init1 => "INIT1",
            Association::Init => "INIT",
            Association::CookieEchoed => "C-ECHOED",
            Association::Established => "ESTABLISHED",
            Association::ShutdownSent => "S-SENT",
            Association::ShutdownReceived => "S-RECEIVED",
            Association::ShutdownAckSent => "S-ACK-SENT",
            Association::Rejected => "REJECTED",
            Association::Closed => "CLOSED",
        }
    }
}

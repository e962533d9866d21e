//! The control packet (RFC 5880 4.1): 24 bytes, without an authentication section.

use crate::Reason;
use std::{
    fmt,
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

/// Bytes of a control packet.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// State of a session, as packets have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Taken down on purpose.
    AdminDown,
    /// Nothing is heard, or it was just made.
    #[default]
    Down,
    /// The other end is heard, and does not hear this one as far as is known.
    Init,
    /// Both ends hear each other.
    Up,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::AdminDown => "AdminDown",
            State::Down => "Down",
            State::Init => "Init",
            State::Up => "Up",
        })
    }
}

/// Why a session was last not up (RFC 5880 4.1); 9 to 31 are of later days and are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing is wrong.
    pub const NONE: Diagnostic = Diagnostic(0);
    /// Nothing was heard for the detection time.
    pub const EXPIRED: Diagnostic = Diagnostic(1);
    /// The other end said that it is down.
    pub const NEIGHBOUR_DOWN: Diagnostic = Diagnostic(3);
    /// Taken down on purpose.
    pub const ADMIN_DOWN: Diagnostic = Diagnostic(7);

    /// As it stands in a packet, 0 to 31.
    pub fn code(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "nothing",
            1 => "nothing was heard for the detection time",
            2 => "the echo failed",
            3 => "the other end said that it is down",
            4 => "the forwarding plane was reset",
            5 => "the path is down",
            6 => "a path further on is down",
            7 => "it was taken down on purpose",
            8 => "a path further back is down",
            code => return write!(f, "diagnostic {code}"),
        })
    }
}

/// A control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// State of its sender.
    pub state: State,
    /// Why the sender's session was last not up.
    pub diagnostic: Diagnostic,
    /// The sender wants an answer.
    pub poll: bool,
    /// The answer.
    pub is_final: bool,
    /// The sender wants no packets as long as both ends are up, except for polls.
    pub demand: bool,
    /// Packets of the sender that may be missed.
    pub multiplier: NonZeroU8,
    /// The sender's number of the session.
    pub mine: NonZeroU32,
    /// The receiver's number of the session; 0: not known yet.
    pub yours: u32,
    /// The least time between packets that the sender wants to send; 0 is a mistake that is borne.
    pub transmit: Duration,
    /// The least time between packets that it can bear; 0: it wants none.
    pub receive: Duration,
}

fn interval(bytes: [u8; 4]) -> Duration {
    Duration::from_micros(u32::from_be_bytes(bytes).into())
}

fn microseconds(time: Duration) -> [u8; 4] {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX).to_be_bytes()
}

impl Control {
    /// Reads and judges a packet, as far as that can be done without its session (RFC 5880 6.8.6). Bytes behind it are
    /// refused, as keepalived does: nothing that is known puts any there.
    pub fn read(bytes: &[u8]) -> Result<Control, Reason> {
        let Some((&[version, flags, multiplier, length, m0, m1, m2, m3], rest)) = bytes.split_first_chunk() else {
            return Err(Reason::Length);
        };
        if version >> 5 != VERSION {
            return Err(Reason::Version);
        }
        if usize::from(length) != bytes.len() {
            return Err(Reason::Length);
        }
        if flags & AUTHENTICATION != 0 {
            return Err(Reason::Authentication);
        }
        let Ok(&[y0, y1, y2, y3, t0, t1, t2, t3, r0, r1, r2, r3, ..]) = <&[u8; LENGTH - 8]>::try_from(rest) else {
            return Err(Reason::Length);
        };
        let multiplier = NonZeroU8::new(multiplier).ok_or(Reason::Multiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Reason::Multipoint);
        }
        let mine = NonZeroU32::new(u32::from_be_bytes([m0, m1, m2, m3])).ok_or(Reason::Discriminator)?;
        let yours = u32::from_be_bytes([y0, y1, y2, y3]);
        let state = match flags >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        if yours == 0 && matches!(state, State::Init | State::Up) {
            return Err(Reason::Nameless);
        }
        let (poll, is_final) = (flags & POLL != 0, flags & FINAL != 0);
        if poll && is_final {
            return Err(Reason::PollAndFinal);
        }
        Ok(Control {
            state,
            diagnostic: Diagnostic(version & 0x1f),
            poll,
            is_final,
            demand: flags & DEMAND != 0,
            multiplier,
            mine,
            yours,
            transmit: interval([t0, t1, t2, t3]),
            receive: interval([r0, r1, r2, r3]),
        })
    }

    /// Its bytes. Echoes are not asked for: their interval is 0.
    pub fn write(&self) -> [u8; LENGTH] {
        let flag = |set, bit| if set { bit } else { 0 };
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let flags = state << 6 | flag(self.poll, POLL) | flag(self.is_final, FINAL) | flag(self.demand, DEMAND);
        let [m0, m1, m2, m3] = self.mine.get().to_be_bytes();
        let [y0, y1, y2, y3] = self.yours.to_be_bytes();
        let [t0, t1, t2, t3] = microseconds(self.transmit);
        let [r0, r1, r2, r3] = microseconds(self.receive);
        let first = VERSION << 5 | self.diagnostic.0 & 0x1f;
        [
            first,
            flags,
            self.multiplier.get(),
            LENGTH as u8,
            m0,
            m1,
            m2,
            m3,
            y0,
            y1,
            y2,
            y3,
            t0,
            t1,
            t2,
            t3,
            r0,
            r1,
            r2,
            r3,
            0,
            0,
            0,
            0,
        ]
    }
}

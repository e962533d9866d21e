//! TCP states, transitions and timeouts of a connection seen from the client's side only (PP-13, PP-15).

/// A connection's state. Numbers 0 to 10 are those IPVS uses on its sync wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// No packet decided yet.
    None = 0,
    /// Data flows.
    Established = 1,
    /// Not seen with direct routing.
    SynSent = 2,
    /// The client's SYN went to the real server.
    SynRecv = 3,
    /// The client has sent FIN.
    FinWait = 4,
    /// Closed, waiting.
    TimeWait = 5,
    /// Reset.
    Close = 6,
    /// Not seen with direct routing.
    CloseWait = 7,
    /// Not seen with direct routing.
    LastAck = 8,
    /// Not seen with direct routing.
    Listen = 9,
    /// Only with the kernel's secure_tcp.
    SynAck = 10,
    /// UDP has one state.
    Udp = 11,
    /// The slot's connection is over and accounted for; the slot may be taken.
    Dead = 15,
}

/// Highest state number plus one; a power of two, so that a mask bounds it.
pub const STATES: usize = 16;

/// TCP flag bits of header byte 13.
pub const FIN: u8 = 0x01;
/// See [`FIN`].
pub const SYN: u8 = 0x02;
/// See [`FIN`].
pub const RST: u8 = 0x04;
/// See [`FIN`].
pub const ACK: u8 = 0x10;

/// Row of [`NEXT`] for a SYN.
pub const EVENT_SYN: u32 = 0;
/// Row of [`NEXT`] for a FIN.
pub const EVENT_FIN: u32 = 1;
/// Row of [`NEXT`] for an ACK.
pub const EVENT_ACK: u32 = 2;
/// Row of [`NEXT`] for a RST.
pub const EVENT_RST: u32 = 3;

/// The event a flag byte stands for; RST before SYN before FIN before ACK.
#[inline(always)]
pub const fn event(flags: u8) -> u32 {
    if flags & RST != 0 {
        EVENT_RST
    } else if flags & SYN != 0 {
        EVENT_SYN
    } else if flags & FIN != 0 {
        EVENT_FIN
    } else {
        EVENT_ACK
    }
}

/// Flag sets no stack sends (PP-7).
#[inline(always)]
pub const fn bad_flags(flags: u8) -> bool {
    // One bit for each value of the low five flag bits.
    const BAD: u32 = bad_flag_sets();
    BAD >> (flags & 0x1f) & 1 != 0
}

const fn bad_flag_sets() -> u32 {
    let (mut sets, mut flags) = (0u32, 0u8);
    while flags < 32 {
        let syn_and_end = flags & SYN != 0 && flags & (FIN | RST) != 0;
        let bare_fin = flags & FIN != 0 && flags & (ACK | RST) == 0;
        let nothing = flags & (SYN | ACK | RST | FIN) == 0;
        if syn_and_end || bare_fin || nothing {
            sets |= 1 << flags;
        }
        flags += 1;
    }
    sets
}

const NO: u8 = State::None as u8;
const ES: u8 = State::Established as u8;
const SS: u8 = State::SynSent as u8;
const SR: u8 = State::SynRecv as u8;
const FW: u8 = State::FinWait as u8;
const TW: u8 = State::TimeWait as u8;
const CL: u8 = State::Close as u8;
const CW: u8 = State::CloseWait as u8;
const LA: u8 = State::LastAck as u8;
const LI: u8 = State::Listen as u8;
const UD: u8 = State::Udp as u8;
const DE: u8 = State::Dead as u8;

/// Next state by event and state: index `event * STATES + state`. UDP and dead stay what they are.
#[rustfmt::skip]
pub const NEXT: [u8; 4 * STATES] = [
    //        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA  UDP
    /* syn */ SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, UD, NO, NO, NO, DE,
    /* fin */ CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, UD, NO, NO, NO, DE,
    /* ack */ ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, UD, NO, NO, NO, DE,
    /* rst */ CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, UD, NO, NO, NO, DE,
];

/// Timeouts in seconds by state; the daemon turns them into ticks.
pub const TIMEOUT_SECONDS: [u32; STATES] = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120, 300, 0, 0, 0, 0];

const ACTIVE: u32 = 1 << State::Established as u32
    | 1 << State::SynSent as u32
    | 1 << State::SynRecv as u32
    | 1 << State::SynAck as u32;

/// Whether a state counts as active (PP-15).
#[inline(always)]
pub const fn is_active(state: u32) -> bool {
    ACTIVE >> (state & 15) & 1 != 0
}

const REUSABLE: u32 = 1 << State::FinWait as u32
    | 1 << State::TimeWait as u32
    | 1 << State::Close as u32
    | 1 << State::CloseWait as u32
    | 1 << State::LastAck as u32;

/// Whether a SYN in this state is a new connection (PP-14).
#[inline(always)]
pub const fn is_reusable(state: u32) -> bool {
    REUSABLE >> (state & 15) & 1 != 0
}

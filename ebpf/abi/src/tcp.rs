//! TCP flags and what they make of a connection's state (PP-7, PP-13).

use crate::state::{Direction, State};

/// TCP flag bits of header byte 13.
pub const FIN: u8 = 0x01;
/// See [`FIN`].
pub const SYN: u8 = 0x02;
/// See [`FIN`].
pub const RST: u8 = 0x04;
/// See [`FIN`].
pub const ACK: u8 = 0x10;

/// Event of a SYN, see [`row`].
pub const EVENT_SYN: u32 = 0;
/// Event of a FIN.
pub const EVENT_FIN: u32 = 1;
/// Event of an ACK.
pub const EVENT_ACK: u32 = 2;
/// Event of a RST.
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

const ES: u8 = State::Established as u8;
const SS: u8 = State::SynSent as u8;
const SR: u8 = State::SynRecv as u8;
const FW: u8 = State::FinWait as u8;
const TW: u8 = State::TimeWait as u8;
const CL: u8 = State::Close as u8;
const CW: u8 = State::CloseWait as u8;
const LA: u8 = State::LastAck as u8;
const LI: u8 = State::Listen as u8;

/// States of TCP: 0 to 10.
pub(crate) const STATES: usize = 11;
/// Rows of [`NEXT`].
pub(crate) const ROWS: usize = 12;

/// Row of [`crate::state::NEXT`].
#[inline(always)]
pub const fn row(direction: Direction, event: u32) -> u32 {
    direction as u32 * 4 + event
}

/// Next state by direction, event and state.
#[rustfmt::skip]
pub(crate) const NEXT: [[u8; STATES]; ROWS] = [
    // input only
    //        NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /* syn */ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    /* fin */ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
    // input
    /* syn */ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    /* fin */ [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    /* rst */ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
    // output
    /* syn */ [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    /* fin */ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    /* ack */ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    /* rst */ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

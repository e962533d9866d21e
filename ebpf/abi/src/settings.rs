//! What can be changed while the program runs.

use crate::state::STATES;

/// The single element of the map `SETTINGS`.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Ticks a connection lasts without a packet, by state.
    pub timeouts: [u32; STATES],
    /// Ticks in a second.
    pub ticks_per_second: u32,
    /// Ticks the first fragment of a packet is remembered (PP-50).
    pub fragment_timeout: u32,
    /// Ticks `lblc` and `lblcr` remember a destination they have not seen (PP-31).
    pub locality_timeout: u32,
    /// First port that FullNAT gives clients, host order (PP-44).
    pub first_port: u16,
    /// Last one.
    pub last_port: u16,
    /// Whether anything gives packets a mark (PP-39); 0: `MARKS` is not looked at.
    pub marks: u32,
    /// Room to the end of the line.
    pub room: [u32; 11],
}

const _: () = assert!(size_of::<Settings>() == 192);

//! States of a connection, from the client's packets alone (PP-13 to PP-15).

/// What a connection is in. The other states of IPVS need packets of the real server, which direct routing never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The client's SYN was sent on.
    SynRecv,
    /// Data flows.
    Established,
    /// The client has sent FIN.
    FinWait,
    /// The client has sent FIN before anything else.
    TimeWait,
    /// The client has sent RST.
    Close,
    /// The only state of UDP.
    Udp,
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

impl State {
    /// The state after a packet with these flags; RST counts before SYN before FIN before ACK.
    pub(super) fn after(self, flags: Flags) -> State {
        match self {
            State::Udp => State::Udp,
            // The kernel's table keeps a connection that is just made through a RST.
            State::SynRecv if flags.rst => State::SynRecv,
            State::Established | State::FinWait | State::TimeWait | State::Close if flags.rst => State::Close,
            State::Established if flags.syn => State::Established,
            State::SynRecv | State::FinWait | State::TimeWait | State::Close if flags.syn => State::SynRecv,
            State::SynRecv if flags.fin => State::TimeWait,
            State::Established if flags.fin => State::FinWait,
            State::SynRecv | State::Established => State::Established,
            State::FinWait | State::TimeWait | State::Close => self,
        }
    }

    /// How long it lasts without a packet.
    pub(super) fn seconds(self) -> u32 {
        match self {
            State::SynRecv => 60,
            State::Established => 900,
            State::FinWait | State::TimeWait => 120,
            State::Close => 10,
            State::Udp => 300,
        }
    }

    /// As IPVS names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::SynRecv => "SYN_RECV",
            State::Established => "ESTABLISHED",
            State::FinWait => "FIN_WAIT",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::Udp => "UDP",
        }
    }

    /// PP-15.
    pub(super) fn is_active(self) -> bool {
        match self {
            State::SynRecv | State::Established => true,
            State::FinWait | State::TimeWait | State::Close | State::Udp => false,
        }
    }

    /// Whether a SYN is a new connection (PP-14).
    pub(super) fn is_over(self) -> bool {
        match self {
            State::FinWait | State::TimeWait | State::Close => true,
            State::SynRecv | State::Established | State::Udp => false,
        }
    }

    /// How willingly its slot is given away; `None`: never (PP-16).
    pub(super) fn dispensable(self) -> Option<u8> {
        match self {
            State::Close | State::TimeWait => Some(1),
            State::SynRecv => Some(2),
            State::Established | State::FinWait | State::Udp => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_abi::{state, tcp};

    fn number(state: State) -> u32 {
        match state {
            State::SynRecv => state::State::SynRecv as u32,
            State::Established => state::State::Established as u32,
            State::FinWait => state::State::FinWait as u32,
            State::TimeWait => state::State::TimeWait as u32,
            State::Close => state::State::Close as u32,
            State::Udp => state::State::Udp as u32,
        }
    }

    #[test]
    fn the_rules_and_the_program_s_tables_say_the_same() {
        use State::{Close, Established, FinWait, SynRecv, TimeWait, Udp};
        for state in [SynRecv, Established, FinWait, TimeWait, Close, Udp] {
            let from = number(state);
            assert_eq!(state::TIMEOUT_SECONDS[from as usize], state.seconds());
            assert_eq!(state::is_active(from), state.is_active(), "{state:?}");
            assert_eq!(state::is_reusable(from), state.is_over(), "{state:?}");
            for byte in 0..=255 {
                let flags = Flags::new(byte);
                assert_eq!(tcp::bad_flags(byte), flags.are_bad(), "{flags:?}");
                if !flags.are_bad() {
                    let next = state::NEXT[tcp::row(state::Direction::InputOnly, tcp::event(byte)) as usize
                        * state::STATES
                        + from as usize];
                    assert_eq!(u32::from(next), number(state.after(flags)), "{state:?} {flags:?}");
                }
            }
        }
    }
}

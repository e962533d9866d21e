//! TCP's states: the tables of the kernel's ip_vs_proto_tcp.c, as they stand there.

use super::{Direction, Flags};

/// What a TCP connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reference) enum Tcp {
    /// No packet has decided yet.
    None,
    /// Data flows.
    Established,
    /// The real server's SYN came first.
    SynSent,
    /// The client's SYN was sent on.
    SynRecv,
    /// One side has sent FIN.
    FinWait,
    /// Both have, or one before anything else.
    TimeWait,
    /// Reset.
    Close,
    /// The client has sent FIN.
    CloseWait,
    /// Not reached by packets.
    LastAck,
    /// Not reached by packets.
    Listen,
    /// Not reached by packets.
    SynAck,
}

use Tcp::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI, None as NO,
    SynAck as SA, SynRecv as SR, SynSent as SS, TimeWait as TW,
};

/// The order of the columns.
pub(super) const COLUMNS: [Tcp; 11] = [NO, ES, SS, SR, FW, TW, CL, CW, LA, LI, SA];

type Row = [Tcp; 11];

/// SYN, FIN, ACK, RST.
type Table = [Row; 4];

const INPUT: Table = [
    [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
];
const OUTPUT: Table = [
    [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];
const INPUT_ONLY: Table = [
    [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    [ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
];

impl Tcp {
    /// The state after a packet with these flags; RST counts before SYN before FIN before ACK.
    pub(super) fn after(self, flags: Flags, direction: Direction) -> Tcp {
        let [syn, fin, ack, rst] = match direction {
            Direction::InputOnly => INPUT_ONLY,
            Direction::Input => INPUT,
            Direction::Output => OUTPUT,
        };
        let row = match flags {
            Flags { rst: true, .. } => rst,
            Flags { syn: true, .. } => syn,
            Flags { fin: true, .. } => fin,
            Flags { .. } => ack,
        };
        let column = COLUMNS.iter().position(|state| *state == self);
        column.map_or(self, |column| row[column])
    }

    pub(super) fn seconds(self) -> u32 {
        match self {
            NO => 2,
            ES => 900,
            SS | FW | TW | LI | SA => 120,
            SR | CW => 60,
            LA => 30,
            CL => 10,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            NO => "NONE",
            ES => "ESTABLISHED",
            SS => "SYN_SENT",
            SR => "SYN_RECV",
            FW => "FIN_WAIT",
            TW => "TIME_WAIT",
            CL => "CLOSE",
            CW => "CLOSE_WAIT",
            LA => "LAST_ACK",
            LI => "LISTEN",
            SA => "SYNACK",
        }
    }
}

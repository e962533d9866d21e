//! What the daemon answers.

use crate::{
    Event, PlanLine, Role, Status,
    table::{ConnectionEntry, EditError, Table},
};
use serde::{Deserialize, Serialize};
use std::{error::Error, fmt};

/// The first line of every conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Version of the daemon.
    pub evenkeel: String,
    /// [`crate::PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// What this caller may do.
    pub role: Role,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Done {
        /// What was done, in one sentence.
        message: String,
    },
    /// The state.
    Status(Box<Status>),
    /// The table ([`crate::Request::Table`]).
    Table(Box<Table>),
    /// An edit was not made ([`crate::Request::Edit`]).
    NotEdited(EditError),
    /// A part of the connections ([`crate::Request::Connections`]); parts follow each other until `last`.
    Connections {
        /// In no order.
        connections: Vec<ConnectionEntry>,
        /// No more follow.
        last: bool,
    },
    /// How many connections there are ([`crate::Request::Count`]).
    Counted {
        /// Those that are meant.
        connections: u64,
    },
    /// What a reload would change; empty: nothing.
    Plan {
        /// In the order they would be made.
        lines: Vec<PlanLine>,
    },
    /// Something happened ([`crate::Request::Watch`]).
    Event(Stamped),
    /// Events were lost, because the client reads too slowly.
    Missed {
        /// How many.
        events: u64,
    },
    /// It was not done.
    Refused(Refusal),
}

/// An event and when it happened. Made by the runtime, which has the clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which kind of failure.
    pub code: RefusalCode,
    /// What was wrong, as a sentence fragment.
    pub message: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refusal {
    /// Without a hint.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), hint: None }
    }

    /// With one.
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for Refusal {}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// It was tried and failed.
    Failed,
    /// The new files are wrong; the old state runs on.
    BadConfig,
    /// The line is no request of this protocol.
    BadRequest,
    /// The line is longer than [`crate::REQUEST_LINE_MAX`].
    TooLong,
    /// No such service or real server.
    Unknown,
    /// The name fits several.
    Ambiguous,
    /// The daemon is ending, or has too many clients.
    Busy,
    /// The caller's role does not reach.
    NotAllowed,
    /// It would leave a service without a real server.
    WouldBreak,
    /// No daemon answers; only clients make this one.
    NotRunning,
}

impl RefusalCode {
    /// The exit status of a command that gets it.
    pub fn exit_status(self) -> u8 {
        match self {
            RefusalCode::Failed | RefusalCode::BadConfig | RefusalCode::Busy => 1,
            RefusalCode::BadRequest | RefusalCode::TooLong | RefusalCode::Unknown | RefusalCode::Ambiguous => 2,
            RefusalCode::NotRunning => 3,
            RefusalCode::NotAllowed => 4,
            RefusalCode::WouldBreak => 5,
        }
    }
}

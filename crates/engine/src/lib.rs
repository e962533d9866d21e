//! All decisions of one node, without a clock or a socket.
//!
//! [`Balance`] is the machine of services, health and data plane: it turns [`Input`]s into [`Effect`]s. The runtime
//! carries effects out in the order they come and reports back what came of those that can fail. It keeps at most one
//! [`Effect::Program`] and one [`Effect::Sample`] open at a time; nothing is told (event, reply, mail) that depends on a
//! change before the data plane has taken it.
//!
//! ```text
//! start:   Input::Start { cluster, observed, overrides }     -> Program, Probe…, Event(Started)
//! run:     Probe -> Begun, Verdict -> Program -> Programmed -> Event, Mail, MonitorLine, Run
//! status:  Request -> Sample -> Sampled -> Reply
//! reload:  the runtime reads the files -> Reload | ReloadFailed -> Program -> Programmed -> Event, Reply
//! end:     Stop -> Program -> Programmed -> Reply, Event(Stopping), Exit
//! ```
#![forbid(unsafe_code)]

mod alerts;
mod balance;
mod book;
mod decide;
mod edit;
mod effect;
mod entry;
mod input;
mod listing;
mod overrides;
mod plan;
mod program;
mod rates;
mod reload;
mod report;
mod request;
mod select;
mod service;
mod suspicion;
mod watches;
mod words;

pub use balance::Balance;
pub use edit::kept;
pub use effect::{Effect, Exit, Followed, Mail, Operation, ProbeOrder, ScriptOrder};
pub use entry::{key_of, model_key};
pub use input::{EditOrder, Held, HostMarks, Input, ProgramFailure, Sample, ServerSample, Setup, Start};
pub use listing::Tally;
pub use overrides::{DrainEnd, OverrideRecord, Overrides};
pub use plan::plan;
pub use rates::{Rate, Rates};

/// Names one watch while it lasts. A number is never used again by the same engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(u64);

impl CheckId {
    /// As a number, for messages between processes.
    pub fn get(self) -> u64 {
        self.0
    }

    /// From such a number; one the engine never gave out is ignored wherever it comes in.
    pub fn from_number(number: u64) -> CheckId {
        CheckId(number)
    }
}

/// Names an open request of a client; chosen by the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

//! BFD without a socket or a clock (RFC 5880, 5881, 5883): asynchronous mode, without echo and authentication, as
//! keepalived has it.
//!
//! Bytes that came go to [`Sessions::find`], which reads them and says whose they are; the [`Session`] holds the state
//! and the timers, and what it wants done comes out as [`Output`]s.
//!
//! ```text
//!  bytes ──► Control::read ──► Sessions::find ──► Session ──► Send, Turned, Agreed
//!                 │                  │              ▲
//!                 └──► Reason ◄──────┘              └── time
//! ```

#![forbid(unsafe_code)]

mod control;
mod reason;
mod session;
mod sessions;

pub use control::{Control, Diagnostic, LENGTH, State};
pub use reason::{Drops, Reason};
pub use session::{Input, LATE, LATE_BOUND, Output, Session, Settings, Standing};
pub use sessions::{Arrival, Place, Sessions};

//! Resource groups of one node: what is started in which order, how long it may take, and what runs still.
//!
//! [`Groups`] is told which groups this node is to hold ([`Input::Acquire`], [`Input::Yield`]) and orders one action after
//! the other ([`Output::Run`]); whoever carries them out tells their outcomes ([`Input::Done`]). It runs nothing itself.
//!
//! ```text
//!                acquire             all up                yield
//!   stopped ──────────────► starting ──────► running ─────────────────► stopping ──► stopped
//!      ▲                       │  ▲             │ │ fails: restarted here      │
//!      │                       │  └─────────────┼─┘                            │ a stop that fails is
//!      │      does not start   ▼                ▼ fails too often              │ tried again each second
//!    failed ◄─────────────── stopping ◄─────────┘                              ▼ 10 times
//!                                                                            stuck
//! ```
//!
//! *Failed* means that nothing of the group runs here, so that it may run elsewhere; *stuck* means that something of it
//! cannot be stopped, so that it must not, until this node is fenced or an operator confirms that it has stopped.

#![forbid(unsafe_code)]

mod group;
mod groups;
mod member;
mod order;
mod remark;
mod report;

pub use groups::{Groups, Input, Output};
pub use order::{ASK_WITHIN, Action, FIRST_LOOK, GRACE, Order, Outcome, RETRY_STOP, STOP_TRIES, Task, UNSAID};
pub use remark::{Remark, Trouble};
pub use report::{GroupReport, ResourceReport, Running, Standing};

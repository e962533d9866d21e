//! The lines of a dry run: what would be added, removed and changed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What happens to the thing a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    /// `+`
    Add,
    /// `-`
    Remove,
    /// `~`
    Change,
}

impl PlanAction {
    /// The sign in front of the line.
    pub fn sign(self) -> char {
        match self {
            PlanAction::Add => '+',
            PlanAction::Remove => '-',
            PlanAction::Change => '~',
        }
    }
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// What happens.
    pub action: PlanAction,
    /// To what: `service`, `real server`, `bpf`, `address`.
    pub kind: String,
    /// It belongs to the last line before it that is not nested.
    #[serde(default)]
    pub nested: bool,
    /// Which one, and how it is or becomes.
    pub text: String,
}

impl fmt::Display for PlanLine {
    /// `+ service   tcp 192.0.2.1:80 rr dr`, `+   real server 192.0.2.2:80 w1   tcp check every 6 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = self.action.sign();
        if self.nested {
            write!(f, "{sign}   {} {}", self.kind, self.text)
        } else {
            write!(f, "{sign} {:<9} {}", self.kind, self.text)
        }
    }
}

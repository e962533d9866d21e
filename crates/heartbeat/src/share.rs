//! The words for shares of groups (`rsc_hold`).

use crate::Share;
use std::fmt;

impl Share {
    /// Of its two halves.
    pub fn of(local: bool, foreign: bool) -> Share {
        match (local, foreign) {
            (false, false) => Share::None,
            (true, false) => Share::Local,
            (false, true) => Share::Foreign,
            (true, true) => Share::All,
        }
    }

    /// As it is on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Share::None => "none",
            Share::Local => "local",
            Share::Foreign => "foreign",
            Share::All => "all",
        }
    }

    /// By its name on the wire.
    pub fn parse(text: &str) -> Option<Share> {
        [Share::None, Share::Local, Share::Foreign, Share::All].into_iter().find(|share| share.name() == text)
    }

    /// As the other node of two sees the same groups.
    #[must_use]
    pub fn swapped(self) -> Share {
        match self {
            Share::Local => Share::Foreign,
            Share::Foreign => Share::Local,
            Share::None | Share::All => self,
        }
    }

    /// Whether the groups that prefer the node that says it are among them.
    pub fn local(self) -> bool {
        matches!(self, Share::Local | Share::All)
    }

    /// Whether the groups that prefer another node are among them.
    pub fn foreign(self) -> bool {
        matches!(self, Share::Foreign | Share::All)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

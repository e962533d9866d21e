//! Whom a program runs as.

use std::fmt;

/// A user of the host, and perhaps a group, as they were written: names or numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Name or number of the user.
    pub user: String,
    /// Name or number of the group; `None`: the user's own.
    pub group: Option<String>,
}

impl fmt::Display for Account {
    /// `user` or `user:group`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}

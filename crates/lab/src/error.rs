//! Why the lab could not do something.

use std::fmt;
use std::io;

/// What was tried and why it failed, as one fragment in the operator's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// `what: why`.
    pub(crate) fn because(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<evenkeel_os::Error> for Error {
    fn from(error: evenkeel_os::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<evenkeel_netlink::Error> for Error {
    fn from(error: evenkeel_netlink::Error) -> Self {
        Self(error.to_string())
    }
}

/// Names what an I/O error happened to.
pub(crate) trait Context<T> {
    fn context(self, what: impl fmt::Display) -> Result<T, Error>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|why| Error::because(what, why))
    }
}

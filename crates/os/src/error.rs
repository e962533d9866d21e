//! Why the system refused.

use std::{error, fmt, io, path::Path};

/// What was tried, and why it did not work.
#[derive(Debug)]
pub enum Error {
    /// The system said no.
    System {
        /// What was tried, as a fragment.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Going on would be unsafe or pointless; the text says why.
    Refused(String),
}

impl Error {
    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error::System { what: what.into(), source: source.into() }
    }

    /// `verb path: source`
    pub(crate) fn at(verb: &str, path: &Path, source: impl Into<io::Error>) -> Error {
        Error::system(format!("{verb} {}", path.display()), source)
    }

    /// Whether what was named does not exist.
    pub fn is_missing(&self) -> bool {
        self.kind() == Some(io::ErrorKind::NotFound)
    }

    /// The sort of the system's answer, when it was the system.
    pub fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Error::System { source, .. } => Some(source.kind()),
            Error::Refused(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::System { what, source } => write!(f, "{what}: {source}"),
            Error::Refused(why) => f.write_str(why),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::System { source, .. } => Some(source),
            Error::Refused(_) => None,
        }
    }
}

/// The short form of a result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

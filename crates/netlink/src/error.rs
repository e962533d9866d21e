//! Why the kernel refused a request.

use std::{error, fmt, io};

/// A failed request: what was asked, and the kernel's answer.
#[derive(Debug)]
pub struct Error {
    request: String,
    source: io::Error,
    hint: Option<String>,
}

impl Error {
    pub(crate) fn new(request: impl Into<String>, source: impl Into<io::Error>) -> Error {
        Error { request: request.into(), source: source.into(), hint: None }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Error {
        self.hint = hint;
        self
    }

    pub(crate) fn malformed(request: impl Into<String>) -> Error {
        Error::new(request, io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is malformed"))
    }

    /// The kernel's error number, when there is one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether what was to be made is already there.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }

    /// Whether this kernel does not know what was asked for.
    pub fn is_unsupported(&self) -> bool {
        self.errno() == Some(libc::EOPNOTSUPP)
    }

    /// Whether a table of nf_tables could not be made because the kernel has none: it says so in many ways, and that
    /// something is not there where a new table is made.
    pub fn lacks_nf_tables(&self) -> bool {
        matches!(
            self.errno(),
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT)
        )
    }

    /// Whether what was named is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(libc::ENODEV | libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENXIO))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request, self.source)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

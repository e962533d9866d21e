//! Why the data plane cannot be opened or attached.

use aya::programs::ProgramError;
use std::{fmt, io, path::PathBuf};

/// Why the data plane cannot be opened or attached.
#[derive(Debug)]
pub enum Error {
    /// The kernel refuses bpf(2) to this process.
    Permission,
    /// The kernel refuses the program or one of its maps.
    Load(String),
    /// The pins hold maps of another layout.
    Layout {
        /// Where.
        directory: PathBuf,
        /// The layout found there.
        found: u32,
    },
    /// A pinned map is not what it has to be.
    Pin {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No such interface.
    NoInterface(String),
    /// The kernel refuses to attach.
    Attach {
        /// Where.
        interface: String,
        /// How it was tried.
        mode: &'static str,
        /// What the kernel said.
        why: String,
    },
    /// A system call failed.
    Io {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Permission => {
                f.write_str("the kernel does not allow bpf(2) here: root (CAP_BPF and CAP_NET_ADMIN) is needed")
            }
            Error::Load(why) => write!(f, "the kernel refuses the packet program: {why}"),
            Error::Layout { directory, found } => write!(
                f,
                "{} holds the tables of another version (layout {found}, this one has {}), and their connections do not \
                 survive the change: stop the instance first, with either version",
                directory.display(),
                evenkeel_abi::LAYOUT
            ),
            Error::Pin { path, why } => write!(f, "{}: {why}", path.display()),
            Error::NoInterface(name) => write!(f, "there is no interface {name}"),
            Error::Attach { interface, mode, why } => write!(f, "cannot attach to {interface} ({mode}): {why}"),
            Error::Io { what, cause } => write!(f, "{what}: {cause}"),
        }
    }
}

impl std::error::Error for Error {}

/// The last link of an error's chain says what the kernel said; the ones before it name wrappers.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

/// Why a program is refused: the kernel's error, and the last words of its verifier.
pub(crate) fn refusal(error: &ProgramError) -> String {
    const LAST: usize = 5;
    let mut text = root_cause(error);
    if let ProgramError::LoadError { verifier_log, .. } = error {
        let log = verifier_log.to_string();
        let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        if !lines.is_empty() {
            text += &format!(" (the verifier: {})", lines[lines.len().saturating_sub(LAST)..].join("; "));
        }
    }
    text
}

//! How commands end: the exit statuses of the manual, and one clear sentence for each that is not 0.

use evenkeel_api::{Refusal, RefusalCode};
use std::process::ExitCode;

/// Why a command does not end with 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Exit status.
    pub(crate) status: u8,
    /// One sentence; empty when everything has been said.
    pub(crate) text: String,
}

/// Failed, or problems found.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// No permission.
pub(crate) const NO_PERMISSION: u8 = 4;

impl Trouble {
    /// The daemon answers something that `what`, as the command line has it, does not ask for.
    pub(crate) fn other_answer(what: &str) -> Trouble {
        Trouble::failed(format!("the daemon gave another answer than {what} asks for"))
    }

    /// It was tried and failed.
    pub(crate) fn failed(text: impl Into<String>) -> Trouble {
        Trouble { status: FAILED, text: text.into() }
    }

    /// It cannot be asked for in this way.
    pub(crate) fn usage(text: impl Into<String>) -> Trouble {
        Trouble { status: USAGE, text: text.into() }
    }

    /// Only root may; names the command to run.
    pub(crate) fn needs_root(why: &str) -> Trouble {
        Trouble { status: NO_PERMISSION, text: format!("{why}; run: {}", with_sudo(std::env::args())) }
    }

    /// The daemon, or the way to it, refused.
    pub(crate) fn refused(refusal: &Refusal) -> Trouble {
        let mut text = refusal.to_string();
        if refusal.code == RefusalCode::NotRunning {
            text.push_str("; start one with: evenkeel run PATH");
        }
        if refusal.code == RefusalCode::WouldBreak && refusal.hint.is_none() {
            text.push_str("; --force does it all the same");
        }
        Trouble { status: refusal.code.exit_status(), text }
    }

    /// Says it on standard error and gives the status.
    pub(crate) fn tell(&self) -> ExitCode {
        if !self.text.is_empty() {
            eprintln!("evenkeel: {}", self.text);
        }
        ExitCode::from(self.status)
    }
}

/// The command line again, as root, quoted where a shell would take it apart.
fn with_sudo(arguments: impl Iterator<Item = String>) -> String {
    let quote = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+[]".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    arguments.map(quote).fold("sudo".to_owned(), |line, word| format!("{line} {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_run_can_be_pasted() {
        let line = ["evenkeel", "run", "my file.cf", "it's"].map(str::to_owned);
        assert_eq!(with_sudo(line.into_iter()), "sudo evenkeel run 'my file.cf' 'it'\\''s'");
    }

    #[test]
    fn refusals_keep_their_exit_status() {
        for (code, status) in [(RefusalCode::NotRunning, 3), (RefusalCode::NotAllowed, 4), (RefusalCode::WouldBreak, 5)]
        {
            assert_eq!(Trouble::refused(&Refusal::new(code, "x")).status, status);
        }
    }
}

//! Reads files for a command and shows what there is to say about them.

use crate::{args::FormatArg, exit::Trouble, terminal};
use evenkeel_config::{Format, Loaded, Memory};
use evenkeel_runtime::{Configuration, files};
use evenkeel_source::{Severity, render_all};
use std::path::PathBuf;

impl From<FormatArg> for Format {
    fn from(word: FormatArg) -> Format {
        match word {
            FormatArg::Native => Format::Native,
            FormatArg::Ldirectord => Format::Ldirectord,
            FormatArg::Keepalived => Format::Keepalived,
            FormatArg::Heartbeat => Format::Heartbeat,
        }
    }
}

/// Reads the files and shows all diagnostics on standard error; `status` is the exit status when they hold errors.
/// `memory` is for who reads them again.
pub(crate) fn configuration(
    paths: &[PathBuf],
    format: Option<Format>,
    status: u8,
    memory: Option<&mut Memory>,
) -> Result<Configuration, Trouble> {
    let mut errors = 0;
    let read = files::read(paths, format, memory, &mut |loaded| {
        errors = loaded.count(Severity::Error);
        eprint!("{}", render_all(&loaded.diagnostics, &loaded.sources, terminal::stderr_colour()));
    });
    read.map_err(|why| Trouble { status, text: if errors == 0 { why } else { summary(errors, 0) } })
}

/// `2 errors, 1 warning`
pub(crate) fn summary(errors: usize, warnings: usize) -> String {
    let count = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    match (errors, warnings) {
        (0, 0) => "no problem found".to_owned(),
        (_, 0) => count(errors, "error"),
        (0, _) => count(warnings, "warning"),
        _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

/// How many errors and warnings.
pub(crate) fn counts(loaded: &Loaded) -> (usize, usize) {
    (loaded.count(Severity::Error), loaded.count(Severity::Warning))
}

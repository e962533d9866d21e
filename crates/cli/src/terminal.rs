//! Whether to colour, and how.

use evenkeel_source::Colour;
use std::io::IsTerminal;

/// Colour for what goes to standard error.
pub(crate) fn stderr_colour() -> Colour {
    colour(std::io::stderr().is_terminal())
}

/// Colour for what goes to standard output.
pub(crate) fn stdout_colour() -> Colour {
    colour(std::io::stdout().is_terminal())
}

/// NO_COLOR (no-color.org) set to anything but nothing turns colour off.
fn colour(terminal: bool) -> Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if terminal && !refused { Colour::Yes } else { Colour::No }
}

/// What a text says about its subject; the text says it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// Less than it should be.
    Doubtful,
    /// Not as it should be.
    Bad,
}

/// `text` in the colour of `tone`.
pub(crate) fn paint(text: &str, tone: Tone, colour: Colour) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Doubtful => "33",
        Tone::Bad => "31;1",
    };
    match colour {
        Colour::Yes => format!("\x1b[{code}m{text}\x1b[0m"),
        Colour::No => text.to_owned(),
    }
}

//! Whether to colour, and how.

use evenkeel_source::Colour;
use ratatui::{
    style::Style,
    text::{Line, Span},
};
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

/// A line with what [`paint`] has put into it as styles.
pub(crate) fn styled(line: &str) -> Line<'_> {
    let mut parts = line.split("\x1b[");
    let mut spans = vec![Span::raw(parts.next().unwrap_or_default())];
    for part in parts {
        let (code, text) = part.split_once('m').unwrap_or(("", part));
        let style = match code {
            "32" => Style::new().green(),
            "33" => Style::new().yellow(),
            "31;1" => Style::new().red().bold(),
            _ => Style::new(),
        };
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_painted_is_read_as_it_was_meant() {
        for (tone, style) in [
            (Tone::Good, Style::new().green()),
            (Tone::Doubtful, Style::new().yellow()),
            (Tone::Bad, Style::new().red().bold()),
        ] {
            let line = format!("is {}.", paint("so", tone, Colour::Yes));
            assert_eq!(styled(&line), Line::from_iter(["is ".into(), Span::styled("so", style), ".".into()]));
        }
    }
}

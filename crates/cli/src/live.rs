//! A picture that stays on the terminal until `q` or Ctrl-C: `status --watch`, `crm_mon`.

use crate::{exit::Trouble, terminal};
use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Style, Stylize},
    text::{Line, Span, Text},
    widgets::Paragraph,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A signal is seen within this.
const SIGNALS: Duration = Duration::from_millis(100);
/// How far the rest of a line that is too long stands in.
const REST: &str = "      ";

/// The terminal, until this is dropped.
pub(crate) struct Live {
    terminal: DefaultTerminal,
    /// By a signal.
    asked: Arc<AtomicBool>,
    picture: String,
    /// The first line that is seen.
    top: usize,
    /// How many lines are seen at a time.
    height: usize,
}

impl Live {
    /// Takes the terminal over; `None` where there is none to look at and to type on.
    pub(crate) fn open() -> Result<Option<Live>, Trouble> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&asked)).map_err(|e| trouble("listen to signals", &e))?;
        }
        let terminal = ratatui::try_init().map_err(|e| trouble("take over the terminal", &e))?;
        Ok(Some(Live { terminal, asked, picture: String::new(), top: 0, height: 0 }))
    }

    /// Shows another picture, where the one before was looked at.
    pub(crate) fn show(&mut self, picture: String) -> Result<(), Trouble> {
        self.picture = picture;
        self.draw()
    }

    /// Takes keys for so long; whether to go on.
    pub(crate) fn goes_on(&mut self, time: Duration) -> Result<bool, Trouble> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.asked.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if left.is_zero() {
                return Ok(true);
            }
            let read = match event::poll(left.min(SIGNALS)) {
                Ok(true) => event::read().map(Some),
                Ok(false) => Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
                Err(e) => Err(e),
            };
            match read.map_err(|e| trouble("read a key", &e))? {
                Some(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                    if !self.press(key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
                        return Ok(false);
                    }
                }
                Some(Event::Resize(..)) => {}
                Some(_) | None => continue,
            }
            self.draw()?;
        }
    }

    /// Does what a key stands for; whether to go on.
    fn press(&mut self, key: KeyCode, control: bool) -> bool {
        let page = self.height.saturating_sub(1).max(1);
        match key {
            KeyCode::Char('q') => return false,
            KeyCode::Char('c') if control => return false,
            KeyCode::Down => self.top += 1,
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.top += page,
            KeyCode::PageUp => self.top = self.top.saturating_sub(page),
            _ => {}
        }
        true
    }

    fn draw(&mut self) -> Result<(), Trouble> {
        let Live { terminal, picture, top, height, .. } = self;
        let drawn = terminal.draw(|frame| *height = draw(frame, picture, top));
        drawn.map(drop).map_err(|e| trouble("draw the screen", &e))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = ratatui::try_restore();
    }
}

fn trouble(what: &str, e: &io::Error) -> Trouble {
    Trouble::failed(format!("cannot {what}: {e}"))
}

/// Draws what of the picture fits, from line `top` on, which does not go past the end; gives how many lines fit.
fn draw(frame: &mut Frame<'_>, picture: &str, top: &mut usize) -> usize {
    let [body, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    let (width, height) = (usize::from(body.width), usize::from(body.height));
    let lines: Vec<Line<'_>> =
        picture.lines().flat_map(|line| folded(&terminal::styled(&untabbed(line)), width)).collect();
    *top = (*top).min(lines.len().saturating_sub(height));
    let (first, last) = (*top + 1, (*top + height).min(lines.len()));
    let keys = match lines.len() > height {
        true => format!("q quit   lines {first} to {last} of {}; the arrows show others", lines.len()),
        false => "q quit".to_owned(),
    };
    let shown: Vec<Line<'_>> = lines.into_iter().skip(*top).take(height).collect();
    frame.render_widget(Paragraph::new(Text::from(shown)), body);
    frame.render_widget(Paragraph::new(keys).dim(), foot);
    height
}

/// A line with blanks for its tabs; what is painted has none.
fn untabbed(line: &str) -> String {
    let mut text = String::new();
    for (at, part) in line.split('\t').enumerate() {
        if at > 0 {
            let column = Span::raw(text.as_str()).width();
            text.extend(std::iter::repeat_n(' ', 8 - column % 8));
        }
        text.push_str(part);
    }
    text
}

/// A line in pieces that are not wider than `width`, broken at blanks where there are some.
fn folded(line: &Line<'_>, width: usize) -> Vec<Line<'static>> {
    let mut left: Vec<Span<'static>> = line
        .styled_graphemes(Style::default())
        .map(|grapheme| Span::styled(grapheme.symbol.to_owned(), grapheme.style))
        .collect();
    let mut pieces = Vec::new();
    // Where there is no place for more than the indentation, nothing can be read anyway.
    while pieces.is_empty() || width > 2 * REST.len() {
        let indent = if pieces.is_empty() { "" } else { REST };
        let mut used = indent.len();
        let fits = left.iter().take_while(|span| {
            used += span.width();
            used <= width
        });
        let fits = fits.count();
        let all = fits == left.len();
        let blank = left.iter().take(fits + 1).rposition(|span| span.content == " ").filter(|at| *at > 0);
        let end = if all { fits } else { blank.unwrap_or(fits) };
        let rest = left.split_off(end.min(left.len()));
        pieces.push(Line::from_iter([Span::raw(indent)].into_iter().chain(left)));
        left = rest.into_iter().skip_while(|span| span.content == " ").collect();
        if all || left.is_empty() {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{Terminal, backend::TestBackend, style::Color};

    fn shown(picture: &str, size: (u16, u16), top: &mut usize) -> (Vec<String>, Terminal<TestBackend>) {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal
            .draw(|frame| {
                draw(frame, picture, top);
            })
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let rows = symbols.chunks(usize::from(size.0)).map(|row| row.concat().trim_end().to_owned());
        (rows.collect(), terminal)
    }

    #[test]
    fn lines_that_are_too_long_go_on_in_the_next_and_keep_their_colours() {
        let picture = "  node ha2  \x1b[31;1mdead for 1m05s\x1b[0m: it fell silent\nend";
        let (rows, terminal) = shown(picture, (24, 6), &mut 0);
        assert_eq!(rows, ["  node ha2  dead for", "      1m05s: it fell", "      silent", "end", "", "q quit"]);
        let colour = |x, y| terminal.backend().buffer()[(x, y)].fg;
        assert_eq!([colour(12, 0), colour(6, 1), colour(13, 1)], [Color::Red, Color::Red, Color::Reset]);
    }

    #[test]
    fn a_word_that_is_too_long_is_broken_anywhere() {
        let (rows, _) = shown("abcdefghijklmnopqrst", (14, 4), &mut 0);
        assert_eq!(rows, ["abcdefghijklmn", "      opqrst", "", "q quit"]);
    }

    #[test]
    fn tabs_go_to_every_eighth_column() {
        let (rows, _) = shown("     nginx\t(lsb:nginx):\tStarted", (40, 2), &mut 0);
        assert_eq!(rows[0], "     nginx      (lsb:nginx):    Started");
    }

    #[test]
    fn what_does_not_fit_can_be_scrolled_to_and_not_past() {
        let picture: String = (1..=9).map(|line| format!("line {line}\n")).collect();
        let (rows, _) = shown(&picture, (60, 4), &mut 1);
        assert_eq!(rows[..3], ["line 2", "line 3", "line 4"]);
        assert_eq!(rows[3], "q quit   lines 2 to 4 of 9; the arrows show others");
        let mut top = 100;
        let (rows, _) = shown(&picture, (60, 4), &mut top);
        assert_eq!((rows[2].as_str(), top), ("line 9", 6));
    }

    #[test]
    fn a_terminal_without_room_is_drawn_on_without_harm() {
        for size in [(1, 1), (1, 3), (80, 1), (12, 2)] {
            shown("some words that do not fit\n\nat all", size, &mut 7);
        }
    }
}

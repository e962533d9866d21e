//! The live views: a lab stays up, shows its state and takes keys.

pub(crate) mod director;
pub(crate) mod pair;
mod screen;

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use evenkeel_api::Status;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use ratatui::{DefaultTerminal, Frame};

use crate::client::Load;
use crate::director::Asker;
use crate::error::{Context, Error};
use crate::interrupt::Interrupt;

/// How often the screen is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How often an evenkeel is asked.
const ASK: Duration = Duration::from_millis(250);
/// Event lines that are kept.
const EVENTS: usize = 200;

/// A lab that is shown: what is seen of it, and what keys do to it.
trait Live {
    /// Brings the view up to date.
    fn look(&mut self) -> Result<(), Error>;
    /// Draws the view.
    fn draw(&self, frame: &mut Frame<'_>);
    /// Does what a key stands for; others do nothing.
    fn press(&mut self, key: char) -> Result<(), Error>;
    /// Puts a line below the ones before.
    fn tell(&mut self, event: String);
}

/// What every view shows: which lab it is, how its client fares, and what has happened.
struct Scene {
    title: String,
    load: Load,
    begun: Instant,
    events: VecDeque<(Duration, String)>,
}

impl Scene {
    fn new(title: String, load: Load) -> Scene {
        Scene { title, load, begun: Instant::now(), events: VecDeque::new() }
    }

    fn tell(&mut self, event: impl Into<String>) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back((self.begun.elapsed(), event.into()));
    }
}

/// Takes the terminal and shows a lab until `q` is pressed or a signal comes.
fn show(live: &mut impl Live, interrupt: &Interrupt) -> Result<(), Error> {
    let mut terminal = ratatui::try_init().context("take over the terminal")?;
    let outcome = follow(live, interrupt, &mut terminal);
    // A terminal that is gone needs no restoring.
    let _ = ratatui::try_restore();
    outcome
}

fn follow(live: &mut impl Live, interrupt: &Interrupt, terminal: &mut DefaultTerminal) -> Result<(), Error> {
    while !interrupt.is_asked() {
        live.look()?;
        terminal.draw(|frame| live.draw(frame)).context("draw the screen")?;
        match next_key()? {
            Some('q') => break,
            Some(key) => {
                if let Err(error) = live.press(key) {
                    live.tell(format!("cannot {error}"));
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// The key that was pressed within a frame; Ctrl-C is `q`.
fn next_key() -> Result<Option<char>, Error> {
    if !event::poll(FRAME).context("wait for a key")? {
        return Ok(None);
    }
    let Event::Key(key) = event::read().context("read a key")? else { return Ok(None) };
    let control = key.modifiers.contains(event::KeyModifiers::CONTROL);
    Ok(match key.code {
        KeyCode::Char('c') if control => Some('q'),
        KeyCode::Char(letter) if key.kind == KeyEventKind::Press => Some(letter),
        _ => None,
    })
}

/// The states of an evenkeel as they come.
struct States {
    answers: mpsc::Receiver<Option<Status>>,
    /// Its end is the end of the thread that asks.
    _life: mpsc::SyncSender<()>,
}

impl States {
    /// Asks on a thread: an evenkeel that is slow must not make the screen slow.
    fn of(asker: Asker) -> States {
        let (sender, answers) = mpsc::sync_channel(4);
        let (life, gone) = mpsc::sync_channel::<()>(0);
        std::thread::spawn(move || {
            while gone.recv_timeout(ASK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if sender.send(asker.ask().ok()).is_err() {
                    return;
                }
            }
        });
        States { answers, _life: life }
    }

    /// Those that came since it was asked last; `None` where it did not answer.
    fn since(&self) -> impl Iterator<Item = Option<Status>> {
        self.answers.try_iter()
    }
}

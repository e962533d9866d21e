//! A program on a terminal of its own, which is looked at as bytes and typed on.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use crate::{LIMIT, until};
use evenkeel_lab::Process;
use rustix::{
    fs::{Mode, OFlags, open},
    io::{read, write},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    os::fd::OwnedFd,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// What a view puts back when it ends: the screen that was there, and the cursor.
const RESTORED: &str = "\x1b[?1049l\x1b[?25h";

/// A terminal with a program on it.
pub struct Pty {
    terminal: Arc<OwnedFd>,
    /// The program's end; as long as this is open all that was written can be read.
    other: OwnedFd,
    program: Process,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    modes: String,
}

impl Pty {
    /// Starts `command`, of which program, arguments and environment count, on a terminal of so many lines and columns.
    pub fn start(command: &Command, size: (u16, u16)) -> Pty {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&terminal).expect("it is ours");
        unlockpt(&terminal).expect("it is open");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other = open(&name, flags, Mode::empty()).expect("it opens");
        let mut run = Command::new("setsid");
        run.arg("--ctty").arg(command.get_program()).args(command.get_args());
        run.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm-256color");
        let end = || other.try_clone().expect("it is duplicated");
        set_size(&terminal, size);
        let modes = modes(&terminal);
        let program = run.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid starts");
        let (terminal, seen) = (Arc::new(terminal), Arc::default());
        let reader = thread::spawn({
            let (terminal, seen) = (Arc::clone(&terminal), Arc::clone(&seen));
            move || take(&terminal, &seen)
        });
        Pty { terminal, other, program: Process::new("a program on a terminal", program), seen, reader, modes }
    }

    /// Waits until `word` was written so many times. Blanks that are there already are not written, so it has none.
    pub fn wait(&self, word: &str, times: usize) {
        until(&format!("`{word}` was written {times} times"), || self.text().matches(word).count() >= times);
    }

    /// How often `word` was written.
    pub fn count(&self, word: &str) -> usize {
        self.text().matches(word).count()
    }

    /// The window has another size now, in lines and columns.
    pub fn resize(&self, size: (u16, u16)) {
        set_size(&self.terminal, size);
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        write(&self.terminal, keys.as_bytes()).expect("it is typed");
    }

    /// Waits for the end, which has to be a good one, and the terminal as it was before. Gives all that was written.
    pub fn end(mut self) -> String {
        let ended = self.program.wait(LIMIT).expect("it ends");
        assert!(ended.success(), "{ended}: {}", self.text());
        assert_eq!(modes(&self.terminal), self.modes, "the terminal is not as it was");
        drop(self.other);
        self.reader.join().expect("all was read");
        let text = String::from_utf8(self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("text");
        assert!(text.ends_with(RESTORED), "{text:?}");
        text
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// The last line and column that `text` goes to.
pub fn farthest(text: &str) -> (u16, u16) {
    let places = text.split("\x1b[").filter_map(|part| {
        let (line, column) = part.split_once('H')?.0.split_once(';')?;
        Some((line.parse::<u16>().ok()?, column.parse::<u16>().ok()?))
    });
    places.fold((0, 0), |(line, column), place| (line.max(place.0), column.max(place.1)))
}

fn set_size(terminal: &OwnedFd, (lines, columns): (u16, u16)) {
    tcsetwinsize(terminal, Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("it is set");
}

/// How it treats what is typed and written.
fn modes(terminal: &OwnedFd) -> String {
    let modes = tcgetattr(terminal).expect("it is a terminal");
    format!("{:?} {:?} {:?} {:?}", modes.input_modes, modes.output_modes, modes.local_modes, modes.control_modes)
}

fn take(terminal: &OwnedFd, seen: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = read(terminal, &mut buffer) {
        seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
    }
}

//! A process beside the daemon that ends its addresses when the others may claim them, to the millisecond.
//!
//! The lease of an address is in whole seconds and ends when the kernel gets round to it. The guard hears of each status
//! over a pipe. Where none has been sent for nearly a dead time, because the daemon was killed, hangs or stands still, it
//! removes the addresses; the lease is the net below it, should the guard be killed as well, and is lengthened where it would
//! end before that. What a daemon that was started anew has taken over by then stays.

mod book;
mod watch;

use crate::events::boottime;
use book::Line;
use evenkeel_machine::Instant;
use rustix::{
    fs::{OFlags, fcntl_setfl},
    pipe::{PipeFlags, pipe_with},
};
use std::{
    collections::BTreeSet,
    io::ErrorKind,
    os::fd::OwnedFd,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

pub(super) use book::Key;
pub use watch::watch;

/// For how long before the others may claim an address it is gone: their timers are a little early, the guard is a little
/// late, and clocks differ by a thousandth at most.
const BEFORE: Duration = Duration::from_millis(10);
/// See [`BEFORE`].
const DRIFT: u32 = 1000;
/// So long before a lease can end it is lengthened.
const RENEWED: Duration = Duration::from_millis(300);
/// One that has ended is not started again before.
const AGAIN: Duration = Duration::from_mins(1);

/// How long after a status with this dead time addresses end.
fn limit(deadtime: Duration) -> Duration {
    deadtime.saturating_sub(BEFORE + deadtime / DRIFT)
}

/// The daemon's end.
pub(super) struct Guard {
    command: Command,
    /// How long after the last status addresses end.
    limit: Duration,
    running: Option<(Child, OwnedFd)>,
    /// When it was started last.
    started: Instant,
    held: BTreeSet<Key>,
}

impl Guard {
    /// Starts one: `command` runs [`watch`].
    pub(super) fn start(mut command: Command, now: Instant) -> Result<Guard, String> {
        // Ctrl-C at the daemon's terminal is not for it.
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let limit = Duration::MAX;
        let mut guard = Guard { command, limit, running: None, started: now, held: BTreeSet::new() };
        guard.begin()?;
        Ok(guard)
    }

    fn begin(&mut self) -> Result<(), String> {
        let failed = |e: std::io::Error| format!("start the guard of the addresses: {e}");
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
        // A guard that does not read must not hold up a status.
        fcntl_setfl(&ours, OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
        let child = self.command.stdin(theirs).spawn().map_err(failed)?;
        // The command keeps its end of the pipe otherwise.
        self.command.stdin(Stdio::null());
        self.running = Some((child, ours));
        for key in self.held.clone() {
            self.say(&Line::Hold(key));
        }
        Ok(())
    }

    /// Whether the address ends by it, however long its lease is.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.running.is_some().then_some(self.limit)
    }

    /// A status is about to leave that tells this dead time, and addresses are renewed for `lease`. Gives why there is no
    /// guard any more, once.
    pub(super) fn sent(&mut self, now: Instant, dead_time: Duration, lease: Duration) -> Option<String> {
        self.limit = limit(dead_time);
        let was_there = self.running.is_some();
        if self.running.as_mut().is_some_and(|(child, _)| !matches!(child.try_wait(), Ok(None))) {
            self.running = None;
        }
        if self.running.is_none() && now - self.started >= AGAIN {
            self.started = now;
            if let Err(why) = self.begin() {
                return Some(format!("cannot {why}"));
            }
        }
        let at = boottime();
        self.say(&Line::Until { end: at + self.limit, renew: at + lease.saturating_sub(RENEWED) });
        (was_there && self.running.is_none()).then(|| {
            "the guard of the addresses has ended: until it is started again, they end with their lease".to_owned()
        })
    }

    /// This address is about to be added.
    pub(super) fn hold(&mut self, key: Key) {
        self.held.insert(key);
        self.say(&Line::Hold(key));
    }

    /// This address was removed.
    pub(super) fn drop(&mut self, key: Key) {
        self.held.remove(&key);
        self.say(&Line::Drop(key));
    }

    /// A guard that cannot be told is ended before it takes silence for death.
    fn say(&mut self, line: &Line) {
        let Some((child, pipe)) = &mut self.running else { return };
        let text = line.to_string();
        let written = loop {
            match rustix::io::write(&*pipe, text.as_bytes()) {
                Err(e) if std::io::Error::from(e).kind() == ErrorKind::Interrupted => {}
                // So few bytes are written whole or not at all.
                other => break other.is_ok(),
            }
        };
        if !written {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
            self.running = None;
        }
    }
}

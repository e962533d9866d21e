//! Programs whose end is awaited and that are no check of a real server: what VRRP instances track.

use crate::connect::text;
use crate::script::{MAX_UNDEAD, Running, Undead, command};
use evenkeel_health::printable;
use evenkeel_model::Script;
use evenkeel_os::Ids;
use std::{fmt, os::unix::process::ExitStatusExt, time::Duration};

/// Runs programs, each in a process group of its own that does not outlive it.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    undead: Undead,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It took longer than this and was killed with its group.
    Late(Duration),
    /// It was not run; the text says why.
    NotRun(String),
}

impl Ended {
    /// Whether all is well.
    pub fn is_good(&self) -> bool {
        *self == Ended::Status(0)
    }
}

impl fmt::Display for Ended {
    /// `exit status 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Status(status) => write!(f, "exit status {status}"),
            Ended::Signal(signal) => write!(f, "ended by signal {signal}"),
            Ended::Late(after) => write!(f, "still running after {} s, killed", after.as_secs_f64()),
            Ended::NotRun(why) => write!(f, "cannot be run: {why}"),
        }
    }
}

impl Programs {
    /// Runs `script` as `ids` to its end, which comes within `timeout`. Dropped earlier, it kills it.
    pub async fn run(&self, script: &Script, ids: Ids, timeout: Duration) -> Ended {
        let hanging = self.undead.count();
        if hanging >= MAX_UNDEAD {
            return Ended::NotRun(format!("{hanging} killed programs have not gone yet"));
        }
        let mut command = command(script);
        ids.take_on(&mut command);
        let refused =
            |error| Ended::NotRun(format!("{}: {}", printable(&script.program.to_string_lossy()), text(&error)));
        let running = match Running::start(command, &self.undead) {
            Ok(running) => running,
            Err(error) => return refused(error),
        };
        match tokio::time::timeout(timeout, running.ended()).await {
            Ok(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => Ended::Status(code),
                (None, signal) => Ended::Signal(signal.unwrap_or_default()),
            },
            Ok(Err(error)) => refused(error),
            Err(_elapsed) => Ended::Late(timeout),
        }
    }
}

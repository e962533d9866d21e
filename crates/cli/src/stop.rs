//! `stop`: ends the running instance, whatever its files have become; and removes what a killed one has left.

use crate::{
    VERSION,
    client::Client,
    exit::{NO_PERMISSION, Trouble},
};
use evenkeel_api::{Reply, Request};
use evenkeel_os::{Holder, PidFile, Signal};
use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// What a daemon may take to end after it has said so.
pub(crate) const LAST_STEPS: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// What there was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A running daemon.
    Daemon,
    /// What a killed daemon had left serving.
    Leftovers,
}

pub(crate) fn stop(runtime_dir: &Path) -> Result<ExitCode, Trouble> {
    match end(runtime_dir)? {
        Ended::Daemon => eprintln!("stopped"),
        Ended::Leftovers => eprintln!("no daemon ran; what a killed one had left serving is removed"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the instance and waits until it has ended.
pub(crate) fn end(runtime_dir: &Path) -> Result<Ended, Trouble> {
    let pid = runtime_dir.join("pid");
    let mut client = match Client::connect(runtime_dir) {
        Ok(client) => client,
        Err(trouble) => return end_without_answer(runtime_dir, &pid, trouble),
    };
    match client.ask_patiently(&Request::Stop {}) {
        Ok(Reply::Done { .. }) => {
            wait_until_gone(&pid)?;
            Ok(Ended::Daemon)
        }
        Ok(_) => Err(Trouble::other_answer("stop")),
        // It may have ended before the answer was read.
        Err(trouble) if trouble.status != NO_PERMISSION && is_gone(&pid) => after_the_end(runtime_dir, &pid),
        Err(trouble) => Err(trouble),
    }
}

/// A daemon is gone that has not said it would end: one that was killed, and took its time to die, has removed nothing.
fn after_the_end(runtime_dir: &Path, pid: &Path) -> Result<Ended, Trouble> {
    // An orderly end takes the file away.
    let was_killed = matches!(PidFile::holder(pid), Ok(Holder::Stale | Holder::Unproven(_)));
    if was_killed && remove_leftovers(runtime_dir)? { Ok(Ended::Leftovers) } else { Ok(Ended::Daemon) }
}

fn remove_leftovers(runtime_dir: &Path) -> Result<bool, Trouble> {
    evenkeel_runtime::remove_leftovers(runtime_dir).map_err(|why| {
        Trouble::failed(format!("cannot remove what a killed daemon has left: {why} (evenkeel {VERSION})"))
    })
}

fn end_without_answer(runtime_dir: &Path, pid: &Path, trouble: Trouble) -> Result<Ended, Trouble> {
    if trouble.status == NO_PERMISSION {
        return Err(trouble);
    }
    match PidFile::signal(pid, Signal::TERM) {
        // It starts just now, is dying, or its socket was removed behind its back.
        Ok(true) => {
            wait_until_gone(pid)?;
            return after_the_end(runtime_dir, pid);
        }
        Ok(false) => {}
        Err(e) => return Err(Trouble::failed(format!("cannot end the daemon: {e}"))),
    }
    if remove_leftovers(runtime_dir)? { Ok(Ended::Leftovers) } else { Err(trouble) }
}

/// Whether no process holds the file.
pub(crate) fn is_gone(pid: &Path) -> bool {
    !matches!(PidFile::holder(pid), Ok(Holder::Running(_)))
}

fn wait_until_gone(pid: &Path) -> Result<(), Trouble> {
    let end = Instant::now() + LAST_STEPS;
    while !is_gone(pid) {
        if Instant::now() > end {
            let text = format!("the daemon has not ended within {} s", LAST_STEPS.as_secs());
            return Err(Trouble::failed(text));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

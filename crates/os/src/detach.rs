//! Becoming a daemon: the caller of the command waits until the daemon serves, or hears why it does not.

#![allow(unsafe_code, reason = "fork is unsafe")]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::setsid,
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout},
    time::Timespec,
};

use crate::{
    clock::since_boot,
    error::{Error, Result},
};

/// Most of a message that is passed on.
const MESSAGE: usize = 64 * 1024;
const READY: &[u8] = b"\0ready";

/// Which of the two processes this is after [`detach`].
#[derive(Debug)]
pub enum Side {
    /// The one that was called; it waits and exits.
    Caller(Waiter),
    /// The daemon.
    Daemon(Herald),
}

/// The caller's end.
#[derive(Debug)]
pub struct Waiter {
    pipe: File,
}

/// The daemon's end. Dropped without a word, it tells that the daemon ended.
#[derive(Debug)]
pub struct Herald {
    pipe: File,
}

/// Splits off a daemon: its own session, no terminal, standard input, output and error on /dev/null. Refused once the
/// process has more than one thread, since only the calling one would go along.
pub fn detach() -> Result<Side> {
    let threads = fs::read_dir("/proc/self/task").map_err(|e| Error::system("count the threads", e))?.count();
    if threads != 1 {
        return Err(Error::Refused(format!("a process with {threads} threads cannot become a daemon")));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::system("open a pipe", e))?;
    if fork()? {
        return Ok(Side::Caller(Waiter { pipe: File::from(read) }));
    }
    drop(read);
    let herald = Herald { pipe: File::from(write) };
    match settle() {
        // The leader of the session ends, so that the daemon can never get a terminal.
        Ok(true) => end_at_once(),
        Ok(false) => Ok(Side::Daemon(herald)),
        Err(e) => {
            herald.failed(&e.to_string());
            end_at_once()
        }
    }
}

/// Says whether this is the process in between, whose work is done.
fn settle() -> Result<bool> {
    setsid().map_err(|e| Error::system("start a session", e))?;
    if fork()? {
        return Ok(true);
    }
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let redirected = null.and_then(|null| {
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        Ok(dup2_stderr(&null)?)
    });
    redirected.map_err(|e| Error::system("redirect the output to /dev/null", e)).map(|()| false)
}

/// Forks; true in the parent.
fn fork() -> Result<bool> {
    // SAFETY: the process has one thread (checked by `detach`), so the child is a full copy of it.
    match unsafe { libc::fork() } {
        -1 => Err(Error::system("fork", io::Error::last_os_error())),
        0 => Ok(false),
        _ => Ok(true),
    }
}

fn end_at_once() -> ! {
    // SAFETY: ends the process without running what belongs to its parent (exit handlers, destructors, buffers).
    unsafe { libc::_exit(0) }
}

impl Waiter {
    /// Waits until the daemon serves; else says why it does not.
    pub fn wait(mut self, limit: Duration) -> Result<()> {
        let deadline = since_boot() + limit;
        let mut message = Vec::new();
        loop {
            let left = deadline.saturating_sub(since_boot());
            if left.is_zero() {
                return Err(Error::Refused(format!("the daemon does not serve after {} s", limit.as_secs())));
            }
            let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
            let mut fds = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(e) => return Err(Error::system("wait for the daemon", e)),
            }
            let mut buffer = [0; 1024];
            let length = self.pipe.read(&mut buffer).map_err(|e| Error::system("hear from the daemon", e))?;
            message.extend_from_slice(buffer.get(..length).unwrap_or_default());
            if message == READY {
                return Ok(());
            }
            if length == 0 || message.len() > MESSAGE {
                let text = String::from_utf8_lossy(&message).trim().to_owned();
                let silent = "the daemon ended without a word".to_owned();
                return Err(Error::Refused(if text.is_empty() { silent } else { text }));
            }
        }
    }
}

impl Herald {
    /// Tells the caller that the daemon serves.
    pub fn ready(mut self) {
        // A caller that is gone does not wait.
        let _ = self.pipe.write_all(READY);
    }

    /// Tells the caller why the daemon does not serve.
    pub fn failed(mut self, why: &str) {
        let _ = self.pipe.write_all(why.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Waiter, Herald) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        (Waiter { pipe: File::from(read) }, Herald { pipe: File::from(write) })
    }

    #[test]
    fn the_caller_hears_that_the_daemon_serves_or_why_not() {
        let limit = Duration::from_secs(20);
        let (waiter, herald) = both();
        herald.ready();
        assert!(waiter.wait(limit).is_ok());
        let (waiter, herald) = both();
        herald.failed("the port is taken");
        assert_eq!(waiter.wait(limit).expect_err("failed").to_string(), "the port is taken");
        let (waiter, herald) = both();
        drop(herald);
        assert_eq!(waiter.wait(limit).expect_err("gone").to_string(), "the daemon ended without a word");
        let (waiter, _herald) = both();
        let late = waiter.wait(Duration::from_millis(10)).expect_err("late").to_string();
        assert!(late.starts_with("the daemon does not serve after"), "{late}");
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The test's own runner has at least one more thread.
        let why = detach().expect_err("threads").to_string();
        assert!(why.ends_with("threads cannot become a daemon"), "{why}");
    }
}

//! A process of the lab: ended when its handle goes, and waited for by event.

use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::error::{Context, Error};

/// A child process that does not outlive its handle.
#[derive(Debug)]
pub struct Process {
    what: String,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Takes charge of `child`; `what` names it in messages.
    pub fn new(what: impl Into<String>, child: Child) -> Self {
        Self { what: what.into(), child, ended: None }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if !self.is_running() {
            return Ok(());
        }
        let sent = rustix::process::kill_process(self.pid()?, signal);
        sent.map_err(|why| Error::because(format_args!("signal {}", self.what), why))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let process = pidfd_open(self.pid()?, PidfdFlags::empty())
            .map_err(|why| Error::because(format_args!("watch {}", self.what), why))?;
        let limit_spec = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit_spec)) {
            Ok(0) => return Err(Error::new(format!("{} did not end within {limit:?}", self.what))),
            Ok(_) => {}
            Err(why) => return Err(Error::because(format_args!("wait for {}", self.what), why)),
        }
        let status = self.child.wait().context(format_args!("wait for {}", self.what))?;
        self.ended = Some(status);
        Ok(status)
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(5)).map(|_| ())
    }

    /// Its standard output, if it was piped and not taken before.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    fn pid(&self) -> Result<Pid, Error> {
        let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        number.ok_or_else(|| Error::new(format!("{} has no process id", self.what)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn start(program: &str, argument: &str) -> Process {
        Process::new(program, Command::new(program).arg(argument).spawn().unwrap())
    }

    #[test]
    fn a_process_is_waited_for_until_it_ends_or_the_limit_is_reached() {
        assert!(start("true", "").wait(Duration::from_secs(10)).unwrap().success());
        let mut long = start("sleep", "600");
        assert!(long.wait(Duration::from_millis(1)).unwrap_err().to_string().contains("did not end within"));
        assert!(long.is_running());
        long.kill().unwrap();
        assert!(!long.is_running());
    }

    #[test]
    fn a_process_does_not_outlive_its_handle() {
        let process = start("sleep", "600");
        let id = process.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}

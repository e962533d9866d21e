//! Child processes: where they run, that they go with their parent, and running one to its end before a deadline.

#![allow(unsafe_code, reason = "pre_exec is unsafe")]

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, getppid, kill_process_group, pidfd_open, set_parent_process_death_signal},
    thread::{LinkNameSpaceType, move_into_link_name_space},
    time::Timespec,
};

use crate::{
    clock::since_boot,
    error::{Error, Result},
    namespace::Namespace,
};

/// What a child had to say.
#[derive(Debug)]
pub struct Finished {
    /// How it ended; `None` when it was killed at the deadline.
    pub status: Option<ExitStatus>,
    /// Its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// More was written than the limit allows; the rest was thrown away.
    pub truncated: bool,
}

/// Has `command` start inside `namespace`, without moving any thread of this process there.
pub fn start_in(command: &mut Command, namespace: &Namespace) -> Result<()> {
    let fd = namespace.as_fd().try_clone_to_owned();
    let fd: OwnedFd = fd.map_err(|e| Error::system("keep the network namespace open", e))?;
    let enter = move || Ok(move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network))?);
    // SAFETY: between fork and exec only one system call is made, and nothing is allocated.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

/// Has `command` killed when the thread that starts it ends, and so at the latest with this process. Start it from a
/// thread that lives as long as the child should.
pub fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let arrange = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have gone before the line above.
        if getppid() == Some(parent) { Ok(()) } else { Err(Errno::CANCELED.into()) }
    };
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(arrange) };
}

/// Sends `signal` to every process of the group that `leader` leads (`Command::process_group(0)` makes one).
/// A group that is gone is no error.
pub fn signal_group(leader: u32, signal: Signal) -> Result<()> {
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    let group = group.ok_or_else(|| Error::Refused(format!("{leader} is no process group")))?;
    match kill_process_group(group, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(e) => Err(Error::system(format!("signal process group {leader}"), e)),
    }
}

/// Runs `command` without input to its end. At the deadline it is killed with all its children. Of each output at
/// most `limit` bytes are kept.
pub fn run_to_end(mut command: Command, deadline: Duration, limit: usize) -> Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|e| Error::system(format!("run {name}"), e))?;
    let leader = child.id();
    let outcome = attend(&mut child, since_boot() + deadline, limit);
    // Also what the child left running in the background goes.
    signal_group(leader, Signal::KILL)?;
    let status = child.wait().map_err(|e| Error::system(format!("wait for {name}"), e))?;
    let mut finished = outcome.map_err(|e| Error::system(format!("read from {name}"), e))?;
    if finished.status.is_some() {
        finished.status = Some(status);
    }
    Ok(finished)
}

/// Reads both outputs until the child has ended or the deadline has come.
fn attend(child: &mut Child, deadline: Duration, limit: usize) -> io::Result<Finished> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stdout = Output::new(child.stdout.take().map(OwnedFd::from), limit)?;
    let mut stderr = Output::new(child.stderr.take().map(OwnedFd::from), limit)?;
    let mut in_time = false;
    while !in_time {
        let left = deadline.saturating_sub(since_boot());
        if left.is_zero() {
            break;
        }
        let pipes = [&stdout, &stderr].into_iter().filter_map(|o| o.pipe.as_ref());
        let mut fds: Vec<PollFd<'_>> =
            std::iter::once(&ended).chain(pipes).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let wait = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        in_time = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        stdout.read()?;
        stderr.read()?;
    }
    // What was written before the end is in the pipe still.
    stdout.read()?;
    stderr.read()?;
    let truncated = stdout.truncated || stderr.truncated;
    let status = in_time.then(ExitStatus::default);
    Ok(Finished { status, stdout: stdout.bytes, stderr: stderr.bytes, truncated })
}

struct Output {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl Output {
    fn new(pipe: Option<OwnedFd>, limit: usize) -> io::Result<Output> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Output { pipe, bytes: Vec::new(), limit, truncated: false })
    }

    /// Reads what there is now: at most one pipe full, so that a child that never stops writing meets its deadline.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let mut buffer = [0; 16 * 1024];
        for _ in 0..8 {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return Ok(());
                }
                Ok(length) => {
                    let room = self.limit.saturating_sub(self.bytes.len());
                    let mut fresh = buffer.get(..length).unwrap_or_default();
                    self.truncated |= length > room;
                    fresh.by_ref().take(room as u64).read_to_end(&mut self.bytes)?;
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_and_the_status_are_kept() {
        let done = run_to_end(shell("echo out; echo err >&2; exit 3"), LONG, 100).expect("run");
        assert_eq!((done.stdout.as_slice(), done.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(done.status.and_then(|s| s.code()), Some(3));
    }

    #[test]
    fn at_the_deadline_it_is_killed_with_its_children() {
        let begun = since_boot();
        let done = run_to_end(shell("sleep 300 & echo $!; sleep 300"), Duration::from_millis(200), 100).expect("run");
        assert!(done.status.is_none() && since_boot() - begun < LONG);
        let grandchild = String::from_utf8(done.stdout).expect("a number");
        let pid = grandchild.trim().parse().ok().and_then(Pid::from_raw).expect("a process number");
        // It is gone already, or about to be.
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_ne!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)), Ok(0), "it lives on");
        }
    }

    #[test]
    fn an_endless_output_is_cut_and_does_not_hold_up_the_deadline() {
        let done = run_to_end(shell("yes"), Duration::from_millis(200), 1000).expect("run");
        assert_eq!(done.stdout.len(), 1000);
        assert!(done.truncated && done.status.is_none());
    }

    #[test]
    fn a_background_child_that_keeps_the_output_open_holds_up_nothing() {
        let begun = since_boot();
        let done = run_to_end(shell("sleep 300 & exit 0"), LONG, 100).expect("run");
        assert!(done.status.is_some_and(|s| s.success()) && since_boot() - begun < LONG / 2);
    }

    #[test]
    fn a_missing_program_is_named() {
        let why = run_to_end(Command::new("/no/such/program"), LONG, 1).expect_err("missing").to_string();
        assert!(why.starts_with("run /no/such/program: "), "{why}");
    }

    #[test]
    fn a_child_starts_inside_a_namespace_and_goes_with_its_parent() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let name = format!("ek-child-{}", std::process::id());
        let namespace = Namespace::create(&name).expect("create");
        let mut command = shell("cat /proc/self/net/dev");
        start_in(&mut command, &namespace).expect("arrange");
        let done = run_to_end(command, LONG, 4096).expect("run");
        let mut lasting = shell("sleep 300");
        // The thread that starts it is its parent for this purpose.
        let pid = crate::namespace::on_a_thread(|| {
            die_with_parent(&mut lasting);
            lasting.spawn().expect("spawn").id()
        });
        Namespace::delete(&name).expect("delete");
        let pid = Pid::from_raw(pid.cast_signed()).expect("a number");
        let waited = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).expect("wait");
        assert_eq!(String::from_utf8_lossy(&done.stdout).lines().skip(2).count(), 1, "only lo is inside");
        assert_eq!(waited.and_then(|(_, status)| status.terminating_signal()), Some(Signal::KILL.as_raw()));
    }
}

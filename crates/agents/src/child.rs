//! One program from its start to its end: its deadline, its output, and that nothing of it is left behind.
//!
//! A start script leaves on purpose what it started. So the process group is killed only at the deadline, or when nobody
//! wants the outcome any more; and a pipe that such a child still holds is read on, so that it does not die of writing to
//! it.

use evenkeel_os::Ids;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, kill_process_group},
};
use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe::Receiver,
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

/// Bytes of each output that are kept: the last ones.
const KEPT: usize = 64 * 1024;
/// The longest reason, in characters.
const REASON: usize = 300;
/// How long is waited for a killed program to go.
const DYING: Duration = Duration::from_secs(1);

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// All it finds in its environment but `PATH`.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) path: String,
    /// Its standard input.
    pub(crate) input: String,
    /// Whom it runs as; `None`: as the daemon.
    pub(crate) ids: Option<Ids>,
    /// It may leave something running that writes on.
    pub(crate) leaves: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long and was killed with all its children.
    Late,
    /// It was not run; the text says why.
    NotRun(String),
}

/// A program that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) how: How,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    fn not_run(why: impl std::fmt::Display) -> Ended {
        Ended { how: How::NotRun(why.to_string()), stdout: String::new(), stderr: String::new() }
    }

    /// The last line it wrote, errors first.
    pub(crate) fn last_line(&self) -> Option<String> {
        let last = |text: &str| text.lines().rev().map(plain).find(|line| !line.is_empty());
        last(&self.stderr).or_else(|| last(&self.stdout))
    }

    /// `exit status 1: nginx: [emerg] bind() failed`
    pub(crate) fn reason(&self, said: Option<String>) -> String {
        let how = match &self.how {
            How::Status(status) => format!("exit status {status}"),
            How::Signal(signal) => format!("ended by signal {signal}"),
            How::Late => "it took too long".to_owned(),
            How::NotRun(why) => return why.clone(),
        };
        said.map_or_else(|| how.clone(), |said| format!("{how}: {said}"))
    }
}

/// A line as it may be shown: without control characters, and not too long.
pub(crate) fn plain(line: &str) -> String {
    line.trim().chars().filter(|c| !c.is_control()).take(REASON).collect()
}

/// Runs `call` to its end, which comes within `within` and about a second. Dropped earlier, it kills it.
pub(crate) async fn run(call: &Call, within: Duration) -> Ended {
    let until = Instant::now() + within;
    let (mut running, mut stdout, mut stderr) = match start(call) {
        Ok(started) => started,
        Err(e) => return Ended::not_run(format!("{} cannot be run: {e}", call.program.display())),
    };
    let input = running.child.stdin.take();
    let attend = async {
        let feed = async {
            if let Some(mut input) = input {
                // A program need not read what it is given.
                let _ = input.write_all(call.input.as_bytes()).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            status = running.child.wait() => status,
            () = stdout.fill() => Err(io::ErrorKind::Other.into()),
            () = stderr.fill() => Err(io::ErrorKind::Other.into()),
            () = feed => Err(io::ErrorKind::Other.into()),
        }
    };
    let ended = timeout_at(until, attend).await;
    stdout.take();
    stderr.take();
    let how = match ended {
        Ok(Ok(status)) => {
            running.group = None;
            how(status)
        }
        Ok(Err(e)) => How::NotRun(format!("{} cannot be waited for: {e}", call.program.display())),
        Err(_) => {
            running.kill();
            // One that hangs in the kernel is left to the reaper.
            let _ = timeout(DYING, running.child.wait()).await;
            How::Late
        }
    };
    let ended = Ended { how, stdout: stdout.text(), stderr: stderr.text() };
    if call.leaves {
        stdout.read_on();
        stderr.read_on();
    }
    ended
}

fn how(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Status(code),
        (None, signal) => How::Signal(signal.unwrap_or_default()),
    }
}

fn start(call: &Call) -> io::Result<(Running, Output, Output)> {
    let (stdout, out) = Output::open()?;
    let (stderr, err) = Output::open()?;
    let mut command = std::process::Command::new(&call.program);
    if let Some(ids) = call.ids {
        ids.take_on(&mut command);
    }
    command.args(&call.arguments).env_clear().env("PATH", &call.path).current_dir("/");
    command.envs(call.environment.iter().map(|(name, value)| (name, value)));
    command.stdout(Stdio::from(out)).stderr(Stdio::from(err));
    command.stdin(if call.input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut command = Command::from(command);
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok((Running { child, group }, stdout, stderr))
}

/// A child that is not left behind by accident.
struct Running {
    child: Child,
    /// Its group, while it has not been waited for, so that the number is no other's.
    group: Option<Pid>,
}

impl Running {
    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // Gone in the meantime is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What comes out of one pipe.
struct Output {
    pipe: Option<Receiver>,
    bytes: Vec<u8>,
}

impl Output {
    /// With the end that the child writes to.
    fn open() -> io::Result<(Output, OwnedFd)> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&read, fcntl_getfl(&read)? | OFlags::NONBLOCK)?;
        Ok((Output { pipe: Some(Receiver::from_owned_fd(read)?), bytes: Vec::new() }, write))
    }

    /// Reads for ever.
    async fn fill(&mut self) {
        while let Some(pipe) = &self.pipe {
            if pipe.readable().await.is_err() {
                self.pipe = None;
            }
            self.take();
        }
        std::future::pending().await
    }

    /// Reads what there is now; at most a few pipes full, so that one who never stops writing does not hold us.
    fn take(&mut self) {
        let mut buffer = [0; 8 * 1024];
        for _ in 0..32 {
            let Some(pipe) = &self.pipe else { return };
            match pipe.try_read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => self.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.pipe = None,
            }
            if self.bytes.len() > 2 * KEPT {
                self.bytes.drain(..self.bytes.len() - KEPT);
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Throws away what still comes, for as long as somebody can write.
    fn read_on(mut self) {
        self.take();
        if self.pipe.is_some() {
            tokio::task::spawn_local(async move {
                while let Some(pipe) = &self.pipe {
                    if pipe.readable().await.is_err() {
                        return;
                    }
                    self.take();
                    self.bytes.clear();
                }
            });
        }
    }
}

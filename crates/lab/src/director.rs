//! The director: the real `evenkeel run` in its node, with a runtime directory of its own.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_api::{Reply, Request, Status, to_line};
use rustix::process::Signal;

use crate::error::{Context, Error};
use crate::node::Node;
use crate::process::Process;

/// How often the state is asked for while something is awaited.
const LOOK: Duration = Duration::from_millis(5);
/// A director that does not answer within this time is as good as dead.
const PATIENCE: Duration = Duration::from_secs(5);
/// No start or end takes longer, even in a guest on a busy machine, whose kernel looks the program over.
const START_OR_END: Duration = Duration::from_secs(60);
/// How much of the log an error shows.
const LOG_TAIL: u64 = 2000;

/// The director of a lab.
#[derive(Debug)]
pub struct Director {
    node: Arc<Node>,
    program: PathBuf,
    runtime: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Director {
    /// One that is not started yet; its runtime directory and log are in `directory`.
    pub fn new(node: Arc<Node>, program: PathBuf, directory: &Path) -> Self {
        let (runtime, log) = (directory.join("director"), directory.join("director.log"));
        Self { node, program, runtime, log, process: None }
    }

    /// The node it runs in.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Its runtime directory.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime
    }

    /// Starts `evenkeel run` with these arguments, and does not wait for anything.
    pub fn spawn(&mut self, arguments: &[&str]) -> Result<(), Error> {
        let mut log = OpenOptions::new();
        let log = log.create(true).append(true).open(&self.log).context("open the director's log")?;
        let mut command = Command::new(&self.program);
        command.arg("run").args(arguments);
        command.arg("--runtime-dir").arg(&self.runtime);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(Process::new("the director", self.node.spawn(command)?));
        Ok(())
    }

    /// Starts `evenkeel run` and waits until it answers. Says how long that took.
    pub fn start(&mut self, arguments: &[&str]) -> Result<Duration, Error> {
        let begun = Instant::now();
        self.spawn(arguments)?;
        self.wait("answers", START_OR_END, |_| true)?;
        Ok(begun.elapsed())
    }

    /// Whether its process lives.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// `kill -9`. Says when.
    pub fn kill(&mut self) -> Result<Instant, Error> {
        let now = Instant::now();
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(now)
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Waits for its end.
    pub fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let mut process = self.process.take().ok_or_else(|| Error::new("the director does not run"))?;
        process.wait(limit)
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        self.wait_end(START_OR_END)
    }

    /// A subcommand of evenkeel for this instance, run in the director's node.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.asker().command(arguments)
    }

    /// The text of `evenkeel status --json`.
    pub fn status_json(&self) -> Result<String, Error> {
        self.asker().ask_json()
    }

    /// The state of the running director.
    pub fn status(&self) -> Result<Status, Error> {
        self.asker().ask()
    }

    /// What asks this director for its state from another thread.
    pub(crate) fn asker(&self) -> Asker {
        Asker { node: Arc::clone(&self.node), program: self.program.clone(), runtime: self.runtime.clone() }
    }

    /// Waits until the state is as `good` wants it; `what` names that in the error.
    pub fn wait(&mut self, what: &str, limit: Duration, good: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        let end = Instant::now() + limit;
        loop {
            match self.status() {
                Ok(status) if good(&status) => return Ok(status),
                Ok(status) if Instant::now() > end => {
                    let status = serde_json::to_string(&status.services).unwrap_or_default();
                    return Err(Error::new(format!("the director never {what}: {status}\n{}", self.log_tail())));
                }
                Err(error) if Instant::now() > end || !self.is_running() => {
                    return Err(Error::because(format!("the director never {what}: {error}"), self.log_tail()));
                }
                Ok(_) | Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    /// Waits until real server `address` (in text, without its port) is in state `state` in every service that has it.
    pub fn wait_state(
        &mut self,
        address: &str,
        state: evenkeel_api::ServerState,
        limit: Duration,
    ) -> Result<(), Error> {
        let what = format!("said that {address} is {state}");
        self.wait(&what, limit, |status| {
            let servers = status.services.iter().flat_map(|service| &service.real_servers);
            let mut matching = servers.filter(|server| host_of(&server.address) == address).peekable();
            matching.peek().is_some() && matching.all(|server| server.state == state)
        })
        .map(|_| ())
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_else(|error| format!("no log: {error}"))
    }
}

/// Runs the client commands of one instance.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    node: Arc<Node>,
    program: PathBuf,
    runtime: PathBuf,
}

impl Asker {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--runtime-dir").arg(&self.runtime);
        command
    }

    fn ask_json(&self) -> Result<String, Error> {
        self.node.output(self.command(&["status", "--json"]))
    }

    /// Asks on the control socket, which is so quick that it can be asked often.
    pub(crate) fn ask(&self) -> Result<Status, Error> {
        let what = "ask the director for its state";
        let socket = UnixStream::connect(self.runtime.join("control.sock")).context(what)?;
        socket.set_read_timeout(Some(PATIENCE)).context(what)?;
        let mut lines = BufReader::new(&socket).lines();
        let mut next = || lines.next().ok_or_else(|| Error::because(what, "it hung up"))?.context(what);
        // The daemon greets first.
        next()?;
        let request = to_line(&Request::Status { service: None }).map_err(|error| Error::because(what, error))?;
        (&socket).write_all(&request).context(what)?;
        match serde_json::from_str(&next()?) {
            Ok(Reply::Status(status)) => Ok(*status),
            Ok(other) => Err(Error::because(what, format!("it answers {other:?}"))),
            Err(error) => Err(Error::because(what, error)),
        }
    }
}

/// The address in `192.0.2.1:80` or `[2001:db8::1]:80`.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_of_an_address_is_found_in_both_families() {
        assert_eq!(host_of("192.0.2.1:80"), "192.0.2.1");
        assert_eq!(host_of("[2001:db8::1]:80"), "2001:db8::1");
    }
}

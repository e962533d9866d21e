//! A real server of the lab: a node, a web server process in it, and the orders it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Context, Error};
use crate::node::Node;
use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(5);

/// A web server on port 80 of a node.
#[derive(Debug)]
pub struct WebServer {
    node: Arc<Node>,
    program: PathBuf,
    control: PathBuf,
    body: String,
    /// Its own addresses; the first is how messages name it.
    addresses: Vec<IpAddr>,
    process: Option<Process>,
}

impl WebServer {
    /// One that is not started yet, of which `evenkeel lab-server` is part of `program`; `control` is the path of its
    /// control socket.
    pub fn new(node: Arc<Node>, program: PathBuf, control: PathBuf, body: &str, addresses: Vec<IpAddr>) -> Self {
        Self { node, program, control, body: body.to_owned(), addresses, process: None }
    }

    /// The node it runs in.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The name of its node.
    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// What it answers.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Its own addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether its process lives.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Starts the process and waits until it listens. Says when it did.
    pub fn start(&mut self) -> Result<Instant, Error> {
        if self.is_running() {
            return Ok(Instant::now());
        }
        match std::fs::remove_file(&self.control) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::because("remove the old control socket", error)),
        }
        let mut command = Command::new(&self.program);
        // All addresses, the virtual ones on `lo` included, of both families.
        let everywhere = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 80));
        command.args(["lab-server", "--listen", &everywhere.to_string(), "--body", &self.body]).arg("--control");
        command.arg(&self.control).stdin(Stdio::null()).stdout(Stdio::piped());
        let child = self.node.spawn(command)?;
        let mut process = Process::new(format!("the web server of {}", self.name()), child);
        let out = process.take_stdout().ok_or_else(|| Error::new("the web server has no output"))?;
        let mut line = String::new();
        BufReader::new(out.take(64)).read_line(&mut line).context("wait for the web server")?;
        if line != "ready\n" {
            return Err(Error::new(format!("the web server of {} did not start", self.name())));
        }
        self.process = Some(process);
        Ok(Instant::now())
    }

    /// Kills the process. Says when.
    pub fn stop(&mut self) -> Result<Instant, Error> {
        let now = Instant::now();
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(now)
    }

    /// From now on it accepts and never answers.
    pub fn hang(&self) -> Result<Instant, Error> {
        self.order("hang")
    }

    /// From now on it answers this.
    pub fn answer(&self, status: u16, body: &str) -> Result<Instant, Error> {
        self.order(&format!("answer {status} {body}"))
    }

    /// It answers again as at its start.
    pub fn recover(&self) -> Result<Instant, Error> {
        self.answer(200, &self.body)
    }

    /// Gives an order and says when it was obeyed.
    fn order(&self, order: &str) -> Result<Instant, Error> {
        let what = format!("tell the web server of {}", self.name());
        let mut conversation = UnixStream::connect(&self.control).context(&what)?;
        conversation.set_read_timeout(Some(PATIENCE)).context(&what)?;
        conversation.write_all(format!("{order}\n").as_bytes()).context(&what)?;
        let mut reply = String::new();
        conversation.read_to_string(&mut reply).context(&what)?;
        if reply == "ok\n" { Ok(Instant::now()) } else { Err(Error::because(what, reply.trim())) }
    }
}

//! The commands' end of the control socket.

use crate::exit::Trouble;
use evenkeel_api::{Greeting, PROTOCOL, Refusal, RefusalCode, Reply, Request, to_line};
use std::{
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Name of the socket in the runtime directory.
pub(crate) const SOCKET: &str = "control.sock";
/// How long the daemon may take for an ordinary answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A conversation with the daemon.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    /// The daemon has hung up.
    ended: bool,
}

impl Client {
    /// Connects to the instance of this runtime directory. One that hangs up before it has said what it is was killed and
    /// is still dying: as good as none.
    pub(crate) fn connect(runtime_dir: &Path) -> Result<Client, Trouble> {
        let path = runtime_dir.join(SOCKET);
        let stream = UnixStream::connect(&path).map_err(|e| unreachable_daemon(&path, &e))?;
        let patience = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        patience.map_err(|e| Trouble::failed(format!("cannot talk to the daemon: {e}")))?;
        let mut client = Client { stream: BufReader::new(stream), ended: false };
        let line = client.line()?.ok_or_else(|| not_running(&path))?;
        match serde_json::from_str::<Greeting>(&line) {
            Ok(greeting) if greeting.protocol == PROTOCOL => Ok(client),
            Ok(greeting) => Err(Trouble::failed(format!(
                "the daemon (evenkeel {}) speaks protocol {}, this program {PROTOCOL}: use the program of the same version",
                greeting.evenkeel, greeting.protocol
            ))),
            Err(_) => match serde_json::from_str(&line) {
                Ok(Reply::Refused(refusal)) => Err(Trouble::refused(&refusal)),
                Ok(_) | Err(_) => Err(Trouble::failed("what answers there is no evenkeel daemon")),
            },
        }
    }

    /// Asks, and waits for the one answer. A refusal is an error.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, Trouble> {
        self.send(request)?;
        self.next()?.ok_or_else(hung_up)
    }

    /// As [`Client::ask`], for what may take as long as it wants.
    pub(crate) fn ask_patiently(&mut self, request: &Request) -> Result<Reply, Trouble> {
        self.wait_forever()?;
        self.ask(request)
    }

    /// Asks for a stream of replies.
    pub(crate) fn send(&mut self, request: &Request) -> Result<(), Trouble> {
        let line = to_line(request).map_err(|e| Trouble::failed(format!("cannot write the request: {e}")))?;
        let sent = self.stream.get_mut().write_all(&line);
        self.ended |= sent.as_ref().is_err_and(|e| matches!(e.kind(), io::ErrorKind::BrokenPipe));
        sent.map_err(|e| Trouble::failed(format!("cannot talk to the daemon: {e}")))
    }

    /// Whether the daemon has hung up: what fails has failed for that.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// No answer is late from now on.
    pub(crate) fn wait_forever(&mut self) -> Result<(), Trouble> {
        let set = self.stream.get_ref().set_read_timeout(None);
        set.map_err(|e| Trouble::failed(format!("cannot talk to the daemon: {e}")))
    }

    /// Asks, and waits for the one answer, which may be a refusal.
    pub(crate) fn answer(&mut self, request: &Request) -> Result<Reply, Trouble> {
        self.send(request)?;
        self.reply()
    }

    /// The next reply, which may be a refusal.
    pub(crate) fn reply(&mut self) -> Result<Reply, Trouble> {
        let line = self.line()?.ok_or_else(hung_up)?;
        serde_json::from_str(&line).map_err(|e| not_understood(&e))
    }

    /// The next reply; `None` when the daemon has ended. A refusal is an error.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Trouble> {
        let Some(line) = self.line()? else { return Ok(None) };
        match serde_json::from_str(&line) {
            Ok(Reply::Refused(refusal)) => Err(Trouble::refused(&refusal)),
            Ok(reply) => Ok(Some(reply)),
            Err(e) => Err(not_understood(&e)),
        }
    }

    fn line(&mut self) -> Result<Option<String>, Trouble> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        self.ended |= match &read {
            Ok(length) => *length == 0,
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        };
        match read {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(line)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                Err(Trouble::failed(format!("the daemon has not answered within {} s", PATIENCE.as_secs())))
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(e) => Err(Trouble::failed(format!("cannot talk to the daemon: {e}"))),
        }
    }
}

fn not_understood(e: &serde_json::Error) -> Trouble {
    Trouble::failed(format!("the daemon's answer is not understood: {e}"))
}

fn hung_up() -> Trouble {
    Trouble::failed("the daemon hung up without an answer")
}

fn not_running(path: &Path) -> Trouble {
    let message = format!("no evenkeel daemon answers at {}", path.display());
    Trouble::refused(&Refusal::new(RefusalCode::NotRunning, message))
}

fn unreachable_daemon(path: &Path, e: &io::Error) -> Trouble {
    match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => not_running(path),
        io::ErrorKind::PermissionDenied => {
            Trouble::needs_root(&format!("{} is open to its owner only", path.display()))
        }
        _ => Trouble::failed(format!("cannot reach the daemon at {}: {e}", path.display())),
    }
}

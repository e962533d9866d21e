//! The small web server of the lab's real servers: one answer for every request, and a control socket to change it.
//!
//! It runs as `evenkeel lab-server` in a process of its own, so that a real server can really die.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::args::ServerArgs;
use crate::error::{Context, Error};

/// Connections that are open at once; more are closed unanswered.
const CONNECTIONS: usize = 2048;
/// Bytes of a request's head that are read.
const HEAD: usize = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
const STACK: usize = 128 * 1024;

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Answer { status: u16, body: String },
    Hang,
}

#[derive(Debug)]
struct State {
    mode: Mutex<Mode>,
    changed: Condvar,
    connections: AtomicUsize,
}

impl State {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        self.changed.notify_all();
    }

    /// The answer, or nothing when the server hung until its mode changed.
    fn answer(&self) -> Option<(u16, String)> {
        let mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        if let Mode::Answer { status, body } = &*mode {
            return Some((*status, body.clone()));
        }
        let hangs = |mode: &mut Mode| *mode == Mode::Hang;
        drop(self.changed.wait_while(mode, hangs).unwrap_or_else(PoisonError::into_inner));
        None
    }
}

/// Serves until it is told to quit or killed.
pub fn serve(arguments: ServerArgs) -> ExitCode {
    match try_serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evenkeel lab-server: cannot {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_serve(arguments: ServerArgs) -> Result<(), Error> {
    let mode = Mutex::new(Mode::Answer { status: arguments.status, body: arguments.body });
    let state = Arc::new(State { mode, changed: Condvar::new(), connections: AtomicUsize::new(0) });
    let control = match &arguments.control {
        Some(path) => Some(UnixListener::bind(path).context(format_args!("listen on {}", path.display()))?),
        None => None,
    };
    let mut threads = Vec::new();
    for address in arguments.listen {
        let listener = TcpListener::bind(address).context(format_args!("listen on {address}"))?;
        let state = Arc::clone(&state);
        threads.push(std::thread::spawn(move || accept(&listener, &state)));
    }
    // Whoever started us waits for this line before sending requests.
    let mut out = std::io::stdout();
    writeln!(out, "ready").and_then(|()| out.flush()).context("say that the server is ready")?;
    if let Some(control) = control {
        for conversation in control.incoming().flatten() {
            if obey(&conversation, &state) {
                return Ok(());
            }
        }
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

/// Takes one command; says whether it was `quit`.
fn obey(conversation: &UnixStream, state: &State) -> bool {
    let mut line = String::new();
    if BufReader::new(conversation.take(64 * 1024)).read_line(&mut line).is_err() {
        return false;
    }
    let words: Vec<&str> = line.trim_end_matches('\n').splitn(3, ' ').collect();
    let reply = match words.as_slice() {
        ["quit"] => return true,
        ["hang"] => {
            state.set(Mode::Hang);
            "ok\n"
        }
        ["answer", status, body] => match status.parse() {
            Ok(status) => {
                state.set(Mode::Answer { status, body: (*body).to_owned() });
                "ok\n"
            }
            Err(_) => "no such status\n",
        },
        [..] => "no such command\n",
    };
    let mut conversation = conversation;
    let _ = conversation.write_all(reply.as_bytes());
    false
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for connection in listener.incoming().flatten() {
        if state.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            state.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let state = Arc::clone(state);
        let counted = Arc::clone(&state);
        let served = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let _ = exchange(connection, &state);
            state.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if served.is_err() {
            counted.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One request and its answer.
fn exchange(connection: TcpStream, state: &State) -> std::io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(connection.try_clone()?.take(HEAD as u64));
    let mut line = String::new();
    let mut method = String::new();
    // The head ends with an empty line; a connection that ends before that asked for nothing (a TCP check does so).
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if method.is_empty() {
            method = line.split(' ').next().unwrap_or_default().to_owned();
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let Some((status, body)) = state.answer() else { return Ok(()) };
    let mut connection = connection;
    let mut answer = format!(
        "HTTP/1.0 {status} lab\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        answer.push_str(&body);
    }
    connection.write_all(answer.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(mode: Mode) -> Arc<State> {
        Arc::new(State { mode: Mutex::new(mode), changed: Condvar::new(), connections: AtomicUsize::new(0) })
    }

    fn start(state: &Arc<State>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::clone(state);
        std::thread::spawn(move || accept(&listener, &state));
        address
    }

    fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut connection = TcpStream::connect(address).expect("connect");
        connection.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        answer
    }

    #[test]
    fn every_path_has_the_same_answer_and_head_has_no_body() {
        let address = start(&state(Mode::Answer { status: 503, body: "RS1".into() }));
        let get = ask(address, "GET /index.html HTTP/1.0\r\nHost: x\r\n\r\n");
        let head = ask(address, "HEAD / HTTP/1.0\r\n\r\n");
        assert!(get.starts_with("HTTP/1.0 503 ") && get.ends_with("\r\n\r\nRS1"), "{get}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn a_hanging_server_answers_nothing_until_its_mode_changes() {
        let state = state(Mode::Hang);
        let address = start(&state);
        let waiting = std::thread::spawn(move || ask(address, "GET / HTTP/1.0\r\n\r\n"));
        // The connection is counted once it is accepted; from then on only the change of mode can end it.
        while state.connections.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        state.set(Mode::Answer { status: 200, body: "late".into() });
        let answer = waiting.join().expect("the client ends");
        assert!(answer.is_empty() || answer.ends_with("late"), "{answer}");
    }
}

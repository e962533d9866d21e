//! The live view: the lab stays up, shows its state and takes keys.

pub(crate) mod pair;
mod screen;

use std::collections::VecDeque;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use evenkeel_api::{ServerState, Status};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};

use crate::args::LabArgs;
use crate::client::Load;
use crate::director::Asker;
use crate::error::{Context, Error};
use crate::interrupt::Interrupt;
use crate::lab::{Lab, Options};
use crate::narrator::text;
use crate::process::Process;
use crate::tour::arguments_of_run;

/// How often the screen is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How often the director is asked.
const ASK: Duration = Duration::from_millis(250);
/// Event lines that are kept.
const EVENTS: usize = 200;

/// What has happened since the lab was up.
struct Events {
    begun: Instant,
    lines: VecDeque<(Duration, String)>,
}

impl Events {
    fn new() -> Events {
        Events { begun: Instant::now(), lines: VecDeque::new() }
    }

    fn tell(&mut self, event: impl Into<String>) {
        if self.lines.len() == EVENTS {
            self.lines.pop_front();
        }
        self.lines.push_back((self.begun.elapsed(), event.into()));
    }
}

/// Everything the screen shows.
struct View {
    title: String,
    events: Events,
    status: Option<Status>,
    director: bool,
    capturing: bool,
    servers: Vec<(String, bool)>,
    load: Load,
}

impl View {
    fn tell(&mut self, event: impl Into<String>) {
        self.events.tell(event);
    }
}

#[cfg(test)]
impl View {
    fn for_tests(status: Option<Status>, events: &[&str]) -> View {
        let mut view = View {
            title: "evenkeel lab".into(),
            events: Events::new(),
            status,
            director: true,
            capturing: false,
            servers: vec![("real-1".into(), true)],
            load: Load::idle(),
        };
        events.iter().for_each(|event| view.tell(*event));
        view
    }
}

/// Builds a lab and shows it until `q`.
pub(crate) fn run(arguments: &LabArgs) -> Result<(), Error> {
    let interrupt = Interrupt::listen()?;
    let program = std::env::current_exe().context("find this program")?;
    let mut lab = Lab::dr(Options::new(arguments.name(), program))?;
    let run = arguments_of_run(&lab, arguments.connections)?;
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let began = lab.director.start(&run)?;
    let target = lab.target().ok_or_else(|| Error::new("show a lab without a virtual address"))?;
    let load = lab.client.load(target, arguments.rate)?;
    let mut view = View {
        title: format!("evenkeel lab - dr   client -> router -> VIP {target}"),
        events: Events::new(),
        status: None,
        director: true,
        capturing: false,
        servers: Vec::new(),
        load,
    };
    view.tell(format!("lab up after {}, director after {}", text(lab.build_time()), text(began)));
    for (node, namespace) in lab.namespaces() {
        if node == "client" {
            view.tell(format!("look around: ip netns exec {namespace} curl http://{target}/"));
        }
    }
    let mut terminal = ratatui::try_init().context("take over the terminal")?;
    let hands = Hands { lab: &mut lab, run: &run, capture: None, target_dir: capture_dir(), interrupt };
    let outcome = hands.work(&mut terminal, &mut view);
    // A terminal that is gone needs no restoring.
    let _ = ratatui::try_restore();
    drop(view);
    let ended = lab.end();
    outcome?;
    ended.map(|_| ())
}

fn capture_dir() -> std::path::PathBuf {
    std::env::current_dir().unwrap_or_else(|_| std::env::temp_dir())
}

/// What the keys work on.
struct Hands<'a> {
    lab: &'a mut Lab,
    run: &'a [&'a str],
    capture: Option<Process>,
    target_dir: std::path::PathBuf,
    interrupt: Interrupt,
}

impl Hands<'_> {
    fn work(mut self, terminal: &mut DefaultTerminal, view: &mut View) -> Result<(), Error> {
        let (states, asker) = ask_in_background(self.lab.director.asker());
        while !self.interrupt.is_asked() {
            while let Ok(status) = states.try_recv() {
                note_changes(view, status);
            }
            let running = self.lab.director.is_running();
            if view.director && !running {
                view.tell("director    ended");
            }
            view.director = running;
            let servers = self.lab.real_servers.iter_mut();
            view.servers = servers.map(|server| (server.name().to_owned(), server.is_running())).collect();
            terminal.draw(|frame| screen::draw(frame, view)).context("draw the screen")?;
            match next_key()? {
                Some('q') => break,
                Some(letter) => {
                    if let Err(error) = self.press(letter, view) {
                        view.tell(format!("cannot {error}"));
                    }
                }
                None => {}
            }
        }
        drop(asker);
        Ok(())
    }

    fn press(&mut self, letter: char, view: &mut View) -> Result<(), Error> {
        match letter {
            '1'..='9' => self.toggle_server(letter, view),
            'k' => self.toggle_director(view),
            'd' => self.toggle_drain(view),
            'c' => self.toggle_capture(view),
            _ => Ok(()),
        }
    }

    fn toggle_server(&mut self, digit: char, view: &mut View) -> Result<(), Error> {
        let number = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or_default();
        let Some(server) = number.checked_sub(1).and_then(|index| self.lab.real_servers.get_mut(index)) else {
            return Ok(());
        };
        let did = if server.is_running() {
            server.stop()?;
            "stopped"
        } else {
            server.start()?;
            "started"
        };
        view.tell(format!("{:<11} {did} (you pressed {digit})", server.name()));
        Ok(())
    }

    fn toggle_director(&mut self, view: &mut View) -> Result<(), Error> {
        if self.lab.director.is_running() {
            self.lab.director.kill()?;
            view.tell("director    kill -9 (you pressed k); packets flow on, nobody checks");
        } else {
            self.lab.director.spawn(self.run)?;
            view.tell("director    started (you pressed k)");
        }
        Ok(())
    }

    fn toggle_drain(&mut self, view: &mut View) -> Result<(), Error> {
        let Some(status) = &view.status else { return Ok(()) };
        let server = status.services.iter().find_map(|service| {
            service.real_servers.first().map(|server| (server.address.clone(), server.state == ServerState::Drained))
        });
        let Some((address, drained)) = server else { return Ok(()) };
        let word = if drained { "undrain" } else { "drain" };
        self.lab.director.node().output(self.lab.director.command(&[word, &address]))?;
        view.tell(format!("director    evenkeel {word} {address} (you pressed d)"));
        Ok(())
    }

    fn toggle_capture(&mut self, view: &mut View) -> Result<(), Error> {
        if let Some(mut capture) = self.capture.take() {
            capture.signal(rustix::process::Signal::TERM)?;
            capture.wait(Duration::from_secs(5))?;
            view.capturing = false;
            view.tell("capture     ended");
            return Ok(());
        }
        let file = self.target_dir.join("evenkeel-lab.pcap");
        let mut command = Command::new("tcpdump");
        command.args(["-i", "eth0", "-U", "-w"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.capture = Some(Process::new("tcpdump", self.lab.director.node().spawn(command)?));
        view.capturing = true;
        view.tell(format!("capture     the director's eth0 goes to {} (c ends it)", file.display()));
        Ok(())
    }
}

/// The key that was pressed within a frame; Ctrl-C is `q`.
fn next_key() -> Result<Option<char>, Error> {
    if !event::poll(FRAME).context("wait for a key")? {
        return Ok(None);
    }
    let Event::Key(key) = event::read().context("read a key")? else { return Ok(None) };
    let control = key.modifiers.contains(event::KeyModifiers::CONTROL);
    Ok(match key.code {
        KeyCode::Char('c') if control => Some('q'),
        KeyCode::Char(letter) if key.kind == KeyEventKind::Press => Some(letter),
        _ => None,
    })
}

/// Asks for the state of an evenkeel, on a thread: one that is slow must not make the screen slow. It ends with what is given
/// second.
fn ask_in_background(asker: Asker) -> (mpsc::Receiver<Option<Status>>, mpsc::SyncSender<()>) {
    let (sender, states) = mpsc::sync_channel(4);
    let (life, gone) = mpsc::sync_channel::<()>(0);
    std::thread::spawn(move || {
        // The other end of `gone` is dropped at the end, which ends this thread.
        while gone.recv_timeout(ASK) == Err(mpsc::RecvTimeoutError::Timeout) {
            if sender.send(asker.ask().ok()).is_err() {
                return;
            }
        }
    });
    (states, life)
}

/// Puts a new state in the place of the old one, and tells what is different.
fn note_changes(view: &mut View, status: Option<Status>) {
    let old = std::mem::replace(&mut view.status, status);
    let (Some(old), Some(new)) = (old, view.status.clone()) else { return };
    for (before, after) in old.services.iter().zip(&new.services) {
        for (was, is) in before.real_servers.iter().zip(&after.real_servers) {
            if was.state != is.state {
                view.tell(format!("{:<11} {} {}: {}", after.name, is.address, is.state, is.reason));
            }
        }
        let used = |fallback: &Option<evenkeel_api::FallbackStatus>| fallback.as_ref().is_some_and(|f| f.in_use);
        match (used(&before.fallback), used(&after.fallback)) {
            (false, true) => view.tell(format!("{:<11} no real server is up: the fallback answers", after.name)),
            (true, false) => view.tell(format!("{:<11} a real server is up: the fallback rests", after.name)),
            (false, false) | (true, true) => {}
        }
    }
}

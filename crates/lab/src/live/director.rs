//! The live view of `evenkeel lab dr`: a director and its real servers, and keys that break them.

mod screen;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use evenkeel_api::{ServerState, Status};
use ratatui::Frame;

use super::{Live, Scene, States, show};
use crate::args::LabArgs;
use crate::error::{Context, Error};
use crate::interrupt::Interrupt;
use crate::lab::{Lab, Options};
use crate::narrator::text;
use crate::process::Process;
use crate::tour::arguments_of_run;

/// Everything the screen shows.
struct View {
    scene: Scene,
    status: Option<Status>,
    director: bool,
    capturing: bool,
    servers: Vec<(String, bool)>,
}

impl View {
    fn new(scene: Scene) -> View {
        View { scene, status: None, director: true, capturing: false, servers: Vec::new() }
    }

    fn tell(&mut self, event: impl Into<String>) {
        self.scene.tell(event);
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
    let title = format!("evenkeel lab - dr   client -> router -> VIP {target}");
    let mut view = View::new(Scene::new(title, load));
    view.tell(format!("lab up after {}, director after {}", text(lab.build_time()), text(began)));
    for (node, namespace) in lab.namespaces() {
        if node == "client" {
            view.tell(format!("look around: ip netns exec {namespace} curl http://{target}/"));
        }
    }
    let states = States::of(lab.director.asker());
    let mut hands = Hands { lab: &mut lab, run: &run, capture: None, target_dir: capture_dir(), states, view };
    let outcome = show(&mut hands, &interrupt);
    // The client's requests end before the client does.
    drop(hands);
    let ended = lab.end();
    outcome?;
    ended.map(|_| ())
}

fn capture_dir() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| std::env::temp_dir())
}

/// What the keys work on.
struct Hands<'a> {
    lab: &'a mut Lab,
    run: &'a [&'a str],
    capture: Option<Process>,
    target_dir: PathBuf,
    states: States,
    view: View,
}

impl Live for Hands<'_> {
    fn look(&mut self) -> Result<(), Error> {
        for status in self.states.since() {
            note_changes(&mut self.view, status);
        }
        let running = self.lab.director.is_running();
        if self.view.director && !running {
            self.view.tell("director    ended");
        }
        self.view.director = running;
        let servers = self.lab.real_servers.iter_mut();
        self.view.servers = servers.map(|server| (server.name().to_owned(), server.is_running())).collect();
        Ok(())
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        screen::draw(frame, &self.view);
    }

    fn press(&mut self, key: char) -> Result<(), Error> {
        match key {
            '1'..='9' => self.toggle_server(key),
            'k' => self.toggle_director(),
            'd' => self.toggle_drain(),
            'c' => self.toggle_capture(),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, event: String) {
        self.view.tell(event);
    }
}

impl Hands<'_> {
    fn toggle_server(&mut self, digit: char) -> Result<(), Error> {
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
        self.view.tell(format!("{:<11} {did} (you pressed {digit})", server.name()));
        Ok(())
    }

    fn toggle_director(&mut self) -> Result<(), Error> {
        if self.lab.director.is_running() {
            self.lab.director.kill()?;
            self.view.tell("director    kill -9 (you pressed k); packets flow on, nobody checks");
        } else {
            self.lab.director.spawn(self.run)?;
            self.view.tell("director    started (you pressed k)");
        }
        Ok(())
    }

    fn toggle_drain(&mut self) -> Result<(), Error> {
        let Some(status) = &self.view.status else { return Ok(()) };
        let server = status.services.iter().find_map(|service| {
            service.real_servers.first().map(|server| (server.address.clone(), server.state == ServerState::Drained))
        });
        let Some((address, drained)) = server else { return Ok(()) };
        let word = if drained { "undrain" } else { "drain" };
        self.lab.director.node().output(self.lab.director.command(&[word, &address]))?;
        self.view.tell(format!("director    evenkeel {word} {address} (you pressed d)"));
        Ok(())
    }

    fn toggle_capture(&mut self) -> Result<(), Error> {
        if let Some(mut capture) = self.capture.take() {
            capture.signal(rustix::process::Signal::TERM)?;
            capture.wait(Duration::from_secs(5))?;
            self.view.capturing = false;
            self.view.tell("capture     ended");
            return Ok(());
        }
        let file = self.target_dir.join("evenkeel-lab.pcap");
        let mut command = Command::new("tcpdump");
        command.args(["-i", "eth0", "-U", "-w"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.capture = Some(Process::new("tcpdump", self.lab.director.node().spawn(command)?));
        self.view.capturing = true;
        self.view.tell(format!("capture     the director's eth0 goes to {} (c ends it)", file.display()));
        Ok(())
    }
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

//! Tells scripts of `rc.d` of messages: the script that is called as the type of the message, with the message's fields as
//! `HA_…` in its environment.
//!
//! They run one after the other, as heartbeat runs them. The five that come with heartbeat are passed over: they are how
//! it moves resources itself, which evenkeel does.

use crate::{
    child::{Call, How, run},
    places::{Places, is_program},
};
use std::{fmt, path::PathBuf, time::Duration};
use tokio::{sync::mpsc, task::JoinHandle};

/// Messages that wait for scripts.
const WAITING: usize = 256;
/// What one script may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Variables that a message may set; those after them are left out.
const FIELDS: usize = 128;
/// Scripts of heartbeat 3.0.6 that call its ResourceManager or its own daemon.
const OF_HEARTBEAT: [&str; 5] = ["ask_resources", "hb_takeover", "ip-request", "ip-request-resp", "status"];
/// What those scripts have in them that no script of an operator needs.
const MARKS: [&str; 3] = ["mach_down", "hb_standby", "ResourceManager"];

/// Tells scripts of messages. Dropped, it kills the one that runs.
pub struct Notices {
    directory: PathBuf,
    sender: mpsc::Sender<(Call, String)>,
    work: JoinHandle<()>,
    environment: Vec<(String, String)>,
    path: String,
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A script that did not end well: its path, and how.
pub type Failed = (String, String);

impl Notices {
    /// Scripts in `directory` are told; `report` of each that failed.
    pub fn start(directory: PathBuf, places: &Places, report: impl Fn(Failed) + 'static) -> Notices {
        let (sender, mut calls) = mpsc::channel::<(Call, String)>(WAITING);
        let work = tokio::task::spawn_local(async move {
            while let Some((call, name)) = calls.recv().await {
                let ended = run(&call, WITHIN).await;
                match ended.how {
                    How::Status(0) => {}
                    How::Late => report((name, format!("did not end within {} s and was killed", WITHIN.as_secs()))),
                    How::Status(_) | How::Signal(_) | How::NotRun(_) => {
                        report((name, ended.reason(ended.last_line())));
                    }
                }
            }
        });
        let mut environment = places.environment.clone();
        environment.push(("OCF_ROOT".to_owned(), places.ocf.display().to_string()));
        environment.push(("LC_ALL".to_owned(), "C".to_owned()));
        Notices { directory, sender, work, environment, path: places.path() }
    }

    /// Tells the script for messages of type `kind`, if there is one, of a message with these fields of text. The error says
    /// that too many wait.
    pub fn tell<'a>(&self, kind: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
        let Some(program) = self.script(kind) else { return Ok(()) };
        let variables = fields.filter(|(name, value)| is_word(name) && !value.contains('\0')).take(FIELDS);
        let mut environment = self.environment.clone();
        environment.extend(variables.map(|(name, value)| (format!("HA_{name}"), value.to_owned())));
        let name = program.display().to_string();
        let call = Call {
            program,
            arguments: vec![kind.to_owned()],
            environment,
            path: self.path.clone(),
            input: String::new(),
            ids: None,
            leaves: true,
        };
        let sent = self.sender.try_send((call, name));
        sent.map_err(|_| format!("{WAITING} messages wait for scripts of {} already", self.directory.display()))
    }

    /// Types come from the wire: only plain words name a file.
    fn script(&self, kind: &str) -> Option<PathBuf> {
        let path = self.directory.join(kind);
        let wanted = is_word(kind) && is_program(&path);
        (wanted && !(OF_HEARTBEAT.contains(&kind) && moves_resources(&path))).then_some(path)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Whether a script is one of heartbeat's own machinery, as it came.
fn moves_resources(path: &std::path::Path) -> bool {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // What cannot be read is not run either.
    text.map_or(true, |text| MARKS.iter().any(|mark| text.contains(mark)))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

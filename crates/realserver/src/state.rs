//! What was changed on this host, kept in a file so that it can be undone by another process.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use evenkeel_os::RuntimeDir;
use serde::{Deserialize, Serialize};

use crate::{arp::Parameter, error::Error, kernel::Kernel};

const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    version: u32,
    pub(crate) vips: Vec<Vip>,
    pub(crate) parameters: Vec<Change>,
    pub(crate) loopback_was_down: bool,
    #[serde(default, skip_serializing_if = "Kernel::is_untouched")]
    pub(crate) kernel: Kernel,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vip {
    pub(crate) address: IpAddr,
    /// We put it there, and so take it away.
    pub(crate) ours: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) parameter: Parameter,
    pub(crate) before: String,
    pub(crate) after: String,
}

impl Default for State {
    fn default() -> State {
        State {
            version: VERSION,
            vips: Vec::new(),
            parameters: Vec::new(),
            loopback_was_down: false,
            kernel: Kernel::default(),
        }
    }
}

impl State {
    pub(crate) fn has_ipv4(&self) -> bool {
        self.vips.iter().any(|vip| vip.address.is_ipv4())
    }

    /// Notes a change to come. The value before the first one is the one to go back to.
    pub(crate) fn remember(&mut self, parameter: Parameter, before: String, after: String) {
        match self.parameters.iter_mut().find(|change| change.parameter == parameter) {
            Some(change) => change.after = after,
            None => self.parameters.push(Change { parameter, before, after }),
        }
    }
}

/// The file for one network namespace.
pub(crate) struct Store {
    directory: PathBuf,
    name: String,
}

impl Store {
    /// The file in `directory` for the network namespace with this cookie: several may share `/run`.
    pub(crate) fn at(directory: &Path, cookie: u64) -> Store {
        Store { directory: directory.to_owned(), name: format!("realserver-{cookie}.json") }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    pub(crate) fn load(&self) -> Result<State, Error> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(source) => return Err(Error::Read { path, source }),
        };
        let state: State = match serde_json::from_slice(&text) {
            Ok(state) => state,
            Err(e) => return Err(Error::BadState { path, why: e.to_string() }),
        };
        if state.version != VERSION {
            return Err(Error::BadState { path, why: format!("its version is {}", state.version) });
        }
        Ok(state)
    }

    /// Writes the state; one that says nothing leaves no file.
    pub(crate) fn save(&self, state: &State) -> Result<(), Error> {
        let path = self.path();
        if *state == State::default() {
            return match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Read { path, source }),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let text = serde_json::to_vec_pretty(state).map_err(|e| Error::BadState { path, why: e.to_string() })?;
        Ok(RuntimeDir::prepare(&self.directory)?.replace(&self.name, &text)?)
    }
}

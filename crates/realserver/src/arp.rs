//! Which kernel parameters keep this host from answering ARP for an address of `lo`.
//!
//! The kernel takes the larger of `all` and the interface's own value. Of `arp_ignore` only some values keep silent
//! about an address of another interface: 1, 2 and 8. 0 answers for every address, 3 for all that are not of scope
//! host, and 4 to 7 mean nothing, which answers too.

use std::{fmt, fs, path::Path};

use evenkeel_os::Sysctl;
use serde::{Deserialize, Serialize};

use crate::error::Error;

const CONF: &str = "/proc/sys/net/ipv4/conf";
const IGNORE: &str = "arp_ignore";
const ANNOUNCE: &str = "arp_announce";

/// A parameter of IPv4 on an interface (or `all`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Parameter {
    interface: String,
    name: String,
}

impl Parameter {
    fn new(interface: &str, name: &str) -> Parameter {
        Parameter { interface: interface.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn sysctl(&self) -> Result<Sysctl, Error> {
        Ok(Sysctl::ipv4(&self.interface, &self.name)?)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sysctl(8) writes a dot in an interface's name as a slash.
        write!(f, "net.ipv4.conf.{}.{}", self.interface.replace('.', "/"), self.name)
    }
}

fn keeps_silent(arp_ignore: i64) -> bool {
    matches!(arp_ignore, 1 | 2 | 8)
}

/// What has to be set now: the parameter, its value and the one it needs. Nothing that is good already.
pub(crate) fn wanted() -> Result<Vec<(Parameter, String, String)>, Error> {
    let mut changes = Vec::new();
    let mut need = |interface: &str, name: &str, is_good: &dyn Fn(i64) -> bool, good: &str| -> Result<(), Error> {
        let parameter = Parameter::new(interface, name);
        let sysctl = parameter.sysctl()?;
        if !is_good(sysctl.number()?) {
            changes.push((parameter, sysctl.read()?, good.to_owned()));
        }
        Ok(())
    };
    need("all", IGNORE, &keeps_silent, "1")?;
    need("all", ANNOUNCE, &|value| value >= 2, "2")?;
    for interface in interfaces()? {
        // A larger value of its own that answers would win over that of `all`.
        need(&interface, IGNORE, &|value| value < 3 || keeps_silent(value), "1")?;
    }
    Ok(changes)
}

/// The interfaces on which ARP for an address of `lo` would be answered as things are.
pub(crate) fn would_answer() -> Result<Vec<String>, Error> {
    let all = Parameter::new("all", IGNORE).sysctl()?.number()?;
    let mut found = Vec::new();
    for interface in interfaces()? {
        let own = Parameter::new(&interface, IGNORE).sysctl()?.number()?;
        if !keeps_silent(all.max(own)) {
            found.push(interface);
        }
    }
    Ok(found)
}

/// The interfaces with ARP parameters, sorted; not `all`, not the pattern for new ones, not `lo`.
fn interfaces() -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(Path::new(CONF)).map_err(|e| Error::Read { path: CONF.into(), source: e })?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !matches!(name.as_str(), "all" | "default" | "lo")).collect();
    names.sort();
    Ok(names)
}

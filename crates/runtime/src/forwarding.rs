//! The kernel forwards where real servers are translated: their answers go where its routes say, and it says so only where
//! it forwards itself. What is turned on for that is written down first and put back at a clean stop.
//!
//! Turning IPv6 forwarding on makes the kernel deaf to router advertisements and drops the default routes they gave, unless
//! an interface is told to listen all the same (`accept_ra` 2): those that listen are told so before.

use evenkeel_os::Sysctl;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Name of the file in the runtime directory.
const FILE: &str = "forwarding.json";

/// A parameter that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Changed {
    parts: Vec<String>,
    before: String,
    after: String,
}

/// What was changed so far.
#[derive(Debug)]
pub(crate) struct KernelForwarding {
    file: PathBuf,
    changed: Vec<Changed>,
    /// Seen to, for IPv4 and IPv6.
    done: [bool; 2],
    trouble: Option<String>,
}

impl KernelForwarding {
    /// With what an earlier run has changed and not put back.
    pub(crate) fn in_directory(directory: &Path) -> KernelForwarding {
        let file = directory.join(FILE);
        let read = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        KernelForwarding { file, changed: read.unwrap_or_default(), done: [false; 2], trouble: None }
    }

    /// Sees to it that the kernel forwards these families; returns what is to be said, once for each.
    pub(crate) fn want(&mut self, ipv4: bool, ipv6: bool) -> Vec<String> {
        let mut told = Vec::new();
        for (place, wanted, name) in [(0, ipv4, "net.ipv4.ip_forward"), (1, ipv6, "net.ipv6.conf.all.forwarding")] {
            if !wanted || self.done.get(place).copied().unwrap_or(true) {
                continue;
            }
            if let Some(done) = self.done.get_mut(place) {
                *done = true;
            }
            let turned_on = if place == 0 { self.set(&["net", "ipv4", "ip_forward"], "1") } else { self.ipv6() };
            match turned_on {
                Ok(false) => {}
                Ok(true) => told.push(format!(
                    "{name} is turned on: the answers of real servers that are translated are forwarded; a clean stop puts it back"
                )),
                Err(why) => {
                    let why = format!("{name} is off and cannot be turned on, so that answers of real servers that are translated are dropped: {why}");
                    self.trouble = Some(why.clone());
                    told.push(why);
                }
            }
        }
        told
    }

    /// What `status` shows.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn ipv6(&mut self) -> Result<bool, String> {
        let forwarding = ["net", "ipv6", "conf", "all", "forwarding"];
        if is(&forwarding, "1") {
            return Ok(false);
        }
        let interfaces = fs::read_dir("/proc/sys/net/ipv6/conf").map_err(|e| e.to_string())?;
        for interface in interfaces.flatten() {
            let name = interface.file_name().to_string_lossy().into_owned();
            let listens = ["net", "ipv6", "conf", &name, "accept_ra"];
            if !["all", "default"].contains(&name.as_str()) && is(&listens, "1") {
                self.set(&listens, "2")?;
            }
        }
        self.set(&forwarding, "1")
    }

    /// Sets a parameter; false: it was so already.
    fn set(&mut self, parts: &[&str], after: &str) -> Result<bool, String> {
        let sysctl = Sysctl::new(parts).map_err(|e| e.to_string())?;
        let before = sysctl.read().map_err(|e| e.to_string())?;
        if before == after {
            return Ok(false);
        }
        let parts = parts.iter().map(|part| (*part).to_owned()).collect();
        self.changed.push(Changed { parts, before, after: after.to_owned() });
        self.store().map_err(|e| format!("cannot write {}: {e}", self.file.display()))?;
        sysctl.write(after).map_err(|e| e.to_string())?;
        Ok(true)
    }

    fn store(&self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.changed).map_err(io::Error::other)?;
        let new = self.file.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(&new, &self.file)
    }

    /// Puts back what is as it was left here; what somebody else has changed since is theirs.
    pub(crate) fn undo(&mut self) -> Result<(), String> {
        let mut failed = Vec::new();
        for Changed { parts, before, after } in self.changed.drain(..).rev() {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let put_back = Sysctl::new(&parts).and_then(|sysctl| match sysctl.read()? == after {
                true => sysctl.write(&before),
                false => Ok(()),
            });
            // An interface that is gone has taken its parameters with it.
            if let Err(e) = put_back
                && Sysctl::new(&parts).is_ok_and(|sysctl| sysctl.exists())
            {
                failed.push(e.to_string());
            }
        }
        let _ = fs::remove_file(&self.file);
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

fn is(parts: &[&str], value: &str) -> bool {
    Sysctl::new(parts).and_then(|sysctl| sysctl.read()).is_ok_and(|now| now == value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_os::Namespace;

    fn number(parts: &[&str]) -> String {
        Sysctl::new(parts).unwrap().read().unwrap()
    }

    #[test]
    fn forwarding_is_turned_on_written_down_and_put_back_even_by_the_next_run() {
        if !rustix::process::geteuid().is_root() {
            return println!("skipped: needs root");
        }
        let name = format!("ek-forwarding-{}", std::process::id());
        let namespace = Namespace::create(&name).unwrap();
        let in_namespace = namespace.run(|| {
            let dir = tempfile::tempdir().unwrap();
            let v4 = ["net", "ipv4", "ip_forward"];
            let v6 = ["net", "ipv6", "conf", "all", "forwarding"];
            let lo = ["net", "ipv6", "conf", "lo", "accept_ra"];
            Sysctl::new(&v4).unwrap().write("0").unwrap();
            let before = [number(&v4), number(&v6), number(&lo)];
            assert_eq!(before[..2], ["0", "0"]);
            let mut first = KernelForwarding::in_directory(dir.path());
            assert_eq!(first.want(true, false).len(), 1);
            assert_eq!(first.want(true, false), Vec::<String>::new(), "said once");
            assert_eq!((number(&v4), number(&v6)), ("1".into(), "0".into()));
            first.want(true, true);
            assert_eq!(number(&v6), "1");
            assert_ne!(number(&lo), "1", "it listens to advertisements still");
            drop(first);
            // After kill -9 nothing has to be turned on, and yet it is known what was off.
            let mut second = KernelForwarding::in_directory(dir.path());
            assert_eq!(second.want(true, true), Vec::<String>::new());
            second.undo().unwrap();
            assert_eq!([number(&v4), number(&v6), number(&lo)], before);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        });
        Namespace::delete(&name).unwrap();
        in_namespace.unwrap();
    }
}

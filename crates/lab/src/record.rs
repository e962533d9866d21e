//! Who owns a lab, and how everything of a dead owner's lab is removed.
//!
//! A lab named NAME has a directory `/run/evenkeel-lab/NAME` and namespaces `ek-NAME-NODE`. Its owner holds a lock on
//! `/run/evenkeel-lab/NAME.lock`, which the kernel drops when the owner dies, however it dies: who gets the lock finds
//! nobody alive and may remove all of it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_os::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Context, Error};

const ROOT: &str = "/run/evenkeel-lab";
/// How long another lab may take to look after leavings, and between two looks whether it has.
const CLEANING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(20);
const PREFIX: &str = "ek-";
/// A process that was killed is gone within this time, unless it hangs in the kernel.
const KILL_TIME: Duration = Duration::from_secs(5);
/// Processes started between a look and the kill are found by looking again, so often at most.
const KILL_ROUNDS: usize = 8;

/// A lab's name, directory and lock. Dropping it gives up the ownership.
#[derive(Debug)]
pub(crate) struct Record {
    name: String,
    /// Held, never read: the lock lives as long as the open file.
    _lock: File,
}

impl Record {
    /// Becomes the owner of `name` and removes what an earlier owner left.
    pub(crate) fn take(name: &str) -> Result<Self, Error> {
        let plain = !name.is_empty() && name.len() <= 20 && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain {
            return Err(Error::new(format!("a lab's name is 1 to 20 letters and digits, not `{name}`")));
        }
        let record = Self::lock_in_time(name)?
            .ok_or_else(|| Error::new(format!("a lab named {name} is running; choose another with --name")))?;
        record.remove()?;
        fs::DirBuilder::new().mode(0o700).create(record.directory()).context("make the lab's directory")?;
        Ok(record)
    }

    /// The same as [`Record::lock`], tried again for a moment: another lab that begins looks after everybody's leavings, and may
    /// have this one's lock for as long.
    fn lock_in_time(name: &str) -> Result<Option<Self>, Error> {
        let until = Instant::now() + CLEANING;
        loop {
            match Self::lock(name) {
                Ok(None) | Err(_) if Instant::now() < until => thread::sleep(AGAIN),
                outcome => return outcome,
            }
        }
    }

    /// Takes the lock, or nothing while somebody else has it.
    fn lock(name: &str) -> Result<Option<Self>, Error> {
        fs::DirBuilder::new().mode(0o700).recursive(true).create(ROOT).context(format_args!("make {ROOT}"))?;
        let path = Path::new(ROOT).join(format!("{name}.lock"));
        let mut options = OpenOptions::new();
        let open = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open.open(&path).context(format_args!("open {}", path.display()))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(why) => return Err(Error::because(format_args!("lock {}", path.display()), why)),
        }
        // The last owner may have removed the file between our open and our lock; then the lock is on nothing.
        let ours = file.metadata().context("look at the lock")?;
        match fs::metadata(&path) {
            Ok(there) if there.ino() == ours.ino() => Ok(Some(Self { name: name.to_owned(), _lock: file })),
            Ok(_) | Err(_) => Err(Error::new(format!("another lab named {name} starts or ends just now"))),
        }
    }

    /// Where the lab keeps its sockets and the director's runtime directory.
    pub(crate) fn directory(&self) -> PathBuf {
        Path::new(ROOT).join(&self.name)
    }

    /// The name of a node's namespace.
    pub(crate) fn namespace(&self, node: &str) -> String {
        format!("{PREFIX}{}-{node}", self.name)
    }

    /// Removes all of the lab but the lock; says how many things there were.
    pub(crate) fn remove(&self) -> Result<usize, Error> {
        let namespaces = Namespace::list(&self.namespace(""))?;
        let mut removed = kill_all(&namespaces)?;
        removed += unmount_below(&self.directory())?;
        for namespace in &namespaces {
            Namespace::delete(namespace)?;
        }
        removed += namespaces.len();
        match fs::remove_dir_all(self.directory()) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::because("remove the lab's directory", error)),
        }
        Ok(removed)
    }

    /// Removes all of the lab.
    pub(crate) fn end(self) -> Result<usize, Error> {
        let removed = self.remove()?;
        let path = Path::new(ROOT).join(format!("{}.lock", self.name));
        fs::remove_file(&path).context(format_args!("remove {}", path.display()))?;
        // Only when this was the last lab.
        let _ = fs::remove_dir(ROOT);
        Ok(removed)
    }
}

/// Removes every lab whose owner is dead; says how many things there were, and which labs are alive.
pub(crate) fn clean() -> Result<(usize, Vec<String>), Error> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    // The lock's file is there before the first namespace is, and goes last.
    for entry in fs::read_dir(ROOT).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        names.insert(name.strip_suffix(".lock").map_or(name.clone(), str::to_owned));
    }
    let (mut removed, mut alive) = (0, Vec::new());
    for name in names {
        match Record::lock(&name) {
            Ok(Some(record)) => removed += record.end()?,
            // It runs, or begins or ends just now.
            Ok(None) | Err(_) => alive.push(name),
        }
    }
    Ok((removed, alive))
}

/// Kills every process that is in one of the namespaces.
fn kill_all(namespaces: &[String]) -> Result<usize, Error> {
    let inodes: BTreeSet<u64> = namespaces
        .iter()
        .filter_map(|name| fs::metadata(Path::new("/run/netns").join(name)).ok())
        .map(|metadata| metadata.ino())
        .collect();
    let mut killed = 0;
    for _ in 0..KILL_ROUNDS {
        let pids = inside(&inodes);
        if pids.is_empty() {
            break;
        }
        killed += pids.len();
        for pid in pids {
            kill(pid, &inodes)?;
        }
    }
    Ok(killed)
}

/// Processes whose main thread is in one of these namespaces, ours excepted.
fn inside(inodes: &BTreeSet<u64>) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id() && is_inside(*pid, inodes)).collect()
}

fn is_inside(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|metadata| inodes.contains(&metadata.ino()))
}

fn kill(pid: u32, inodes: &BTreeSet<u64>) -> Result<(), Error> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    // The descriptor keeps naming the same process, so that the second look makes the kill certain of its target.
    let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else { return Ok(()) };
    if !is_inside(pid, inodes) {
        return Ok(());
    }
    let _ = pidfd_send_signal(&process, Signal::KILL);
    let limit = Timespec { tv_sec: i64::try_from(KILL_TIME.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit));
    match ended {
        Ok(0) => Err(Error::new(format!("process {pid} does not end although it was killed"))),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Unmounts everything mounted below `directory`, a bpffs with the director's pins above all.
fn unmount_below(directory: &Path) -> Result<usize, Error> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    let mut places: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4).map(PathBuf::from))
        .filter(|place| place.starts_with(directory))
        .collect();
    // The innermost first.
    places.sort_by_key(|place| std::cmp::Reverse(place.components().count()));
    for place in &places {
        unmount(place, UnmountFlags::DETACH)
            .map_err(|e| Error::because(format_args!("unmount {}", place.display()), e))?;
    }
    Ok(places.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            println!("skipped: needs root, to lock below /run");
        }
        root
    }

    fn name(what: &str) -> String {
        format!("r{}{what}", std::process::id())
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for name in ["", "a/b", "..", "a-b", "averyveryverylongname1"] {
            assert!(Record::take(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_lab_has_one_owner_and_is_free_when_that_one_ends() {
        if !is_root() {
            return;
        }
        let name = name("owner");
        let first = Record::take(&name).unwrap();
        assert!(Record::take(&name).is_err());
        assert!(clean().unwrap().1.contains(&name), "a living owner's lab was not to be removed");
        assert!(first.directory().is_dir());
        first.end().unwrap();
        Record::take(&name).unwrap().end().unwrap();
    }

    #[test]
    fn what_a_dead_owner_left_is_removed_processes_mounts_and_all() {
        if !is_root() {
            return;
        }
        let name = name("dead");
        let record = Record::take(&name).unwrap();
        let directory = record.directory();
        let namespace = record.namespace("node");
        Namespace::create(&namespace).unwrap();
        let mount = directory.join("bpf");
        fs::create_dir(&mount).unwrap();
        rustix::mount::mount("lab", &mount, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        let mut command = std::process::Command::new("sleep");
        evenkeel_os::child::start_in(command.arg("600"), &Namespace::open(&namespace).unwrap()).unwrap();
        let mut process = command.spawn().unwrap();
        drop(record);

        // The lock is free, as after a kill -9: whoever comes next removes all of it.
        Record::take(&name).unwrap().end().unwrap();
        assert!(!process.wait().unwrap().success(), "the process was to be killed");
        assert!(Namespace::list(&namespace).unwrap().is_empty());
        assert!(!directory.exists());
    }
}

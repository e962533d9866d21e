//! Pid files: the number of the running process, and a lock on the file that goes with the process.
//!
//! A number alone proves nothing: after a crash another process may have it. A file whose lock is free is stale.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal, test_kill_process},
};

pub use rustix::process::Signal;

use crate::error::{Error, Result};

/// How often a file that vanishes or changes hands meanwhile is tried anew.
const ATTEMPTS: usize = 8;

/// Our own pid file; removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// Who a pid file speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The file is there and its process holds the lock.
    Running(i32),
    /// A process of this number runs, but nothing proves that the file is its: it was written by another program,
    /// or the number was given anew.
    Unproven(i32),
    /// The file was left behind.
    Stale,
    /// There is no file.
    Absent,
}

impl PidFile {
    /// Writes this process's number into `path`; takes over a stale file, refuses one that is held.
    pub fn create(path: impl Into<PathBuf>) -> Result<PidFile> {
        let path = path.into();
        for _ in 0..ATTEMPTS {
            let mut file = open(&path, true).map_err(|e| Error::at("open pid file", &path, e))?;
            match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(match read_number(&mut file) {
                        Some(pid) => Error::Refused(format!("process {pid} is running already ({})", path.display())),
                        None => Error::Refused(format!("{} is held by another process", path.display())),
                    });
                }
                Err(e) => return Err(Error::at("lock pid file", &path, e)),
            }
            // Between opening and locking, the former owner may have removed the file.
            if !is_still(&path, &file) {
                continue;
            }
            let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(|e| Error::at("write pid file", &path, e))?;
            return Ok(PidFile { path, file });
        }
        Err(Error::Refused(format!("pid file {} keeps changing hands", path.display())))
    }

    /// Writes the number again, after the process has become another by forking.
    pub fn rewrite(&mut self) -> Result<()> {
        let mut file = &self.file;
        let written = file.set_len(0).and_then(|()| io::Seek::rewind(&mut file));
        written
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|e| Error::at("write pid file", &self.path, e))
    }

    /// Who the file at `path` speaks of.
    pub fn holder(path: &Path) -> Result<Holder> {
        let mut file = match open(path, false) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Holder::Absent),
            Err(e) => return Err(Error::at("open pid file", path, e)),
        };
        let number = read_number(&mut file);
        match (flock(file.as_fd(), FlockOperation::NonBlockingLockShared), number) {
            (Err(Errno::WOULDBLOCK), Some(pid)) => Ok(Holder::Running(pid)),
            (Err(e), _) if e != Errno::WOULDBLOCK => Err(Error::at("lock pid file", path, e)),
            (_, Some(pid)) if is_alive(pid) => Ok(Holder::Unproven(pid)),
            _ => Ok(Holder::Stale),
        }
    }

    /// Sends `signal` to the process that holds the file at `path`, and never to another that got its number.
    /// Says whether there was one.
    pub fn signal(path: &Path, signal: Signal) -> Result<bool> {
        let Holder::Running(number) = PidFile::holder(path)? else { return Ok(false) };
        let Some(pid) = Pid::from_raw(number) else { return Ok(false) };
        let outcome = pidfd_open(pid, PidfdFlags::empty()).and_then(|pidfd| {
            // What is open now is the holder only if the file is held still.
            match PidFile::holder(path) {
                Ok(Holder::Running(again)) if again == number => pidfd_send_signal(&pidfd, signal).map(|()| true),
                _ => Ok(false),
            }
        });
        match outcome {
            Err(Errno::SRCH) => Ok(false),
            other => other.map_err(|e| Error::system(format!("signal process {number}"), e)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_still(&self.path, &self.file) && read_pid(&self.path) == Some(std::process::id().cast_signed()) {
            let _ = fs::remove_file(&self.path);
            // A child between fork and exec has a copy of the descriptor, and so of the lock.
            let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
        }
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).mode(0o644);
    if create {
        options.write(true).create(true).truncate(false);
    }
    options.open(path)
}

/// Whether `path` still leads to the opened `file`.
fn is_still(path: &Path, file: &File) -> bool {
    let (Ok(there), Ok(open)) = (fs::symlink_metadata(path), file.metadata()) else { return false };
    (there.dev(), there.ino()) == (open.dev(), open.ino())
}

fn read_pid(path: &Path) -> Option<i32> {
    read_number(&mut File::open(path).ok()?)
}

fn read_number(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    // A pid file is a line; whatever else was put there is not read to its end.
    file.take(64).read_to_string(&mut text).ok()?;
    text.split_whitespace().next()?.parse().ok().filter(|pid| *pid > 0)
}

fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bed() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("daemon.pid");
        (directory, path)
    }

    #[test]
    fn it_holds_the_number_and_goes_with_its_owner() {
        let (_bed, path) = bed();
        let own = std::process::id().cast_signed();
        let file = PidFile::create(&path).expect("create");
        assert_eq!(fs::read_to_string(&path).expect("read"), format!("{own}\n"));
        assert_eq!(PidFile::holder(&path).expect("look"), Holder::Running(own));
        let why = PidFile::create(&path).expect_err("held").to_string();
        assert!(why.starts_with(&format!("process {own} is running already")), "{why}");
        drop(file);
        assert_eq!(PidFile::holder(&path).expect("look"), Holder::Absent);
    }

    #[test]
    fn a_file_left_behind_is_stale_and_taken_over() {
        let (_bed, path) = bed();
        // No process has the largest number there can be.
        for left in ["4194304\n", "", "rubbish\n", "-5\n"] {
            fs::write(&path, left).expect("leave");
            assert_eq!(PidFile::holder(&path).expect("look"), Holder::Stale, "{left:?}");
            assert!(!PidFile::signal(&path, Signal::TERM).expect("nobody to signal"));
            drop(PidFile::create(&path).expect("take over"));
        }
    }

    #[test]
    fn a_living_process_without_the_lock_is_never_signalled() {
        let (_bed, path) = bed();
        let own = std::process::id();
        fs::write(&path, format!("{own}\n")).expect("write");
        assert_eq!(PidFile::holder(&path).expect("look"), Holder::Unproven(own.cast_signed()));
        assert!(!PidFile::signal(&path, Signal::KILL).expect("not its file"));
    }

    #[test]
    fn a_link_is_not_followed() {
        let (bed, path) = bed();
        let target = bed.path().join("precious");
        fs::write(&target, "keep").expect("write");
        std::os::unix::fs::symlink(&target, &path).expect("link");
        assert!(PidFile::create(&path).is_err());
        assert_eq!(fs::read_to_string(&target).expect("read"), "keep");
    }
}

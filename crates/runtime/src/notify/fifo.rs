//! A FIFO that is told of changes. Writing never waits: what nobody reads fills the pipe, which the kernel bounds, and
//! what does not fit is counted and said.

use evenkeel_model::notify::{Fifo, Subject};
use evenkeel_os::Ids;
use rustix::{
    fs::{CWD, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::os::fd::OwnedFd;

/// A line that is no longer is written whole or not at all: pipe(7).
const WHOLE: usize = 4096;

/// An open FIFO.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) fifo: Fifo,
    descriptor: OwnedFd,
    /// Made by this run, which removes it.
    is_own: bool,
    /// Lines since the last that was written.
    dropped: u64,
}

impl Pipe {
    /// Opens it, and makes it where it is not there; the error is a sentence fragment.
    pub(super) fn open(fifo: &Fifo, owner: Ids) -> Result<Pipe, String> {
        let path = &fifo.path;
        let at = |what: &str, e: Errno| format!("{what} FIFO {}: {e}", path.display());
        let mode = Mode::RUSR | Mode::WUSR;
        let is_own = match rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(at("make", e)),
        };
        // For reading too, so that there is always a reader and lines wait for one that comes late.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| at("open", e))?;
        let looked_at = rustix::fs::fstat(&descriptor).map_err(|e| at("look at", e))?;
        if FileType::from_raw_mode(looked_at.st_mode) != FileType::Fifo {
            return Err(format!("{} is there and is no FIFO", path.display()));
        }
        if is_own {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            rustix::fs::fchown(&descriptor, Some(uid), Some(gid)).map_err(|e| at("give away", e))?;
        }
        Ok(Pipe { fifo: fifo.clone(), descriptor, is_own, dropped: 0 })
    }

    /// Whether it is told of this.
    pub(super) fn is_about(&self, subject: Subject) -> bool {
        self.fifo.about == Subject::All || self.fifo.about == subject
    }

    /// Writes a line; gives what the operator should know.
    pub(super) fn write(&mut self, line: &str) -> Option<String> {
        let written = if line.len() > WHOLE {
            Err(Errno::MSGSIZE)
        } else {
            rustix::io::retry_on_intr(|| rustix::io::write(&self.descriptor, line.as_bytes()))
        };
        let path = self.fifo.path.display();
        match written {
            Ok(_) if self.dropped > 0 => {
                let dropped = std::mem::take(&mut self.dropped);
                Some(format!("FIFO {path} is read again; {dropped} lines were dropped"))
            }
            Ok(_) => None,
            Err(why) => {
                self.dropped += 1;
                (self.dropped == 1).then(|| match why {
                    Errno::AGAIN => format!("FIFO {path} is full: nobody reads it, and lines are dropped"),
                    why => format!("cannot write to FIFO {path}, and lines are dropped: {why}"),
                })
            }
        }
    }

    /// Takes it away where this run has made it; gives how many lines were dropped that nothing was said of.
    pub(super) fn close(self) -> u64 {
        if self.is_own {
            // Somebody may have been quicker.
            let _ = std::fs::remove_file(&self.fifo.path);
        }
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        io::Read,
        os::unix::fs::{FileTypeExt, PermissionsExt},
        path::Path,
    };

    fn fifo(path: &Path) -> Fifo {
        Fifo { about: Subject::Vrrp, path: path.to_owned(), owner: None, script: None }
    }

    fn read_all(path: &Path) -> String {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let mut file = fs::File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap());
        let mut bytes = Vec::new();
        // The writer lives, so that the end is "nothing more now".
        let _ = file.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_wait_for_a_reader_that_comes_late_and_the_fifo_goes_with_its_maker() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mut pipe = Pipe::open(&fifo(&path), Ids::own()).unwrap();
        let looked_at = fs::metadata(&path).unwrap();
        assert!(looked_at.file_type().is_fifo());
        assert_eq!(looked_at.permissions().mode() & 0o7777, 0o600);
        assert_eq!(pipe.write("one\n"), None);
        assert_eq!(pipe.write("two\n"), None);
        assert_eq!(read_all(&path), "one\ntwo\n");
        assert!(pipe.is_about(Subject::Vrrp) && !pipe.is_about(Subject::Services));
        assert_eq!(pipe.close(), 0);
        assert!(!path.exists());
    }

    #[test]
    fn without_a_reader_lines_are_dropped_and_counted_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mut pipe = Pipe::open(&fifo(&path), Ids::own()).unwrap();
        let line = "x".repeat(99) + "\n";
        let said: Vec<String> = (0..10_000).filter_map(|_| pipe.write(&line)).collect();
        assert_eq!(said, [format!("FIFO {} is full: nobody reads it, and lines are dropped", path.display())]);
        let whole = read_all(&path);
        assert!(whole.ends_with('\n') && whole.len().is_multiple_of(100), "{}", whole.len());
        let dropped = 10_000 - whole.len() / 100;
        let said = pipe.write(&line).unwrap();
        assert_eq!(said, format!("FIFO {} is read again; {dropped} lines were dropped", path.display()));
        assert!(pipe.write(&"y".repeat(WHOLE + 1)).unwrap().contains("Message too long"));
        assert_eq!(pipe.close(), 1);
    }

    #[test]
    fn what_was_there_is_used_and_stays_and_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let first = Pipe::open(&fifo(&path), Ids::own()).unwrap();
        Pipe::open(&fifo(&path), Ids::own()).unwrap().close();
        assert!(path.exists());
        first.close();
        fs::write(&path, "").unwrap();
        let why = Pipe::open(&fifo(&path), Ids::own()).unwrap_err();
        assert_eq!(why, format!("{} is there and is no FIFO", path.display()));
    }
}

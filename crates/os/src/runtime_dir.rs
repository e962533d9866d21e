//! The directory of one instance: made 0700 before anything is put into it, owned by us, used by one instance only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::error::{Error, Result};

/// A directory that only its owner can enter.
#[derive(Clone, Debug)]
pub struct RuntimeDir {
    path: PathBuf,
}

/// Keeps every other instance out of the directory while it lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    owner: u32,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would not do: a child between fork and exec has a copy. One that was forked to stay must not
        // unlock for its parent.
        if self.owner == std::process::id() {
            let _ = flock(self.file.as_fd(), FlockOperation::Unlock);
        }
    }
}

impl RuntimeDir {
    /// Makes the directory 0700 where it is missing. Refuses a symbolic link, another owner's directory and
    /// anything that is no directory; takes the rights of others away from one that is ours.
    pub fn prepare(path: impl Into<PathBuf>) -> Result<RuntimeDir> {
        let path = path.into();
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)
                .map_err(|e| Error::at("create", parent, e))?;
        }
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::at("create", &path, e)),
        }
        // What is opened is what is checked: a link put in its place meanwhile is not followed.
        let flags = (OFlags::NOFOLLOW | OFlags::DIRECTORY).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let directory = opened.map_err(|e| match e.raw_os_error() {
            Some(libc::ENOTDIR | libc::ELOOP) => Error::Refused(format!("{} is no directory", path.display())),
            _ => Error::at("open", &path, e),
        })?;
        let about = directory.metadata().map_err(|e| Error::at("examine", &path, e))?;
        let us = rustix::process::geteuid().as_raw();
        if about.uid() != us {
            return Err(Error::Refused(format!("{} belongs to user {}, not to {us}", path.display(), about.uid())));
        }
        if about.mode() & 0o777 != 0o700 {
            let only_ours = fs::Permissions::from_mode(0o700);
            directory.set_permissions(only_ours).map_err(|e| Error::at("restrict", &path, e))?;
        }
        Ok(RuntimeDir { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Claims the directory for this process; refused while another process has it. A daemon claims it after it has
    /// detached.
    pub fn lock(&self) -> Result<Lock> {
        self.claim("lock", "instance")
    }

    /// Takes the lock `name` inside; `who` names the sort of process that may hold it, for the refusal.
    pub fn claim(&self, name: &str, who: &str) -> Result<Lock> {
        let path = self.join(name);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|e| Error::at("open", &path, e))?;
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let by = if holder.trim().is_empty() { String::new() } else { format!(" (process {})", holder.trim()) };
                return Err(Error::Refused(format!("another {who}{by} uses {}", self.path.display())));
            }
            Err(e) => return Err(Error::at("lock", &path, e)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|e| Error::at("write", &path, e))?;
        Ok(Lock { file, owner: std::process::id() })
    }

    /// Takes the lock `name` inside once whoever has it gives it back; callers keep it only for a bounded time.
    pub fn wait_for(&self, name: &str) -> Result<Lock> {
        let path = self.join(name);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|e| Error::at("open", &path, e))?;
        loop {
            match flock(file.as_fd(), FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Lock { file, owner: std::process::id() }),
                // A signal that does not end the process.
                Err(Errno::INTR) => {}
                Err(e) => return Err(Error::at("lock", &path, e)),
            }
        }
    }

    /// Puts `bytes` into the file `name` inside, whole or not at all, also when the power fails meanwhile.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, draft) = (self.join(name), self.join(&format!("{name}.new")));
        let written = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        written().map_err(|e| Error::at("write", &path, e))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn bed() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    #[test]
    fn it_is_made_with_the_owners_rights_only_and_again_does_no_harm() {
        let bed = bed();
        let path = bed.path().join("a/b");
        for _ in 0..2 {
            let made = RuntimeDir::prepare(&path).expect("prepare");
            assert_eq!(fs::metadata(made.path()).expect("there").mode() & 0o7777, 0o700);
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("open it up");
        RuntimeDir::prepare(&path).expect("prepare");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_link_a_file_and_a_strangers_directory_are_refused() {
        let bed = bed();
        let (target, link, file) = (bed.path().join("target"), bed.path().join("link"), bed.path().join("file"));
        fs::create_dir(&target).expect("target");
        symlink(&target, &link).expect("link");
        fs::write(&file, "").expect("file");
        for path in [link, file] {
            assert!(matches!(RuntimeDir::prepare(&path), Err(Error::Refused(_))), "{}", path.display());
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&target, Some(12345), None).expect("give it away");
            let why = RuntimeDir::prepare(&target).expect_err("not ours").to_string();
            assert!(why.ends_with("belongs to user 12345, not to 0"), "{why}");
        }
    }

    #[test]
    fn two_instances_cannot_have_the_same_directory() {
        let bed = bed();
        let directory = RuntimeDir::prepare(bed.path().join("run")).expect("prepare");
        let first = directory.lock().expect("free");
        let why = directory.lock().expect_err("taken").to_string();
        assert!(why.starts_with(&format!("another instance (process {}) uses ", std::process::id())), "{why}");
        drop(first);
        directory.lock().expect("free again");
    }

    #[test]
    fn a_lock_is_waited_for() {
        let bed = bed();
        let directory = RuntimeDir::prepare(bed.path().join("run")).expect("prepare");
        let first = directory.wait_for("start.lock").expect("free");
        let (waiting, other) = (std::sync::mpsc::channel(), directory.clone());
        let thread = std::thread::spawn(move || {
            let second = other.wait_for("start.lock").expect("free later");
            waiting.0.send(()).expect("heard");
            drop(second);
        });
        assert!(waiting.1.try_recv().is_err());
        drop(first);
        waiting.1.recv_timeout(std::time::Duration::from_secs(20)).expect("the lock");
        thread.join().expect("no panic");
    }
}

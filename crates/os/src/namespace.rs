//! Named network namespaces, as `ip netns` makes them: a bind mount below `/run/netns`.
//!
//! A thread of a runtime never changes its namespace; whatever is to happen inside one gets a thread of its own.

#![allow(unsafe_code, reason = "unshare is unsafe in rustix")]

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    panic,
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

use crate::error::{Error, Result};

const DIRECTORY: &str = "/run/netns";

/// An open network namespace.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// Makes the namespace `name` and opens it. One of that name must not exist.
    pub fn create(name: &str) -> Result<Namespace> {
        let path = path(name)?;
        prepare_directory()?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o444).open(&path);
        file.map_err(|e| Error::at("create network namespace", &path, e))?;
        let mounted = on_a_thread(|| {
            // SAFETY: only this thread changes its network namespace; no file descriptor or file system state is
            // unshared, so nothing of the other threads changes.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            mount_bind("/proc/thread-self/ns/net", &path)
        });
        if let Err(e) = mounted {
            let _ = fs::remove_file(&path);
            return Err(Error::system(format!("create network namespace {name}"), e));
        }
        Namespace::open(name)
    }

    /// Opens the existing namespace `name`.
    pub fn open(name: &str) -> Result<Namespace> {
        let path = path(name)?;
        let file = File::open(&path).map_err(|e| Error::at("open network namespace", &path, e))?;
        Ok(Namespace { fd: file.into() })
    }

    /// Opens the namespace this thread is in.
    pub fn current() -> Result<Namespace> {
        let path = Path::new("/proc/thread-self/ns/net");
        let file = File::open(path).map_err(|e| Error::at("open", path, e))?;
        Ok(Namespace { fd: file.into() })
    }

    /// Removes the name. The namespace itself goes with its last process, socket and open descriptor.
    pub fn delete(name: &str) -> Result<()> {
        let path = path(name)?;
        match unmount(&path, UnmountFlags::DETACH) {
            // Not mounted: the leftover file of a creation that was cut short.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(e) => return Err(Error::at("unmount network namespace", &path, e)),
        }
        fs::remove_file(&path).map_err(|e| Error::at("remove network namespace", &path, e))
    }

    /// The names that begin with `prefix`, sorted.
    pub fn list(prefix: &str) -> Result<Vec<String>> {
        let entries = match fs::read_dir(DIRECTORY) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::at("read", Path::new(DIRECTORY), e)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        Ok(names)
    }

    /// Moves the calling thread into this namespace for the rest of its life. Only for a thread made for it.
    pub fn enter(&self) -> Result<()> {
        move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| Error::system("enter the network namespace", e))
    }

    /// Runs `work` inside, on a fresh thread, and waits for it. A panic in `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_a_thread(|| self.enter().map(|()| work()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Runs `work` on a thread of its own; a panic goes on in the caller.
pub(crate) fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match thread::scope(|scope| scope.spawn(work).join()) {
        Ok(value) => value,
        Err(panic) => panic::resume_unwind(panic),
    }
}

fn path(name: &str) -> Result<PathBuf> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']) && name.len() < 256;
    if !plain {
        return Err(Error::Refused(format!("`{name}` cannot be the name of a network namespace")));
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Makes the directory and has mounts below it seen in every mount namespace, as `ip netns add` does: else a
/// namespace deleted here would live on inside a running `ip netns exec`.
fn prepare_directory() -> Result<()> {
    let directory = Path::new(DIRECTORY);
    match fs::DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(Error::at("create", directory, e)),
    }
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    let outcome = match mount_change(directory, shared) {
        Err(Errno::INVAL) => mount_bind_recursive(directory, directory).and_then(|()| mount_change(directory, shared)),
        other => other,
    };
    outcome.map_err(|e| Error::at("share the mounts of", directory, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", "/etc", "a\0b"] {
            assert!(matches!(Namespace::open(name), Err(Error::Refused(_))), "{name}");
        }
    }

    #[test]
    fn a_namespace_is_made_entered_listed_and_removed() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let name = format!("ek-ns-{}", std::process::id());
        let namespace = Namespace::create(&name).expect("create");
        let again = Namespace::create(&name);
        let names = Namespace::list(&name).expect("list");
        let seen = namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev").expect("read")).expect("run");
        let outside = fs::read_link("/proc/thread-self/ns/net").expect("outside");
        let inside = namespace.run(|| fs::read_link("/proc/thread-self/ns/net").expect("inside")).expect("run");
        Namespace::delete(&name).expect("delete");
        assert_eq!(again.err().and_then(|e| e.kind()), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(names, std::slice::from_ref(&name));
        assert_eq!(seen.lines().skip(2).count(), 1, "a fresh namespace has only lo:\n{seen}");
        assert_ne!(inside, outside);
        assert!(Namespace::list(&name).expect("list").is_empty());
        assert!(Namespace::open(&name).is_err_and(|e| e.is_missing()));
    }
}

//! A bpf file system whose pins outlast the daemon.
//!
//! bpffs is a mount like any other, and every mount of it is new and empty. `ip netns exec` and service managers give a
//! process a private mount namespace: a bpffs mounted there dies with the last process in it, and every pin with it.
//! So the mount belongs into the host's mount namespace, that of process 1, and is reached from elsewhere through
//! `/proc/1/root`. Where process 1 is shut off even from root, the kernel's own thread 2 shows the same namespace.

#![allow(unsafe_code, reason = "unshare is unsafe in rustix")]

use std::{
    fmt, fs,
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::statfs,
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

use crate::{
    error::{Error, Result},
    namespace::on_a_thread,
    runtime_dir::RuntimeDir,
};

const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// What `mount` shows as the source of a bpffs of ours; how a later process knows which one it may unmount.
const SOURCE: &str = "evenkeel";
const HERE: &str = "/proc/thread-self/ns/mnt";

/// A bpf file system to pin to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bpffs {
    /// Pins below this path outlast the process.
    Lasting(PathBuf),
    /// Pins below `path` go with the last process of this mount namespace: a crash will not be survived.
    NotLasting {
        /// Where to pin all the same.
        path: PathBuf,
        /// Why there is no better place.
        why: String,
    },
}

impl Bpffs {
    /// Where to pin.
    pub fn path(&self) -> &Path {
        match self {
            Bpffs::Lasting(path) | Bpffs::NotLasting { path, .. } => path,
        }
    }
}

impl fmt::Display for Bpffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bpffs::Lasting(path) => write!(f, "pins below {} outlast the daemon", path.display()),
            Bpffs::NotLasting { path, why } => {
                write!(f, "pins below {} do not outlast this mount namespace: {why}", path.display())
            }
        }
    }
}

/// Makes `directory` (absolute) a bpf file system with the owner's rights only, in the host's mount namespace where
/// that can be had. One that is there already is taken as it is.
pub fn lasting_bpffs(directory: &Path) -> Result<Bpffs> {
    match in_host_mounts(|| ensure(directory)) {
        Where::Here => ensure(directory).map(|()| Bpffs::Lasting(directory.to_owned())),
        Where::There { outcome: Ok(()), root } => {
            let path = root.join(directory.strip_prefix("/").unwrap_or(directory));
            match is_bpffs(&path) {
                Ok(true) => Ok(Bpffs::Lasting(path)),
                Ok(false) => not_lasting(directory, format!("{} does not lead to the host's mount", path.display())),
                Err(e) => not_lasting(directory, e.to_string()),
            }
        }
        Where::There { outcome: Err(e), .. } => not_lasting(directory, format!("among the host's mounts: {e}")),
        Where::Unreachable(why) => not_lasting(directory, why),
    }
}

/// Unmounts the bpf file system that [`lasting_bpffs`] made on `directory`, if it is empty. Says whether it did.
/// One that an administrator mounted stays, and so does one that still holds pins.
pub fn remove_bpffs(directory: &Path) -> Result<bool> {
    match in_host_mounts(|| remove(directory)) {
        Where::Here | Where::Unreachable(_) => remove(directory),
        Where::There { outcome, .. } => Ok(outcome? | remove(directory)?),
    }
}

/// Whether pins lie in `directory`, as the caller or as the host sees it.
pub fn holds_pins(directory: &Path) -> bool {
    match in_host_mounts(|| Ok(has_pins(directory))) {
        Where::Here | Where::Unreachable(_) => has_pins(directory),
        Where::There { outcome, .. } => outcome.unwrap_or(false) || has_pins(directory),
    }
}

/// No pin can have a dot in its name; the kernel's own `maps.debug` and `progs.debug` do.
fn has_pins(directory: &Path) -> bool {
    let is_pin = |entry: fs::DirEntry| !entry.file_name().as_encoded_bytes().contains(&b'.');
    fs::read_dir(directory).is_ok_and(|entries| entries.flatten().any(is_pin))
}

fn not_lasting(directory: &Path, why: String) -> Result<Bpffs> {
    ensure(directory)?;
    Ok(Bpffs::NotLasting { path: directory.to_owned(), why })
}

/// Where a piece of work for the host's mounts ran.
enum Where<T> {
    /// Nowhere: these are the caller's own.
    Here,
    /// Among the host's mounts, which begin at `root`.
    There { outcome: Result<T>, root: PathBuf },
    /// Nowhere: they cannot be entered.
    Unreachable(String),
}

/// Runs `work` among the host's mounts if these are others than the caller's.
fn in_host_mounts<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Where<T> {
    let seen = |e: io::Error| format!("cannot see the mounts of process 1: {e}");
    let (host, process) = match host_mounts() {
        Ok(found) => found,
        Err(e) => return Where::Unreachable(seen(e)),
    };
    match fs::read_link(HERE) {
        Ok(here) if here == host => return Where::Here,
        Ok(_) => {}
        Err(e) => return Where::Unreachable(seen(e)),
    }
    on_a_thread(|| {
        let entered = || -> io::Result<()> {
            let namespace = File::open(process.join("ns/mnt"))?;
            // SAFETY: only this thread's working directory and root become its own; no descriptor table is unshared.
            unsafe { unshare_unsafe(UnshareFlags::FS) }?;
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?)
        };
        match entered() {
            Ok(()) => Where::There { outcome: work(), root: process.join("root") },
            Err(e) => Where::Unreachable(format!("cannot enter the mounts of process 1: {e}")),
        }
    })
}

/// The host's mount namespace, and the directory in /proc of a process that lives there as long as the host does.
fn host_mounts() -> io::Result<(PathBuf, PathBuf)> {
    let init = PathBuf::from("/proc/1");
    fs::read_link(init.join("ns/mnt")).map(|link| (link, init)).or_else(|e| {
        let kernel = PathBuf::from("/proc/2");
        let is_kernel = fs::read_to_string(kernel.join("comm")).is_ok_and(|name| name == "kthreadd\n");
        if !is_kernel {
            return Err(e);
        }
        fs::read_link(kernel.join("ns/mnt")).map(|link| (link, kernel)).map_err(|_| e)
    })
}

fn is_bpffs(path: &Path) -> Result<bool> {
    let about = statfs(path).map_err(|e| Error::at("examine", path, e))?;
    // The type is signed on some architectures and unsigned on others; the magic fills 32 bits.
    Ok((about.f_type as u64) & 0xffff_ffff == BPF_FS_MAGIC)
}

fn ensure(directory: &Path) -> Result<()> {
    if !directory.is_absolute() {
        return Err(Error::Refused(format!("{} is no absolute path", directory.display())));
    }
    // A bpffs that is there decides its own owner and rights.
    if directory.is_dir() && is_bpffs(directory)? {
        return Ok(());
    }
    RuntimeDir::prepare(directory)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(SOURCE, directory, "bpf", flags, Some(c"mode=0700")).map_err(|e| Error::at("mount bpffs on", directory, e))
}

fn remove(directory: &Path) -> Result<bool> {
    if !directory.is_dir() || !is_bpffs(directory)? || !is_ours(directory)? {
        return Ok(false);
    }
    if has_pins(directory) {
        return Ok(false);
    }
    match unmount(directory, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        Err(e) => Err(Error::at("unmount", directory, e)),
    }
}

/// Whether the mount that `directory` lies on has our name as its source.
fn is_ours(directory: &Path) -> Result<bool> {
    let device = fs::metadata(directory).map_err(|e| Error::at("examine", directory, e))?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let list = Path::new("/proc/thread-self/mountinfo");
    let mounts = fs::read_to_string(list).map_err(|e| Error::at("read", list, e))?;
    Ok(mounts.lines().any(|line| source_of(line, &device) == Some(SOURCE)))
}

/// The source of a mountinfo line (proc_pid_mountinfo(5)) if it speaks of `device`.
fn source_of<'a>(line: &'a str, device: &str) -> Option<&'a str> {
    let (front, back) = line.split_once(" - ")?;
    (front.split(' ').nth(2)? == device).then(|| back.split(' ').nth(1))?
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountPropagationFlags, mount_change};

    use super::*;

    fn bed(purpose: &str) -> Option<PathBuf> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        Some(PathBuf::from(format!("/run/ek-os-{}-{purpose}/bpf", std::process::id())))
    }

    fn clear(directory: &Path) {
        let _ = fs::remove_dir(directory);
        let _ = fs::remove_dir(directory.parent().expect("a parent"));
    }

    #[test]
    fn mountinfo_names_the_source_of_a_device() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - bpf evenkeel rw,mode=700";
        assert_eq!(source_of(line, "98:0"), Some("evenkeel"));
        assert_eq!(source_of(line, "98:1"), None);
        assert_eq!(source_of("nonsense", "98:0"), None);
    }

    #[test]
    fn it_is_mounted_once_keeps_its_entries_and_goes_when_empty() {
        let Some(directory) = bed("once") else { return };
        let first = lasting_bpffs(&directory).expect("mount");
        fs::create_dir(directory.join("v1")).expect("an entry");
        let second = lasting_bpffs(&directory).expect("again");
        let kept = directory.join("v1").is_dir();
        let mode = fs::metadata(&directory).expect("there").mode() & 0o777;
        let full = remove_bpffs(&directory).expect("not empty");
        fs::remove_dir(directory.join("v1")).expect("empty it");
        let empty = remove_bpffs(&directory).expect("empty");
        let gone = remove_bpffs(&directory).expect("gone");
        clear(&directory);
        assert_eq!(first, second);
        assert!(matches!(first, Bpffs::Lasting(_)), "{first}");
        assert!(kept, "a second call mounted a new one over the first");
        assert_eq!(mode, 0o700);
        assert_eq!((full, empty, gone), (false, true, false));
    }

    #[test]
    fn one_that_an_administrator_mounted_is_used_and_left() {
        let Some(directory) = bed("foreign") else { return };
        fs::create_dir_all(&directory).expect("directory");
        mount("bpf", &directory, "bpf", MountFlags::empty(), None).expect("mount");
        let found = lasting_bpffs(&directory);
        let removed = remove_bpffs(&directory);
        unmount(&directory, UnmountFlags::empty()).expect("unmount");
        clear(&directory);
        assert!(!removed.expect("look"));
        assert!(found.is_ok());
    }

    #[test]
    fn from_a_private_mount_namespace_it_is_mounted_in_that_of_process_1() {
        let Some(directory) = bed("private") else { return };
        // What `ip netns exec` does to the mounts of its command.
        let (found, inside) = on_a_thread(|| {
            // SAFETY: this thread alone gets mounts of its own; no descriptor table is unshared.
            unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.expect("unshare");
            let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
            mount_change("/", private).expect("make the mounts private");
            let found = lasting_bpffs(&directory).expect("mount");
            fs::create_dir(found.path().join("v1")).expect("pin");
            (found.clone(), found.path().join("v1").is_dir())
        });
        // The namespace is gone with its thread.
        let outlived = found.path().join("v1").is_dir();
        let _ = fs::remove_dir(found.path().join("v1"));
        let removed = remove_bpffs(&directory).expect("remove");
        clear(&directory);
        let Bpffs::Lasting(path) = found else { panic!("{found}") };
        assert!(path.starts_with("/proc") && path.ends_with(directory.strip_prefix("/").expect("absolute")));
        assert!(inside && outlived);
        assert!(removed);
    }
}

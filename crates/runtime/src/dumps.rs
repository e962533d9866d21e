//! Files about what runs, which signals ask for, as those of keepalived have it.
//!
//! Whoever may write the directory may have put anything there under these names. So each file is made anew under
//! a name nobody knows, for its owner alone, and takes the place of what is there in one step: links are replaced, never
//! followed, and a reader sees a whole file.

use crate::configuration::Written;
use evenkeel_config::keepalived::GlobalWord;
use evenkeel_keepalived::Asked;
use evenkeel_model::{Cluster, Notify, Service};
use rustix::fs::OFlags;
use std::{
    fs::{self, OpenOptions, Permissions},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Signals that wait for an answer of the elections; each kind once.
const KINDS: usize = Asked::ALL.len();
/// Bits of the mode that files are not created with, where nothing is said.
const UMASK: u32 = 0o177;

/// Where files about what runs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpFiles {
    /// The directory.
    pub directory: PathBuf,
    /// Bits of the mode that they are not created with; `None`: as the configuration says, else all but those of their
    /// owner.
    pub umask: Option<u32>,
}

/// What is needed to write them.
pub(crate) struct Dumps {
    files: DumpFiles,
    pub(crate) written: Arc<Written>,
    pub(crate) services: Vec<Service>,
    pub(crate) notify: Notify,
    waiting: Vec<Asked>,
}

impl Dumps {
    pub(crate) fn new(files: DumpFiles, written: Option<Arc<Written>>) -> Dumps {
        Dumps {
            files,
            written: written.unwrap_or_default(),
            services: Vec::new(),
            notify: Notify::default(),
            waiting: Vec::new(),
        }
    }

    /// Another configuration is carried out.
    pub(crate) fn configure(&mut self, written: Option<Arc<Written>>, cluster: &Cluster) {
        self.written = written.unwrap_or_default();
        self.serve(cluster);
    }

    /// These services are served.
    pub(crate) fn serve(&mut self, cluster: &Cluster) {
        self.services.clone_from(&cluster.services);
        self.notify.clone_from(&cluster.notify);
    }

    /// Something is to be written once the elections have told how they stand.
    pub(crate) fn wait(&mut self, asked: Asked) {
        if self.waiting.len() < KINDS && !self.waiting.contains(&asked) {
            self.waiting.push(asked);
        }
    }

    /// What is to be written now.
    pub(crate) fn take(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.waiting)
    }

    /// Bits of the mode that files are not created with.
    pub(crate) fn umask(&self) -> u32 {
        let written = word(&self.written.globals, "umask").and_then(|text| u32::from_str_radix(text, 8).ok());
        self.files.umask.or(written).unwrap_or(UMASK) & 0o777
    }

    /// Where a file is: where `keyword` says, else `usual` in the directory.
    pub(crate) fn path(&self, usual: &str, keyword: &str) -> PathBuf {
        self.files.directory.join(word(&self.written.globals, keyword).unwrap_or(usual))
    }

    /// Writes a file; the error is a sentence fragment.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<(), String> {
        replace(path, text.as_bytes(), 0o666 & !self.umask())
            .map_err(|e| format!("cannot write {}: {e}", path.display()))
    }
}

fn word<'a>(globals: &'a [GlobalWord], name: &str) -> Option<&'a str> {
    globals.iter().rev().find(|word| word.name == name)?.args.first().map(String::as_str)
}

/// Puts a new file at `path`, whatever is there.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}", RandomState::new().hash_one(std::process::id())));
    let new = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
    let mut file = options.write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Best effort: the error that matters is the first.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_somebody_put_there_is_replaced_and_not_followed() {
        let bed = tempfile::tempdir().expect("a directory");
        let (precious, path) = (bed.path().join("precious"), bed.path().join("keepalived.data"));
        fs::write(&precious, "keep").expect("write");
        for plant in [symlink as fn(_, _) -> _, fs::hard_link] {
            plant(&precious, &path).expect("plant");
            replace(&path, b"state", 0o600).expect("replace");
            assert_eq!(fs::read_to_string(&precious).expect("read"), "keep");
            assert!(!fs::symlink_metadata(&path).expect("look").is_symlink());
            assert_eq!(fs::read_to_string(&path).expect("read"), "state");
            fs::remove_file(&path).expect("remove");
        }
    }

    #[test]
    fn a_file_is_its_owner_s_alone_and_nothing_is_left_beside_it() {
        let bed = tempfile::tempdir().expect("a directory");
        let path = bed.path().join("keepalived.stats");
        // Somebody may have it open for reading already.
        fs::write(&path, "old").expect("write");
        let before = fs::File::open(&path).expect("open");
        let dumps = Dumps::new(DumpFiles { directory: bed.path().to_owned(), umask: None }, None);
        dumps.write(&dumps.path("keepalived.stats", "stats_dump_file"), "new").expect("write");
        assert_eq!(io::read_to_string(before).expect("read"), "old");
        assert_eq!(fs::metadata(&path).expect("look").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(bed.path()).expect("list").count(), 1);
        assert!(replace(&bed.path().join("none/keepalived.stats"), b"", 0o600).is_err());
    }

    #[test]
    fn each_kind_waits_once() {
        let mut dumps = Dumps::new(DumpFiles { directory: "/".into(), umask: Some(0o22) }, None);
        for _ in 0..100 {
            Asked::ALL.into_iter().for_each(|asked| dumps.wait(asked));
        }
        assert_eq!(dumps.take(), Asked::ALL);
        assert!(dumps.take().is_empty());
        assert_eq!(dumps.umask(), 0o22);
    }
}

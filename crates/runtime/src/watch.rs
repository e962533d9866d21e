//! Looks at files once a second: whether a configuration file has changed, and which maintenance files there are.
//!
//! A change of the time stamp or size is only a hint; the content decides, so that `touch` reloads nothing. It runs as a
//! task of its own, on the runtime's blocking threads, so that a file system that hangs stops no other work.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::sync::{mpsc, watch};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Names taken from the maintenance directory.
const MAINTENANCE_FILES: usize = 65_536;

/// What is to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Files whose change asks for a reload, as they were when they were read; empty without `autoreload`.
    pub sources: Vec<SourceFile>,
    /// Directory of maintenance files.
    pub maintenance: Option<PathBuf>,
}

/// A file and what its content was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// `None`: it could not be read.
    print: Option<Print>,
    /// When it was last changed, in seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

/// Tells one content from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    stamp: (SystemTime, u64),
    hash: u64,
}

impl SourceFile {
    /// As it is now.
    pub fn now(path: PathBuf) -> SourceFile {
        let changed = SourceFile::changed_at(&path);
        SourceFile { print: content(&path, None).ok(), path, changed }
    }

    /// When a file or directory was last changed, in seconds and nanoseconds since 1970.
    pub(crate) fn changed_at(path: &Path) -> (i64, i64) {
        std::fs::metadata(path).map(|m| (m.ctime(), m.ctime_nsec())).unwrap_or_default()
    }

    /// Whether it was last changed at `time` or later, in seconds and nanoseconds since 1970.
    pub(crate) fn changed_since(&self, time: (i64, i64)) -> bool {
        self.changed >= time
    }
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A source has other content than at the last look.
    SourceChanged(PathBuf),
    /// A source cannot be read any more; the running state stays.
    SourceUnreadable(PathBuf, String),
    /// The names in the maintenance directory, told when they have changed.
    Maintenance(BTreeSet<String>),
}

/// Looks until nobody listens any more.
pub(crate) async fn watch(mut what: watch::Receiver<Watched>, seen: mpsc::Sender<Seen>) {
    let mut memory = Memory::default();
    loop {
        let now = what.borrow_and_update().clone();
        let looked = tokio::task::spawn_blocking(move || {
            let found = memory.look(&now);
            (memory, found)
        });
        let Ok((back, found)) = looked.await else { return };
        memory = back;
        for one in found {
            if seen.send(one).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            changed = what.changed() => if changed.is_err() { return },
        }
    }
}

/// What the last look saw.
#[derive(Debug, Default)]
struct Memory {
    sources: Vec<Known>,
    maintenance: Option<(PathBuf, BTreeSet<String>)>,
}

#[derive(Debug)]
struct Known {
    /// As it was read.
    read: SourceFile,
    /// As it was seen last.
    seen: Option<Print>,
}

impl Memory {
    fn look(&mut self, what: &Watched) -> Vec<Seen> {
        let mut seen = Vec::new();
        // What has been read anew is compared with that from now on.
        self.sources.retain(|known| what.sources.contains(&known.read));
        for source in &what.sources {
            self.look_at_source(source, &mut seen);
        }
        self.look_at_maintenance(what.maintenance.as_deref(), &mut seen);
        seen
    }

    fn look_at_source(&mut self, source: &SourceFile, seen: &mut Vec<Seen>) {
        let at = self.sources.iter().position(|known| known.read == *source).unwrap_or_else(|| {
            self.sources.push(Known { read: source.clone(), seen: source.print });
            self.sources.len() - 1
        });
        let Some(known) = self.sources.get_mut(at) else { return };
        match (known.seen, content(&source.path, known.seen)) {
            (Some(old), Ok(new)) => {
                known.seen = Some(new);
                if old.hash != new.hash {
                    seen.push(Seen::SourceChanged(source.path.clone()));
                }
            }
            (None, Ok(new)) => {
                known.seen = Some(new);
                seen.push(Seen::SourceChanged(source.path.clone()));
            }
            (Some(_), Err(e)) => {
                known.seen = None;
                seen.push(Seen::SourceUnreadable(source.path.clone(), e.to_string()));
            }
            (None, Err(_)) => {}
        }
    }

    fn look_at_maintenance(&mut self, directory: Option<&Path>, seen: &mut Vec<Seen>) {
        let new = directory.map(|d| (d.to_owned(), names(d)));
        if new != self.maintenance {
            let names = new.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
            let before = self.maintenance.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
            self.maintenance = new;
            if names != before {
                seen.push(Seen::Maintenance(names));
            }
        }
    }
}

/// The print of a file; the content is read only when time stamp or size differ from `known`.
fn content(path: &Path, known: Option<Print>) -> io::Result<Print> {
    let metadata = std::fs::metadata(path)?;
    let stamp = (metadata.modified()?, metadata.len());
    match known {
        Some(known) if known.stamp == stamp => Ok(known),
        _ => Ok(Print { stamp, hash: hash(&std::fs::read(path)?) }),
    }
}

/// A hash that tells contents apart; it need not withstand an attacker, who could change the file as well.
fn hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish()
}

/// The names in a directory; none when it cannot be read, as ldirectord has it.
pub(crate) fn names(directory: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    entries.flatten().take(MAINTENANCE_FILES).filter_map(|e| e.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn watched(source: &Path) -> Watched {
        Watched { sources: vec![SourceFile::now(source.to_owned())], maintenance: None }
    }

    #[test]
    fn other_content_is_told_and_a_touch_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cf");
        fs::write(&file, "one").unwrap();
        let what = watched(&file);
        let mut memory = Memory::default();
        assert_eq!(memory.look(&what), []);
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert_eq!(memory.look(&what), []);
        fs::write(&file, "other").unwrap();
        assert_eq!(memory.look(&what), [Seen::SourceChanged(file.clone())]);
        assert_eq!(memory.look(&what), []);
    }

    #[test]
    fn a_change_between_reading_and_the_first_look_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cf");
        fs::write(&file, "one").unwrap();
        let what = watched(&file);
        fs::write(&file, "another").unwrap();
        let mut memory = Memory::default();
        assert_eq!(memory.look(&what), [Seen::SourceChanged(file.clone())]);
        assert_eq!(memory.look(&what), []);
        assert_eq!(memory.look(&watched(&file)), []);
    }

    #[test]
    fn a_file_that_goes_is_told_once_and_its_return_reloads() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.cf");
        fs::write(&file, "one").unwrap();
        let what = watched(&file);
        let mut memory = Memory::default();
        memory.look(&what);
        fs::remove_file(&file).unwrap();
        assert!(matches!(memory.look(&what).as_slice(), [Seen::SourceUnreadable(..)]));
        assert_eq!(memory.look(&what), []);
        fs::write(&file, "one").unwrap();
        assert_eq!(memory.look(&what), [Seen::SourceChanged(file)]);
    }

    #[test]
    fn maintenance_files_are_told_when_they_change_and_when_the_directory_is_no_longer_watched() {
        let dir = tempfile::tempdir().unwrap();
        let mut what = Watched { sources: vec![], maintenance: Some(dir.path().to_owned()) };
        let mut memory = Memory::default();
        assert_eq!(memory.look(&what), []);
        fs::write(dir.path().join("192.0.2.1"), "").unwrap();
        assert_eq!(memory.look(&what), [Seen::Maintenance(["192.0.2.1".to_owned()].into())]);
        assert_eq!(memory.look(&what), []);
        what.maintenance = None;
        assert_eq!(memory.look(&what), [Seen::Maintenance(BTreeSet::new())]);
    }
}

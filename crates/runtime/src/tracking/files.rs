//! Tracked files: the directories they are in are watched, so that a file may come, go, be replaced or written in
//! place.

use super::{Outlet, Task, number};
use evenkeel_model::vrrp::{File, Target};
use evenkeel_vrrp::track::Sight;
use rustix::{
    fs::{Mode, OFlags, inotify},
    io::Errno,
};
use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs,
    io::{self, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Bytes of a file that are looked at; keepalived looks at as many.
const LENGTH: usize = 127;
/// Between two looks at all files, for what no directory tells of: one that is not there yet, one that was moved, a
/// file system of another host.
const ROUND: Duration = Duration::from_secs(5);
/// How long an empty file may be about to be written before it counts as empty.
const WRITING: Duration = Duration::from_millis(20);
/// Bytes of events read in one go.
const EVENTS: usize = 4096;

/// As keepalived: a file that is open for writing may be half written.
const CHANGES: inotify::WatchFlags =
    inotify::WatchFlags::CLOSE_WRITE.union(inotify::WatchFlags::DELETE).union(inotify::WatchFlags::MOVE);

/// Watches `files`; `None` where there are none. `anew`: the daemon begins, and files are made that are to be there.
pub(super) fn start(files: &[File], outlet: Outlet, anew: bool) -> Option<Task> {
    if files.is_empty() {
        return None;
    }
    let files = files.to_vec();
    Some(Task::start(async move {
        let made = files.clone();
        let made = move || made.iter().map(|file| make(file, anew).err()).collect::<Vec<_>>();
        let mut troubles = tokio::task::spawn_blocking(made).await.unwrap_or_default();
        let mut watch = Watch::new(files);
        let mut which = (0..watch.files.len()).collect();
        loop {
            for (at, number) in watch.look(which).await {
                let Some(file) = watch.files.get(at) else { continue };
                let trouble = troubles.get_mut(at).and_then(Option::take);
                let detail = trouble.map_or_else(String::new, |e| format!("it cannot be made: {e}"));
                outlet.tell(&Target::File(file.name.clone()), Sight::Number(number), detail).await;
            }
            which = watch.changed().await;
        }
    }))
}

/// Makes a file that is to be there at the start. On a reload one that is there is left alone.
fn make(file: &File, anew: bool) -> io::Result<()> {
    let Some(number) = file.initial else { return Ok(()) };
    match fs::metadata(&file.path) {
        Ok(_) if !file.overwrite || !anew => return Ok(()),
        Ok(known) if !known.is_file() => return Err(io::Error::other("it is no regular file")),
        Ok(_) | Err(_) => {}
    }
    fs::File::create(&file.path)?.write_all(format!("{number}\n").as_bytes())
}

/// Where a file's name stands: the number of its directory's watch, and the name in it.
type Place = (i32, OsString);

struct Watch {
    files: Vec<File>,
    /// What each was when it was told last.
    told: Vec<Option<i64>>,
    inotify: Option<AsyncFd<OwnedFd>>,
    /// Files by where they, or what leads to them, stand.
    places: HashMap<Place, Vec<usize>>,
}

impl Watch {
    fn new(files: Vec<File>) -> Watch {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        // Without it the rounds alone see changes.
        let inotify = inotify::init(flags).ok().and_then(watched);
        Watch { told: vec![None; files.len()], files, inotify, places: HashMap::new() }
    }

    /// Reads some files, on a thread that may wait; gives the numbers that are new.
    async fn look(&mut self, which: Vec<usize>) -> Vec<(usize, i64)> {
        let paths: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        let inotify = self.inotify.as_ref().and_then(|inotify| inotify.get_ref().try_clone().ok());
        let looked = tokio::task::spawn_blocking(move || {
            // Watched before they are read, so that nothing is missed in between.
            let places = inotify.map(|inotify| register(inotify.as_fd(), &paths)).unwrap_or_default();
            let numbers: Vec<_> = which.into_iter().filter_map(|at| Some((at, read(paths.get(at)?)))).collect();
            (places, numbers)
        });
        let Ok((places, numbers)) = looked.await else { return Vec::new() };
        self.places = places;
        let mut news = Vec::new();
        for (at, number) in numbers {
            let Some(told) = self.told.get_mut(at) else { continue };
            // A number that does not fit is none: the last one goes on.
            let number = number.or(*told).unwrap_or(0);
            if told.replace(number) != Some(number) {
                news.push((at, number));
            }
        }
        news
    }

    /// Until some file may have changed, or it is time to look at all.
    async fn changed(&mut self) -> Vec<usize> {
        let all = (0..self.files.len()).collect();
        let Some(inotify) = &mut self.inotify else {
            tokio::time::sleep(ROUND).await;
            return all;
        };
        let places = &self.places;
        let event = async {
            loop {
                let Ok(mut ready) = inotify.readable_mut().await else { return None };
                let heard = hear(ready.get_inner().as_fd(), places);
                ready.clear_ready();
                match heard {
                    Some(which) if which.is_empty() => {}
                    heard => return heard,
                }
            }
        };
        tokio::time::timeout(ROUND, event).await.ok().flatten().unwrap_or(all)
    }
}

#[expect(deprecated, reason = "its successor is unsafe to call, and what it asks for, an OwnedFd keeps")]
fn watched(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

/// Reads all events that wait; gives the files they are about, `None` where some were lost.
fn hear(inotify: BorrowedFd<'_>, places: &HashMap<Place, Vec<usize>>) -> Option<Vec<usize>> {
    let mut buffer = [const { MaybeUninit::uninit() }; EVENTS];
    let mut events = inotify::Reader::new(inotify, &mut buffer);
    let mut which = HashSet::new();
    while let Ok(event) = events.next() {
        if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
            return None;
        }
        let name = event.file_name().map(|name| OsString::from_vec(name.to_bytes().to_vec()));
        let known = name.and_then(|name| places.get(&(event.wd(), name)));
        which.extend(known.into_iter().flatten().copied());
    }
    Some(which.into_iter().collect())
}

/// Watches the directories of all files, and of what links lead to. Adding one again changes nothing, and finds the new
/// one where it was replaced.
fn register(inotify: BorrowedFd<'_>, paths: &[PathBuf]) -> HashMap<Place, Vec<usize>> {
    let mut places: HashMap<Place, Vec<usize>> = HashMap::new();
    for (at, path) in paths.iter().enumerate() {
        let led_to = fs::canonicalize(path).ok();
        for path in [Some(path), led_to.as_ref()].into_iter().flatten() {
            let Some(name) = path.file_name() else { continue };
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if let Ok(number) = inotify::add_watch(inotify, directory, CHANGES) {
                places.entry((number, name.to_owned())).or_default().push(at);
            }
        }
    }
    places
}

/// The number in a file; 0 where it is not there, `None` where the number does not fit.
fn read(path: &Path) -> Option<i64> {
    let mut buffer = [0; LENGTH];
    let mut once = || -> Result<usize, Errno> {
        let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::read(&file, &mut buffer[..])
    };
    let mut length = once();
    if length == Ok(0) {
        // A shell empties a file before it writes it.
        std::thread::sleep(WRITING);
        length = once();
    }
    number::read(buffer.get(..length.unwrap_or(0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(directory: &Path, names: &[&str]) -> Watch {
        let file = |name: &&str| File {
            name: (*name).to_owned(),
            path: directory.join(name),
            initial: None,
            overwrite: false,
        };
        Watch::new(names.iter().map(file).collect())
    }

    fn run(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work);
    }

    /// The next news of one file, however many events come before it.
    async fn next(watch: &mut Watch) -> (usize, i64) {
        loop {
            let which = watch.changed().await;
            if let Some(news) = watch.look(which).await.pop() {
                return news;
            }
        }
    }

    #[test]
    fn a_file_is_followed_as_it_comes_is_written_replaced_linked_and_goes() {
        run(async {
            let place = tempfile::tempdir().unwrap();
            let path = |name: &str| place.path().join(name);
            let mut watch = watch(place.path(), &["a"]);
            assert_eq!(watch.look(vec![0]).await, vec![(0, 0)], "what is not there is 0");
            fs::write(
                path("a"),
                "5
",
            )
            .unwrap();
            assert_eq!(next(&mut watch).await, (0, 5));
            fs::write(path("a"), "99999999999").unwrap();
            fs::write(path("other"), "7").unwrap();
            fs::rename(path("other"), path("a")).unwrap();
            assert_eq!(next(&mut watch).await, (0, 7), "a number that does not fit is none");
            fs::create_dir(path("elsewhere")).unwrap();
            fs::write(path("elsewhere/real"), "8").unwrap();
            std::os::unix::fs::symlink(path("elsewhere/real"), path("link")).unwrap();
            fs::rename(path("link"), path("a")).unwrap();
            assert_eq!(next(&mut watch).await, (0, 8));
            fs::write(path("elsewhere/real"), "-9").unwrap();
            assert_eq!(next(&mut watch).await, (0, -9));
            fs::remove_file(path("a")).unwrap();
            assert_eq!(next(&mut watch).await, (0, 0));
        });
    }

    #[test]
    fn a_file_is_made_where_it_is_to_be_there() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let mut file = File { name: "a".into(), path: path.clone(), initial: Some(12), overwrite: false };
        make(&file, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "12\n");
        file.initial = Some(13);
        make(&file, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "12\n", "it is there");
        file.overwrite = true;
        make(&file, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "12\n", "a reload overwrites nothing");
        make(&file, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "13\n");
        file.path = place.path().to_owned();
        assert!(make(&file, true).is_err(), "a directory is no file");
    }
}
